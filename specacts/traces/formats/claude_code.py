"""Claude Code sessions: a file of lines, one a block of a message, that belong together by their session.

`joined` makes of the lines of a file one object a session (and one a side chain: a subagent's own conversation), in the
shape of Anthropic Messages, which `anthropic.py` reads on. Blocks of one answer are one message, wherever results stand
between them: a tool runs while the answer is still written. Where the user went back and asked something else, what was
said before is one conversation, and what was said then another, whose common beginning is context. Notes of the program
itself are no messages, and neither are the errors and summaries that it writes in the agent's place. What it writes to
its output as a stream of JSON is the same, without what the user asked.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from specacts.traces.formats.shape import Chat, fields, items, objects
from specacts.traces.formats.unsupported import Named, Unsupported

NAME = "Claude Code sessions"
KINDS = ("user", "assistant", "system", "summary", "attachment", "progress", "file-history-snapshot", "queue-operation")


NAMES = {"sessionId", "session_id", "leafUuid", "messageId", "uuid"}
OTHERS = frozenset("role content input output inputs outputs request response body steps items events traj".split())
"""Fields of other products' records: what has one of these beside a session and a type is no note of this program."""
HIDDEN = ("isMeta", "isSynthetic", "isApiErrorMessage")
"""Marks of what the program says in the user's place, or in the agent's."""
SYNTHETIC = "<synthetic>"
"""The model of what the program says in the agent's place."""
COMPACTION = "acompact"
"""How the names of side chains begin in which the program has a session summed up."""
ALONE = Unsupported(
    Named("lines of a Claude Code session behind something else", "put what is no session into a file of its own")
)


def is_line(value: Any) -> bool:
    """Whether an object is a line of a session file; of notes new kinds come with every version."""
    if not isinstance(value, dict) or "messages" in value:
        return False
    if value.get("type") in ("user", "assistant") and isinstance(value.get("message"), dict):
        return "role" in value["message"]
    if value.get("type") in KINDS:
        return bool(NAMES & value.keys())
    return isinstance(value.get("type"), str) and "sessionId" in value and OTHERS.isdisjoint(value)


def joined(lines: Iterable[tuple[int, dict[str, Any]]]) -> list[tuple[int, Chat]]:
    """Of the lines of one file, with their numbers, the conversations, each with the number of its first line."""
    return [(one.number, one.chat()) for one in _conversations(lines)]


class _Conversation:
    """A conversation on its way. side: of which side chain, "" for none. number: of its first line."""

    def __init__(self, session: str, side: str, number: int, messages: list[Chat]):
        self.session, self.side, self.number, self.messages = session, side, number, messages
        self.answers: dict[str, Chat] = {}  # by the answer's id
        self.ends: dict[str, int] = {}  # by a line's uuid how many messages there were behind it

    def chat(self) -> Chat:
        return {**({"group": self.session} if self.session else {}), "messages": self.messages}

    def add(self, message: dict[str, Any], line: dict[str, Any]) -> None:
        """Blocks of one answer stand in several lines, under the answer's id."""
        content = message.get("content")
        key = str(message["id"]) if message["role"] == "assistant" and message.get("id") is not None else ""
        if key and (before := self.answers.get(key)) is not None:
            before["content"] = [*_blocks(before.get("content")), *_blocks(content)]
            before["usage"] = fields(message.get("usage")) or before.get("usage")
            before["timestamp"] = line.get("timestamp")  # when the answer was complete
            return
        kept: Chat = {name: message[name] for name in ("role", "content", "usage") if name in message}
        self.messages.append({**kept, "timestamp": line.get("timestamp")})
        if key:
            self.answers[key] = self.messages[-1]

    def back(self, line: dict[str, Any]) -> int | None:
        """How many messages the user's line goes on from, if the agent has said more since then; else None."""
        parent = line.get("parentUuid", "")
        end = 0 if parent is None else self.ends.get(str(parent), len(self.messages))
        return end if any(message["role"] == "assistant" for message in self.messages[end:]) else None


def _conversations(lines: Iterable[tuple[int, dict[str, Any]]]) -> list[_Conversation]:
    found: list[_Conversation] = []
    current: dict[tuple[str, str], _Conversation] = {}
    seen: set[str] = set()
    for number, line in lines:
        uuid = line.get("uuid")
        if isinstance(uuid, str):
            if uuid in seen:  # a session that was resumed repeats its beginning
                continue
            seen.add(uuid)
        session = str(line.get("sessionId") or line.get("session_id") or "")
        side = (
            str(line.get("agentId") or "side") if line.get("isSidechain") else str(line.get("parent_tool_use_id") or "")
        )
        one = current.get((session, side))
        message = None if side.startswith(COMPACTION) else _message(line)
        if message is not None:
            back = one.back(line) if one is not None and _is_typed(message) else None
            if one is None or back is not None:
                begun = one.messages[:back] if one is not None else []
                begun = [{**m, "weight": 0} if m["role"] == "assistant" else m for m in begun]
                ends = one.ends if one is not None else {}
                one = current[session, side] = _Conversation(session, side, number, begun)
                one.ends = {name: end for name, end in ends.items() if end <= len(begun)}
                found.append(one)
            one.add(message, line)
        if one is not None and isinstance(uuid, str):
            one.ends[uuid] = len(one.messages)
    return found


def _message(line: dict[str, Any]) -> dict[str, Any] | None:
    """The message that a line holds, if it is the user's, the agent's or a tool's."""
    if any(line.get(name) for name in HIDDEN):
        return None
    if line.get("type") == "attachment":  # what the user asked while the agent was at work
        given = fields(line.get("attachment"))
        is_asked = given.get("type") == "queued_command" and given.get("commandMode", "prompt") == "prompt"
        return {"role": "user", "content": given.get("prompt")} if is_asked and given.get("prompt") else None
    message = line.get("message")
    if line.get("type") not in ("user", "assistant") or not isinstance(message, dict) or "role" not in message:
        return None
    return None if message.get("model") == SYNTHETIC else message


def _is_typed(message: dict[str, Any]) -> bool:
    """Whether a message is the user's own, and no result."""
    blocks = objects(message.get("content")) if isinstance(message.get("content"), list) else []
    return message["role"] == "user" and all(block.get("type") != "tool_result" for block in blocks)


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else items(content)


def recognises(value: dict[str, Any]) -> bool:
    return is_line(value) or any(map(is_line, items(value.get("loglines"))[:9]))


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    """The lines of an exported session; where the user went back, what was said last."""
    lines = objects(value.get("loglines"))
    if not lines:
        raise ALONE
    found = _conversations(enumerate(lines, 1))
    main = [one for one in found if (one.session, one.side) == (found[0].session, found[0].side)]
    noted["side chains left out"] += len(found) - len(main)
    noted["branches that the user went back from left out"] += max(0, len(main) - 1)
    return main[-1].chat() if main else {"messages": []}
