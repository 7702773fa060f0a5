"""The chosen threshold is the best that trying every one would find, within the budget."""

import time
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from factories import ACCEPTANCE, TARIFF, edited, make_case, make_cases
from places import CONFIGURATION

from specacts.config import Acceptance, load_config
from specacts.core.episodes import agrees
from specacts.core.errors import UserError
from specacts.core.words import ACTION_TYPES, Level
from specacts.policies.bet import groups_needed
from specacts.policies.cases import Case
from specacts.policies.choose import (
    best,
    best_other,
    calibrate,
    cheapest,
    commonest_type,
    evidence_for,
    fixed_thresholds,
    menu,
    most_accurate,
    on_calibrate,
    projected,
    promised,
    share,
    weighed,
)
from specacts.policies.cost import Charge, charges, thresholds, total
from specacts.policies.decide import ALWAYS, NEVER, Outcome, Threshold, act, lowest_accepted
from specacts.policies.guarantee import GRID, certified
from specacts.policies.needs import RISKS
from specacts.policies.results import Asked, Fitted, Promise
from specacts.policies.table import JUDGING

MOST = 6
"""Decisions of a group that count in promises; the toys' groups hold up to nine."""


def accepting(**fields: Any) -> Acceptance:
    """The factories' settings with some changed; they are validated."""
    return Acceptance(**(ACCEPTANCE.model_dump() | fields))


def fitted(threshold: float, within_budget=True, accuracy=0.5, gain=0.0, accept_rate=0.5, cost=1.0) -> Fitted:
    """A threshold's figures, as far as they do not matter the same."""
    figures = {"accuracy": accuracy, "gain": gain, "accept_rate": accept_rate, "cost": cost}
    return Fitted(threshold=threshold, within_budget=within_budget, **figures)


class Replay(NamedTuple):
    """A policy at a threshold, run from scratch over cases."""

    cases: list[Case]
    threshold: Threshold | None
    outcomes: list[Outcome]
    charge: Charge

    @classmethod
    def of(cls, cases: list[Case], name: str, threshold: Threshold | None = None) -> "Replay":
        outcomes = [act(name, case, threshold) for case in cases]
        return cls(cases, threshold, outcomes, total(charges([case.row for case in cases], outcomes, TARIFF)))

    def right(self, level: Level) -> int:
        return sum(agrees(o.action, c.row.gold, level) for o, c in zip(self.outcomes, self.cases, strict=True))

    def figures(self, strong: "Replay", acceptance: Acceptance, model: str) -> Fitted:
        """What calibration should say of it."""
        right, count = self.right(acceptance.level), len(self.cases)
        relative = getattr(self.charge, model) / getattr(strong.charge, model)
        return fitted(
            threshold=self.threshold,
            within_budget=round(relative, 9) <= acceptance.max_relative_cost,
            accuracy=right / count,
            gain=(right - strong.right(acceptance.level)) / count,
            accept_rate=sum(bool(outcome.accepted) for outcome in self.outcomes) / count,
            cost=relative,
        )


def assert_same(found: Fitted, expected: Fitted) -> None:
    """The same figures; of the cost all that rounding leaves."""
    assert found.model_copy(update={"cost": 0.0}) == expected.model_copy(update={"cost": 0.0})
    assert found.cost == pytest.approx(expected.cost, abs=1e-8)


@pytest.fixture(scope="module")
def every() -> dict[str, list[Replay]]:
    """Every policy at every threshold worth trying."""
    cases = make_cases(8, seed=3)
    tried = {name: thresholds([case.sides[name].score for case in cases]) for name in JUDGING}
    replays = {name: [Replay.of(cases, name, threshold) for threshold in each] for name, each in tried.items()}
    return {"A": [Replay.of(cases, "A")], **replays}


@pytest.mark.parametrize("model", ["flops", "upstream"])
@pytest.mark.parametrize("budget", [0.3, 0.9, 5.0])
@pytest.mark.parametrize("level", ["type", "call"])
def test_trying_every_threshold_finds_nothing_better(every, model: str, budget: float, level: str):
    (strong,) = every["A"]
    acceptance = accepting(level=level, max_relative_cost=budget)
    for name, found in calibrate(strong.cases, TARIFF, acceptance, model).items():
        tried = [replay.figures(strong, acceptance, model) for replay in every[name]]
        allowed = [one for one in tried if one.within_budget] or tried
        accuracy = max(one.accuracy for one in allowed)
        cheapest = min(round(one.cost, 9) for one in allowed if one.accuracy == accuracy)
        equals = [one for one in allowed if one.accuracy == accuracy and round(one.cost, 9) == cheapest]
        assert_same(found, max(equals, key=lambda one: one.threshold))


def test_a_tight_budget_is_respected_and_an_impossible_one_reported():
    cases = make_cases(10)
    free = calibrate(cases, TARIFF, accepting(max_relative_cost=9), "flops")["D"]
    tight = calibrate(cases, TARIFF, accepting(max_relative_cost=0.9), "flops")["D"]
    none = calibrate(cases, TARIFF, accepting(max_relative_cost=0.01), "flops")["D"]
    assert free.within_budget and tight.within_budget and tight.cost <= 0.9 < free.cost
    assert tight.accuracy <= free.accuracy
    assert none == free.model_copy(update={"within_budget": False})


def test_a_fixed_threshold_is_taken_as_it_is_and_its_figures_told():
    cases = make_cases(10)
    found = calibrate(cases, TARIFF, ACCEPTANCE, "flops", {"D": 0.5, "E": ALWAYS})
    assert found["D"].threshold == 0.5 and found["E"].accept_rate == 1
    assert found["C"] == calibrate(cases, TARIFF, ACCEPTANCE, "flops")["C"]
    for name in "DE":
        replay = Replay.of(cases, name, found[name].threshold)
        assert_same(found[name], replay.figures(Replay.of(cases, "A"), ACCEPTANCE, "flops"))


@pytest.mark.parametrize(
    ("threshold", "may_reject", "expected"),
    [
        ("calibrated", True, {}),
        ("calibrated", False, {"E": ALWAYS}),
        ("fixed", True, dict.fromkeys(JUDGING, 0.5)),
        ("fixed", False, dict.fromkeys(JUDGING, 0.5) | {"E": ALWAYS}),
    ],
)
def test_a_recipe_fixes_thresholds_at_even_odds_and_never_lets_an_e_reject_that_may_not(
    threshold, may_reject, expected
):
    recipe = load_config(CONFIGURATION).recipe
    picks = recipe.picks.model_copy(update={"may_reject": may_reject})
    assert fixed_thresholds(recipe.model_copy(update={"threshold": threshold, "picks": picks})) == expected


@cache
def many_groups(episodes: int = 120, seed: int = 5) -> list[Case]:
    """Each episode a group of its own; the same list for all tests, which leave it as it is."""
    return [edited(case, group=case.row.episode) for case in make_cases(episodes, seed=seed)]


def test_the_menu_is_what_learn_then_test_certifies_for_each_policy():
    cases = many_groups()
    found, error = menu(cases, ACCEPTANCE, MOST), share(ACCEPTANCE)
    assert tuple(found) == ACCEPTANCE.policies and {len(by_risk) for by_risk in found.values()} == {len(RISKS)}
    for name, by_risk in found.items():
        assert list(by_risk.values()) == sorted(by_risk.values(), reverse=True)
        for risk, threshold in by_risk.items():
            assert threshold == (certified(evidence_for(cases, name, "type"), float(risk), error, MOST) or NEVER)
    assert min(found["D"].values()) < NEVER


def test_every_policy_and_statement_has_its_share_of_what_may_go_wrong():
    assert share(accepting(confidence=0.9, policies=("D", "F"))) == pytest.approx(0.05)
    assert share(accepting(confidence=0.8, policies=("D",)), tests=4) == pytest.approx(0.05)


def test_what_is_asked_for_is_certified_at_just_that_risk_and_confidence():
    cases, asked = many_groups(), accepting(risk=0.12, confidence=0.8, policies=("D",))
    assert promised(cases, asked, MOST)["D"] == certified(evidence_for(cases, "D", "type"), 0.12, 1 - 0.8, MOST)


def test_a_promise_accepts_less_than_what_merely_looks_safe():
    cases = many_groups(60, seed=1)
    evidence = evidence_for(cases, "F", "type")  # the toys' confidence says nothing
    safe = promised(cases, accepting(risk=0.12, policies=("F",)), MOST)["F"]
    looks_safe = [t for t in GRID if (evidence.losses * (evidence.scores >= t)).mean() <= 0.12]
    assert min(looks_safe) < safe


def test_risks_by_type_give_each_type_its_own_threshold_and_the_others_one_together():
    cases = many_groups(400)
    asked = accepting(risk=0.3, policies=("D", "F"), risk_by_type={"file_write": 0, "repair": 0.6, "retrieval": 0.5})
    found, evidence = promised(cases, asked, MOST)["D"], evidence_for(cases, "D", "type")
    assert found["file_write"] == NEVER  # no proof needed, and no share of what may go wrong
    error = 0.1 / 2 / 3
    assert found["repair"] == (certified(evidence, 0.6, error, MOST, evidence.kinds == "repair") or NEVER)
    others = ~np.isin(evidence.kinds, ["file_write", "repair", "retrieval"])
    together = certified(evidence, 0.3, error, MOST, others) or NEVER
    rest = set(ACTION_TYPES) - {"file_write", "repair", "retrieval"}
    assert {found[kind] for kind in rest} == {together} and together < NEVER
    writes = [case for case in cases if case.cheap[0].action and case.cheap[0].action.type == "file_write"]
    assert writes and not any(act("D", case, found).accepted for case in writes)


@pytest.mark.parametrize("name", ["G", "S"])
def test_a_policy_that_may_see_no_type_keeps_the_strictest_of_all_risks(name: str):
    cases = many_groups(400)
    strict = accepting(risk=0.3, policies=(name,), risk_by_type={"file_write": 0})
    loose = accepting(risk=0.3, policies=(name,), risk_by_type={"repair": 0.6})
    assert promised(cases, strict, MOST)[name] == NEVER
    evidence = evidence_for(cases, name, "type")
    parts = [(0.6, evidence.kinds == "repair"), (0.3, evidence.kinds != "repair")]
    found = [certified(evidence, risk, 0.05, MOST, scope) or NEVER for risk, scope in parts]
    assert promised(cases, loose, MOST)[name] == max(found)


def test_what_is_promised_of_a_policy_that_sticks_counts_as_accepted_just_what_it_accepts():
    cases = many_groups()
    evidence = evidence_for(cases, "S", "type")
    for threshold in GRID[::12]:
        accepts = [act("S", case, threshold).accepted for case in cases]
        assert list(evidence.scores >= lowest_accepted(threshold)) == accepts
    own = [case.cheap[0].confidence for case in cases]
    assert any(evidence.scores < own)  # the toys have turns of several decisions


def test_a_split_too_small_for_the_promise_says_how_many_groups_it_takes():
    cases = many_groups(20)
    with pytest.raises(UserError) as caught:
        promised(cases, accepting(risk=0.05, policies=("D", "F", "G")), MOST)
    message = str(caught.value)
    there = weighed(cases, MOST)
    assert f"takes {groups_needed(0.05, 0.1 / 3, there)} calibration groups, and there are 20" in message
    assert f"a single one takes {groups_needed(0.05, 0.1, there)}" in message and "acceptance.risk: 0.05" in message
    assert groups_needed(0.05, 0.1, there) > groups_needed(0.05, 0.1)  # short ones weigh less than one


def test_just_enough_groups_are_enough():
    cases = many_groups(groups_needed(0.2, 0.1))
    assert set(promised(cases, accepting(risk=0.2, policies=("D",)), most=1)) == {"D"}
    with pytest.raises(UserError):
        promised(many_groups(groups_needed(0.2, 0.1) - 1), accepting(risk=0.2, policies=("D",)), most=1)


def test_a_projection_accepts_no_less_than_the_split_itself():
    cases = many_groups(40)
    found = projected(cases, ACCEPTANCE, MOST)
    here = menu(cases, ACCEPTANCE, MOST)
    for name in ACCEPTANCE.policies:
        for risk, threshold in here[name].items():
            accepted = np.mean([case.sides[name].score >= threshold for case in cases])
            assert found["8"][name][risk] >= found["2"][name][risk] >= accepted - 1e-12


def test_the_most_accurate_policy_is_one_within_the_budget_and_a_or_b_where_they_are_better():
    cases = make_cases(20, seed=2)
    free = calibrate(cases, TARIFF, accepting(max_relative_cost=9), "flops")
    chosen = most_accurate(free, cases, TARIFF, accepting(max_relative_cost=9), "flops")
    assert chosen == (chosen.policy, free[chosen.policy].threshold)
    assert free[chosen.policy].gain == max(fit.gain for fit in free.values()) >= 0
    poor = accepting(max_relative_cost=0.35)
    fitted = calibrate(cases, TARIFF, poor, "flops")
    chosen = most_accurate(fitted, cases, TARIFF, poor, "flops").policy
    assert chosen == "B" or (fitted[chosen].within_budget and fitted[chosen].cost <= 0.35)
    hopeless = [make_case(episode=str(n), cheap=("BLOCKED",), route=0.5) for n in range(9)]
    fitted = calibrate(hopeless, TARIFF, ACCEPTANCE, "flops")
    assert most_accurate(fitted, hopeless, TARIFF, ACCEPTANCE, "flops").policy in ("A", "G")


def test_the_best_other_runs_beside_a_b_and_d():
    fitted = calibrate(make_cases(20, seed=2), TARIFF, ACCEPTANCE, "flops")
    assert best_other(fitted) in set(JUDGING) - {"D"}


def test_of_safe_policies_the_cheapest_is_chosen_and_a_where_none_is_cheaper():
    cases = make_cases(20, seed=2)
    safe = {"D": NEVER, "F": 0.5, "G": 0.5}
    costs = {name: Replay.of(cases, name, threshold).charge.flops for name, threshold in safe.items()}
    assert cheapest(safe, cases, TARIFF, "type", "flops") == (min(costs, key=costs.get), 0.5)
    assert cheapest({"D": NEVER, "F": NEVER}, cases, TARIFF, "type", "flops") == ("A", None)


def test_evidence_is_what_accepting_would_lose_to_the_strong_model():
    cases = [make_case(), make_case(strong="BLOCKED"), make_case(cheap=("repair",)), make_case(cheap=(None,))]
    found = evidence_for(cases, "F", "type")
    assert found.losses.tolist() == [0, -1, 1, 1]
    assert found.kinds.tolist() == ["final_answer", "final_answer", "repair", ""]


def test_what_is_said_of_the_groups_is_how_many_weigh_less_than_their_decisions_and_what_they_weigh():
    held = {"a": 1, "b": 6, "c": 8}
    cases = [make_case(group=name, episode=f"{name}{n}") for name, size in held.items() for n in range(size)]
    found = on_calibrate(cases, {"D": fitted(0.5)}, menu(cases, ACCEPTANCE, 6), ACCEPTANCE, "flops", 6)
    assert (found.average_over, found.most_counted, found.larger_groups) == ("decisions", 6, 1)
    assert found.mean_weight == pytest.approx((1 / 6 + 1 + 1) / 3, abs=1e-6)
    assert found.groups_needed["0.2"] == groups_needed(0.2, 0.1 / 3, [1 / 6, 1, 1])


def test_few_groups_certify_nothing():
    assert set(menu(make_cases(12), ACCEPTANCE, MOST)["D"].values()) == {NEVER}


def test_ties_go_to_the_cheaper_then_to_the_higher_threshold():
    tied = [fitted(0.1, cost=1.0), fitted(0.2, cost=0.9), fitted(0.3, cost=0.9), fitted(0.4, cost=1.0)]
    assert best(tied) == fitted(0.3, cost=0.9)


def test_within_budget_comes_before_accuracy():
    expensive, allowed = fitted(0.1, within_budget=False, accuracy=0.9, cost=2.0), fitted(0.2, accuracy=0.4, cost=0.5)
    assert best([expensive, allowed]) == allowed


def test_proposals_no_better_than_strong_are_accepted_because_they_are_cheaper():
    cases = [make_case(episode=str(n), verifier=(0.5,)) for n in range(4)]
    assert calibrate(cases, TARIFF, ACCEPTANCE, "flops")["D"].threshold == 0.0


def test_wrong_proposals_are_never_accepted_where_money_is_no_object():
    cases = [make_case(episode=str(n), cheap=("BLOCKED",), verifier=(1.0,)) for n in range(4)]
    generous = accepting(max_relative_cost=9)
    assert calibrate(cases, TARIFF, generous, "flops")["D"].threshold == NEVER


@pytest.mark.slow
def test_nine_hundred_decisions_take_a_few_seconds_at_most():
    cases = make_cases(180, digits=6)
    started = time.process_time()
    calibrate(cases, TARIFF, ACCEPTANCE, "flops")
    assert len(cases) > 800 and time.process_time() - started < 5


def test_the_commonest_type_is_the_first_by_name_among_equals():
    cases = [make_case(gold=gold) for gold in ("repair", "BLOCKED", "repair", "BLOCKED", "verifier")]
    assert commonest_type(cases) == "BLOCKED"


def test_figures_are_rounded_but_for_thresholds():
    cases = make_cases(6)
    fine = fitted(0.123456789, accuracy=1 / 3, gain=1 / 3, accept_rate=1 / 3, cost=1 / 3)
    found = on_calibrate(cases, {"D": fine}, menu(cases, ACCEPTANCE, MOST), ACCEPTANCE, "flops", MOST)
    assert found.policies["D"].model_dump() == {
        "threshold": 0.123456789,
        "within_budget": True,
        "accuracy": 0.3333,
        "gain": 0.3333,
        "accept_rate": 0.3333,
        "cost": 0.3333,
    }
    assert (found.decisions, found.groups) == (len(cases), 2)
    assert found.majority == commonest_type(cases)


def test_safe_thresholds_are_those_of_the_menu_and_of_what_was_asked_for():
    cases = make_cases(6)
    found = on_calibrate(cases, {"D": fitted(0.5)}, {"D": {"0.1": 0.7}, "F": {"0.1": NEVER}}, ACCEPTANCE, "flops", 1)
    asked = Asked(risk=0.12, by_type={"repair": 0.0}, policies={"D": {"repair": NEVER}}, cheapest="D")
    assert found.safe(Promise(cheapest={"0.1": "D"}, asked=asked)) == {
        "D": {"0.1": 0.7, "asked": {"repair": NEVER}},
        "F": {"0.1": NEVER},
    }
    assert found.safe(Promise(cheapest={"0.1": "D"}, asked=None)) == found.guaranteed
