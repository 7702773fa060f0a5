"""Anthropic Messages: `tool_use` and `tool_result` blocks, a top-level `system`, tools with `input_schema`.

Thinking is left out. What the server itself ran (`server_tool_use` and its results), and its summaries of what was said
before (`compaction`), are left out and counted. A call that code made, and not the model, is context. A result with
`is_error` is a failed one. In a user message results come before its words; documents and search results that
hold text are read. Text that citations divide is one text.
"""

from collections import Counter
from typing import Any

from specacts.traces import timing
from specacts.traces.formats.shape import THINKING, Chat, call, fields, items, kept, objects, result, said, texts

NAME = "Anthropic Messages"
BLOCKS = ("tool_use", "tool_result", "server_tool_use", "mcp_tool_use")
SERVER_SIDE = "what the model's server ran itself is left out"
SUMMARIES = "summaries that the model's server made left out"
BY_CODE = "calls that code of the model made are context"


def recognises(value: dict[str, Any]) -> bool:
    messages = value.get("messages")
    if not isinstance(messages, list):
        return False
    if isinstance(value.get("system"), str | list) and value["system"]:
        return True
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and message.get("role") in ("user", "assistant", "tool"):
            if any(isinstance(block, dict) and block.get("type") in BLOCKS for block in content):
                return True
    return False


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    messages: list[Any] = []
    if instructions := texts(value.get("system")):
        messages.append({"role": "system", "content": instructions})
    for message in items(value["messages"]):
        if not isinstance(message, dict) or not isinstance(message.get("content"), list):
            messages.append(message)
        elif message.get("role") == "assistant":
            messages.append(answer(message, noted))
        else:
            messages += asked(message, noted)
    return kept(value, messages=messages)


def answer(message: dict[str, Any], noted: Counter[str]) -> Chat:
    """An assistant message of blocks."""
    content: list[Any] = []
    calls: list[Chat] = []
    for block in message["content"]:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "tool_use":
            by_code = fields(block.get("caller")).get("type", "direct") != "direct"
            noted[BY_CODE] += by_code
            more = {"weight": 0} if by_code else {}
            calls.append(call(block.get("id"), block.get("name"), block.get("input"), **more))
        elif isinstance(kind, str) and (kind in ("server_tool_use", "mcp_tool_use") or kind.endswith("_tool_result")):
            noted[SERVER_SIDE] += 1
        elif kind == "compaction":
            noted[SUMMARIES] += 1
        elif kind not in THINKING:
            _add(content, block)
    more = {name: message[name] for name in ("weight", "usage", "action_type") if message.get(name) is not None}
    return said(content, calls, **more, **timing.kept(message, noted))


def _add(content: list[Any], block: Any) -> None:
    """A block behind others; what is cited from documents stands in blocks of its own, as a part of a sentence."""
    before = fields(content[-1]) if content else {}
    found = fields(block)
    is_text = found.get("type") == before.get("type") == "text"
    if is_text and (found.get("citations") or before.get("citations")):
        text = f"{before.get('text')}{found.get('text')}"
        content[-1] = {**before, "text": text, "citations": found.get("citations") or before.get("citations")}
    else:
        content.append(block)


def asked(message: dict[str, Any], noted: Counter[str]) -> list[Chat]:
    """A user message of blocks: its results, then its words."""
    blocks = message["content"]
    results = [block for block in objects(blocks) if block.get("type") == "tool_result"]
    rest = [_read(block) for block in blocks if block not in results]
    at = timing.kept(message, noted)
    answers = [{**result(b.get("tool_use_id"), _content(b.get("content")), b.get("is_error")), **at} for b in results]
    return [*answers, *([{**message, "content": rest}] if rest or not results else [])]


def _read(block: Any) -> Any:
    """A block that the model was given; documents and search results that hold text as text."""
    found = fields(block)
    source = fields(found.get("source"))
    if found.get("type") == "search_result":
        text = texts(found.get("content"))
    elif found.get("type") == "document" and source.get("type") in ("text", "content"):
        text = texts(source.get("data", source.get("content")))
    else:
        return block
    title = found.get("title")
    return {"type": "text", "text": f"{title}\n{text}" if isinstance(title, str) else text} if text else block


def _content(content: Any) -> Any:
    """What a tool returned; results of a search for tools hold names only."""
    if isinstance(content, list) and content and all(fields(b).get("type") == "tool_reference" for b in content):
        return ", ".join(str(block.get("tool_name")) for block in objects(content))
    return [_read(block) for block in content] if isinstance(content, list) else content
