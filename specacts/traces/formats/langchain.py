"""LangChain messages, dumped in any of its ways, and the runs of language models that LangSmith exports.

A message is `{"type": "ai", "content": ...}`, `{"type": "ai", "data": {...}}` or `{"lc": 1, "kwargs": {...}}`. A tool
message with `status: error` is a failed result; a call with arguments that could not be read is context. Of a LangSmith
run the `inputs` are the conversation, `outputs` its answer, in the shape of whatever client was traced.
"""

from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats import exchange
from specacts.traces.formats.shape import Chat, call, fields, is_langchain, items, kept, objects, result, said

NAME = "LangChain messages"
ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
CLASSES = {"humanmessage": "human", "aimessage": "ai", "systemmessage": "system", "toolmessage": "tool"}


def recognises(value: dict[str, Any]) -> bool:
    if isinstance(value.get("messages"), list):
        return any(is_langchain(message) for message in value["messages"])
    return is_run(value)


def is_run(value: dict[str, Any]) -> bool:
    """Whether it is a LangSmith run that holds messages."""
    inputs, outputs = fields(value.get("inputs")), fields(value.get("outputs"))
    return bool(_batch(inputs.get("messages"))) and ("run_type" in value or bool(outputs))


def _batch(messages: Any) -> list[Any]:
    """LangSmith keeps lists of message lists, of which a run of a chat model has one."""
    found = items(messages)
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    if isinstance(value.get("messages"), list):
        return kept(value, messages=[_message(message, noted) for message in value["messages"]])
    inputs, outputs = fields(value["inputs"]), fields(value.get("outputs"))
    messages, usage = list(_batch(inputs["messages"])), None
    if "messages" in outputs:
        more = _batch(outputs["messages"])
        if _holds(more, messages):  # a graph gives back its whole state, in which a thread's earlier turns stand too
            messages, more = more, []
    else:
        generations = objects(_batch(outputs.get("generations")))
        more, usage = exchange.answer_of(generations[0] if generations else outputs)
        noted[exchange.NO_ANSWER] += not more
    made = [_message(message, noted) for message in (*messages, *more)]
    if len(more) == 1 and value.get("run_type", "llm") == "llm" and fields(made[-1]).get("role") == "assistant":
        took = {"seconds": timing.seconds_of(value, noted), "usage": usage}  # a chain's include what its tools took
        made[-1] = {**{name: item for name, item in took.items() if item}, **made[-1]}
    settings = fields(fields(value.get("extra")).get("invocation_params"))
    tools = inputs.get("tools") or settings.get("tools")
    group = value.get("thread_id") or value.get("session_name") or value.get("trace_id")
    found = kept({"tools": tools, "group": group if isinstance(group, str) else None})
    return {**found, **({"system": inputs["system"]} if inputs.get("system") else {}), "messages": made}


def _holds(whole: list[Any], part: list[Any]) -> bool:
    """Whether all of some messages stand among others, in their order, whatever way each is dumped in."""
    said = ((one.get("role"), one.get("content")) for one in map(fields, (_message(m, Counter()) for m in whole)))
    wanted = [fields(_message(message, Counter())) for message in part]
    return all((one.get("role"), one.get("content")) in said for one in wanted)


def _message(message: Any, noted: Counter[str]) -> Any:
    if not is_langchain(message):
        return message
    if "lc" in message:
        inner, kind = message["kwargs"], str((items(message.get("id")) or [""])[-1])
        kind = inner.get("type") or CLASSES.get(kind.lower().removesuffix("chunk"), kind)
    else:
        inner, kind = message.get("data") if isinstance(message.get("data"), dict) else message, message["type"]
    kind = CLASSES.get(str(kind).lower().removesuffix("chunk"), kind)
    role = ROLES.get(kind, kind)
    content = inner.get("content")
    if role == "tool":
        return result(inner.get("tool_call_id"), content, inner.get("status") == "error" or None, inner.get("name"))
    if role != "assistant":
        return {"role": role, "content": content}
    return _ai(inner, content, noted)


def _ai(inner: dict[str, Any], content: Any, noted: Counter[str]) -> Chat:
    calls = [call(one.get("id"), one.get("name"), one.get("args")) for one in objects(inner.get("tool_calls"))]
    more = fields(inner.get("additional_kwargs"))
    if not calls:
        calls = objects(more.get("tool_calls"))
    for one in objects(inner.get("invalid_tool_calls")):
        calls.append(call(one.get("id"), one.get("name"), {"input": one.get("args")}, weight=0))
        noted["calls with arguments that are not JSON are context"] += 1
    if calls and isinstance(content, list):  # the same calls stand in the blocks of some providers
        content = [p for p in content if fields(p).get("type") not in ("tool_use", "function_call", "tool_call")]
    found = said(content, calls)
    if more.get("function_call") and not calls:
        found["function_call"] = more["function_call"]
    reply = fields(inner.get("response_metadata"))
    if usage := inner.get("usage_metadata") or reply.get("token_usage") or reply.get("usage"):
        found["usage"] = usage
    if seconds := timing.seconds_of(reply, noted):
        found["seconds"] = seconds
    return found
