"""Choose accept thresholds on the calibrate split: the most accurate one that a cost budget allows.

    fitted = calibrate(rows, sizes, config.acceptance, config.cost, fixed_thresholds(config.recipe))
    fitted["D"].threshold

A recipe may fix thresholds beforehand; then the split only tells what they do. Beside them, for a few risks, the
thresholds that carry a guarantee (`guarantee.py`):

    guaranteed(rows, "type")["D"]["0.1"]

Nothing is guaranteed about other data: a threshold is the best of a few hundred on a few hundred decisions, so what
it reached here is a little flattered. Test data is never seen.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from specacts.answers import Answers, ModelSize
from specacts.calibration import Calibration, choose
from specacts.config import Acceptance, Cost, Level, Recipe
from specacts.cost import Swept, charges, sweep, total
from specacts.episodes import agrees
from specacts.files import rounded
from specacts.guarantee import Evidence, certified, evidence_of, groups_needed
from specacts.policies import ALWAYS, JUDGING, NEVER, Outcome, always_strong, choices, score

EVEN = 0.5
"""Even odds, of a reward 0: where a recipe fixes its thresholds."""


RISKS = (0.05, 0.1, 0.15, 0.2)
"""Losses of accuracy to the strong model for which guaranteed thresholds are sought."""
ERROR = 0.1
"""How often, over calibrate samples, any judging policy's guaranteed threshold at a risk may break its promise."""
SHARE = ERROR / len(JUDGING)
"""Each policy's part of it (Bonferroni): so one may choose between the policies afterwards."""


SCORED = ("C", "D", "F")
"""The policies that score the greedy proposal: their scores can be compared, and made probabilities."""


class Fitted(NamedTuple):
    """A policy's threshold and what it did on the calibrate split; `cost` is relative to always asking strong."""

    threshold: float
    within_budget: bool
    accuracy: float
    accept_rate: float
    cost: float


def fixed_thresholds(recipe: Recipe) -> dict[str, float]:
    """The thresholds that a recipe leaves no choice of, by policy."""
    fixed = dict.fromkeys(JUDGING, EVEN) if recipe.threshold == "fixed" else {}
    return fixed if recipe.picks.may_reject else {**fixed, "E": ALWAYS}


def calibrate(
    rows: list[Answers],
    sizes: dict[str, ModelSize],
    acceptance: Acceptance,
    cost: Cost,
    fixed: dict[str, float] | None = None,
) -> dict[str, Fitted]:
    """The threshold of every judging policy: the best one, or the one that is fixed."""
    strong = total(charges(rows, [always_strong(row) for row in rows], sizes, cost.upstream))
    budget = acceptance.max_relative_cost
    fitted = {}
    for name in JUDGING:
        both = choices(rows, name)
        accept = correct(rows, [choice.accept for choice in both], acceptance.level)
        reject = correct(rows, [choice.reject for choice in both], acceptance.level)
        if fixed and name in fixed:
            swept = [at(rows, name, fixed[name], sizes, cost)]
        else:
            swept = sweep(rows, name, sizes, cost.upstream)
        fitted[name] = best([_fit(point, accept, reject, strong, cost.model, budget) for point in swept])
    return fitted


def at(rows: list[Answers], name: str, threshold: float, sizes: dict[str, ModelSize], cost: Cost) -> Swept:
    """Judging policy `name` at one given threshold."""
    outcomes = [JUDGING[name](threshold)(row) for row in rows]
    accepted = tuple(bool(outcome.accepted) for outcome in outcomes)
    return Swept(threshold, accepted, total(charges(rows, outcomes, sizes, cost.upstream)))


def guaranteed(rows: list[Answers], level: Level) -> dict[str, dict[str, float]]:
    """By policy and risk, the lowest threshold shown to be safe; `NEVER` where none is.

    At each risk, the thresholds of all policies are safe together with probability 1 - `ERROR`.
    """
    result = {}
    for name in JUDGING:
        evidence = evidence_for(rows, name, level)
        found = {f"{risk:g}": certified(evidence, risk, SHARE) for risk in RISKS}
        result[name] = {risk: NEVER if threshold is None else threshold for risk, threshold in found.items()}
    return result


def calibrated(rows: list[Answers], name: str, level: Level) -> Calibration:
    """What makes probabilities of judging policy `name`'s scores of greedy proposals."""
    right = [agrees(row.cheap[0].action, row.gold, level) for row in rows]
    return choose([score(row, name) for row in rows], right, [row.group for row in rows])


def evidence_for(rows: list[Answers], name: str, level: Level) -> Evidence:
    """What the split says of accepting each of judging policy `name`'s proposals."""
    both = choices(rows, name)
    accept = np.array(correct(rows, [choice.accept for choice in both], level), dtype=float)
    reject = np.array(correct(rows, [choice.reject for choice in both], level), dtype=float)
    proposed = [choice.accept.action for choice in both]
    kinds = [action.type if action else "" for action in proposed]
    return evidence_of([score(row, name) for row in rows], reject - accept, [row.group for row in rows], kinds)


def correct(rows: list[Answers], outcomes: list[Outcome], level: Level) -> list[bool]:
    """Whether each outcome agrees with the gold action at `level`."""
    return [agrees(outcome.action, row.gold, level) for row, outcome in zip(rows, outcomes, strict=True)]


def _fit(point: Swept, accept: list[bool], reject: list[bool], strong: Any, model: str, budget: float) -> Fitted:
    right = sum(a if taken else r for taken, a, r in zip(point.accepted, accept, reject, strict=True))
    relative = round(getattr(point.charge, model) / getattr(strong, model), 9)  # float noise must not break a tie
    count = len(accept)
    return Fitted(point.threshold, relative <= budget, right / count, sum(point.accepted) / count, relative)


def best(options: list[Fitted]) -> Fitted:
    """The most accurate option within budget (of all, where none is); ties: the cheaper, then the higher threshold."""
    return max(options, key=lambda o: (o.within_budget, o.accuracy, -o.cost, o.threshold))


def commonest_type(rows: list[Answers]) -> str:
    """The gold action type of most decisions (of equals, the first by name): what the majority baseline answers."""
    counts = Counter(row.gold.type for row in rows)
    return min(counts, key=lambda action_type: (-counts[action_type], action_type))


def metrics(rows: list[Answers], fitted: dict[str, Fitted], acceptance: Acceptance, cost: Cost) -> dict[str, Any]:
    """What `metrics/calibrate.json` holds: rounded, except for thresholds, which rounding would move across scores."""
    return {
        "decisions": len(rows),
        "groups": len({row.group for row in rows}),
        "level": acceptance.level,
        "cost_model": cost.model,
        "max_relative_cost": acceptance.max_relative_cost,
        "majority": commonest_type(rows),
        "guaranteed": guaranteed(rows, acceptance.level),
        "groups_needed": {f"{risk:g}": groups_needed(risk, SHARE) for risk in RISKS},
        "policies": {name: {**rounded(fit._asdict()), "threshold": fit.threshold} for name, fit in fitted.items()},
    }
