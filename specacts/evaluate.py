"""The numbers of the comparison: policies and baselines over the same recorded test answers, with intervals.

    tracks = run(rows, sizes, thresholds, majority, level, cost)
    evaluation = evaluate(rows, tracks, level, score, resamples, seed)       # what metrics/eval.json holds

A `Track` is what one policy or baseline did at every decision; everything else is computed from tracks. Every
interval is a 95 % bootstrap that resamples groups; all come from the same resamples, so differences are paired.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from specacts.answers import Answers, ModelSize, judged_by
from specacts.calibrate import correct
from specacts.calibration import Calibration
from specacts.config import Cost, JudgeScore, Level
from specacts.cost import COST_MODELS, Charge, charges, expected_charges, sweep, total, without_fallback
from specacts.effects import SameEffect, by_text, does_the_same
from specacts.episodes import ACTION_TYPES, SPEAKING, agrees
from specacts.episodes import LEVELS as TEXT_LEVELS
from specacts.policies import JUDGING, NEVER, Choice, Outcome, Policy, always_strong, choices, policies
from specacts.quality import score_quality, verifier_quality
from specacts.stats import Estimate, mean, ratio, resample_weights, spread_out

POLICIES = ("A", "B", *JUDGING)
LEVELS = (*TEXT_LEVELS, "effect")
"""How closely an action agrees with gold: by its text (episodes.py), or by what it does when it is executed."""
BASELINES = ("majority", "random", "random_accept", "oracle", "oracle_picks")
MALFORMED = "malformed"
"""The class of an output that is no action, in confusion matrices."""


class Track(NamedTuple):
    """A policy or baseline over the test decisions; each array is [rows] and holds probabilities where it tosses coins.

    right: at each level. kept: whether the cheap model's action was taken; None where no model was asked.
    proposed_right: for judges, whether the proposal was right at the acceptance level, taken or not.
    unpaid: upstream's price of the calls without what the strong model does itself, as upstream's own table has it.
    """

    right: dict[str, np.ndarray]
    kept: np.ndarray | None
    malformed: np.ndarray
    charges: list[Charge]
    proposed_right: np.ndarray | None = None
    unpaid: np.ndarray | None = None


def run(
    rows: list[Answers],
    sizes: dict[str, ModelSize],
    thresholds: dict[str, float],
    majority: str,
    level: Level,
    cost: Cost,
    same: Sequence[SameEffect] | None = None,
) -> dict[str, Track]:
    """Every policy and baseline over `rows`, by name.

    thresholds: of the judging policies. majority: the action type that the majority baseline always answers.
    same: a row's candidates by effect; without it calls are compared by their text alone.
    """
    judged = Judged(rows, same or [by_text(row) for row in rows])
    both = {name: choices(rows, name) for name in JUDGING}
    tracks = {}
    for name, policy in policies(thresholds).items():
        proposed = None
        if name in JUDGING:
            proposed = judged.right([choice.accept for choice in both[name]], level)
        tracks[name] = track(judged, [policy(row) for row in rows], sizes, cost, proposed)
    rate = float(tracks["D"].kept.mean())
    tracks["majority"] = constant(rows, {t: float(t == majority) for t in ACTION_TYPES})
    tracks["random"] = constant(rows, {t: 1 / len(ACTION_TYPES) for t in ACTION_TYPES})
    tracks["random_accept"] = random_accept(judged, both["D"], rate, level, sizes, cost)
    tracks["oracle"] = oracle(judged, both["D"], level, sizes, cost)
    picks = [pick_right(row, choice, level) for row, choice in zip(rows, both["E"], strict=True)]
    tracks["oracle_picks"] = oracle(judged, picks, level, sizes, cost)
    return tracks


def run_guaranteed(
    rows: list[Answers],
    sizes: dict[str, ModelSize],
    thresholds: dict[str, dict[str, float]],
    cost: Cost,
    same: Sequence[SameEffect] | None = None,
) -> dict[str, dict[str, Track]]:
    """Every judging policy at its guaranteed thresholds, by risk. Where there is none it is A: nobody else is asked."""
    judged = Judged(rows, same or [by_text(row) for row in rows])
    result: dict[str, dict[str, Track]] = {}
    for name, by_risk in thresholds.items():
        found = {
            risk: always_strong if threshold >= NEVER else JUDGING[name](threshold)
            for risk, threshold in by_risk.items()
        }
        result[name] = {
            risk: track(judged, [policy(row) for row in rows], sizes, cost) for risk, policy in found.items()
        }
    return result


class Judged(NamedTuple):
    """Decisions, and what each of their candidates would do."""

    rows: list[Answers]
    same: Sequence[SameEffect]

    def right(self, outcomes: list[Outcome], level: str) -> np.ndarray:
        """Whether each outcome agrees with its gold action at a level of `LEVELS`: 1.0 or 0.0, [rows]."""
        if level != "effect":
            return np.array(correct(self.rows, outcomes, level), dtype=float)
        triples = zip(self.rows, self.same, outcomes, strict=True)
        return np.array([does_the_same(row, same, outcome.action) for row, same, outcome in triples], dtype=float)


def track(
    judged: Judged,
    outcomes: list[Outcome],
    sizes: dict[str, ModelSize],
    cost: Cost,
    proposed_right: np.ndarray | None = None,
) -> Track:
    """What these outcomes were worth and cost."""
    return Track(
        right={level: judged.right(outcomes, level) for level in LEVELS},
        kept=np.array([outcome.actor == "cheap" for outcome in outcomes], dtype=float),
        malformed=np.array([outcome.action is None for outcome in outcomes], dtype=float),
        charges=charges(judged.rows, outcomes, sizes, cost.upstream),
        proposed_right=proposed_right,
        unpaid=np.array([without_fallback(outcome, cost.upstream) for outcome in outcomes]),
    )


def constant(rows: list[Answers], chances: dict[str, float]) -> Track:
    """Answering a type with a fixed chance, the context unseen: expectations, at no cost.

    It says nothing and names no tool, so above the type level it is right where a speaking action was due only.
    """
    typed = np.array([chances[row.gold.type] for row in rows])
    spoken = np.array([chances[row.gold.type] if row.gold.type in SPEAKING else 0.0 for row in rows])
    nothing = total([])
    return Track(
        right={"type": typed, "tool": spoken, "call": spoken, "effect": spoken},
        kept=None,
        malformed=np.zeros(len(rows)),
        charges=[nothing] * len(rows),
    )


def random_accept(
    judged: Judged, both: list[Choice], rate: float, level: Level, sizes: dict[str, ModelSize], cost: Cost
) -> Track:
    """Policy D with a coin for a verdict, accepting with probability `rate`: exact expectations, charged like D."""
    accept = track(judged, [choice.accept for choice in both], sizes, cost)
    reject = track(judged, [choice.reject for choice in both], sizes, cost)
    return Track(
        right={lv: rate * accept.right[lv] + (1 - rate) * reject.right[lv] for lv in LEVELS},
        kept=np.full(len(both), rate),
        malformed=rate * accept.malformed + (1 - rate) * reject.malformed,
        charges=expected_charges(judged.rows, both, rate, sizes, cost.upstream),
        proposed_right=accept.right[level],
    )


def oracle(judged: Judged, both: list[Choice], level: Level, sizes: dict[str, ModelSize], cost: Cost) -> Track:
    """A judge that accepts exactly the right proposals: what no verifier of these proposals can exceed at `level`."""
    proposed = judged.right([choice.accept for choice in both], level)
    outcomes = [choice.accept if right else choice.reject for choice, right in zip(both, proposed, strict=True)]
    return track(judged, outcomes, sizes, cost, proposed)


def pick_right(row: Answers, choice: Choice, level: Level) -> Choice:
    """Policy E's choice with the first right one of its N proposals put forward, where there is one."""
    right = next((c for c in row.cheap if agrees(c.action, row.gold, level)), None)
    if right is None:
        return choice
    return choice._replace(accept=choice.accept._replace(action=right.action, tokens=right.tokens))


# -- metrics ------------------------------------------------------------------------------------------------


def evaluate(
    rows: list[Answers],
    tracks: dict[str, Track],
    level: Level,
    judge: JudgeScore,
    resamples: int,
    seed: int,
    kept: dict[str, dict[str, Track]] | None = None,
    calibrations: dict[str, Calibration] | None = None,
) -> dict[str, Any]:
    """Everything in `metrics/eval.json`: what JSON can hold, in a fixed order; None where there is no such number.

    rows: as recorded. judge: what of the verifier's the tracks of D and E went by. kept: `run_guaranteed`'s tracks.
    calibrations: by policy, of the scores of greedy proposals.
    """
    weights = resample_weights([row.group for row in rows], resamples, seed)
    strong = tracks["A"]
    return {
        "decisions": len(rows),
        "groups": len({row.group for row in rows}),
        "level": level,
        "policies": {name: summary(tracks[name], strong, level, weights) for name in POLICIES},
        "paired": paired(tracks, weights),
        "guaranteed": {
            name: {risk: promise(own, strong, level, weights) for risk, own in by_risk.items()}
            for name, by_risk in (kept or {}).items()
        },
        "verifier": verifier_quality(rows, level, judge, weights),
        "scores": score_quality(judged_by(rows, judge), calibrations or {}, level, weights),
        "baselines": {name: summary(tracks[name], strong, level, weights) for name in BASELINES},
        "cost_per_decision": {"A": per_decision(strong)},
        "upstream_without_fallback": {name: float(tracks[name].unpaid.mean()) for name in JUDGING},
    }


def summary(track: Track, strong: Track, level: Level, weights: np.ndarray) -> dict[str, Any]:
    """One policy's or baseline's accuracies, accept rate, precision and recall of ACCEPT, and cost relative to A.

    The precision of a judge that accepts nothing, and the recall where nothing was right, are 0, as in scikit-learn:
    the same keys hold numbers in every experiment, and `dvc metrics diff` lines up.
    """
    result: dict[str, Any] = {}
    for each in LEVELS:
        result |= spread_out(f"{each}_accuracy", mean(track.right[each], weights))
    if track.kept is not None:
        result |= spread_out("accept_rate", mean(track.kept, weights))
    if track.proposed_right is not None:
        hits = track.kept * track.proposed_right
        result |= spread_out("precision", ratio(hits, track.kept, weights), empty=0.0)
        result |= spread_out("recall", ratio(hits, track.proposed_right, weights), empty=0.0)
    result["malformed"] = float(track.malformed.mean())
    return result | {"cost": relative_costs(track, strong, weights)}


def promise(track: Track, strong: Track, level: Level, weights: np.ndarray) -> dict[str, Any]:
    """What a policy at a guaranteed threshold did: share accepted, accuracy lost to A (negative: won), cost."""
    lost = strong.right[level] - track.right[level]
    result = {"accept_rate": float(track.kept.mean()), **spread_out("lost", mean(lost, weights))}
    return result | {"cost": relative_costs(track, strong, weights)}


def relative_costs(track: Track, strong: Track, weights: np.ndarray) -> dict[str, float | None]:
    """`relative_cost` by every cost model, with intervals."""
    result: dict[str, float | None] = {}
    for model in COST_MODELS:
        result |= spread_out(model, relative_cost(track, strong, model, weights))
    return result


def relative_cost(track: Track, strong: Track, model: str, weights: np.ndarray) -> Estimate:
    """Total charge over policy A's."""
    own, reference = ([getattr(charge, model) for charge in t.charges] for t in (track, strong))
    return ratio(own, reference, weights)


def per_decision(track: Track) -> dict[str, float]:
    """Mean charge of a decision: FLOPs (whole numbers), seconds, upstream's units."""
    mean_charge = {model: value / len(track.charges) for model, value in total(track.charges)._asdict().items()}
    return {model: round(value) if model.startswith("flops") else value for model, value in mean_charge.items()}


def paired(tracks: dict[str, Track], weights: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Differences in accuracy on the same decisions: every policy minus A, and minus B."""
    result: dict[str, dict[str, float | None]] = {}
    for other in ("A", "B"):
        for name in POLICIES:
            if name != other:
                entry = result.setdefault(f"{name}_minus_{other}", {})
                for level in LEVELS:
                    difference = tracks[name].right[level] - tracks[other].right[level]
                    entry |= spread_out(f"{level}_accuracy", mean(difference, weights))
    return result


# -- data of the plots --------------------------------------------------------------------------------------

OUTCOME = ("episode", "decision", "group", "policy", *(f"right_{level}" for level in LEVELS), *COST_MODELS)
FRONTIER = ("name", "kind", "threshold", "cost", "cost_low", "cost_high", "accuracy", "accuracy_low", "accuracy_high")
CONFUSION = ("actual", "predicted")
ACCEPT_RATE = ("policy", "action_type", "decisions", "accept_rate", "accept_rate_low", "accept_rate_high", "precision")
SWEEP_POINTS = 60

Cells = tuple[str | float | None, ...]


def outcomes(rows: list[Answers], tracks: dict[str, Track]) -> Iterator[Cells]:
    """Rows of `OUTCOME`: whether each policy was right at each decision, and what it was charged there."""
    for name in POLICIES:
        track = tracks[name]
        for n, row in enumerate(rows):
            right = (int(track.right[level][n]) for level in LEVELS)
            yield (row.episode, row.decision, row.group, name, *right, *track.charges[n])


def frontier(
    rows: list[Answers],
    tracks: dict[str, Track],
    evaluation: dict[str, Any],
    sizes: dict[str, ModelSize],
    level: Level,
    cost: Cost,
) -> list[Cells]:
    """Rows of `FRONTIER`: policies and baselines with their intervals, then D at up to `SWEEP_POINTS` thresholds.

    cost: in units of A's, by the configured cost model. The sweep is over the test split: for the eye only.
    """
    result: list[Cells] = []
    for kind in ("policies", "baselines"):
        for name, entry in evaluation[kind].items():
            spent = [entry["cost"][f"{cost.model}{end}"] for end in ("", "_low", "_high")]
            got = [entry[f"{level}_accuracy{end}"] for end in ("", "_low", "_high")]
            result.append((name, kind, None, *spent, *got))
    both = choices(rows, "D")
    accept, reject = (np.array(correct(rows, list(side), level)) for side in zip(*both, strict=True))
    strong = getattr(total(tracks["A"].charges), cost.model)
    for point in thinned(sweep(rows, "D", sizes, cost.upstream), SWEEP_POINTS):
        accuracy = float(np.where(point.accepted, accept, reject).mean())
        relative = getattr(point.charge, cost.model) / strong
        result.append(("D", "sweep", point.threshold, relative, None, None, accuracy, None, None))
    return result


def thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(n * (len(values) - 1) / (most - 1))] for n in range(most)]


def confusion(rows: list[Answers], policy: Policy) -> list[Cells]:
    """Rows of `CONFUSION`, one a decision: the type that was due, and the type of what the policy did."""
    actions = [policy(row).action for row in rows]
    return [(row.gold.type, action.type if action else MALFORMED) for row, action in zip(rows, actions, strict=True)]


def accept_rates(rows: list[Answers], tracks: dict[str, Track], resamples: int, seed: int) -> list[Cells]:
    """Rows of `ACCEPT_RATE`: how often each judge let the proposal through, by the type that was due.

    precision: of what it let through, the share that was right at the acceptance level; None where it let nothing.
    """
    weights = resample_weights([row.group for row in rows], resamples, seed)
    result: list[Cells] = []
    for name in JUDGING:
        kept, proposed_right = tracks[name].kept, tracks[name].proposed_right
        for action_type in ACTION_TYPES:
            due = np.array([row.gold.type == action_type for row in rows], dtype=float)
            if due.any():
                rate = spread_out("rate", ratio(due * kept, due, weights)).values()
                precision = spread_out("precision", ratio(due * kept * proposed_right, due * kept, weights))
                result.append((name, action_type, int(due.sum()), *rate, precision["precision"]))
    return result
