"""Make probabilities of scores: of accepted proposals scored 0.8, 80 % should be right.

    chosen = choose(scores, right, groups)        # isotonic, sigmoid, temperature or none, by cross-fitting
    probabilities = apply(chosen, other_scores)

Everything is fitted on the calibration split: each method on all but one fold of its groups and judged on the fold left
out (Brier score, five folds), the best one then on all of them. A calibration is plain numbers, stored as JSON.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit

from specacts.core.results import Result

METHODS = ("none", "temperature", "sigmoid", "isotonic")
"""From the simplest to the most flexible: of equals the first is chosen."""
FOLDS = 5
EDGE = 1e-6
"""Scores are kept this far from 0 and 1 where their log-odds are needed."""


class Calibration(Result):
    """A map from scores to probabilities.

    slope, intercept: of the log-odds (temperature: intercept 0). xs, ys: an isotonic map's corners, between which it is
    linear.
    """

    method: str
    slope: float = 1.0
    intercept: float = 0.0
    xs: tuple[float, ...] = ()
    ys: tuple[float, ...] = ()


def fit(method: str, scores: np.ndarray, right: np.ndarray) -> Calibration:
    """Fit one method of `METHODS`; `none` where all are right or all are wrong. Both [decisions], `right` boolean."""
    if method == "none" or right.all() or not right.any():
        return Calibration(method="none")
    # Imported here: scikit-learn takes two seconds, and most who read what was fitted fit nothing.
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    if method == "isotonic":
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, right)
        corners = zip(fitted.X_thresholds_, fitted.y_thresholds_, strict=True)
        xs, ys = zip(*((float(x), float(y)) for x, y in corners), strict=True)
        return Calibration(method="isotonic", xs=xs, ys=ys)
    model = LogisticRegression(C=np.inf, fit_intercept=method == "sigmoid").fit(_odds(scores)[:, None], right)
    return Calibration(method=method, slope=float(model.coef_[0, 0]), intercept=float(np.ravel(model.intercept_)[0]))


def apply(calibration: Calibration, scores: np.ndarray) -> np.ndarray:
    """Probabilities [scores], each in [0, 1]."""
    if calibration.method == "none":
        return scores
    if calibration.method == "isotonic":
        return np.interp(scores, calibration.xs, calibration.ys)
    return expit(calibration.slope * _odds(scores) + calibration.intercept)


def choose(scores: Sequence[float], right: Sequence[bool], groups: Sequence[str]) -> Calibration:
    """The method with the lowest cross-fitted Brier score, fitted on everything."""
    raw, labels = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    briers = {method: float(np.mean((cross_fitted(method, raw, labels, groups) - labels) ** 2)) for method in METHODS}
    return fit(min(METHODS, key=lambda method: briers[method]), raw, labels)


def cross_fitted(method: str, scores: np.ndarray, right: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Each score's probability by a map fitted without its own group."""
    result = np.empty(len(scores))
    folds = min(FOLDS, len(set(groups)))
    if folds < 2:
        return scores
    from sklearn.model_selection import GroupKFold

    for kept, left in GroupKFold(folds).split(scores, right, groups):
        result[left] = apply(fit(method, scores[kept], right[kept]), scores[left])
    return result


def _odds(scores: np.ndarray) -> np.ndarray:
    return logit(np.clip(scores, EDGE, 1 - EDGE))
