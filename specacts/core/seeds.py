"""Chance that repeats: what is drawn depends on the seed and on a name, never on what was drawn before."""

import hashlib
import random
from collections.abc import Iterable


def draw(seed: int, purpose: str, name: str) -> float:
    """A number in [0, 1) of the name's own, another one for every seed and purpose."""
    return _integer(f"{seed}/{purpose}/{name}") / 2**48


def shuffled(names: Iterable[str], seed: int, purpose: str) -> list[str]:
    """The names in an order that the seed decides; of more names, those there were keep their order.

    >>> shuffled("abcd", seed=0, purpose="split"), shuffled("abcde", seed=0, purpose="split")
    (['d', 'b', 'c', 'a'], ['d', 'b', 'e', 'c', 'a'])
    """
    return sorted(names, key=lambda name: (_digest(f"{seed}/{purpose}/{name}"), name))


def rng_for(seed: int, name: str) -> random.Random:
    """A generator of the name's own."""
    return random.Random(int.from_bytes(_digest(f"{seed}/{name}")))


def decision_seed(seed: int, episode: str, decision: int) -> int:
    """A sampling seed of a decision's own, so that which others are answered beside it changes no sample."""
    return _integer(f"{seed}/{episode}/{decision}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _integer(text: str) -> int:
    """48 bits, which a float holds exactly."""
    return int.from_bytes(_digest(text)[:6])
