"""The chosen threshold is the best that trying every one would find, within the budget."""

import time
from typing import Any

import numpy as np
import pytest
from factories import ACCEPTANCE, TARIFF, make_row, make_rows
from places import CONFIGURATION

from specacts.answering.records import Answers
from specacts.config import Acceptance, load_config
from specacts.core.episodes import agrees
from specacts.core.errors import UserError
from specacts.core.words import ACTION_TYPES
from specacts.policies.choose import (
    RISKS,
    Fitted,
    best,
    best_other,
    calibrate,
    cheapest,
    commonest_type,
    evidence_for,
    fixed_thresholds,
    menu,
    metrics,
    most_accurate,
    projected,
    promised,
    share,
)
from specacts.policies.cost import charges, thresholds, total
from specacts.policies.decide import ALWAYS, JUDGING, NEVER, always_strong, score
from specacts.policies.guarantee import GRID, certified, groups_needed


def accepting(**fields: Any) -> Acceptance:
    """The factories' settings with some changed; they are validated."""
    return Acceptance(**(ACCEPTANCE.model_dump() | fields))


def replayed(rows: list[Answers], name: str, threshold: float, acceptance: Acceptance, model: str) -> Fitted:
    """A threshold's figures, by running its policy from scratch."""
    outcomes = [JUDGING[name](threshold)(row) for row in rows]
    right = [agrees(o.action, row.gold, acceptance.level) for o, row in zip(outcomes, rows, strict=True)]
    lead = sum(right) - sum(agrees(row.strong.action, row.gold, acceptance.level) for row in rows)
    own = total(charges(rows, outcomes, TARIFF))
    strong = total(charges(rows, [always_strong(row) for row in rows], TARIFF))
    relative = getattr(own, model) / getattr(strong, model)
    accepted = sum(bool(o.accepted) for o in outcomes)
    count = len(rows)
    within = round(relative, 9) <= acceptance.max_relative_cost
    return Fitted(threshold, within, sum(right) / count, lead / count, accepted / count, relative)


@pytest.mark.parametrize("model", ["flops", "upstream"])
@pytest.mark.parametrize("budget", [0.3, 0.9, 5.0])
@pytest.mark.parametrize("level", ["type", "call"])
def test_trying_every_threshold_finds_nothing_better(model: str, budget: float, level: str):
    rows = make_rows(8, seed=3)
    acceptance = accepting(level=level, max_relative_cost=budget)
    for name, found in calibrate(rows, TARIFF, acceptance, model).items():
        tried = [
            replayed(rows, name, threshold, acceptance, model)
            for threshold in thresholds([score(r, name) for r in rows])
        ]
        allowed = [one for one in tried if one.within_budget] or tried
        accuracy = max(one.accuracy for one in allowed)
        cheapest = min(round(one.cost, 9) for one in allowed if one.accuracy == accuracy)
        equals = [one for one in allowed if one.accuracy == accuracy and round(one.cost, 9) == cheapest]
        expected = max(equals, key=lambda one: one.threshold)
        assert found._replace(cost=0) == expected._replace(cost=0)
        assert found.cost == pytest.approx(expected.cost, abs=1e-8)


def test_a_tight_budget_is_respected_and_an_impossible_one_reported():
    rows = make_rows(10)
    free = calibrate(rows, TARIFF, accepting(max_relative_cost=9), "flops")["D"]
    tight = calibrate(rows, TARIFF, accepting(max_relative_cost=0.9), "flops")["D"]
    none = calibrate(rows, TARIFF, accepting(max_relative_cost=0.01), "flops")["D"]
    assert free.within_budget and tight.within_budget and tight.cost <= 0.9 < free.cost
    assert tight.accuracy <= free.accuracy
    assert none == free._replace(within_budget=False)


def test_a_fixed_threshold_is_taken_as_it_is_and_its_figures_told():
    rows = make_rows(10)
    found = calibrate(rows, TARIFF, ACCEPTANCE, "flops", {"D": 0.5, "E": ALWAYS})
    assert found["D"].threshold == 0.5 and found["E"].accept_rate == 1
    assert found["C"] == calibrate(rows, TARIFF, ACCEPTANCE, "flops")["C"]
    for name in "DE":
        again = replayed(rows, name, found[name].threshold, ACCEPTANCE, "flops")
        assert found[name]._replace(cost=0) == again._replace(cost=0)
        assert found[name].cost == pytest.approx(again.cost, abs=1e-8)


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


def many_groups(episodes: int = 120, seed: int = 5) -> list[Answers]:
    """Each episode a group of its own."""
    return [row.model_copy(update={"group": row.episode}) for row in make_rows(episodes, seed=seed)]


def test_the_menu_is_what_learn_then_test_certifies_for_each_policy():
    rows = many_groups()
    found = menu(rows, ACCEPTANCE)
    assert tuple(found) == ACCEPTANCE.policies and {len(by_risk) for by_risk in found.values()} == {len(RISKS)}
    for name, by_risk in found.items():
        assert list(by_risk.values()) == sorted(by_risk.values(), reverse=True)
        for risk, threshold in by_risk.items():
            assert threshold == (certified(evidence_for(rows, name, "type"), float(risk), share(ACCEPTANCE)) or NEVER)
    assert min(found["D"].values()) < NEVER


def test_every_policy_and_statement_has_its_share_of_what_may_go_wrong():
    assert share(accepting(confidence=0.9, policies=("D", "F"))) == pytest.approx(0.05)
    assert share(accepting(confidence=0.8, policies=("D",)), tests=4) == pytest.approx(0.05)


def test_what_is_asked_for_is_certified_at_just_that_risk_and_confidence():
    rows, asked = many_groups(), accepting(risk=0.12, confidence=0.8, policies=("D",))
    assert promised(rows, asked)["D"] == certified(evidence_for(rows, "D", "type"), 0.12, 1 - 0.8)


def test_a_promise_accepts_less_than_what_merely_looks_safe():
    rows = many_groups(60, seed=1)
    evidence = evidence_for(rows, "F", "type")  # the toys' confidence says nothing
    safe = promised(rows, accepting(risk=0.12, policies=("F",)))["F"]
    looks_safe = [t for t in GRID if (evidence.losses * (evidence.scores >= t)).mean() <= 0.12]
    assert min(looks_safe) < safe


def test_risks_by_type_give_each_type_its_own_threshold_and_the_others_one_together():
    rows = many_groups(400)
    asked = accepting(risk=0.3, policies=("D", "F"), risk_by_type={"file_write": 0, "repair": 0.6, "retrieval": 0.5})
    found, evidence = promised(rows, asked)["D"], evidence_for(rows, "D", "type")
    assert found["file_write"] == NEVER  # no proof needed, and no share of what may go wrong
    error = 0.1 / 2 / 3
    assert found["repair"] == (certified(evidence, 0.6, error, evidence.kinds == "repair") or NEVER)
    others = ~np.isin(evidence.kinds, ["file_write", "repair", "retrieval"])
    together = certified(evidence, 0.3, error, others) or NEVER
    rest = set(ACTION_TYPES) - {"file_write", "repair", "retrieval"}
    assert {found[kind] for kind in rest} == {together} and together < NEVER
    writes = [row for row in rows if row.cheap[0].action and row.cheap[0].action.type == "file_write"]
    assert writes and not any(JUDGING["D"](found)(row).accepted for row in writes)


def test_a_router_that_sees_no_type_keeps_the_strictest_of_all_risks():
    rows = many_groups(400)
    strict = accepting(risk=0.3, policies=("G",), risk_by_type={"file_write": 0})
    loose = accepting(risk=0.3, policies=("G",), risk_by_type={"repair": 0.6})
    assert promised(rows, strict)["G"] == NEVER
    evidence = evidence_for(rows, "G", "type")
    parts = [(0.6, evidence.kinds == "repair"), (0.3, evidence.kinds != "repair")]
    assert promised(rows, loose)["G"] == max(certified(evidence, r, 0.05, scope) or NEVER for r, scope in parts)


def test_a_split_too_small_for_the_promise_says_how_many_groups_it_takes():
    rows = many_groups(20)
    with pytest.raises(UserError) as caught:
        promised(rows, accepting(risk=0.05, policies=("D", "F", "G")))
    message = str(caught.value)
    assert f"takes {groups_needed(0.05, 0.1 / 3)} calibrate groups, and there are 20" in message
    assert f"a single one takes {groups_needed(0.05, 0.1)}" in message and "acceptance.risk: 0.05" in message


def test_just_enough_groups_are_enough():
    rows = many_groups(groups_needed(0.2, 0.1))
    assert set(promised(rows, accepting(risk=0.2, policies=("D",)))) == {"D"}
    with pytest.raises(UserError):
        promised(many_groups(groups_needed(0.2, 0.1) - 1), accepting(risk=0.2, policies=("D",)))


def test_a_projection_accepts_no_less_than_the_split_itself():
    rows = many_groups(40)
    found = projected(rows, ACCEPTANCE)
    here = menu(rows, ACCEPTANCE)
    for name in ACCEPTANCE.policies:
        for risk, threshold in here[name].items():
            accepted = np.mean([score(row, name) >= threshold for row in rows])
            assert found["8"][name][risk] >= found["2"][name][risk] >= accepted - 1e-12


def test_the_most_accurate_policy_is_one_within_the_budget_and_a_or_b_where_they_are_better():
    rows = make_rows(20, seed=2)
    free = calibrate(rows, TARIFF, accepting(max_relative_cost=9), "flops")
    chosen = most_accurate(free, rows, TARIFF, accepting(max_relative_cost=9), "flops")
    assert chosen == (chosen.policy, free[chosen.policy].threshold)
    assert free[chosen.policy].gain == max(fit.gain for fit in free.values()) >= 0
    poor = accepting(max_relative_cost=0.35)
    fitted = calibrate(rows, TARIFF, poor, "flops")
    chosen = most_accurate(fitted, rows, TARIFF, poor, "flops").policy
    assert chosen == "B" or (fitted[chosen].within_budget and fitted[chosen].cost <= 0.35)
    hopeless = [make_row(episode=str(n), cheap=("BLOCKED",), route=0.5) for n in range(9)]
    fitted = calibrate(hopeless, TARIFF, ACCEPTANCE, "flops")
    assert most_accurate(fitted, hopeless, TARIFF, ACCEPTANCE, "flops").policy in ("A", "G")


def test_the_best_other_runs_beside_a_b_and_d():
    fitted = calibrate(make_rows(20, seed=2), TARIFF, ACCEPTANCE, "flops")
    assert best_other(fitted) in set(JUDGING) - {"D"}


def test_of_safe_policies_the_cheapest_is_chosen_and_a_where_none_is_cheaper():
    rows = make_rows(20, seed=2)
    safe = {"D": NEVER, "F": 0.5, "G": 0.5}
    spent = {
        name: total(charges(rows, [JUDGING[name](t)(row) for row in rows], TARIFF)).flops for name, t in safe.items()
    }
    assert cheapest(safe, rows, TARIFF, "type", "flops") == (min(spent, key=spent.get), 0.5)
    assert cheapest({"D": NEVER, "F": NEVER}, rows, TARIFF, "type", "flops") == ("A", None)


def test_evidence_is_what_accepting_would_lose_to_the_strong_model():
    rows = [make_row(), make_row(strong="BLOCKED"), make_row(cheap=("repair",)), make_row(cheap=(None,))]
    found = evidence_for(rows, "F", "type")
    assert found.losses.tolist() == [0, -1, 1, 1]
    assert found.kinds.tolist() == ["final_answer", "final_answer", "repair", ""]


def test_few_groups_certify_nothing():
    assert set(menu(make_rows(12), ACCEPTANCE)["D"].values()) == {NEVER}


def test_ties_go_to_the_cheaper_then_to_the_higher_threshold():
    def fitted(threshold: float, cost: float) -> Fitted:
        return Fitted(threshold, True, 0.5, 0.0, 0.5, cost)

    assert best([fitted(0.1, 1.0), fitted(0.2, 0.9), fitted(0.3, 0.9), fitted(0.4, 1.0)]) == fitted(0.3, 0.9)


def test_within_budget_comes_before_accuracy():
    dear, allowed = Fitted(0.1, False, 0.9, 0.0, 0.5, 2.0), Fitted(0.2, True, 0.4, 0.0, 0.5, 0.5)
    assert best([dear, allowed]) == allowed


def test_proposals_no_better_than_strong_are_accepted_because_they_are_cheaper():
    rows = [make_row(episode=str(n), verifier=(0.5,)) for n in range(4)]
    assert calibrate(rows, TARIFF, ACCEPTANCE, "flops")["D"].threshold == 0.0


def test_wrong_proposals_are_never_accepted_where_money_is_no_object():
    rows = [make_row(episode=str(n), cheap=("BLOCKED",), verifier=(1.0,)) for n in range(4)]
    generous = accepting(max_relative_cost=9)
    assert calibrate(rows, TARIFF, generous, "flops")["D"].threshold == NEVER


def test_nine_hundred_decisions_take_a_few_seconds_at_most():
    rows = make_rows(180, digits=6)
    started = time.process_time()
    calibrate(rows, TARIFF, ACCEPTANCE, "flops")
    assert len(rows) > 800 and time.process_time() - started < 5


def test_the_commonest_type_is_the_first_by_name_among_equals():
    rows = [make_row(gold=gold) for gold in ("repair", "BLOCKED", "repair", "BLOCKED", "verifier")]
    assert commonest_type(rows) == "BLOCKED"


def test_metrics_round_everything_but_thresholds():
    rows = make_rows(6)
    fine = Fitted(0.123456789, True, 1 / 3, 1 / 3, 1 / 3, 1 / 3)
    values = metrics(rows, {"D": fine}, menu(rows, ACCEPTANCE), ACCEPTANCE, "flops")
    assert values["policies"]["D"] == {
        "threshold": 0.123456789,
        "within_budget": True,
        "accuracy": 0.3333,
        "gain": 0.3333,
        "accept_rate": 0.3333,
        "cost": 0.3333,
    }
    assert (values["decisions"], values["groups"]) == (len(rows), 2)
    assert values["majority"] == commonest_type(rows)
