"""Files of conversations: which there are, and one after another what their lines or rows hold.

    place = locate(["logs/2026-*.jsonl.gz"])            # a file, or a folder and which files of it
    for record in records(find_files(place)): record.where, record.text or record.value, record.problem

JSON lines, whole-file JSON (an array, or an object that holds one, pretty-printed or not), Parquet, and folders that
`datasets` saved. Text may be compressed (gz, zst, bz2, xz) and stand in zip and tar archives, whose members are read by
their names. What a file is, its first bytes say. Everything streams: never more than a line, a member of an array, or a
small batch of rows, is held. A small file that would unpack to hours of work ends early, with a problem (`Allowance`);
what cannot be read to its end, such as a pipe, is refused before anything is read.
"""

import bz2
import glob
import gzip
import io
import json
import lzma
import math
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from specacts.core.errors import UserError
from specacts.traces.formats.shape import is_message

PACKED = ("", ".gz", ".zst", ".bz2", ".xz")
LINES = tuple(f"{name}{packed}" for packed in PACKED for name in (".jsonl", ".ndjson", ".json"))
ARCHIVES = (".zip", ".tgz", ".tbz2", ".txz", *(f".tar{packed}" for packed in PACKED))
TABLES = (".parquet",)
KINDS = (*LINES, *TABLES, *ARCHIVES)
SAVED = ("dataset_dict.json", "state.json")
"""What marks a folder that `datasets` saved: of several splits, of one."""
LONGEST_LINE = 32 * 2**20
"""Bytes of the longest line that is read: a file without line breaks must not fill the memory."""
ROWS = 32
"""Rows of a table that are read at once."""
PLENTY = 256 * 2**20
"""Bytes that any file may unpack to."""
RATIO = 500
"""To how many times its size a file may unpack beyond that. Logs whose rows each repeat all that was said before, which
repeat themselves most, unpack from the hardest zstd to 150 times theirs, from gzip to 60; others to 15."""
ROW_BYTES = 1000
"""What a row counts for beside its bytes: an empty one is work too."""
VALUE_BYTES = 16
"""The same of a value in a table, which may have been packed to nothing."""
MOST_ROWS = 10_000_000
"""Rows of a file: a few numbers are kept of each."""
DEEPEST = 100
"""Levels of JSON that stands in one piece in a file; of one conversation it may be fewer (formats/openai_chat.py)."""
LAYERS = 4
"""How often one thing may be packed inside another, as in a zip of tars of gzip files."""
TABLE_BYTES = 2**30
"""Bytes that the rows of a table that are read at once may take."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")
HEAD = 2**16
"""Bytes of a file that are looked at to see what it is."""
OTHERS = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive, which is not read here; unpack it first",
    b"Rar!": "a RAR archive, which is not read here; unpack it first",
    b"\x04\x22\x4d\x18": "compressed with lz4, which is not read here; unpack it first",
    b"SQLite format 3\0": "an SQLite database, which is not read here; export its conversations as JSON lines",
    b"ARROW1\0\0": "an Arrow file, which is not read here; write it as Parquet",
    b"PAR1": "a Parquet file; give it a name that ends in .parquet",
}
HOLDS = ("messages", "conversations", "conversation", "traj", "request", "response", "body", "inputs", "contents")
"""Fields by which a member of a list is a conversation, and not a message or a step of one."""

Progress = Callable[[int], Any]


class Place(NamedTuple):
    """A file, or a folder and the patterns of its files that are meant (none: every one of a known kind)."""

    path: str
    files: tuple[str, ...]


class Record(NamedTuple):
    """A line or row: where it stands, and its text, or its value if it comes from a table, or why it has neither.

    number: of the line, row or member, from 1. shown: what can be shown of it where there is a problem. around: fields
    that stand beside the list that it is a member of.
    """

    file: str
    number: int
    text: str | None = None
    value: Any = None
    problem: str | None = None
    shown: str = ""
    around: dict[str, Any] | None = None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


class _TooMuch(Exception):
    """A file is more work than its size lets one expect."""


class Allowance:
    """How much a file may still unpack to. size: its bytes as it lies there."""

    def __init__(self, size: int) -> None:
        self.left = max(PLENTY, RATIO * size)
        self.rows = 0

    def spend(self, count: int) -> None:
        """Raises `_TooMuch` where so many bytes more are too many."""
        self.left -= count
        if self.left < 0:
            raise _TooMuch(
                f"unpacks to more than {PLENTY >> 20} MiB and {RATIO} times the file's size, {ROW_BYTES} bytes more a "
                "row: if that is no mistake, unpack it into JSON lines first"
            )

    def row(self, count: int = 1) -> None:
        """The same for rows."""
        self.rows += count
        if self.rows > MOST_ROWS:
            raise _TooMuch(f"holds more than {MOST_ROWS:,} rows: split the file, or name fewer conversations")
        self.spend(ROW_BYTES * count)

    def expect(self, rows: int, size: int) -> None:
        """Raises `_TooMuch` where so much is to come that it would be raised anyway."""
        ahead = Allowance(0)
        ahead.left, ahead.rows = self.left, self.rows
        ahead.row(rows)
        ahead.spend(size)


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
        raise UserError(
            f"{folders[0]}: give one folder, several files, or a pattern in quotes; not a folder with others"
        )
    parent = os.path.commonpath([os.path.dirname(os.path.abspath(argument)) for argument in arguments])
    names = dict.fromkeys(os.path.relpath(argument, parent) for argument in arguments)
    inside = not os.path.relpath(parent).startswith(os.pardir)
    return Place(os.path.relpath(parent) if inside else parent, tuple(map(glob.escape, names)))


def find_files(place: Place) -> list[Path]:
    """The files that are meant, in the order of their names. Raises `UserError` where there are none."""
    path = Path(place.path)
    require_readable(path)
    if path.is_file() or _is_saved(path):
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    patterns = place.files or tuple(f"**/*{suffix}" for suffix in KINDS)
    found = {path / name for p in patterns for name in glob.glob(p, root_dir=path, recursive=True)}
    files = sorted(file for file in found if file.is_file() or _is_saved(file))
    if not place.files:  # the saved sets in a folder, and no file of theirs by itself
        saved = sorted({file.parent for name in SAVED for file in path.rglob(name)})
        saved = [folder for folder in saved if not any(other in folder.parents for other in saved)]
        files = sorted([*saved, *(f for f in files if set(saved).isdisjoint(f.parents))])
    if not files:
        raise UserError(f"{path}: no file matches {', '.join(place.files) or ', '.join(KINDS)}")
    return files


KINDS_OF_NODE = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def require_readable(path: Path) -> None:
    """Raises `UserError` for a file that cannot be read to its end, or whose name nothing can be written down by.

    In a folder for any such file, whatever its name: DVC, which tells changes by reading all of it, would never come
    back. So it is with a link to a folder that it lies in. Nothing is opened.
    """
    _require_file(path)
    for parent, folders, files in os.walk(path, followlinks=True):
        for name in files:
            _require_file(Path(parent, name))
        here = os.path.realpath(parent)
        for name in folders:
            folder = Path(parent, name)
            if folder.is_symlink() and f"{here}/".startswith(f"{os.path.realpath(folder)}/"):
                raise UserError(f"{folder}: a link to a folder that contains it; remove it")


def _require_file(path: Path) -> None:
    if any("\ud800" <= character <= "\udfff" for character in str(path)):
        raise UserError(f"{path}: the name is not UTF-8; rename it")
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise UserError(f"{path}: a link to {os.readlink(path)}, which is not there; remove it") from error
        raise UserError(f"{path}: no such file or folder") from error
    if kind in KINDS_OF_NODE:
        raise UserError(f"{path}: {KINDS_OF_NODE[kind]}, not a file; write what it gives to a file, and remove it here")


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
        allowed, last = Allowance(size([file])), Record(str(file), 0)
        try:
            for last in _records(file, allowed, progress):
                allowed.row()
                yield last
        except _TooMuch as error:
            yield Record(last.file, last.number + 1, problem=str(error))


def _records(file: Path, allowed: Allowance, progress: Progress) -> Iterator[Record]:
    if file.is_dir():
        return _saved_rows(file, allowed, progress)
    return (_table_rows if file.name.endswith(TABLES) else _packed)(file, allowed, progress)


def _packed(path: Path, allowed: Allowance, progress: Progress) -> Iterator[Record]:
    """The records of a file of text, however it is packed."""
    if path.name.lower().endswith((".csv", ".tsv")):
        yield Record(str(path), 1, problem="a CSV file, which is not read here; export JSON lines or Parquet")
        return
    with path.open("rb", buffering=HEAD) as raw:
        passed = 0
        for record in _unpacked(str(path), raw, allowed):
            yield record
            if raw.tell() != passed:
                progress(raw.tell() - passed)
                passed = raw.tell()
        progress(max(0, path.stat().st_size - passed))


def _unpacked(name: str, raw: Any, allowed: Allowance, layer: int = 0) -> Iterator[Record]:
    """What is in a stream of bytes: text, something compressed, or an archive."""
    magic = raw.peek(512)[:512]
    other = next((what for start, what in OTHERS.items() if magic.startswith(start)), None)
    if other:
        yield Record(name, 1, problem=other)
    elif layer > LAYERS:
        yield Record(name, 1, problem=f"packed more than {LAYERS} times, one inside the other; unpack it first")
    elif magic.startswith(b"PK\x03\x04"):
        yield from _zip(name, raw, allowed, layer)
    elif magic[257:262] == b"ustar":
        yield from _tar(name, raw, allowed, layer)
    elif opened := _decompressed(raw, magic):
        yield from _safely(name, _unpacked(name, _counted(opened, allowed), allowed, layer + 1))
    else:
        yield from _text(name, raw)


def _decompressed(raw: io.BufferedReader, magic: bytes) -> Any:
    """The stream inside a compressed one; None if it is none."""
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(raw)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return None


def _counted(source: Any, allowed: Allowance) -> io.BufferedReader:
    """The stream, every byte of which is counted as it is unpacked."""
    return io.BufferedReader(_Counted(source, allowed), HEAD)


class _Counted(io.RawIOBase):
    def __init__(self, source: Any, allowed: Allowance) -> None:
        self.source, self.allowed = source, allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self.source.read1(len(buffer))  # no more at once than comes before the place where it may be damaged
        self.allowed.spend(len(data))
        buffer[: len(data)] = data
        return len(data)


def _safely(name: str, found: Iterator[Record]) -> Iterator[Record]:
    """The records up to where the compressed stream is damaged, and that it is."""
    number = 0
    while True:
        try:
            record = next(found, None)
        except Exception as error:
            if not _is_damage(error):
                raise
            yield Record(name, number + 1, problem=f"the compressed file is damaged here ({error})")
            return
        if record is None:
            return
        number = record.number
        yield record


def _is_damage(error: Exception) -> bool:
    if isinstance(error, EOFError | OSError | zlib.error | lzma.LZMAError | tarfile.TarError | zipfile.BadZipFile):
        return True
    return type(error).__name__ in ("ZstdError", "NotImplementedError", "RuntimeError")  # an unknown or locked member


def _zip(name: str, raw: io.BufferedReader, allowed: Allowance, layer: int) -> Iterator[Record]:
    try:
        archive = zipfile.ZipFile(raw)
    except (zipfile.BadZipFile, OSError, io.UnsupportedOperation) as error:
        yield Record(name, 1, problem=f"the zip archive cannot be read here ({error}); unpack it first")
        return
    members = sorted(member for member in archive.namelist() if _is_meant(member))
    for member in members:
        inner = f"{name}/{member}"
        try:
            file = archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            yield Record(inner, 1, problem=f"the member cannot be read ({error})")
            continue
        with file:
            yield from _safely(inner, _unpacked(inner, _counted(file, allowed), allowed, layer + 1))
    if not members:
        yield Record(name, 1, problem=f"the archive holds no file {', '.join(LINES[:3])}")


def _tar(name: str, raw: io.BufferedReader, allowed: Allowance, layer: int) -> Iterator[Record]:
    found = 0
    with tarfile.open(fileobj=raw, mode="r|") as archive:  # in the order of the archive: it streams
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and _is_meant(member.name) else None
            if file is not None:
                found += 1
                inner = f"{name}/{member.name.removeprefix('./')}"
                opened = _counted(file, allowed) if member.issparse() else file  # whose holes are nowhere in the file
                yield from _safely(inner, _unpacked(inner, opened, allowed, layer + 1))
    if not found:
        yield Record(name, 1, problem=f"the archive holds no file {', '.join(LINES[:3])}")


def _is_meant(member: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in Path(member).parts)
    return member.endswith(LINES) and not hidden


def _text(name: str, file: io.BufferedReader) -> Iterator[Record]:
    """JSON lines, or one JSON value."""
    head = file.peek(HEAD)[:HEAD]
    if head.startswith(b"\xef\xbb\xbf"):
        file.read(3)
        head = head[3:]
    shape = _shape(head)
    if shape == "array" and b"\n" not in head:
        shape, file = _of_long_line(file)
    if shape == "array":
        yield from _members(name, io.BufferedReader(_Shallow(file), HEAD))
    elif shape == "object":
        yield from _inside(name, io.BufferedReader(_Shallow(file), HEAD))
    else:
        yield from _lines(name, file)


def _shape(head: bytes) -> str:
    """Whether text is one JSON array, one object over several lines, or lines."""
    text = head.lstrip()
    first, break_, rest = text.partition(b"\n")
    first, rest = first.strip(), rest.strip()
    if text.startswith(b"["):
        return "lines" if break_ and rest and _is_json(first) else "array"
    if not text.startswith(b"{"):
        return "lines"
    if not break_:  # one very long line; of these only what is known to be large goes in parts
        return "object" if b'"simulations"' in head or b'"tasks"' in head else "lines"
    begins = first == b"{" or first.endswith((b",", b"[", b"{", b":"))
    return "object" if begins and not rest.startswith(b"{") and not _is_json(first) else "lines"


def _of_long_line(file: io.BufferedReader) -> tuple[str, io.BufferedReader]:
    """Whether a text that begins with a long line is one array or has one in every line; and all of it again."""
    line = file.readline(LONGEST_LINE + 1)
    is_first = line.endswith(b"\n") and line.rstrip().endswith(b"]")
    shape = "lines" if is_first and file.peek(HEAD).lstrip().startswith(b"[") else "array"
    return shape, io.BufferedReader(_Behind(line, file), HEAD)


class _Behind(io.RawIOBase):
    """Bytes that were read already, and the stream behind them."""

    def __init__(self, start: bytes, source: io.BufferedReader) -> None:
        self.start, self.at, self.source = start, 0, source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self.start[self.at : self.at + len(buffer)]
        self.at += len(data)
        if not data:
            self.start, data = b"", self.source.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


PLAIN = bytes(set(range(256)) - set(b'[]{}"'))
"""Bytes that neither open nor close anything."""


class _Shallow(io.RawIOBase):
    """JSON that may not be nested deeper than `DEEPEST`; ValueError where it is.

    The parser writes down the whole way to each piece, which takes for ever in a file that goes deeper and deeper.
    """

    def __init__(self, source: Any) -> None:
        self.source, self.depth, self.inside, self.escape = source, 0, False, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self.source.read1(len(buffer))
        for bracket in self._outside(data):
            self.depth += 1 if bracket in b"[{" else -1
            if self.depth > DEEPEST:
                raise ValueError(f"nested deeper than {DEEPEST} levels")
        buffer[: len(data)] = data
        return len(data)

    def _outside(self, data: bytes) -> bytes:
        """The brackets that stand in no string; one may have begun earlier, and go on."""
        data = self.escape + data
        self.escape = b"\\" if (len(data) - len(data.rstrip(b"\\"))) % 2 else b""
        data = data[: len(data) - len(self.escape)].replace(rb"\\", b"").replace(rb"\"", b"")
        parts = data.translate(None, PLAIN).split(b'"')
        outside = b"".join(parts[self.inside :: 2])
        self.inside ^= len(parts) % 2 == 0
        return outside


def _members(name: str, file: io.BufferedReader) -> Iterator[Record]:
    """The members of an array; one of messages is one conversation."""
    messages: list[Any] = []
    for number, value in enumerate(_parsed(name, file, array=True), 1):
        if isinstance(value, Record):
            yield value
        elif is_message(value):
            messages.append(value)
        else:
            yield Record(name, number, value=value)
    if messages:
        yield Record(name, 1, value={"messages": messages})


def _parsed(name: str, file: io.BufferedReader, array: bool) -> Iterator[Any]:
    """Values of JSON text as they come: an array's members, or whole values; a `Record` says what is wrong."""
    import ijson

    number = 1
    try:
        prefix = "item" if array else ""
        for value in ijson.items(file, prefix, multiple_values=not array, use_float=True):
            yield value
            number += 1
    except ijson.JSONError as error:
        why = " ".join(str(error).split())[:100]
        yield Record(name, number, problem=f"not valid JSON: {why}")
    except (ValueError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        yield Record(name, number, problem=f"not valid JSON: {error}")


def _inside(name: str, file: io.BufferedReader) -> Iterator[Record]:
    """Objects over several lines, one or more: each a conversation, or what holds a list of them."""
    import ijson

    number, depth = 0, 0
    key, around, builder, given = "", {}, None, False  # type: str, dict[str, Any], Any, bool
    members: list[Any] | None = None  # of the array that is being read
    try:
        for event, value in ijson.basic_parse(file, use_float=True, multiple_values=True):
            opens, closes = event in ("start_map", "start_array"), event in ("end_map", "end_array")
            if depth == 0:
                if event != "start_map":
                    yield Record(name, number + 1, problem=f"not an object or array of conversations but {value!r:.40}")
                    return
                around, given = {}, False
            elif depth == 1 and event == "map_key":
                key = value
            elif depth == 1 and closes:
                if not given:
                    number += 1
                    yield Record(name, number, value=around)
            elif depth == 1 and event == "start_array":
                members = []
            elif depth == 2 and event == "end_array" and members is not None:
                around[key], members = members, None
            else:
                base = 1 if members is None else 2
                builder = builder or ijson.ObjectBuilder()
                builder.event(event, value)
                if depth - closes == base and not opens and event != "map_key":
                    made, builder = builder.value, None
                    if members is None:
                        around[key] = made
                    elif isinstance(made, dict) and not is_message(made) and any(made.get(n) for n in HOLDS):
                        number, given = number + 1, True
                        yield Record(name, number, value=made, around=dict(around))
                    else:
                        members.append(made)
            depth += opens - closes
    except ijson.JSONError as error:
        why = " ".join(str(error).split())[:100]
        yield Record(name, number + 1, problem=f"not valid JSON: {why}")
    except (ValueError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        yield Record(name, number + 1, problem=f"not valid JSON: {error}")


def _lines(name: str, file: io.BufferedReader) -> Iterator[Record]:
    number = 0
    while True:
        number += 1
        line = file.readline(LONGEST_LINE + 1)
        cut = len(line) > LONGEST_LINE and not line.endswith(b"\n")
        if cut:
            _skip_line(file)
        if not line:
            return
        if number == 1 and line.startswith(UTF16):
            yield Record(name, 1, problem="the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
            return
        if cut:
            shown = line[:1000].decode("utf-8", "replace")
            what = f"a line of more than {LONGEST_LINE // 2**20} MiB: is it one conversation a line?"
            yield Record(name, number, problem=what, shown=shown)
        elif line.strip():
            yield _decoded(name, number, line)


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


def _table_rows(path: Path, allowed: Allowance, progress: Progress) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number, bytes_passed = 0, 0
    try:
        with pq.ParquetFile(path) as table:
            total, rows = path.stat().st_size, max(1, table.metadata.num_rows)
            groups = map(table.metadata.row_group, range(table.num_row_groups))
            chunks = [group.column(n) for group in groups for n in range(group.num_columns)]
            size = sum(max(chunk.total_uncompressed_size, VALUE_BYTES * chunk.num_values) for chunk in chunks)
            allowed.expect(table.metadata.num_rows, size)
            largest = max((chunk.total_uncompressed_size for chunk in chunks), default=0)
            at_once = min(ROWS, max(1, TABLE_BYTES // max(1, largest)))  # each may be all of its column, packed once
            for batch in table.iter_batches(batch_size=at_once):
                allowed.spend(batch.nbytes)
                for row in batch.to_pylist():
                    number += 1
                    yield Record(str(path), number, value=without_fillers(row))
                now = total * number // rows
                progress(now - bytes_passed)
                bytes_passed = now
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        why = " ".join(str(error).split())[:200]
        yield Record(str(path), number + 1, problem=f"the Parquet file cannot be read here ({why})")


def _saved_rows(folder: Path, allowed: Allowance, progress: Progress) -> Iterator[Record]:
    """The rows of a folder that `datasets` saved, its splits one after another."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever the library meets in a damaged folder
        why = " ".join(str(error).split())[:200]
        yield Record(str(folder), 1, problem=f"`datasets` cannot load this folder ({why})")
        return
    number, splits = 0, list(loaded.values() if isinstance(loaded, dict) else [loaded])
    allowed.expect(sum(map(len, splits)), sum(split.data.nbytes for split in splits))
    for split in splits:
        for batch in split.iter(batch_size=ROWS):
            columns = list(batch)
            for values in zip(*batch.values(), strict=True):
                number += 1
                yield Record(str(folder), number, value=without_fillers(dict(zip(columns, values, strict=True))))
    progress(size([folder]))


def _text_of(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return str(value)


def without_fillers(value: Any) -> Any:
    """A table's value as JSON has it, without the nulls (and NaNs) that fill up objects of different shape."""
    if isinstance(value, dict):
        kept = {str(key): without_fillers(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_fillers(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):  # some databases write text in columns that say nothing of it
        return _text_of(value)
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
