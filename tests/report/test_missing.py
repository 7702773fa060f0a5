"""How many more logs a promise takes is read off how many of the logs are for calibration."""

import pytest
from toy_facts import COUNTED, DATA, RECIPES, changed, make_facts

from specacts.report.facts import Facts
from specacts.report.missing import Without, missing, without_a_verifier


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


def test_what_the_verifiers_groups_would_bring_is_known_where_it_is_more(facts: Facts):
    verify = COUNTED.model_copy(update={"groups": 8})
    facts = changed(changed(facts, "data/verify", verify), "calibration/groups_needed", {"0.1": 38, "0.2": 18})
    assert without_a_verifier(facts) == Without("0.15", 18, ("F",))  # one policy takes 17 groups for that
    assert without_a_verifier(changed(facts, "data/verify/groups", 1)) is None  # 11 groups are enough for nothing
    assert without_a_verifier(changed(facts, "calibration/groups_needed", {"0.15": 10})) is None
    assert without_a_verifier(changed(facts, "data/calibrate/groups", 20)) is None  # half of them are not asked about
    assert without_a_verifier(facts._replace(recipe=RECIPES["recorded-small"])) is None


def test_where_the_split_holds_enough_only_asking_about_them_is_missing(facts: Facts):
    facts = changed(changed(facts, "data/calibrate/groups", 20), "calibration/groups", 8)
    assert missing(facts) == [("0.05", 40, 50, 100), ("0.1", 20, 0, 0), ("0.2", 10, 0, 0)]
