"""Choose the accept thresholds of the judging policies on the calibration split, or take those that the recipe fixes.

    python -m stages.calibrate

Reads `data/answers/{calibrate.jsonl,models.json}`, `data/routes.jsonl` and `metrics/data.json` (how many decisions of a
group a promise counts); no model runs. Writes

    metrics/calibrate.json     what every policy's threshold did on the split, the menu of guaranteed ones, and the
                               cascade's bars
    data/combination.json      policy H's score
    data/calibration.json      what makes probabilities of scores
    data/thresholds.json       the thresholds, the most accurate policy within budget, and the best beside A, B and D
    data/promise.json          the cheapest policy at each risk of the menu, and what was found for `acceptance.risk`
"""

import sys
from math import nan
from pathlib import Path

from specacts.answering.records import load_answers
from specacts.config import Config, load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import write_exact_json
from specacts.core.process import stage
from specacts.core.results import save_table
from specacts.models.sizes import load_sizes
from specacts.policies.cascade import choose_bars
from specacts.policies.cases import Case, greedy_right, laddered, load_routes, make_cases, scored, signals, verified
from specacts.policies.choose import (
    best_other,
    calibrate,
    calibrated,
    cheapest,
    fixed_thresholds,
    menu,
    most_accurate,
    on_calibrate,
    promised,
)
from specacts.policies.combine import Combination, cross_fitted, fit
from specacts.policies.cost import Tariff
from specacts.policies.decide import Threshold
from specacts.policies.needs import RISKS
from specacts.policies.results import Asked, Promise, Thresholds
from specacts.recipe import judge_score
from specacts.traces.results import DataMetrics

DATA, METRICS = Path("data"), Path("metrics/calibrate.json")
SPLIT = Path("metrics/data.json")


def main() -> None:
    config = load_config(Path("."))
    acceptance, model = config.acceptance, config.cost.model
    cases, combination = load_cases(config)
    tariff = Tariff(load_sizes(DATA / "answers/models.json"), config.prices, config.cost.upstream)

    fixed = fixed_thresholds(config.recipe)
    most = DataMetrics.load(SPLIT).most_counted if acceptance.average_over == "decisions" else 1

    # Refuses a promise that cannot be made before anything is written.
    asked = promised(cases, acceptance, most) if acceptance.risk is not None else None
    fitted = calibrate(cases, tariff, acceptance, model, fixed)
    offered = menu(cases, acceptance, most)
    thresholds = Thresholds(
        policies={name: fit.threshold for name, fit in fitted.items()},
        most_accurate=most_accurate(fitted, cases, tariff, acceptance, model).policy,
        best_other=best_other(fitted),
    )
    promise = promise_of(config, cases, tariff, offered, asked)
    cascade = choose_bars(cases, tariff, acceptance, model, fixed.get("F")) if laddered(cases) else None
    maps = {name: calibrated(cases, name, acceptance.level) for name in scored(cases)}

    write_exact_json(DATA / "combination.json", combination.model_dump(mode="json") if combination else {})
    save_table(DATA / "calibration.json", maps, exact=True)
    thresholds.save(DATA / "thresholds.json", exact=True)
    promise.save(DATA / "promise.json", exact=True)
    on_calibrate(cases, fitted, offered, acceptance, model, most, cascade).save(METRICS, exact=True)
    for name, found in fitted.items():
        if not found.within_budget and name not in fixed:
            print(
                f"note: no threshold of policy {name} costs at most {acceptance.max_relative_cost:g} times A "
                f"({model}); the most accurate one costs {found.cost:.2f} times A",
                file=sys.stderr,
            )


def load_cases(config: Config) -> tuple[list[Case], Combination | None]:
    """The calibration split's decisions with all scores, H's fitted without a decision's own group; and H's score.

    Without a verifier there is no H.
    """
    rows = load_answers(DATA / "answers/calibrate.jsonl")
    judge, routes = judge_score(config.recipe, config.acceptance), load_routes(DATA / "routes.jsonl", rows)
    if not verified(rows):
        return make_cases(rows, judge, routes, [nan] * len(rows)), None
    known, right = signals(rows, judge, routes), greedy_right(rows, config.acceptance.level)
    combined = cross_fitted(known, right, [row.group for row in rows])
    return make_cases(rows, judge, routes, combined), fit(known, right)


def promise_of(
    config: Config,
    cases: list[Case],
    tariff: Tariff,
    offered: dict[str, dict[str, float]],
    asked: dict[str, Threshold] | None,
) -> Promise:
    """The cheapest safe policy at each risk of the menu, and at the risk that was asked for."""
    acceptance, model = config.acceptance, config.cost.model
    by_risk = {f"{risk:g}": {name: safe[f"{risk:g}"] for name, safe in offered.items()} for risk in RISKS}
    chosen = {risk: cheapest(safe, cases, tariff, acceptance.level, model).policy for risk, safe in by_risk.items()}
    if asked is None or acceptance.risk is None:
        return Promise(cheapest=chosen, asked=None)
    return Promise(
        cheapest=chosen,
        asked=Asked(
            risk=acceptance.risk,
            by_type=acceptance.risk_by_type,
            policies=asked,
            cheapest=cheapest(asked, cases, tariff, acceptance.level, model).policy,
        ),
    )


if __name__ == "__main__":
    with one_line_errors(), stage("calibrate"):
        main()
