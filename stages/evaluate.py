"""Replay the policies over the recorded test answers.

    python -m stages.evaluate

Reads `data/answers/{test.jsonl,models.json}`, `data/{effects,routes}.jsonl`, what the calibrate stage chose
(`data/{combination,calibration,thresholds,promise}.json` and `metrics/calibrate.json`); writes `metrics/eval.json`, the
few figures of it that `dvc metrics diff` prints in `metrics/overview.json`, the data of the plots under
`reports/plots/`, and every policy's outcomes decision by decision in `data/outcomes.csv` (what experiments are compared
by). No model runs.
"""

import csv
import io
from collections.abc import Iterable
from math import nan
from pathlib import Path

from specacts.answering.effects import load_effects
from specacts.answering.records import load_answers
from specacts.config import Config, load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import rounded, write_text
from specacts.core.process import stage
from specacts.core.results import load_table
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
from specacts.evaluation.overview import overview
from specacts.evaluation.quality import (
    BY_TYPE,
    RELIABILITY,
    RISK_COVERAGE,
    quality_by_type,
    reliability,
    risk_coverage,
)
from specacts.evaluation.stats import resample_weights
from specacts.models.sizes import load_sizes
from specacts.policies.cases import Case, load_routes, make_cases, scored, signals
from specacts.policies.combine import load_combination, probability
from specacts.policies.cost import Tariff
from specacts.policies.probability import Calibration
from specacts.policies.results import OnCalibrate, Promise, Thresholds
from specacts.recipe import judge_score

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("reports/plots")


def main() -> None:
    config = load_config(Path("."))
    judge, level = judge_score(config.recipe, config.acceptance), config.acceptance.level
    settings = Settings(level, judge, config.cost.model)
    tariff = Tariff(load_sizes(DATA / "answers/models.json"), config.prices, config.cost.upstream)
    cases = load_cases(config)
    weights = resample_weights([case.row.group for case in cases], config.scale.bootstrap, config.seed)
    maps = load_table(DATA / "calibration.json", Calibration, scored(cases))
    same = load_effects(DATA / "effects.jsonl", [case.row for case in cases])
    thresholds, chosen = Thresholds.load(DATA / "thresholds.json"), OnCalibrate.load(METRICS / "calibrate.json")
    promise = Promise.load(DATA / "promise.json")
    safe = chosen.safe(promise)

    bars = chosen.cascade.bars if chosen.cascade else None
    tracks = run(cases, tariff, thresholds.policies, chosen.majority, level, same, bars)
    kept = run_guaranteed(cases, tariff, safe, same)
    evaluation = evaluate(cases, tracks, tariff, settings, weights, kept, maps, same)
    write_csv(PLOTS / "frontier.csv", FRONTIER, frontier_points(cases, tracks, evaluation, tariff, settings))
    write_csv(PLOTS / "confusion_A.csv", CONFUSION, confusion(cases, "A"))
    write_csv(PLOTS / "confusion_B.csv", CONFUSION, confusion(cases, "B"))
    write_csv(PLOTS / "reliability.csv", RELIABILITY, reliability(cases, maps, level, weights))
    write_csv(PLOTS / "risk_coverage.csv", RISK_COVERAGE, risk_coverage(cases, scored(cases), level, weights))
    write_csv(PLOTS / "score_by_type.csv", BY_TYPE, quality_by_type(cases, maps, level, weights))
    write_csv(PLOTS / "accept_rate.csv", ACCEPT_RATE, accept_rates(cases, tracks, weights))
    write_csv(DATA / "outcomes.csv", OUTCOME, outcomes(cases, tracks))
    overview(evaluation, promise, chosen.groups, config.cost.model).save(METRICS / "overview.json")
    evaluation.save(METRICS / "eval.json")


def load_cases(config: Config) -> list[Case]:
    """The test split's decisions with all scores."""
    rows = load_answers(DATA / "answers/test.jsonl")
    judge, routes = judge_score(config.recipe, config.acceptance), load_routes(DATA / "routes.jsonl", rows)
    combination = load_combination(DATA / "combination.json")
    if combination is None:
        return make_cases(rows, judge, routes, [nan] * len(rows))
    combined = [probability(combination, known) for known in signals(rows, judge, routes)]
    return make_cases(rows, judge, routes, combined)


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
