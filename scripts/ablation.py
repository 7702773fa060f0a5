"""Undo each of recipe v3's changes alone, and say what that does to every policy.

    python -m scripts.ablation                    # every experiment, then docs/ablation.{json,md} and its figure
    python -m scripts.ablation format strong      # some of them; what the others gave is kept
    python -m scripts.ablation --jobs 2           # two at a time, one thread each: faster on two cores

Needs an up-to-date workspace with recipe v3 (`make repro`). Each experiment is an ordinary one in a temporary folder,
`dvc exp run --temp -n ablation-<name> -S <key>=<value>`; what it shares with the default run comes from DVC's cache.
The workspace stays as it is, but for the page, which says of which commit, day and processor it is.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

from scripts.running import Run, jobs, made, require_up_to_date, run_all
from specacts.config import Config, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import rounded, write_text
from specacts.evaluation.ablation import Ablation, Base, Made, Undone, effects, read_outcomes
from specacts.evaluation.results import Evaluation
from specacts.report.ablation import draw, page

RECIPE = "configs/recipe/v3.yaml"
RESULT, PAGE, FIGURE = Path("docs/ablation.json"), Path("docs/ablation.md"), Path("docs/figures/ablation.png")
OUTCOMES, EVALUATION = "data/outcomes.csv", "metrics/eval.json"
LOGS = Path(".work/ablation")


class Experiment(NamedTuple):
    """An experiment's name, the settings that make it, and what it undoes, in words."""

    name: str
    settings: tuple[str, ...]
    what: str


NEGATIVES = f"{RECIPE}:verifier.negatives=synthetic"
EXPERIMENTS = {
    "format": Experiment(
        "ablation-format", (f"{RECIPE}:format=mismatched",), "trained on `Action:` lines, asked in chat"
    ),
    "strong": Experiment("ablation-strong", (f"{RECIPE}:strong=frozen",), "strong model frozen, zero-shot"),
    "objective": Experiment("ablation-objective", (f"{RECIPE}:verifier.objective=reward",), "verifier a reward model"),
    "negatives": Experiment("ablation-negatives", (NEGATIVES,), "verifier's negatives synthetic"),
    "threshold": Experiment("ablation-threshold", (f"{RECIPE}:threshold=fixed",), "thresholds fixed at even odds"),
    "picks": Experiment("ablation-picks", (f"{RECIPE}:picks.may_reject=false",), "E never rejects"),
    "verdict": Experiment("ablation-verdict", ("acceptance.score=verdict",), "D and E go by P(ACCEPT)"),
    "verdict-negatives": Experiment(
        "ablation-verdict-negatives", ("acceptance.score=verdict", NEGATIVES), "P(ACCEPT), negatives synthetic"
    ),
    "v2": Experiment("v2", ("recipe=v2",), "all of recipe v2"),
}

WHOLE = "v2"
"""The experiment that is looked at by itself too. Of the others only replayed outcomes are compared, so `live` and the
stages after `evaluate` are left out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which experiments: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--jobs", type=jobs, default=1, help="experiments at a time (default: 1)")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(EXPERIMENTS))
    if unknown:
        raise UserError(f"ablation: no experiment is called {', '.join(unknown)}; known: {', '.join(EXPERIMENTS)}")
    config = load_config(Path("."))
    check_workspace(config)
    names = options.names or list(EXPERIMENTS)
    failed = run_all({name: undoing(name) for name in names}, LOGS, options.jobs)
    done = [name for name in names if name not in failed]
    if done:
        found = collected(config, done, made())
        found.save(RESULT)
        draw(found, FIGURE)
        write_text(PAGE, page(found))
        print(f"The page: {PAGE}. `make docs` rewrites what other pages quote of it")
    if failed:
        raise UserError(f"ablation: {', '.join(failed)} failed; see {LOGS}/<name>.log. The others were collected")


def check_workspace(config: Config) -> None:
    """The experiments are compared with the workspace's own run: it has to be v3's, and whole."""
    if config.recipe_name != "v3":
        raise UserError(f"params.yaml: recipe: {config.recipe_name!r}: the ablation starts from v3; set recipe: v3")
    require_up_to_date("ablation")


def undoing(name: str) -> Run:
    """One of the experiments, as it is run."""
    experiment = EXPERIMENTS[name]
    return Run(experiment.name, experiment.settings, [] if name == WHOLE else ["evaluate"])


def collected(config: Config, names: list[str], made: Made) -> Ablation:
    """What `docs/ablation.json` holds: the named experiments again, the others as they were if the base is too."""
    import dvc.api

    level, model = config.acceptance.level, config.cost.model
    settings = (level, model, config.scale.bootstrap, config.seed)
    base = read_outcomes(Path(OUTCOMES).read_text(encoding="utf-8"), "v3")
    result = Ablation(
        scale=config.scale_name,
        level=level,
        cost_model=model,
        decisions=len(base.places),
        groups=len(set(base.groups)),
        base=Base(made=made, auroc=aurocs(Evaluation.load(Path(EVALUATION))), policies=effects(base, base, *settings)),
        experiments={},
    )
    earlier = Ablation.load(RESULT) if RESULT.is_file() else None
    kept = earlier.experiments if earlier and _base(earlier) == _base(result) else {}
    found = {}
    for name, experiment in EXPERIMENTS.items():
        if name in names:
            other = read_outcomes(dvc.api.read(OUTCOMES, rev=experiment.name), experiment.name)
            evaluation = json.loads(dvc.api.read(EVALUATION, rev=experiment.name))
            found[name] = Undone(
                made=made,
                what=experiment.what,
                settings=experiment.settings,
                auroc=aurocs(Evaluation.model_validate(evaluation)),
                policies=effects(base, other, *settings),
            )
        elif name in kept:
            found[name] = kept[name]
    return result.model_copy(update={"experiments": found})


def _base(ablation: Ablation) -> Any:
    """All but the experiments and when it was made, as the file has it."""
    known = rounded(ablation.model_copy(update={"experiments": {}}).model_dump(mode="json"))
    return known | {"base": known["base"] | {"made": None}}


def aurocs(evaluation: Evaluation) -> dict[str, float]:
    """How well the judges' scores order right and wrong proposals, by policy that goes by them."""
    quality = evaluation.verifier
    found = {"C": quality.strong_auroc, "D": quality.auroc} if quality else {}
    return {letter: auroc.value for letter, auroc in found.items() if auroc}


if __name__ == "__main__":
    with one_line_errors():
        main()
