"""Policy H's score: everything that is known of a proposal in one number.

    combined = cross_fitted(signals, right, groups)     # each by a combination that was fitted without its own group
    combination = fit(signals, right)
    probability(combination, signals[0])                # P(right), given verifier, confidence and router

A logistic regression (scikit-learn) on the log-odds of the verifier's score, the cheap model's confidence in its type
and the router's probability. It is fitted on the calibration split, and its threshold is chosen there too, on scores by
cross-fitting. A guarantee needs scores that owe nothing to the groups it rests on: H has none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from specacts.core.files import read_json
from specacts.core.results import Result

EDGE = 1e-4
"""Scores are kept this far from 0 and 1: log-odds beyond would drown the others'."""
FOLDS = 5


class Signals(NamedTuple):
    """What is known of a greedy proposal: verifier's score, cheap model's confidence, router's probability."""

    verifier: float
    confidence: float
    route: float


class Combination(Result):
    """Weights of the log-odds of the verifier's score, the confidence and the route; and the intercept."""

    verifier: float
    confidence: float
    route: float
    intercept: float


VERIFIER_ALONE = Combination(verifier=1.0, confidence=0.0, route=0.0, intercept=0.0)


def fit(signals: Sequence[Signals], right: Sequence[bool]) -> Combination:
    """The combination that tells right proposals from wrong ones; the verifier's score alone where all are alike."""
    labels = np.asarray(right, dtype=bool)
    if labels.all() or not labels.any():
        return VERIFIER_ALONE
    # Imported here: scikit-learn takes two seconds, and most who read what was fitted fit nothing.
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=5000).fit(np.array([_odds(one) for one in signals]), labels)
    weights = dict(zip(Signals._fields, map(float, model.coef_[0]), strict=True))
    return Combination(**weights, intercept=float(model.intercept_[0]))


def load_combination(path: Path) -> Combination | None:
    """Read `data/combination.json`; None where there is no verifier, hence nothing to combine."""
    return Combination.load(path) if read_json(path) else None


def probability(combination: Combination, signals: Signals) -> float:
    """Probability [0, 1] that the greedy proposal is right."""
    weights = (combination.verifier, combination.confidence, combination.route)
    return float(expit(np.dot(weights, _odds(signals)) + combination.intercept))


def cross_fitted(signals: Sequence[Signals], right: Sequence[bool], groups: Sequence[str]) -> list[float]:
    """Probabilities, each by a combination of the other groups; of one group, the verifier's score."""
    folds = min(FOLDS, len(set(groups)))
    if folds < 2:
        return [probability(VERIFIER_ALONE, one) for one in signals]
    from sklearn.model_selection import GroupKFold

    result = [0.0] * len(signals)
    for kept, left in GroupKFold(folds).split(groups, groups=groups):
        combination = fit([signals[n] for n in kept], [right[n] for n in kept])
        for n in left:
            result[n] = probability(combination, signals[n])
    return result


def _odds(signals: Signals) -> np.ndarray:
    return logit(np.clip(np.array(signals, dtype=float), EDGE, 1 - EDGE))
