"""What promises take is known before anything is trained, and what more logs bring."""

import numpy as np
import pytest

from specacts.policies.bet import weights
from specacts.policies.needs import Option, more, needed, outlook, reachable, roughly, table

ALIKE = np.ones(1)
WITH, WITHOUT = Option("with a verifier", np.ones(13), 3), Option("without one", np.ones(20), 1)


def test_fewer_policies_take_fewer_groups():
    assert needed(3, 0.9, ALIKE) == {"0.05": 77, "0.1": 38, "0.15": 24, "0.2": 18}
    assert needed(1, 0.9, ALIKE) == {"0.05": 53, "0.1": 26, "0.15": 17, "0.2": 13}
    assert needed(1, 0.8, ALIKE)["0.05"] < needed(1, 0.9, ALIKE)["0.05"]


def test_short_groups_are_needed_in_larger_numbers():
    short = needed(3, 0.9, weights([11, 2, 1], most=11))
    assert all(short[risk] > count for risk, count in needed(3, 0.9, ALIKE).items())
    assert reachable(Option("", weights([11, 2] * 10, most=11), 1), 0.9) == []


def test_without_a_verifier_few_logs_can_promise_what_they_could_not():
    assert reachable(WITH, 0.9) == [] and reachable(WITHOUT, 0.9) == ["0.15", "0.2"]


def test_the_table_marks_what_there_are_groups_enough_for():
    said, head, *rows = table([WITH, WITHOUT], 0.9).splitlines()
    assert "90 % confidence" in said and head.split("  ")[-1].strip() == "risk 20 %"
    assert [row.split()[-5:] for row in rows] == [
        ["13", "77", "38", "24", "18"],
        ["20", "53", "26", "17*", "13*"],
    ]


def test_what_can_be_promised_is_said_and_what_the_next_risk_takes():
    assert outlook(WITHOUT, 0.9, 50, 69) == (
        "without one: enough groups for a risk of 15 % or more; 10 % needs roughly 21 more conversations"
    )
    assert outlook(WITH, 0.9, 50, 69) == (
        "with a verifier: too few groups for any promise; 20 % needs roughly 27 more conversations"
    )
    assert outlook(Option("all", np.ones(80), 1), 0.9, 50, 69) == "all: enough groups for a risk of 5 % or more"


def test_four_times_the_calibration_groups_are_four_times_the_logs():
    assert more(40, 10, 50, 100) == (150, 300)
    assert more(8, 10, 50, 100) == (0, 0)


@pytest.mark.parametrize(
    ("number", "shown"), [(0.0, 0), (-3, 0), (0.4, 1), (39.2, 40), (100, 100), (101, 110), (3284, 3300)]
)
def test_more_logs_are_rounded_up_to_two_figures(number: float, shown: int):
    assert roughly(number) == shown
