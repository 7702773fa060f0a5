"""Files of conversations to typed, redacted conversations, one by one, with the reasons where that fails.

    reader = Reader(types, keep_secrets=False)
    for found in reader.read(place): ...        # a Conversation, a Reject or a Duplicate
    reader.secrets                              # how many of each kind were redacted

Files are opened and cut into lines by `stream.py`, a line is understood by a module of `formats/`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from specacts.traces.formats.openai_chat import (
    Conversation,
    Invalid,
    Problem,
    Toolsets,
    clean,
    decode,
    read_conversation,
)
from specacts.traces.redaction import redact, redact_text
from specacts.traces.stream import Place, Progress, Record, find_files, records
from specacts.traces.tool_types import TypeMap

SHOWN = 20
"""Problems that are printed before the rest is only counted."""


class Reject(NamedTuple):
    """A line or row that is no conversation: where it stands, everything that is wrong, and what it holds."""

    where: str
    problems: list[Problem]
    shown: str

    def lines(self) -> list[str]:
        return [f"{self.where}: {problem.field}: {problem.what}" for problem in self.problems]


class Duplicate(NamedTuple):
    """A conversation that was there before, the same in every character."""

    where: str


Read = Conversation | Reject | Duplicate


class Reader:
    """Conversations of a place, one after another; secrets are redacted and counted on the way."""

    def __init__(self, types: TypeMap, keep_secrets: bool):
        self.types, self.keep_secrets = types, keep_secrets
        self.secrets: Counter[str] = Counter()
        self.seen: dict[bytes, tuple[bytes, str]] = {}
        self.toolsets: Toolsets = {}

    def scrub(self, value: Any) -> Any:
        if self.keep_secrets:
            return value
        found = redact(value)
        if found.found:
            self.secrets.update(found.found)
        return found.value

    def read(self, place: Place, progress: Progress = lambda count: None) -> Iterator[Read]:
        """Every conversation. Raises `UserError` where there is no file."""
        root = Path(place.path) if Path(place.path).is_dir() else Path(place.path).parent
        for record in records(find_files(place), progress):
            try:
                yield self._conversation(record, root)
            except Invalid as error:
                problems = [self._shown(problem) for problem in error.problems]
                yield Reject(record.where, problems, self._text_of(record))

    def _conversation(self, record: Record, root: Path) -> Conversation | Duplicate:
        if record.problem is not None:
            raise Invalid([Problem("(line)", record.problem)])
        value = decode(record.text) if record.text is not None else clean(record.value)
        found = read_conversation(value, self.types, self.scrub, self.toolsets)
        content = record.text if record.text is not None else json.dumps(value, sort_keys=True)
        digest = hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=8).digest()
        name = hashlib.blake2b(found.episode.id.encode(), digest_size=8).digest() if found.episode.id else digest
        before, where = self.seen.setdefault(name, (digest, record.where))
        if where != record.where:
            if before == digest:
                return Duplicate(record.where)
            raise Invalid([Problem("id", f"{found.episode.id!r} is also at {where}, with other content")])
        if found.episode.id:
            return found
        file = Path(record.file)
        number = f"{file.relative_to(root) if root in file.parents else file.name}:{record.number}"
        return found._replace(episode=found.episode.model_copy(update={"id": number}))

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
