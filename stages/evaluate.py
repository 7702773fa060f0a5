"""Replay the policies over the recorded test answers.

    python -m stages.evaluate

Reads `data/answers/{test.jsonl,models.json}`, `data/effects.jsonl`, `data/calibration.json` and
`metrics/calibrate.json`; writes `metrics/eval.json`, the data of the plots under `reports/plots/`, and every policy's
outcomes decision by decision in `data/outcomes.csv` (what experiments are compared by). No model runs.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from specacts.answers import judged_by, load_answers, load_sizes
from specacts.calibrate import SCORED
from specacts.calibration import Calibration
from specacts.config import load_config
from specacts.effects import load_effects
from specacts.errors import UserError, one_line_errors
from specacts.evaluate import (
    ACCEPT_RATE,
    CONFUSION,
    FRONTIER,
    OUTCOME,
    accept_rates,
    confusion,
    evaluate,
    frontier,
    outcomes,
    run,
    run_guaranteed,
)
from specacts.files import read_json, rounded, write_json, write_text
from specacts.policies import JUDGING, always_strong, cheap_only
from specacts.process import stage
from specacts.quality import BY_TYPE, RELIABILITY, RISK_COVERAGE, quality_by_type, reliability, risk_coverage

ANSWERS, METRICS, PLOTS = Path("data/answers"), Path("metrics"), Path("reports/plots")
EFFECTS, OUTCOMES = Path("data/effects.jsonl"), Path("data/outcomes.csv")
MAPS = Path("data/calibration.json")


def main() -> None:
    config = load_config(Path("."))
    recorded, sizes = load_answers(ANSWERS / "test.jsonl"), load_sizes(ANSWERS / "models.json")
    rows = judged_by(recorded, config.judge_score)
    thresholds, promised, majority = read_calibration(METRICS / "calibrate.json")
    calibrations = read_maps(MAPS)
    level, cost, resamples, seed = config.acceptance.level, config.cost, config.scale.bootstrap, config.seed
    same = load_effects(EFFECTS, rows)
    tracks = run(rows, sizes, thresholds, majority, level, cost, same)
    kept = run_guaranteed(rows, sizes, promised, cost, same)
    evaluation = evaluate(recorded, tracks, level, config.judge_score, resamples, seed, kept, calibrations)
    write_csv(PLOTS / "frontier.csv", FRONTIER, frontier(rows, tracks, evaluation, sizes, level, cost))
    write_csv(PLOTS / "confusion_A.csv", CONFUSION, confusion(rows, always_strong))
    write_csv(PLOTS / "confusion_B.csv", CONFUSION, confusion(rows, cheap_only))
    by_bin = reliability(rows, calibrations, level, resamples, seed)
    write_csv(PLOTS / "reliability.csv", RELIABILITY, by_bin)
    write_csv(PLOTS / "risk_coverage.csv", RISK_COVERAGE, risk_coverage(rows, SCORED, level, resamples, seed))
    by_type = quality_by_type(rows, calibrations, level, resamples, seed)
    write_csv(PLOTS / "score_by_type.csv", BY_TYPE, by_type)
    write_csv(PLOTS / "accept_rate.csv", ACCEPT_RATE, accept_rates(rows, tracks, resamples, seed))
    write_csv(OUTCOMES, OUTCOME, outcomes(rows, tracks))
    write_json(METRICS / "eval.json", evaluation)


class Calibrated(NamedTuple):
    """What the calibrate stage found: thresholds by policy, guaranteed ones by policy and risk, the majority type."""

    thresholds: dict[str, float]
    promised: dict[str, dict[str, float]]
    majority: str


def read_calibration(path: Path) -> Calibrated:
    """Read `metrics/calibrate.json`. Raises `UserError` where it lacks something."""
    values = read_json(path)
    try:
        thresholds = {name: float(values["policies"][name]["threshold"]) for name in JUDGING}
        promised = {name: {risk: float(t) for risk, t in values["guaranteed"][name].items()} for name in JUDGING}
        return Calibrated(thresholds, promised, str(values["majority"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {error} is missing or wrong; run `dvc repro calibrate`") from error


def read_maps(path: Path) -> dict[str, Calibration]:
    """What makes probabilities of the policies' scores. Raises `UserError` where one is missing or malformed."""
    values = read_json(path)
    try:
        return {name: Calibration(**values[name]) for name in SCORED}
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: {error} is missing or wrong; run `dvc repro calibrate`") from error


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable]) -> None:
    """Write a table; floats rounded as in metrics, None as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rounded(list(row)) for row in rows)
    write_text(path, text.getvalue())


if __name__ == "__main__":
    with one_line_errors(), stage("evaluate"):
        main()
