"""The chosen threshold is the best that trying every one would find, within the budget."""

import time
from pathlib import Path

import pytest
from factories import ACCEPTANCE, COST, SIZES, UPSTREAM, make_row, make_rows

from specacts.answers import Answers
from specacts.calibrate import (
    RISKS,
    SHARE,
    Fitted,
    best,
    calibrate,
    commonest_type,
    evidence_for,
    fixed_thresholds,
    guaranteed,
    metrics,
)
from specacts.config import Acceptance, Cost, load_config
from specacts.cost import COST_MODELS, charges, thresholds, total
from specacts.episodes import agrees
from specacts.guarantee import certified
from specacts.policies import ALWAYS, JUDGING, NEVER, always_strong, score

ROOT = Path(__file__).parent.parent


def replayed(rows: list[Answers], name: str, threshold: float, acceptance: Acceptance, cost: Cost) -> Fitted:
    """A threshold's figures, by running its policy from scratch."""
    outcomes = [JUDGING[name](threshold)(row) for row in rows]
    right = [agrees(o.action, row.gold, acceptance.level) for o, row in zip(outcomes, rows, strict=True)]
    own = total(charges(rows, outcomes, SIZES, cost.upstream))
    strong = total(charges(rows, [always_strong(row) for row in rows], SIZES, cost.upstream))
    relative = getattr(own, cost.model) / getattr(strong, cost.model)
    accepted = sum(bool(o.accepted) for o in outcomes)
    count = len(rows)
    within = round(relative, 9) <= acceptance.max_relative_cost
    return Fitted(threshold, within, sum(right) / count, accepted / count, relative)


@pytest.mark.parametrize("model", COST_MODELS)
@pytest.mark.parametrize("budget", [0.3, 0.9, 1.1, 5.0])
@pytest.mark.parametrize("level", ["type", "call"])
def test_trying_every_threshold_finds_nothing_better(model: str, budget: float, level: str):
    rows = make_rows(8, seed=3)
    acceptance = Acceptance(level=level, score="verdict", max_relative_cost=budget)
    cost = Cost(model=model, upstream=UPSTREAM)
    for name, found in calibrate(rows, SIZES, acceptance, cost).items():
        tried = [
            replayed(rows, name, threshold, acceptance, cost)
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
    free = calibrate(rows, SIZES, Acceptance(level="type", score="verdict", max_relative_cost=9), COST)["D"]
    tight = calibrate(rows, SIZES, Acceptance(level="type", score="verdict", max_relative_cost=0.9), COST)["D"]
    none = calibrate(rows, SIZES, Acceptance(level="type", score="verdict", max_relative_cost=0.01), COST)["D"]
    assert free.within_budget and tight.within_budget and tight.cost <= 0.9 < free.cost
    assert tight.accuracy <= free.accuracy
    assert none == free._replace(within_budget=False)


def test_a_fixed_threshold_is_taken_as_it_is_and_its_figures_told():
    rows = make_rows(10)
    found = calibrate(rows, SIZES, ACCEPTANCE, COST, {"D": 0.5, "E": ALWAYS})
    assert found["D"].threshold == 0.5 and found["E"].accept_rate == 1
    assert found["C"] == calibrate(rows, SIZES, ACCEPTANCE, COST)["C"]
    for name in "DE":
        again = replayed(rows, name, found[name].threshold, ACCEPTANCE, COST)
        assert found[name]._replace(cost=0) == again._replace(cost=0)
        assert found[name].cost == pytest.approx(again.cost, abs=1e-8)


@pytest.mark.parametrize(
    ("threshold", "may_reject", "expected"),
    [
        ("calibrated", True, {}),
        ("calibrated", False, {"E": ALWAYS}),
        ("fixed", True, {"C": 0.5, "D": 0.5, "E": 0.5, "F": 0.5}),
        ("fixed", False, {"C": 0.5, "D": 0.5, "E": ALWAYS, "F": 0.5}),
    ],
)
def test_a_recipe_fixes_thresholds_at_even_odds_and_never_lets_an_e_reject_that_may_not(
    threshold, may_reject, expected
):
    recipe = load_config(ROOT).recipe
    picks = recipe.picks.model_copy(update={"may_reject": may_reject})
    assert fixed_thresholds(recipe.model_copy(update={"threshold": threshold, "picks": picks})) == expected


def test_what_is_guaranteed_is_what_learn_then_test_certifies_for_each_policy():
    rows = [row.model_copy(update={"group": row.episode}) for row in make_rows(120, seed=5)]
    found = guaranteed(rows, "type")
    assert list(found) == list(JUDGING) and {len(by_risk) for by_risk in found.values()} == {len(RISKS)}
    for name, by_risk in found.items():
        assert list(by_risk.values()) == sorted(by_risk.values(), reverse=True)
        for risk, threshold in by_risk.items():
            assert threshold == (certified(evidence_for(rows, name, "type"), float(risk), SHARE) or NEVER)
    assert min(found["D"].values()) < NEVER


def test_evidence_is_what_accepting_would_lose_to_the_strong_model():
    rows = [make_row(), make_row(strong="BLOCKED"), make_row(cheap=("repair",)), make_row(cheap=(None,))]
    found = evidence_for(rows, "F", "type")
    assert found.losses.tolist() == [0, -1, 1, 1]
    assert found.kinds.tolist() == ["final_answer", "final_answer", "repair", ""]


def test_few_groups_certify_nothing():
    assert set(guaranteed(make_rows(12), "type")["D"].values()) == {NEVER}


def test_ties_go_to_the_cheaper_then_to_the_higher_threshold():
    def fitted(threshold: float, cost: float) -> Fitted:
        return Fitted(threshold, True, 0.5, 0.5, cost)

    assert best([fitted(0.1, 1.0), fitted(0.2, 0.9), fitted(0.3, 0.9), fitted(0.4, 1.0)]) == fitted(0.3, 0.9)


def test_within_budget_comes_before_accuracy():
    dear, allowed = Fitted(0.1, False, 0.9, 0.5, 2.0), Fitted(0.2, True, 0.4, 0.5, 0.5)
    assert best([dear, allowed]) == allowed


def test_proposals_no_better_than_strong_are_accepted_because_they_are_cheaper():
    rows = [make_row(episode=str(n), verifier=(0.5,)) for n in range(4)]
    assert calibrate(rows, SIZES, ACCEPTANCE, COST)["D"].threshold == 0.0


def test_wrong_proposals_are_never_accepted_where_money_is_no_object():
    rows = [make_row(episode=str(n), cheap=("BLOCKED",), verifier=(1.0,)) for n in range(4)]
    generous = Acceptance(level="type", score="verdict", max_relative_cost=9)
    assert calibrate(rows, SIZES, generous, COST)["D"].threshold == NEVER


def test_nine_hundred_decisions_take_a_few_seconds_at_most():
    rows = make_rows(180, digits=6)
    started = time.process_time()
    calibrate(rows, SIZES, ACCEPTANCE, COST)
    assert len(rows) > 800 and time.process_time() - started < 5


def test_the_commonest_type_is_the_first_by_name_among_equals():
    rows = [make_row(gold=gold) for gold in ("repair", "BLOCKED", "repair", "BLOCKED", "verifier")]
    assert commonest_type(rows) == "BLOCKED"


def test_metrics_round_everything_but_thresholds():
    rows = make_rows(6)
    fine = Fitted(0.123456789, True, 1 / 3, 1 / 3, 1 / 3)
    values = metrics(rows, {"D": fine}, ACCEPTANCE, COST)
    assert values["policies"]["D"] == {
        "threshold": 0.123456789,
        "within_budget": True,
        "accuracy": 0.3333,
        "accept_rate": 0.3333,
        "cost": 0.3333,
    }
    assert (values["decisions"], values["groups"]) == (len(rows), 2)
    assert values["majority"] == commonest_type(rows)
