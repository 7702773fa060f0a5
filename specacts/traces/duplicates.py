"""Conversations that begin with nearly the same message, for instance one order and the next: one cluster each.

    clusters = Clusters(threshold=0.7)
    for episode in episodes:
        clusters.add(first_message(episode))
    clusters.labels()  # [0, 1, 0, ...]: the third message nearly repeats the first

Two messages belong together if the Jaccard similarity of their word 3-shingles is at least the threshold, or if a chain
of such pairs leads from one to the other. It is estimated with MinHash (Broder, 1997): a pair near the threshold may
fall on either side, by about 0.04. Words are runs of letters and digits: writing without spaces between its words, such
as Chinese, has few, and only its equal clauses are found.
"""

import re
import unicodedata
import zlib
from array import array
from collections.abc import Container
from functools import cache
from hashlib import blake2b

import numpy as np
from datasketch import MinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHINGLE = 3
PERMUTATIONS = 128
SEED = 1
MISSED = 0.01
"""A pair exactly at the threshold may be overlooked this often; more similar pairs are overlooked far less."""

LONGEST = 2_000
CHARACTERS = 20_000
"""What counts of a message: its first words, of its first characters. Someone who pastes a book must not make one
message cost what a thousand others do: a permutation of every shingle is held at once, and normalizing a long run of
combining marks takes the square of its length."""

NEIGHBOURS = 32
"""Members of a bucket that one of them is compared with. Ten thousand messages made from one template may share a
bucket, and comparing all of them takes the square of that; chains of neighbours connect nearly all that is alike."""

FOLLOWING = 8  # columns; with a band they tell neighbours from the rest of a bucket of thousands
PAIRS = 20_000  # compared at once: 20 MB

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")
_BASE = np.uint64(0x9E3779B97F4A7C15)


class Clusters:
    """Messages, fed one by one, and which of them are near-duplicates.

    Keeps a MinHash signature of every different message (512 bytes, 680 with all that belongs to it), not its text.
    """

    def __init__(self, threshold: float):
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold {threshold}: a similarity above 0, at most 1")
        self._threshold = threshold
        self._rows: dict[bytes, int] = {}  # a message's digest: the row of its signature
        self._signatures = bytearray()  # grows in place, and numpy reads it without a copy
        self._row_of = array("q")  # of every message; -1: none

    def add(self, message: str) -> int:
        """Take in a message; its number, counted from 0."""
        return self.add_signed(*signed(message, self._rows))

    def add_signed(self, digest: bytes, signature: bytes) -> int:
        """The same for a message that was `signed` elsewhere."""
        if digest:
            row = self._rows.setdefault(digest, len(self._rows))
            if row * PERMUTATIONS * 4 == len(self._signatures):
                self._signatures += signature
            self._row_of.append(row)
        else:
            # Nothing, an attachment or only emoji: that two conversations begin so does not make them alike.
            self._row_of.append(-1)
        return len(self._row_of) - 1

    def labels(self) -> list[int]:
        """For every message, the smallest number in its cluster: its own if no earlier message is like it."""
        rows = np.array(self._row_of)
        worded = rows >= 0
        clusters = -1 - np.arange(len(rows))
        clusters[worded] = self._clusters()[rows[worded]]
        _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
        return first[inverse].tolist()

    def _clusters(self) -> np.ndarray:
        """The cluster of every signature, numbered anyhow.

        datasketch's MinHashLSH is not used: its dictionaries of sets take 5 kB a message, and its own choice of
        bands overlooks half of the pairs at a threshold of 0.7. Sorting one band at a time takes 0.3 kB, and only here.
        """
        signatures = np.frombuffer(self._signatures, dtype=np.uint32).reshape(-1, PERMUTATIONS)
        digests = np.frombuffer(b"".join(self._rows), dtype=np.uint64)[::2]
        clusters = np.arange(len(signatures))
        for start, width in _bands(self._threshold):
            columns = np.roll(np.arange(PERMUTATIONS), -start)
            keys = _combined(signatures, columns[:width])
            # Rows of a bucket by the columns that follow, so that the most alike are next to each other. The digest
            # is for ties: what is found must not depend on the order in which messages came.
            following = [signatures[:, column] for column in columns[width : width + FOLLOWING]]
            by: list[np.ndarray] = [digests, *reversed(following), keys]  # the last one first
            order = np.lexsort(by)
            keys = keys[order]
            for distance in range(1, NEIGHBOURS + 1):
                bucket = keys[distance:] == keys[:-distance]
                if not bucket.any():
                    break
                a, b = order[:-distance][bucket], order[distance:][bucket]
                clusters = _united(clusters, *self._alike(signatures, a, b, clusters))
        return clusters

    def _alike(self, signatures: np.ndarray, a: np.ndarray, b: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """Of the pairs (a, b) those at or above the threshold, without those that are together already."""
        apart = clusters[a] != clusters[b]
        pairs = np.array([a[apart], b[apart]])
        parts = [pairs[:, n : n + PAIRS] for n in range(0, pairs.shape[1], PAIRS)]
        alike = [(signatures[a] == signatures[b]).mean(axis=1) >= self._threshold for a, b in parts]
        return pairs[:, np.concatenate([np.zeros(0, dtype=bool), *alike])]


def signed(message: str, known: Container[bytes] = ()) -> tuple[bytes, bytes]:
    """A message's digest, empty if it has no words, and its MinHash signature, empty if the digest is `known`."""
    words = _words(message)
    if not words:
        return b"", b""
    digest = blake2b(" ".join(words).encode(), digest_size=16).digest()
    if digest in known:
        return digest, b""
    count = max(1, len(words) - SHINGLE + 1)
    minhash = _minhash()
    minhash.clear()
    minhash.update_batch(" ".join(words[n : n + SHINGLE]).encode() for n in range(count))
    return digest, minhash.hashvalues.tobytes()


@cache
def _minhash() -> MinHash:
    # CRC-32 is the fastest hash at hand and the same in every process; datasketch mixes its bits before use.
    return MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=zlib.crc32, scheme="affine32")


def _words(message: str) -> list[str]:
    text = unicodedata.normalize("NFKC", message[:CHARACTERS]).casefold()
    return _WORD.findall(_DIGITS.sub("0", text))[:LONGEST]


def _bands(threshold: float) -> list[tuple[int, int]]:
    """First column and width of bands of a signature: rows that agree in all of some band are a bucket.

    The wider the bands, the fewer pairs are compared for nothing; as wide as keeps to `MISSED`.
    """
    widths = range(1, PERMUTATIONS + 1)
    width = max((w for w in widths if (1 - threshold**w) ** (PERMUTATIONS // w) <= MISSED), default=1)
    return [(n * width, width) for n in range(PERMUTATIONS // width)]


def _combined(signatures: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """One number for what stands in several columns; if two numbers collide, a pair is compared for nothing."""
    keys = np.zeros(len(signatures), dtype=np.uint64)
    for column in columns:
        keys = keys * _BASE + signatures[:, column]  # wraps around
    return keys


def _united(clusters: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Clusters after those of a[0] and b[0], a[1] and b[1], ... are made one."""
    if not len(a):
        return clusters
    size = len(clusters)
    graph = coo_array((np.ones(len(a), dtype=bool), (clusters[a], clusters[b])), shape=(size, size))
    return connected_components(graph, directed=False)[1][clusters]
