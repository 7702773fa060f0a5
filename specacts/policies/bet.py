"""The bet that shows a threshold to be safe, and how many groups it takes (Waudby-Smith and Ramdas 2023).

p_values(excesses, risk=0.1, error=0.1)                                   # guarantee.py makes the excesses
groups_needed(risk=0.1, error=0.1, weights=weights([1, 12, 7], most=11))   # what it takes at least
"""

from collections.abc import Sequence

import numpy as np


def p_values(excesses: np.ndarray, risk: float, error: float) -> np.ndarray:
    """P-values of "the expected excess is above 0" for each row of [thresholds, groups], columns being independent.

    A gambler bets against it group by group, with stakes that depend on earlier groups alone; under the hypothesis his
    capital is a supermartingale, so it exceeds 1/p at any time with probability at most p (Ville's inequality).
    """
    values = (excesses + 1 + risk) / 2  # in [0, 1]; the hypothesis is that their mean is above `fair`
    fair = (1 + risk) / 2
    count = np.arange(1, values.shape[1] + 1)
    means = (0.5 + np.cumsum(values, axis=1)) / (count + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2, axis=1)) / (count + 1)
    before = np.hstack([np.full((len(values), 1), 0.25), variances[:, :-1]])
    stakes = np.minimum(np.sqrt(2 * np.log(1 / error) / (values.shape[1] * before)), 0.9 / (1 - fair))
    capital = np.cumsum(np.log1p(stakes * (fair - values)), axis=1)
    return np.minimum(1.0, np.exp(-np.maximum(0.0, capital.max(axis=1))))


def weights(sizes: Sequence[int] | np.ndarray, most: int) -> np.ndarray:
    """What groups of so many decisions weigh, each counting with at most `most` of them; 1 is the most: [groups]."""
    return np.minimum(sizes, most) / most


def groups_needed(
    risk: float, error: float, weights: Sequence[float] | np.ndarray = (1.0,), limit: int = 100_000
) -> int:
    """How many groups it takes to certify anything at all: so many without any loss just pass.

    weights: of groups like those that there will be; they come again and again in this order.

    >>> groups_needed(risk=0.05, error=0.1), groups_needed(risk=0.05, error=0.1 / 3)  # one policy, three together
    (53, 77)
    >>> groups_needed(risk=0.05, error=0.1, weights=[1, 0.1])  # half of the groups are short
    97
    """

    def passes(count: int) -> bool:
        return bool(p_values(-risk * np.resize(weights, (1, count)), risk, error)[0] <= error)

    halves = [limit]
    while halves[-1] > 1:
        halves.append((1 + halves[-1]) // 2)
    low, high = 1, limit
    for half in reversed(halves[1:]):  # from the smallest up: a few dozen are enough as a rule
        if passes(half):
            high = half
            break
        low = half + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle + 1, high)
    return low
