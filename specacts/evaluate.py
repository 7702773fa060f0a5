"""The numbers of the comparison: policies and baselines over the same recorded test answers, with intervals.

    evaluation = evaluate(rows, sizes, thresholds, config.acceptance.level, config.cost, resamples, seed)

Every interval is a 95 % bootstrap that resamples groups; all come from the same resamples, so differences are paired.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from specacts.answers import Answers, ModelSize
from specacts.calibrate import thresholds as sweep_of
from specacts.config import Cost, Level
from specacts.cost import COST_MODELS, Charge, charges
from specacts.episodes import ACTION_TYPES, LEVELS, SPEAKING, Action, agrees
from specacts.policies import JUDGING, Outcome, always_strong, cheap_only, policies, score, verifier_decides
from specacts.stats import Estimate, auroc, auroc_difference, mean, ratio, resample_weights


class Track(NamedTuple):
    """A policy over the test decisions: right [rows] at each level (0 to 1), share accepted, charge of each."""

    right: dict[str, np.ndarray]
    accepted: np.ndarray
    charges: list[Charge]
    malformed: float


def evaluate(
    rows: list[Answers],
    sizes: dict[str, ModelSize],
    thresholds: dict[str, float],
    level: Level,
    cost: Cost,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Everything in `metrics/eval.json`; its keys are those of design.md, absent values are None."""
    weights = resample_weights([row.group for row in rows], resamples, seed)
    outcomes = {name: [policy(row) for row in rows] for name, policy in policies(thresholds).items()}
    tracks = {name: track(rows, outcome, sizes, cost) for name, outcome in outcomes.items()}
    reference = tracks["A"].charges
    judged = {name: _judging(rows, outcomes[name], level) for name in JUDGING}
    return {
        "decisions": len(rows),
        "groups": len({row.group for row in rows}),
        "level": level,
        "policies": {name: _summary(t, reference, weights) | judged.get(name, {}) for name, t in tracks.items()},
        "paired": paired(tracks, weights),
        "verifier": verifier_quality(rows, level, weights),
        "baselines": baselines(rows, tracks, sizes, level, cost, weights),
        "strong_per_decision": {m: float(np.mean([getattr(c, m) for c in reference])) for m in COST_MODELS[:3]},
    }


def track(rows: list[Answers], outcomes: list[Outcome], sizes: dict[str, ModelSize], cost: Cost) -> Track:
    """Correctness and charges of a policy's outcomes."""
    return Track(
        right={lv: np.array([agrees(o.action, r.gold, lv) for o, r in zip(outcomes, rows, strict=True)], float) for lv in LEVELS},
        accepted=np.array([bool(o.accepted) for o in outcomes], float),
        charges=charges(rows, outcomes, sizes, cost.upstream),
        malformed=float(np.mean([o.action is None for o in outcomes])),
    )


def _summary(t: Track, reference: list[Charge], weights: np.ndarray) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for level in LEVELS:
        result |= spread_out(f"{level}_accuracy", mean(t.right[level], weights))
    result["accept_rate"] = float(t.accepted.mean())
    result["malformed"] = t.malformed
    result["cost"] = {}
    for model in COST_MODELS:
        estimate = ratio([getattr(c, model) for c in t.charges], [getattr(c, model) for c in reference], weights)
        result["cost"] |= spread_out(model, estimate)
    return result


def spread_out(name: str, estimate: Estimate) -> dict[str, float | None]:
    """`name`, `name_low`, `name_high`; None where there is no such number (JSON has no NaN)."""
    values = {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return {key: float(value) if np.isfinite(value) else None for key, value in values.items()}


def _judging(rows: list[Answers], outcomes: list[Outcome], level: Level) -> dict[str, float | None]:
    """Precision of ACCEPT (accepted and right, of accepted) and its recall (of the right greedy proposals)."""
    accepted = np.array([bool(o.accepted) for o in outcomes])
    right = np.array([agrees(o.action, r.gold, level) for o, r in zip(outcomes, rows, strict=True)])
    greedy = np.array([agrees(r.cheap[0].action, r.gold, level) for r in rows])
    return {
        "accept_precision": float(right[accepted].mean()) if accepted.any() else None,
        "accept_recall": float(accepted[greedy].mean()) if greedy.any() else None,
    }


def paired(tracks: dict[str, Track], weights: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Differences on the same decisions: every policy minus A, and minus B."""
    result = {}
    for other in ("A", "B"):
        for name, t in tracks.items():
            if name == other:
                continue
            entry: dict[str, float | None] = {}
            for level in LEVELS:
                difference = t.right[level] - tracks[other].right[level]
                entry |= spread_out(f"{level}_accuracy", mean(difference, weights))
            result[f"{name}_minus_{other}"] = entry
    return result


def verifier_quality(rows: list[Answers], level: Level, weights: np.ndarray) -> dict[str, float | None]:
    """AUROC of four scores for "the cheap model's greedy proposal is right": the verifier's and three free or dear ones.

    confidence: the cheap model's own probability of the type it proposed. likelihood: its mean token probability of
    the whole text. strong: the strong model's probability of the proposal.
    """
    right = [agrees(row.cheap[0].action, row.gold, level) for row in rows]
    scores = {
        "auroc": [row.verifier[0].score for row in rows],
        "confidence_auroc": [row.cheap[0].confidence for row in rows],
        "likelihood_auroc": [row.cheap[0].logprob / row.cheap[0].tokens for row in rows],
        "strong_auroc": [row.strong_verdict[0].score for row in rows],
    }
    result: dict[str, float | None] = {}
    for name, values in scores.items():
        result |= spread_out(name, auroc(values, right, weights))
    gain = auroc_difference(scores["auroc"], scores["confidence_auroc"], right, weights)
    return result | spread_out("auroc_minus_confidence", gain) | {"base_rate": float(np.mean(right))}


def baselines(
    rows: list[Answers],
    tracks: dict[str, Track],
    sizes: dict[str, ModelSize],
    level: Level,
    cost: Cost,
    weights: np.ndarray,
) -> dict[str, Any]:
    """What any policy must be held against. Random ones are expectations, not samples.

    majority: always the test split's most common type. random: one of nine types, evenly. random_accept: policy D
    with its accept rate but a coin for a verifier, charged like D. oracle: accepts the greedy proposal exactly where
    it is right, charged like D: the ceiling of any verifier over these two proposers.
    """
    reference = tracks["A"].charges
    common = Counter(row.gold.type for row in rows).most_common(1)[0][0]
    always = Action(type=common) if common in SPEAKING else None
    hits = {lv: np.array([agrees(always, row.gold, lv) for row in rows], float) for lv in LEVELS}
    if always is None:
        hits["type"] = np.array([row.gold.type == common for row in rows], float)
    chance = 1 / len(ACTION_TYPES)
    speaking = np.array([row.gold.type in SPEAKING for row in rows], float)
    guesses = {"type": np.full(len(rows), chance), "tool": speaking * chance, "call": speaking * chance}
    free = [Charge(0.0, 0.0, 0.0, 0.0)] * len(rows)
    greedy = [agrees(row.cheap[0].action, row.gold, level) for row in rows]
    return {
        "majority": {"action_type": common} | _summary(Track(hits, np.zeros(len(rows)), free, 0.0), reference, weights),
        "random": _summary(Track(guesses, np.zeros(len(rows)), free, 0.0), reference, weights),
        "random_accept": _summary(_random_accept(rows, tracks, sizes, cost), reference, weights),
        "oracle": _summary(_oracle(rows, greedy, sizes, cost), reference, weights),
    }


def _random_accept(
    rows: list[Answers], tracks: dict[str, Track], sizes: dict[str, ModelSize], cost: Cost, draws: int = 20
) -> Track:
    """Accuracy is the exact expectation; the charge, which depends on what is cached, a mean over seeded draws."""
    rate = tracks["D"].accepted.mean()
    right = {lv: rate * tracks["B"].right[lv] + (1 - rate) * tracks["A"].right[lv] for lv in LEVELS}
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(draws):
        coin = rng.random(len(rows)) < rate
        outcomes = [_forced(row, bool(accept)) for row, accept in zip(rows, coin, strict=True)]
        samples.append(charges(rows, outcomes, sizes, cost.upstream))
    mean_charges = [Charge(*np.mean(several, axis=0).tolist()) for several in zip(*samples, strict=True)]
    malformed = rate * tracks["B"].malformed + (1 - rate) * tracks["A"].malformed
    return Track(right, np.full(len(rows), rate), mean_charges, float(malformed))


def _oracle(rows: list[Answers], greedy: list[bool], sizes: dict[str, ModelSize], cost: Cost) -> Track:
    return track(rows, [_forced(row, right) for row, right in zip(rows, greedy, strict=True)], sizes, cost)


def _forced(row: Answers, accept: bool) -> Outcome:
    """Policy D made to accept or reject: the same calls, whatever the verifier said."""
    return verifier_decides(0.0 if accept else 2.0)(row)


def frontier(
    rows: list[Answers], sizes: dict[str, ModelSize], level: Level, cost: Cost
) -> list[tuple[str, float, float, float]]:
    """(policy, threshold, relative cost, accuracy) of every judging policy over its whole range of thresholds."""
    reference = sum(getattr(c, cost.model) for c in track(rows, [always_strong(r) for r in rows], sizes, cost).charges)
    points = []
    for name, make in JUDGING.items():
        for threshold in sweep_of([score(row, name) for row in rows], most=24):
            t = track(rows, [make(threshold)(row) for row in rows], sizes, cost)
            spent = sum(getattr(c, cost.model) for c in t.charges)
            points.append((name, threshold, spent / reference, float(t.right[level].mean())))
    return points


def confusion(rows: list[Answers], name: str) -> list[tuple[str, str]]:
    """(actual, predicted) action types of policy A or B; malformed output is a class of its own."""
    policy = {"A": always_strong, "B": cheap_only}[name]
    actions = [policy(row).action for row in rows]
    return [(row.gold.type, action.type if action else "malformed") for row, action in zip(rows, actions, strict=True)]


def accept_rates(
    rows: list[Answers], thresholds: dict[str, float], level: Level
) -> list[tuple[str, str, int, float, float | None]]:
    """(policy, gold type, decisions, share accepted, precision of ACCEPT or None) by policy and action type."""
    result = []
    for name, policy in policies(thresholds).items():
        if name not in JUDGING:
            continue
        for action_type in ACTION_TYPES:
            chosen = [(row, policy(row)) for row in rows if row.gold.type == action_type]
            accepted = [agrees(o.action, row.gold, level) for row, o in chosen if o.accepted]
            if chosen:
                precision = float(np.mean(accepted)) if accepted else None
                result.append((name, action_type, len(chosen), len(accepted) / len(chosen), precision))
    return result
