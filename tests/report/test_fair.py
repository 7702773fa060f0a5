"""A difference is called one where the intervals of both allow it."""

import pytest

from specacts.core.results import Estimate
from specacts.report.fair import difference


def test_a_difference_of_two_intervals_is_as_wide_as_both_together():
    found = difference(Estimate(0.5, 0.46, 0.53), Estimate(0.2, 0.16, 0.23))
    assert found == pytest.approx((0.3, 0.25, 0.35))


def test_of_two_numbers_without_an_interval_it_has_none():
    assert difference(Estimate(0.5, 0.5, 0.5), Estimate(0.2, 0.2, 0.2)) == (0.3, 0.3, 0.3)
