"""What the cheap model does, as the API says it; and what upstream said, out of the bytes that passed.

    answer = completion(message_of(action, words), "gpt-5", Used(812, 800, 14), made_by="specacts-1f0c")
    b"".join(in_chunks(answer, True))      # the same as a stream
    heard(body, "text/event-stream")       # upstream's answer: the whole completion, its message and usage

The id of a call carries the action's type, so that the next request tells what the model meant (requests.py).
"""

import json
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from specacts.answering.records import Candidate
from specacts.core.episodes import Action
from specacts.serving.journal import joined
from specacts.transcripts.parse import SPOKEN, dump_arguments

LAST = b"data: [DONE]\n\n"


def words_of(proposal: Candidate) -> str:
    """What a proposal says, if it is to be done."""
    if proposal.words is not None:
        return proposal.words.text
    return proposal.action.content if proposal.action else ""


class Used(NamedTuple):
    """Tokens of an answer: read, `cached` of them known from before, and written."""

    prompt: int
    cached: int
    completion: int


class Heard(NamedTuple):
    """What upstream answered: the completion, of its first choice the message, and its tokens if it says so."""

    whole: dict[str, Any]
    message: dict[str, Any]
    usage: Used | None


# -- ours -----------------------------------------------------------------------------------------------------


def message_of(action: Action, words: str) -> dict[str, Any]:
    """The assistant's message that does an action.

    words: what it says; where that is nothing, a phrase that says little.
    """
    if action.tool is None:
        return {"role": "assistant", "content": words or SPOKEN[action.type], "refusal": None}
    call = {
        "id": f"call_{action.type}_{secrets.token_hex(8)}",
        "type": "function",
        "function": {"name": action.tool, "arguments": dump_arguments(action.arguments)},
    }
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}


def completion(
    message: Mapping[str, Any], model: str, used: Used, made_by: str, finish: str | None = None
) -> dict[str, Any]:
    """A chat completion with one choice.

    model: as the request names it. made_by: the bundle, as its fingerprint. finish: why the answer ends there, where
    it is not at its end.
    """
    finish = finish or ("tool_calls" if message.get("tool_calls") else "stop")
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": dict(message), "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": used.prompt,
            "completion_tokens": used.completion,
            "total_tokens": used.prompt + used.completion,
            "prompt_tokens_details": {"cached_tokens": used.cached},
        },
        "system_fingerprint": made_by,
    }


def in_chunks(whole: Mapping[str, Any], with_usage: bool) -> Iterator[bytes]:
    """A completion as the events of a stream. with_usage: whether the last but one tells the tokens."""
    (choice,) = whole["choices"]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "" if message["content"] else None}]
    if message["content"]:
        deltas.append({"content": message["content"]})
    for number, call in enumerate(message.get("tool_calls", ())):
        function = {"name": call["function"]["name"], "arguments": ""}
        deltas.append({"tool_calls": [{"index": number, **call, "function": function}]})
        arguments = {"arguments": call["function"]["arguments"]}
        deltas.append({"tool_calls": [{"index": number, "function": arguments}]})
    every = {name: whole[name] for name in ("id", "created", "model", "system_fingerprint")}
    every["object"] = "chat.completion.chunk"
    if with_usage:
        every["usage"] = None
    for delta in deltas:
        yield _event({**every, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
    yield _event({**every, "choices": [last]})
    if with_usage:
        yield _event({**every, "choices": [], "usage": whole["usage"]})
    yield LAST


def _event(value: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n".encode("utf-8", "replace")


def failure(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error as the API says it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# -- upstream's -----------------------------------------------------------------------------------------------


def heard(body: bytes, content_type: str, encoding: str = "") -> Heard | None:
    """The answer that upstream's bytes hold; None where they hold none that can be read, or not all of it."""
    try:
        text = _plain(body, encoding)
        if "text/event-stream" in content_type:
            whole = joined([text])
            return None if whole is None else _of_whole(whole)
        return _of_whole(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, zlib.error):
        return None


def _plain(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding in ("gzip", "deflate"):
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MOST)
    raise ValueError(f"content-encoding {encoding}")


MOST = 64 << 20
"""Bytes of an answer that are looked into."""


def _of_whole(value: dict[str, Any]) -> Heard:
    return Heard(value, {**value["choices"][0]["message"], "role": "assistant"}, _used(value.get("usage")))


def _used(value: Any) -> Used | None:
    """Tokens as the API counts them; None where they are not said."""
    if not isinstance(value, dict):
        return None
    details = value.get("prompt_tokens_details") or {}
    given = (value.get("prompt_tokens"), details.get("cached_tokens") or 0, value.get("completion_tokens"))
    counts = [count for count in given if isinstance(count, int) and count >= 0]
    return Used(*counts) if len(counts) == len(given) else None
