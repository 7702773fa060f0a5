"""Write the report and its figures.

    python -m stages.report

Reads `metrics/` and `reports/plots/`; writes `reports/report.md` (one page), `reports/appendix.md` (every figure), both
as one page that opens anywhere (`reports/report.html`), `reports/figures/*.png` and the models' cards
(`reports/cards/<role>.md`), and prints the result table.
"""

import csv
from pathlib import Path

from specacts.answering.records import AnswerMetrics
from specacts.config import Config, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import published_dir, write_text
from specacts.core.process import stage
from specacts.core.words import Role
from specacts.evaluation.results import Evaluation
from specacts.evaluation.seeds import Seeds
from specacts.live.results import LiveMetrics
from specacts.models.results import Assets
from specacts.policies.results import OnCalibrate, Promise, Thresholds
from specacts.policies.router import RouteMetrics
from specacts.recipe import is_recorded, judge_score, local_roles
from specacts.report import plots
from specacts.report.card import model_card
from specacts.report.facts import Facts, Losses, Trained
from specacts.report.page import page
from specacts.report.report import appendix, first_page, report, result_table
from specacts.report.wording import COSTS
from specacts.traces.results import DataMetrics, IngestMetrics
from specacts.training.results import TrainMetrics

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("reports/plots")
REPORT, APPENDIX, PAGE = (Path("reports") / name for name in ("report.md", "appendix.md", "report.html"))
FIGURES, CARDS = Path("reports/figures"), Path("reports/cards")


def main() -> None:
    config = load_config(Path("."))
    facts = gather(config)
    first, rest, whole = first_page(facts), appendix(facts), report(facts)
    draw(config)
    with published_dir(CARDS) as out:
        for role, trained in facts.training.items():
            write_text(out / f"{role}.md", model_card(role, config, trained))
    write_text(PAGE, page(whole, REPORT.parent))
    write_text(APPENDIX, rest)
    write_text(REPORT, first)
    print(f"\n{result_table(facts)}\n\nThe report: {REPORT} and {APPENDIX}, or both in one: {PAGE}")


def gather(config: Config) -> Facts:
    """Everything the report says, read from the metrics."""
    roles = local_roles(config.recipe)
    evaluation = Evaluation.load(METRICS / "eval.json")
    return Facts(
        evaluation=evaluation,
        calibration=OnCalibrate.load(METRICS / "calibrate.json"),
        thresholds=Thresholds.load(DATA / "thresholds.json"),
        promise=Promise.load(DATA / "promise.json"),
        live=LiveMetrics.load(METRICS / "live.json"),
        router=RouteMetrics.load(METRICS / "route.json"),
        data=DataMetrics.load(METRICS / "data.json"),
        own=IngestMetrics.load(METRICS / "ingest.json"),
        answers=AnswerMetrics.load(METRICS / "answer.json"),
        assets=Assets.load(METRICS / "assets.json"),
        training={role: training(role) for role in roles if (METRICS / "train" / f"{role}.json").is_file()},
        scale=config.scale_name,
        recipe_name=config.recipe_name,
        recipe=config.recipe,
        level=config.acceptance.level,
        score=judge_score(config.recipe, config.acceptance),
        cost_model=config.cost.model,
        max_relative_cost=config.acceptance.max_relative_cost,
        prices=config.cost.prices,
        currency=config.prices.currency,
        seeds=seeds_of(evaluation, config),
    )


def seeds_of(evaluation: Evaluation, config: Config) -> Seeds | None:
    """What `make seeds` found, where it was of this run; it lies there from another run just as well."""
    path = METRICS / "seeds.json"
    if not path.is_file():
        return None
    found = Seeds.load(path)
    here = (config.scale_name, config.recipe_name, config.acceptance.level)
    return found if found.belongs_to(evaluation, *here) else None


def training(role: Role) -> Trained:
    """What a training measured, and where its losses began and ended."""
    losses = [float(row["loss"]) for row in read_csv(METRICS / "train" / f"{role}_loss.csv")]
    measured = TrainMetrics.load(METRICS / "train" / f"{role}.json")
    return Trained(measured, Losses(losses[0], losses[-1]) if losses else None)


def draw(config: Config) -> None:
    """All figures, from the plots' data."""
    level, cost, recorded = config.acceptance.level, COSTS[config.cost.model], is_recorded(config.recipe)
    plots.frontier(read_csv(PLOTS / "frontier.csv"), cost, level, FIGURES / "frontier.png", recorded)
    titles = {} if recorded else {"A": "A: the strong model"}  # a recorded agent did what was due
    titles["B"] = "B: the cheap model"
    tables = {title: read_csv(PLOTS / f"confusion_{name}.csv") for name, title in titles.items()}
    plots.confusion(tables, FIGURES / "confusion.png", recorded)
    losses = {role: METRICS / "train" / f"{role}_loss.csv" for role in local_roles(config.recipe)}
    curves = {role: read_csv(path) for role, path in losses.items() if path.is_file()}
    plots.training_loss(curves, FIGURES / "training_loss.png")
    plots.reliability(read_csv(PLOTS / "reliability.csv"), FIGURES / "reliability.png", recorded)
    plots.risk_coverage(read_csv(PLOTS / "risk_coverage.csv"), FIGURES / "risk_coverage.png", recorded)
    plots.accept_rate(read_csv(PLOTS / "accept_rate.csv"), FIGURES / "accept_rate.png", recorded)


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
