"""Experiments are compared decision by decision, and only where they share their decisions."""

import csv
import io

import numpy as np
import pytest
from factories import TARIFF, make_rows

from specacts.core.errors import UserError
from specacts.evaluation.ablation import effects, read_outcomes
from specacts.evaluation.metrics import OUTCOME, outcomes, run, summary
from specacts.evaluation.stats import resample_weights
from specacts.policies.decide import JUDGING

ROWS = make_rows(20, seed=3)


def text(rows=ROWS, threshold: float = 0.5) -> str:
    """What the evaluate stage writes."""
    tracks = run(rows, TARIFF, dict.fromkeys(JUDGING, threshold), "final_answer", "type")
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow(OUTCOME)
    writer.writerows(outcomes(rows, tracks))
    return found.getvalue()


def test_an_experiment_beside_itself_has_no_effect():
    one = read_outcomes(text(), "one")
    for entry in effects(one, one, "type", "flops", 200, 0).values():
        assert [entry[f"{what}_effect{end}"] for what in ("accuracy", "cost") for end in ("", "_low", "_high")] == [
            0
        ] * 6
        assert entry["accuracy_low"] <= entry["accuracy"] <= entry["accuracy_high"]


def test_figures_are_those_of_the_evaluation():
    one = read_outcomes(text(), "one")
    found = effects(one, one, "call", "flops_no_cache", 200, 0)
    tracks = run(ROWS, TARIFF, dict.fromkeys(JUDGING, 0.5), "final_answer", "type")
    weights = resample_weights([row.group for row in ROWS], 200, 0)
    policies = {name: summary(tracks[name], tracks["A"], "type", weights) for name in found}
    for name, entry in found.items():
        assert entry["accuracy"] == pytest.approx(policies[name]["call_accuracy"])
        assert entry["cost"] == pytest.approx(policies[name]["cost"]["flops_no_cache"])
        assert entry["accuracy_low"] == pytest.approx(policies[name]["call_accuracy_low"])


def test_a_higher_threshold_leaves_a_and_b_alone_and_makes_d_dearer():
    base, strict = read_outcomes(text(), "base"), read_outcomes(text(threshold=0.8), "strict")
    found = effects(base, strict, "type", "flops_no_cache", 200, 0)
    for name in "AB":
        assert found[name]["accuracy_effect"] == found[name]["cost_effect"] == 0
    assert 0 < found["D"]["cost_effect_low"] <= found["D"]["cost_effect"] <= found["D"]["cost_effect_high"]
    accuracies = [np.mean(one.right["D"]["type"]) for one in (base, strict)]
    assert found["D"]["accuracy_effect"] == pytest.approx(accuracies[1] - accuracies[0])


def test_other_decisions_are_refused():
    one, other = read_outcomes(text(), "one"), read_outcomes(text(ROWS[:-1]), "other")
    with pytest.raises(UserError, match="do not share their test decisions"):
        effects(one, other, "type", "flops", 200, 0)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda t: t.replace("right_call", "right_column"), "v2: .* lacks a column"),
        (lambda t: "", "v2: .* lacks a column"),
        (lambda t: "".join(t.splitlines(keepends=True)[:-1]), "policy H was not replayed over A's decisions"),
    ],
)
def test_a_spoilt_file_is_named_with_what_it_lacks(spoil, reason):
    with pytest.raises(UserError, match=reason):
        read_outcomes(spoil(text()), "v2")
