"""The cascade's two bars, chosen on the calibration split like policies' thresholds: the most accurate pair in budget.

    cascade = choose_bars(cases, tariff, config.acceptance, config.cost.model)
    climb(case, cascade.bars)               # decide.py

It is a baseline: what a middle model is worth that acts itself, where the verifier's judges. Every bar of the cheap
model that is worth trying is tried together with `MIDDLE_BARS` of the middle one's, each pair charged in full. Of pairs
as accurate, the cheaper is taken, then the higher bars. Bars that no confidence reaches are not tried: without its
middle model a cascade is policy F, which stands beside it.
"""

from collections.abc import Sequence
from math import isnan

import numpy as np

from specacts.config import Acceptance
from specacts.policies.cases import Case, Side
from specacts.policies.choose import correct, spent
from specacts.policies.cost import Tariff, swept, thresholds
from specacts.policies.decide import ALWAYS, NEVER, Bars, Outcome, act, climb, middle_alone
from specacts.policies.results import Cascade

MIDDLE_BARS = 25
"""How many of the middle model's bars are tried: evenly spread, the lowest and the highest among them."""


def choose_bars(
    cases: list[Case], tariff: Tariff, acceptance: Acceptance, model: str, fixed: float | None = None
) -> Cascade | None:
    """The best pair, or the one that is fixed: both bars at it. model: what the budget counts.

    None where that says nothing of what the verifier's model takes to act, as upstream's fixed prices.
    """
    if isnan(getattr(spent(cases, [middle_alone(case) for case in cases], tariff), model)):
        return None
    if fixed is not None:
        return _standing(cases, Bars(fixed, fixed), tariff, acceptance, model)
    strong = getattr(spent(cases, [act("A", case) for case in cases], tariff), model)
    found = []
    for middle in _spread(thresholds([_middle(case) for case in cases])[:-1], MIDDLE_BARS):
        sides = [_side(case, middle) for case in cases]
        accept = _right(cases, [side.accept for side in sides], acceptance)
        reject = _right(cases, [side.reject for side in sides], acceptance)
        for point in swept([case.row for case in cases], sides, tariff)[:-1]:
            right = int(np.where(point.accepted, accept, reject).sum())
            cost = round(getattr(point.charge, model) / strong, 9)  # float noise must not break a tie
            found.append((cost <= acceptance.max_relative_cost, right, -cost, point.threshold, middle))
    *_, cheap, middle = max(found)
    return _standing(cases, Bars(cheap, middle), tariff, acceptance, model)


def _middle(case: Case) -> float:
    assert case.middle, "the verifier's model cannot act"
    return case.middle.confidence


def _side(case: Case, middle: float) -> Side:
    """What the cascade does where the cheap model is sure, and where it is not."""
    return Side(case.cheap[0].confidence, climb(case, Bars(ALWAYS, middle)), climb(case, Bars(NEVER, middle)))


def _standing(cases: list[Case], bars: Bars, tariff: Tariff, acceptance: Acceptance, model: str) -> Cascade:
    """What the cascade does with these bars."""
    mine, strong = [climb(case, bars) for case in cases], [act("A", case) for case in cases]
    right, of_strong = (_right(cases, outcomes, acceptance) for outcomes in (mine, strong))
    cost, unit = (getattr(spent(cases, outcomes, tariff), model) for outcomes in (mine, strong))
    relative = round(cost / unit, 9)
    return Cascade(
        cheap=bars.cheap,
        middle=bars.middle,
        within_budget=relative <= acceptance.max_relative_cost,
        accuracy=float(right.mean()),
        gain=float((right - of_strong).mean()),
        from_cheap=float(np.mean([outcome.actor == "cheap" for outcome in mine])),
        from_middle=float(np.mean([outcome.actor == "verifier" for outcome in mine])),
        cost=relative,
    )


def _right(cases: list[Case], outcomes: list[Outcome], acceptance: Acceptance) -> np.ndarray:
    return np.array(correct(cases, outcomes, acceptance.level), dtype=float)


def _spread(values: Sequence[float], most: int) -> list[float]:
    """At most so many of the values, evenly spread, the first and the last among them."""
    return [values[n] for n in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]
