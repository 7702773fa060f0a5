"""Metrics with intervals. Decisions of one group are dependent, so every interval resamples whole groups.

    weights = resample_weights([row.group for row in rows], resamples=2000, seed=0)
    mean(correct, weights)                          # Estimate(value, low, high)
    mean(correct - others_correct, weights)         # a paired difference: the same resamples for every metric

Percentile bootstrap, 95 % (Efron and Tibshirani 1993, chapter 13). With few groups (under about 30) such intervals
are somewhat too narrow.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from specacts.core.results import Estimate

INTERVAL = (2.5, 97.5)


def resample_weights(groups: Sequence[str], resamples: int, seed: int) -> np.ndarray:
    """How often each row is drawn in each resample, float [resamples, rows]: groups drawn with replacement."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn[:, index].astype(float)


def mean(values: ArrayLike, weights: np.ndarray) -> Estimate:
    """Mean of `values` [rows] with its interval over `weights` [resamples, rows]."""
    return ratio(values, np.ones(weights.shape[1]), weights)


def ratio(values: ArrayLike, reference: ArrayLike, weights: np.ndarray) -> Estimate:
    """Sum of `values` over sum of `reference` (both [rows]), with its interval.

    Resamples whose reference sums to zero are left out; NaN where `reference` itself does.
    """
    above, below = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    value = above.sum() / below.sum() if below.any() else np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        return estimate(value, (weights @ above) / (weights @ below))


def auroc(scores: ArrayLike, right: ArrayLike, weights: np.ndarray) -> Estimate:
    """Probability that a right one scores above a wrong one (ties count half). NaN where one class is absent."""
    samples = _auroc_samples(scores, right, weights)
    return estimate(samples[0], samples[1:])


def auroc_difference(scores: ArrayLike, others: ArrayLike, right: ArrayLike, weights: np.ndarray) -> Estimate:
    """AUROC of `scores` minus that of `others` on the same rows and resamples."""
    samples = _auroc_samples(scores, right, weights) - _auroc_samples(others, right, weights)
    return estimate(samples[0], samples[1:])


def _auroc_samples(scores: ArrayLike, right: ArrayLike, weights: np.ndarray) -> np.ndarray:
    """AUROC of the rows as they are, then of each resample: [1 + resamples]."""
    ranked, labels = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    return weighted_auroc(ranked, labels, np.vstack([np.ones(len(ranked)), weights]))


def weighted_auroc(scores: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC [resamples] for each row of `weights`: wins plus half the ties, summed over the distinct scores."""
    order = np.argsort(scores, kind="stable")
    levels = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # where each distinct score begins
    positive = np.add.reduceat(weights[:, order] * right[order], levels, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~right[order], levels, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positive * (below + negative / 2)).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def average_precision(scores: ArrayLike, right: ArrayLike, weights: np.ndarray) -> Estimate:
    """Area under precision over recall, as a sum of steps (scikit-learn's definition). NaN where nothing is right."""
    ranked, labels = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    samples = weighted_average_precision(ranked, labels, np.vstack([np.ones(len(ranked)), weights]))
    return estimate(samples[0], samples[1:])


def weighted_average_precision(scores: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision [resamples] for each row of `weights`; equal scores are one step."""
    order = np.argsort(-scores, kind="stable")
    levels = np.flatnonzero(np.diff(-scores[order], prepend=-np.inf))
    hits = np.add.reduceat(weights[:, order] * right[order], levels, axis=1)
    taken = np.add.reduceat(weights[:, order], levels, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(hits.cumsum(axis=1) / taken.cumsum(axis=1))
        return (hits * precision).sum(axis=1) / hits.sum(axis=1)


def brier(probabilities: ArrayLike, right: ArrayLike, weights: np.ndarray) -> Estimate:
    """Mean squared difference of probability and outcome (Brier 1950)."""
    return mean((np.asarray(probabilities, dtype=float) - np.asarray(right, dtype=float)) ** 2, weights)


BINS = 10


def calibration_error(probabilities: ArrayLike, right: ArrayLike, weights: np.ndarray) -> Estimate:
    """Expected calibration error over `BINS` bins of equal mass: mean |share right - mean probability|.

    Bins are those of the sample, in every resample. Of few decisions it is above 0 even for true probabilities.
    """
    gaps = np.asarray(right, dtype=float) - np.asarray(probabilities, dtype=float)
    index = bins(probabilities)
    every = np.vstack([np.ones(len(gaps)), weights])
    parts = [np.abs((every * gaps)[:, index == n].sum(axis=1)) for n in range(index.max() + 1)]
    samples = np.sum(parts, axis=0) / every.sum(axis=1)
    return estimate(samples[0], samples[1:])


def bins(values: ArrayLike, count: int = BINS) -> np.ndarray:
    """The number of each value's bin, `count` bins of equal mass from the lowest up; equal values share a bin."""
    found = np.asarray(values, dtype=float)
    edges = np.quantile(found, np.linspace(0, 1, count + 1)[1:-1], method="inverted_cdf")
    _, numbers = np.unique(np.searchsorted(np.unique(edges), found, side="left"), return_inverse=True)
    return numbers


def estimate(value: float, samples: np.ndarray) -> Estimate:
    """A value with the interval that its resamples span; those that are no number are left out."""
    samples = samples[np.isfinite(samples)]
    if not np.isfinite(value) or not len(samples):
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.percentile(samples, INTERVAL)
    return Estimate(float(value), float(low), float(high))
