"""OpenAI Responses and the Agents SDK: a list of items under `input`, `items` or `messages`, and the answer's `output`.

What the agent says and calls without a result between was decided together. Reasoning is left out; what the server ran
itself (`web_search_call`, ...) is left out and counted. A call of a custom tool has its text as the argument `input`.
Tools in a `namespace`, and those that a search for tools found, are tools like the others. Items of a kind that is not
known here are a problem.
"""

from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats.anthropic import SERVER_SIDE
from specacts.traces.formats.openai_chat import Invalid, Problem
from specacts.traces.formats.shape import (
    CLIENT_CALLS,
    Chat,
    call,
    fields,
    is_item,
    items,
    kept,
    objects,
    result,
    said,
)

NAME = "OpenAI Responses items"
TOOK = ("usage", "seconds")
"""What a row says of the call that answered it."""


def recognises(value: dict[str, Any]) -> bool:
    messages = value.get("messages")
    if isinstance(messages, list):
        return any(is_item(item) for item in messages)
    for name in ("input", "items"):
        found = value.get(name)
        if isinstance(found, list) and any(map(is_item, found)) and all(isinstance(item, dict) for item in found):
            return True
        if isinstance(found, list) and found and all(map(_has_role, found)):
            return True
    return isinstance(value.get("input"), str) and any(_is_output(item) for item in objects(value.get("output")))


def _is_output(item: dict[str, Any]) -> bool:
    return is_item(item) or item.get("type") == "message"


def _has_role(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("role"), str)


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    name = next((name for name in ("messages", "input", "items") if name in value), "input")
    given = value.get(name)
    found: list[Any] = [{"role": "user", "content": given}] if isinstance(given, str) else list(items(given))
    answers = [] if "messages" in value else items(value.get("output"))
    found += answers
    messages: list[Any] = []
    if isinstance(value.get("instructions"), str) and value["instructions"]:
        messages.append({"role": "system", "content": value["instructions"]})
    open_calls: list[Chat] = []  # of the assistant message that is being made of calls
    loaded: list[Any] = []
    for number, item in enumerate(found):
        made = _call(item)
        kind = item.get("type") if isinstance(item, dict) else None
        if made is not None:
            if not open_calls:
                messages.append(said(None, open_calls := [made]))
            else:
                open_calls.append(made)
            messages[-1].update({name: item[name] for name in TOOK if name in item})
        elif kind == "tool_search_output":
            loaded += items(item.get("tools"))
            noted[SERVER_SIDE] += not item.get("call_id")
            if item.get("call_id"):
                open_calls = []
                messages.append(result(item["call_id"], ", ".join(_names(items(item.get("tools"))))))
        elif is_item(item) and not _is_result(item):
            noted[SERVER_SIDE] += kind != "reasoning"
        elif open_calls and fields(item).get("role") == "assistant":
            messages[-1] = {**messages[-1], **_beside(messages[-1], item)}
        elif isinstance(kind, str) and not (is_item(item) or _has_role(item)):
            before = len(found) - len(answers)
            place = f"{name}.{number}" if number < before else f"output.{number - before}"
            raise Invalid([Problem(f"{place}.type", f"{kind!r} is no kind of item that is known here")])
        else:
            open_calls = []
            messages.append(_message(item))
    if answers and fields(messages[-1]).get("role") == "assistant" and not any(map(_is_result, answers)):
        took = {"usage": value.get("usage"), "seconds": timing.seconds_of(value, noted)}
        messages[-1] = {**messages[-1], **{name: item for name, item in took.items() if item is not None}}
    chat = kept(value, messages=messages)
    offered = items(chat.get("tools"))
    known = set(_names(offered))
    tools = [*_flat(offered), *(tool for tool in _flat(loaded) if fields(tool).get("name") not in known)]
    return {**chat, "tools": tools} if tools != offered else chat


def _flat(tools: list[Any]) -> list[Any]:
    """The tools, those in a `namespace` too; the search for tools, where the agent's own side makes it, has a name."""
    found: list[Any] = []
    for one in tools:
        if fields(one).get("type") == "namespace":
            found += items(one.get("tools"))
        else:
            is_search = fields(one).get("type") == "tool_search" and one.get("parameters") is not None
            found.append({**one, "name": "tool_search"} if is_search else one)
    return found


def _names(tools: list[Any]) -> list[str]:
    return [str(tool.get("name")) for tool in objects(_flat(tools)) if tool.get("name")]


def _beside(message: Chat, item: Chat) -> Chat:
    """The words of an item beside calls that it stands among, and what the row says that all of them took."""
    parts = [[one] if isinstance(one, str) else items(one) for one in (message.get("content"), item.get("content"))]
    return {"content": [*parts[0], *parts[1]], **{name: item[name] for name in TOOK if name in item}}


def _is_result(item: Any) -> bool:
    return is_item(item) and str(item["type"]).endswith("_output")


def _call(item: Any) -> Chat | None:
    if not is_item(item):
        return None
    kind, key = item["type"], item.get("call_id") or item.get("id")
    if kind == "function_call":
        return call(key, item.get("name"), item.get("arguments"))
    if kind == "custom_tool_call":
        return call(key, item.get("name"), {"input": item.get("input")})
    if kind in CLIENT_CALLS:
        made = fields(item.get("action") or item.get("operation")) or {"actions": items(item.get("actions"))}
        return call(key, kind.removesuffix("_call"), made)
    if kind == "tool_search_call" and item.get("call_id"):  # which the agent's own side answers
        return call(key, "tool_search", item.get("arguments"))
    return None


def _message(item: Any) -> Any:
    if not is_item(item):
        return item
    failed = item.get("status") in ("failed", "incomplete") or None
    given = item.get("output")
    if fields(given).get("type") == "computer_screenshot":
        given = [{**fields(given), "type": "input_image"}]
    return result(item.get("call_id"), given, failed)
