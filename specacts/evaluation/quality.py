"""How good the scores are that decide: at ranking right proposals above wrong ones, and as probabilities.

    score_quality(cases, calibrations, "type", weights)["D"].brier_calibrated

Scores are of the cheap model's greedy proposal; the interval of every figure is a bootstrap over groups (`stats.py`).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from specacts.answering.records import Answers
from specacts.core.results import spread_out
from specacts.core.words import ACTION_TYPES, JudgeScore, Level
from specacts.evaluation.results import ScoreQuality, VerifierQuality
from specacts.evaluation.stats import (
    auroc,
    auroc_difference,
    average_precision,
    bins,
    brier,
    calibration_error,
    mean,
    ratio,
)
from specacts.policies.cases import Case, greedy_right, verdicts_of
from specacts.policies.probability import Calibration, apply

FEWEST = 20
"""Proposals of a type below which its scores are not judged by themselves."""
RELIABILITY = ("policy", "kind", "mean_score", "right", "right_low", "right_high", "decisions")
RISK_COVERAGE = ("policy", "coverage", "error", "error_low", "error_high")
QUALITY = ("base_rate", "auroc", "average_precision", "brier", "brier_calibrated", "ece", "ece_calibrated")
BY_TYPE = ("policy", "action_type", "proposals", *(f"{name}{end}" for name in QUALITY for end in ("", "_low", "_high")))
Cells = tuple[str | float | None, ...]


def verifier_quality(rows: list[Answers], level: Level, judge: JudgeScore, weights: np.ndarray) -> VerifierQuality:
    """AUROC of scores for "the cheap model's greedy proposal is right": the one that D and E go by, and others.

    verdict: what the trained verifier says when asked, its P(ACCEPT) or reward. confidence: the cheap model's
    probability of the type it proposed. logprob: its mean token probability (geometric) of the whole text. strong: the
    strong model's probability of the proposal, policy C's score (of a frozen one, its P(ACCEPT)). Where the proposals
    are all right or all wrong there is nothing to rank, and each is 0.5.
    """
    greedy, right = [row.cheap[0] for row in rows], np.array(greedy_right(rows, level))
    used = [verdicts_of(row, judge)[0].score for row in rows]
    confidence = [candidate.confidence for candidate in greedy]
    scores = {
        "auroc": used,
        "verdict_auroc": [row.verifier[0].score for row in rows],
        "confidence_auroc": confidence,
        "logprob_auroc": [np.exp(candidate.logprob / candidate.tokens) for candidate in greedy],
    }
    if all(row.strong_verdict for row in rows):  # a recorded strong model judges nothing
        scores["strong_auroc"] = [row.strong_verdict[0].score for row in rows]
    return VerifierQuality(
        **{name: auroc(values, right, weights).otherwise(0.5) for name, values in scores.items()},
        auroc_minus_confidence=auroc_difference(used, confidence, right, weights).otherwise(0.0),
        base_rate=mean(right, weights),
    )


def score_quality(
    cases: list[Case], calibrations: Mapping[str, Calibration], level: Level, weights: np.ndarray
) -> dict[str, ScoreQuality]:
    """How good each judge's score of the greedy proposal is: at ranking, and as a probability, raw and calibrated."""
    right = _right(cases, level)
    result = {}
    for name, calibration in calibrations.items():
        raw = _scores(cases, name)
        result[name] = _quality(raw, apply(calibration, raw), right, weights)
    return result


def _right(cases: list[Case], level: Level) -> np.ndarray:
    return np.array(greedy_right([case.row for case in cases], level))


def _scores(cases: list[Case], name: str) -> np.ndarray:
    return np.array([case.sides[name].score for case in cases])


def _quality(raw: np.ndarray, true: np.ndarray, right: np.ndarray, weights: np.ndarray) -> ScoreQuality:
    return ScoreQuality(
        base_rate=mean(right, weights),
        auroc=auroc(raw, right, weights).otherwise(0.5),
        average_precision=average_precision(raw, right, weights).otherwise(0.0),
        brier=brier(raw, right, weights),
        brier_calibrated=brier(true, right, weights),
        ece=calibration_error(raw, right, weights),
        ece_calibrated=calibration_error(true, right, weights),
    )


# -- data of the plots --------------------------------------------------------------------------------------


def quality_by_type(
    cases: list[Case], calibrations: Mapping[str, Calibration], level: Level, weights: np.ndarray
) -> Iterator[Cells]:
    """Rows of `BY_TYPE`: `score_quality` by the type that was proposed, where it was at least `FEWEST` times."""
    right = _right(cases, level)
    actions = [case.cheap[0].action for case in cases]
    proposed = np.array([action.type if action else "" for action in actions])
    for name, calibration in calibrations.items():
        raw = _scores(cases, name)
        true = apply(calibration, raw)
        for action_type in ACTION_TYPES:
            own = proposed == action_type
            if own.sum() >= FEWEST:
                found = _quality(raw[own], true[own], right[own], weights[:, own])
                yield (name, action_type, int(own.sum()), *found.model_dump().values())


def reliability(
    cases: list[Case], calibrations: Mapping[str, Calibration], level: Level, weights: np.ndarray
) -> Iterator[Cells]:
    """Rows of `RELIABILITY`: greedy proposals in bins of equal mass by score, raw and calibrated (kind)."""
    right = _right(cases, level).astype(float)
    for name, calibration in calibrations.items():
        raw = _scores(cases, name)
        for kind, values in (("raw", raw), ("calibrated", apply(calibration, raw))):
            index = bins(values)
            for number in range(index.max() + 1):
                own = (index == number).astype(float)
                found = spread_out("right", ratio(right * own, own, weights)).values()
                yield (name, kind, float(values[index == number].mean()), *found, int(own.sum()))


def risk_coverage(cases: list[Case], names: Sequence[str], level: Level, weights: np.ndarray) -> Iterator[Cells]:
    """Rows of `RISK_COVERAGE`: the share of greedy proposals accepted, best scores first, and how many are wrong."""
    wrong = 1.0 - _right(cases, level)
    for name in names:
        order = np.argsort(-_scores(cases, name), kind="stable")
        for count in sorted({max(1, round(len(cases) * part / 40)) for part in range(2, 41)}):
            taken = np.zeros(len(cases))
            taken[order[:count]] = 1
            yield (name, count / len(cases), *spread_out("error", ratio(wrong * taken, taken, weights)).values())
