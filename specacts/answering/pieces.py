"""Ask a role about every decision of many episodes, and keep what it says piece by piece, for an interrupted run.

    for asked, said in answered(voice, episodes, seed, ask, kept, "answer test: cheap"):
        zip(asked, said)                         # what `ask` said of each decision, in the episodes' order

A model that runs here is asked about some windows at a time, all of whose decisions are one piece. A server is asked
about as many windows at a time as its `concurrency`; of each about one decision after the other, so that it finds in
its cache what the next one begins with, and every decision is a piece.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

from specacts.answering import ask as here
from specacts.answering.ask import Asked
from specacts.answering.roles import Voice
from specacts.answering.served import Served
from specacts.core.episodes import Episode
from specacts.core.journal import Journal

Batch = list[list[Asked]]
"""Decisions by window."""
Said = list[Any]
"""JSON values, one a decision."""


def answered(
    voice: Voice, episodes: list[Episode], seed: int, ask: Callable[[Batch], Said], kept: Journal, doing: str = ""
) -> Iterator[tuple[list[Asked], Said]]:
    """What `ask` says of every decision, in order; doing: what pieces are called by."""
    batches = here.batches(voice.renderer, episodes, seed)
    if isinstance(voice.model, Served):
        groups = ([[[a]] for a in window] for batch in batches for window in batch)
        yield from side_by_side(groups, ask, kept, doing, voice.model.server.together)
        return
    for number, batch in enumerate(batches):
        name = f"{doing} {number}".strip()
        found = kept.get(name)
        yield flat(batch), kept.add(name, ask(batch)) if found is None else found


def side_by_side(
    groups: Iterable[Sequence[Batch]], ask: Callable[[Batch], Said], kept: Journal, doing: str, most: int
) -> Iterator[tuple[list[Asked], Said]]:
    """What `ask` says of each group's batches, in order; `most` groups are under way at a time.

    After an error, whose first one is raised, those under way end and no other begins.
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
        except BaseException as error:
            failed.append(error)
            stopped.set()
            raise
        with lock:
            return kept.add(name, found)

    pool = ThreadPoolExecutor(most)
    try:
        for done in pool.map(lambda group: [(flat(batch), one(batch)) for batch in group], groups):
            if failed:
                break
            yield from done
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
    if failed:
        raise failed[0]


def flat(batch: Batch) -> list[Asked]:
    return [asked for window in batch for asked in window]
