"""Actions to learn verdicts from: right ones and wrong ones, by the decision that they were made at."""

from collections.abc import Sequence
from typing import NamedTuple

from specacts.core.episodes import Action, Episode, agrees, decisions
from specacts.core.seeds import draw
from specacts.core.words import Level


class Judged(NamedTuple):
    """An action to learn a verdict from; `confidence` is its proposer's, None where it had none."""

    action: Action
    confidence: float | None
    right: bool


DecisionKey = tuple[str, int]
"""A decision: its episode's id and its number there."""


def synthetic(episodes: Sequence[Episode], level: Level, seed: int) -> dict[DecisionKey, list[Judged]]:
    """At every decision its gold action, right, and another decision's that differs at `level`, wrong."""
    due = [decision for episode in episodes for decision in decisions(episode)]
    result: dict[DecisionKey, list[Judged]] = {}
    for decision in due:
        others = [d.gold for d in due if not agrees(d.gold, decision.gold, level)]
        found = [Judged(decision.gold, None, True)]
        if others:
            place = draw(seed, "negative", f"{decision.episode}/{decision.index}")
            found.append(Judged(others[int(place * len(others))], None, False))
        result[decision.episode, decision.index] = found
    return result
