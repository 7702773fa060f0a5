"""How long a model call took, where logs say so: a latency whose unit is known, or two points in time.

    seconds_of({"latency_ms": 812}, noted)             # 0.812
    timed(chat, noted)                                 # the chat with `seconds` at the answers of which it can be told

A latency counts if its name ends in its unit (`latency_ms`, `durationSeconds`, `response_time_in_ms`) or its text does
("812 ms"). `latency`, `duration` and `response_time` alone are milliseconds in some products and seconds in others, and
are not read. Of points in time it is the span from the request to the response, or in a conversation from the last
thing that the model was given to its answer: what a human took to type is never in it.
"""

import re
from collections import Counter
from datetime import datetime
from typing import Any

LONGEST = 3600.0
"""Seconds; no call takes longer, so what does is something else."""
IMPOSSIBLE = "times that no call takes left out"
NO_UNIT = "latencies without a unit left out"

UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "micros", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), 1e-9),
}
LATENCY = re.compile(
    r"(?:(?:llm|model|api|call|request|response|generation|inference|chat|total|e2e)_)*"
    r"(?:latency|duration|elapsed(?:_time)?|delay|(?:request|response|generation|inference|total|elapsed)_time)"
)
"""A name without its unit. A part of a call, such as the time to the first token, has other names."""
WITH_UNIT = re.compile(rf"({LATENCY.pattern}|response)_(?:in_)?({'|'.join(UNITS)})")
QUANTITY = re.compile(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(UNITS)})\s*")
SPANS = (
    *(("start_time", "end_time"), ("start", "end"), ("started_at", "ended_at"), ("started_at", "finished_at")),
    *(("started_at", "completed_at"), ("request_created_at", "response_created_at")),
    *(("request_timestamp", "response_timestamp"), ("request_time", "response_time"), ("created_at", "completed_at")),
    ("requested_at", "responded_at"),
)
STAMPS = ("timestamp", "created_at", "createdAt", "create_time", "sent_at", "ts", "time")
"""When a message was there."""
WITHIN = ("metrics", "metadata", "timing", "timings", "extra", "response_metadata", "usage", "token_usage")
"""Objects of a call that may hold its latency."""
USUAL = frozenset(
    ("role", "content", "tool_calls", "tool_call_id", "name", "refusal", "function_call", "weight", "is_error")
)
"""Fields of a message that say nothing of time: most messages have no others."""


def seconds_of(value: Any, noted: Counter[str]) -> float | None:
    """Seconds of the one model call that an object is about; None where that is not said.

    What cannot be (nothing or less, or more than `LONGEST`), and numbers without a unit, are counted in `noted`.
    """
    if not isinstance(value, dict):
        return None
    named = {_snake(name): item for name, item in value.items() if isinstance(name, str)}
    candidates = (*(_latency(name, item) for name, item in named.items()), _of_ollama(named), _of_groq(named))
    found = next((one for one in candidates if one is not None), None)
    if found is None:
        found = next((one for span in SPANS if (one := _between(*map(named.get, span))) is not None), None)
    if found is not None:
        return _possible(found, noted)
    for name in WITHIN:
        if isinstance(named.get(name), dict) and (inner := seconds_of(named[name], noted)) is not None:
            return inner
    if any(LATENCY.fullmatch(name) and _number(item) is not None for name, item in named.items()):
        noted[NO_UNIT] += 1
    return None


def kept(message: dict[str, Any], noted: Counter[str]) -> dict[str, Any]:
    """What a message says of time, as fields of one in the OpenAI chat shape: `timestamp` and `seconds`."""
    if USUAL.issuperset(message):
        return {}
    stamp = next((message[name] for name in STAMPS if message.get(name) is not None), None)
    seconds = seconds_of(message, noted) if message.get("role") == "assistant" else None
    found = {"timestamp": stamp, "seconds": seconds}
    return {name: value for name, value in found.items() if value is not None}


def timed(chat: dict[str, Any], noted: Counter[str]) -> dict[str, Any]:
    """The conversation with `seconds` at every answer of which they are known; itself where nothing is said of time."""
    messages = chat.get("messages")
    if not isinstance(messages, list) or all(isinstance(m, dict) and USUAL.issuperset(m) for m in messages):
        return chat
    result: list[Any] = []
    given: list[float | None] = []  # when each thing was there that the model was given since it last spoke
    for message in messages:
        if not isinstance(message, dict) or message.get("role") in ("system", "developer"):
            result.append(message)
            continue
        said = kept(message, noted)
        at = moment(said.get("timestamp"))
        if message.get("role") != "assistant":
            given.append(at)
        else:
            seconds = seconds_known(message.get("seconds"))
            seconds = said.get("seconds") if seconds is None else seconds
            known = [one for one in given if one is not None]
            if seconds is None and at is not None and given and len(known) == len(given):
                seconds = _possible(at - max(known), noted)
            if seconds is not None:
                message = {**message, "seconds": seconds}
            given = [at]
        result.append(message)
    return {**chat, "messages": result}


def seconds_known(value: Any) -> float | None:
    """A number of seconds that a call can take."""
    number = _number(value)
    return number if number is not None and 0 < number <= LONGEST else None


def moment(value: Any) -> float | None:
    """Seconds since 1970 of a date and time in ISO's form, or a count of which its size tells the unit.

    A time without a zone is taken for UTC: what counts are differences within one log.
    """
    if isinstance(value, datetime):
        return _from_datetime(value)
    number = _number(value)
    if number is None and isinstance(value, str):
        try:
            return _from_datetime(datetime.fromisoformat(value.strip().removesuffix(" UTC")))
        except ValueError:
            pass
        try:
            number = float(value)
        except ValueError:
            return None
    if number is None:
        return None
    for scale in (1.0, 1e3, 1e6, 1e9):  # seconds to nanoseconds: 2001 to 2286
        if 1e9 <= number / scale < 1e10:
            return number / scale
    return None


def _from_datetime(value: datetime) -> float | None:
    if value.tzinfo is None:
        value = datetime.fromisoformat(value.isoformat() + "+00:00")
    return value.timestamp()


def _latency(name: str, value: Any) -> float | None:
    """Seconds of a field, if it is a latency and its unit is known."""
    if isinstance(value, list) and len(value) == 1:  # as Bedrock's are exported
        value = value[0]
    number = _number(value)
    if number is not None:
        found = WITH_UNIT.fullmatch(name)
        return number * UNITS[found[2]] if found else None
    if isinstance(value, str) and LATENCY.fullmatch(name) and (written := QUANTITY.fullmatch(value)):
        return float(written[1]) * UNITS[written[2]]
    return None


def _of_ollama(named: dict[str, Any]) -> float | None:
    """`total_duration` beside `eval_count` is in nanoseconds."""
    number = _number(named.get("total_duration"))
    return number / 1e9 if number is not None and "eval_count" in named else None


def _of_groq(named: dict[str, Any]) -> float | None:
    """`total_time` beside `completion_time` and `prompt_time`, in a usage, is in seconds."""
    return _number(named.get("total_time")) if {"completion_time", "prompt_time"} <= named.keys() else None


def _between(start: Any, end: Any) -> float | None:
    first, last = moment(start), moment(end)
    return None if first is None or last is None else last - first


def _possible(seconds: float, noted: Counter[str]) -> float | None:
    if 0 < seconds <= LONGEST:
        return round(seconds, 6)
    noted[IMPOSSIBLE] += 1
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**63:
        return None
    return float(value)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().lstrip("_")
