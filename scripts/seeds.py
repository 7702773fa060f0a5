"""Train the models again with other seeds, and say how far the results lie apart.

    python -m scripts.seeds                # with two beside the workspace's own run: 1 and 2 where its own is 0
    python -m scripts.seeds 1 2 3 4        # with these
    python -m scripts.seeds --jobs 2       # two at a time, one thread each: faster on two cores

Needs an up-to-date workspace (`make repro`). Each is an ordinary experiment in a temporary folder, `dvc exp run --temp
-n seed-<n> -S train.seed=<n> evaluate`: the data, the split and the test decisions stay, the trainings differ. Writes
`metrics/seeds.json`; the report tells it as long as it is of the same run (`dvc repro report`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from scripts.running import Run, jobs, made, require_up_to_date, run_all
from specacts.config import Config, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.words import Level
from specacts.evaluation.ablation import read_outcomes
from specacts.evaluation.seeds import Seeds, across
from specacts.report.seeds import seeds_table
from stages.train import training_seed

RESULT, LOGS, OUTCOMES = Path("metrics/seeds.json"), Path(".work/seeds"), "data/outcomes.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, metavar="SEED", help="which (default: the first two others)")
    parser.add_argument("--jobs", type=jobs, default=1, help="experiments at a time (default: 1)")
    options = parser.parse_args()
    config = load_config(Path("."))
    own = training_seed(config)
    others = beside(own, options.seeds)
    require_up_to_date("seeds")
    runs = {str(seed): Run(f"seed-{seed}", [f"train.seed={seed}"], ["evaluate"]) for seed in others}
    failed = run_all(runs, LOGS, options.jobs)
    if failed:
        raise UserError(f"seeds: {', '.join(failed)} failed; see {LOGS}/<seed>.log")
    found = collected(config, own, others)
    found.save(RESULT)
    print(f"\n{seeds_table(found)}\n\n`dvc repro report` puts them into the report")


def beside(own: int, named: Sequence[int]) -> list[int]:
    """The seeds to train with beside the run's own: those that are named or, where none is, the first two others."""
    others = [seed for seed in dict.fromkeys(named or range(3)) if seed != own]
    if not others or min(others) < 0 or max(others) >= 2**32:
        raise UserError(f"seeds: give one or more from 0 to {2**32 - 1}, other than the run's own, which is {own}")
    return others if named else others[:2]


def collected(config: Config, own: int, others: Sequence[int]) -> Seeds:
    """The workspace's run and the experiments, compared."""
    import dvc.api

    names = [f"seed-{seed}" for seed in others]
    runs = [read_outcomes(Path(OUTCOMES).read_text(encoding="utf-8"), "this run")]
    runs += [read_outcomes(dvc.api.read(OUTCOMES, rev=name), name) for name in names]
    level: Level = config.acceptance.level
    return Seeds(
        made=made(),
        scale=config.scale_name,
        recipe=config.recipe_name,
        level=level,
        cost_model=config.cost.model,
        decisions=len(runs[0].places),
        groups=len(set(runs[0].groups)),
        seeds=(own, *others),
        policies=across(runs, level, config.cost.model, config.scale.bootstrap, config.seed),
    )


if __name__ == "__main__":
    with one_line_errors():
        main()
