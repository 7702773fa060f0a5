"""Intervals: groups are resampled whole, and AUROC is what scikit-learn says it is."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from specacts.evaluation.stats import (
    auroc,
    auroc_difference,
    average_precision,
    bins,
    brier,
    calibration_error,
    mean,
    ratio,
    resample_weights,
    weighted_auroc,
    weighted_average_precision,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("digits", [1, 2, 9])  # few digits: many ties
def test_auroc_is_scikit_learns_with_ties_and_weights(digits: int):
    right = RNG.random(200) < 0.6
    scores = np.round(RNG.normal(right * 0.7), digits)
    weights = RNG.integers(0, 4, size=(5, 200)).astype(float)
    expected = [roc_auc_score(right, scores, sample_weight=w) for w in weights]
    assert weighted_auroc(scores, right, weights) == pytest.approx(expected)
    assert auroc(scores, right, weights).value == pytest.approx(roc_auc_score(right, scores))


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_average_precision_is_scikit_learns_with_ties_and_weights(digits: int):
    right = RNG.random(200) < 0.6
    scores = np.round(RNG.normal(right * 0.7), digits)
    weights = RNG.integers(0, 4, size=(5, 200)).astype(float)
    expected = [average_precision_score(right, scores, sample_weight=w) for w in weights]
    assert weighted_average_precision(scores, right, weights) == pytest.approx(expected)
    assert average_precision(scores, right, weights).value == pytest.approx(average_precision_score(right, scores))
    assert np.isnan(average_precision([0.1, 0.2], [False, False], np.ones((3, 2)))).all()


def test_bins_have_equal_mass_and_keep_equal_values_together():
    assert set(np.bincount(bins(RNG.random(200)))) <= {19, 20, 21}
    tied = bins([0.0] * 50 + [1.0] * 50)
    assert len(set(tied[:50])) == len(set(tied[50:])) == 1 and tied[0] < tied[-1]
    assert set(bins([0.3] * 7)) == {0}


def test_the_calibration_error_of_true_probabilities_is_small_and_of_a_shift_is_the_shift():
    probabilities = RNG.uniform(0.2, 0.7, 20_000)
    right = RNG.random(20_000) < probabilities
    weights = resample_weights([str(n) for n in range(20_000)], 20, 0)
    assert calibration_error(probabilities, right, weights).value < 0.02
    assert calibration_error(probabilities + 0.3, right, weights).value == pytest.approx(0.3, abs=0.01)


def test_the_brier_score_by_hand():
    assert brier([0.8, 0.4], [True, False], np.ones((2, 2))).value == pytest.approx((0.04 + 0.16) / 2)


def test_auroc_of_perfect_opposite_and_constant_scores():
    weights = np.ones((3, 4))
    right = [True, True, False, False]
    assert auroc([4, 3, 2, 1], right, weights) == (1, 1, 1)
    assert auroc([1, 2, 3, 4], right, weights) == (0, 0, 0)
    assert auroc([1, 1, 1, 1], right, weights) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("only", [True, False])
def test_auroc_without_one_class_is_nan_and_does_not_fail(only: bool):
    assert np.isnan(auroc([0.1, 0.2], [only, only], np.ones((3, 2)))).all()


def test_a_resample_without_one_class_is_left_out():
    weights = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]])
    assert auroc([0.9, 0.1, 0.2], [True, False, False], weights) == (1, 1, 1)


def test_the_difference_of_a_score_to_itself_is_zero():
    right = RNG.random(60) < 0.5
    scores, weights = RNG.random(60), resample_weights([str(n // 3) for n in range(60)], 100, 0)
    assert auroc_difference(scores, scores, right, weights) == (0, 0, 0)
    better = auroc_difference(right + scores, scores, right, weights)
    assert better.value == pytest.approx(1 - roc_auc_score(right, scores))
    assert 0 < better.low < better.value < better.high


def test_groups_are_drawn_whole_and_as_often_as_there_are_groups():
    groups = ["a", "a", "a", "b", "c", "c"]
    weights = resample_weights(groups, 500, 0)
    for members in ([0, 1, 2], [4, 5]):
        assert (weights[:, members] == weights[:, members[:1]]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()
    assert weights.mean() == pytest.approx(1, abs=0.1)


def test_the_same_seed_draws_the_same():
    groups = ["a", "b", "c"]
    assert (resample_weights(groups, 20, 1) == resample_weights(groups, 20, 1)).all()
    assert (resample_weights(groups, 20, 1) != resample_weights(groups, 20, 2)).any()


def test_dependence_within_groups_widens_the_interval():
    values = np.repeat(RNG.random(40) < 0.5, 10)
    alone = mean(values, resample_weights([str(n) for n in range(400)], 500, 0))
    grouped = mean(values, resample_weights([str(n // 10) for n in range(400)], 500, 0))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    groups = [str(n // 5) for n in range(300)]
    weights = resample_weights(groups, 400, 0)
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        chance = np.repeat(rng.beta(6, 4, size=60), 5)  # mean 0.6
        found = mean(rng.random(300) < chance, weights)
        covered += found.low <= 0.6 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_ratio_is_the_ratio_of_sums():
    assert ratio([1.0, 3.0], [2.0, 2.0], np.ones((2, 2))).value == 1
    assert ratio([2.0, 4.0], [4.0, 8.0], resample_weights(["a", "b"], 50, 0)) == (0.5, 0.5, 0.5)


def test_ratio_to_nothing_is_nan_and_resamples_with_nothing_are_left_out():
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    assert np.isnan(ratio([0.0, 0.0], [0.0, 0.0], weights)).all()
    assert ratio([0.0, 1.0], [0.0, 1.0], weights) == (1, 1, 1)
