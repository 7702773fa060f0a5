"""Write the report and its figures.

    python -m stages.report

Reads `metrics/` and `reports/plots/`; writes `reports/report.md`, `reports/figures/*.png` and the models' cards
(`reports/cards/<role>.md`), and prints the result table.
"""

import csv
from pathlib import Path
from typing import Any

from specacts.config import Config, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import published_dir, read_json, write_text
from specacts.core.process import stage
from specacts.core.words import ROLES
from specacts.recipe import freezes, judge_score
from specacts.report import plots
from specacts.report.card import frozen_card, model_card
from specacts.report.report import COSTS, Facts, report, result_table

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("reports/plots")
REPORT, FIGURES, CARDS = Path("reports/report.md"), Path("reports/figures"), Path("reports/cards")


def main() -> None:
    config = load_config(Path("."))
    facts = gather(config)
    text = report(facts)
    draw(config)
    with published_dir(CARDS) as out:
        for role, card in cards(config, facts.training).items():
            write_text(out / f"{role}.md", card)
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
        score=judge_score(config.recipe, config.acceptance),
        cost_model=config.cost.model,
        max_relative_cost=config.acceptance.max_relative_cost,
        prices=config.cost.prices,
        currency=config.prices.currency,
    )


def cards(config: Config, measured: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The model cards of the roles that were trained, or left frozen on purpose."""
    return {
        role: frozen_card(role, config) if freezes(config.recipe, role) else model_card(role, config, measured[role])
        for role in ROLES
        if role in measured
    }


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
