"""How far results lie apart that differ in nothing but the seed of the trainings.

    found = across([read_outcomes(text, name) for text, name in runs], "type", "flops_no_cache", resamples=2000, seed=0)
    found["B"].accuracy                 # one of each run, in their order
    found["B"].over_seeds               # their mean; the interval resamples groups and runs

An interval over tasks says how figures would move with other tasks and *these* models. Trained once more, the models
are others: what holds of a way to train has to hold over both. Three runs say little of how far a fourth may lie.
"""

from collections.abc import Sequence

import numpy as np

from specacts.core.errors import UserError
from specacts.core.results import Estimate, Result
from specacts.core.words import Level
from specacts.evaluation.ablation import Made, Outcomes
from specacts.evaluation.results import Evaluation
from specacts.evaluation.stats import estimate, resample_weights
from specacts.policies.table import POLICIES


class AcrossSeeds(Result):
    """A policy's accuracy and relative cost in each run, and both over all of them; cost in units of its run's A."""

    accuracy: tuple[float, ...]
    over_seeds: Estimate
    cost: tuple[float, ...]

    @property
    def spread(self) -> float:
        """From the lowest accuracy to the highest."""
        return max(self.accuracy) - min(self.accuracy)


class Seeds(Result):
    """What `make seeds` writes: `metrics/seeds.json`. The first of `seeds` is the workspace's own run."""

    made: Made
    scale: str
    recipe: str
    level: Level
    cost_model: str
    decisions: int
    groups: int
    seeds: tuple[int, ...]
    policies: dict[str, AcrossSeeds]

    def belongs_to(self, evaluation: Evaluation, scale: str, recipe: str, level: Level) -> bool:
        """Whether its first run is the one of these results, and not alone."""
        if len(self.seeds) < 2 or (self.scale, self.recipe, self.level) != (scale, recipe, level):
            return False
        here = {name: round(entry.accuracy(level).value, 4) for name, entry in evaluation.policies.items()}
        return here == {name: round(one.accuracy[0], 4) for name, one in self.policies.items()}


def across(runs: Sequence[Outcomes], level: str, model: str, resamples: int, seed: int) -> dict[str, AcrossSeeds]:
    """By policy of all runs: each run's accuracy and cost, and the accuracy over runs and groups together.

    Raises `UserError` where the runs were not made of the same decisions.
    """
    if any(run.places != runs[0].places for run in runs):
        raise UserError("the runs do not share their test decisions: their data, split or sizes differ")
    weights = resample_weights(runs[0].groups, resamples, seed)
    drawn = np.random.default_rng(seed).multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=resamples)
    few = np.sqrt(len(runs) / max(1, len(runs) - 1))  # what is drawn from k runs has (k - 1) / k of their variance
    result = {}
    for policy in (policy for policy in POLICIES if all(policy in run.right for run in runs)):
        right = np.stack([run.right[policy][level] for run in runs])
        by_run = (weights @ right.T) / weights.sum(axis=1, keepdims=True)
        together = by_run.mean(axis=1)
        result[policy] = AcrossSeeds(
            accuracy=tuple(right.mean(axis=1)),
            over_seeds=estimate(right.mean(), together + few * ((by_run * drawn).sum(axis=1) / len(runs) - together)),
            cost=tuple(run.cost[policy][model].sum() / run.cost["A"][model].sum() for run in runs),
        )
    return result
