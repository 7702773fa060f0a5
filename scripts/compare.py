"""What differs between two experiments, policy by policy, on the same test decisions: `make compare OLD=v2 NEW=v3`.

    python -m scripts.compare v2 v3                # the table; dvc exp list names experiments
    python -m scripts.compare v2 v3 --figures      # and docs/figures/{v2,v3}-frontier.png, which docs/v2-v3.md shows

Any two revisions of this repository can be compared that share their test decisions: experiments, branches, commits.
What counts as right and which cost is counted, NEW's settings say (`acceptance.level`, `cost.model`).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from specacts.core.errors import UserError, one_line_errors
from specacts.core.results import Estimate
from specacts.evaluation.ablation import Effect, Outcomes, effects, read_outcomes
from specacts.policies.table import POLICIES
from specacts.report.wording import COSTS, LEVELS, interval, side

OUTCOMES, FIGURE = "data/outcomes.csv", "reports/figures/frontier.png"
TARGET = Path("docs/figures")
RESAMPLES, SEED = 2000, 0


def main(old: str, new: str, figures: bool) -> None:
    was, now = (read_outcomes(read(OUTCOMES, name), name) for name in (old, new))
    check_same_decisions(old, was, new, now)
    level, model = settings(read("params.yaml", new), new)
    asked = (level, model, RESAMPLES, SEED)
    print(table(old, new, effects(now, was, *asked), effects(now, now, *asked)))
    print(f"\n{explained(new, len(now.places), len(set(now.groups)), level, model)}")
    if figures:
        TARGET.mkdir(parents=True, exist_ok=True)
        for name in (old, new):
            (TARGET / f"{name}-frontier.png").write_bytes(read(FIGURE, name, "rb"))


def read(file: str, experiment: str, mode: str = "r") -> Any:
    """A file as an experiment has it: text, or bytes for `mode="rb"`."""
    import dvc.api  # takes a second
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    try:
        return dvc.api.read(file, rev=experiment, mode=mode)
    except SCMError as error:
        raise UserError(
            f"{experiment}: there is no such experiment; `dvc exp list` names those there are, and "
            f"`dvc exp run -n {experiment}` makes one"
        ) from error
    except (DvcException, FileNotFoundError) as error:
        raise UserError(
            f"{experiment}: {file} is not there; the experiment did not end, or its results are not in DVC's cache: "
            f"run it again, with the settings that it had (`dvc exp run -n {experiment}`)"
        ) from error


def settings(params: str, experiment: str) -> tuple[str, str]:
    """The level and the cost model of a params.yaml."""
    values = yaml.safe_load(params)
    try:
        return values["acceptance"]["level"], values["cost"]["model"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{experiment}: params.yaml: {error} is missing; run the experiment again") from error


def check_same_decisions(old: str, was: Outcomes, new: str, now: Outcomes) -> None:
    if was.places != now.places:
        shared = len({*was.places} & {*now.places})
        raise UserError(
            f"{old} and {new} did not act on the same test decisions: {old} on {len(was.places)}, {new} on "
            f"{len(now.places)}, {shared} of them the same. Compare experiments of one `seed`, scale and `sources`"
        )


def table(old: str, new: str, was: Mapping[str, Effect], now: Mapping[str, Effect]) -> str:
    """A line a policy of both: accuracy and cost in each, and the difference with its interval.

    was, now: the two experiments, each held against the new one (`effects`).
    """
    rows = [
        [
            f"{name} {POLICIES[name].label}",
            *(number(one.accuracy, 100, ".1f") for one in (was[name], now[name])),
            difference(was[name].accuracy_effect, 100, "+.1f"),
            *(number(one.cost, 1, ".2f") for one in (was[name], now[name])),
            difference(was[name].cost_effect, 1, "+.2f"),
        ]
        for name in was
        if name in now
    ]
    heads = ["policy", f"% right: {old}", new, "difference", f"cost: {old}", new, "difference"]
    align = ("left", *["right"] * (len(heads) - 1))
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=align)


def number(estimate: Estimate, scale: float, form: str) -> str:
    return "–" if estimate.value != estimate.value else f"{estimate.value * scale:{form}}"  # not known of everybody


def difference(effect: Estimate, scale: float, form: str) -> str:
    """New minus old, where `effect` is old minus new; a star where the interval lies off zero."""
    turned = Estimate(*(0 - scale * end for end in (effect.value, effect.high, effect.low)))
    if turned.value != turned.value:
        return "–"
    if turned.low == turned.high == 0:
        return "none  "
    return f"{interval(turned, form)} {' ' if side(turned) == 'within' else '*'}"


def explained(new: str, decisions: int, groups: int, level: str, model: str) -> str:
    same = f"{decisions} test decisions in {groups} groups, the same in both; right: {LEVELS[level]}. "
    unit = f"Cost in {COSTS[model]}, where {new}'s A is 1."
    return f"{same}{unit}\nDifferences with 95 % intervals; * where all of the interval is on one side of 0."


if __name__ == "__main__":
    with one_line_errors():
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("old", metavar="OLD", help="an experiment's name, or any other revision")
        parser.add_argument("new", metavar="NEW", help="the one that it is compared with")
        parser.add_argument("--figures", action="store_true", help="write both frontiers to docs/figures")
        main(**vars(parser.parse_args()))
