"""What can become of a file: for tests of what is then said and done."""

import os
from pathlib import Path


def flip(path: Path, at: int | None = None, bit: int = 0) -> None:
    """Turn one bit of a file over, by default in its middle, as a disk might: size and times stay as they were."""
    before, mode = path.stat(), path.stat().st_mode
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1 << bit
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    path.chmod(mode)
