"""Calibration makes probabilities true, keeps their order, and is chosen without its own evidence."""

import numpy as np
import pytest
from scipy.special import expit, logit

from specacts.policies.probability import METHODS, Calibration, apply, choose, cross_fitted, fit


def drawn(slope: float = 1.0, intercept: float = 0.0, count: int = 4_000, seed: int = 0):
    """Scores whose log-odds are off by a factor and a shift, whether right, and the true probabilities."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, count)
    truth = expit(slope * logit(scores) + intercept)
    return scores, rng.random(count) < truth, [str(n // 8) for n in range(count)], truth


@pytest.mark.parametrize(("slope", "intercept", "method"), [(0.4, 0.0, "temperature"), (0.5, 1.0, "sigmoid")])
def test_the_distortion_that_was_made_is_found(slope, intercept, method):
    scores, right, _, truth = drawn(slope, intercept)
    found = fit(method, scores, right)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.12)
    assert np.abs(apply(found, scores) - truth).mean() < 0.02


def test_isotonic_follows_any_rising_curve():
    rng = np.random.default_rng(0)
    scores = rng.random(6_000)
    right = rng.random(6_000) < np.where(scores < 0.5, 0.1, 0.9)
    found = fit("isotonic", scores, right)
    assert apply(found, [0.2, 0.8]) == pytest.approx([0.1, 0.9], abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_order_is_kept_and_probabilities_are_probabilities(method):
    scores, right, _, _ = drawn(0.5, -1.0)
    found = apply(fit(method, scores, right), np.linspace(0, 1, 101))
    assert (np.diff(found) >= 0).all() and 0 <= found.min() and found.max() <= 1


def test_the_simplest_method_that_does_is_chosen():
    assert choose(*drawn(1.0)[:3]).method == "none"
    assert choose(*drawn(0.3)[:3]).method in ("temperature", "sigmoid")
    assert choose(*drawn(0.6, 2.0)[:3]).method in ("sigmoid", "isotonic")


def test_a_score_is_never_judged_by_a_map_that_saw_its_group():
    scores, right, groups, _ = drawn(0.5, count=400)
    before = cross_fitted("isotonic", scores, right, groups)
    turned = right.copy()
    turned[:8] = ~turned[:8]  # the first group's labels
    assert np.array_equal(cross_fitted("isotonic", scores, turned, groups)[:8], before[:8])
    assert not np.array_equal(cross_fitted("isotonic", scores, turned, groups), before)


@pytest.mark.parametrize("right", [[True] * 10, [False] * 10])
def test_one_sided_data_is_left_as_it_is(right):
    assert choose(np.linspace(0.1, 0.9, 10), right, [str(n) for n in range(10)]).method == "none"


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_survives_its_file(method, tmp_path):
    scores, right, _, _ = drawn(0.5, 0.5, count=300)
    found = fit(method, scores, right)
    found.save(tmp_path / "map.json", exact=True)
    back = Calibration.load(tmp_path / "map.json")
    assert back == found and np.array_equal(apply(back, scores), apply(found, scores))
