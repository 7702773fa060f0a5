"""Replay the policies over the recorded test answers.

    python -m stages.evaluate

Reads `data/answers/{test.jsonl,models.json}`, `data/{effects,routes}.jsonl`, what the calibrate stage chose
(`data/{combination,calibration,thresholds,promise}.json` and `metrics/calibrate.json`); writes `metrics/eval.json`, the
data of the plots under `reports/plots/`, and every policy's outcomes decision by decision in `data/outcomes.csv` (what
experiments are compared by). No model runs.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from specacts.answering.effects import load_effects
from specacts.answering.records import judged_by, load_answers
from specacts.config import load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import read_json, rounded, write_json, write_text
from specacts.core.process import stage
from specacts.evaluation.metrics import (
    ACCEPT_RATE,
    CONFUSION,
    FRONTIER,
    OUTCOME,
    Settings,
    accept_rates,
    confusion,
    evaluate,
    frontier_points,
    outcomes,
    run,
    run_guaranteed,
)
from specacts.evaluation.quality import BY_TYPE, RELIABILITY, RISK_COVERAGE, quality_by_type, reliability, risk_coverage
from specacts.evaluation.stats import resample_weights
from specacts.models.sizes import load_sizes
from specacts.policies.choose import SCORED
from specacts.policies.combine import load_combination, routed, with_combined
from specacts.policies.cost import Tariff
from specacts.policies.decide import JUDGING, Threshold, always_strong, cheap_only
from specacts.policies.probability import Calibration
from specacts.recipe import judge_score

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("reports/plots")
ASKED = "asked"
"""The risk that `acceptance.risk` insists on, beside those of the menu."""


def main() -> None:
    config = load_config(Path("."))
    settings = Settings(config.acceptance.level, judge_score(config.recipe, config.acceptance), config.cost.model)
    tariff = Tariff(load_sizes(DATA / "answers/models.json"), config.prices, config.cost.upstream)
    recorded = load_answers(DATA / "answers/test.jsonl")
    judged = routed(judged_by(recorded, judge_score(config.recipe, config.acceptance)), DATA / "routes.jsonl")
    rows = with_combined(judged, load_combination(DATA / "combination.json"))
    weights = resample_weights([row.group for row in rows], config.scale.bootstrap, config.seed)
    calibrations, same = read_maps(DATA / "calibration.json"), load_effects(DATA / "effects.jsonl", rows)
    thresholds, majority = read_thresholds()

    tracks = run(rows, tariff, thresholds, majority, settings.level, same)
    safe = run_guaranteed(rows, tariff, read_safe(), same)
    evaluation = evaluate(rows, recorded, tracks, tariff, settings, weights, safe, calibrations, same)
    level = settings.level
    write_csv(PLOTS / "frontier.csv", FRONTIER, frontier_points(rows, tracks, evaluation, tariff, settings))
    write_csv(PLOTS / "confusion_A.csv", CONFUSION, confusion(rows, always_strong))
    write_csv(PLOTS / "confusion_B.csv", CONFUSION, confusion(rows, cheap_only))
    write_csv(PLOTS / "reliability.csv", RELIABILITY, reliability(rows, calibrations, level, weights))
    write_csv(PLOTS / "risk_coverage.csv", RISK_COVERAGE, risk_coverage(rows, SCORED, level, weights))
    write_csv(PLOTS / "score_by_type.csv", BY_TYPE, quality_by_type(rows, calibrations, level, weights))
    write_csv(PLOTS / "accept_rate.csv", ACCEPT_RATE, accept_rates(rows, tracks, weights))
    write_csv(DATA / "outcomes.csv", OUTCOME, outcomes(rows, tracks))
    write_json(METRICS / "eval.json", evaluation)


def read_thresholds() -> tuple[dict[str, float], str]:
    """The thresholds by policy, and the commonest type. Raises `UserError` where one is missing or malformed."""
    path, other = DATA / "thresholds.json", METRICS / "calibrate.json"
    values, metrics = read_json(path), read_json(other)
    try:
        return {name: float(values["policies"][name]) for name in JUDGING}, str(metrics["majority"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} or {other}: {error} is missing or wrong; run `dvc repro calibrate`") from error


def read_safe() -> dict[str, dict[str, Threshold]]:
    """Guaranteed thresholds by policy and risk: those of the menu, and of the risk that was asked for."""
    path, other = METRICS / "calibrate.json", DATA / "promise.json"
    values, asked = read_json(path), read_json(other)
    try:
        safe = {name: dict(by_risk) for name, by_risk in values["guaranteed"].items()}
        for name, threshold in (asked["asked"] or {"policies": {}})["policies"].items():
            safe[name][ASKED] = threshold
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} or {other}: {error!r} is missing or wrong; run `dvc repro calibrate`") from error
    return safe


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
