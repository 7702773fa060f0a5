"""Scores are measured at ranking and as probabilities, and their tables hold every decision."""

from collections import Counter

import numpy as np
import pytest
from factories import make_rows
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
)
from specacts.evaluation.stats import resample_weights
from specacts.policies.choose import SCORED, calibrated
from specacts.policies.decide import score

ROWS = make_rows(24, seed=1)
INTERVALS = ("", "_low", "_high")


def weighed(rows: list) -> np.ndarray:
    return resample_weights([row.group for row in rows], 100, 0)


MAPS = {name: calibrated(ROWS, name, "type") for name in SCORED}


def test_every_judges_score_is_measured_raw_and_calibrated():
    found = score_quality(ROWS, MAPS, "type", weighed(ROWS))
    assert list(found) == list(SCORED)
    right = [agrees(row.cheap[0].action, row.gold, "type") for row in ROWS]
    for name, entry in found.items():
        raw = np.array([score(row, name) for row in ROWS])
        assert entry["brier"] == pytest.approx(brier_score_loss(right, raw))
        assert entry["average_precision"] == pytest.approx(average_precision_score(right, raw))
        assert entry["brier_calibrated"] <= entry["brier"] + 1e-9  # fitted on these very rows
        assert {f"{key}{end}" for key in QUALITY for end in INTERVALS} == entry.keys()


def test_types_that_are_often_proposed_are_measured_by_themselves():
    many = make_rows(150, seed=2)
    table = [dict(zip(BY_TYPE, row, strict=True)) for row in quality_by_type(many, MAPS, "type", weighed(many))]
    counts = Counter(row.cheap[0].action.type for row in many if row.cheap[0].action)
    expected = [t for t in ACTION_TYPES if counts[t] >= FEWEST]
    for name in SCORED:
        mine = [row for row in table if row["policy"] == name]
        assert [row["action_type"] for row in mine] == expected
        assert [row["proposals"] for row in mine] == [counts[t] for t in expected]


def test_reliability_bins_hold_every_decision_once():
    table = [dict(zip(RELIABILITY, row, strict=True)) for row in reliability(ROWS, MAPS, "type", weighed(ROWS))]
    right = np.mean([agrees(row.cheap[0].action, row.gold, "type") for row in ROWS])
    for name in SCORED:
        for kind in ("raw", "calibrated"):
            mine = [row for row in table if (row["policy"], row["kind"]) == (name, kind)]
            assert sum(row["decisions"] for row in mine) == len(ROWS)
            assert sum(row["decisions"] * row["right"] for row in mine) == pytest.approx(right * len(ROWS))
            means = [row["mean_score"] for row in mine]
            assert means == sorted(means)


def test_accepting_everything_risks_the_cheap_models_error():
    wrong = np.mean([not agrees(row.cheap[0].action, row.gold, "type") for row in ROWS])
    table = [dict(zip(RISK_COVERAGE, row, strict=True)) for row in risk_coverage(ROWS, SCORED, "type", weighed(ROWS))]
    for name in SCORED:
        last = [row for row in table if row["policy"] == name][-1]
        assert last["coverage"] == 1
        assert last["error"] == pytest.approx(wrong)
