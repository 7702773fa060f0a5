"""Metrics with intervals. Decisions of one group are dependent, so every interval resamples whole groups.

    mean = bootstrap_mean(correct, groups, resamples, seed)     # Estimate(value, low, high)

Percentile bootstrap, 95 %; the same resamples for every metric, so paired differences are paired.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

INTERVAL = (2.5, 97.5)


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def resample_weights(groups: Sequence[str], resamples: int, seed: int) -> np.ndarray:
    """How often each row is drawn in each resample, [resamples, rows]: groups drawn with replacement."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn[:, index]


def mean(values: Sequence[float], weights: np.ndarray) -> Estimate:
    """Mean of `values` [rows] with its interval over `weights` [resamples, rows]."""
    values = np.asarray(values, dtype=float)
    return _estimate(values.mean(), weights @ values / weights.sum(axis=1))


def ratio(values: Sequence[float], reference: Sequence[float], weights: np.ndarray) -> Estimate:
    """Sum of `values` over sum of `reference`, with its interval."""
    values, reference = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    return _estimate(values.sum() / reference.sum(), (weights @ values) / (weights @ reference))


def auroc(scores: Sequence[float], right: Sequence[bool], weights: np.ndarray) -> Estimate:
    """Probability that a right one scores above a wrong one (ties count half). NaN where one class is absent."""
    scores, right = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    everything = np.ones((1, len(scores)), dtype=int)
    value = _weighted_auroc(scores, right, everything)[0]
    return _estimate(value, _weighted_auroc(scores, right, weights))


def auroc_difference(
    scores: Sequence[float], others: Sequence[float], right: Sequence[bool], weights: np.ndarray
) -> Estimate:
    """AUROC of `scores` minus that of `others` on the same rows and resamples."""
    right = np.asarray(right, dtype=bool)
    first, second = (np.asarray(values, dtype=float) for values in (scores, others))
    everything = np.ones((1, len(right)), dtype=int)
    value = _weighted_auroc(first, right, everything)[0] - _weighted_auroc(second, right, everything)[0]
    return _estimate(value, _weighted_auroc(first, right, weights) - _weighted_auroc(second, right, weights))


def _weighted_auroc(scores: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC of each row of weights: over the distinct scores, wins plus half the ties."""
    level = rankdata(scores, method="dense") - 1
    levels = level.max() + 1
    onto = np.zeros((len(scores), levels))
    onto[np.arange(len(scores)), level] = 1
    positive, negative = (weights * right) @ onto, (weights * ~right) @ onto
    below = np.cumsum(negative, axis=1) - negative
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positive * (below + negative / 2)).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def _estimate(value: float, samples: np.ndarray) -> Estimate:
    low, high = np.nanpercentile(samples, INTERVAL) if np.isfinite(samples).any() else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))
