"""Claude Code sessions: a file of lines, one a block of a message, that belong together by their session.

`joined` makes of the lines of a file one object a session (and one a side chain: a subagent's own conversation), in the
shape of Anthropic Messages, which `anthropic.py` reads on. Notes of the program itself are no messages. What it writes
to its output as a stream of JSON is the same, without what the user asked.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from specacts.traces.formats.shape import Chat, fields, items, objects

NAME = "Claude Code sessions"
KINDS = ("user", "assistant", "system", "summary", "attachment", "progress", "file-history-snapshot", "queue-operation")


NAMES = {"sessionId", "session_id", "leafUuid", "messageId", "uuid"}
HIDDEN = ("isMeta", "isSynthetic")
"""Marks of what the program says in the user's place."""


def is_line(value: Any) -> bool:
    """Whether an object is a line of a session file."""
    if not isinstance(value, dict) or "messages" in value:
        return False
    if value.get("type") in ("user", "assistant") and isinstance(value.get("message"), dict):
        return "role" in value["message"]
    return value.get("type") in KINDS and bool(NAMES & value.keys())


def joined(lines: Iterable[tuple[int, dict[str, Any]]]) -> list[tuple[int, Chat]]:
    """Of the lines of one file, with their numbers, the conversations, each with the number of its first line."""
    found: dict[tuple[str, str], tuple[int, Chat]] = {}
    seen: set[str] = set()
    for number, line in lines:
        message = line.get("message")
        if (
            line.get("type") not in ("user", "assistant")
            or not isinstance(message, dict)
            or any(line.get(n) for n in HIDDEN)
        ):
            continue
        uuid = line.get("uuid")
        if isinstance(uuid, str):
            if uuid in seen:  # a session that was resumed repeats its beginning
                continue
            seen.add(uuid)
        session = str(line.get("sessionId") or line.get("session_id") or "")
        side = (
            str(line.get("agentId") or "side") if line.get("isSidechain") else str(line.get("parent_tool_use_id") or "")
        )
        start: Chat = {"group": session, "messages": []} if session else {"messages": []}
        _, chat = found.setdefault((session, side), (number, start))
        _add(chat["messages"], message, line)
    return [entry for entry in found.values() if entry[1]["messages"]]


def _add(messages: list[Any], message: dict[str, Any], line: dict[str, Any]) -> None:
    """Blocks of one answer stand in several lines, under the answer's id."""
    before = messages[-1] if messages else {}
    key = message.get("id")
    same = key is not None and before.get("key") == key and before.get("role") == message.get("role") == "assistant"
    content = message.get("content")
    if same:
        before["content"] = [*_blocks(before.get("content")), *_blocks(content)]
        before["usage"] = fields(message.get("usage")) or before.get("usage")
        before["timestamp"] = line.get("timestamp")  # when the answer was complete
        return
    kept = {name: message[name] for name in ("role", "content", "usage") if name in message}
    messages.append({**kept, "key": key, "timestamp": line.get("timestamp")})


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else items(content)


def recognises(value: dict[str, Any]) -> bool:
    return is_line(value) or any(map(is_line, items(value.get("loglines"))[:9]))


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    """The lines of an exported session; or one line that stands alone, a conversation of one message."""
    lines = objects(value.get("loglines")) or [value]
    found = [chat for _, chat in joined(enumerate(lines, 1))]
    noted["side chains left out"] += max(0, len(found) - 1)
    return found[0] if found else {"messages": []}
