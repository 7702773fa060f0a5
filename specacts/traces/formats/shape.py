"""Small pieces that all formats are made of: safe looks into what somebody logged, and parts of the OpenAI chat shape.

    texts(blocks), call("c1", "get_order", {"order": 7}), result("c1", "on its way", failed=False)

Whatever a log holds, none of these fails: what is not of the expected kind counts as absent.
"""

import re
from typing import Any

from specacts.traces.formats.openai_chat import Invalid, decode

Chat = dict[str, Any]
"""A conversation in the OpenAI chat shape: `messages`, and `tools`, `id`, `group`, `reward`, `success` where known."""
KEPT = ("id", "group", "reward", "success", "action_type")
TOOLS = ("tools", "functions", "tool_definitions")
THINKING = ("thinking", "redacted_thinking", "reasoning", "reasoning_text", "summary_text")
"""Kinds of content that the agent keeps to itself: neither context nor label."""
ROLES = {
    **{name: "user" for name in ("user", "human", "customer")},
    **{name: "assistant" for name in ("assistant", "ai", "model", "gpt", "bot", "chatgpt", "agent")},
    **{name: name for name in ("system", "developer", "tool")},
    "function": "tool",
}
"""Names of roles that leave no doubt, in any case of letters."""
CLIENT_CALLS = ("computer_call", "local_shell_call", "shell_call", "apply_patch_call")
"""Items of the Responses interface by which the agent acts with tools that have no definition."""
ITEMS = (
    *("function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"),
    *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"),
    *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "item_reference", "compaction"),
    *("tool_search_call", "tool_search_output"),
    *CLIENT_CALLS,
    *(f"{name}_output" for name in CLIENT_CALLS),
)
"""Kinds of items of the Responses interface that are no messages."""
CALL_FIELDS = re.compile(r"(tool|function)s?_?(calls?|uses?|invocations?)", re.IGNORECASE)
"""Fields of the agent's messages that hold calls, whatever they are called."""
LC_TYPES = ("human", "ai", "system", "tool", "function", "HumanMessageChunk", "AIMessageChunk")


def items(value: Any) -> list[Any]:
    """The list itself, also where it is written as JSON text; an empty one for anything else."""
    value = from_text(value)
    return value if isinstance(value, list) else []


def fields(value: Any) -> dict[str, Any]:
    """The object itself, also where it is written as JSON text; an empty one for anything else."""
    value = from_text(value)
    return value if isinstance(value, dict) else {}


def from_text(value: Any) -> Any:
    """What JSON text of an object or array holds; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return decode(value)
        except Invalid:
            return value
    return value


def objects(value: Any) -> list[dict[str, Any]]:
    """Those members of a list that are objects."""
    return [item for item in items(value) if isinstance(item, dict)]


def texts(content: Any) -> str:
    """The text of a string, or of the text blocks in a list, a line each."""
    if isinstance(content, str):
        return content
    found = [part if isinstance(part, str) else part.get("text") for part in items(content) if part]
    return "\n".join(text for text in found if isinstance(text, str))


def call(key: Any, name: Any, arguments: Any, **more: Any) -> Chat:
    return {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def result(key: Any, content: Any, failed: Any = None, name: Any = None) -> Chat:
    message = {"role": "tool", "tool_call_id": key, "content": content}
    if isinstance(failed, bool):
        message["is_error"] = failed
    return message if name is None else {**message, "name": name}


def said(content: Any, calls: list[Chat], **more: Any) -> Chat:
    """An assistant message, with its calls where it has some."""
    return {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {}), **more}


def kept(value: dict[str, Any], **more: Any) -> Chat:
    """What every format may have beside its messages, under the names of ours."""
    found = {name: value[name] for name in KEPT if value.get(name) is not None}
    offered = next((value[name] for name in TOOLS if value.get(name) is not None), None)
    return {**found, **({} if offered is None else {"tools": offered}), **more}


def is_message(value: Any) -> bool:
    """Whether an object is one message of a conversation, in any of the formats, and not a conversation."""
    if not isinstance(value, dict) or "messages" in value or "conversations" in value:
        return False
    if isinstance(value.get("role"), str) and not isinstance(value.get("message"), dict):
        return True
    if "from" in value and "value" in value:
        return True
    if is_item(value) or (value.get("type") == "message" and "content" in value):
        return True
    return is_langchain(value)


def is_item(value: Any) -> bool:
    """Whether an object is an item of the Responses interface, and no message."""
    return isinstance(value, dict) and "role" not in value and value.get("type") in ITEMS


def is_langchain(value: Any) -> bool:
    """Whether an object is a message as LangChain dumps them, in one of its three ways."""
    if not isinstance(value, dict) or "role" in value:
        return False
    if value.get("lc") is not None and isinstance(value.get("kwargs"), dict):
        return True
    inner = value.get("data") if isinstance(value.get("data"), dict) else value
    return value.get("type") in LC_TYPES and isinstance(inner, dict) and "content" in inner
