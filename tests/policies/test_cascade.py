"""The verifier's model acting itself: alone, and in a cascade whose bars are chosen on the calibration split."""

from itertools import product
from math import isnan

import pytest
from factories import ACCEPTANCE, TARIFF, UPSTREAM, candidate, make_case, make_cases, with_middle

from specacts.answering.records import Words
from specacts.core.episodes import Action
from specacts.policies.cascade import choose_bars
from specacts.policies.cases import Case
from specacts.policies.choose import correct, spent
from specacts.policies.cost import charges, price
from specacts.policies.decide import ALWAYS, NEVER, Bars, act, climb, middle_alone

MIDDLE = candidate(Action(type="final_answer", content=""), confidence=0.8, tokens=7, seconds=0.2)
CASE = make_case(cheap=("repair",), strong="retrieval", middle=MIDDLE)  # the cheap model's confidence is 0.5
CASES = with_middle(make_cases(12))


def asked(bars: Bars) -> list[tuple[str, int]]:
    """Who is asked, and how much each generates."""
    return [(call.role, sum(call.branches)) for call in climb(CASE, bars).calls]


def test_the_verifiers_model_alone_acts_and_nobody_else_is_asked():
    outcome = middle_alone(CASE)
    assert (outcome.action, outcome.actor, outcome.tokens) == (MIDDLE.action, "verifier", 7)
    assert [(call.role, call.answers, call.verdicts) for call in outcome.calls] == [("verifier", 1, 0)]


@pytest.mark.parametrize(
    ("bars", "actor", "calls"),
    [
        (Bars(0.5, 0.9), "cheap", [("cheap", 10)]),
        (Bars(0.6, 0.8), "verifier", [("cheap", 10), ("verifier", 7)]),
        (Bars(0.6, 0.9), "strong", [("cheap", 10), ("verifier", 7), ("strong", 12)]),
    ],
    ids=("cheap is sure", "the middle one is", "neither is"),
)
def test_the_first_that_is_sure_enough_acts_and_all_before_it_are_charged(bars, actor, calls):
    outcome = climb(CASE, bars)
    assert outcome.actor == actor and asked(bars) == calls
    assert outcome.action == {"cheap": CASE.cheap[0], "verifier": MIDDLE, "strong": CASE.strong}[actor].action


def test_words_are_charged_to_the_model_that_speaks():
    words = Words(text="done", whole=True, tokens=5, seconds=0.1)
    talking = make_case(cheap=("repair",), middle=MIDDLE.model_copy(update={"words": words}))
    spoken, silent = climb(talking, Bars(0.6, 0.8)), climb(talking, Bars(0.6, 0.9))
    assert [sum(call.branches) for call in spoken.calls] == [10, 12] and spoken.words == "done"
    assert [sum(call.branches) for call in silent.calls] == [10, 7, 12]


def test_what_the_verifiers_model_generates_stays_in_its_cache():
    case = make_case(context=100, middle=MIDDLE)
    later = make_case(context=130, middle=MIDDLE, decision=1)
    first, second = charges([case.row, later.row], [middle_alone(case), middle_alone(later)], TARIFF)
    assert (first.new_tokens, second.new_tokens, second.cached_tokens) == (100, 23, 107)
    assert first.money * 1e6 == pytest.approx(100 * 0.2 + 7 * 0.8)


def test_upstream_has_no_price_for_a_verifiers_model_that_acts():
    (call,) = middle_alone(CASE).calls
    assert isnan(price(call, UPSTREAM))
    assert choose_bars(CASES, TARIFF, ACCEPTANCE, "upstream") is None


@pytest.mark.parametrize("model", ["flops", "flops_no_cache", "seconds", "money"])
def test_the_bars_are_those_of_the_most_accurate_pair_within_the_budget(model):
    cases = CASES[:12]
    found = choose_bars(cases, TARIFF, ACCEPTANCE, model)
    strong = getattr(spent(cases, [act("A", case) for case in cases], TARIFF), model)
    right = []
    for bars in product(*(sorted({ALWAYS, *own}) for own in zip(*map(confidences, cases), strict=True))):
        outcomes = [climb(case, Bars(*bars)) for case in cases]
        if getattr(spent(cases, outcomes, TARIFF), model) <= strong:
            right.append(sum(correct(cases, outcomes, "type")))
    outcomes = [climb(case, found.bars) for case in cases]
    assert found.within_budget and found.accuracy * len(cases) == pytest.approx(max(right))
    assert found.accuracy == pytest.approx(sum(correct(cases, outcomes, "type")) / len(cases))
    assert found.cost == pytest.approx(getattr(spent(cases, outcomes, TARIFF), model) / strong)
    assert found.from_cheap == pytest.approx(sum(outcome.actor == "cheap" for outcome in outcomes) / len(cases))
    assert found.from_middle == pytest.approx(sum(outcome.actor == "verifier" for outcome in outcomes) / len(cases))


def confidences(case: Case) -> tuple[float, float]:
    return case.cheap[0].confidence, case.middle.confidence


def test_the_middle_model_is_asked_wherever_the_cheap_one_is_not_sure():
    bars = choose_bars(CASES, TARIFF, ACCEPTANCE, "flops_no_cache").bars
    assert bars.cheap < NEVER and bars.middle < NEVER
    roles = [[call.role for call in climb(case, bars).calls] for case in CASES]
    assert all("verifier" in one for one in roles if len(one) > 1)


def test_a_recipe_that_fixes_thresholds_fixes_both_bars():
    found = choose_bars(CASES, TARIFF, ACCEPTANCE, "flops", 0.5)
    assert found.bars == (0.5, 0.5)


def test_a_smaller_budget_is_kept():
    less = choose_bars(CASES, TARIFF, ACCEPTANCE.model_copy(update={"max_relative_cost": 0.5}), "flops_no_cache")
    assert less.within_budget and less.cost <= 0.5
