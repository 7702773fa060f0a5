"""Write the report and its figures.

    python -m stages.report

Reads `metrics/` and `reports/plots/`; writes `reports/report.md` and `reports/figures/*.png`, and prints the result
table.
"""

import csv
from pathlib import Path
from typing import Any

from specacts import plots
from specacts.config import ROLES, Config, load_config
from specacts.errors import UserError, one_line_errors
from specacts.files import read_json, write_text
from specacts.process import stage
from specacts.report import COSTS, Facts, report, result_table

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("reports/plots")
REPORT, FIGURES = Path("reports/report.md"), Path("reports/figures")


def main() -> None:
    config = load_config(Path("."))
    facts = gather(config)
    text = report(facts)
    draw(config)
    write_text(REPORT, text)
    print(f"\n{result_table(facts.evaluation)}\n\nThe report: {REPORT}")


def gather(config: Config) -> Facts:
    """Everything the report says, read from the metrics."""
    return Facts(
        evaluation=read_metrics("eval"),
        calibration=read_metrics("calibrate"),
        data=read_metrics("data"),
        own=read_metrics("ingest"),
        answers=read_metrics("answer"),
        assets=read_metrics("assets"),
        thresholds=read_json(DATA / "thresholds.json"),
        promise=read_json(DATA / "promise.json"),
        live=read_metrics("live"),
        router=read_metrics("route"),
        training={role: training(role) for role in ROLES if (METRICS / "train" / f"{role}.json").is_file()},
        ablation=read_metrics("ablation"),
        scale=config.scale_name,
        recipe_name=config.recipe_name,
        recipe=config.recipe,
        level=config.acceptance.level,
        score=config.judge_score,
        cost_model=config.cost.model,
        max_relative_cost=config.acceptance.max_relative_cost,
        prices=config.cost.prices,
        currency=config.prices.currency,
    )


def training(role: str) -> dict[str, Any]:
    """What a training measured, and where its losses began and ended."""
    losses = [float(row["loss"]) for row in read_csv(METRICS / "train" / f"{role}_loss.csv")]
    ends = {"first_loss": losses[0], "final_loss": losses[-1]} if losses else {}
    return read_json(METRICS / "train" / f"{role}.json") | ends


def read_metrics(name: str) -> Any:
    return read_json(METRICS / f"{name}.json")


def draw(config: Config) -> None:
    """All figures, from the plots' data."""
    level, cost = config.acceptance.level, COSTS[config.cost.model]
    plots.frontier(read_csv(PLOTS / "frontier.csv"), cost, level, FIGURES / "frontier.png")
    titles = {"A": "A: the strong model", "B": "B: the cheap model"}
    tables = {title: read_csv(PLOTS / f"confusion_{name}.csv") for name, title in titles.items()}
    plots.confusion(tables, FIGURES / "confusion.png")
    losses = {role: METRICS / "train" / f"{role}_loss.csv" for role in ROLES}
    curves = {role: read_csv(path) for role, path in losses.items() if path.is_file()}
    plots.training_loss(curves, FIGURES / "training_loss.png")
    plots.ablation(read_metrics("ablation"), FIGURES / "ablation.png")
    plots.reliability(read_csv(PLOTS / "reliability.csv"), FIGURES / "reliability.png")
    plots.risk_coverage(read_csv(PLOTS / "risk_coverage.csv"), FIGURES / "risk_coverage.png")
    plots.accept_rate(read_csv(PLOTS / "accept_rate.csv"), FIGURES / "accept_rate.png")


def read_csv(path: Path) -> list[dict[str, str]]:
    """A table's rows. Raises `UserError` where there is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the stage that makes it (`dvc repro`)") from error


if __name__ == "__main__":
    with one_line_errors(), stage("report"):
        main()
