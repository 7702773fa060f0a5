"""Independent pieces of work in several processes at a time, each of which begins as a copy of this one (Linux).

    with closing(shared_out(ask, batches, processes=4, begin=one_thread)) as said:
        for number, answer in said:                # as they come
            ...

What small models compute gains little from a second thread and much from a second process. A copy shares this one's
memory until it writes to it, so a model that is loaded here is loaded once, and needs no import.

There are no threads here, hence no lock that Ctrl-C could leave held, as it now and then did in a
`ProcessPoolExecutor` that was only beginning.
"""

import multiprocessing
import pickle
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
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
    """What `work` makes of each piece, with the piece's number, as they come.

    work: is given its piece by number, so only what it makes has to be picklable. processes: 1 is this one, which works
    in order. begin: runs first in each copy. Raises what `work` raises, and `UserError` where a copy was killed. Closed
    early, or after an error, it ends the copies at once.
    """
    if processes < 2:
        yield from ((number, work(piece)) for number, piece in enumerate(pieces))
        return
    copies, due = multiprocessing.get_context("fork"), deque(range(len(pieces)))
    at_work: dict[Connection, Any] = {}
    try:
        for _ in range(min(processes, len(pieces))):
            here, there = copies.Pipe()
            # A daemon: whatever happens here, it does not outlive this process.
            copy = copies.Process(target=_serve, args=(there, work, pieces, begin), daemon=True)
            copy.start()
            at_work[here] = copy
            there.close()
            here.send(due.popleft())
        while at_work:
            ready = wait(list(at_work))
            for here in [pipe for pipe in at_work if pipe in ready]:
                number, made, error = _heard(here)
                if error is not None:
                    raise error
                if due:
                    here.send(due.popleft())
                else:
                    here.send(None)
                    at_work.pop(here).join()
                yield number, made
    finally:
        for copy in at_work.values():
            copy.kill()
        for copy in at_work.values():
            copy.join()


def _heard(here: Connection) -> tuple[int, Any, BaseException | None]:
    try:
        found: tuple[int, Any, BaseException | None] = here.recv()
    except (EOFError, ConnectionError) as error:
        raise UserError(
            "a process that answers was killed, probably because memory ran out; start again with OMP_NUM_THREADS=1 "
            "to have one process, which takes less of it"
        ) from error
    return found


def _serve(there: Connection, work: Callable[[Any], Any], pieces: Sequence[Any], begin: Callable[[], None]) -> None:
    """What a copy does: a piece each time it is told a number, until nobody tells it any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that waits for the others ends them
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    begin()
    for number in iter(there.recv, None):
        try:
            found: tuple[int, Any, BaseException | None] = number, work(pieces[number]), None
        except BaseException as error:
            found = number, None, _sent(error)
        there.send(found)


def _sent(error: BaseException) -> BaseException:
    """The error, if it survives the way; with where it came from, which does not, unless people caused it."""
    if isinstance(error, UserError | KeyboardInterrupt):
        return error
    told = traceback.format_exc()
    try:
        again = pickle.loads(pickle.dumps(error))
        assert isinstance(again, BaseException)
    except Exception:
        return RuntimeError(told)
    again.add_note(told)
    return again
