"""The comparison's numbers: complete, consistent with each other, and bounded by the oracle."""

import json
import random

import numpy as np
import pytest
from factories import PRICES, SIZES, TARIFF, UPSTREAM, make_case, make_cases, recorded, with_middle

from specacts.answering.effects import by_text
from specacts.core.episodes import agrees
from specacts.core.results import Estimate, Result
from specacts.core.words import ACTION_TYPES
from specacts.evaluation import metrics
from specacts.evaluation.metrics import (
    ACCEPT_RATE,
    CONFUSION,
    FRONTIER,
    LEVELS,
    OUTCOME,
    SWEEP_POINTS,
    Settings,
    Track,
    accept_rates,
    confusion,
    evaluate,
    frontier_points,
    outcomes,
    run,
    run_guaranteed,
    thinned,
)
from specacts.evaluation.results import Evaluation
from specacts.evaluation.stats import resample_weights
from specacts.policies.cases import Case
from specacts.policies.cost import COST_MODELS, Charge, Tariff, charges
from specacts.policies.decide import ALWAYS, NEVER, Bars
from specacts.policies.table import BASELINES, JUDGING, POLICIES, coin_of

CASES = make_cases(24, seed=1)
THRESHOLDS = dict.fromkeys(JUDGING, 0.5) | {"E": 0.55}
SETTINGS = Settings("type", "verdict", "flops")
INTERVALS = ("", "_low", "_high")
MIDDLE = {"middle", "cascade"}
"""Baselines that need the verifier's model to act."""


def ran(cases: list[Case] = CASES, thresholds: dict[str, float] = THRESHOLDS, level: str = "type") -> dict[str, Track]:
    return run(cases, TARIFF, thresholds, "final_answer", level)


def weighed(cases: list[Case], resamples: int = 100) -> np.ndarray:
    return resample_weights([case.row.group for case in cases], resamples, 0)


def evaluated(
    cases: list[Case], tracks: dict[str, Track], resamples: int = 100, safe: dict | None = None
) -> Evaluation:
    return evaluate(cases, tracks, TARIFF, SETTINGS, weighed(cases, resamples), safe or {}, {})


@pytest.fixture(scope="module")
def tracks() -> dict[str, Track]:
    return ran()


@pytest.fixture(scope="module")
def evaluation(tracks: dict[str, Track]) -> Evaluation:
    return evaluated(CASES, tracks, 200)


def test_every_promised_key_is_in_the_file(evaluation: Evaluation):
    values = evaluation.model_dump(mode="json")
    assert (values["decisions"], values["groups"]) == (len(CASES), 8)
    assert list(values["policies"]) == list("ABCDEFGHS") and set(BASELINES) - set(values["baselines"]) == MIDDLE
    for entry in (*values["policies"].values(), *values["baselines"].values()):
        assert {f"{level}_accuracy{end}" for level in LEVELS for end in INTERVALS} <= entry.keys()
        assert "malformed" in entry
        assert {f"{model}{end}" for model in COST_MODELS for end in INTERVALS} == entry["cost"].keys()
    for name in JUDGING:
        assert {"precision", "recall"} <= values["policies"][name].keys()
    pairs = {f"{x}_minus_{y}" for x in "ABCDEFGHS" for y in "AB" if x != y}
    assert pairs == values["paired"].keys()
    for entry in values["paired"].values():
        assert {f"{level}_accuracy{end}" for level in LEVELS for end in INTERVALS} == entry.keys()
    scores = ("auroc", "confidence_auroc", "logprob_auroc", "strong_auroc", "auroc_minus_confidence", "base_rate")
    assert {f"{score}{end}" for score in scores for end in INTERVALS} <= values["verifier"].keys()
    for unit in ("decision", "episode"):
        entries = values[f"cost_per_{unit}"]
        assert list(entries) == list("ABCDEFGHS") and {tuple(e) for e in entries.values()} == {Charge._fields}


def test_an_evaluation_survives_its_file(evaluation: Evaluation, tmp_path):
    evaluation.save(tmp_path / "eval.json", exact=True)
    assert Evaluation.load(tmp_path / "eval.json") == evaluation


def estimates(result: Result) -> list[Estimate]:
    """All that have an interval."""
    found = []
    for value in dict(result).values():
        found += value.values() if isinstance(value, dict) else [value]
    return [value for value in found if isinstance(value, Estimate)]


def test_values_lie_in_their_intervals(evaluation: Evaluation):
    for entry in [*evaluation.policies.values(), *evaluation.paired.values(), evaluation.verifier]:
        assert estimates(entry)
        for value, low, high in estimates(entry):
            assert low - 1e-9 <= value <= high + 1e-9


def test_the_same_seed_gives_the_same_bytes(evaluation: Evaluation):
    assert json.dumps(evaluated(CASES, ran(), 200).model_dump()) == json.dumps(evaluation.model_dump())


def test_a_is_the_unit_of_cost(evaluation: Evaluation):
    assert set(evaluation.policies["A"].cost.values()) == {(1, 1, 1)}
    assert evaluation.policies["B"].cost["upstream"].value == pytest.approx(0.15)


def test_paired_differences_are_differences(evaluation: Evaluation):
    policies = evaluation.policies
    for pair, entry in evaluation.paired.items():
        one, other = pair.split("_minus_")
        difference = policies[one].call_accuracy.value - policies[other].call_accuracy.value
        assert entry.call_accuracy.value == pytest.approx(difference)


def test_an_action_that_does_the_same_is_right_by_effect_and_wrong_by_text():
    cases = [make_case(cheap=("repair",), gold="tool_call", strong="BLOCKED"), make_case(episode="e1")]
    same = [by_text(case.row) for case in cases]
    same[0] = same[0].model_copy(update={"executed": True, "cheap": (True,)})
    tracks = run(cases, TARIFF, THRESHOLDS, "final_answer", "type", same)
    assert tracks["B"].right["effect"].tolist() == [1, 1] and tracks["B"].right["call"].tolist() == [0, 1]
    assert tracks["A"].right["effect"].tolist() == [0, 1]


def test_without_a_certificate_a_policy_is_the_strong_model_and_costs_no_more(
    tracks: dict[str, Track], evaluation: Evaluation
):
    by_type = dict.fromkeys(ACTION_TYPES, NEVER)
    kept = run_guaranteed(CASES, TARIFF, {"D": {"0.05": NEVER, "0.1": 0.5, "asked": by_type}})
    found = evaluated(CASES, tracks, 200, safe=kept).guaranteed["D"]
    assert found["asked"] == found["0.05"]
    assert (found["0.05"].accept_rate, found["0.05"].lost.value, found["0.05"].lost.high) == (0, 0, 0)
    assert {cost.value for cost in found["0.05"].cost.values()} == {1}
    a, d = evaluation.policies["A"], evaluation.policies["D"]
    assert found["0.1"].lost.value == pytest.approx(a.type_accuracy.value - d.type_accuracy.value)
    assert found["0.1"].cost == d.cost


def test_precision_and_recall_by_hand():
    cases = [
        make_case(episode="a", verifier=(0.9,)),  # accepted, right
        make_case(episode="b", verifier=(0.9,), cheap=("BLOCKED",)),  # accepted, wrong
        make_case(episode="c", verifier=(0.1,)),  # rejected, right
        make_case(episode="d", verifier=(0.9,)),  # accepted, right
    ]
    d = evaluated(cases, ran(cases)).policies["D"]
    assert (d.accept_rate.value, d.precision.value, d.recall.value) == pytest.approx((3 / 4, 2 / 3, 2 / 3))


def no_coin(cases: list[Case]) -> Track:
    """Stands for a coin, whose expected charges take most of the time of a run."""
    return metrics.constant(cases, dict.fromkeys(ACTION_TYPES, 0.0))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threshold", [ALWAYS, 0.45])
def test_no_judge_beats_its_oracle(seed: int, level: str, threshold: float, monkeypatch):
    monkeypatch.setattr(metrics, "random_accept", lambda judged, *_: no_coin(judged.cases))
    found = ran(make_cases(6, seed), dict.fromkeys(JUDGING, threshold), level)
    accuracy = {name: track.right[level].mean() for name, track in found.items()}
    assert max(accuracy["C"], accuracy["D"], accuracy["A"], accuracy["B"]) <= accuracy["oracle"]
    assert max(accuracy["F"], accuracy["G"], accuracy["H"]) <= accuracy["oracle_routes"] == accuracy["oracle"]
    assert max(accuracy["E"], accuracy["oracle"]) <= accuracy["oracle_picks"]


def test_the_oracle_is_charged_like_d():
    cases = [make_case(), make_case(context=150, decision=1, cheap=("BLOCKED",))]
    expected = charges([case.row for case in cases], [cases[0].sides["D"].accept, cases[1].sides["D"].reject], TARIFF)
    assert ran(cases)["oracle"].charges == expected


@pytest.mark.parametrize("name", ["D", "G"])
def test_random_accept_is_what_tossing_coins_gives_on_average(name: str):
    cases = make_cases(4, seed=2)
    rows, sides = [case.row for case in cases], [case.sides[name] for case in cases]
    tracks = ran(cases)
    track = tracks[coin_of(name)]
    rate, rng = float(track.kept[0]), random.Random(0)
    right, spent = [], []
    for _ in range(400):
        outcomes = [side.accept if rng.random() < rate else side.reject for side in sides]
        right.append(np.mean([agrees(o.action, r.gold, "type") for o, r in zip(outcomes, rows, strict=True)]))
        spent.append(sum(charge.flops for charge in charges(rows, outcomes, TARIFF)))
    assert np.mean(right) == pytest.approx(track.right["type"].mean(), abs=4 * np.std(right) / 20)
    assert np.mean(spent) == pytest.approx(sum(c.flops for c in track.charges), abs=4 * np.std(spent) / 20)
    assert rate == tracks[name].kept.mean()


def test_every_policy_stands_to_its_own_coin_and_to_the_line(tracks: dict[str, Track], evaluation: Evaluation):
    found = evaluation.frontier.policies
    assert list(found) == list("ABCDEFGHS")
    assert found["A"].above_line.value == pytest.approx(0) and found["B"].above_line.value == pytest.approx(0)
    policies, low = evaluation.policies, evaluation.policies["B"].cost["flops"].value
    a, b = policies["A"].type_accuracy.value, policies["B"].type_accuracy.value
    coin, best = evaluation.frontier.area_of_coin.area.value, evaluation.frontier.area_of_perfect_router.area.value
    for name in JUDGING:
        entry, own = found[name], policies[name]
        gain = tracks[name].right["type"].mean() - tracks[coin_of(name)].right["type"].mean()
        assert entry.minus_coin.value == pytest.approx(gain)
        place = min(1, max(0, (own.cost["flops"].value - low) / (1 - low)))
        assert entry.above_line.value == pytest.approx(own.type_accuracy.value - (b + (a - b) * place))
        assert 0 <= entry.undominated_share <= 1 and entry.headroom.value <= 1
        assert entry.headroom.value == pytest.approx((entry.area.value - coin) / (best - coin))


def test_latency_of_side_by_side_is_between_nothing_and_one_after_the_other(evaluation: Evaluation):
    latency = evaluation.latency
    for entry in latency.by_tool_seconds.values():
        assert 0 < entry.parallel_D.value <= entry.serial_D.value + 1e-9
        assert 0 < entry.parallel_F.value <= entry.serial_F.value + 1e-9
        assert entry.lossless.value <= 1
    assert latency.work_lossless.value > 1
    assert latency.hit_rate_first_1.value <= latency.hit_rate_first_all.value <= 1


def test_constant_baselines_cost_nothing_and_name_no_tool(evaluation: Evaluation):
    golds = [case.row.gold.type for case in CASES]
    majority, uniform = (evaluation.baselines[name] for name in ("majority", "random"))
    speaking = sum(gold in ("final_answer", "ask_clarification", "BLOCKED") for gold in golds) / len(golds)
    answers = golds.count("final_answer") / len(golds)
    assert majority.type_accuracy.value == majority.call_accuracy.value == pytest.approx(answers)
    assert uniform.type_accuracy.value == pytest.approx(1 / 9)
    assert uniform.tool_accuracy.value == uniform.call_accuracy.value == pytest.approx(speaking / 9)
    assert majority.accept_rate is None and "accept_rate" not in majority.model_dump()
    assert set(majority.cost.values()) == {(0, 0, 0)}


def test_a_majority_type_that_calls_a_tool_gets_no_call_right():
    track = run(CASES, TARIFF, THRESHOLDS, "retrieval", "type")["majority"]
    assert track.right["type"].sum() == sum(case.row.gold.type == "retrieval" for case in CASES)
    assert track.right["tool"].sum() == track.right["call"].sum() == 0


def test_malformed_output_is_counted_and_wrong():
    cases = [make_case(cheap=(None,), verifier=(0.9,)), make_case(episode="e1", strong=None, verifier=(0.9,))]
    found = evaluated(cases, ran(cases)).policies
    assert [found[name].malformed for name in "ABD"] == [0.5, 0.5, 0.5]
    assert found["D"].type_accuracy.value == 0.5


@pytest.mark.parametrize("threshold", [ALWAYS, NEVER])
@pytest.mark.parametrize("proposal", ["final_answer", "BLOCKED"])
def test_one_sided_data_gives_numbers_all_the_same(threshold: float, proposal: str):
    cases = [make_case(episode=str(n), group=str(n), cheap=(proposal,)) for n in range(3)]
    found = evaluated(cases, ran(cases, dict.fromkeys(JUDGING, threshold)))
    assert found.verifier.auroc.value == 0.5 and found.verifier.auroc_minus_confidence.low == 0
    assert found.policies["D"].precision.value == float(threshold == ALWAYS and proposal == "final_answer")
    assert found.policies["D"].recall.value == float(threshold == ALWAYS and proposal == "final_answer")
    json.dumps(found.model_dump(mode="json"), allow_nan=False)


def test_the_frontier_holds_every_policy_and_baseline_and_a_sweep_of_each_judge(
    tracks: dict[str, Track], evaluation: Evaluation
):
    points = frontier_points(CASES, tracks, evaluation, TARIFF, SETTINGS)
    table = [dict(zip(FRONTIER, row, strict=True)) for row in points]
    assert [row["name"] for row in table if row["kind"] == "policies"] == list("ABCDEFGHS")
    drawn = {name for name in evaluation.baselines if not name.startswith("random_accept")} | {coin_of("D")}
    assert {row["name"] for row in table if row["kind"] == "baselines"} == drawn
    policies = evaluation.policies
    for name in JUDGING:
        swept = [row for row in table if (row["name"], row["kind"]) == (name, "sweep")]
        assert 2 < len(swept) <= SWEEP_POINTS
        if name != "E":  # all accepted is the cheap model's first proposal, none accepted the strong model
            assert swept[0]["accuracy"] == pytest.approx(policies["B"].type_accuracy.value)
        assert swept[-1]["accuracy"] == pytest.approx(policies["A"].type_accuracy.value)
    (same,) = [row for row in points if row[:2] == ("D", "policies")]
    assert same[3:6] == policies["D"].cost["flops"] and same[6:] == policies["D"].type_accuracy


def test_thinning_keeps_both_ends():
    assert thinned(range(5), 10) == [0, 1, 2, 3, 4]
    assert thinned(range(101), 5) == [0, 25, 50, 75, 100]


def test_confusion_has_a_row_a_decision_and_a_class_for_malformed_output():
    cases = [make_case(), make_case(cheap=(None,), strong="BLOCKED")]
    assert len(CONFUSION) == 2
    assert confusion(cases, "B") == [("final_answer", "final_answer"), ("final_answer", "malformed")]
    assert confusion(cases, "A") == [("final_answer", "final_answer"), ("final_answer", "BLOCKED")]


def test_accept_rates_by_type_average_to_the_accept_rate(tracks: dict[str, Track], evaluation: Evaluation):
    table = [dict(zip(ACCEPT_RATE, row, strict=True)) for row in accept_rates(CASES, tracks, weighed(CASES))]
    due = [case.row.gold.type for case in CASES]
    for name in JUDGING:
        mine = [row for row in table if row["policy"] == name]
        assert [row["action_type"] for row in mine] == [kind for kind in ACTION_TYPES if kind in due]
        kept = sum(row["decisions"] * row["accept_rate"] for row in mine)
        assert kept / len(CASES) == pytest.approx(evaluation.policies[name].accept_rate.value)


def test_a_type_of_which_nothing_was_accepted_has_no_precision():
    cases = [make_case(verifier=(0.1,))]
    assert accept_rates(cases, ran(cases), weighed(cases))[1] == ("D", "final_answer", 1, 0.0, 0.0, 0.0, None)


# -- a strong model of which only its answers are known -------------------------------------------------------

RECORDED = recorded(CASES)
MONEY = Tariff({role: size for role, size in SIZES.items() if role != "strong"}, PRICES, UPSTREAM)


@pytest.fixture(scope="module")
def of_an_agent() -> tuple[dict[str, Track], Evaluation]:
    tracks = run(RECORDED, MONEY, {n: t for n, t in THRESHOLDS.items() if n != "C"}, "final_answer", "call")
    settings = Settings("call", "verdict", "money")
    return tracks, evaluate(RECORDED, tracks, MONEY, settings, weighed(RECORDED), {}, {})


def test_the_agent_that_wrote_the_traces_is_right_by_definition_and_c_is_absent(of_an_agent):
    _, found = of_an_agent
    assert list(found.policies) == list("ABDEFGHS") and "random_accept_C" not in found.baselines
    assert not any("C" in pair.split("_minus_") for pair in found.paired)
    for level in LEVELS:
        assert found.policies["A"].accuracy(level) == Estimate(1.0, 1.0, 1.0)
        assert found.paired["D_minus_A"].accuracy(level).value == pytest.approx(
            found.policies["D"].accuracy(level).value - 1
        )


def test_what_is_not_known_of_it_is_absent_and_not_made_up(of_an_agent):
    tracks, found = of_an_agent
    for entry in [*found.policies.values(), *found.baselines.values()]:
        assert list(entry.cost) == ["money", "upstream"]
    assert found.latency is None and found.verifier.strong_auroc is None
    assert found.cost_per_decision["A"].flops is None and found.cost_per_decision["A"].seconds is None
    assert found.cost_per_decision["A"].money > found.cost_per_decision["B"].money > 0
    assert found.cost_per_decision["B"].flops is not None  # the cheap model runs here
    rows = [dict(zip(OUTCOME, row, strict=True)) for row in outcomes(RECORDED, tracks)]
    assert {row["policy"] for row in rows} == set("ABDEFGHS")
    assert all(row["flops"] is None and row["money"] > 0 for row in rows if row["policy"] == "A")


def test_its_evaluation_is_a_file_like_any_other(of_an_agent, tmp_path):
    _, found = of_an_agent
    found.save(tmp_path / "eval.json")
    assert "NaN" not in (tmp_path / "eval.json").read_text()
    again = Evaluation.load(tmp_path / "eval.json")
    assert list(again.policies) == list(found.policies) and again.latency is None


def test_a_frontier_in_money_has_every_policy_that_there_is(of_an_agent):
    tracks, found = of_an_agent
    points = frontier_points(RECORDED, tracks, found, MONEY, Settings("call", "verdict", "money"))
    names = {row[0] for row in points if row[1] == "sweep"}
    assert names == set("DEFGHS")
    assert found.frontier.policies["D"].area is not None


def test_hopping_is_a_part_of_the_money_of_policies_that_hop_at_the_difference_of_two_prices(tracks: dict[str, Track]):
    safe = run_guaranteed(CASES, TARIFF, {"F": {"0.1": 0.5, "0.05": NEVER}})
    found = evaluated(CASES, tracks, safe=safe).hopping
    assert found and list(found.policies) == list(POLICIES)
    assert found.guaranteed["F"]["0.1"] == found.policies["F"] and found.guaranteed["F"]["0.05"].tokens == 0
    for name, entry in found.policies.items():
        assert entry.money == pytest.approx(entry.tokens * (PRICES.strong.input - PRICES.strong.cached_input))
        assert (entry.tokens > 0) == (entry.share.value > 0) == (name not in "AB")


# -- a verifier's model that acts ------------------------------------------------------------------------------

LADDERED, BARS = with_middle(CASES), Bars(0.6, 0.4)


@pytest.fixture(scope="module")
def of_a_ladder() -> tuple[dict[str, Track], Evaluation]:
    tracks = run(LADDERED, TARIFF, THRESHOLDS, "final_answer", "type", bars=BARS)
    return tracks, evaluated(LADDERED, tracks)


def test_the_middle_model_and_the_cascade_stand_among_the_baselines_and_change_no_policy(of_a_ladder, evaluation):
    tracks, found = of_a_ladder
    assert list(found.baselines) == list(BASELINES)
    assert tracks["middle"].middle.all() and not tracks["middle"].kept.any()
    assert found.baselines["cascade"].accept_rate.value == tracks["cascade"].kept.mean()
    assert found.cascade.from_middle.value == tracks["cascade"].middle.mean() > 0
    for name, entry in found.policies.items():
        assert entry.call_accuracy.value == evaluation.policies[name].call_accuracy.value


def test_what_upstream_has_no_price_for_has_no_cost_in_its_units(of_a_ladder):
    for name in MIDDLE:
        assert list(of_a_ladder[1].baselines[name].cost) == [model for model in COST_MODELS if model != "upstream"]


def test_policies_are_compared_with_the_cascade_on_the_same_decisions(of_a_ladder, tmp_path):
    tracks, found = of_a_ladder
    assert list(found.cascade.against) == [*"ABCDEFGHS", "middle"]
    for name, entry in found.cascade.against.items():
        own, other = (found.policies | found.baselines)[name], found.baselines["cascade"]
        assert entry.type_accuracy.value == pytest.approx(own.type_accuracy.value - other.type_accuracy.value)
        for model in ("flops", "flops_no_cache", "seconds", "money"):
            assert entry.cost[model].value == pytest.approx(own.cost[model].value - other.cost[model].value)
        assert entry.cost["money"].low <= entry.cost["money"].value <= entry.cost["money"].high
    found.save(tmp_path / "eval.json", exact=True)
    assert Evaluation.load(tmp_path / "eval.json").cascade == found.cascade


def test_the_frontier_shows_them_where_their_cost_is_known(of_a_ladder):
    tracks, found = of_a_ladder
    for model, there in (("flops", MIDDLE), ("upstream", set())):
        points = frontier_points(LADDERED, tracks, found, TARIFF, SETTINGS._replace(cost_model=model))
        assert {point[0] for point in points} & MIDDLE == there
