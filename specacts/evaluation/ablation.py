"""What a change of recipe does to every policy: paired differences between experiments over the same decisions.

    base, other = read_outcomes(text, "v3"), read_outcomes(other_text, "v2")
    effects(base, other, "type", "flops_no_cache", resamples=2000, seed=0)["D"]

Experiments share episodes and splits, so each decision of one has its counterpart in the other; intervals resample
groups, as everywhere. Costs are in units of the *first* experiment's policy A, so that costs of different experiments
can be subtracted.
"""

import csv
import io
from typing import NamedTuple

import numpy as np

from specacts.core.errors import UserError
from specacts.core.results import Estimate, Result
from specacts.core.words import Level
from specacts.evaluation.metrics import LEVELS, OUTCOME
from specacts.evaluation.stats import mean, ratio, resample_weights
from specacts.policies.cost import COST_MODELS
from specacts.policies.table import POLICIES


class Outcomes(NamedTuple):
    """One experiment, decision by decision.

    places: (episode, decision), in order. groups: of each. right, cost: by policy and level or cost model, [decisions];
    costs that are not known are NaN.
    """

    places: list[tuple[str, int]]
    groups: list[str]
    right: dict[str, dict[str, np.ndarray]]
    cost: dict[str, dict[str, np.ndarray]]


def read_outcomes(text: str, name: str) -> Outcomes:
    """The contents of an experiment's `data/outcomes.csv`, of the policies that it has.

    Raises `UserError` where a column is missing, or a policy's decisions.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or set(OUTCOME) - set(rows[0]):
        raise UserError(f"{name}: data/outcomes.csv lacks a column of {', '.join(OUTCOME)}; run the experiment again")
    there = {row["policy"] for row in rows}
    mine = {policy: [row for row in rows if row["policy"] == policy] for policy in POLICIES if policy in there | {"A"}}
    places = [(row["episode"], int(row["decision"])) for row in mine["A"]]
    for policy, own in mine.items():
        if [(row["episode"], int(row["decision"])) for row in own] != places:
            raise UserError(f"{name}: data/outcomes.csv: policy {policy} was not replayed over A's decisions")

    def columns(policy: str, names: dict[str, str]) -> dict[str, np.ndarray]:
        return {key: np.array([float(row[column] or "nan") for row in mine[policy]]) for key, column in names.items()}

    return Outcomes(
        places=places,
        groups=[row["group"] for row in mine["A"]],
        right={policy: columns(policy, {level: f"right_{level}" for level in LEVELS}) for policy in mine},
        cost={policy: columns(policy, {model: model for model in COST_MODELS}) for policy in mine},
    )


class Effect(Result):
    """A policy in another experiment: accuracy and cost there, and their differences to the base's."""

    accuracy: Estimate
    accuracy_effect: Estimate
    cost: Estimate
    cost_effect: Estimate


class Made(Result):
    """Of which run figures are: the commit, the day, and the machine's kind of processor."""

    commit: str
    date: str
    machine: str


class Undone(Result):
    """What an experiment undoes, in words and as settings, and what that does to every policy.

    auroc: of the scores that C and D go by.
    """

    made: Made
    what: str
    settings: tuple[str, ...]
    auroc: dict[str, float]
    policies: dict[str, Effect]


class Base(Result):
    """The experiment that the others are compared with."""

    made: Made
    auroc: dict[str, float]
    policies: dict[str, Effect]


class Ablation(Result):
    """What `make ablation` writes: `docs/ablation.json`."""

    scale: str
    level: Level
    cost_model: str
    decisions: int
    groups: int
    base: Base
    experiments: dict[str, Undone]


def effects(base: Outcomes, other: Outcomes, level: str, model: str, resamples: int, seed: int) -> dict[str, Effect]:
    """By policy of both: accuracy and cost in `other`, and their differences to `base`, each with its interval.

    Raises `UserError` where the two were not made of the same decisions.
    """
    if base.places != other.places:
        raise UserError("the experiments do not share their test decisions: their data, split or sizes differ")
    weights = resample_weights(base.groups, resamples, seed)
    unit = base.cost["A"][model]
    result = {}
    for policy in (policy for policy in POLICIES if policy in base.right and policy in other.right):
        right, spent = other.right[policy][level], other.cost[policy][model]
        result[policy] = Effect(
            accuracy=mean(right, weights),
            accuracy_effect=mean(right - base.right[policy][level], weights),
            cost=ratio(spent, unit, weights),
            cost_effect=ratio(spent - base.cost[policy][model], unit, weights),
        )
    return result
