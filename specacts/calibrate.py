"""Choose accept thresholds on the calibrate split: the most accurate one that a cost budget allows.

    choices = {name: choose(name, rows, sizes, acceptance, cost) for name in JUDGING}

Candidates lie midway between neighbouring scores, so that floating-point noise moves no score across one. Ties go to
the cheaper, then to the stricter threshold. Test data is never seen here.
"""

from typing import NamedTuple

import numpy as np

from specacts.answers import Answers, ModelSize
from specacts.config import Acceptance, Cost
from specacts.cost import Charge, charges, total
from specacts.episodes import agrees
from specacts.files import DIGITS
from specacts.policies import JUDGING, Policy, always_strong, score


ABOVE_ALL = 2.0
"""A threshold that rejects everything: scores are probabilities."""


class Choice(NamedTuple):
    """A threshold and what it did on the calibrate split. `cost` is relative to always asking the strong model."""

    threshold: float
    within_budget: bool
    accuracy: float
    accept_rate: float
    cost: float
    decisions: int
    groups: int


class Replay(NamedTuple):
    """What a policy did on a split: accuracy at the level, accept rate, and its total charge."""

    accuracy: float
    accept_rate: float
    charge: Charge


def choose(name: str, rows: list[Answers], sizes: dict[str, ModelSize], acceptance: Acceptance, cost: Cost) -> Choice:
    """The threshold of a judging policy (`name` in JUDGING).

    Where no threshold is within `acceptance.max_relative_cost`, the most accurate one is taken and
    `within_budget` is False: the report says so.
    """
    reference = getattr(replay(always_strong, rows, sizes, acceptance, cost).charge, cost.model)
    options = []
    for threshold in thresholds([score(row, name) for row in rows]):
        did = replay(JUDGING[name](threshold), rows, sizes, acceptance, cost)
        relative = getattr(did.charge, cost.model) / reference
        options.append((relative <= acceptance.max_relative_cost, did.accuracy, -relative, threshold, did.accept_rate))
    within, accuracy, negative_cost, threshold, accept_rate = max(options)
    groups = len({row.group for row in rows})
    return Choice(threshold, within, accuracy, accept_rate, -negative_cost, len(rows), groups)


def thresholds(scores: list[float], most: int = 64) -> list[float]:
    """One below all scores, one above all, and midpoints between neighbours, at most `most` of them by quantile.

    Rounded as metrics are written, so that the threshold that is stored is the one that was tried.
    """
    distinct = np.unique(scores)
    midpoints = (distinct[:-1] + distinct[1:]) / 2
    if len(midpoints) > most:
        midpoints = np.quantile(midpoints, np.linspace(0, 1, most), method="nearest")
    return sorted({0.0, *(round(float(m), DIGITS) for m in midpoints), ABOVE_ALL})


def replay(
    policy: Policy, rows: list[Answers], sizes: dict[str, ModelSize], acceptance: Acceptance, cost: Cost
) -> Replay:
    """Run a policy over recorded answers."""
    outcomes = [policy(row) for row in rows]
    right = [agrees(outcome.action, row.gold, acceptance.level) for outcome, row in zip(outcomes, rows, strict=True)]
    accepted = [bool(outcome.accepted) for outcome in outcomes]
    charge = total(charges(rows, outcomes, sizes, cost.upstream))
    return Replay(float(np.mean(right)), float(np.mean(accepted)), charge)
