"""Experiments are compared decision by decision, and only where they share their decisions."""

import csv
import io
from functools import cache
from math import isnan

import numpy as np
import pytest
from factories import TARIFF, make_cases

from specacts.core.errors import UserError
from specacts.evaluation.ablation import Ablation, Base, Made, Undone, effects, read_outcomes
from specacts.evaluation.metrics import OUTCOME, Track, outcomes, run, summary
from specacts.evaluation.stats import resample_weights
from specacts.policies.table import JUDGING

CASES = make_cases(20, seed=3)


@cache
def ran(threshold: float = 0.5, count: int = len(CASES)) -> dict[str, Track]:
    return run(CASES[:count], TARIFF, dict.fromkeys(JUDGING, threshold), "final_answer", "type")


@cache
def text(threshold: float = 0.5, count: int = len(CASES)) -> str:
    """What the evaluate stage writes of the first `count` decisions."""
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow(OUTCOME)
    writer.writerows(outcomes(CASES[:count], ran(threshold, count)))
    return found.getvalue()


def test_an_experiment_beside_itself_has_no_effect():
    one = read_outcomes(text(), "one")
    for entry in effects(one, one, "type", "flops", 200, 0).values():
        assert entry.accuracy_effect == entry.cost_effect == (0, 0, 0)
        assert entry.accuracy.low <= entry.accuracy.value <= entry.accuracy.high


def test_figures_are_those_of_the_evaluation():
    one = read_outcomes(text(), "one")
    found = effects(one, one, "call", "flops_no_cache", 200, 0)
    tracks = ran()
    weights = resample_weights([case.row.group for case in CASES], 200, 0)
    for name, entry in found.items():
        own = summary(tracks[name], tracks["A"], weights)
        assert entry.accuracy.value == pytest.approx(own.call_accuracy.value)
        assert entry.cost.value == pytest.approx(own.cost["flops_no_cache"].value)
        assert entry.accuracy.low == pytest.approx(own.call_accuracy.low)


def test_a_higher_threshold_leaves_a_and_b_alone_and_makes_d_more_expensive():
    base, strict = read_outcomes(text(), "base"), read_outcomes(text(0.8), "strict")
    found = effects(base, strict, "type", "flops_no_cache", 200, 0)
    for name in "AB":
        assert found[name].accuracy_effect.value == found[name].cost_effect.value == 0
    cost = found["D"].cost_effect
    assert 0 < cost.low <= cost.value <= cost.high
    accuracies = [np.mean(one.right["D"]["type"]) for one in (base, strict)]
    assert found["D"].accuracy_effect.value == pytest.approx(accuracies[1] - accuracies[0])


def test_an_ablation_survives_its_file(tmp_path):
    one = read_outcomes(text(), "one")
    found = effects(one, one, "type", "flops", 20, 0)
    auroc = {"C": 0.7, "D": 0.6}
    made = Made(commit="abc1234", date="2026-01-02", machine="a toy")
    undone = Undone(
        made=made, what="thresholds fixed", settings=("recipe.threshold=fixed",), auroc=auroc, policies=found
    )
    ablation = Ablation(
        scale="toy",
        level="type",
        cost_model="flops",
        decisions=len(CASES),
        groups=7,
        base=Base(made=made, auroc=auroc, policies=found),
        experiments={"threshold": undone},
    )
    ablation.save(tmp_path / "ablation.json", exact=True)
    assert Ablation.load(tmp_path / "ablation.json") == ablation


def test_other_decisions_are_refused():
    one, other = read_outcomes(text(), "one"), read_outcomes(text(count=len(CASES) - 1), "other")
    with pytest.raises(UserError, match="do not share their test decisions"):
        effects(one, other, "type", "flops", 200, 0)


def test_policies_that_one_of_the_two_does_not_have_are_left_out():
    lines = text().splitlines(keepends=True)
    fewer = read_outcomes("".join(line for line in lines if ",D," not in line), "fewer")
    one = read_outcomes(text(), "one")
    for first, second in ((one, fewer), (fewer, one)):
        assert list(effects(first, second, "type", "flops", 20, 0)) == list("ABCEFGHS")


def test_costs_that_nobody_knows_have_no_figures():
    rows = list(csv.DictReader(io.StringIO(text())))
    found = io.StringIO()
    writer = csv.DictWriter(found, OUTCOME, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"flops": ""} for row in rows)
    unknown = read_outcomes(found.getvalue(), "unknown")
    for entry in effects(unknown, unknown, "type", "flops", 20, 0).values():
        assert isnan(entry.cost.value) and isnan(entry.cost_effect.value) and not isnan(entry.accuracy.value)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda t: t.replace("right_call", "right_column"), "v2: .* lacks a column"),
        (lambda t: "", "v2: .* lacks a column"),
        (lambda t: t.replace(",A,", ",Z,"), "policy B was not replayed over A's decisions"),
        (lambda t: "".join(t.splitlines(keepends=True)[:-1]), "policy S was not replayed over A's decisions"),
    ],
)
def test_a_spoilt_file_is_named_with_what_it_lacks(spoil, reason):
    with pytest.raises(UserError, match=reason):
        read_outcomes(spoil(text()), "v2")
