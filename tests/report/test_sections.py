"""The report says whether a judge is worth more than a middle model that acts, whichever way the numbers point."""

import pytest
from toy_facts import changed, laddered_facts, make_facts

from specacts.core.results import Estimate
from specacts.report.facts import Facts
from specacts.report.report import appendix, result_table
from specacts.report.sections import levers_text, middle_text
from specacts.report.wording import percent, ratio

MORE, EVEN, LESS = Estimate(0.02, 0.01, 0.03), Estimate(0.01, -0.01, 0.03), Estimate(-0.02, -0.03, -0.01)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return laddered_facts()


def standing(facts: Facts, name: str, accuracy: Estimate, cost: Estimate) -> Facts:
    """With a policy's difference to the cascade set."""
    facts = changed(facts, f"evaluation/cascade/against/{name}/type_accuracy", accuracy)
    return changed(facts, f"evaluation/cascade/against/{name}/cost/flops", cost)


@pytest.mark.parametrize(
    ("accuracy", "cost", "said"),
    [
        (MORE, EVEN, "a judge is worth more than"),
        (EVEN, LESS, "a judge is worth more than"),
        (EVEN, MORE, "a judge is worth less than"),
        (LESS, EVEN, "a judge is worth less than"),
        (MORE, MORE, "a judge is more accurate than a middle model that acts, and costs more"),
        (LESS, LESS, "a judge costs less than a middle model that acts, and is less accurate"),
        (EVEN, EVEN, "it cannot be told whether a judge is worth more"),
    ],
)
def test_whether_a_judge_is_worth_more_is_told_by_both_intervals(facts, accuracy, cost, said):
    facts = standing(facts, "F", EVEN, EVEN)
    assert f"**Here {said}" in middle_text(standing(facts, "D", accuracy, cost))


def test_where_the_cascade_beats_d_and_loses_to_f_neither_is_worth_asking(facts):
    facts = standing(facts, "F", EVEN, LESS)
    assert "**Here neither a judge nor a middle model that acts" in middle_text(standing(facts, "D", EVEN, MORE))
    assert "**Here a judge is worth more than" in middle_text(standing(facts, "D", MORE, EVEN))


def test_whether_asking_a_model_in_between_pays_is_told_by_f(facts):
    words = "asking a third model in between does not pay"
    assert words in middle_text(standing(facts, "F", EVEN, LESS))
    assert words not in middle_text(standing(facts, "F", EVEN, EVEN))
    assert words not in middle_text(standing(facts, "F", LESS, LESS))


def test_the_first_page_tells_of_a_middle_model_that_acts_where_that_beats_d_and_f(facts):
    words = "*A middle model that acts.*"
    beaten = standing(standing(facts, "D", EVEN, MORE), "F", LESS, EVEN)
    cascade = facts.evaluation.baselines["cascade"]
    assert f"are right in {percent(cascade.accuracy('type'))} at {ratio(cascade.cost['flops'])}" in levers_text(beaten)
    assert f"\n- {words}" in levers_text(beaten)
    assert words not in levers_text(standing(beaten, "F", EVEN, EVEN))
    assert words not in levers_text(standing(beaten, "D", MORE, MORE))
    assert words not in levers_text(make_facts())


def test_differences_are_given_in_points_and_in_units_of_as_cost(facts):
    text = middle_text(standing(facts, "D", EVEN, MORE))
    assert "costs more (+1.0 (-1.0 to +3.0) points at +0.02 (+0.01 to +0.03) of A's cost)" in text
    assert "| **+0.02 (+0.01 to +0.03)** |" in text


def test_the_appendix_has_a_section_of_it_and_the_table_two_rows(facts):
    assert "### A judge, or a middle model that acts?" in appendix(facts)
    table = result_table(facts)
    assert "*the verifier's model alone*" in table
    assert "*cheap, verifier's model, strong: the first that is sure*" in table


def test_where_the_verifiers_model_cannot_act_nothing_is_said_of_it():
    facts = make_facts()
    assert middle_text(facts) == "" and "middle model" not in appendix(facts)
    assert "the verifier's model alone" not in result_table(facts)
