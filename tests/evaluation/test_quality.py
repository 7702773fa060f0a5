"""Scores are measured at ranking and as probabilities, and their tables hold every decision."""

from collections import Counter

import numpy as np
import pytest
from factories import make_case, make_cases
from sklearn.metrics import average_precision_score, brier_score_loss

from specacts.core.episodes import agrees
from specacts.core.words import ACTION_TYPES
from specacts.evaluation.quality import (
    BY_TYPE,
    FEWEST,
    QUALITY,
    RELIABILITY,
    RISK_COVERAGE,
    quality_by_type,
    reliability,
    risk_coverage,
    score_quality,
    verifier_quality,
)
from specacts.evaluation.stats import resample_weights
from specacts.policies.cases import Case
from specacts.policies.choose import calibrated
from specacts.policies.table import SCORED

CASES = make_cases(24, seed=1)
INTERVALS = ("", "_low", "_high")


RIGHT = [agrees(case.cheap[0].action, case.row.gold, "type") for case in CASES]
MAPS = {name: calibrated(CASES, name, "type") for name in SCORED}


def weighed(cases: list[Case]) -> np.ndarray:
    return resample_weights([case.row.group for case in cases], 100, 0)


def test_every_judges_score_is_measured_raw_and_calibrated():
    found = score_quality(CASES, MAPS, "type", weighed(CASES))
    assert list(found) == list(SCORED)
    for name, entry in found.items():
        raw = np.array([case.sides[name].score for case in CASES])
        assert entry.brier.value == pytest.approx(brier_score_loss(RIGHT, raw))
        assert entry.average_precision.value == pytest.approx(average_precision_score(RIGHT, raw))
        assert entry.brier_calibrated.value <= entry.brier.value + 1e-9  # fitted on these very decisions
        assert tuple(entry.model_dump()) == BY_TYPE[3:] == tuple(f"{key}{end}" for key in QUALITY for end in INTERVALS)


def test_the_verifiers_score_is_the_one_that_policies_go_by():
    cases = [make_case(verifier=(0.9,)), make_case(cheap=("BLOCKED",), verifier=(0.1,))]
    rows, weights = [case.row for case in cases], np.ones((3, 2))
    turned = [row.model_copy(update={"verifier_likelihood": rows[1 - n].verifier}) for n, row in enumerate(rows)]
    verdict, likelihood = (verifier_quality(turned, "type", judge, weights) for judge in ("verdict", "likelihood"))
    assert verdict.auroc == verdict.verdict_auroc == likelihood.verdict_auroc == (1, 1, 1)
    assert likelihood.auroc == (0, 0, 0)
    # All proposals are equally confident.
    assert verdict.confidence_auroc.value == 0.5 and verdict.auroc_minus_confidence.value == 0.5
    assert verdict.base_rate.value == 0.5


def test_types_that_are_often_proposed_are_measured_by_themselves():
    many = make_cases(150, seed=2)
    table = [dict(zip(BY_TYPE, row, strict=True)) for row in quality_by_type(many, MAPS, "type", weighed(many))]
    counts = Counter(case.cheap[0].action.type for case in many if case.cheap[0].action)
    expected = [t for t in ACTION_TYPES if counts[t] >= FEWEST]
    for name in SCORED:
        mine = [row for row in table if row["policy"] == name]
        assert [row["action_type"] for row in mine] == expected
        assert [row["proposals"] for row in mine] == [counts[t] for t in expected]


def test_reliability_bins_hold_every_decision_once():
    table = [dict(zip(RELIABILITY, row, strict=True)) for row in reliability(CASES, MAPS, "type", weighed(CASES))]
    for name in SCORED:
        for kind in ("raw", "calibrated"):
            mine = [row for row in table if (row["policy"], row["kind"]) == (name, kind)]
            assert sum(row["decisions"] for row in mine) == len(CASES)
            assert sum(row["decisions"] * row["right"] for row in mine) == pytest.approx(sum(RIGHT))
            means = [row["mean_score"] for row in mine]
            assert means == sorted(means)


def test_accepting_everything_risks_the_cheap_models_error():
    rows = risk_coverage(CASES, SCORED, "type", weighed(CASES))
    table = [dict(zip(RISK_COVERAGE, row, strict=True)) for row in rows]
    for name in SCORED:
        last = [row for row in table if row["policy"] == name][-1]
        assert last["coverage"] == 1
        assert last["error"] == pytest.approx(1 - np.mean(RIGHT))
