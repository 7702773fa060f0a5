"""Choose accept thresholds on the calibrate split: the most accurate one that a cost budget allows, and safe ones.

    fitted = calibrate(rows, tariff, config.acceptance, config.cost.model, fixed_thresholds(config.recipe))
    fitted["D"].threshold
    menu(rows, config.acceptance)["D"]["0.1"]        # shown to lose no more than 10 points (guarantee.py)
    promised(rows, config.acceptance)["D"]           # at the risk that was asked for, by action type

Rows are judged, routed and combined. Where a recipe fixes thresholds, the split only tells what they do. A threshold
that is merely the best is one of a few hundred on a few hundred decisions: what it reached here is a little flattered,
and nothing is guaranteed about other data. Test data is never seen.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from specacts.answering.records import Answers
from specacts.config import Acceptance, Recipe
from specacts.core.episodes import agrees
from specacts.core.errors import UserError
from specacts.core.files import rounded
from specacts.core.words import ACTION_TYPES, Level
from specacts.policies.cost import Swept, Tariff, charges, sweep, total
from specacts.policies.decide import (
    ALWAYS,
    JUDGING,
    NEVER,
    Outcome,
    Policy,
    Threshold,
    always_strong,
    cheap_only,
    choices,
    score,
)
from specacts.policies.guarantee import Evidence, certified, certified_by_kind, evidence_of, groups_needed, repeated
from specacts.policies.probability import Calibration, choose

EVEN = 0.5
"""Even odds, of a reward 0: where a recipe fixes its thresholds."""
RISKS = (0.05, 0.1, 0.15, 0.2)
"""Losses of accuracy to the strong model that the menu offers."""
TIMES = (2, 4, 8)
"""How many times the groups the projection assumes."""
SCORED = ("C", "D", "F", "G", "H")
"""The policies that score the greedy proposal: their scores can be compared, and made probabilities."""
LIVE = ("A", "B", "D")
"""What runs on the simulators in any case; the best other one is chosen here."""


class Fitted(NamedTuple):
    """A policy's threshold and what it did on the calibrate split.

    gain: its accuracy minus the strong model's. cost: relative to always asking strong.
    """

    threshold: float
    within_budget: bool
    accuracy: float
    gain: float
    accept_rate: float
    cost: float


class Chosen(NamedTuple):
    """A policy of the compared ones, and its threshold (None: it has none)."""

    policy: str
    threshold: Threshold | None


def fixed_thresholds(recipe: Recipe) -> dict[str, float]:
    """The thresholds that a recipe leaves no choice of, by policy."""
    fixed = dict.fromkeys(JUDGING, EVEN) if recipe.threshold == "fixed" else {}
    return fixed if recipe.picks.may_reject else {**fixed, "E": ALWAYS}


def calibrate(
    rows: list[Answers],
    tariff: Tariff,
    acceptance: Acceptance,
    model: str,
    fixed: Mapping[str, float] | None = None,
) -> dict[str, Fitted]:
    """The threshold of every judging policy: the best one, or the one that is fixed. model: what the budget counts."""
    fitted = {}
    for name in JUDGING:
        swept = [at(rows, name, fixed[name], tariff)] if fixed and name in fixed else sweep(rows, name, tariff)
        fitted[name] = best(_fits(rows, name, swept, tariff, acceptance, model))
    return fitted


def at(rows: list[Answers], name: str, threshold: float, tariff: Tariff) -> Swept:
    """Judging policy `name` at one given threshold."""
    outcomes = [JUDGING[name](threshold)(row) for row in rows]
    accepted = tuple(bool(outcome.accepted) for outcome in outcomes)
    return Swept(threshold, accepted, total(charges(rows, outcomes, tariff)), {})


def _fits(
    rows: list[Answers], name: str, swept: list[Swept], tariff: Tariff, acceptance: Acceptance, model: str
) -> list[Fitted]:
    strong = total(charges(rows, [always_strong(row) for row in rows], tariff))
    both = choices(rows, name)
    accept = np.array(correct(rows, [choice.accept for choice in both], acceptance.level))
    reject = np.array(correct(rows, [choice.reject for choice in both], acceptance.level))
    found = []
    for point in swept:
        taken = np.array(point.accepted)
        right = int(np.where(taken, accept, reject).sum())
        relative = round(getattr(point.charge, model) / getattr(strong, model), 9)  # float noise must not break a tie
        affordable, gain = relative <= acceptance.max_relative_cost, (right - int(reject.sum())) / len(rows)
        found.append(Fitted(point.threshold, affordable, right / len(rows), gain, float(taken.mean()), relative))
    return found


def best(options: list[Fitted]) -> Fitted:
    """The most accurate option within budget (of all, where none is); ties: the cheaper, then the higher threshold."""
    return max(options, key=lambda o: (o.within_budget, o.accuracy, -o.cost, o.threshold))


# -- guarantees ---------------------------------------------------------------------------------------------


def share(acceptance: Acceptance, tests: int = 1) -> float:
    """What may go wrong with one of `tests` statements on one policy so that all policies' hold together (Bonferroni).

    One may then choose between the policies afterwards.
    """
    return (1 - acceptance.confidence) / (len(acceptance.policies) * tests)


def menu(rows: list[Answers], acceptance: Acceptance) -> dict[str, dict[str, float]]:
    """By policy and risk of `RISKS`, the lowest threshold shown to be safe; `NEVER` where none is.

    At each risk, the thresholds of all policies are safe together with the wanted confidence.
    """
    result = {}
    for name in acceptance.policies:
        evidence = evidence_for(rows, name, acceptance.level)
        found = {f"{risk:g}": certified(evidence, risk, share(acceptance)) for risk in RISKS}
        result[name] = {risk: NEVER if threshold is None else threshold for risk, threshold in found.items()}
    return result


def projected(rows: list[Answers], acceptance: Acceptance) -> dict[str, dict[str, dict[str, float]]]:
    """What a larger calibrate split would show, were its groups like these: the share accepted at safe thresholds.

    By how many times the groups (`TIMES`), by policy, by risk. Nothing is certified by this: it says what to expect.
    """
    evidences = {name: evidence_for(rows, name, acceptance.level) for name in acceptance.policies}
    result: dict[str, dict[str, dict[str, float]]] = {}
    for times in TIMES:
        result[str(times)] = {}
        for name, evidence in evidences.items():
            more = repeated(evidence, times)
            found = {f"{risk:g}": certified(more, risk, share(acceptance)) for risk in RISKS}
            accepted = {r: 0.0 if t is None else float((evidence.scores >= t).mean()) for r, t in found.items()}
            result[str(times)][name] = accepted
    return result


def promised(rows: list[Answers], acceptance: Acceptance) -> dict[str, Threshold]:
    """By policy, thresholds that keep `acceptance.risk`, and of each type in `risk_by_type` its own risk.

    Types without a risk of their own share one threshold, which keeps `risk` over their proposals taken together. A
    type whose risk is 0 is never accepted, which needs no proof. G knows no type before it decides: its one threshold
    has to keep every type's risk. Raises `UserError` where the split has too few groups to show anything.
    """
    enough_groups(rows, acceptance)
    return {name: _promised(rows, name, acceptance) for name in acceptance.policies}


def _promised(rows: list[Answers], name: str, acceptance: Acceptance) -> Threshold:
    evidence = evidence_for(rows, name, acceptance.level)
    by_type = acceptance.risk_by_type
    others = np.where(np.isin(evidence.kinds, list(by_type)), evidence.kinds, "")
    risks = {kind: risk for kind, risk in by_type.items() if risk > 0} | {"": acceptance.risk}
    found = certified_by_kind(evidence._replace(kinds=others), risks, share(acceptance))
    safe = {kind: NEVER if threshold is None else threshold for kind, threshold in found.items()}
    thresholds = {kind: safe.get(kind, NEVER) if kind in by_type else safe[""] for kind in ACTION_TYPES}
    if not by_type:
        return safe[""]
    return max(thresholds.values()) if name == "G" else thresholds


def enough_groups(rows: list[Answers], acceptance: Acceptance) -> None:
    """Raises `UserError` where even a policy without any loss could not be shown to keep `acceptance.risk`."""
    tests = 1 + sum(risk > 0 for risk in acceptance.risk_by_type.values())
    needed = groups_needed(acceptance.risk, share(acceptance, tests))
    have = len({row.group for row in rows})
    if have < needed:
        raise UserError(
            f"acceptance.risk: {acceptance.risk:g} cannot be promised with confidence {acceptance.confidence:g} for "
            f"{_counted(len(acceptance.policies), 'policy', 'policies')} ({', '.join(acceptance.policies)}): even "
            f"without a single loss it takes {needed} calibrate groups, and there are {have}. Allow more risk, ask for "
            "less confidence, name fewer acceptance.policies (a single one takes "
            f"{groups_needed(acceptance.risk, (1 - acceptance.confidence) / tests)}), or make the calibrate split "
            "larger (split and answer.calibrate_episodes in the scale file)"
        )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def evidence_for(rows: list[Answers], name: str, level: Level) -> Evidence:
    """What the split says of accepting each of judging policy `name`'s proposals."""
    both = choices(rows, name)
    accept = np.array(correct(rows, [choice.accept for choice in both], level), dtype=float)
    reject = np.array(correct(rows, [choice.reject for choice in both], level), dtype=float)
    proposed = [choice.accept.action for choice in both]
    kinds = [action.type if action else "" for action in proposed]
    return evidence_of([score(row, name) for row in rows], reject - accept, [row.group for row in rows], kinds)


# -- choosing a policy --------------------------------------------------------------------------------------


def most_accurate(
    fitted: Mapping[str, Fitted], rows: list[Answers], tariff: Tariff, acceptance: Acceptance, model: str
):
    """The most accurate policy within the cost budget, A and B included; ties go to the cheaper."""
    options = {name: (fit.gain, fit.cost) for name, fit in fitted.items() if fit.within_budget}
    for name, policy in (("A", always_strong), ("B", cheap_only)):
        gain, cost = _standing(rows, policy, tariff, acceptance.level, model)
        if cost <= acceptance.max_relative_cost:
            options[name] = (gain, cost)
    name = max(options, key=lambda one: (options[one][0], -options[one][1]), default="A")
    return Chosen(name, fitted[name].threshold if name in fitted else None)


def best_other(fitted: Mapping[str, Fitted]) -> str:
    """The judging policy that runs live beside `LIVE`: within budget if there is one, then by gain, then by cost."""
    return max(
        (name for name in fitted if name not in LIVE), key=lambda n: (fitted[n][1], fitted[n].gain, -fitted[n].cost)
    )


def cheapest(safe: Mapping[str, Threshold], rows: list[Answers], tariff: Tariff, level: Level, model: str) -> Chosen:
    """Of the policies at safe thresholds, the one that cost least on the calibrate split; A where none is cheaper.

    All of them are safe together, so choosing among them breaks no promise.
    """
    spent = {"A": 1.0}
    for name, threshold in safe.items():
        spent[name] = _standing(rows, JUDGING[name](threshold), tariff, level, model)[1]
    name = min(spent, key=lambda one: spent[one])
    return Chosen(name, safe.get(name))


def _standing(rows: list[Answers], policy: Policy, tariff: Tariff, level: Level, model: str) -> tuple[float, float]:
    """A policy's accuracy minus A's, and its cost over A's."""
    mine, strong = [policy(row) for row in rows], [always_strong(row) for row in rows]
    gain = sum(correct(rows, mine, level)) - sum(correct(rows, strong, level))
    spent, unit = (getattr(total(charges(rows, outcomes, tariff)), model) for outcomes in (mine, strong))
    return gain / len(rows), spent / unit


# -- the rest -----------------------------------------------------------------------------------------------


def calibrated(rows: list[Answers], name: str, level: Level) -> Calibration:
    """What makes probabilities of judging policy `name`'s scores of greedy proposals."""
    right = [agrees(row.cheap[0].action, row.gold, level) for row in rows]
    return choose([score(row, name) for row in rows], right, [row.group for row in rows])


def correct(rows: list[Answers], outcomes: list[Outcome], level: Level) -> list[bool]:
    """Whether each outcome agrees with the gold action at `level`."""
    return [agrees(outcome.action, row.gold, level) for row, outcome in zip(rows, outcomes, strict=True)]


def commonest_type(rows: list[Answers]) -> str:
    """The gold action type of most decisions (of equals, the first by name): what the majority baseline answers."""
    counts = Counter(row.gold.type for row in rows)
    return min(counts, key=lambda action_type: (-counts[action_type], action_type))


def metrics(
    rows: list[Answers],
    fitted: Mapping[str, Fitted],
    offered: Mapping[str, Mapping[str, float]],
    acceptance: Acceptance,
    cost_model: str,
) -> dict[str, Any]:
    """What `metrics/calibrate.json` holds: rounded, except for thresholds, which rounding would move across scores."""
    return {
        "decisions": len(rows),
        "groups": len({row.group for row in rows}),
        "level": acceptance.level,
        "cost_model": cost_model,
        "max_relative_cost": acceptance.max_relative_cost,
        "confidence": acceptance.confidence,
        "majority": commonest_type(rows),
        "guaranteed": offered,
        "projected": projected(rows, acceptance),
        "groups_needed": {f"{risk:g}": groups_needed(risk, share(acceptance)) for risk in RISKS},
        "policies": {name: {**rounded(fit._asdict()), "threshold": fit.threshold} for name, fit in fitted.items()},
    }
