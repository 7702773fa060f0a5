"""A turn succeeds as BFCL's do."""

import pytest

from specacts.core.episodes import User
from specacts.live.tasks import Turn, succeeds

TWICE = Turn(User(content="again and again"), {"n": 1}, ("same", "same"))


@pytest.mark.parametrize(
    ("calls", "state", "observations", "expected"),
    [
        (2, {"n": 1}, ["same", "same"], True),
        (1, {"n": 1}, ["same", "other"], False),  # returned twice, seen once
        (0, {"n": 1}, ["same", "same"], False),  # all known from earlier turns, but nothing done
        (1, {"n": 1}, ["same", "same", "same"], True),
        (2, {"n": 2}, ["same", "same"], False),
    ],
)
def test_success_is_counted_as_the_benchmark_does(calls, state, observations, expected):
    assert succeeds(TWICE, calls, state, observations) is expected
