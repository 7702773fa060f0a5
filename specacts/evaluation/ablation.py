"""What a change of recipe does to every policy: paired differences between experiments over the same decisions.

    base, other = read_outcomes(text, "v3"), read_outcomes(other_text, "v2")
    effects(base, other, "type", "flops_no_cache", resamples=2000, seed=0)["D"]

Experiments share episodes and splits, so each decision of one has its counterpart in the other; intervals resample
groups, as everywhere. Costs are in units of the *first* experiment's policy A, so that costs of different experiments
can be subtracted.
"""

import csv
import io
from typing import Any, NamedTuple

import numpy as np

from specacts.core.errors import UserError
from specacts.evaluation.metrics import LEVELS, OUTCOME, POLICIES
from specacts.evaluation.stats import mean, ratio, resample_weights, spread_out
from specacts.policies.cost import COST_MODELS


class Outcomes(NamedTuple):
    """One experiment, decision by decision.

    places: (episode, decision), in order. groups: of each. right, cost: by policy and level or cost model, [decisions].
    """

    places: list[tuple[str, int]]
    groups: list[str]
    right: dict[str, dict[str, np.ndarray]]
    cost: dict[str, dict[str, np.ndarray]]


def read_outcomes(text: str, name: str) -> Outcomes:
    """The contents of an experiment's `data/outcomes.csv`. Raises `UserError` where a column or policy is missing."""
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or set(OUTCOME) - set(rows[0]):
        raise UserError(f"{name}: data/outcomes.csv lacks a column of {', '.join(OUTCOME)}; run the experiment again")
    mine = {policy: [row for row in rows if row["policy"] == policy] for policy in POLICIES}
    places = [(row["episode"], int(row["decision"])) for row in mine["A"]]
    for policy, own in mine.items():
        if [(row["episode"], int(row["decision"])) for row in own] != places:
            raise UserError(f"{name}: data/outcomes.csv: policy {policy} was not replayed over A's decisions")

    def columns(policy: str, names: dict[str, str]) -> dict[str, np.ndarray]:
        return {key: np.array([float(row[column]) for row in mine[policy]]) for key, column in names.items()}

    return Outcomes(
        places=places,
        groups=[row["group"] for row in mine["A"]],
        right={policy: columns(policy, {level: f"right_{level}" for level in LEVELS}) for policy in POLICIES},
        cost={policy: columns(policy, {model: model for model in COST_MODELS}) for policy in POLICIES},
    )


def effects(
    base: Outcomes, other: Outcomes, level: str, model: str, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """By policy: accuracy and cost in `other`, and their differences to `base`, each with its interval.

    Raises `UserError` where the two were not made of the same decisions.
    """
    if base.places != other.places:
        raise UserError("the experiments do not share their test decisions: their data, split or sizes differ")
    weights = resample_weights(base.groups, resamples, seed)
    unit = base.cost["A"][model]
    result = {}
    for policy in POLICIES:
        right, spent = other.right[policy][level], other.cost[policy][model]
        result[policy] = {
            **spread_out("accuracy", mean(right, weights)),
            **spread_out("accuracy_effect", mean(right - base.right[policy][level], weights)),
            **spread_out("cost", ratio(spent, unit, weights)),
            **spread_out("cost_effect", ratio(spent - base.cost[policy][model], unit, weights)),
        }
    return result
