"""Files of conversations: which there are, and one after another what their lines or rows hold.

    place = locate(["logs/2026-*.jsonl.gz"])            # a file, or a folder and which files of it
    for record in records(find_files(place)): record.where, record.text or record.value, record.problem

JSON lines (`.jsonl`, `.ndjson`, `.json` with one conversation a line, each also `.gz`), Parquet, and folders that
`datasets` saved. Everything streams: never more than a line, or a small batch of rows, is held.
"""

import glob
import gzip
import io
import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from specacts.core.errors import UserError

LINES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
TABLES = (".parquet",)
SAVED = ("dataset_dict.json", "state.json")
"""What marks a folder that `datasets` saved: of several splits, of one."""
LONGEST_LINE = 32 * 2**20
"""Bytes of the longest line that is read: a file without line breaks must not fill the memory."""
ROWS = 32
"""Rows of a table that are read at once."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")

Progress = Callable[[int], Any]


class Place(NamedTuple):
    """A file, or a folder and the patterns of its files that are meant (none: every one of a known kind)."""

    path: str
    files: tuple[str, ...]


class Record(NamedTuple):
    """A line or row: where it stands, and its text, or its value if it comes from a table, or why it has neither.

    number: of the line or row, from 1. shown: what can be shown of it where there is a problem.
    """

    file: str
    number: int
    text: str | None = None
    value: Any = None
    problem: str | None = None
    shown: str = ""

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


# -- which files ----------------------------------------------------------------------------------------------


def locate(arguments: Sequence[str]) -> Place:
    """What was named on a command line: one file, one folder, one pattern, or several files.

    Raises `UserError` where something is not there.
    """
    if len(arguments) == 1 and not os.path.exists(arguments[0]):
        (pattern,) = arguments
        if not glob.has_magic(pattern):
            raise UserError(f"{pattern}: no such file or folder")
        parts = Path(pattern).parts
        plain = next(n for n, part in enumerate(parts) if glob.has_magic(part))
        place = Place(str(Path(*parts[:plain])), ("/".join(parts[plain:]),))
        find_files(place)
        return place
    for argument in arguments:
        if not os.path.exists(argument):
            raise UserError(f"{argument}: no such file or folder")
    if len(arguments) == 1:
        return Place(os.path.normpath(arguments[0]), ())
    if folders := [argument for argument in arguments if os.path.isdir(argument)]:
        raise UserError(f"{folders[0]}: one folder, or several files, or a pattern in quotes; not folders among others")
    parent = os.path.commonpath([os.path.dirname(os.path.abspath(argument)) for argument in arguments])
    names = dict.fromkeys(os.path.relpath(argument, parent) for argument in arguments)
    inside = not os.path.relpath(parent).startswith(os.pardir)
    return Place(os.path.relpath(parent) if inside else parent, tuple(map(glob.escape, names)))


def find_files(place: Place) -> list[Path]:
    """The files that are meant, in the order of their names. Raises `UserError` where there are none."""
    path = Path(place.path)
    if path.is_file() or _is_saved(path):
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    patterns = place.files or tuple(f"**/*{suffix}" for suffix in (*LINES, *TABLES))
    found = {path / name for p in patterns for name in glob.glob(p, root_dir=path, recursive=True)}
    files = sorted(file for file in found if file.is_file() or _is_saved(file))
    if not place.files:  # the saved sets in a folder, and no file of theirs by itself
        saved = sorted({file.parent for name in SAVED for file in path.rglob(name)})
        saved = [folder for folder in saved if not any(other in folder.parents for other in saved)]
        files = sorted([*saved, *(f for f in files if set(saved).isdisjoint(f.parents))])
    if not files:
        raise UserError(f"{path}: no file matches {', '.join(place.files) or ', '.join((*LINES, *TABLES))}")
    return files


def _is_saved(path: Path) -> bool:
    return any((path / name).is_file() for name in SAVED)


def size(files: Sequence[Path]) -> int:
    """Bytes of the files and folders: what a progress bar ends at."""
    return sum(
        f.stat().st_size for file in files for f in (file.rglob("*") if file.is_dir() else [file]) if f.is_file()
    )


# -- what they hold -------------------------------------------------------------------------------------------


def records(files: Sequence[Path], progress: Progress = lambda count: None) -> Iterator[Record]:
    """Every line that is not blank and every row, with its problem where it cannot be read.

    progress: is told how many bytes of a file were passed since the last time.
    """
    for file in files:
        if file.is_dir():
            yield from _saved_rows(file, progress)
        elif file.name.endswith(TABLES):
            yield from _table_rows(file, progress)
        else:
            yield from _lines(file, progress)


def _lines(path: Path, progress: Progress) -> Iterator[Record]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: io.BufferedIOBase = gzip.GzipFile(fileobj=raw) if packed else raw
        number, passed = 0, 0
        while True:
            number += 1
            try:
                line = file.readline(LONGEST_LINE + 1)
                cut = len(line) > LONGEST_LINE and not line.endswith(b"\n")
                if cut:
                    _skip_line(file)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                yield Record(str(path), number, problem=f"the compressed file is damaged here ({error})")
                return
            if not line:
                return
            progress(raw.tell() - passed)
            passed = raw.tell()
            if number == 1 and line.startswith(UTF16):
                yield Record(str(path), 1, problem="the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
                return
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if cut:
                shown = line[:1000].decode("utf-8", "replace")
                what = f"a line of more than {LONGEST_LINE // 2**20} MiB: is it one conversation a line?"
                yield Record(str(path), number, problem=what, shown=shown)
            elif line.strip():
                yield _decoded(str(path), number, line)


def _skip_line(file: io.BufferedIOBase) -> None:
    while (more := file.readline(2**20)) and not more.endswith(b"\n"):
        pass


def _decoded(file: str, number: int, line: bytes) -> Record:
    if b"\0" in line:  # a crash leaves them; JSON would spell one as an escape
        what = f"a NUL byte at byte {line.index(0) + 1} of the line"
        return Record(file, number, problem=what, shown=line.decode("utf-8", "replace").replace("\0", "\ufffd").strip())
    try:
        return Record(file, number, text=line.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        what = f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
        return Record(file, number, problem=what, shown=line.decode("utf-8", "replace").strip())


def _table_rows(path: Path, progress: Progress) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number, bytes_passed = 0, 0
    try:
        with pq.ParquetFile(path) as table:
            total, rows = path.stat().st_size, max(1, table.metadata.num_rows)
            for batch in table.iter_batches(batch_size=ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(str(path), number, value=without_fillers(row))
                now = total * number // rows
                progress(now - bytes_passed)
                bytes_passed = now
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        why = " ".join(str(error).split())[:200]
        yield Record(str(path), number + 1, problem=f"the Parquet file cannot be read here ({why})")


def _saved_rows(folder: Path, progress: Progress) -> Iterator[Record]:
    """The rows of a folder that `datasets` saved, its splits one after another."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever the library meets in a damaged folder
        why = " ".join(str(error).split())[:200]
        yield Record(str(folder), 1, problem=f"`datasets` cannot load this folder ({why})")
        return
    number, splits = 0, loaded.values() if isinstance(loaded, dict) else [loaded]
    for split in splits:
        for batch in split.iter(batch_size=ROWS):
            columns = list(batch)
            for values in zip(*batch.values(), strict=True):
                number += 1
                yield Record(str(folder), number, value=without_fillers(dict(zip(columns, values, strict=True))))
    progress(size([folder]))


def without_fillers(value: Any) -> Any:
    """A table's value as JSON has it, without the nulls (and NaNs) that fill up objects of different shape."""
    if isinstance(value, dict):
        kept = {str(key): without_fillers(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_fillers(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
