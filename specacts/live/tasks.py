"""Recorded episodes as tasks: what is to be done on the simulators, and when it is done (BFCL's criterion)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from specacts.bfcl.execution import MULTI_TURN
from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.bfcl.tasks import load_tasks
from specacts.core.episodes import Act, Episode, Step, User
from specacts.core.errors import UserError

# -- what is to be done, and when it is done ------------------------------------------------------------------


class Turn(NamedTuple):
    """A user's message, and what the right ("gold") calls after it do.

    state: the simulators' public attributes after them. observations: what they return, one a call.
    """

    user: User
    state: Any
    observations: tuple[str, ...]


class Assignment(NamedTuple):
    """A recorded episode as a task: its simulators' classes, the state they begin in, and its turns."""

    episode: Episode
    classes: list[str]
    scenario: dict[str, Any]
    turns: tuple[Turn, ...]


def assignments(episodes: Sequence[Episode], raw: Path, timeout: float) -> list[Assignment]:
    """Multi-turn episodes as tasks, their right calls replayed. raw: BFCL's package folder.

    Raises `UserError` where an episode has no task or its replay does not repeat what was recorded.
    """
    variants = sorted({episode.source.removeprefix(MULTI_TURN) for episode in episodes})
    tasks = {task.id: task for variant in variants for task in load_tasks(raw, variant)}
    for episode in episodes:
        if episode.id not in tasks:
            raise UserError(f"live: episode {episode.id} is no task of the traces; run `dvc repro collect`")
    with Simulator(raw / SOURCE_CODE, timeout) as simulator:
        return [assignment(episode, tasks[episode.id].row, simulator) for episode in episodes]


def assignment(episode: Episode, row: Mapping[str, Any], simulator: Simulator) -> Assignment:
    """An episode as a task, its right calls replayed; injected faults left no trace. row: BFCL's, with its classes."""
    classes, scenario = row["involved_classes"], row["initial_config"]
    simulator.start(classes, scenario)
    begins = [n for n, each in enumerate(episode.steps) if isinstance(each, User)]
    turns = []
    for begin, end in pairwise((*begins, len(episode.steps))):
        pairs = [(act, after) for act, after in pairwise(episode.steps[begin:end]) if _is_gold_call(act)]
        observations = tuple(simulator.call(act.action.tool, act.action.arguments) for act, _ in pairs)
        if observations != tuple(after.content for _, after in pairs):
            raise UserError(
                f"live: episode {episode.id}, turn {len(turns)}: its calls do not return what was recorded; the traces "
                "and the simulators do not belong together: run `dvc repro collect`"
            )
        turns.append(Turn(episode.steps[begin], json.loads(simulator.state()), observations))
    return Assignment(episode, classes, scenario, tuple(turns))


def _is_gold_call(each: Step) -> bool:
    return isinstance(each, Act) and each.supervised and each.action.tool is not None


def succeeds(turn: Turn, calls: int, state: Any, observations: Sequence[str]) -> bool:
    """Whether `calls` calls in a turn did what its right ones do, by BFCL's criterion (its multi_turn_checker.py).

    They leave the same public state, and all that the right ones return has been observed, now or in earlier turns, in
    any order. Where there is no right call none may be made.
    """
    if not turn.observations:
        return calls == 0
    return calls > 0 and state == turn.state and not Counter(turn.observations) - Counter(observations)
