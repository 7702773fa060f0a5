"""What a bundle offers: only what can be served, only what calibrate showed, and the cheapest of that."""

from typing import Any

import pytest
from factories import ACCEPTANCE, TARIFF, edited, make_case, make_cases

from specacts.core.episodes import agrees
from specacts.policies.choose import Chosen, calibrate, menu, most_accurate, on_calibrate
from specacts.policies.decide import ALWAYS, NEVER, act
from specacts.policies.results import Asked, Promise, Thresholds
from specacts.serving.bundle import Watched
from specacts.serving.offers import Grounds, choose, plainly, served, watched

CASES = make_cases(24)
COST = "flops"
FOUND = on_calibrate(CASES, calibrate(CASES, TARIFF, ACCEPTANCE, COST), menu(CASES, ACCEPTANCE, 6), ACCEPTANCE, COST, 6)
THRESHOLDS = {name: fit.threshold for name, fit in FOUND.policies.items()}
NOTHING = {name: {"0.05": NEVER, "0.1": NEVER} for name in "DFG"}


def grounds(guaranteed: dict[str, dict[str, float]], **fields: Any) -> Grounds:
    """Of the toys' calibration split, where these thresholds were shown to be safe."""
    known = {"cases": CASES, "found": FOUND.model_copy(update={"guaranteed": guaranteed}), "tariff": TARIFF}
    known |= {"promise": Promise(cheapest={}, asked=None), "acceptance": ACCEPTANCE, "recorded": False}
    known["thresholds"] = Thresholds(policies=THRESHOLDS, most_accurate="F", best_other="F")
    known["alike"] = lambda action, strong: strong is not None and agrees(action, strong, "type")
    return Grounds(**(known | fields))


def asked(risk: float = 0.15, by_type: dict[str, float] | None = None, **policies: Any) -> Promise:
    return Promise(cheapest={}, asked=Asked(risk=risk, by_type=by_type or {}, policies=policies, cheapest="F"))


def test_at_each_risk_the_cheapest_of_what_is_cheaper_than_the_strong_model():
    safe = {"D": {"0.05": NEVER, "0.1": 0.5}, "F": {"0.05": NEVER, "0.1": NEVER}, "G": {"0.05": NEVER, "0.1": 0.4}}
    made = choose(grounds(safe))
    (only,) = made.offers
    assert (only.policy, only.threshold, only.risk, made.default) == ("G", 0.4, 0.1, 0)
    assert 0 < only.taken < 1 and only.cost < 1


def test_c_is_never_served_though_it_were_the_cheapest_and_the_next_one_is():
    safe = {"C": {"0.1": ALWAYS}, "G": {"0.1": 0.4}}
    assert [one.policy for one in choose(grounds(safe)).offers] == ["G"]
    found = grounds(NOTHING, thresholds=Thresholds(policies=THRESHOLDS, most_accurate="C", best_other="F"))
    (only,) = choose(found).offers
    others = {name: fit for name, fit in FOUND.policies.items() if name != "C"}
    assert only.policy == most_accurate(others, CASES, TARIFF, ACCEPTANCE, COST).policy != "C"


def test_what_was_asked_for_is_the_default_among_the_menu():
    safe = {"G": {"0.05": 0.45, "0.2": 0.2}}
    made = choose(grounds(safe, promise=asked(0.15, G=0.4)))
    assert [one.risk for one in made.offers] == [0.05, 0.15, 0.2]
    assert made.offers[made.default].threshold == 0.4


def test_what_was_asked_for_stands_where_the_menu_has_the_same_risk():
    made = choose(grounds({"G": {"0.1": 0.2}}, promise=asked(0.1, G=0.4)))
    assert [(one.risk, one.threshold) for one in made.offers] == [(0.1, 0.4)]


def test_where_types_have_risks_of_their_own_nothing_else_is_on_offer():
    bar = {kind: 0.1 for kind in ("tool_call", "retrieval", "file_read", "repair", "verifier")}
    bar |= {"file_write": NEVER, "ask_clarification": 0.1, "final_answer": 0.1, "BLOCKED": 0.1}
    made = choose(grounds({"G": {"0.2": 0.2}}, promise=asked(0.15, {"file_write": 0.0}, D=bar)))
    (only,) = made.offers
    assert only.threshold == bar and only.risk == 0.15


def test_a_risk_that_was_asked_for_and_saves_nothing_is_offered_as_the_strong_model():
    made = choose(grounds(NOTHING, promise=asked(F=NEVER)))
    (only,) = made.offers
    assert (only.policy, only.threshold, only.risk, only.watched) == ("A", None, 0.15, None)
    assert (only.taken, only.cost) == (0, 1)


def test_without_any_promise_the_most_accurate_policy_acts_and_promises_nothing():
    (only,) = choose(grounds(NOTHING)).offers
    assert (only.policy, only.threshold, only.risk, only.watched) == ("F", THRESHOLDS["F"], None, None)


def test_who_lets_every_proposal_through_is_b_unless_it_picks_among_several():
    assert plainly(CASES, Chosen("G", ALWAYS)) == Chosen("B", None)
    assert plainly(CASES, Chosen("G", 0.5)) == Chosen("G", 0.5)
    assert plainly(CASES, Chosen("E", ALWAYS)) == Chosen("E", ALWAYS)


def test_a_malformed_proposal_is_paid_for_and_the_strong_model_acts():
    broken = make_case(cheap=(None,), verifier=(0.0,))
    outcome = served("B", broken, None)
    assert outcome.actor == "strong" and outcome.action == broken.strong.action
    assert [call.role for call in outcome.calls] == ["cheap", "strong"]
    assert served("B", CASES[0], None) == act("B", CASES[0])


def test_a_recorded_agents_actions_are_held_to_the_risk_itself_by_type_to_the_largest():
    assert watched(grounds(NOTHING, recorded=True), [], 0.1) == Watched(limit=0.1, basis="risk")
    some = grounds(NOTHING, recorded=True, promise=asked(0.1, {"retrieval": 0.2, "file_write": 0.0}, D=0.5))
    assert watched(some, [], 0.1).limit == 0.2


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_other_actions_are_held_to_a_bound_above_how_often_they_differed(share):
    """Whether they were right or wrong there: nobody knows that of live traffic."""
    every = [n % 4 < 4 * share for n in range(len(CASES))]
    cases = [
        edited(case, strong=case.row.strong.model_copy(update={"action": None if other else case.row.cheap[0].action}))
        for case, other in zip(CASES, every, strict=True)
    ]
    well_formed = [case for case in cases if case.row.cheap[0].action]
    some = grounds(NOTHING, cases=well_formed)
    found = watched(some, [served("B", case, None) for case in well_formed], 0.1)
    assert found.basis == "calibrated" and share < found.limit <= min(1.0, share + 0.35) or share == 1 == found.limit
