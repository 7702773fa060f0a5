"""Cost against accuracy: what a policy is worth over all budgets, which are dominated, and what is left to win.

    curves = {name: curve(cases, name, accept, reject, tariff, "flops") for name in JUDGING}
    area(curves["D"], ends, weights)          # mean accuracy over all budgets between B's cost and A's

Everything here looks at test data, thresholds included: it compares policies, and chooses nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from specacts.answering.records import Answers
from specacts.core.results import Estimate
from specacts.evaluation.stats import estimate
from specacts.policies.cases import Case
from specacts.policies.cost import Tariff, sweep

BUDGETS = 101


class Curve(NamedTuple):
    """A policy at every threshold: right decisions and cost of each episode, both [thresholds, episodes]."""

    right: np.ndarray
    cost: np.ndarray


class Ends(NamedTuple):
    """The ends of every frontier, A and B: right decisions and cost, [episodes] each; and the episodes' decisions."""

    strong_right: np.ndarray
    strong_cost: np.ndarray
    cheap_right: np.ndarray
    cheap_cost: np.ndarray
    decisions: np.ndarray


def by_episode(rows: Sequence[Answers], values: Iterable[float]) -> np.ndarray:
    """Sums of a value a decision, [episodes] in the rows' order."""
    sums: dict[str, float] = {}
    for row, value in zip(rows, values, strict=True):
        sums[row.episode] = sums.get(row.episode, 0.0) + float(value)
    return np.array(list(sums.values()))


def episode_weights(rows: Sequence[Answers], weights: np.ndarray) -> np.ndarray:
    """Weights [resamples, rows] as [resamples, episodes]: an episode lies in one group."""
    _, first = np.unique([row.episode for row in rows], return_index=True)
    return weights[:, np.sort(first)]


def curve(
    cases: Sequence[Case], name: str, accept: np.ndarray, reject: np.ndarray, tariff: Tariff, model: str
) -> Curve:
    """Judging policy `name` at every threshold worth trying. accept, reject: whether each side is right, [cases]."""
    swept, rows = sweep(cases, name, tariff), [case.row for case in cases]
    right = [by_episode(rows, np.where(point.accepted, accept, reject)) for point in swept]
    order = list(dict.fromkeys(row.episode for row in rows))
    cost = [[getattr(point.by_episode[episode], model) for episode in order] for point in swept]
    return Curve(np.array(right), np.array(cost))


def perfect_router(
    cases: Sequence[Case], cheap: np.ndarray, strong: np.ndarray, extra: np.ndarray, tariff: Tariff, model: str
) -> Curve:
    """Who knows beforehand which model will be right: no policy of these two models does better at any budget.

    The strong model acts only where it alone is right, first where that costs least; with more money than that takes
    there is nothing to gain. cheap, strong: whether each is right; extra: what A pays more than B, [cases]. Exact where
    a decision's cost does not depend on earlier ones (fractional knapsack), that is without caches.
    """
    needed = (strong > 0) & (cheap == 0)
    rank = np.empty(len(extra))
    rank[np.argsort(extra, kind="stable")] = np.arange(1, len(extra) + 1)
    worth = np.where(needed, 0.5 * rank / len(extra), 1.0)
    known = [replace(case, route=float(value)) for case, value in zip(cases, worth, strict=True)]
    found = curve(known, "G", cheap, strong, tariff, model)
    return Curve(found.right[:-1], found.cost[:-1])  # all but asking the strong model everywhere


def area(found: Curve, ends: Ends, weights: np.ndarray) -> np.ndarray:
    """Mean accuracy over all budgets between B's cost and A's: of the episodes as they are, then of each resample.

    weights: [resamples, episodes]. Between two neighbouring thresholds a coin may choose, so accuracy is linear there.
    Below the policy's cheapest threshold it is B's, above its dearest what it is there.
    """
    every = np.vstack([np.ones(weights.shape[1]), weights])
    count, unit = every @ ends.decisions, every @ ends.strong_cost
    accuracy, cost = every @ found.right.T / count[:, None], every @ found.cost.T / unit[:, None]
    floor, low = every @ ends.cheap_right / count, every @ ends.cheap_cost / unit
    result = np.empty(len(every))
    for n in range(len(every)):
        order = np.argsort(cost[n], kind="stable")
        budgets = np.linspace(min(low[n], 1.0), 1.0, BUDGETS)
        result[n] = np.interp(budgets, cost[n, order], accuracy[n, order], left=floor[n]).mean()
    return result


def coin_area(ends: Ends, weights: np.ndarray) -> np.ndarray:
    """The same of a coin that decides between A and B: a straight line."""
    every = np.vstack([np.ones(weights.shape[1]), weights])
    return every @ (ends.cheap_right + ends.strong_right) / 2 / (every @ ends.decisions)


def shares(areas: np.ndarray, coin: np.ndarray, oracle: np.ndarray) -> Estimate:
    """How much of what lies between a coin and a perfect router a policy wins: 0 is a coin, 1 is perfect."""
    with np.errstate(invalid="ignore", divide="ignore"):
        won = (areas - coin) / (oracle - coin)
    return estimate(float(won[0]), won[1:])


def above_line(accuracy: np.ndarray, cost: np.ndarray, a: np.ndarray, b: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Accuracy above that of a coin between A and B which costs as much; all [samples].

    a, b: accuracy of A and B; low: B's cost. Beyond A's cost the line stays at A.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.nan_to_num(np.clip((cost - low) / (1 - low), 0, 1), nan=1.0)
    return accuracy - (b + (a - b) * place)


def undominated(costs: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
    """Boolean [samples, policies]: no other policy is at least as good in both and better in one."""
    better = (costs[:, None, :] <= costs[:, :, None]) & (accuracies[:, None, :] >= accuracies[:, :, None])
    strict = (costs[:, None, :] < costs[:, :, None]) | (accuracies[:, None, :] > accuracies[:, :, None])
    return np.logical_not((better & strict).any(axis=2))


def staircase(costs: np.ndarray, accuracies: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Area under policies' points [samples, policies]: mean over budgets from `low` to 1 of the best affordable one."""
    result = np.empty(len(costs))
    for n in range(len(costs)):
        budgets = np.linspace(min(low[n], 1.0), 1.0, BUDGETS)
        affordable = costs[n][None, :] <= budgets[:, None] + 1e-12
        result[n] = np.where(affordable, accuracies[n], -np.inf).max(axis=1).mean()
    return result
