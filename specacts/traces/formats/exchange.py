"""Rows of a request and its response, as proxies, gateways, observability tools and batches keep them.

The answer is appended to the request's messages; what that gives is in one of the other formats, which reads on. The
rows of one conversation repeat its beginning: `reader.py` keeps the longest of them. A row's `id` names one call, so it
is no conversation's. Names differ by product, and one side or both may be JSON text.
"""

import re
from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats.shape import CALL_FIELDS, Chat, fields, from_text, is_message, items, kept
from specacts.traces.formats.unsupported import Named, Unsupported
from specacts.traces.usage import usage_of

NAME = "request and response"
REQUESTS = (
    *("request", "request_body", "requestBody", "body", "input", "inputs", "params", "kwargs", "prompt"),
    "proxy_server_request",
)
RESPONSES = ("response", "response_body", "responseBody", "output", "outputs", "completion", "result")
PIECES = Unsupported(Named("answers in streamed pieces", "log the final message of every call"))
STREAMED = re.compile(r"\s*(:[^\n]*\n\s*)*(event: *[\w.]+\r?\n(id|data):|data: *[{\[])")
"""How the text of a stream begins, behind comments that keep it alive."""
BODIES = ("body", "json", "inputBodyJson")
"""Under which names requests stand inside others; the last is that of Amazon Bedrock's log of invocations."""
SETTINGS = ("model_parameters", "modelParameters", "optional_params", "invocation_params")
"""Objects of a row that may hold the tools of its request."""
NO_ANSWER = "requests that got an error or nothing"
MORE = "additional_kwargs"
"""What LangChain's messages have of one provider alone, calls for example."""
BESIDE = "texts beside conversations that end with the agent's words left out"
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
    if _is_flat(value):
        return {key: item for key, item in value.items() if key not in (name, "id")}, answered
    for key in REQUESTS:
        if (request := _request(from_text(value.get(key)))) is not None:
            if key == "input" and "messages" not in request and name == "output" and isinstance(answered, list):
                return None  # an object of the Responses interface
            return request, answered
    return None


def _is_flat(value: dict[str, Any]) -> bool:
    """Whether the messages of the request stand in the row itself; some have the field, empty, and them elsewhere."""
    messages = value.get("messages")
    return isinstance(messages, list) and (
        bool(messages) or all(_request(from_text(value.get(key))) is None for key in REQUESTS)
    )


def _request(value: Any) -> dict[str, Any] | None:
    if isinstance(value, list) and value and all(map(is_message, value)):
        return {"messages": value}
    if not isinstance(value, dict):
        return None
    if (inner := next((value[name] for name in BODIES if isinstance(value.get(name), dict)), None)) is not None:
        return _request(inner)
    if isinstance(value.get("messages"), list):
        return value
    return value if isinstance(value.get("input"), str | list) and "model" in value else None


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    request, response = sides(value) or ({}, None)
    answer, usage = answer_of(response)
    is_whole = _is_flat(value) and _has_spoken(request["messages"])
    if is_whole and not isinstance(from_text(response), dict | list):
        noted[BESIDE] += bool(answer)
        answer = []
    noted[NO_ANSWER] += not answer and not is_whole
    outside = {name: item for name, item in kept(value).items() if name in ("group", "reward", "success")}
    if is_whole:
        outside = kept(value)
    if isinstance(about := value.get("specacts"), dict):  # serving/journal.py
        noted[AUDITS if about.get("audit") else SERVED] += 1
        noted[ALONE] += about.get("alone") is True and not about.get("audit")
    settings = (fields(value.get(name)).get("tools") for name in SETTINGS)
    offered = next((tools for tools in settings if tools), None)
    whole = {**({"tools": offered} if offered else {}), **request, **outside}
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


def _has_spoken(messages: list[Any]) -> bool:
    """Whether the last of a conversation's messages is the agent's: then it is whole, and waits for no answer."""
    return bool(messages) and fields(messages[-1]).get("role") in ("assistant", "ai", "model")


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
    if "delta" in found or any("delta" in fields(choice) for choice in items(found.get("choices"))):
        return True
    if found.get("done") is False and "message" in found:  # Ollama's
        return True
    return str(found.get("type")).startswith(("response.", "message_start", "content_block_"))


def _is_streamed(text: str) -> bool:
    return bool(STREAMED.match(text)) or _is_piece(text.lstrip().partition("\n")[0])


def answer_of(response: Any) -> tuple[list[Any], Any]:
    """What a response adds to the conversation, and its usage. Raises `Unsupported` for one in pieces."""
    if isinstance(response, str):
        if _is_streamed(response):
            raise PIECES
        return ([{"role": "assistant", "content": response}] if response.strip() else []), None
    if isinstance(response, list):
        if any(map(_is_piece, response)):
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
    for name in ("body", "message", "response", "messages", "data", "output", "outputBodyJson"):
        if isinstance(found.get(name), dict | list):
            return answer_of(found[name])
    said = next((found[name] for name in ("content", "text", "output_text", "output") if found.get(name)), None)
    called = {name: item for name, item in found.items() if item and (CALL_FIELDS.fullmatch(name) or name == MORE)}
    if called or isinstance(said, str | list):  # a message whose role goes without saying
        return [{"role": "assistant", "content": said, **called}], usage
    return [], usage
