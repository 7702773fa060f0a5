"""What recorded answers do on the simulators, beside what the gold actions do.

    for same in same_effects(episodes, rows, raw, timeout=10): same.cheap, same.strong

Single-turn traces have no simulator: there calls are compared by their text.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from specacts.answering.effects import SameEffect, actions, by_text
from specacts.answering.records import Answers
from specacts.bfcl.execution import MULTI_TURN, executed
from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.bfcl.tasks import Task, load_tasks
from specacts.core.episodes import Episode
from specacts.core.errors import UserError


def same_effects(
    episodes: Sequence[Episode], rows: Sequence[Answers], raw: Path, timeout: float
) -> Iterator[SameEffect]:
    """One result a row, in the rows' order. raw: BFCL's package folder.

    Raises `UserError` where an episode has no task or its replay does not repeat what was recorded.
    """
    known = {episode.id: episode for episode in episodes}
    for row in rows:
        if row.episode not in known:
            raise UserError(
                f"effects: episode {row.episode} was answered and is not in its split; run `dvc repro answer`"
            )
    variants = {e.source.removeprefix(MULTI_TURN) for e in episodes if e.source.startswith(MULTI_TURN)}
    if not variants:  # nothing can be executed: no traces have to be there
        yield from map(by_text, rows)
        return
    tasks = {task.id: task for variant in sorted(variants) for task in load_tasks(raw, variant)}
    with Simulator(raw / SOURCE_CODE, timeout) as simulator:
        for name, own in groupby(rows, key=lambda row: row.episode):
            if not known[name].source.startswith(MULTI_TURN):
                yield from map(by_text, own)
            elif name in tasks:
                yield from _executed(known[name], tasks[name], list(own), simulator)
            else:
                raise UserError(f"effects: episode {name} is no task of the traces; run `dvc repro collect`")


def _executed(episode: Episode, task: Task, rows: list[Answers], simulator: Simulator) -> Iterator[SameEffect]:
    cheap = {row.decision: len(row.cheap) for row in rows}
    for found in executed(episode, task, {row.decision: actions(row) for row in rows}, simulator):
        strong, *middle = found.same[cheap[found.decision] :]
        yield SameEffect(
            episode=episode.id,
            decision=found.decision,
            executed=True,
            cheap=found.same[: cheap[found.decision]],
            strong=strong,
            middle=middle[0] if middle else None,
            seconds=found.seconds,
        )
