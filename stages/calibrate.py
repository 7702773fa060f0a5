"""Choose the accept thresholds of policies C, D and E on the calibrate split.

    python -m stages.calibrate

Reads `data/answers/`, writes `metrics/calibrate.json`. No model runs.
"""

from pathlib import Path

from specacts.answers import load_answers, load_sizes
from specacts.calibrate import choose
from specacts.config import load_config
from specacts.errors import one_line_errors
from specacts.files import write_json
from specacts.policies import JUDGING
from specacts.process import stage

ANSWERS = Path("data/answers")


def main() -> None:
    config = load_config(Path("."))
    rows, sizes = load_answers(ANSWERS / "calibrate.jsonl"), load_sizes(ANSWERS / "models.json")
    chosen = {name: choose(name, rows, sizes, config.acceptance, config.cost)._asdict() for name in JUDGING}
    write_json(Path("metrics/calibrate.json"), chosen)


if __name__ == "__main__":
    with one_line_errors(), stage("calibrate"):
        main()
