"""Choose the accept thresholds of the judging policies on the calibrate split, or take those that the recipe fixes.

    python -m stages.calibrate

Reads `data/answers/{calibrate.jsonl,models.json}`, writes `metrics/calibrate.json`, and in `data/calibration.json`
what makes probabilities of scores. No model runs.
"""

import json
import sys
from pathlib import Path

from specacts.answers import judged_by, load_answers, load_sizes
from specacts.calibrate import SCORED, calibrate, calibrated, fixed_thresholds, metrics
from specacts.calibration import as_json
from specacts.config import load_config
from specacts.errors import one_line_errors
from specacts.files import write_text
from specacts.process import stage

ANSWERS = Path("data/answers")
METRICS, MAPS = Path("metrics/calibrate.json"), Path("data/calibration.json")


def main() -> None:
    config = load_config(Path("."))
    rows = judged_by(load_answers(ANSWERS / "calibrate.jsonl"), config.judge_score)
    sizes = load_sizes(ANSWERS / "models.json")
    fixed = fixed_thresholds(config.recipe)
    fitted = calibrate(rows, sizes, config.acceptance, config.cost, fixed)
    # Not write_json, which rounds: a threshold has to lie exactly where it was tried.
    values = metrics(rows, fitted, config.acceptance, config.cost)
    maps = {name: as_json(calibrated(rows, name, config.acceptance.level)) for name in SCORED}
    write_text(MAPS, json.dumps(maps, indent=2, allow_nan=False) + "\n")
    write_text(METRICS, json.dumps(values, indent=2, allow_nan=False) + "\n")
    for name, fit in fitted.items():
        if not fit.within_budget and name not in fixed:
            print(
                f"note: no threshold of policy {name} costs at most {config.acceptance.max_relative_cost:g} times A "
                f"({config.cost.model}); the most accurate one costs {fit.cost:.2f} times A",
                file=sys.stderr,
            )


if __name__ == "__main__":
    with one_line_errors(), stage("calibrate"):
        main()
