"""How much of the test episodes' text occurs in the training episodes, word for word.

    found = overlaps(test, train)
    found.user  # Overlap(episodes=3, ngrams=120_000, shared=41)

Counted in n-grams of 13 words, as for GPT-3 (Brown et al., 2020): shorter ones are shared by chance, longer ones are
copies. Both sources are read once, one episode after the other; only test's n-grams are kept, as 64-bit hashes.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Literal

import numpy as np

from specacts.core.episodes import Episode, Observation, User
from specacts.traces.results import Contamination, Overlap

N = 13
Part = Literal["user", "other", "all"]

_WORD = re.compile(r"\w+")
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bit of a word is lost however far it is from the last
_FILTER_BITS = 24
_REMEMBERED = 200_000
_BATCH = 64  # training episodes at once: short texts one by one would cost more in numpy calls than in work


def overlaps(test: Iterable[Episode], train: Iterable[Episode], n: int = N) -> Contamination:
    """The overlap of the user's messages, and of everything that is said, called and observed."""
    words = _Words()
    grams: dict[str, list[np.ndarray]] = {"user": [], "all": []}
    for episode in test:
        for part, found in _parts([episode], n, words).items():
            grams[part].append(np.unique(found))
    sought = {part: _Sought(grams.pop(part)) for part in ("user", "all")}
    episodes = iter(train)
    while batch := list(islice(episodes, _BATCH)):
        for part, found in _parts(batch, n, words).items():
            sought[part].look(found)
    return Contamination(ngram=n, user=sought["user"].overlap(), all=sought["all"].overlap())


def texts(episode: Episode, part: Part) -> Iterator[str]:
    """Texts of the user, of all others (tools and the agent), or of all.

    Definitions of tools are in none of these: test and training share them by design.
    """
    for step in episode.steps:
        if isinstance(step, User):
            if part != "other":
                yield step.content
        elif part != "user":
            if isinstance(step, Observation):
                yield step.content
            else:
                yield step.action.content
                yield from _strings(step.action.arguments)


def _parts(episodes: Sequence[Episode], n: int, words: "_Words") -> dict[str, np.ndarray]:
    """N-grams of the episodes by part, with repetitions."""
    user = _ngrams((text for episode in episodes for text in texts(episode, "user")), n, words)
    other = _ngrams((text for episode in episodes for text in texts(episode, "other")), n, words)
    return {"user": user, "all": np.concatenate([user, other])}


def _strings(value: Any) -> Iterator[str]:
    """Every string in arguments, however deep (no recursion: an argument may be nested deeper than Python's stack)."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += reversed(value.values())
        elif isinstance(value, list | tuple):
            waiting += reversed(value)


class _Words(dict[str, int]):
    """Hashes of words, the same in every process. Remembers the usual words, and not so many that memory grows."""

    def __missing__(self, word: str) -> int:
        value = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
        if len(word) <= 32:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[word] = value
        return value


def _ngrams(texts: Iterable[str], n: int, words: _Words) -> np.ndarray:
    """Hashes of the n-grams of texts, none of which reaches from one text into the next."""
    found: list[str] = []
    ends, counts = [], []
    for text in texts:
        own = _WORD.findall(text.casefold())
        if len(own) >= n:
            found += own
            counts.append(len(own))
            ends.append(len(found))
    if not found:
        return np.zeros(0, dtype=np.uint64)
    hashes = np.fromiter(map(words.__getitem__, found), dtype=np.uint64, count=len(found))
    size = len(found) - n + 1
    grams = hashes[:size].copy()
    for k in range(1, n):
        grams *= _BASE
        grams += hashes[k : k + size]
    return grams[np.arange(size) + n <= np.repeat(ends, counts)[:size]]


class _Sought:
    """N-grams of the test episodes, and which of them were seen in training."""

    def __init__(self, grams: list[np.ndarray]):
        self._lengths = [len(one) for one in grams]
        joined = np.concatenate([np.zeros(0, dtype=np.uint64), *grams])
        self._grams, self._places = np.unique(joined, return_inverse=True)
        self._seen = np.zeros(len(self._grams), dtype=bool)
        # Nearly every n-gram of training is not sought, and one look at its first bits usually says so.
        self._filter = np.zeros(1 << _FILTER_BITS, dtype=bool)
        self._filter[self._grams >> np.uint64(64 - _FILTER_BITS)] = True

    def look(self, grams: np.ndarray) -> None:
        """Take note of n-grams of training."""
        grams = grams[self._filter[grams >> np.uint64(64 - _FILTER_BITS)]]
        if len(grams):
            places = np.searchsorted(self._grams, grams)
            self._seen[places[self._grams.take(places, mode="clip") == grams]] = True

    def overlap(self) -> Overlap:
        owners = np.repeat(np.arange(len(self._lengths)), self._lengths)
        episodes = np.unique(owners[self._seen[self._places]])
        return Overlap(episodes=len(episodes), ngrams=len(self._grams), shared=int(self._seen.sum()))
