"""What a long stage has got so far, so that after an interruption it goes on from there.

    with journal("answer", machine(scale.device)) as kept:
        for number, batch in enumerate(batches):
            found = kept.get(f"test {number}")             # what an interrupted run kept under this name, or None
            if found is None:
                found = kept.add(f"test {number}", ask(batch))
    publish(...)
    kept.forget()

A file under `.work/journal/`, one line a piece, written when the piece is whole. It is named by, and every line is
bound to, a fingerprint of all that decides the stage's bytes: what it depends on in dvc.yaml, byte by byte; its
parameters there; its code; the libraries and the machine. So no piece is taken for another run's. A line that is torn
or damaged does not fit its checksum: that piece is made again, and it is said. Pieces come back exactly as they were,
the seconds that they took included, and the outputs are those of a run that was never interrupted.
"""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from specacts.core.files import compact_json, sha256
from specacts.core.fingerprints import fingerprints
from specacts.core.process import SCRATCH
from specacts.core.stored import LOADER

JOURNALS = SCRATCH / "journal"
OTHERS = 3
"""Of a stage so many interrupted runs of other configurations are kept, the latest ones."""
LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "numpy")
"""Whose numbers reach the bytes."""
GRAPH, PARAMS = Path(__file__).parents[2] / "dvc.yaml", Path("params.yaml")


class Journal:
    """Pieces by name. seconds: what those took that were taken from an earlier run."""

    def __init__(self, stage: str, fingerprint: str) -> None:
        self.fingerprint, self.seconds, self.taken = fingerprint, 0.0, 0
        self.path = JOURNALS / stage / f"{fingerprint[:16]}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.pieces: dict[str, bytes] = {}
        self.damaged = 0
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        for line in lines:
            found = self._checked(line)
            if found is None:
                self.damaged += 1
            else:
                self.pieces[json.loads(found)[0]] = found
        others = sorted(set(self.path.parent.iterdir()) - {self.path}, key=lambda path: path.stat().st_mtime)
        for old in others[:-OTHERS]:
            old.unlink()
        # Whole lines, each written at once: copies of this process (forks.py) may add theirs at the same time.
        self.file = self.path.open("ab", buffering=0)
        if lines and not lines[-1].endswith(b"\n"):
            self.file.write(b"\n")
        self.started = time.perf_counter()

    def get(self, name: str) -> Any:
        """What was kept under the name; None if nothing was."""
        found = self.pieces.pop(name, None)
        if found is None:
            return None
        _, value, seconds = json.loads(found)
        self.seconds += seconds
        self.taken += 1
        self.started = time.perf_counter()
        return value

    def add(self, name: str, value: Any) -> Any:
        """Keep a JSON value, which took the time since the last piece; returns it."""
        seconds = time.perf_counter() - self.started
        text = compact_json([name, value, seconds]).encode()
        line = self._checksum(text) + b" " + text + b"\n"
        try:
            while line:  # more than once only where the disk is full, which the second time says
                line = line[self.file.write(line) :]
            os.fsync(self.file.fileno())
        except OSError as error:
            error.filename = str(self.path)  # for one_line_errors
            raise
        self.started = time.perf_counter()
        return value

    def forget(self) -> None:
        """Everything has been published: nothing has to be kept."""
        self.path.unlink(missing_ok=True)

    def _checksum(self, text: bytes) -> bytes:
        key = self.fingerprint.encode()
        return hashlib.blake2b(text, key=key[:64], digest_size=16).hexdigest().encode()

    def _checked(self, line: bytes) -> bytes | None:
        """A line's JSON; None where the line is not whole."""
        checksum, _, text = line.removesuffix(b"\n").partition(b" ")
        return text if line.endswith(b"\n") and checksum == self._checksum(text) else None


@contextmanager
def journal(stage: str, machine: str) -> Iterator[Journal]:
    """The stage's journal; says what is there. It stays when the block is left: `forget` removes it."""
    kept = Journal(stage, fingerprint(stage, machine))
    if kept.pieces:
        print(f"{stage}: continues an interrupted run: {len(kept.pieces):,} pieces are already there", flush=True)
    if kept.damaged:
        print(f"{stage}: {kept.damaged} damaged lines in {kept.path}: what they held is made again", file=sys.stderr)
    try:
        yield kept
    except KeyboardInterrupt as error:
        error.add_note("the same command goes on from here")
        raise
    finally:
        kept.file.close()


def fingerprint(stage: str, machine: str) -> str:
    """SHA-256 of everything that decides the bytes of a stage; machine: what says where its numbers come from."""
    declared = filled(values_in(GRAPH)["stages"][stage], values_in(PARAMS))
    about = {
        "code": code(stage),
        "dependencies": {path: content(Path(path)) for path in declared["deps"]},
        "parameters": dict(settings(declared.get("params", []))),
        "libraries": {name: installed(name) for name in LIBRARIES},
        "machine": [machine, sys.version],
    }
    return hashlib.sha256(compact_json(about).encode()).hexdigest()


@cache
def code(stage: str) -> dict[str, str]:
    """What of our code may decide the bytes, wherever models answer, as it is now; `data/modules` may be older."""
    module = f"stages.{stage}"
    return fingerprints([module], Path("."))[module]


def values_in(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), LOADER)


def settings(declared: list[Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of every parameter that a stage of dvc.yaml declares, of whichever file."""
    for entry in declared:
        for path, names in entry.items() if isinstance(entry, dict) else [(str(PARAMS), [entry])]:
            values = values_in(Path(path))
            for name in names:
                yield f"{path}:{name}", looked_up(values, name)


def looked_up(values: Any, name: str) -> Any:
    """The value of a key with dots; None where there is none."""
    for key in name.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def filled(template: Any, values: Any) -> Any:
    """DVC's templating, as far as dvc.yaml uses it."""
    if isinstance(template, dict):
        return {filled(key, values): filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(item, values) for item in template]
    if isinstance(template, str):
        return re.sub(r"\$\{([^}]+)\}", lambda found: str(looked_up(values, found[1])), template)
    return template


def content(path: Path) -> Any:
    """What stands in a file or a folder, as hashes; None where there is nothing."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): sha256(file) for file in files}
    return sha256(path) if path.is_file() else None


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
