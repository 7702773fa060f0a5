"""How many more logs a promise takes is read off how many of the logs are for calibration."""

import pytest
from toy_facts import COUNTED, DATA, changed, make_facts

from specacts.report.facts import Facts
from specacts.report.missing import missing


@pytest.fixture(scope="module")
def facts() -> Facts:
    """One group in five of 50 is for calibration, and has two conversations; all ten are asked about."""
    calibrate = COUNTED.model_copy(update={"groups": 10, "episodes": 20})
    total = COUNTED.model_copy(update={"groups": 50, "episodes": 100})
    data = DATA.model_copy(update={"calibrate": calibrate, "total": total})
    facts = changed(make_facts()._replace(data=data), "calibration/groups", 10)
    return changed(facts, "calibration/groups_needed", {"0.05": 40, "0.1": 20, "0.2": 10})


def test_four_times_the_calibration_groups_are_four_times_the_logs(facts: Facts):
    assert missing(facts) == [("0.05", 40, 150, 300), ("0.1", 20, 50, 100)]


def test_where_the_split_holds_enough_only_asking_about_them_is_missing(facts: Facts):
    facts = changed(changed(facts, "data/calibrate/groups", 20), "calibration/groups", 8)
    assert missing(facts) == [("0.05", 40, 50, 100), ("0.1", 20, 0, 0), ("0.2", 10, 0, 0)]
