"""Ask a role about every decision of many episodes, and keep what it says piece by piece, for an interrupted run.

    for asked, said in answered(voice, episodes, seed, ask, kept, "answer test: cheap"):
        zip(asked, said)                         # what `ask` said of each decision, in the episodes' order

A model that runs here is asked about some windows at a time, all of whose decisions are one piece. A server is asked
about many windows at a time, and every decision is a piece (abreast.py).
"""

from collections.abc import Callable, Iterator
from typing import Any

from specacts.answering import abreast
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
        yield from abreast.side_by_side(groups, ask, kept, doing, voice.model.server.together)
        return
    for number, batch in enumerate(batches):
        name = f"{doing} {number}".strip()
        found = kept.get(name)
        yield flat(batch), kept.add(name, ask(batch)) if found is None else found


def flat(batch: Batch) -> list[Asked]:
    return [asked for window in batch for asked in window]
