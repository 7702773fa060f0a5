"""Choose accept thresholds on the calibration split: the most accurate one that a cost budget allows, and safe ones.

    fitted = calibrate(cases, tariff, config.acceptance, config.cost.model, fixed_thresholds(config.recipe))
    fitted["D"].threshold
    menu(cases, config.acceptance, most=11)["D"]["0.1"]   # shown to lose no more than 10 points (guarantee.py)
    promised(cases, config.acceptance, most=11)["D"]      # at the risk that was asked for, by action type

Where a recipe fixes thresholds, the split only tells what they do. A threshold
that is merely the best is one of a few hundred on a few hundred decisions: what it reached here is a little flattered,
and nothing is guaranteed about other data. Test data is never seen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from specacts.config import Acceptance, Recipe
from specacts.core.episodes import agrees
from specacts.core.errors import UserError
from specacts.core.files import rounded
from specacts.core.words import ACTION_TYPES, ActionType, Level
from specacts.policies.bet import groups_needed, weights
from specacts.policies.cases import Case, greedy_right, judging
from specacts.policies.cost import Charge, Swept, Tariff, charges, sweep, total
from specacts.policies.decide import ALWAYS, NEVER, Outcome, Threshold, act
from specacts.policies.guarantee import Evidence, certified, certified_by_kind, evidence_of, repeated, sizes_of
from specacts.policies.needs import RISKS, needed
from specacts.policies.probability import Calibration, choose
from specacts.policies.results import Cascade, Fitted, OnCalibrate
from specacts.policies.table import JUDGING, POLICIES, RUN_LIVE

EVEN = 0.5
"""Even odds, of a reward 0: where a recipe fixes its thresholds."""
TIMES = (2, 4, 8)
"""How many times the groups the projection assumes."""


Standing = TypeVar("Standing", Fitted, Cascade)


class Chosen(NamedTuple):
    """A policy of the compared ones, and its threshold (None: it has none)."""

    policy: str
    threshold: Threshold | None


def fixed_thresholds(recipe: Recipe) -> dict[str, float]:
    """The thresholds that a recipe leaves no choice of, by policy."""
    fixed = dict.fromkeys(JUDGING, EVEN) if recipe.threshold == "fixed" else {}
    return fixed if recipe.picks.may_reject else {**fixed, "E": ALWAYS}


def calibrate(
    cases: list[Case],
    tariff: Tariff,
    acceptance: Acceptance,
    model: str,
    fixed: Mapping[str, float] | None = None,
) -> dict[str, Fitted]:
    """The threshold of every judging policy: the best one, or the one that is fixed. model: what the budget counts."""
    fitted = {}
    for name in judging(cases):
        swept = [at(cases, name, fixed[name], tariff)] if fixed and name in fixed else sweep(cases, name, tariff)
        fitted[name] = best(_fits(cases, name, swept, tariff, acceptance, model))
    return fitted


def at(cases: list[Case], name: str, threshold: float, tariff: Tariff) -> Swept:
    """Judging policy `name` at one given threshold."""
    outcomes = [act(name, case, threshold) for case in cases]
    accepted = tuple(bool(outcome.accepted) for outcome in outcomes)
    return Swept(threshold, accepted, spent(cases, outcomes, tariff), {})


def _fits(
    cases: list[Case], name: str, swept: list[Swept], tariff: Tariff, acceptance: Acceptance, model: str
) -> list[Fitted]:
    strong = spent(cases, [act("A", case) for case in cases], tariff)
    accept, reject = right_sides(cases, name, acceptance.level)
    found = []
    for point in swept:
        taken = np.array(point.accepted)
        right = int(np.where(taken, accept, reject).sum())
        relative = round(getattr(point.charge, model) / getattr(strong, model), 9)  # float noise must not break a tie
        affordable, gain = relative <= acceptance.max_relative_cost, (right - int(reject.sum())) / len(cases)
        found.append(
            Fitted(
                threshold=point.threshold,
                within_budget=affordable,
                accuracy=right / len(cases),
                gain=gain,
                accept_rate=float(taken.mean()),
                cost=relative,
            )
        )
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


def menu(cases: list[Case], acceptance: Acceptance, most: int) -> dict[str, dict[str, float]]:
    """By policy and risk of `RISKS`, the lowest threshold shown to be safe; `NEVER` where none is.

    most: decisions of a group that count (guarantee.py).
    At each risk, the thresholds of all policies are safe together with the wanted confidence.
    """
    result = {}
    for name in acceptance.policies:
        evidence = evidence_for(cases, name, acceptance.level)
        found = {f"{risk:g}": certified(evidence, risk, share(acceptance), most) for risk in RISKS}
        result[name] = {risk: NEVER if threshold is None else threshold for risk, threshold in found.items()}
    return result


def projected(cases: list[Case], acceptance: Acceptance, most: int) -> dict[str, dict[str, dict[str, float]]]:
    """What a larger calibration split would show, were its groups like these: the share accepted at safe thresholds.

    By how many times the groups (`TIMES`), by policy, by risk. Nothing is certified by this: it says what to expect.
    """
    evidences = {name: evidence_for(cases, name, acceptance.level) for name in acceptance.policies}
    result: dict[str, dict[str, dict[str, float]]] = {}
    for times in TIMES:
        result[str(times)] = {}
        for name, evidence in evidences.items():
            more = repeated(evidence, times)
            found = {f"{risk:g}": certified(more, risk, share(acceptance), most) for risk in RISKS}
            accepted = {r: 0.0 if t is None else float((evidence.scores >= t).mean()) for r, t in found.items()}
            result[str(times)][name] = accepted
    return result


def promised(cases: list[Case], acceptance: Acceptance, most: int) -> dict[str, Threshold]:
    """By policy, thresholds that keep `acceptance.risk`, and of each type in `risk_by_type` its own risk.

    Types without a risk of their own share one threshold, which keeps `risk` over their proposals taken together. A
    type whose risk is 0 is never accepted, which needs no proof. G knows no type before it decides, and S none where
    nobody proposes: their one threshold has to keep every type's risk. Raises `UserError` where the split has too few
    groups to show anything.
    """
    enough_groups(weighed(cases, most), acceptance)
    return {name: _promised(cases, name, acceptance, most) for name in acceptance.policies}


def _promised(cases: list[Case], name: str, acceptance: Acceptance, most: int) -> Threshold:
    evidence = evidence_for(cases, name, acceptance.level)
    by_type = acceptance.risk_by_type
    others = np.where(np.isin(evidence.kinds, list(by_type)), evidence.kinds, "")
    risks: dict[str, float] = {kind: risk for kind, risk in by_type.items() if risk > 0} | {"": _risk(acceptance)}
    found = certified_by_kind(evidence._replace(kinds=others), risks, share(acceptance), most)
    safe = {kind: NEVER if threshold is None else threshold for kind, threshold in found.items()}
    if not by_type:
        return safe[""]
    thresholds: dict[str, float] = {k: safe.get(k, NEVER) if k in by_type else safe[""] for k in ACTION_TYPES}
    return max(thresholds.values()) if POLICIES[name].one_threshold else thresholds


def _risk(acceptance: Acceptance) -> float:
    assert acceptance.risk is not None, "no risk was asked for"
    return acceptance.risk


def enough_groups(there: Sequence[float] | np.ndarray, acceptance: Acceptance) -> None:
    """Raises `UserError` where even a policy without any loss could not be shown to keep `acceptance.risk`.

    there: the weights of the calibration split's groups.
    """
    tests = 1 + sum(risk > 0 for risk in acceptance.risk_by_type.values())
    risk, wanted = _risk(acceptance), groups_needed(_risk(acceptance), share(acceptance, tests), there)
    if len(there) < wanted:
        raise UserError(
            f"acceptance.risk: {risk:g} cannot be promised with confidence {acceptance.confidence:g} for "
            f"{_counted(len(acceptance.policies), 'policy', 'policies')} ({', '.join(acceptance.policies)}): even "
            f"without a single loss it takes {wanted} calibration groups, and there are {len(there)}. Allow more risk, "
            "ask for less confidence, name fewer acceptance.policies (a single one takes "
            f"{groups_needed(risk, (1 - acceptance.confidence) / tests, there)}), or make the calibration split "
            "larger (split and answer.calibrate_episodes in the scale file)"
        )


def weighed(cases: list[Case], most: int) -> np.ndarray:
    """What each group weighs in a promise, in the cases' order."""
    return weights(sizes_of([case.row.group for case in cases]), most)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def evidence_for(cases: list[Case], name: str, level: Level) -> Evidence:
    """What the split says of accepting each of judging policy `name`'s proposals."""
    accept, reject = right_sides(cases, name, level)
    sides = [case.sides[name] for case in cases]
    proposed = [side.accept.action for side in sides]
    kinds = [action.type if action else "" for action in proposed]
    losses = reject.astype(float) - accept.astype(float)
    return evidence_of([side.score for side in sides], losses, [case.row.group for case in cases], kinds)


# -- choosing a policy --------------------------------------------------------------------------------------


def most_accurate(
    fitted: Mapping[str, Fitted], cases: list[Case], tariff: Tariff, acceptance: Acceptance, model: str
) -> Chosen:
    """The most accurate policy within the cost budget, A and B included; ties go to the cheaper."""
    options = {name: (fit.gain, fit.cost) for name, fit in fitted.items() if fit.within_budget}
    for name in ("A", "B"):
        gain, cost = _standing(cases, name, None, tariff, acceptance.level, model)
        if cost <= acceptance.max_relative_cost:
            options[name] = (gain, cost)
    name = max(options, key=lambda one: (options[one][0], -options[one][1]), default="A")
    return Chosen(name, fitted[name].threshold if name in fitted else None)


def best_other(fitted: Mapping[str, Fitted]) -> str:
    """The judging policy that runs live beside `LIVE`: within budget if there is one, then by gain, then by cost."""
    return max(
        (name for name in fitted if name not in RUN_LIVE),
        key=lambda n: (fitted[n].within_budget, fitted[n].gain, -fitted[n].cost),
    )


def cheapest(safe: Mapping[str, Threshold], cases: list[Case], tariff: Tariff, level: Level, model: str) -> Chosen:
    """Of the policies at safe thresholds, the one that cost least on the calibration split; A where none is cheaper.

    All of them are safe together, so choosing among them breaks no promise.
    """
    costs = {"A": 1.0}
    for name, threshold in safe.items():
        costs[name] = _standing(cases, name, threshold, tariff, level, model)[1]
    name = min(costs, key=lambda one: costs[one])
    return Chosen(name, safe.get(name))


def _standing(
    cases: list[Case], name: str, threshold: Threshold | None, tariff: Tariff, level: Level, model: str
) -> tuple[float, float]:
    """A policy's accuracy minus A's, and its cost over A's."""
    mine, strong = [act(name, case, threshold) for case in cases], [act("A", case) for case in cases]
    gain = sum(correct(cases, mine, level)) - sum(correct(cases, strong, level))
    cost, unit = (getattr(spent(cases, outcomes, tariff), model) for outcomes in (mine, strong))
    return gain / len(cases), cost / unit


# -- the rest -----------------------------------------------------------------------------------------------


def calibrated(cases: list[Case], name: str, level: Level) -> Calibration:
    """What makes probabilities of judging policy `name`'s scores of greedy proposals."""
    right = greedy_right([case.row for case in cases], level)
    return choose([case.sides[name].score for case in cases], right, [case.row.group for case in cases])


def correct(cases: list[Case], outcomes: list[Outcome], level: Level) -> list[bool]:
    """Whether each outcome agrees with the gold action at `level`."""
    return [agrees(outcome.action, case.row.gold, level) for case, outcome in zip(cases, outcomes, strict=True)]


def right_sides(cases: list[Case], name: str, level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Whether accepting, and rejecting, would be right: boolean [cases] each."""
    sides = [case.sides[name] for case in cases]
    accept = np.array(correct(cases, [side.accept for side in sides], level), dtype=bool)
    return accept, np.array(correct(cases, [side.reject for side in sides], level), dtype=bool)


def spent(cases: list[Case], outcomes: list[Outcome], tariff: Tariff) -> Charge:
    """What these outcomes cost together."""
    return total(charges([case.row for case in cases], outcomes, tariff))


def commonest_type(cases: list[Case]) -> ActionType:
    """The gold action type of most decisions (of equals, the first by name): what the majority baseline answers."""
    counts = Counter(case.row.gold.type for case in cases)
    return min(counts, key=lambda action_type: (-counts[action_type], action_type))


def on_calibrate(
    cases: list[Case],
    fitted: Mapping[str, Fitted],
    offered: dict[str, dict[str, float]],
    acceptance: Acceptance,
    cost_model: str,
    most: int,
    cascade: Cascade | None = None,
) -> OnCalibrate:
    """What `metrics/calibrate.json` holds: rounded, except for thresholds, which rounding would move across scores."""
    sizes, weighs = sizes_of([case.row.group for case in cases]), weighed(cases, most)
    return OnCalibrate(
        decisions=len(cases),
        groups=len(sizes),
        average_over=acceptance.average_over,
        most_counted=most,
        larger_groups=int((sizes > most).sum()),
        mean_weight=round(float(weighs.mean()), 6),
        level=acceptance.level,
        cost_model=cost_model,
        max_relative_cost=acceptance.max_relative_cost,
        confidence=acceptance.confidence,
        majority=commonest_type(cases),
        guaranteed=offered,
        projected=projected(cases, acceptance, most),
        groups_needed=needed(len(acceptance.policies), acceptance.confidence, weighs),
        policies={name: _rounded(fit, "threshold") for name, fit in fitted.items()},
        cascade=_rounded(cascade, "cheap", "middle") if cascade else None,
    )


def _rounded(found: Standing, *exact: str) -> Standing:
    values = found.model_dump()
    return type(found)(**{**rounded(values), **{name: values[name] for name in exact}})
