"""Recorded episodes as tasks: what is to be done on the simulators, and when it is done (BFCL's criterion)."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from specacts.bfcl.execution import MULTI_TURN
from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.bfcl.tasks import load_tasks
from specacts.core.episodes import Act, Episode, Observation, Step, User
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
    turns: list[Turn] = []
    for user, following in _by_turn(episode):
        calls = [(call, after) for act, after in pairwise(following) if (call := _gold_call(act))]
        observations = tuple(simulator.call(tool, arguments) for (tool, arguments), _ in calls)
        if observations != tuple(after.content for _, after in calls if isinstance(after, Observation)):
            raise UserError(
                f"live: episode {episode.id}, turn {len(turns)}: its calls do not return what was recorded; the traces "
                "and the simulators do not belong together: run `dvc repro collect`"
            )
        turns.append(Turn(user, json.loads(simulator.state()), observations))
    return Assignment(episode, classes, scenario, tuple(turns))


def _by_turn(episode: Episode) -> Iterator[tuple[User, tuple[Step, ...]]]:
    """Each user message, and what follows it up to the next."""
    begins = [n for n, each in enumerate(episode.steps) if isinstance(each, User)]
    for begin, end in pairwise((*begins, len(episode.steps))):
        user = episode.steps[begin]
        if isinstance(user, User):
            yield user, episode.steps[begin + 1 : end]


def _gold_call(each: Step) -> tuple[str, dict[str, Any]] | None:
    """The tool and arguments of a right call; None of anything else."""
    if not isinstance(each, Act) or not each.supervised or each.action.tool is None:
        return None
    return each.action.tool, each.action.arguments


def succeeds(turn: Turn, calls: int, state: Any, observations: Sequence[str]) -> bool:
    """Whether `calls` calls in a turn did what its right ones do, by BFCL's criterion (its multi_turn_checker.py).

    They leave the same public state, and all that the right ones return has been observed, now or in earlier turns, in
    any order. Where there is no right call none may be made.
    """
    if not turn.observations:
        return calls == 0
    return calls > 0 and state == turn.state and not Counter(turn.observations) - Counter(observations)
