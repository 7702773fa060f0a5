"""Accept thresholds with a finite-sample guarantee: Learn-then-Test (Angelopoulos et al. 2021, arXiv 2110.01052).

    evidence = Evidence(scores, losses, groups)
    certified(evidence, risk=0.1, error=0.1, most=11)      # the lowest safe threshold, or None

With probability at least 1 - `error` over the calibrate sample, a policy that accepts at the returned threshold loses
at most `risk` of accuracy to always asking the strong model. The loss of a decision is 1 where the strong model was
right and the accepted proposal wrong, -1 the other way round, 0 otherwise and wherever nothing was accepted.

What it rests on: groups (tasks) are drawn independently from the distribution that the policy will meet; decisions
inside a group may depend on each other in any way, so a group is one draw, of the sum of its decisions' losses. Nothing
can be shown of a sum that knows no bound, so a group counts with at most `most` decisions: one that holds n > `most`
has the mean loss of its decisions, times `most`. The loss that is bounded is then the loss per decision as decisions
come, but that those of such a group weigh `most` / n each. `most` = 1 makes it the average over groups of a group's
mean; with `most` at least the size of the largest group it is, without exception, the expected losses of a group over
its expected decisions. `most` must owe nothing to the evidence. Thresholds are tried on a grid fixed beforehand, from
accepting nothing downwards, until one cannot be shown to be safe (fixed-sequence testing: no correction is needed). The
p-value is that of a bet against the threshold being unsafe (Waudby-Smith and Ramdas 2023, arXiv 2010.09686): valid for
every bounded loss and every sample size, and sharp where losses vary little. It depends on the order of the groups,
which is that of the data.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from specacts.policies.bet import p_values, weights
from specacts.policies.decide import lowest_accepted

GRID: tuple[float, ...] = tuple(float(value) for value in np.round(expit(np.linspace(12, -12, 241)), 12))
"""Thresholds worth trying on a probability, from the strictest down: even steps of log-odds, seen by no data."""
LOWEST = np.array([lowest_accepted(threshold) for threshold in GRID])
"""The lowest score that reaches each of them."""
AT_ONCE = 30
"""Thresholds of `GRID` that are tested together: the test ends at the first that is not safe, often early."""


class Evidence(NamedTuple):
    """What is known of each decision, [decisions] each.

    scores: of the proposal. losses: of accepting it, strong right minus proposal right. groups: what it depends on.
    kinds: the proposal's action type, for guarantees by type; "" where there is no action.
    """

    scores: np.ndarray
    losses: np.ndarray
    groups: np.ndarray
    kinds: np.ndarray


def certified(
    evidence: Evidence, risk: float, error: float, most: int, scope: np.ndarray | None = None
) -> float | None:
    """The lowest threshold of `GRID` that is safe at `risk`, wrongly with probability at most `error`; None if none is.

    most: decisions of a group that count. scope: boolean [decisions]; the loss is then counted over those decisions
    alone, per decision of theirs, each of the weight that it has among all.
    """
    found = None
    for first in range(0, len(GRID), AT_ONCE):
        tried = slice(first, first + AT_ONCE)
        passes = p_values(excess(evidence, risk, most, scope, tried), risk, error) <= error
        safe = len(passes) if passes.all() else int(passes.argmin())
        found = GRID[first + safe - 1] if safe else found
        if safe < len(passes):
            break
    return found


def certified_by_kind(
    evidence: Evidence, risks: Mapping[str, float], error: float, most: int
) -> dict[str, float | None]:
    """A threshold for each action type with a risk of its own; together they all hold with probability 1 - `error`.

    Bonferroni: each of the k types is tested at error / k. A type's risk is per decision at which it is proposed.
    """
    share = error / max(1, len(risks))
    return {kind: certified(evidence, risk, share, most, evidence.kinds == kind) for kind, risk in risks.items()}


def excess(
    evidence: Evidence, risk: float, most: int, scope: np.ndarray | None = None, tried: slice = slice(None)
) -> np.ndarray:
    """Sum over a group's counted decisions of (loss - risk) / `most` within the scope: [thresholds, groups].

    That is the mean over its decisions, times the group's weight. Safe means an expectation of at most 0. Values lie in
    [-1 - risk, 1 - risk]. tried: which thresholds of `GRID`.
    """
    inside = np.ones(len(evidence.scores), dtype=bool) if scope is None else scope
    place = _places(evidence.groups)
    together = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[together], prepend=-1))
    sizes = np.bincount(place)
    accepted = evidence.scores[None, together] >= LOWEST[tried, None]
    terms = (accepted * evidence.losses[together] - risk) * inside[together]
    return np.add.reduceat(terms, starts, axis=1) / sizes * weights(sizes, most)


SHARES = tuple(n / 200 for n in range(199, 0, -1))
"""Bounds worth trying on a share, from the loosest down, seen by no data."""


def upper_bound(losses: np.ndarray, groups: np.ndarray, error: float, most: int) -> float:
    """What the expected loss per decision is below, wrongly with probability at most `error`; 1 where nothing is shown.

    losses: in [0, 1], one a decision. groups, most: as in a promise (`Evidence`, `excess`), by the same bet: the lowest
    of `SHARES`, from above, that the loss is shown to be no more than.
    """
    place = _places(groups)
    sizes = np.bincount(place)
    means, weight = np.bincount(place, weights=losses) / sizes, weights(sizes, most)
    found = 1.0
    for share in SHARES:
        if p_values(((means - share) * weight)[None], share, error)[0] > error:
            break
        found = share
    return found


def sizes_of(groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """How many decisions each group holds, in the data's order: [groups]."""
    return np.bincount(_places(groups))


def _places(groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """The number of each decision's group, in the data's order and not their names'."""
    _, first, index = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[index]


def evidence_of(
    scores: Sequence[float], losses: Sequence[float], groups: Sequence[str], kinds: Sequence[str]
) -> Evidence:
    """Evidence from plain sequences, one entry a decision."""
    return Evidence(
        np.asarray(scores, dtype=float), np.asarray(losses, dtype=float), np.asarray(groups), np.asarray(kinds)
    )


def repeated(evidence: Evidence, times: int) -> Evidence:
    """As if every group had been met `times` times, as different groups."""
    names = np.concatenate([np.char.add(evidence.groups.astype(str), f"/{n}") for n in range(times)])
    scores, losses, kinds = (np.tile(part, times) for part in (evidence.scores, evidence.losses, evidence.kinds))
    return Evidence(scores, losses, names, kinds)
