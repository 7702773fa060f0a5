"""How many decisions of a group count is read off the training split, asked about as calibration is."""

from collections import Counter

import pytest

from specacts.traces.sizes import COUNTED, asked, most_counted, smallest
from specacts.traces.split import Outline


def part(*sizes: tuple[int, ...], name: str = "g") -> list[Outline]:
    """Groups of conversations with so many decisions each."""
    return [
        Outline(f"{name}{g}/{n}", f"{name}{g}", "toy", Counter(tool_call=size))
        for g, group in enumerate(sizes)
        for n, size in enumerate(group)
    ]


@pytest.mark.parametrize(
    ("sizes", "expected"), [([1], 1), ([1] * 50, 1), ([8] * 10, 8), ([1] * 90 + [10] * 10, 9), ([5, 5, 5, 100], 89)]
)
def test_nearly_all_decisions_count_in_full(sizes: list[int], expected: int):
    assert smallest(sizes) == expected
    assert sum(min(size, expected) for size in sizes) >= COUNTED * sum(sizes)


def test_a_group_is_as_large_as_what_is_asked_about_of_it():
    episodes = part((3, 3, 3), (5,), (1, 1))
    assert sorted(asked(episodes, 3, seed=0)) == [1, 3, 5]  # one conversation of each
    assert sorted(asked(episodes, 100, seed=0)) == [2, 5, 9]


def test_as_many_conversations_a_group_count_as_calibration_asks_about():
    train, calibrate = part(*[(4, 4, 4)] * 20), part(*[(4, 4, 4)] * 10)
    assert most_counted(train, calibrate, 10, seed=0) == 4
    assert most_counted(train, calibrate, 20, seed=0) == 8
    assert most_counted(train, calibrate, 400, seed=0) == 11


def test_what_calibration_groups_hold_changes_nothing():
    train = part(*[(2,), (7,), (9,)] * 5)
    small, large = part(*[(1,)] * 6), part(*[(50, 50)] * 6)
    assert most_counted(train, small, 6, seed=0) == most_counted(train, large, 6, seed=0) == 8
