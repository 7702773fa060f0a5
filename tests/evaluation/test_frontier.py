"""Areas, lines and dominance are what one would draw by hand, and nothing beats a perfect router."""

import numpy as np
import pytest
from factories import TARIFF, make_cases, make_row

from specacts.core.episodes import agrees
from specacts.evaluation.frontier import (
    Curve,
    Ends,
    above_line,
    area,
    by_episode,
    coin_area,
    curve,
    episode_weights,
    perfect_router,
    shares,
    staircase,
    undominated,
)
from specacts.evaluation.stats import resample_weights
from specacts.policies.cases import Case
from specacts.policies.cost import charges
from specacts.policies.decide import act
from specacts.policies.table import SCORED

NONE = np.zeros((0, 2))


def ends(strong: float = 0.8, cheap: float = 0.4, cost: float = 0.2) -> Ends:
    """Two episodes of ten decisions each."""
    return Ends(*(np.full(2, value) for value in (strong * 10, 1.0, cheap * 10, cost, 10.0)))


def points(*pairs: tuple[float, float]) -> Curve:
    """A curve through (cost, accuracy), the same in both episodes."""
    return Curve(np.array([[a * 10] * 2 for _, a in pairs]), np.array([[c] * 2 for c, _ in pairs]))


def rights(cases: list[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Whether the cheap model's greedy proposal, and the strong model's action, is right: [cases] each."""
    pairs = [(case.cheap[0].action, case.strong.action, case.row.gold) for case in cases]
    cheap, strong = zip(*((agrees(a, gold, "type"), agrees(b, gold, "type")) for a, b, gold in pairs), strict=True)
    return np.array(cheap, dtype=float), np.array(strong, dtype=float)


def spending(cases: list[Case], letter: str) -> np.ndarray:
    """Of each decision, by a cost model in which no decision's cost depends on earlier ones."""
    charged = charges([case.row for case in cases], [act(letter, case) for case in cases], TARIFF)
    return np.array([charge.flops_no_cache for charge in charged])


def ends_of(cases: list[Case]) -> Ends:
    cheap, strong = rights(cases)
    values = (strong, spending(cases, "A"), cheap, spending(cases, "B"), [1] * len(cases))
    return Ends(*(by_episode([case.row for case in cases], each) for each in values))


def test_a_coin_has_the_area_under_a_straight_line():
    line = points((0.2, 0.4), (1.0, 0.8))
    assert area(line, ends(), NONE) == pytest.approx(0.6) == pytest.approx(coin_area(ends(), NONE))


def test_a_policy_that_costs_more_than_a_whatever_it_does_is_never_more_than_b():
    assert area(points((1.2, 0.9), (1.5, 0.9)), ends(), NONE) == pytest.approx(0.4)


def test_a_policy_that_is_perfect_at_every_budget_has_all_of_the_area():
    assert area(points((0.2, 1.0), (1.0, 1.0)), ends(), NONE) == pytest.approx(1.0)


def test_resamples_weigh_episodes():
    uneven = Ends(np.array([10.0, 0]), np.ones(2), np.array([10.0, 0]), np.full(2, 0.2), np.full(2, 10.0))
    found = coin_area(uneven, np.array([[2.0, 0.0], [0.0, 2.0]]))
    assert found == pytest.approx([0.5, 1.0, 0.0])


def test_rows_are_summed_and_weighed_by_episode_in_their_order():
    rows = [make_row(episode=name, group=group) for name, group in (("b", "x"), ("b", "x"), ("a", "y"))]
    assert by_episode(rows, [1, 2, 4]).tolist() == [3, 4]
    weights = resample_weights([row.group for row in rows], 5, 0)
    assert (episode_weights(rows, weights) == weights[:, [0, 2]]).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_curve_ends_at_both_models_and_no_judge_has_more_area_than_a_perfect_router(seed: int):
    cases = make_cases(12, seed)
    rows, (cheap, strong) = [case.row for case in cases], rights(cases)
    found, weights = ends_of(cases), episode_weights(rows, resample_weights([row.group for row in rows], 20, 0))
    extra = spending(cases, "A") - spending(cases, "B")
    best = area(perfect_router(cases, cheap, strong, extra, TARIFF, "flops_no_cache"), found, weights)
    for name in SCORED:  # E has more proposals to choose from
        own = curve(cases, name, cheap, strong, TARIFF, "flops_no_cache")
        assert own.right[0].sum() == cheap.sum() and own.right[-1].sum() == strong.sum()
        assert area(own, found, weights)[0] <= best[0] + 1e-9


def test_shares_are_of_what_lies_between_a_coin_and_perfection():
    found = shares(np.array([0.7, 0.6, 0.8]), np.array([0.6] * 3), np.array([0.8] * 3))
    assert found.value == pytest.approx(0.5) and (found.low, found.high) == pytest.approx((0.025, 0.975))


def test_points_on_the_line_between_b_and_a_are_not_above_it():
    one = np.ones(3)
    cost, accuracy = np.array([0.2, 0.6, 1.4]), np.array([0.4, 0.65, 0.8])
    assert above_line(accuracy, cost, 0.8 * one, 0.4 * one, 0.2 * one) == pytest.approx([0, 0.05, 0])
    assert above_line(one, one, one, one, one) == pytest.approx([0, 0, 0])  # both cost the same


def test_a_policy_is_dominated_by_one_that_is_better_in_one_thing_and_no_worse_in_the_other():
    costs, accuracies = np.array([[1.0, 0.5, 0.5, 0.7]]), np.array([[0.8, 0.7, 0.6, 0.7]])
    assert undominated(costs, accuracies).tolist() == [[True, True, False, False]]
    assert undominated(np.ones((1, 2)), np.ones((1, 2))).all()  # equals dominate nobody


def test_the_staircase_takes_the_best_that_each_budget_affords():
    found = staircase(np.array([[1.0, 0.0, 0.5]]), np.array([[0.9, 0.4, 0.6]]), np.array([0.0]))
    assert found == pytest.approx([(50 * 0.4 + 50 * 0.6 + 0.9) / 101])
