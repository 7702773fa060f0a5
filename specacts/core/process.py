"""A stage alone at its work: one instance at a time, and none that outlives the `dvc repro` that started it."""

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from specacts.core.errors import UserError
from specacts.core.upkeep import SCRATCH, begin, ended


@contextmanager
def stage(name: str, scratch: Path | None = None) -> Iterator[None]:
    """Hold the stage's lock and die with the parent process; under DVC, also what `upkeep` does around a stage.

    name: as DVC calls it. scratch: a folder of the stage's that is kept until DVC has its outputs.

    A killed `dvc repro` leaves its child running and frees DVC's own lock; without this the next `repro` would
    run a second copy beside it. Raises `UserError` where another copy is at work, or an input is damaged.
    """
    die_with_parent()
    path = SCRATCH / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path).acquire(blocking=False)
    except Timeout as error:
        raise UserError(f"stage {name}: another copy is running here; wait for it or stop it") from error
    by_dvc = os.environ.get("DVC_STAGE") == name
    with lock:
        if by_dvc:
            begin(Path("."), name)
        yield
        if by_dvc:
            ended(Path("."), name, scratch)
        elif scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def die_with_parent() -> None:
    """On Linux, ask for SIGTERM when the parent goes. Elsewhere the lock alone has to do."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # 1 = PR_SET_PDEATHSIG
        if os.getppid() != parent:
            sys.exit("the parent process is gone")
