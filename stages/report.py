"""Write the report and its figures.

    python -m stages.report

Reads `metrics/` and `reports/plots/`; writes `reports/report.md` and `reports/figures/*.png`.
"""

import csv
from pathlib import Path

from specacts import plots
from specacts.config import ROLES, load_config
from specacts.errors import UserError, one_line_errors
from specacts.files import read_json, write_text
from specacts.process import stage
from specacts.report import report

METRICS, REPORTS = Path("metrics"), Path("reports")


def main() -> None:
    config = load_config(Path("."))
    metrics = {name: read_json(METRICS / f"{name}.json") for name in ("eval", "calibrate", "data", "answer", "assets")}
    metrics |= {
        "train": {role: read_json(METRICS / "train" / f"{role}.json") for role in ROLES},
        "scale": config.scale_name,
        "recipe": config.recipe_name,
        "cost": {"model": config.cost.model, "max_relative_cost": config.acceptance.max_relative_cost},
    }
    level, figures = config.acceptance.level, REPORTS / "figures"
    sweep = read_csv(REPORTS / "plots" / "frontier.csv")
    plots.frontier(metrics["eval"], sweep, config.cost.model, level, figures / "frontier.png")
    pairs = {
        name: [(row["actual"], row["predicted"]) for row in read_csv(REPORTS / "plots" / f"confusion_{name}.csv")]
        for name in ("A", "B")
    }
    titles = {"A": "A: strong model", "B": "B: cheap model"}
    plots.confusion(pairs, titles, figures / "confusion.png")
    curves = {role: read_csv(METRICS / "train" / f"{role}_loss.csv") for role in ROLES}
    points = {role: [(int(row["step"]), float(row["loss"])) for row in rows] for role, rows in curves.items()}
    plots.training_loss(points, figures / "training_loss.png")
    plots.accept_rate(read_csv(REPORTS / "plots" / "accept_rate.csv"), figures / "accept_rate.png")
    write_text(REPORTS / "report.md", report(metrics))


def read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the stage that makes it (`dvc repro`)") from error


if __name__ == "__main__":
    with one_line_errors(), stage("report"):
        main()
