"""How good the scores are that decide: at ranking right proposals above wrong ones, and as probabilities.

    score_quality(rows, calibrations, "type", weights)["D"]["brier_calibrated"]

Scores are of the cheap model's greedy proposal; the interval of every figure is a bootstrap over groups (`stats.py`).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from specacts.answering.records import Answers, judged_by
from specacts.core.episodes import agrees
from specacts.core.words import ACTION_TYPES, JudgeScore, Level
from specacts.evaluation.stats import (
    auroc,
    auroc_difference,
    average_precision,
    bins,
    brier,
    calibration_error,
    mean,
    ratio,
    spread_out,
)
from specacts.policies.decide import score
from specacts.policies.probability import Calibration, apply

FEWEST = 20
"""Proposals of a type below which its scores are not judged by themselves."""
RELIABILITY = ("policy", "kind", "mean_score", "right", "right_low", "right_high", "decisions")
RISK_COVERAGE = ("policy", "coverage", "error", "error_low", "error_high")
QUALITY = ("base_rate", "auroc", "average_precision", "brier", "brier_calibrated", "ece", "ece_calibrated")
BY_TYPE = ("policy", "action_type", "proposals", *(f"{name}{end}" for name in QUALITY for end in ("", "_low", "_high")))
Cells = tuple[str | float | None, ...]


def verifier_quality(
    rows: list[Answers], level: Level, judge: JudgeScore, weights: np.ndarray
) -> dict[str, float | None]:
    """AUROC of scores for "the cheap model's greedy proposal is right": the one that D and E go by, and others.

    verdict: what the trained verifier says when asked, its P(ACCEPT) or reward. confidence: the cheap model's
    probability of the type it proposed. logprob: its mean token probability (geometric) of the whole text. strong: the
    strong model's probability of the proposal, policy C's score (of a frozen one, its P(ACCEPT)). Where the proposals
    are all right or all wrong there is nothing to rank, and each is 0.5.
    """
    greedy = [row.cheap[0] for row in rows]
    right = _greedy_right(rows, level)
    scores = {
        "auroc": [row.verifier[0].score for row in judged_by(rows, judge)],
        "verdict_auroc": [row.verifier[0].score for row in rows],
        "confidence_auroc": [candidate.confidence for candidate in greedy],
        "logprob_auroc": [np.exp(candidate.logprob / candidate.tokens) for candidate in greedy],
        "strong_auroc": [row.strong_verdict[0].score for row in rows],
    }
    result: dict[str, float | None] = {}
    for name, values in scores.items():
        result |= spread_out(name, auroc(values, right, weights), empty=0.5)
    gain = auroc_difference(scores["auroc"], scores["confidence_auroc"], right, weights)
    return (
        result | spread_out("auroc_minus_confidence", gain, empty=0.0) | spread_out("base_rate", mean(right, weights))
    )


def score_quality(
    rows: list[Answers], calibrations: Mapping[str, Calibration], level: Level, weights: np.ndarray
) -> dict[str, dict[str, float | None]]:
    """How good each judge's score of the greedy proposal is: at ranking, and as a probability, raw and calibrated.

    rows: as judged. By policy.
    """
    right = _greedy_right(rows, level)
    result = {}
    for name, calibration in calibrations.items():
        raw = np.array([score(row, name) for row in rows])
        result[name] = _quality(raw, apply(calibration, raw), right, weights)
    return result


def _greedy_right(rows: list[Answers], level: Level) -> np.ndarray:
    return np.array([agrees(row.cheap[0].action, row.gold, level) for row in rows])


def _quality(raw: np.ndarray, true: np.ndarray, right: np.ndarray, weights: np.ndarray) -> dict[str, float | None]:
    return {
        **spread_out("base_rate", mean(right, weights)),
        **spread_out("auroc", auroc(raw, right, weights), empty=0.5),
        **spread_out("average_precision", average_precision(raw, right, weights), empty=0.0),
        **spread_out("brier", brier(raw, right, weights)),
        **spread_out("brier_calibrated", brier(true, right, weights)),
        **spread_out("ece", calibration_error(raw, right, weights)),
        **spread_out("ece_calibrated", calibration_error(true, right, weights)),
    }


# -- data of the plots --------------------------------------------------------------------------------------


def quality_by_type(
    rows: list[Answers], calibrations: Mapping[str, Calibration], level: Level, weights: np.ndarray
) -> Iterator[Cells]:
    """Rows of `BY_TYPE`: `score_quality` by the type that was proposed, where it was at least `FEWEST` times."""
    right = _greedy_right(rows, level)
    proposed = np.array([row.cheap[0].action.type if row.cheap[0].action else "" for row in rows])
    for name, calibration in calibrations.items():
        raw = np.array([score(row, name) for row in rows])
        true = apply(calibration, raw)
        for action_type in ACTION_TYPES:
            own = proposed == action_type
            if own.sum() >= FEWEST:
                found = _quality(raw[own], true[own], right[own], weights[:, own])
                yield (name, action_type, int(own.sum()), *found.values())


def reliability(
    rows: list[Answers], calibrations: Mapping[str, Calibration], level: Level, weights: np.ndarray
) -> Iterator[Cells]:
    """Rows of `RELIABILITY`: greedy proposals in bins of equal mass by score, raw and calibrated (kind)."""
    right = _greedy_right(rows, level).astype(float)
    for name, calibration in calibrations.items():
        raw = np.array([score(row, name) for row in rows])
        for kind, values in (("raw", raw), ("calibrated", apply(calibration, raw))):
            index = bins(values)
            for number in range(index.max() + 1):
                own = (index == number).astype(float)
                found = spread_out("right", ratio(right * own, own, weights)).values()
                yield (name, kind, float(values[index == number].mean()), *found, int(own.sum()))


def risk_coverage(rows: list[Answers], names: Sequence[str], level: Level, weights: np.ndarray) -> Iterator[Cells]:
    """Rows of `RISK_COVERAGE`: the share of greedy proposals accepted, best scores first, and how many are wrong."""
    wrong = 1.0 - _greedy_right(rows, level)
    for name in names:
        order = np.argsort([-score(row, name) for row in rows], kind="stable")
        for count in sorted({max(1, round(len(rows) * part / 40)) for part in range(2, 41)}):
            taken = np.zeros(len(rows))
            taken[order[:count]] = 1
            yield (name, count / len(rows), *spread_out("error", ratio(wrong * taken, taken, weights)).values())
