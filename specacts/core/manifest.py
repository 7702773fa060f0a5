"""A folder that says itself whether it is whole: a list of SHA-256, written last and to the disk.

    seal(folder)            # once everything is in it
    flaw(folder)            # None, or what is wrong with it in a few words

For what DVC does not keep: training checkpoints and converted bases.
"""

import os
from pathlib import Path

from specacts.core.files import sha256, write_text

LIST = "SHA256SUMS"


def seal(folder: Path) -> None:
    """Put every file of the folder on the disk, then its list: a folder with a list was complete."""
    names = _names(folder)
    for name in names:
        flush(folder / name)
    write_text(folder / LIST, "".join(f"{sha256(folder / name)}  {name}\n" for name in names))
    flush(folder / LIST)
    flush(folder)


def _names(folder: Path) -> list[str]:
    """The files of a folder beside its list."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path != folder / LIST
    )


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flaw(folder: Path) -> str | None:
    """Why the folder is not what was sealed: no list, or the first file that is missing, new or differs."""
    try:
        *lines, rest = (folder / LIST).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return f"it has no readable {LIST}, so it was not finished"
    listed = [line.partition("  ")[::2] for line in lines]
    odd = sorted({name for _, name in listed} ^ set(_names(folder)))
    if odd or not lines or rest:
        return f"{odd[0] if odd else LIST} is missing, or was not there"
    damaged = [name for digest, name in listed if sha256(folder / name) != digest]
    return f"{damaged[0]} is damaged" if damaged else None
