"""Calls that the agent writes as text, as Hermes and Qwen do: `<tool_call>{"name": ..., "arguments": {}}</tool_call>`.

A result stands in `<tool_response>`, said by the tool or the user; definitions may stand in the system prompt between
`<tools>` and `</tools>`. Part of reading the OpenAI chat shape: the text may come in any format that ends there.
"""

import ast
import json
import re
from typing import Any

from specacts.traces.formats.openai_chat import Invalid, decode
from specacts.traces.formats.shape import Chat, call, result, said

CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|$)", re.DOTALL)
RESPONSE = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
TOOLS = re.compile(r"<tools>\s*(.*?)\s*</tools>", re.DOTALL)
XML_CALL = re.compile(r"\s*<function=([^>\n]+)>(.*?)(?:</function>|$)\s*", re.DOTALL)
XML_ARGUMENT = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)


def has_calls(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, str) and "<tool_call>" in content and not message.get("tool_calls")


def with_calls(message: dict[str, Any]) -> Chat:
    """An assistant message with its calls out of the text. Raises `ValueError` where one is no call."""
    text = message["content"]
    calls = [call(None, *_call(found)) for found in CALL.findall(text)]
    if not calls:
        raise ValueError("a <tool_call> that is no call")
    return {**message, **said(CALL.sub("", text).strip() or None, calls)}


def _call(text: str) -> tuple[str, Any]:
    if found := XML_CALL.fullmatch(text):  # Qwen3-Coder's way
        return found[1].strip(), {name.strip(): _plain(value) for name, value in XML_ARGUMENT.findall(found[2])}
    value = _value(text)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError(f"a <tool_call> that is no call: {text[:80]}")
    return value["name"], value.get("arguments", value.get("parameters"))


def _plain(text: str) -> Any:
    try:
        return decode(text)
    except Invalid:
        return text


def _value(text: str) -> Any:
    """JSON, or an object as Python prints it, which older data of this kind holds."""
    try:
        return decode(text)
    except Invalid:
        pass
    try:
        return decode(json.dumps(ast.literal_eval(text)))
    except (Invalid, ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def responses(message: dict[str, Any]) -> list[Chat]:
    """The results in a message, each as one of role `tool`, and what else it says."""
    content = message["content"]
    rest = RESPONSE.sub("", content).strip()
    found = [result(None, text) for text in RESPONSE.findall(content)]
    if message.get("tool_call_id") and len(found) == 1:
        found[0]["tool_call_id"] = message["tool_call_id"]
    found = [{**one, **{k: message[k] for k in ("name", "is_error", "timestamp") if message.get(k)}} for one in found]
    return [*found, *([{**message, "role": "user", "content": rest}] if rest and message.get("role") == "user" else [])]


def has_responses(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, str) and "</tool_response>" in content and bool(RESPONSE.search(content))


def tools_in(text: str) -> list[Any] | None:
    """The definitions in a system prompt: a JSON array, or an object a line. None where there are none to read."""
    if "</tools>" not in text:
        return None
    for found in TOOLS.findall(text):
        lines = [line for line in found.splitlines() if line.strip()]
        for candidate in ([found], lines):
            values = [_value(one) for one in candidate]
            flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
            if flat and all(isinstance(one, dict) for one in flat):
                return flat
    return None


def without_tools(text: str) -> str:
    return TOOLS.sub("", text).strip()
