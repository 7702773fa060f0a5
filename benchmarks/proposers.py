"""Which of the two small models should propose? The same replay with the verifier's model in the cheap model's place.

    python -m benchmarks.proposers        # here, where `dvc repro` has run with a verifier that can act

From recorded answers, so no model runs: for each proposer what it is worth alone (B), and what F saves (its own
confidence decides, the strong model acts where that is too low) at each risk that can be promised with the recipe's
confidence. Thresholds come from the calibration split, accuracies and costs from the test split. F is the only policy
that is promised here, so it may accept more than in the report, where promises hold for several policies together.
"""

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from specacts.answering.records import Answers, load_answers
from specacts.config import Acceptance, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.words import Level
from specacts.evaluation.metrics import Judged, promise, run_guaranteed, summary, track
from specacts.evaluation.results import Kept, Summary
from specacts.evaluation.stats import resample_weights
from specacts.models.sizes import load_sizes
from specacts.policies.cases import Case, Route, load_routes, make_cases
from specacts.policies.choose import menu
from specacts.policies.cost import Tariff
from specacts.policies.decide import act
from specacts.policies.needs import RISKS
from specacts.recipe import judge_score
from specacts.report.wording import COSTS, percent, points, ratio, risk_points, share
from specacts.traces.results import DataMetrics

DATA, SPLIT = Path("data"), Path("metrics/data.json")
COMPARED = 0.1
"""The risk at which the two are compared in a line."""


class Found(NamedTuple):
    """What a proposer is worth: alone, and by risk with F at a safe threshold, both on the test split."""

    alone: Summary
    safe: dict[str, Kept]


def main() -> None:
    config = load_config(Path("."))
    acceptance, model = config.acceptance.model_copy(update={"policies": ("F",)}), config.cost.model
    judge = judge_score(config.recipe, config.acceptance)
    sizes = load_sizes(DATA / "answers/models.json")
    splits = {split: load_answers(DATA / f"answers/{split}.jsonl") for split in ("calibrate", "test")}
    if any(row.middle is None for rows in splits.values() for row in rows):
        raise UserError("proposers: this run has no verifier that can act; run `dvc repro` with one")
    turns = {split: load_routes(DATA / "routes.jsonl", rows) for split, rows in splits.items()}
    most = DataMetrics.load(SPLIT).most_counted if acceptance.average_over == "decisions" else 1
    weights = resample_weights([row.group for row in splits["test"]], config.scale.bootstrap, config.seed)

    def worth(rows: dict[str, list[Answers]], tariff: Tariff) -> Found:
        cases = {
            split: make_cases(rows[split], judge, unrouted(turns[split]), [nan] * len(rows[split])) for split in rows
        }
        return measured(cases["calibrate"], cases["test"], tariff, acceptance, most, weights)

    small = (sizes["cheap"], sizes["verifier"])
    promoted = {split: [acting_first(row) for row in rows] for split, rows in splits.items()}
    own, larger = (Tariff({**sizes, "cheap": size}, config.prices, config.cost.upstream) for size in small)
    found = {"the cheap model": worth(splits, own), "the verifier's model": worth(promoted, larger)}
    rows = [["alone", *(alone_at(of.alone, acceptance.level, model) for of in found.values())]]
    rows += [[risk_points(risk), *(saved(of.safe[f"{risk:g}"], model) for of in found.values())] for risk in RISKS]
    print(tabulate(rows, ["may be lost", *(f"{name} proposes" for name in found)], tablefmt="github"))
    test = splits["test"]
    print(f"{len(test)} test decisions in {len({row.group for row in test})} groups; costs in {COSTS[model]}, A's is 1")
    costs = [of.safe[f"{COMPARED:g}"].cost[model].value for of in found.values()]
    print(
        f"ratio of the verifier's model's cost to the cheap one's where {risk_points(COMPARED)} may be lost: ", end=""
    )
    print(f"{costs[1] / costs[0]:.2f}")


def acting_first(row: Answers) -> Answers:
    """The decision as it were if the verifier's model were the cheap one, and there were no verifier."""
    assert row.middle is not None
    as_verifier = {
        field: {**getattr(row, field), "cheap": getattr(row, field)["verifier"]}
        for field in ("window", "context", "seconds_per_token")
    }
    nobody = {"verifier": (), "verifier_likelihood": (), "strong_verdict": (), "middle": None}
    return row.model_copy(update={"cheap": (row.middle,), "picks": (0,), **as_verifier, **nobody})


def unrouted(routes: Sequence[Route]) -> list[Route]:
    return [route._replace(probability=nan) for route in routes]


def measured(
    calibrate: list[Case], test: list[Case], tariff: Tariff, acceptance: Acceptance, most: int, weights: np.ndarray
) -> Found:
    """B, and F at thresholds that are safe by the calibration split, on the test split."""
    strong, alone = (track(Judged.of(test, None), [act(name, case) for case in test], tariff) for name in "AB")
    safe = run_guaranteed(test, tariff, menu(calibrate, acceptance, most))["F"]
    kept = {risk: promise(own, strong, acceptance.level, weights) for risk, own in safe.items()}
    return Found(summary(alone, strong, weights), kept)


def alone_at(alone: Summary, level: Level, model: str) -> str:
    return f"{percent(alone.accuracy(level))} right at {ratio(alone.cost[model])}"


def saved(kept: Kept, model: str) -> str:
    """What is saved, by which share of actions, and the points that it cost on the test split."""
    if not kept.accept_rate:
        return "nothing can be promised"
    return f"saves {share(1 - kept.cost[model].value)}, takes {share(kept.accept_rate)}; lost {points(kept.lost)}"


if __name__ == "__main__":
    with one_line_errors():
        main()
