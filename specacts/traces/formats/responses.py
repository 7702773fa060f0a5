"""OpenAI Responses and the Agents SDK: a list of items under `input`, `items` or `messages`, and the answer's `output`.

`function_call` items that follow one another were decided together. Reasoning is left out; what the server ran itself
(`web_search_call`, ...) is left out and counted. A call of a custom tool has its text as the argument `input`.
"""

from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats.anthropic import SERVER_SIDE
from specacts.traces.formats.shape import Chat, call, fields, items, kept, objects, result, said

NAME = "OpenAI Responses items"
TOOK = ("usage", "seconds")
"""What a row says of the call that answered it."""
CLIENT_CALLS = ("computer_call", "local_shell_call", "shell_call", "apply_patch_call")
ITEMS = (
    *("function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"),
    *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"),
    *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "item_reference", "compaction"),
    *CLIENT_CALLS,
    *(f"{name}_output" for name in CLIENT_CALLS),
)


def recognises(value: dict[str, Any]) -> bool:
    messages = value.get("messages")
    if isinstance(messages, list):
        return any(is_item(item) for item in messages)
    for name in ("input", "items"):
        found = value.get(name)
        if isinstance(found, list) and found and all(is_item(item) or _has_role(item) for item in found):
            return True
    return isinstance(value.get("input"), str) and any(_is_output(item) for item in objects(value.get("output")))


def is_item(item: Any) -> bool:
    return isinstance(item, dict) and "role" not in item and item.get("type") in ITEMS


def _is_output(item: dict[str, Any]) -> bool:
    return is_item(item) or item.get("type") == "message"


def _has_role(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("role"), str)


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    given = next((value[name] for name in ("messages", "input", "items") if name in value), None)
    found: list[Any] = [{"role": "user", "content": given}] if isinstance(given, str) else list(items(given))
    if "messages" not in value:
        found += items(value.get("output"))
    messages: list[Any] = []
    if isinstance(value.get("instructions"), str) and value["instructions"]:
        messages.append({"role": "system", "content": value["instructions"]})
    open_calls: list[Chat] = []  # of the assistant message that is being made of calls
    for item in found:
        made = _call(item)
        if made is not None:
            if not open_calls:
                messages.append(said(None, open_calls := [made]))
            else:
                open_calls.append(made)
            messages[-1].update({name: item[name] for name in TOOK if name in item})
            continue
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "reasoning":
            continue
        open_calls = []
        if is_item(item) and not str(kind).endswith("_output"):
            noted[SERVER_SIDE] += 1
        else:
            messages.append(_message(item))
    answers = "messages" not in value and items(value.get("output"))
    if answers and fields(messages[-1]).get("role") == "assistant" and not any(map(_is_result, answers)):
        took = {"usage": value.get("usage"), "seconds": timing.seconds_of(value, noted)}
        messages[-1] = {**messages[-1], **{name: item for name, item in took.items() if item is not None}}
    return kept(value, messages=messages)


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
        return call(key, kind.removesuffix("_call"), fields(item.get("action") or item.get("operation")))
    return None


def _message(item: Any) -> Any:
    if not is_item(item):
        return item
    failed = item.get("status") in ("failed", "incomplete") or None
    return result(item.get("call_id"), item.get("output"), failed)
