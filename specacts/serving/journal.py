"""What passed through the gateway, as lines that `specacts use FOLDER` reads: a request with its answer each.

    journal = Journal(folder, share=1.0, days=30)
    journal.write(Entry(conversation, at, request, answer, by="upstream", alone=False))     # never waits
    journal.close()                                                                          # what waits is written

Two files a day: `2026-11-26-alone.jsonl` has the conversations in which nobody but upstream acts, an unbiased sample to
learn from, `2026-11-26-shared.jsonl` the others. Earlier ones are packed, and removed after `days` days. Lines are
redacted as on import, and appended whole by one thread. What is cut short all the same (a full disk, a kill in the
middle of a write) is cut off: at once, or by the next start.

Rows of a conversation repeat its beginning; the reader keeps the longest. Only what upstream is known to have said is
learnt from them: any other message of the assistant is context, `weight: 0`, be it the cheap model's, one from before
the gateway started, or one that the agent made up. What upstream said of an action that the cheap model took (an audit)
is a row of its own, whose beginning is all context, since the conversation's own rows hold it too. If it said the very
same there is no such row: the message counts as upstream's from then on.

Beside request and response each row says under `specacts` who acted, by which policy and score, and what our own models
read and wrote.
"""

import datetime
import gzip
import hashlib
import json
import logging
import math
import operator
import os
import queue
import re
import shutil
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from specacts.core.files import compact_json
from specacts.core.seeds import draw
from specacts.serving.requests import PARTS
from specacts.traces.formats.openai_variants import without_thought
from specacts.traces.formats.shape import fields, from_text, objects, texts
from specacts.traces.redaction import redacted

QUEUED = 500
"""Rows that wait to be written; those that come while so many do are dropped."""
LONGEST = 8 * 2**20
"""Bytes of a row; a longer one is left out."""
REMEMBERED = 200_000
"""Messages of which it is known whether upstream said them."""
RECENT = 5_000
"""Actions of the cheap model that an audit may still come for."""

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One request that got an answer.

    conversation: what names it; only a digest of that is written. at: seconds since 1970. request: the body, as it
    came. answer: a whole `chat.completion`. by: who acted. alone: nobody but upstream acts in this conversation.
    policy, score, threshold, reason: how it was decided. seconds: that who acted took. usage: of our own models.
    proposal: what the cheap model would have done, where it did not act. audit: the answer was not served, it is what
    upstream said of the cheap model's last action.
    """

    conversation: str
    at: float
    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    by: Literal["cheap", "upstream"]
    alone: bool
    policy: str | None = None
    score: float | None = None
    threshold: Any = None
    reason: str | None = None
    seconds: float | None = None
    usage: Any = None
    proposal: Any = None
    audit: bool = False


class Counts(NamedTuple):
    """Rows since the start. dropped: too many waited. too_long: more than `LONGEST`. failed: could not be written."""

    written: int
    dropped: int
    too_long: int
    failed: int
    waiting: int


class Journal:
    """The folder of what passed, and the thread that writes it.

    share: of conversations, whole ones. days: how long files are kept. packed: earlier days' files are packed (gzip).
    Raises `OSError` where the folder cannot be made.
    """

    def __init__(self, folder: Path, share: float = 1.0, days: int = 30, packed: bool = True):
        self.folder, self.share, self.days, self.packed = folder, share, days, packed
        self._counts: Counter[str] = Counter()
        self._queue: queue.Queue[Entry | None] = queue.Queue(QUEUED)
        self._memory = Memory()
        self._day = ""
        self._files: dict[Path, int] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob("*.jsonl"):
            cut_torn(path)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        written, dropped, too_long, failed = map(self._counts.__getitem__, Counts._fields[:-1])
        return Counts(written, dropped, too_long, failed, waiting=self._queue.qsize())

    def write(self, entry: Entry) -> None:
        """Have a row written, if its conversation is in the share; drop it where too many wait."""
        if draw(0, "journal", entry.conversation) >= self.share:
            return
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._counts["dropped"] += 1

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits; what is not written within so many seconds is dropped."""
        try:
            self._queue.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    # -- in the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            try:
                self._append(entry)
            except Exception as error:  # the gateway goes on without its journal, whatever it was given
                self._counts["failed"] += 1
                level = logging.WARNING if self._counts["failed"] == 1 else logging.DEBUG
                log.log(level, "a row could not be written to %s: %s", self.folder, type(error).__name__)
        self._shut()

    def _append(self, entry: Entry) -> None:
        made = row(entry, self._memory)
        if made is None:
            return
        line = (compact_json(made) + "\n").encode("utf-8", "replace")
        if len(line) > LONGEST:
            self._counts["too_long"] += 1
            return
        file = self._opened(day_of(entry.at), entry.alone)
        written = os.write(file, line)
        if written < len(line):  # the disk is full
            os.ftruncate(file, os.fstat(file).st_size - written)
            raise OSError("cut short")
        self._counts["written"] += 1

    def _opened(self, day: str, alone: bool) -> int:
        """The file for a row of the day, made anew where somebody moved it or the folder away.

        With a new day the earlier ones' files are seen to.
        """
        if day > self._day:  # a row that waited over midnight goes to the latest
            self._shut()
            self._day = day
            threading.Thread(target=tidy, args=(self.folder, day, self.days, self.packed), daemon=True).start()
        path = self.folder / f"{self._day}-{'alone' if alone else 'shared'}.jsonl"
        if path in self._files and not _is_at(path, self._files[path]):
            os.close(self._files.pop(path))
        if path not in self._files:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._files[path]

    def _shut(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files = {}


def _is_at(path: Path, file: int) -> bool:
    """Whether an open file still lies there."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


# -- rows -----------------------------------------------------------------------------------------------------


class Memory:
    """Which of the assistant's messages upstream said, and what the cheap model did last; the oldest are forgotten."""

    def __init__(self) -> None:
        self._said: OrderedDict[bytes, None] = OrderedDict()
        self._acted: OrderedDict[bytes, dict[str, Any]] = OrderedDict()

    def is_upstreams(self, conversation: str, place: int, message: dict[str, Any]) -> bool:
        """Whether upstream said the message that stands at this place of the conversation."""
        return _digest(conversation, place, _told(message)) in self._said

    def note(self, entry: Entry, message: dict[str, Any]) -> None:
        """Remember an answer."""
        place = len(given_to(entry.request))
        if entry.by == "upstream":
            self._said[_digest(entry.conversation, place, _told(message))] = None
        else:
            self._acted[_digest(entry.conversation, place)] = message
        for kept, most in ((self._said, REMEMBERED), (self._acted, RECENT)):
            while len(kept) > most:
                kept.popitem(last=False)

    def confirmed(self, entry: Entry, message: dict[str, Any]) -> bool:
        """Whether an audit says the very same as the cheap model did, which is upstream's word from now on."""
        place = len(given_to(entry.request))
        acted = self._acted.pop(_digest(entry.conversation, place), None)
        if acted is None or _meaning(acted) != _meaning(message):
            return False
        self._said[_digest(entry.conversation, place, _told(acted))] = None
        return True


def row(entry: Entry, memory: Memory) -> dict[str, Any] | None:
    """The line of an entry; None where nothing was said or done. `memory` is brought up to date.

    A call whose arguments are no JSON object, as models write now and then, is context that the reader can read.
    """
    message = said_by(entry.answer)
    if message is None or is_silent(message):
        return None
    if entry.audit and memory.confirmed(entry, message):
        return None
    messages = [
        readable({**one, "weight": 0} if is_context(place, one, entry, memory) else one)
        for place, one in enumerate(given_to(entry.request))
    ]
    if not entry.audit:
        memory.note(entry, message)
    answer, said = dict(entry.answer), readable(message)
    if entry.by == "cheap":
        answer.pop("usage", None)  # it is not the agent's
        said = {**said, "weight": 0}
    first, *others = objects(answer["choices"])
    answer["choices"] = [{**first, "message": said}, *others]
    about = {
        "conversation": hashlib.blake2b(entry.conversation.encode("utf-8", "replace"), digest_size=8).hexdigest(),
        "at": datetime.datetime.fromtimestamp(entry.at, datetime.UTC).isoformat(timespec="milliseconds"),
        "by": entry.by,
        "alone": entry.alone,
        "audit": entry.audit or None,
        "policy": entry.policy,
        "score": entry.score,
        "threshold": entry.threshold,
        "reason": entry.reason,
        "usage": entry.usage,
        "seconds": entry.seconds if entry.by == "cheap" else None,
        "proposal": entry.proposal,
    }
    took = {"duration_seconds": entry.seconds} if entry.by == "upstream" and entry.seconds else {}
    made = {
        "request": {**entry.request, "messages": messages},
        "response": answer,
        **took,
        "specacts": {name: value for name, value in about.items() if value is not None},
    }
    return scrubbed(made)


def is_context(place: int, message: Any, entry: Entry, memory: Memory) -> bool:
    """Whether a message of the request is the assistant's and must not be learnt from this row."""
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return False
    return entry.audit or not memory.is_upstreams(entry.conversation, place, message)


def given_to(request: Mapping[str, Any]) -> list[Any]:
    """The messages of a request."""
    found = request.get("messages")
    return found if isinstance(found, list) else []


def said_by(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message of a whole answer."""
    choices = objects(answer.get("choices"))
    message = choices[0].get("message") if choices else None
    return message if isinstance(message, dict) else None


def is_silent(message: Mapping[str, Any]) -> bool:
    """Whether an answer says and does nothing: some models think until their tokens are used up."""
    if any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio")):
        return False
    return not without_thought(texts(message.get("content"))).strip()


def readable(message: Any) -> Any:
    """The message itself, or a copy with what the reader can make something of.

    Of images, sound and files it only reads that there was one. Where arguments of a call are no JSON object their text
    stands as `input`, and the call is context, as one of a custom tool, which takes text, is to the reader.
    """
    if not isinstance(message, dict):
        return message
    changed: dict[str, Any] = {}
    calls, parts = _calls(message), message.get("content")
    made = [_readable_call(one) for one in calls]
    if not all(map(operator.is_, made, calls)):
        changed["tool_calls"] = made
    if isinstance(parts, list) and any(map(_is_heavy, parts)):
        changed["content"] = [{"type": part["type"]} if _is_heavy(part) else part for part in parts]
    if isinstance(message.get("audio"), dict):
        changed["audio"] = {name: value for name, value in message["audio"].items() if name != "data"}
    return {**message, **changed} if changed else message


def _is_heavy(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in PARTS


def _readable_call(one: dict[str, Any]) -> dict[str, Any]:
    function = one.get("function")
    given = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(given, str) or not given.strip() or isinstance(from_text(given), dict):
        return one
    return {**one, "weight": 0, "function": {**fields(function), "arguments": compact_json({"input": given})}}


def scrubbed(value: dict[str, Any]) -> Any:
    """A row without secrets, and without numbers that JSON does not know."""
    return redacted(_plain(value), Counter())


def _plain(value: Any) -> Any:
    """`value` with arguments of calls redacted as what they say, so that they stay JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _arguments(item) if name == "arguments" else _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _arguments(value: Any) -> Any:
    if not isinstance(value, str):
        return _plain(value)
    given = from_text(value)
    clean = redacted(given, Counter())
    return value if clean is given else json.dumps(clean, ensure_ascii=False)


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return objects(message.get("tool_calls"))


def _meaning(message: Mapping[str, Any]) -> Any:
    """What a message says and does, its calls' ids aside."""
    made = [fields(one.get("function")) for one in _calls(message)]
    calls = [(one.get("name"), compact_json(from_text(one.get("arguments")) or {})) for one in made]
    return texts(message.get("content")) or texts(message.get("refusal")), calls


def _told(message: Mapping[str, Any]) -> Any:
    """What a message is known again by: its calls' ids, or what it says."""
    keys = [one.get("id") for one in _calls(message)]
    return keys if keys and all(keys) else _meaning(message)


def _digest(*parts: Any) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "replace"), digest_size=12).digest()


LINES = re.compile("\r\n|\r|\n")
"""What ends a line of server-sent events; other characters that Python takes for an end may stand inside one."""


def joined(pieces: Iterable[bytes]) -> dict[str, Any] | None:
    """A streamed answer as a whole one; None where it broke off, or is none.

    pieces: of the stream of server-sent events, cut anywhere.
    """
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for line in LINES.split(b"".join(pieces).decode("utf-8", "replace")):
        if not line.startswith("data:"):
            continue
        piece = fields(line.removeprefix("data:").strip())
        whole |= {
            name: value for name, value in piece.items() if name not in ("choices", "object") and value is not None
        }
        for one in objects(piece.get("choices")):
            choice = choices.setdefault(one.get("index") or 0, {"message": {"role": "assistant", "content": None}})
            _add(choice["message"], fields(one.get("delta")))
            if one.get("finish_reason"):
                choice["finish_reason"] = one["finish_reason"]
    if not choices or not all("finish_reason" in choice for choice in choices.values()):
        return None
    listed = [{"index": index, **_listed(choice)} for index, choice in sorted(choices.items())]
    return {**whole, "object": "chat.completion", "choices": listed}


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Go on with a message. Its calls stand in an object by their index until it is whole."""
    for name in ("content", "refusal"):
        if isinstance(delta.get(name), str):
            message[name] = (message.get(name) or "") + delta[name]
    if isinstance(delta.get("function_call"), dict):  # of the older interface
        _go_on(message.setdefault("function_call", {"name": "", "arguments": ""}), delta["function_call"])
    for number, piece in enumerate(objects(delta.get("tool_calls"))):
        calls = message.setdefault("tool_calls", {})
        kind, field = ("custom", "input") if "custom" in (piece.get("type"), *piece) else ("function", "arguments")
        call = calls.setdefault(piece.get("index", number), {"id": None, "type": kind, kind: {"name": "", field: ""}})
        call["id"] = piece.get("id") or call["id"]
        _go_on(call.get(kind, {}), fields(piece.get(kind)))


def _go_on(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Go on with the texts that a call consists of."""
    for name, text in piece.items():
        if name in call and isinstance(text, str):
            call[name] += text


def _listed(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    if "tool_calls" in message:
        message = {**message, "tool_calls": [call for _, call in sorted(message["tool_calls"].items())]}
    return {**choice, "message": message}


# -- files ----------------------------------------------------------------------------------------------------


def day_of(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date().isoformat()


def cut_torn(path: Path) -> None:
    """Cut off a last line that was never finished."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        kept = end
        while kept > 0:
            start = max(0, kept - 2**16)
            file.seek(start)
            found = file.read(kept - start).rfind(b"\n")
            if found >= 0:
                kept = start + found + 1
                break
            kept = start
        if kept < end:
            file.truncate(kept)


def tidy(folder: Path, today: str, days: int, packed: bool) -> None:
    """Remove files that are older than so many days, and pack those of earlier days."""
    last = (datetime.date.fromisoformat(today) - datetime.timedelta(days=days)).isoformat()
    for path in sorted(folder.glob("????-??-??-*.jsonl*")):
        day = path.name[:10]
        try:
            if day <= last or path.name.endswith(".part"):
                path.unlink(missing_ok=True)
            elif packed and day < today and path.suffix == ".jsonl":
                pack(path)
        except OSError as error:  # a full disk: it stays as it is, until the next day or start
            log.warning("%s could not be packed or removed: %s", path, error.strerror)


def pack(path: Path) -> None:
    """Replace a file by itself, packed; a start in between finds the one or both, never half of one."""
    part = path.with_name(f"{path.name}.gz.part")
    try:
        made = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with path.open("rb") as given, os.fdopen(made, "wb") as file:
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                shutil.copyfileobj(given, packed)
        os.replace(part, path.with_name(f"{path.name}.gz"))
    except OSError:
        part.unlink(missing_ok=True)
        raise
    path.unlink()
