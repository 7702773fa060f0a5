"""How far runs lie apart that differ in the trainings' seed alone."""

import numpy as np
import pytest

from specacts.core.errors import UserError
from specacts.evaluation.ablation import Outcomes
from specacts.evaluation.seeds import across

LEVEL, MODEL = "type", "flops"


def run(right: list[int], cost: float = 0.5, episode: str = "e") -> Outcomes:
    """A run of policies A, always right at cost 1, and B; each decision a group of its own."""
    n = len(right)
    return Outcomes(
        places=[(episode, k) for k in range(n)],
        groups=[str(k) for k in range(n)],
        right={"A": {LEVEL: np.ones(n)}, "B": {LEVEL: np.array(right, dtype=float)}},
        cost={"A": {MODEL: np.ones(n)}, "B": {MODEL: np.full(n, cost)}},
    )


def test_each_runs_accuracy_and_cost_stand_beside_their_mean():
    found = across([run([1, 1, 1, 0], 0.5), run([1, 0, 0, 0], 0.25)], LEVEL, MODEL, 200, seed=0)
    assert (found["B"].accuracy, found["B"].cost) == ((0.75, 0.25), (0.5, 0.25))
    assert found["B"].spread == 0.5 and found["A"].spread == 0
    assert found["B"].over_seeds.value == 0.5


def test_the_interval_is_wider_where_seeds_differ():
    half = [1, 0] * 50
    same = across([run(half), run(half), run(half)], LEVEL, MODEL, 2000, seed=0)["B"].over_seeds
    apart = across([run([1] * 80 + [0] * 20), run(half), run([1] * 20 + [0] * 80)], LEVEL, MODEL, 2000, seed=0)["B"]
    alone = across([run(half)], LEVEL, MODEL, 2000, seed=0)["B"].over_seeds
    assert same == pytest.approx(alone)  # nothing but the tasks varies
    assert apart.over_seeds.value == pytest.approx(0.5)
    assert apart.over_seeds.high - apart.over_seeds.low > 1.5 * (same.high - same.low)


def test_what_seeds_vary_by_is_not_underestimated_for_being_drawn_from_few():
    """Runs at 0.6 and 0.4 have a standard error of 0.1 of their mean; two draws of two vary by 0.07."""
    every = [run([1] * 600 + [0] * 400), run([1] * 400 + [0] * 600)]
    found = across(every, LEVEL, MODEL, 4000, seed=0)["B"].over_seeds
    assert found.high - found.value == pytest.approx(0.1 * np.sqrt(2), abs=0.03)


def test_runs_of_other_decisions_are_refused():
    with pytest.raises(UserError, match="do not share their test decisions"):
        across([run([1, 0]), run([1, 0], episode="f")], LEVEL, MODEL, 10, seed=0)
