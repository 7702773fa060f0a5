"""Reading and writing files so that a crash leaves the old version or the new one, never half of one."""

import hashlib
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from specacts.core.errors import UserError

Model = TypeVar("Model", bound=BaseModel)

NEW, OLD = ".new", ".old"
"""How the names end of what is being written, and of what makes way for it."""

DIGITS = 4  # `dvc metrics diff` prints five; more would only show noise


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """`value` with every float in it, however deep, rounded to `digits` decimals."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    return value


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step (UTF-8, parent folders made)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=NEW, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o644)  # mkstemp makes it 0600
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write metrics-style JSON: rounded floats, the keys' own order, a final newline, no NaN."""
    write_exact_json(path, rounded(value))


def write_exact_json(path: Path, value: Any) -> None:
    """The same, but for the rounding."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def compact_json(value: Any) -> str:
    """JSON in one line without spaces to spare, keys in their own order; ValueError for NaN, which JSON lacks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def reject_constant(name: str) -> None:
    """For `parse_constant`: JSON knows no NaN and no infinity, though Python's reader takes them."""
    raise ValueError(f"{name} is not JSON")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one compact JSON value a line."""
    write_text(path, "".join(compact_json(row) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Read one JSON file, or say which file is missing or where it is malformed."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the stage that makes it (`dvc repro`)") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, value) for every non-empty line."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except ValueError as error:
                        raise UserError(f"{path}:{number}: not valid JSON ({error})") from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the stage that makes it (`dvc repro`)") from error


def read_models(path: Path, model: type[Model], ignored: Sequence[str] = ()) -> Iterator[tuple[int, Model]]:
    """Yield (line number, value) of a file of JSON lines, or say which line and field is no `model`.

    ignored: fields that a line may have beside the model's.
    """
    for number, value in read_jsonl(path):
        if isinstance(value, dict):
            value = {key: item for key, item in value.items() if key not in ignored}
        try:
            yield number, model.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "(line)"
            raise UserError(f"{path}:{number}: {field}: {first['msg']} (got {str(first['input'])[:80]!r})") from error


def line_starts(path: Path) -> "array[int]":
    """The byte at which each line begins."""
    starts, at = array("q"), 0
    with path.open("rb") as file:
        for line in file:
            starts.append(at)
            at += len(line)
    return starts


def sha256(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def published_dir(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; on success it becomes `path`, on any failure it is removed.

    The old folder steps aside before the new one comes in, and goes last: whenever this is killed, one of them is
    there whole, if need be under a name that `sweep` knows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=NEW, dir=path.parent))
    os.chmod(work, 0o755)
    aside = work.with_suffix(OLD)
    try:
        yield work
        if path.exists():
            os.replace(path, aside)
        os.replace(work, path)
    except BaseException:
        if aside.exists() and not path.exists():
            os.replace(aside, path)
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def sweep(path: Path) -> None:
    """Remove what killed runs left beside `path`; put back the old one where they left none in its place.

    Only for who is alone at work on `path`.
    """
    for aside in path.parent.glob(f".{path.name}.*{OLD}"):
        if path.exists():
            shutil.rmtree(aside)
        else:
            os.replace(aside, path)
    for work in path.parent.glob(f".{path.name}.*{NEW}"):
        shutil.rmtree(work) if work.is_dir() else work.unlink()
