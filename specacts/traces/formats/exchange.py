"""Rows of a request and its response, as proxies, gateways, observability tools and batches keep them.

The answer is appended to the request's messages; what that gives is in one of the other formats, which reads on. The
rows of one conversation repeat its beginning: `reader.py` keeps the longest of them. Names differ by product, and one
side or both may be JSON text.
"""

from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats.shape import Chat, fields, from_text, is_message, items, kept
from specacts.traces.formats.unsupported import Named, Unsupported
from specacts.traces.usage import usage_of

NAME = "request and response"
REQUESTS = ("request", "request_body", "requestBody", "body", "input", "inputs", "params", "kwargs", "prompt")
RESPONSES = ("response", "response_body", "responseBody", "output", "outputs", "completion", "result")
PIECES = Unsupported(Named("answers in streamed pieces", "log the final message of every call"))
NO_ANSWER = "requests that got an error or nothing"
SERVED = "conversations from `specacts serve`"
ALONE = "conversations from `specacts serve` in which upstream alone acted"
AUDITS = "audits of `specacts serve`: upstream's word on one action"


def recognises(value: dict[str, Any]) -> bool:
    return sides(value) is not None


def sides(value: dict[str, Any]) -> tuple[dict[str, Any], Any] | None:
    """The request, as an object that holds messages, and the response."""
    name = next((name for name in RESPONSES if value.get(name) is not None), None)
    if name is None and isinstance(value.get("choices"), list):
        name, answered = "choices", {"choices": value["choices"]}
    elif name is not None:
        answered = from_text(value[name])
    elif "messages" not in value and any(name in value for name in RESPONSES):  # a call that got nothing
        answered = None
    else:
        return None
    if isinstance(value.get("messages"), list):
        return {key: item for key, item in value.items() if key != name}, answered
    for key in REQUESTS:
        if (request := _request(from_text(value.get(key)))) is not None:
            if key == "input" and "messages" not in request and name == "output" and isinstance(answered, list):
                return None  # an object of the Responses interface
            return request, answered
    return None


def _request(value: Any) -> dict[str, Any] | None:
    if isinstance(value, list) and value and all(map(is_message, value)):
        return {"messages": value}
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("body"), dict):
        return _request(value["body"])
    if isinstance(value.get("json"), dict):
        return _request(value["json"])
    if isinstance(value.get("messages"), list):
        return value
    return value if isinstance(value.get("input"), str | list) and "model" in value else None


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    request, response = sides(value) or ({}, None)
    answer, usage = _answer(response)
    if not answer:
        noted[NO_ANSWER] += 1
    if isinstance(about := value.get("specacts"), dict):  # serving/journal.py
        noted[AUDITS if about.get("audit") else SERVED] += 1
        noted[ALONE] += about.get("alone") is True and not about.get("audit")
    outside = {name: item for name, item in kept(value).items() if name in ("group", "reward", "success")}
    whole = {**request, **outside}
    given = request["messages"] if "messages" in request else request["input"]
    before = [{"role": "user", "content": given}] if isinstance(given, str) else given
    # Some keep the whole conversation in the response, and not its last message; or the answer on both sides.
    added = answer[len(before) :] if before and answer[: len(before)] == before else answer
    if added and isinstance(added[-1], dict) and not any(map(_is_given, added)):  # what one call answered
        added = [*added[:-1], {**added[-1], **_took(value, request, response, usage, noted)}]
    if before and len(added) == 1 and _same(before[-1], added[0]):
        before = before[:-1]
    name = "messages" if "messages" in request else "input"
    return {**kept(whole, **{name: [*before, *added]}), **_system(whole)}


def _is_given(message: Any) -> bool:
    """Whether a message is one that the model was given: an answer that holds some is that of several calls."""
    found = fields(message)
    return found.get("role") in ("user", "tool", "function") or str(found.get("type")).endswith("_output")


def _took(value: dict[str, Any], request: dict[str, Any], response: Any, usage: Any, noted: Counter[str]) -> Chat:
    """What the call took, where the row or its response says: tokens and seconds."""
    answered = fields(response)
    places = (usage, answered.get("usage"), value.get("usage"), value.get("usageDetails"), answered, value)
    counts = next((one for one in places if usage_of(one)), None)
    said: Counter[str] = Counter()
    span = {"request_timestamp": request.get("timestamp"), "response_timestamp": answered.get("timestamp")}
    found = (timing.seconds_of(one, said) for one in (value, answered, answered.get("body"), usage, span))
    seconds = next((one for one in found if one is not None), None)
    if seconds is None:
        noted.update(said)
    return {name: item for name, item in (("usage", counts), ("seconds", seconds)) if item is not None}


def _same(a: Any, b: Any) -> bool:
    """Whether two assistant messages say and do the same, whatever else is noted of them."""
    a, b = fields(a), fields(b)
    shared = ("role", "content", "tool_calls", "function_call")
    return a.get("role") == "assistant" and all((a.get(key) or None) == (b.get(key) or None) for key in shared)


def _system(value: dict[str, Any]) -> Chat:
    return {name: value[name] for name in ("system", "instructions") if value.get(name)}


def _is_piece(value: Any) -> bool:
    """Whether it is one of the pieces in which an answer is streamed."""
    found = fields(value)
    return "delta" in found or any("delta" in fields(choice) for choice in items(found.get("choices")))


def _answer(response: Any) -> tuple[list[Any], Any]:
    """What a response adds to the conversation, and its usage."""
    if isinstance(response, str):
        if response.lstrip().startswith("data:"):
            raise PIECES
        return ([{"role": "assistant", "content": response}] if response.strip() else []), None
    if isinstance(response, list):
        if response and all(map(_is_piece, response)):
            raise PIECES
        return [one for one in response if is_message(one)], None
    found = fields(response)
    usage = found.get("usage")
    if choices := items(found.get("choices")):
        first = fields(choices[0])
        message = first.get("message")
        if message is None and isinstance(first.get("text"), str):
            message = {"role": "assistant", "content": first["text"]}
        if message is None and "delta" in first:
            raise PIECES
        return ([message] if isinstance(message, dict) else []), usage
    if isinstance(found.get("output"), list):
        return found["output"], usage
    if found.get("role") == "assistant" or is_message(found):
        if found.get("role"):
            found = {key: item for key, item in found.items() if key not in ("id", "model", "type", "usage")}
        return [found], usage
    for name in ("body", "message", "response", "messages", "data"):
        if isinstance(found.get(name), dict | list):
            return _answer(found[name])
    for name in ("content", "text", "output_text"):
        if isinstance(found.get(name), str):
            return [{"role": "assistant", "content": found[name]}], usage
    return [], usage
