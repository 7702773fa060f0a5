"""Ask a role about every decision of many episodes, and keep what it says piece by piece, for an interrupted run.

    for asked, said in answered(voice, {"answer test: cheap": episodes}, seed, ask, kept):
        zip(asked, said)                         # what `ask` said of each decision, in the episodes' order

A model that runs here is asked about some windows at a time, all of whose decisions are one piece; on a CPU several
processes do so, one a core. A server is asked about many windows at a time, and every decision is a piece (abreast.py).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import torch

from specacts.answering import abreast
from specacts.answering import ask as here
from specacts.answering.ask import Asked
from specacts.answering.roles import Voice
from specacts.answering.served import Served
from specacts.core.episodes import Episode
from specacts.core.forks import shared_out
from specacts.core.journal import Journal
from specacts.models.measure import bytes_per_token, copies, free_memory

Batch = list[list[Asked]]
"""Decisions by window."""
Said = list[Any]
"""JSON values, one a decision."""

SHARE = 0.5
"""Of the free memory that the windows which are read side by side may take, twice what their caches do."""


def answered(
    voice: Voice, parts: Mapping[str, list[Episode]], seed: int, ask: Callable[[Batch], Said], kept: Journal
) -> Iterator[tuple[list[Asked], Said]]:
    """What `ask` says of every decision, in order; parts: episodes by what their pieces are called by."""
    if isinstance(voice.model, Served):
        windows = (w for part in parts.values() for batch in here.batches(voice.renderer, part, seed) for w in batch)
        groups = ([[[a]] for a in window] for window in windows)
        yield from abreast.side_by_side(groups, ask, kept, voice.role, voice.model.server.together)
        return
    named = {
        f"{name} {number}".strip(): batch
        for name, episodes in parts.items()
        for number, batch in enumerate(here.batches(voice.renderer, episodes, seed))
    }
    found = {name: said for name in named if (said := kept.get(name)) is not None}
    due = [name for name in named if name not in found]
    batches = [named[name] for name in due]
    with closing(shared_out(ask, batches, side_by_side(voice), partial(torch.set_num_threads, 1))) as answers:
        for name, batch in named.items():
            while name not in found:
                number, said = next(answers)
                found[due[number]] = kept.add(due[number], said)
            yield flat(batch), found.pop(name)


def side_by_side(voice: Voice) -> int:
    """How many processes answer at a time, as far as memory goes."""
    assert isinstance(voice.model, torch.nn.Module)
    device = next(voice.model.parameters()).device
    each = 2 * here.TOGETHER * voice.renderer.limits.max_tokens * bytes_per_token(voice.model)
    return max(1, min(copies(device), int(SHARE * free_memory(device) / each)))


def flat(batch: Batch) -> list[Asked]:
    return [asked for window in batch for asked in window]
