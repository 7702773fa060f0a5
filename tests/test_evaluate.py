"""The comparison's numbers: complete, consistent with each other, and bounded by the oracle."""

import json
import random

import numpy as np
import pytest
from factories import COST, SIZES, UPSTREAM, make_row, make_rows

from specacts.answers import Answers
from specacts.cost import COST_MODELS, charges
from specacts.effects import by_text
from specacts.episodes import ACTION_TYPES, LEVELS, agrees
from specacts.evaluate import (
    ACCEPT_RATE,
    CONFUSION,
    FRONTIER,
    SWEEP_POINTS,
    Track,
    accept_rates,
    confusion,
    evaluate,
    frontier,
    run,
    run_guaranteed,
    thinned,
)
from specacts.policies import ALWAYS, JUDGING, NEVER, always_strong, cheap_only, choices

ROWS = make_rows(24, seed=1)
THRESHOLDS = {"C": 0.5, "D": 0.5, "E": 0.55, "F": 0.5}
INTERVALS = ("", "_low", "_high")


def ran(rows: list[Answers] = ROWS, thresholds: dict[str, float] = THRESHOLDS, level: str = "type") -> dict[str, Track]:
    return run(rows, SIZES, thresholds, "final_answer", level, COST)


@pytest.fixture(scope="module")
def tracks() -> dict[str, Track]:
    return ran()


@pytest.fixture(scope="module")
def evaluation(tracks: dict[str, Track]) -> dict:
    return evaluate(ROWS, tracks, "type", "verdict", 200, 0)


def test_every_promised_key_is_there(evaluation: dict):
    assert (evaluation["decisions"], evaluation["groups"]) == (len(ROWS), 8)
    entries = [evaluation["policies"][name] for name in "ABCDEF"]
    entries += [evaluation["baselines"][name] for name in ("majority", "random", "random_accept", "oracle")]
    for entry in entries:
        assert {f"{level}_accuracy{end}" for level in LEVELS for end in INTERVALS} <= entry.keys()
        assert "malformed" in entry
        assert {"flops", "flops_no_cache", "seconds", "upstream"} <= entry["cost"].keys()
    for name in "CDEF":
        assert {"precision", "recall"} <= evaluation["policies"][name].keys()
    pairs = {f"{x}_minus_{y}" for x in "ABCDEF" for y in "AB" if x != y}
    assert pairs == evaluation["paired"].keys()
    for entry in evaluation["paired"].values():
        assert {f"{level}_accuracy{end}" for level in ("type", "call") for end in INTERVALS} <= entry.keys()
    scores = ("auroc", "confidence_auroc", "logprob_auroc", "strong_auroc", "auroc_minus_confidence", "base_rate")
    assert {f"{score}{end}" for score in scores for end in INTERVALS} <= evaluation["verifier"].keys()
    assert evaluation["cost_per_decision"]["A"].keys() == set(COST_MODELS)


def test_values_lie_in_their_intervals(evaluation: dict):
    for entry in [*evaluation["policies"].values(), *evaluation["paired"].values(), evaluation["verifier"]]:
        for key in (key for key in entry if f"{key}_low" in entry):
            assert entry[f"{key}_low"] - 1e-9 <= entry[key] <= entry[f"{key}_high"] + 1e-9


def test_the_same_seed_gives_the_same_bytes(tracks: dict[str, Track], evaluation: dict):
    assert json.dumps(evaluate(ROWS, ran(), "type", "verdict", 200, 0)) == json.dumps(evaluation)


def test_a_is_the_unit_of_cost(evaluation: dict):
    assert all(value == 1 for value in evaluation["policies"]["A"]["cost"].values())
    assert evaluation["policies"]["B"]["cost"]["upstream"] == pytest.approx(0.15)


def test_paired_differences_are_differences(evaluation: dict):
    policies = evaluation["policies"]
    for pair, entry in evaluation["paired"].items():
        one, other = pair.split("_minus_")
        difference = policies[one]["call_accuracy"] - policies[other]["call_accuracy"]
        assert entry["call_accuracy"] == pytest.approx(difference)


def test_an_action_that_does_the_same_is_right_by_effect_and_wrong_by_text():
    rows = [make_row(cheap=("repair",), gold="tool_call", strong="BLOCKED"), make_row(episode="e1")]
    same = [by_text(row) for row in rows]
    same[0] = same[0].model_copy(update={"executed": True, "cheap": (True,)})
    tracks = run(rows, SIZES, THRESHOLDS, "final_answer", "type", COST, same)
    assert tracks["B"].right["effect"].tolist() == [1, 1] and tracks["B"].right["call"].tolist() == [0, 1]
    assert tracks["A"].right["effect"].tolist() == [0, 1]


def test_without_a_certificate_a_policy_is_the_strong_model_and_costs_no_more():
    kept = run_guaranteed(ROWS, SIZES, {"D": {"0.05": NEVER, "0.1": 0.5}}, COST)
    found = evaluate(ROWS, ran(), "type", "verdict", 100, 0, kept)["guaranteed"]["D"]
    assert (found["0.05"]["accept_rate"], found["0.05"]["lost"], found["0.05"]["lost_high"]) == (0, 0, 0)
    assert set(found["0.05"]["cost"].values()) == {1}
    policies = evaluate(ROWS, ran(), "type", "verdict", 100, 0)["policies"]
    assert found["0.1"]["lost"] == pytest.approx(policies["A"]["type_accuracy"] - policies["D"]["type_accuracy"])
    assert found["0.1"]["cost"] == policies["D"]["cost"]


def test_precision_and_recall_by_hand():
    rows = [
        make_row(episode="a", verifier=(0.9,)),  # accepted, right
        make_row(episode="b", verifier=(0.9,), cheap=("BLOCKED",)),  # accepted, wrong
        make_row(episode="c", verifier=(0.1,)),  # rejected, right
        make_row(episode="d", verifier=(0.9,)),  # accepted, right
    ]
    d = evaluate(rows, ran(rows), "type", "verdict", 100, 0)["policies"]["D"]
    assert (d["accept_rate"], d["precision"], d["recall"]) == pytest.approx((3 / 4, 2 / 3, 2 / 3))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threshold", [ALWAYS, 0.45, 0.6, NEVER])
def test_no_judge_beats_its_oracle(seed: int, level: str, threshold: float):
    found = ran(make_rows(6, seed), dict.fromkeys(JUDGING, threshold), level)
    accuracy = {name: track.right[level].mean() for name, track in found.items()}
    assert max(accuracy["C"], accuracy["D"], accuracy["A"], accuracy["B"]) <= accuracy["oracle"]
    assert max(accuracy["E"], accuracy["oracle"]) <= accuracy["oracle_picks"]


def test_the_oracle_is_charged_like_d():
    rows = [make_row(), make_row(context=150, decision=1, cheap=("BLOCKED",))]
    both = choices(rows, "D")
    expected = charges(rows, [both[0].accept, both[1].reject], SIZES, UPSTREAM)
    assert ran(rows)["oracle"].charges == expected


def test_random_accept_is_what_tossing_coins_gives_on_average():
    rows = make_rows(4, seed=2)
    track = ran(rows)["random_accept"]
    rate, rng, both = float(track.kept[0]), random.Random(0), choices(rows, "D")
    right, spent = [], []
    for _ in range(400):
        outcomes = [choice.accept if rng.random() < rate else choice.reject for choice in both]
        right.append(np.mean([agrees(o.action, r.gold, "type") for o, r in zip(outcomes, rows, strict=True)]))
        spent.append(sum(charge.flops for charge in charges(rows, outcomes, SIZES, UPSTREAM)))
    assert np.mean(right) == pytest.approx(track.right["type"].mean(), abs=4 * np.std(right) / 20)
    assert np.mean(spent) == pytest.approx(sum(c.flops for c in track.charges), abs=4 * np.std(spent) / 20)
    assert rate == ran(rows)["D"].kept.mean()


def test_constant_baselines_cost_nothing_and_name_no_tool(evaluation: dict):
    golds = [row.gold.type for row in ROWS]
    majority, uniform = (evaluation["baselines"][name] for name in ("majority", "random"))
    speaking = sum(gold in ("final_answer", "ask_clarification", "BLOCKED") for gold in golds) / len(golds)
    assert (
        majority["type_accuracy"]
        == majority["call_accuracy"]
        == pytest.approx(golds.count("final_answer") / len(golds))
    )
    assert uniform["type_accuracy"] == pytest.approx(1 / 9)
    assert uniform["tool_accuracy"] == uniform["call_accuracy"] == pytest.approx(speaking / 9)
    assert "accept_rate" not in majority and set(majority["cost"].values()) == {0}


def test_a_majority_type_that_calls_a_tool_gets_no_call_right():
    track = run(ROWS, SIZES, THRESHOLDS, "retrieval", "type", COST)["majority"]
    assert track.right["type"].sum() == sum(row.gold.type == "retrieval" for row in ROWS)
    assert track.right["tool"].sum() == track.right["call"].sum() == 0


def test_malformed_output_is_counted_and_wrong():
    rows = [make_row(cheap=(None,), verifier=(0.9,)), make_row(episode="e1", strong=None, verifier=(0.9,))]
    found = evaluate(rows, ran(rows), "type", "verdict", 100, 0)["policies"]
    assert [found[name]["malformed"] for name in "ABD"] == [0.5, 0.5, 0.5]
    assert found["D"]["type_accuracy"] == 0.5


@pytest.mark.parametrize("threshold", [ALWAYS, NEVER])
@pytest.mark.parametrize("proposal", ["final_answer", "BLOCKED"])
def test_one_sided_data_gives_numbers_all_the_same(threshold: float, proposal: str):
    rows = [make_row(episode=str(n), group=str(n), cheap=(proposal,)) for n in range(3)]
    found = evaluate(rows, ran(rows, dict.fromkeys(JUDGING, threshold)), "type", "verdict", 100, 0)
    assert found["verifier"]["auroc"] == 0.5 and found["verifier"]["auroc_minus_confidence_low"] == 0
    assert found["policies"]["D"]["precision"] == float(threshold == ALWAYS and proposal == "final_answer")
    assert found["policies"]["D"]["recall"] == float(threshold == ALWAYS and proposal == "final_answer")
    json.dumps(found, allow_nan=False)


def test_the_frontier_holds_every_policy_and_baseline_and_a_sweep_of_d(tracks: dict[str, Track], evaluation: dict):
    table = [dict(zip(FRONTIER, row, strict=True)) for row in frontier(ROWS, tracks, evaluation, SIZES, "type", COST)]
    assert [row["name"] for row in table if row["kind"] == "policies"] == list("ABCDEF")
    assert {row["name"] for row in table if row["kind"] == "baselines"} == evaluation["baselines"].keys()
    swept = [row for row in table if row["kind"] == "sweep"]
    assert 2 < len(swept) <= SWEEP_POINTS
    policies = evaluation["policies"]
    assert swept[0]["accuracy"] == pytest.approx(policies["B"]["type_accuracy"])  # all accepted
    assert swept[-1]["accuracy"] == pytest.approx(policies["A"]["type_accuracy"])  # none accepted
    same = [row for row in frontier(ROWS, tracks, evaluation, SIZES, "type", COST) if row[:2] == ("D", "policies")]
    assert same[0][3] == policies["D"]["cost"]["flops"]


def test_thinning_keeps_both_ends():
    assert thinned(range(5), 10) == [0, 1, 2, 3, 4]
    assert thinned(range(101), 5) == [0, 25, 50, 75, 100]


def test_confusion_has_a_row_a_decision_and_a_class_for_malformed_output():
    rows = [make_row(), make_row(cheap=(None,), strong="BLOCKED")]
    assert len(CONFUSION) == 2
    assert confusion(rows, cheap_only) == [("final_answer", "final_answer"), ("final_answer", "malformed")]
    assert confusion(rows, always_strong) == [("final_answer", "final_answer"), ("final_answer", "BLOCKED")]


def test_accept_rates_by_type_average_to_the_accept_rate(tracks: dict[str, Track], evaluation: dict):
    table = [dict(zip(ACCEPT_RATE, row, strict=True)) for row in accept_rates(ROWS, tracks, 100, 0)]
    for name in JUDGING:
        mine = [row for row in table if row["policy"] == name]
        assert [row["action_type"] for row in mine] == [t for t in ACTION_TYPES if any(r.gold.type == t for r in ROWS)]
        kept = sum(row["decisions"] * row["accept_rate"] for row in mine)
        assert kept / len(ROWS) == pytest.approx(evaluation["policies"][name]["accept_rate"])


def test_a_type_of_which_nothing_was_accepted_has_no_precision():
    rows = [make_row(verifier=(0.1,))]
    assert accept_rates(rows, ran(rows), 100, 0)[1] == ("D", "final_answer", 1, 0.0, 0.0, 0.0, None)
