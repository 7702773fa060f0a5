"""Independent pieces of work in several processes at a time, each of which begins as a copy of this one (Linux).

    with closing(shared_out(ask, batches, processes=4, begin=one_thread)) as said:
        for number, answer in said:                # as they come
            ...

What small models compute gains little from a second thread and much from a second process. A copy shares this one's
memory until it writes to it, so a model that is loaded here is loaded once, and needs no import.
"""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from specacts.core.errors import UserError
from specacts.core.process import die_with_parent

FORKS = sys.platform == "linux"
"""Elsewhere libraries for numbers do not survive a copy of their process."""

Piece = TypeVar("Piece")
Made = TypeVar("Made")


def shared_out(
    work: Callable[[Piece], Made], pieces: Sequence[Piece], processes: int, begin: Callable[[], None]
) -> Generator[tuple[int, Made], None, None]:
    """What `work` makes of each piece, with the piece's number, as they come; in order where one process does it all.

    work: is given its piece by number, so only what it makes has to be picklable. processes: 1 is this one. begin: runs
    first in each copy. Raises what `work` raises, and `UserError` where a copy was killed. Closed early, or after an
    error, it ends the copies at once.
    """
    if processes < 2 or len(pieces) < 2:
        yield from ((number, work(piece)) for number, piece in enumerate(pieces))
        return
    copy = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(min(processes, len(pieces)), copy, _begin, (work, pieces, begin))
    try:
        numbers = {pool.submit(_one, number): number for number in range(len(pieces))}
        for done in as_completed(numbers):
            yield numbers[done], done.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that answers was killed, probably because memory ran out; start again with OMP_NUM_THREADS=1 "
            "to have one process, which takes less of it"
        ) from error
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_job: list[Any] = []
"""In a copy: the work and its pieces."""


def _begin(work: Callable[[Any], Any], pieces: Sequence[Any], begin: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that waits for the others ends them
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    _job[:] = [work, pieces]
    begin()


def _one(number: int) -> Any:
    work, pieces = _job
    return work(pieces[number])
