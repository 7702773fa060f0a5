"""Replay the policies over the recorded test answers.

    python -m stages.evaluate

Reads `data/answers/` and `metrics/calibrate.json`; writes `metrics/eval.json` and the data of the plots under
`reports/plots/`. No model runs.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from specacts.answers import load_answers, load_sizes
from specacts.config import load_config
from specacts.errors import one_line_errors
from specacts.evaluate import accept_rates, confusion, evaluate, frontier
from specacts.files import read_json, rounded, write_json, write_text
from specacts.policies import JUDGING
from specacts.process import stage

ANSWERS, PLOTS = Path("data/answers"), Path("reports/plots")


def main() -> None:
    config = load_config(Path("."))
    rows, sizes = load_answers(ANSWERS / "test.jsonl"), load_sizes(ANSWERS / "models.json")
    chosen = read_json(Path("metrics/calibrate.json"))
    thresholds = {name: chosen[name]["threshold"] for name in JUDGING}
    level, cost = config.acceptance.level, config.cost
    result = evaluate(rows, sizes, thresholds, level, cost, config.scale.bootstrap, config.seed)
    write_csv("frontier", ["policy", "threshold", "cost", "accuracy"], frontier(rows, sizes, level, cost))
    for name in ("A", "B"):
        write_csv(f"confusion_{name}", ["actual", "predicted"], confusion(rows, name))
    columns = ["policy", "action_type", "decisions", "accept_rate", "precision"]
    write_csv("accept_rate", columns, accept_rates(rows, thresholds, level))
    write_json(Path("metrics/eval.json"), result)


def write_csv(name: str, columns: list[str], rows: Iterable[tuple]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rounded(list(row)) for row in rows)
    write_text(PLOTS / f"{name}.csv", text.getvalue())


if __name__ == "__main__":
    with one_line_errors(), stage("evaluate"):
        main()
