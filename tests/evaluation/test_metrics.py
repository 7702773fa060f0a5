"""The comparison's numbers: complete, consistent with each other, and bounded by the oracle."""

import json
import random

import numpy as np
import pytest
from factories import TARIFF, make_row, make_rows

from specacts.answering.effects import by_text
from specacts.answering.records import Answers
from specacts.core.episodes import agrees
from specacts.core.words import ACTION_TYPES, LEVELS
from specacts.evaluation.metrics import (
    ACCEPT_RATE,
    CONFUSION,
    FRONTIER,
    SWEEP_POINTS,
    Settings,
    Track,
    accept_rates,
    coin_of,
    confusion,
    evaluate,
    frontier_points,
    run,
    run_guaranteed,
    thinned,
)
from specacts.evaluation.stats import resample_weights
from specacts.policies.cost import COST_MODELS, Charge, charges
from specacts.policies.decide import ALWAYS, JUDGING, NEVER, always_strong, cheap_only, choices

ROWS = make_rows(24, seed=1)
THRESHOLDS = dict.fromkeys(JUDGING, 0.5) | {"E": 0.55}
SETTINGS = Settings("type", "verdict", "flops")
INTERVALS = ("", "_low", "_high")


def ran(rows: list[Answers] = ROWS, thresholds: dict[str, float] = THRESHOLDS, level: str = "type") -> dict[str, Track]:
    return run(rows, TARIFF, thresholds, "final_answer", level)


def weighed(rows: list[Answers], resamples: int = 100) -> np.ndarray:
    return resample_weights([row.group for row in rows], resamples, 0)


def evaluated(rows: list[Answers], tracks: dict[str, Track], resamples: int = 100, safe: dict | None = None) -> dict:
    return evaluate(rows, rows, tracks, TARIFF, SETTINGS, weighed(rows, resamples), safe or {}, {})


@pytest.fixture(scope="module")
def tracks() -> dict[str, Track]:
    return ran()


@pytest.fixture(scope="module")
def evaluation(tracks: dict[str, Track]) -> dict:
    return evaluated(ROWS, tracks, 200)


def test_every_promised_key_is_there(evaluation: dict):
    assert (evaluation["decisions"], evaluation["groups"]) == (len(ROWS), 8)
    entries = [evaluation["policies"][name] for name in "ABCDEFGH"]
    entries += [evaluation["baselines"][name] for name in ("majority", "random", "random_accept_D", "oracle")]
    for entry in entries:
        assert {f"{level}_accuracy{end}" for level in LEVELS for end in INTERVALS} <= entry.keys()
        assert "malformed" in entry
        assert set(COST_MODELS) <= entry["cost"].keys()
    for name in JUDGING:
        assert {"precision", "recall"} <= evaluation["policies"][name].keys()
    pairs = {f"{x}_minus_{y}" for x in "ABCDEFGH" for y in "AB" if x != y}
    assert pairs == evaluation["paired"].keys()
    for entry in evaluation["paired"].values():
        assert {f"{level}_accuracy{end}" for level in ("type", "call") for end in INTERVALS} <= entry.keys()
    scores = ("auroc", "confidence_auroc", "logprob_auroc", "strong_auroc", "auroc_minus_confidence", "base_rate")
    assert {f"{score}{end}" for score in scores for end in INTERVALS} <= evaluation["verifier"].keys()
    for unit in ("decision", "episode"):
        entries = evaluation[f"cost_per_{unit}"]
        assert list(entries) == list("ABCDEFGH") and {tuple(e) for e in entries.values()} == {Charge._fields}


def test_values_lie_in_their_intervals(evaluation: dict):
    for entry in [*evaluation["policies"].values(), *evaluation["paired"].values(), evaluation["verifier"]]:
        for key in (key for key in entry if f"{key}_low" in entry):
            assert entry[f"{key}_low"] - 1e-9 <= entry[key] <= entry[f"{key}_high"] + 1e-9


def test_the_same_seed_gives_the_same_bytes(tracks: dict[str, Track], evaluation: dict):
    assert json.dumps(evaluated(ROWS, ran(), 200)) == json.dumps(evaluation)


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
    tracks = run(rows, TARIFF, THRESHOLDS, "final_answer", "type", same)
    assert tracks["B"].right["effect"].tolist() == [1, 1] and tracks["B"].right["call"].tolist() == [0, 1]
    assert tracks["A"].right["effect"].tolist() == [0, 1]


def test_without_a_certificate_a_policy_is_the_strong_model_and_costs_no_more():
    by_type = dict.fromkeys(ACTION_TYPES, NEVER)
    kept = run_guaranteed(ROWS, TARIFF, {"D": {"0.05": NEVER, "0.1": 0.5, "asked": by_type}})
    found = evaluated(ROWS, ran(), safe=kept)["guaranteed"]["D"]
    assert found["asked"] == found["0.05"]
    assert (found["0.05"]["accept_rate"], found["0.05"]["lost"], found["0.05"]["lost_high"]) == (0, 0, 0)
    assert set(found["0.05"]["cost"].values()) == {1}
    policies = evaluated(ROWS, ran())["policies"]
    assert found["0.1"]["lost"] == pytest.approx(policies["A"]["type_accuracy"] - policies["D"]["type_accuracy"])
    assert found["0.1"]["cost"] == policies["D"]["cost"]


def test_precision_and_recall_by_hand():
    rows = [
        make_row(episode="a", verifier=(0.9,)),  # accepted, right
        make_row(episode="b", verifier=(0.9,), cheap=("BLOCKED",)),  # accepted, wrong
        make_row(episode="c", verifier=(0.1,)),  # rejected, right
        make_row(episode="d", verifier=(0.9,)),  # accepted, right
    ]
    d = evaluated(rows, ran(rows))["policies"]["D"]
    assert (d["accept_rate"], d["precision"], d["recall"]) == pytest.approx((3 / 4, 2 / 3, 2 / 3))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threshold", [ALWAYS, 0.45])
def test_no_judge_beats_its_oracle(seed: int, level: str, threshold: float):
    found = ran(make_rows(6, seed), dict.fromkeys(JUDGING, threshold), level)
    accuracy = {name: track.right[level].mean() for name, track in found.items()}
    assert max(accuracy["C"], accuracy["D"], accuracy["A"], accuracy["B"]) <= accuracy["oracle"]
    assert max(accuracy["F"], accuracy["G"], accuracy["H"]) <= accuracy["oracle_routes"] == accuracy["oracle"]
    assert max(accuracy["E"], accuracy["oracle"]) <= accuracy["oracle_picks"]


def test_the_oracle_is_charged_like_d():
    rows = [make_row(), make_row(context=150, decision=1, cheap=("BLOCKED",))]
    both = choices(rows, "D")
    expected = charges(rows, [both[0].accept, both[1].reject], TARIFF)
    assert ran(rows)["oracle"].charges == expected


@pytest.mark.parametrize("name", ["D", "G"])
def test_random_accept_is_what_tossing_coins_gives_on_average(name: str):
    rows = make_rows(4, seed=2)
    tracks = ran(rows)
    track = tracks[coin_of(name)]
    rate, rng, both = float(track.kept[0]), random.Random(0), choices(rows, name)
    right, spent = [], []
    for _ in range(400):
        outcomes = [choice.accept if rng.random() < rate else choice.reject for choice in both]
        right.append(np.mean([agrees(o.action, r.gold, "type") for o, r in zip(outcomes, rows, strict=True)]))
        spent.append(sum(charge.flops for charge in charges(rows, outcomes, TARIFF)))
    assert np.mean(right) == pytest.approx(track.right["type"].mean(), abs=4 * np.std(right) / 20)
    assert np.mean(spent) == pytest.approx(sum(c.flops for c in track.charges), abs=4 * np.std(spent) / 20)
    assert rate == tracks[name].kept.mean()


def test_every_policy_stands_to_its_own_coin_and_to_the_line(tracks: dict[str, Track], evaluation: dict):
    found = evaluation["frontier"]["policies"]
    assert list(found) == list("ABCDEFGH")
    assert found["A"]["above_line"] == pytest.approx(0) and found["B"]["above_line"] == pytest.approx(0)
    policies, low = evaluation["policies"], evaluation["policies"]["B"]["cost"]["flops"]
    a, b = policies["A"]["type_accuracy"], policies["B"]["type_accuracy"]
    for name in JUDGING:
        entry, own = found[name], policies[name]
        gain = tracks[name].right["type"].mean() - tracks[coin_of(name)].right["type"].mean()
        assert entry["minus_coin"] == pytest.approx(gain)
        place = min(1, max(0, (own["cost"]["flops"] - low) / (1 - low)))
        assert entry["above_line"] == pytest.approx(own["type_accuracy"] - (b + (a - b) * place))
        assert 0 <= entry["undominated_share"] <= 1 and entry["headroom"] <= 1
        coin, best = (evaluation["frontier"][f"area_of_{who}"]["area"] for who in ("coin", "perfect_router"))
        assert entry["headroom"] == pytest.approx((entry["area"] - coin) / (best - coin))


def test_latency_of_side_by_side_is_between_nothing_and_one_after_the_other(evaluation: dict):
    latency = evaluation["latency"]
    for entry in latency["by_tool_seconds"].values():
        assert 0 < entry["parallel_D"] <= entry["serial_D"] + 1e-9
        assert 0 < entry["parallel_F"] <= entry["serial_F"] + 1e-9
        assert entry["lossless"] <= 1
    assert latency["work_lossless"] > 1
    assert latency["hit_rate_first_1"] <= latency["hit_rate_first_all"] <= 1


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
    track = run(ROWS, TARIFF, THRESHOLDS, "retrieval", "type")["majority"]
    assert track.right["type"].sum() == sum(row.gold.type == "retrieval" for row in ROWS)
    assert track.right["tool"].sum() == track.right["call"].sum() == 0


def test_malformed_output_is_counted_and_wrong():
    rows = [make_row(cheap=(None,), verifier=(0.9,)), make_row(episode="e1", strong=None, verifier=(0.9,))]
    found = evaluated(rows, ran(rows))["policies"]
    assert [found[name]["malformed"] for name in "ABD"] == [0.5, 0.5, 0.5]
    assert found["D"]["type_accuracy"] == 0.5


@pytest.mark.parametrize("threshold", [ALWAYS, NEVER])
@pytest.mark.parametrize("proposal", ["final_answer", "BLOCKED"])
def test_one_sided_data_gives_numbers_all_the_same(threshold: float, proposal: str):
    rows = [make_row(episode=str(n), group=str(n), cheap=(proposal,)) for n in range(3)]
    found = evaluated(rows, ran(rows, dict.fromkeys(JUDGING, threshold)))
    assert found["verifier"]["auroc"] == 0.5 and found["verifier"]["auroc_minus_confidence_low"] == 0
    assert found["policies"]["D"]["precision"] == float(threshold == ALWAYS and proposal == "final_answer")
    assert found["policies"]["D"]["recall"] == float(threshold == ALWAYS and proposal == "final_answer")
    json.dumps(found, allow_nan=False)


def test_the_frontier_holds_every_policy_and_baseline_and_a_sweep_of_each_judge(
    tracks: dict[str, Track], evaluation: dict
):
    points = frontier_points(ROWS, tracks, evaluation, TARIFF, SETTINGS)
    table = [dict(zip(FRONTIER, row, strict=True)) for row in points]
    assert [row["name"] for row in table if row["kind"] == "policies"] == list("ABCDEFGH")
    drawn = {name for name in evaluation["baselines"] if not name.startswith("random_accept")} | {coin_of("D")}
    assert {row["name"] for row in table if row["kind"] == "baselines"} == drawn
    policies = evaluation["policies"]
    for name in JUDGING:
        swept = [row for row in table if (row["name"], row["kind"]) == (name, "sweep")]
        assert 2 < len(swept) <= SWEEP_POINTS
        if name != "E":  # all accepted is the cheap model's first proposal, none accepted the strong model
            assert swept[0]["accuracy"] == pytest.approx(policies["B"]["type_accuracy"])
        assert swept[-1]["accuracy"] == pytest.approx(policies["A"]["type_accuracy"])
    (same,) = [row for row in points if row[:2] == ("D", "policies")]
    assert same[3] == policies["D"]["cost"]["flops"]


def test_thinning_keeps_both_ends():
    assert thinned(range(5), 10) == [0, 1, 2, 3, 4]
    assert thinned(range(101), 5) == [0, 25, 50, 75, 100]


def test_confusion_has_a_row_a_decision_and_a_class_for_malformed_output():
    rows = [make_row(), make_row(cheap=(None,), strong="BLOCKED")]
    assert len(CONFUSION) == 2
    assert confusion(rows, cheap_only) == [("final_answer", "final_answer"), ("final_answer", "malformed")]
    assert confusion(rows, always_strong) == [("final_answer", "final_answer"), ("final_answer", "BLOCKED")]


def test_accept_rates_by_type_average_to_the_accept_rate(tracks: dict[str, Track], evaluation: dict):
    table = [dict(zip(ACCEPT_RATE, row, strict=True)) for row in accept_rates(ROWS, tracks, weighed(ROWS))]
    for name in JUDGING:
        mine = [row for row in table if row["policy"] == name]
        assert [row["action_type"] for row in mine] == [t for t in ACTION_TYPES if any(r.gold.type == t for r in ROWS)]
        kept = sum(row["decisions"] * row["accept_rate"] for row in mine)
        assert kept / len(ROWS) == pytest.approx(evaluation["policies"][name]["accept_rate"])


def test_a_type_of_which_nothing_was_accepted_has_no_precision():
    rows = [make_row(verifier=(0.1,))]
    assert accept_rates(rows, ran(rows), weighed(rows))[1] == ("D", "final_answer", 1, 0.0, 0.0, 0.0, None)
