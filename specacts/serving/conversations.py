"""Which conversation a request belongs to, though clients say nothing of it, and what was remembered of its course.

    conversations = Conversations()
    place = conversations.place(messages, given="")       # "" unless the client names its conversation
    place.name, place.said, place.offered, place.earlier
    conversations.answered(place, message, kind="final_answer", score=0.91)

Every request repeats the whole conversation. A digest goes along its messages, and what is known is noted under the
digest of the message it is about: what the tools were when the user said it, and of an answer whose conversation it
went on, which action type it had, and with which score. So a conversation is found again by what was said in it, for
as long as there is room (the least recently used is forgotten first). Standing instructions are left out of it: many
agents write the time into theirs.

Two conversations that are the same word for word are one until they part, unless their clients name them.
"""

import hashlib
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from specacts.core.words import ActionType

MOST = 50_000
"""Messages that something is remembered of."""
NAME = re.compile(r"[\w.:@/+=-]{1,128}", re.ASCII)
"""Names of conversations that are taken as they are; others are shown by their digest."""


class Note(NamedTuple):
    """What is known of a message: the conversation it was an answer in, its action type and score; tools then."""

    conversation: str = ""
    kind: ActionType | None = None
    score: float | None = None
    tools: tuple[str, ...] | None = None


class Place(NamedTuple):
    """Where a request stands.

    name: of the conversation. origin: what all requests of a conversation have in common, also where nothing is
    remembered. digests: after each message. said: types of what the agent said, by the number of the message. turns:
    how often the user spoke. offered: the tools on offer when that was, by its number. earlier: scores of the decisions
    since the user's latest message; None where one is not known.
    """

    name: str
    origin: str
    digests: tuple[bytes, ...]
    said: Mapping[int, ActionType]
    turns: int
    offered: Mapping[int, tuple[str, ...]]
    earlier: tuple[float | None, ...]

    def draw(self) -> float:
        """A number in [0, 1), the same for the whole conversation."""
        return int.from_bytes(_digest(b"", f"share {self.origin}")[:7], "big") / 2**56


class Conversations:
    """What is remembered, the least recently used first."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.notes: OrderedDict[bytes, Note] = OrderedDict()

    def place(self, messages: Sequence[Any], given: str = "") -> Place:
        """Where a request with these messages stands. given: the conversation's name, if the client says one."""
        given = named(given)
        digests = digests_of(messages, given.encode())
        notes = [self._note(digest) for digest in digests]
        roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
        answers = [n for n, role in enumerate(roles) if role == "assistant" and _says(messages[n])]
        asked = [n for n, role in enumerate(roles) if role == "user"]
        origin = given or _origin(messages, digests, asked)
        known = next((notes[n].conversation for n in reversed(answers) if notes[n].conversation), "")
        return Place(
            name=given or known or f"{origin}-{secrets.token_hex(3)}",
            origin=origin,
            digests=digests,
            said={n: kind for n in answers if (kind := notes[n].kind)},
            turns=len(asked),
            offered={turn: tools for turn, n in enumerate(asked) if (tools := notes[n].tools) is not None},
            earlier=tuple(notes[n].score for n in answers if not asked or n > asked[-1]),
        )

    def asked(self, place: Place, tools: tuple[str, ...]) -> None:
        """Note which tools are on offer as the user speaks: at the first request behind it."""
        if place.digests and not place.earlier:
            self._keep(place.digests[-1], Note(place.name, tools=tools))

    def answered(self, place: Place, message: Mapping[str, Any], kind: ActionType | None, score: float | None) -> None:
        """Note an answer. kind: its action type where it is known. score: None where nothing was decided by one."""
        before = place.digests[-1] if place.digests else b""
        self._keep(digest_of(before, message), Note(place.name, kind, score))

    def _note(self, digest: bytes) -> Note:
        if digest not in self.notes:
            return NOTHING
        self.notes.move_to_end(digest)
        return self.notes[digest]

    def _keep(self, digest: bytes, note: Note) -> None:
        self.notes[digest] = note
        self.notes.move_to_end(digest)
        while len(self.notes) > self.most:
            self.notes.popitem(last=False)


NOTHING = Note()


def named(given: str) -> str:
    """The name that a client gives its conversation: in characters that a header and a log can hold."""
    return given if not given or NAME.fullmatch(given) else f"named-{_digest(b'', given).hex()[:12]}"


def _origin(messages: Sequence[Any], digests: Sequence[bytes], asked: Sequence[int]) -> str:
    """What a conversation begins with: up to the user's first words; without any, its standing instructions."""
    if asked:
        return digests[asked[0]].hex()[:12]
    return _digest(b"", json.dumps([_content(m) for m in messages if isinstance(m, dict)])).hex()[:12]


# -- digests --------------------------------------------------------------------------------------------------


def digests_of(messages: Sequence[Any], digest: bytes = b"") -> tuple[bytes, ...]:
    """The digest of the conversation after each message. digest: what it begins with."""
    found: list[bytes] = []
    for message in messages:
        digest = digest_of(digest, message)
        found.append(digest)
    return tuple(found)


def digest_of(before: bytes, message: Any) -> bytes:
    """The digest behind a message; standing instructions, and answers that say nothing, leave it as it is.

    Ids of calls, spaces around texts and how arguments are written out make no difference: clients change them.
    """
    if not isinstance(message, Mapping) or message.get("role") in ("system", "developer"):
        return before
    if message.get("role") == "assistant" and not _says(message):
        return before
    calls = message.get("tool_calls")
    made = [_call(call) for call in calls] if isinstance(calls, list) else []
    return _digest(before, json.dumps([str(message.get("role")), _content(message), made], sort_keys=True))


def _digest(before: bytes, text: str) -> bytes:
    return hashlib.blake2b(before + text.encode("utf-8", "replace"), digest_size=16).digest()


def _says(message: Mapping[str, Any]) -> bool:
    """Whether an assistant's message says or does anything."""
    return bool(message.get("tool_calls") or message.get("function_call") or _content(message))


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content") or message.get("refusal")
    if isinstance(content, str):
        return content.strip()
    if not isinstance(content, list):
        return "" if content is None else json.dumps(content, sort_keys=True)
    parts = [part["text"] if isinstance(part, dict) and isinstance(part.get("text"), str) else part for part in content]
    return "\n".join(part if isinstance(part, str) else json.dumps(part, sort_keys=True) for part in parts).strip()


def _call(call: Any) -> Any:
    """A call's name and arguments, which are JSON text or whatever stands there."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    try:
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        pass
    return [function.get("name"), arguments]
