"""Choose the accept thresholds of the judging policies on the calibrate split, or take those that the recipe fixes.

    python -m stages.calibrate

Reads `data/answers/{calibrate.jsonl,models.json}` and `data/routes.jsonl`; no model runs. Writes

    metrics/calibrate.json     what every policy's threshold did on the split, and the menu of guaranteed ones
    data/combination.json      policy H's score
    data/calibration.json      what makes probabilities of scores
    data/thresholds.json       the thresholds, the most accurate policy within budget, and the best beside A, B and D
    data/promise.json          the cheapest policy at each risk of the menu, and what was found for `acceptance.risk`
"""

import json
import sys
from pathlib import Path
from typing import Any

from specacts.answering.records import judged_by, load_answers
from specacts.config import load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import write_text
from specacts.core.process import stage
from specacts.models.sizes import load_sizes
from specacts.policies import combine
from specacts.policies.choose import (
    RISKS,
    SCORED,
    best_other,
    calibrate,
    calibrated,
    cheapest,
    fixed_thresholds,
    menu,
    metrics,
    most_accurate,
    promised,
)
from specacts.policies.cost import Tariff
from specacts.policies.probability import as_json
from specacts.recipe import judge_score

DATA, METRICS = Path("data"), Path("metrics/calibrate.json")


def main() -> None:
    config = load_config(Path("."))
    acceptance, model, level = config.acceptance, config.cost.model, config.acceptance.level
    recorded = load_answers(DATA / "answers/calibrate.jsonl")
    judged = combine.routed(judged_by(recorded, judge_score(config.recipe, config.acceptance)), DATA / "routes.jsonl")
    rows, combination = combine.cross_fitted(judged, level), combine.fit(judged, level)
    tariff = Tariff(load_sizes(DATA / "answers/models.json"), config.prices, config.cost.upstream)
    fixed = fixed_thresholds(config.recipe)

    # Refuses a promise that cannot be made before anything is written.
    asked = promised(rows, acceptance) if acceptance.risk is not None else None
    fitted = calibrate(rows, tariff, acceptance, model, fixed)
    thresholds = {
        "policies": {name: fit.threshold for name, fit in fitted.items()},
        "most_accurate": most_accurate(fitted, rows, tariff, acceptance, model).policy,
        "best_other": best_other(fitted),
    }
    offered = menu(rows, acceptance)
    by_risk = {f"{risk:g}": {name: safe[f"{risk:g}"] for name, safe in offered.items()} for risk in RISKS}
    promise = {
        "cheapest": {risk: cheapest(safe, rows, tariff, level, model).policy for risk, safe in by_risk.items()},
        "asked": None,
    }
    if asked is not None:
        chosen = cheapest(asked, rows, tariff, level, model).policy
        settings = {"risk": acceptance.risk, "by_type": acceptance.risk_by_type}
        promise["asked"] = {**settings, "policies": asked, "cheapest": chosen}
    dump(DATA / "combination.json", combination._asdict())
    dump(DATA / "calibration.json", {name: as_json(calibrated(rows, name, level)) for name in SCORED})
    dump(DATA / "thresholds.json", thresholds)
    dump(DATA / "promise.json", promise)
    dump(METRICS, metrics(rows, fitted, offered, acceptance, model))
    for name, fit in fitted.items():
        if not fit.within_budget and name not in fixed:
            print(
                f"note: no threshold of policy {name} costs at most {acceptance.max_relative_cost:g} times A "
                f"({model}); the most accurate one costs {fit.cost:.2f} times A",
                file=sys.stderr,
            )


def dump(path: Path, value: Any) -> None:
    """Write JSON as it is, not rounded as by `write_json`: a threshold has to lie exactly where it was tried."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    with one_line_errors(), stage("calibrate"):
        main()
