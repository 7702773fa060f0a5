"""JSON that means nothing, much of it in little time: what Hypothesis makes value by value takes ten times as long."""

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

GENERATORS = st.integers(0, 2**64 - 1).map(Random)
"""Hypothesis's own pass on call by call what they are asked for, which takes longer than what they are for."""
ODD = (None, True, False, 0, -1, 1.5, 1e300, 2**70, "", "\ud800", "\0", "?")


def anything(rng: Random, keys: Sequence[str], words: Sequence[str], most: int = 30) -> Any:
    """A value of at most `most` leaves, its objects' keys among `keys`, half of its leaves among `words`."""
    if most <= 1 or rng.random() < 0.3:
        return rng.choice(words) if rng.random() < 0.5 else rng.choice(ODD)
    parts = rng.randint(0, 5)
    inner = [anything(rng, keys, words, most // max(1, parts)) for _ in range(parts)]
    return inner if rng.random() < 0.4 else {rng.choice(keys): item for item in inner}
