"""Files of conversations to typed, redacted conversations, one by one, with the reasons where that fails.

    reader = Reader(types, keep_secrets=False)
    for found in reader.read(place): ...        # what a file holds, then conversations, and what became of the others
    reader.secrets                              # how many of each kind were redacted

Files are opened and cut into records by `stream.py`, a record is understood by `formats/`. Of much input both cores are
used: batches of records go to worker processes and come back in their order, never more than a few at a time.
"""

import gc
import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

from specacts.core.episodes import Act
from specacts.core.errors import UserError
from specacts.traces.formats import claude_code
from specacts.traces.formats.chains import Chains, link
from specacts.traces.formats.detect import Unsupported, as_chat
from specacts.traces.formats.openai_chat import (
    Conversation,
    Invalid,
    Problem,
    Toolsets,
    clean,
    decode,
    read_conversation,
)
from specacts.traces.formats.unsupported import code_calls
from specacts.traces.redaction import redact, redact_text, redacted
from specacts.traces.stream import Place, Progress, Record, find_files, records, size
from specacts.traces.tool_types import TypeMap
from specacts.traces.usage import NOTHING, Taken, taken, together

SHOWN = 20
"""Problems that are printed before the rest is only counted."""
FIRST = 5
"""Records of a file that decide what it holds."""
OPEN_CHARACTERS = 32 * 2**20
"""Characters of conversations that wait whether a later row goes on with them: rows of one session stand near by."""
OBJECTS = 8
"""How many times the room of its text a `Conversation` takes."""
BATCH = 2**19
"""Characters that a worker gets at once."""
WORTH_WORKERS = 4 * 2**20
"""Bytes of input from which on starting workers pays."""


class Reject(NamedTuple):
    """A line or row that is no conversation: where it stands, everything that is wrong, and what it holds.

    quiet: the same was said of an earlier one in the file, and need not be printed again.
    """

    where: str
    problems: list[Problem]
    shown: str
    quiet: bool = False

    def lines(self) -> list[str]:
        return [f"{self.where}: {problem.field}: {problem.what}" for problem in self.problems]

    def printed(self) -> list[str]:
        return [] if self.quiet else self.lines()


class Duplicate(NamedTuple):
    """A conversation that was there before, the same in every character."""

    where: str


class Continued(NamedTuple):
    """The beginning of a conversation that a later row holds in full, as logs of single calls have it."""

    where: str


class Source(NamedTuple):
    """What a file holds, by its first objects; `also`: in what other formats some of its later objects are."""

    file: str
    what: str
    also: bool = False


Read = Source | Conversation | Reject | Duplicate | Continued


class Prepared(NamedTuple):
    """What `prepare` made of a conversation, in its place. took: of its first actions, from rows it goes on with."""

    value: Any
    took: Taken = ()


Prepare = Callable[[Conversation], Any]
"""Done with each conversation where it was read; its result has to be small, it may come from another process."""


class _Outcome(NamedTuple):
    """What became of a record by itself, without a look at others."""

    file: str
    where: str
    size: int = 0
    value: Any = None
    id: str = ""
    name: bytes = b""  # tells a conversation from others: its id, or all of it
    digest: bytes = b""
    history: tuple[int, ...] = ()
    format: str = ""
    took: Taken = ()  # of its actions, if anything is known
    before: Taken = ()  # of its first actions, as the rows say that it goes on with
    reject: Reject | None = None
    unsupported: str = ""


class _Understanding:
    """What turns records into conversations: the same in this process and in a worker."""

    def __init__(self, types: TypeMap, keep_secrets: bool, root: Path, prepare: Prepare | None):
        self.types, self.keep_secrets, self.root, self.prepare = types, keep_secrets, root, prepare
        self.secrets: Counter[str] = Counter()
        self.toolsets: Toolsets = {}

    def scrub(self, value: Any) -> Any:
        return value if self.keep_secrets else redacted(value, self.secrets)

    def of(self, record: Record) -> _Outcome:
        try:
            return self._conversation(record)
        except Invalid as error:
            problems = [self._shown(problem) for problem in error.problems]
            reject = Reject(record.where, problems, self._text_of(record))
            return _Outcome(record.file, record.where, reject=reject)
        except Unsupported as error:
            reject = Reject(record.where, [Problem("(line)", str(error))], self._text_of(record))
            return _Outcome(record.file, record.where, reject=reject, unsupported=error.what.name)

    def _conversation(self, record: Record) -> _Outcome:
        value = value_of(record)
        format, chat, noted = as_chat(value)
        try:
            found = read_conversation(chat, self.types, self.scrub, self.toolsets)
        except Invalid as error:
            if what := code_calls(chat):
                raise Unsupported(what) from error
            raise
        found.normalised.update(noted)
        content = record.text if record.text is not None else json.dumps(value, sort_keys=True)
        digest = hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=8).digest()
        given = found.episode.id
        name = hashlib.blake2b(given.encode(), digest_size=8).digest() if given else digest
        if not given:
            found = found._replace(episode=found.episode.model_copy(update={"id": self._place(record)}))
        made = self.prepare(found) if self.prepare else found
        took = taken(found.episode)
        return _Outcome(record.file, record.where, len(content), made, given, name, digest, found.history, format, took)

    def _place(self, record: Record) -> str:
        file = Path(record.file)
        return f"{file.relative_to(self.root) if self.root in file.parents else file.name}:{record.number}"

    def _shown(self, problem: Problem) -> Problem:
        """A problem as it can be printed: in one line, and with no secret in what was found."""
        what = " ".join(self._safe(problem.what).split())
        if len(what) > 200:  # cut when the secrets are out: half of one is hard to recognise
            what = f"{what[:200]} ..."
        return Problem(" ".join(self._safe(problem.field)[:200].split()), what)

    def _safe(self, text: str) -> str:
        return text if self.keep_secrets else redact_text(text).value

    def _text_of(self, record: Record) -> str:
        """What a rejected line holds, without its secrets; of a table's row its JSON."""
        if record.value is not None:
            safe = record.value if self.keep_secrets else redact(record.value).value
            return json.dumps(safe, ensure_ascii=False, default=str)
        return self._safe(record.text if record.text is not None else record.shown)


def value_of(record: Record) -> Any:
    """The object in a record. Raises `Invalid`."""
    if record.problem is not None:
        raise Invalid([Problem("(line)", record.problem)])
    value = decode(record.text) if record.text is not None else clean(record.value)
    if record.around and isinstance(value, dict):
        return {**record.around, **value}
    return value


class Reader:
    """Conversations of a place, one after another; secrets are redacted and counted on the way.

    workers: processes that read; 0 for none but this one, None for as many as pay.
    """

    def __init__(self, types: TypeMap, keep_secrets: bool, workers: int | None = None):
        self.types, self.keep_secrets, self.workers = types, keep_secrets, workers
        self.secrets: Counter[str] = Counter()
        self.seen: dict[bytes, tuple[bytes, str]] = {}
        self.split = 0
        """Conversations that go on with one that was given out already, since other rows stood between them."""
        self._ended: set[int] = set()
        self._formats: dict[str, set[str]] = {}
        self._refused: set[tuple[str, str]] = set()

    def read(self, place: Place, progress: Progress = lambda count: None) -> Iterator[Read]:
        """Every conversation. Raises `UserError` where there is no file."""
        return self._read(place, None, progress)

    def prepared(self, place: Place, prepare: Prepare, progress: Progress = lambda count: None) -> Iterator[Any]:
        """The same with a `Prepared` in the place of every conversation, made where it was read.

        prepare: a function that other processes can import, or a `partial` of one.
        """
        return self._read(place, prepare, progress)

    def _read(self, place: Place, prepare: Prepare | None, progress: Progress) -> Iterator[Any]:
        root = Path(place.path) if Path(place.path).is_dir() else Path(place.path).parent
        files = find_files(place)
        here = _Understanding(self.types, self.keep_secrets, root, prepare)
        settings = (self.types, self.keep_secrets, root, prepare)
        workers = self._workers(files)
        items = self._records(files, here, progress)
        outcomes = _elsewhere(items, settings, workers, self.secrets) if workers else map(_here(here), items)
        most = OPEN_CHARACTERS if prepare else OPEN_CHARACTERS // OBJECTS
        for found in self._without_beginnings(self._checked(outcomes), most):
            if not isinstance(found, _Outcome):
                yield found
            elif prepare:
                yield Prepared(found.value, together(found.before, found.took) if found.before else ())
            else:
                yield _with_took(found.value, found.before, found.took)
        self.secrets.update(here.secrets)

    def _workers(self, files: list[Path]) -> int:
        if self.workers is not None:
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, 8) if cores > 1 and size(files) >= WORTH_WORKERS else 0

    def _records(self, files: list[Path], here: _Understanding, progress: Progress) -> Iterator[Any]:
        """The records of each file behind what it holds; of one that is known and not read, a reject alone.

        A member of an archive is a file of its own.
        """
        for file in files:
            for name, rows in groupby(records([file], progress), key=lambda record: record.file):
                is_read = yield from self._of_one(name, rows, here)
                if not is_read and name == str(file):
                    break  # without a look at the rest of it

    def _of_one(self, name: str, rows: Iterator[Record], here: _Understanding) -> Generator[Any, None, bool]:
        """The records of one file behind what it holds, or a reject; returns whether it is read."""
        first = list(islice(rows, FIRST))
        rows = chain(first, rows)
        if any(map(_is_part, first)):
            yield Source(name, claude_code.NAME)
            yield from _joined(rows)
            return True
        formats, refused = _formats(first)
        if refused:
            yield Reject(name, [Problem("(file)", refused)], here._text_of(first[0]))
            return False
        if any(map(_is_link, first)):
            rows = _chained(rows)
        self._formats[name] = set(formats)
        if formats:
            yield Source(name, " and ".join(formats))
        yield from rows
        return True

    def _checked(self, outcomes: Iterable[Any]) -> Iterator[Any]:
        """Without what was there before; ids that name two conversations are a problem."""
        later: dict[str, Counter[str]] = {}
        for found in outcomes:
            if not isinstance(found, _Outcome):
                yield found
            elif found.reject:
                key = (found.file, found.unsupported)
                yield found.reject._replace(quiet=bool(found.unsupported) and key in self._refused)
                self._refused.add(key)
            else:
                if found.format not in self._formats.get(found.file, {found.format}):
                    later.setdefault(found.file, Counter())[found.format] += 1
                before, where = self.seen.setdefault(found.name, (found.digest, found.where))
                if where == found.where:
                    yield found
                elif before == found.digest:
                    yield Duplicate(found.where)
                else:
                    what = f"{found.id!r} is also at {where}, with other content"
                    yield Reject(found.where, [Problem("id", what)], "")
        for file, formats in later.items():
            yield Source(file, " and ".join(f"{name} ({count:,})" for name, count in formats.items()), also=True)

    def _without_beginnings(self, outcomes: Iterable[Any], most: int) -> Iterator[Any]:
        """Every conversation waits a while whether a later row goes on with it, which then stands for both.

        most: characters that may wait. What went out before is not called back; that it was gone on with is counted.
        """
        waiting: OrderedDict[int, _Outcome] = OrderedDict()
        ends: dict[int, int] = {}  # by the digest of all that was said the place in `waiting`
        held = 0
        for place, found in enumerate(outcomes):
            if not isinstance(found, _Outcome):
                yield found
                continue
            for said in found.history[:-1]:
                if (before := ends.get(said)) is not None and not (waiting[before].id and found.id):
                    del ends[said]
                    beginning = waiting.pop(before)
                    held -= beginning.size
                    found = found._replace(before=together(beginning.before, beginning.took))
                    yield Continued(beginning.where)
                elif said in self._ended and not found.id:
                    self.split += 1
            waiting[place] = found
            ends[found.history[-1]] = place
            held += found.size
            while held > most:
                place, first = waiting.popitem(last=False)
                held -= first.size
                if ends.get(first.history[-1]) == place:
                    del ends[first.history[-1]]
                if not first.id:
                    self._ended.add(first.history[-1])
                yield first
        yield from waiting.values()


def _with_took(found: Conversation, before: Taken, took: Taken) -> Conversation:
    if not before:
        return found
    known = iter(together(before, took))
    steps = (
        step.model_copy(update=next(known, (False, NOTHING))[1].known()) if isinstance(step, Act) else step
        for step in found.episode.steps
    )
    return found._replace(episode=found.episode.model_copy(update={"steps": tuple(steps)}))


def _formats(first: list[Record]) -> tuple[list[str], str]:
    """The formats of a file's first records, and why the file is refused, if none of them is in one that is read."""
    formats: dict[str, None] = {}
    refused = ""
    for record in first:
        try:
            found = as_chat(value_of(record))
            if what := code_calls(found.chat):
                raise Unsupported(what)
            formats.setdefault(found.format)
        except Unsupported as error:
            refused = refused or str(error)
        except Invalid:
            formats.setdefault("")
    named = [name for name in formats if name]
    return named, "" if formats else refused


def _is_part(record: Record) -> bool:
    """Whether a record is a line of a conversation, and not one."""
    try:
        return claude_code.is_line(value_of(record))
    except Invalid:
        return False


def _is_link(record: Record) -> bool:
    """Whether a record may be a part of a conversation whose beginning stands in another one."""
    try:
        return link(value_of(record)) is not None
    except Invalid:
        return False


def _chained(rows: Iterable[Record]) -> Iterator[Record]:
    """Rows that go on from an earlier one with what was said before them, as far as the file holds it."""
    chains = Chains()
    for record in rows:
        try:
            value = value_of(record)
        except Invalid:
            yield record
            continue
        whole = chains.whole(value)
        yield record if whole is value else record._replace(text=None, value=whole, around=None)


def _joined(rows: Iterable[Record]) -> Iterator[Record]:
    """Lines that are parts of conversations as the conversations; what is no such line as it is."""
    lines: list[tuple[int, dict[str, Any]]] = []
    file = ""
    for record in rows:
        file = record.file
        try:
            value = value_of(record)
        except Invalid:
            yield record
            continue
        if claude_code.is_line(value):
            lines.append((record.number, value))
        elif isinstance(value, dict) and "type" in value and "messages" not in value:
            continue  # a note of the program, of a kind that came later
        else:
            yield record
    for number, chat in claude_code.joined(lines):
        yield Record(file, number, value=chat)


def _here(understanding: _Understanding) -> Callable[[Any], Any]:
    return lambda item: understanding.of(item) if isinstance(item, Record) else item


# -- in other processes ---------------------------------------------------------------------------------------

_worker: _Understanding | None = None


def _start(types: TypeMap, keep_secrets: bool, root: Path, prepare: Prepare | None) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that gives out batches ends this one
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # conversations hold no cycles: looking for some takes a twentieth of the time
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Understanding(types, keep_secrets, root, prepare)


def _end_with_parent() -> None:
    """Wait until the process that gives out batches is gone. The fork server lives as long as a worker does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _understood(batch: list[Record]) -> tuple[list[_Outcome], Counter[str]]:
    """What became of a batch of records, and the secrets that were found in it."""
    assert _worker is not None
    _worker.secrets = Counter()
    return [_worker.of(record) for record in batch], _worker.secrets


def _elsewhere(items: Iterable[Any], settings: Any, workers: int, secrets: Counter[str]) -> Iterator[Any]:
    """The outcomes of records in their order, and between them what is no record; a few batches are on their way."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(["specacts.traces.ingest"])  # imported once for all
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=settings)
    pending: deque[Any] = deque()
    try:
        for batch in _batches(items):
            pending.append(pool.submit(_understood, batch) if isinstance(batch, list) else batch)
            while len(pending) > 2 * workers + 1:
                yield from _done(pending.popleft(), secrets)
        while pending:
            yield from _done(pending.popleft(), secrets)
    except BrokenProcessPool as error:
        raise UserError("a process that read conversations was killed; is there too little memory?") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _done(item: Any, secrets: Counter[str]) -> Iterable[Any]:
    if not isinstance(item, Future):
        return [item]
    outcomes, found = item.result()
    secrets.update(found)
    return outcomes


def _batches(items: Iterable[Any]) -> Iterator[Any]:
    """Lists of records, and single items of every other kind."""
    batch: list[Record] = []
    characters = 0
    for item in items:
        if isinstance(item, Record):
            batch.append(item)
            characters += len(item.text or "") or 10_000
        if batch and (characters >= BATCH or not isinstance(item, Record)):
            yield batch
            batch, characters = [], 0
        if not isinstance(item, Record):
            yield item
    if batch:
        yield batch
