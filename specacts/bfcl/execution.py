"""Execute calls on an episode's simulators, from the state they were proposed in, and compare what they do.

    for found in executed(episode, task, {0: [proposed, other]}, simulator): found.decision, found.same

The state at a decision is rebuilt by replaying what was executed before it; every observation on the way has to come
out as it was recorded, or the replay is refused. Calls are tried on copies.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from specacts.bfcl.simulator import Effect, Simulator
from specacts.bfcl.tasks import Task
from specacts.core.episodes import Act, Action, Episode, Observation, agrees
from specacts.core.errors import UserError

MULTI_TURN = "multi_turn_"
"""How the source of an episode begins that has simulators."""


class Executed(NamedTuple):
    """Whether each action tried at a decision does what its gold action does.

    seconds: what the gold call took its simulator; None where none is due.
    """

    decision: int
    same: tuple[bool, ...]
    seconds: float | None


def executed(
    episode: Episode, task: Task, tried: Mapping[int, Sequence[Action | None]], simulator: Simulator
) -> Iterator[Executed]:
    """The actions `tried` at some decisions, by number (None: malformed output), in the decisions' order.

    Where nothing is to be called, what speaks does the same if it equals the gold action. Raises `UserError` where the
    replay does not repeat what was recorded.
    """
    simulator.start(task.row["involved_classes"], task.row["initial_config"])
    decision = 0
    for step, following in zip(episode.steps, (*episode.steps[1:], None), strict=True):
        if not isinstance(step, Act) or not step.supervised:  # an injected fault left no trace on the simulators
            continue
        gold, seconds = step.action, None
        same = _same(tried[decision], gold, simulator) if decision in tried else None
        if gold.tool is not None:
            started = time.perf_counter()
            found = simulator.call(gold.tool, gold.arguments)
            seconds = time.perf_counter() - started
            if not isinstance(following, Observation) or found != following.content:
                raise UserError(
                    f"effects: episode {episode.id}, decision {decision}: {gold.tool} does not return what was "
                    "recorded; the traces and the simulators do not belong together: run `dvc repro collect`"
                )
        if same is not None:
            yield Executed(decision, same, seconds)
        decision += 1


def _same(tried: Sequence[Action | None], gold: Action, simulator: Simulator) -> tuple[bool, ...]:
    if gold.tool is None:
        return tuple(agrees(action, gold, "call") for action in tried)
    wanted = simulator.effect(gold.tool, gold.arguments)
    return tuple(_does(action, wanted, simulator) for action in tried)


def _does(action: Action | None, wanted: Effect, simulator: Simulator) -> bool:
    if action is None or not action.tool:
        return False
    return simulator.effect(action.tool, action.arguments) == wanted
