"""Execute calls on an episode's simulators, from the state they were proposed in, and compare what they do.

    for same in same_effects(episodes, rows, raw, timeout=10): same.episode, same.decision, same.cheap, same.strong

The state at a decision is rebuilt by replaying what was executed before it; every observation on the way has to come
out as it was recorded, or the replay is refused. Calls are tried on copies. Single-turn traces have no simulator: there
calls are compared by their text.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from specacts.answers import Answers
from specacts.bfcl import Task, load_tasks
from specacts.effects import SameEffect, by_text
from specacts.episodes import Act, Action, Episode, Observation
from specacts.errors import UserError
from specacts.simulator import SOURCE_CODE, Effect, Simulator

MULTI_TURN = "multi_turn_"


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
        for name, own in _by_episode(rows):
            if not known[name].source.startswith(MULTI_TURN):
                yield from map(by_text, own)
            elif name in tasks:
                yield from _executed(known[name], own, tasks[name], simulator)
            else:
                raise UserError(f"effects: episode {name} is no task of the traces; run `dvc repro collect`")


def _by_episode(rows: Iterable[Answers]) -> Iterator[tuple[str, list[Answers]]]:
    episodes: dict[str, list[Answers]] = {}
    for row in rows:
        episodes.setdefault(row.episode, []).append(row)
    yield from episodes.items()


def _executed(episode: Episode, rows: list[Answers], task: Task, simulator: Simulator) -> Iterator[SameEffect]:
    simulator.start(task.row["involved_classes"], task.row["initial_config"])
    due = {row.decision: row for row in rows}
    decision = 0
    for step, following in zip(episode.steps, (*episode.steps[1:], None), strict=True):
        if not isinstance(step, Act) or not step.supervised:  # an injected fault left no trace on the simulators
            continue
        same = _tried(due[decision], simulator) if decision in due else None
        decision += 1
        if step.action.tool is not None:
            started = time.perf_counter()
            found = simulator.call(step.action.tool, step.action.arguments)
            seconds = time.perf_counter() - started
            if not isinstance(following, Observation) or found != following.content:
                raise UserError(
                    f"effects: episode {episode.id}, decision {decision - 1}: {step.action.tool} does not return what "
                    "was recorded; the traces and the simulators do not belong together: run `dvc repro collect`"
                )
            same = same and same.model_copy(update={"seconds": seconds})
        if same:
            yield same


def _tried(row: Answers, simulator: Simulator) -> SameEffect:
    if row.gold.tool is None:
        return by_text(row).model_copy(update={"executed": True})
    wanted = simulator.effect(row.gold.tool, row.gold.arguments)
    cheap = tuple(_does(candidate.action, wanted, simulator) for candidate in row.cheap)
    strong = _does(row.strong.action, wanted, simulator)
    place = {"episode": row.episode, "decision": row.decision}
    return SameEffect(**place, executed=True, cheap=cheap, strong=strong, seconds=None)


def _does(action: Action | None, wanted: Effect, simulator: Simulator) -> bool:
    if action is None or not action.tool:
        return False
    return simulator.effect(action.tool, action.arguments) == wanted
