"""How many decisions of a group are asked about, and how many of them a promise counts at most.

    most = most_counted(parts["train"], parts["calibrate"], config.scale.answer.calibrate_episodes, config.seed)
    asked(parts["calibrate"], config.scale.answer.calibrate_episodes, config.seed)      # [12, 1, 9, …]

A promise counts every decision once, but a single group must not decide it: of a group it counts at most so many
decisions (policies/guarantee.py). How many that is has to be known before the calibration split is looked at, so it is
read off the training split.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from specacts.traces.split import Outline, spread

COUNTED = 0.9
"""The share of decisions that has to count in full."""


def asked(episodes: Sequence[Outline], conversations: int, seed: int) -> list[int]:
    """The decisions of each group that `answer` asks about where it asks about so many conversations."""
    outlines: Sequence[Any] = episodes  # `spread` reads of episodes what outlines have too
    taken: Sequence[Any] = spread(outlines, conversations, seed)
    sizes = Counter[str]()
    for episode in taken:
        sizes[episode.group] += episode.types.total()
    return list(sizes.values())


def most_counted(train: Sequence[Outline], calibrate: Sequence[Outline], conversations: int, seed: int) -> int:
    """The most decisions of a group that count: few, but so many that `COUNTED` of all decisions do.

    As many conversations a group are taken of the training split as `answer` asks about of the calibration split; of
    the latter, nothing but its number of groups matters.
    """
    groups = [len({episode.group for episode in part}) for part in (train, calibrate)]
    return smallest(asked(train, ceil(conversations * groups[0] / groups[1]), seed))


def smallest(sizes: Sequence[int]) -> int:
    """The smallest number that leaves `COUNTED` of the decisions where no group has more than so many.

    >>> smallest([1, 1, 1, 10, 10, 20])
    16
    """
    held, most = np.array(sizes), 1
    while np.minimum(held, most).sum() < COUNTED * held.sum():
        most += 1
    return most
