"""Ask a server about many windows at a time, and keep what it says decision by decision.

    for asked, said in side_by_side(groups, ask, kept, "answer test: cheap", most=32):
        zip(asked, said)                    # in the groups' order

A group is a window, whose decisions are asked about one after the other: the server has in its cache what the next one
begins with. Only so many windows are in memory as are under way or wait for an earlier one.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

from specacts.answering.ask import Asked
from specacts.core.journal import Journal

Batch = list[list[Asked]]
Said = list[Any]
"""Both as in pieces.py."""

AHEAD = 4
"""So many times `most` groups are begun before the first of them is given: a slow one keeps nobody waiting."""


def side_by_side(
    groups: Iterable[Sequence[Batch]], ask: Callable[[Batch], Said], kept: Journal, doing: str, most: int
) -> Iterator[tuple[list[Asked], Said]]:
    """What `ask` says of each group's batches, in order; `most` groups are under way at a time.

    After an error, which is raised, those under way end their question and no other begins.
    """
    lock, stopped = Lock(), Event()
    failed: list[BaseException] = []

    def one(batch: Batch) -> Said:
        name = f"{doing} {batch[0][0].episode.id}:{batch[0][0].point.decision}".strip()
        with lock:
            found = kept.get(name)
        if found is not None or stopped.is_set():
            return found
        try:
            found = ask(batch)
            with lock:
                return kept.add(name, found)
        except BaseException as error:
            failed.append(error)
            stopped.set()
            raise

    def whole(group: Sequence[Batch]) -> list[Said]:
        return [one(batch) for batch in group]

    pool, begun = ThreadPoolExecutor(most), deque[tuple[Sequence[Batch], Future[list[Said]]]]()

    def first() -> Iterator[tuple[list[Asked], Said]]:
        group, future = begun.popleft()
        said = future.result()
        if failed:
            raise failed[0]
        for batch, one_said in zip(group, said, strict=True):
            yield [asked for window in batch for asked in window], one_said

    try:
        for group in groups:
            if len(begun) == AHEAD * most:
                yield from first()
            begun.append((group, pool.submit(whole, group)))
        while begun:
            yield from first()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
