"""How long a decision takes when models work side by side, and what that costs: from the recorded seconds.

    parallel(Seconds(strong, cheap, verdict, words), accepted, tools).seconds / serial(strong, tools).seconds

Three ways to act, on the same recorded answers:

    serial    one model after the other, as every policy's own seconds are
    parallel  the strong model is started at once and cancelled on ACCEPT: a rejection costs no waiting, an acceptance
              the part of the strong model's call that had run by then
    lossless  A, with the cheap model's proposed call executed in advance while the strong model decides, and its result
              kept where that decides the same (only calls that change nothing: `READ_ONLY`). Every action is A's

A call's seconds are its share of a batch. Tools take what they took on the simulators, or what is assumed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from specacts.answering.effects import SameEffect
from specacts.answering.records import Answers, Candidate
from specacts.core.episodes import agrees

READ_ONLY = frozenset({"retrieval", "file_read", "verifier"})
"""Action types whose calls look and change nothing; a repair may be of any tool, so it is not among them."""


class Timed(NamedTuple):
    """A way to act: seconds until each decision's action is done, its tool included, [rows].

    work: seconds that models ran, cancelled work included, [rows].
    """

    seconds: np.ndarray
    work: np.ndarray


class Seconds(NamedTuple):
    """Seconds of each model's call at every decision, [rows], were it called at each: two actions, and a verdict.

    cheap: until its proposal is there. words: what the cheap model goes on to say where it is taken and speaks.
    """

    strong: np.ndarray
    cheap: np.ndarray
    verdict: np.ndarray
    words: np.ndarray


def serial(spent: np.ndarray, tools: np.ndarray) -> Timed:
    """One model after the other. spent: seconds of a policy's calls, catching up on unread context included, [rows]."""
    return Timed(spent + tools, spent)


def parallel(spent: Seconds, accepted: np.ndarray, tools: np.ndarray) -> Timed:
    """A judging policy with the strong model started together with the cheap one: it reads every context in time."""
    judged = spent.cheap + spent.verdict
    waited = np.where(accepted, judged + spent.words, np.maximum(judged, spent.strong))
    ran = np.where(accepted, np.minimum(spent.strong, judged) + spent.words, spent.strong)
    return Timed(waited + tools, judged + ran)


def lossless(spent: Seconds, hits: np.ndarray, tools: np.ndarray) -> Timed:
    """A with the proposed call already under way. hits: whether it is the call that the strong model makes, [rows]."""
    ahead = np.maximum(spent.strong, spent.cheap + tools)
    return Timed(np.where(hits, ahead, spent.strong + tools), spent.strong + spent.cheap)


def hits(rows: Sequence[Answers], guesses: int) -> np.ndarray:
    """Whether one of the first `guesses` proposals is the strong model's call and may run in advance, [rows]."""
    return np.array([any(_same_call(c, row.strong) for c in row.cheap[:guesses]) for row in rows])


def _same_call(proposed: Candidate, taken: Candidate) -> bool:
    """Equal in every argument, whatever rules there are: another call returns something else."""
    if taken.action is None or taken.action.type not in READ_ONLY:
        return False
    return agrees(proposed.action, taken.action.model_copy(update={"compare": {}}), "call")


def read_only_calls(rows: Sequence[Answers]) -> np.ndarray:
    """Whether the strong model makes a call that may be executed in advance, [rows]."""
    return np.array([row.strong.action is not None and row.strong.action.type in READ_ONLY for row in rows])


def tool_seconds(rows: Sequence[Answers], same: Sequence[SameEffect], given: float | None) -> np.ndarray:
    """Seconds of the tool at each decision where a call is due, 0 elsewhere, [rows]: `given`, or as measured.

    Where nothing could be executed (single-turn traces) a call takes the mean of those that were.
    """
    measured = [one.seconds for one in same if one.seconds is not None]
    usual = float(np.mean(measured)) if measured else 0.0
    if given is not None:
        return np.array([given if row.gold.tool else 0.0 for row in rows])
    pairs = zip(rows, same, strict=True)
    return np.array([(usual if one.seconds is None else one.seconds) if row.gold.tool else 0.0 for row, one in pairs])
