"""The figures that experiments are compared by: few, in an order that reads, and only those that there are."""

import pytest
from dvc.utils.flatten import flatten
from toy_facts import changed, make_facts, promising, recorded_facts, unverified_facts

from specacts.core.files import read_json
from specacts.core.results import Estimate
from specacts.evaluation.overview import Overview, overview
from specacts.report.facts import Facts


def seen(facts: Facts) -> Overview:
    return overview(facts.evaluation, facts.promise, facts.calibration.groups, facts.cost_model)


def test_its_lines_fit_on_a_screen_and_read_in_the_order_that_dvc_sorts_them(tmp_path):
    seen(make_facts()).save(tmp_path / "overview.json", exact=True)
    assert Overview.load(tmp_path / "overview.json") == seen(make_facts())
    lines = sorted(flatten(read_json(tmp_path / "overview.json")))
    assert len(lines) <= 60
    parts = ["accuracy", "cost", "from_cheap", "judges_auroc", "saved", "size"]
    assert list(dict.fromkeys(line.partition(".")[0] for line in lines)) == parts


def test_figures_are_those_of_the_evaluation():
    facts = make_facts()
    found, policies = seen(facts), facts.evaluation.policies
    assert list(found.accuracy) == list("ABCDEFGHS") and list(found.from_cheap) == list("CDEFGHS")
    assert found.accuracy["D"] == policies["D"].type_accuracy.value
    assert found.cost["D"] == policies["D"].cost["flops"].value and "A" not in found.cost
    assert found.judges_auroc["F"] == facts.evaluation.scores["F"].auroc.value
    assert found.size.test_decisions == facts.evaluation.decisions


@pytest.mark.parametrize(
    ("facts", "letters", "decided", "scored"),
    [(recorded_facts, "ABDEFGHS", "DEFGHS", "DFGH"), (unverified_facts, "ABFS", "FS", "F")],
)
def test_policies_that_there_are_not_have_no_lines(facts, letters, decided, scored):
    found = seen(facts())
    assert list(found.accuracy) == ["A", *found.cost] == list(letters)
    assert list(found.from_cheap) == list(decided) and set(found.judges_auroc) <= set(scored)


def test_a_score_that_tells_nothing_apart_has_no_line():
    nowhere = Estimate(*[float("nan")] * 3)
    assert "F" not in seen(changed(make_facts(), "evaluation/scores/F/auroc", nowhere)).judges_auroc


def test_what_is_saved_is_the_cheapest_promised_policys_and_nothing_where_none_is():
    facts = promising(make_facts(), "F", 0.5, Estimate(0.8, 0.7, 0.9))
    assert seen(facts).saved == {"at_05_points": 0.0, "at_10_points": pytest.approx(0.2)}
