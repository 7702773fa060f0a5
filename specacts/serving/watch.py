"""The promise, watched on live traffic: a bet that wins when more is lost than was promised, and how much is lost.

    watch = load(folder / "watch.json", terms, at=now)          # evidence outlives a restart
    watch.tell(conversation, now, accepted, rate, audit)         # one decision; True: the watch stopped with it
    watch.stopped                                                # since when nothing may be accepted; None: all is well
    watch.status(now).estimate                                   # loss per decision of conversations that have ended
    save(folder / "watch.json", watch.state())

A decision is lost where the cheap model's action was accepted and upstream would have acted otherwise. Upstream is only
asked about a random share of what is accepted, the rate, so a loss that is seen stands for 1 / rate of them.

What is watched is what was promised (policies/guarantee.py): the loss per decision, of which conversations, drawn
independently, count with at most `most_counted`; decisions inside one depend on each other in any way. So a gambler
bets conversation by conversation, in the order in which they began, that more than the limit is lost. If that is not so
his capital is a nonnegative supermartingale, and ever multiplies by 1 / delta with probability at most delta (Ville):
then the watch stops. What a conversation adds to a stake s is s * (its loss - limit * its weight), whose mean is not
above 0 as long as the promise holds. His capital is shared out among fixed stakes (Waudby-Smith and Ramdas 2023, arXiv
2010.09686, "diversified Kelly betting"; for monitoring with such bets Podkopaev and Ramdas 2021, arXiv 2110.06177), so
it does not matter which stake would have been best, and a product over conversations has no order: one that is still
open counts as if nothing more were lost in it, the worst for the gambler, and holds nobody back.

The estimate's interval is a confidence sequence: with 95 % it holds at all times at once, whenever one looks. Its lower
end is where the same bet is won; its upper end is where the opposite one is, against a loss of at least m. There a
conversation is worth (1 - c) ** v + m * weight * (1 - (1 - c * rate) ** most_counted) to a stake c in (0, 1), v being
its losses that were seen, of weight most_counted / decisions in long ones. Audits are drawn independently, so the first
term's mean is at most (1 - c * rate) ** (what was lost), which is convex in that, so below its chord from 0 to
most_counted: the mean of both is at most 1. Without that step a conversation could only count as one audit.

An audit may say nothing: upstream failed, or said what is no action to go by. Which audits do need not be chance, so
each bet takes what is worse for itself: no loss where it bets on more, a loss where it bets on less. The estimate
itself takes such audits to be like the others.

A conversation ends when it has been idle for `idle` seconds, or is `oldest` seconds old; what comes later is not
watched, nor what comes at a lower rate than it began with.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError, field_validator

from specacts.core.errors import UserError
from specacts.core.files import read_json, write_exact_json
from specacts.core.results import Estimate, Result

Audit = Literal["agrees", "differs", "unknown"]
"""What upstream would have done, beside an accepted action; unknown where it said nothing to compare."""

ERROR = 0.05
"""The confidence sequence misses the loss at some time with at most this probability."""
STAKES = 9
"""Among so many the gambler's capital is shared out: from `LOWEST`, by equal ratios, to half of 1 / limit."""
LOWEST = 0.01
BELOW = np.array((0.01, 0.02, 0.05, 0.12, 0.3, 0.6, 0.95))
"""Stakes of the bet that less is lost."""
REFERENCE = 0.1
"""Stakes are chosen as for this limit where nothing is promised."""
REMEMBERED = 100_000
"""Conversations that are known to have ended, so that they do not count again; `KEPT` of them outlive a restart."""
KEPT = 2_000


class Terms(Result):
    """What is watched. promise: what tells this promise from others; with another one evidence begins afresh.

    limit: what may be lost of a decision; None: nothing is promised, and the watch estimates but never stops.
    confidence: of the promise, 1 - delta. idle, oldest: seconds (the module's docstring).
    """

    promise: str
    limit: Annotated[float, Field(gt=0, lt=1)] | None
    confidence: Annotated[float, Field(gt=0, lt=1)]
    most_counted: Annotated[int, Field(ge=1)]
    idle: Annotated[float, Field(gt=0)] = 900.0
    oldest: Annotated[float, Field(gt=0)] = 4 * 3600.0

    @property
    def needed(self) -> float:
        """The log of the capital at which the watch stops."""
        return -math.log1p(-self.confidence)

    @property
    def reference(self) -> float:
        return REFERENCE if self.limit is None else self.limit

    def promises_as(self, other: "Terms") -> bool:
        return all(
            getattr(self, name) == getattr(other, name) for name in ("promise", "limit", "confidence", "most_counted")
        )


class Status(NamedTuple):
    """What is known at a time.

    decisions, accepted, audited, differing, unknown: of all conversations, those open included; differing and unknown
    are of those audited. conversations: that have ended; estimate: their loss per decision. open: conversations that go
    on. late: decisions that came after their conversation's end. evidence: the natural log of the highest capital so
    far; the watch stops at `needed`. stopped: since when, in seconds since 1970.
    """

    decisions: int
    accepted: int
    audited: int
    differing: int
    unknown: int
    conversations: int
    open: int
    late: int
    estimate: Estimate
    limit: float | None
    evidence: float
    needed: float
    stopped: float | None


# -- bets -----------------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What was seen of conversations, arrays of one shape [...].

    rate: the audit rate. decisions: how many there were. differing: accepted ones that upstream would have decided
    otherwise, as far as it was asked. lost: those again, each by 1 / its rate. unknown: audits that said nothing.
    """

    rate: np.ndarray
    decisions: np.ndarray
    differing: np.ndarray
    lost: np.ndarray
    unknown: np.ndarray

    def weight(self, most: int) -> np.ndarray:
        """Of each conversation; 1 for one of at least `most` decisions: [...]."""
        return np.minimum(self.decisions, most) / most

    def loss(self, most: int) -> np.ndarray:
        """The estimated loss of each conversation's decisions, times its weight: [...]."""
        return self.lost / self.decisions * self.weight(most)


def log_above(seen: Seen, limit: float, most: int, reference: float) -> np.ndarray:
    """The log of what each conversation multiplies each stake's capital by, betting on a larger loss: [..., STAKES].

    reference: the limit for which stakes are chosen. Below 1 / limit, whatever is seen, capital stays positive.
    """
    stakes = LOWEST * (0.5 / reference / LOWEST) ** (np.arange(STAKES) / (STAKES - 1))
    excess = seen.loss(most) - limit * seen.weight(most)
    return np.log1p(np.minimum(stakes, 0.9 / limit) * excess[..., None])


def log_below(seen: Seen, limit: float, most: int) -> np.ndarray:
    """The same, betting on a smaller loss than `limit`: [..., len(BELOW)]."""
    counted = (seen.differing + seen.unknown) * np.minimum(1.0, most / seen.decisions)
    gain = 1 - (1 - BELOW * seen.rate[..., None]) ** most
    return np.log((1 - BELOW) ** counted[..., None] + limit * seen.weight(most)[..., None] * gain)


def log_capital(logs: np.ndarray) -> np.ndarray:
    """The log of the mean over the last axis, in which stakes' logs of capital stand: [..., stakes] to [...]."""
    highest = logs.max(axis=-1)
    return highest + np.log(np.exp(logs - highest[..., None]).mean(axis=-1))


def interval(seen: Seen, times: np.ndarray, most: int, reference: float) -> tuple[float, float]:
    """The confidence sequence's ends after conversations of these kinds, so many `times` each: [kinds]."""
    won = math.log(2 / ERROR)

    def above(limit: float) -> bool:
        return float(log_capital(times @ log_above(seen, limit, most, reference))) >= won

    def below(limit: float) -> bool:
        return float(log_capital(times @ log_below(seen, limit, most))) >= won

    low = _turn(above) if above(1e-9) else 0.0
    return low, _turn(lambda limit: not below(limit)) if below(1.0) else 1.0


def _turn(holds: Callable[[float], bool]) -> float:
    """Where in [0, 1] that ceases to hold which holds near 0 and not near 1."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


# -- conversations --------------------------------------------------------------------------------------------


class Talk(Result):
    """A conversation since the first that is still open. began, last: seconds since 1970. Otherwise as in `Seen`."""

    began: float
    last: float
    rate: float
    ended: bool = False
    decisions: int = 0
    differing: int = 0
    lost: float = 0.0
    unknown: int = 0
    audited: int = 0


class Stop(Result):
    """When the watch stopped, and when a person trusted the policy again."""

    stopped: float
    trusted: float


class State(Result):
    """The watch's file. began: seconds since 1970. peak: log of the highest capital. before: what was trusted again.

    settled: conversations that ended, and began before all that are open, as kinds: what `Seen` holds of one, and how
    many there are. settled_audited: audits in them. talks: all others by the digest of their name, as they began.
    ended: digests of the latest that are settled.
    """

    terms: Terms
    began: float
    stopped: float | None = None
    peak: float = 0.0
    decisions: int = 0
    accepted: int = 0
    audited: int = 0
    differing: int = 0
    unknown: int = 0
    late: int = 0
    settled: tuple[tuple[float, int, int, float, int, int], ...] = ()
    settled_audited: int = 0
    talks: dict[str, Talk] = {}
    ended: tuple[str, ...] = ()
    before: tuple[Stop, ...] = ()

    @field_validator("settled", mode="before")
    @classmethod
    def _of_earlier_files(cls, kinds: object) -> object:
        """Files of version 0.2 say nothing of `unknown`."""
        if not isinstance(kinds, list):
            return kinds
        return [[*kind[:4], 0, kind[4]] if isinstance(kind, list) and len(kind) == 5 else kind for kind in kinds]


class Watch:
    """The watch over one gateway's promise. Not for several threads at once; reads no clock and no file."""

    def __init__(self, state: State):
        self.terms = state.terms
        self.stopped = state.stopped
        self._began, self._peak, self._before = state.began, state.peak, state.before
        self._counts = Counter({name: getattr(state, name) for name in COUNTED})
        self._settled = Counter({kind[:-1]: kind[-1] for kind in state.settled})
        self._audited = state.settled_audited
        self._talks: dict[str, Talk] = dict(state.talks)
        self._ended = dict.fromkeys(state.ended)
        self._due = -math.inf  # nothing ends before
        self._logs = np.zeros(STAKES)
        self._interval: tuple[float, float] | None = None
        if self.terms.limit is not None and self._settled:
            seen, times = self._kinds()
            self._logs = times @ log_above(seen, self.terms.limit, self.terms.most_counted, self.terms.reference)

    def tell(self, conversation: str, at: float, accepted: bool, rate: float, audit: Audit | None = None) -> bool:
        """Count a decision; whether the watch stopped because of it.

        at: seconds since 1970. accepted: whether the cheap model's action was taken; where it only observes, would have
        been. rate: the probability, above 0, with which an accepted decision is audited at this time. audit: what came
        of that; None without one.
        """
        if not 0 < rate <= 1:
            raise ValueError(f"rate is {rate}, not a probability above 0")
        stops = self._end(at)
        audit = audit if accepted else None
        seen_lost = audit == "differs"
        self._counts["decisions"] += 1
        self._counts["accepted"] += accepted
        self._counts["audited"] += audit is not None
        self._counts["differing"] += seen_lost
        self._counts["unknown"] += audit == "unknown"
        key = hashlib.blake2b(conversation.encode("utf-8", "replace"), digest_size=8).hexdigest()
        talk = self._talks.get(key) or Talk(began=at, last=at, rate=rate)
        if key in self._ended or talk.ended or at >= self._over(talk) or rate < talk.rate:
            self._counts["late"] += 1
            if key in self._talks:
                self._talks[key], self._due = talk.model_copy(update={"ended": True}), at
                stops = (not talk.ended and talk.lost > 0 and self._bet(at)) or stops
        else:
            more: dict[str, Any] = {"last": max(at, talk.last), "decisions": talk.decisions + 1}
            if seen_lost:
                more |= {"differing": talk.differing + 1, "lost": talk.lost + 1 / rate}
            elif audit == "unknown":
                more |= {"unknown": talk.unknown + 1}
            more |= {"audited": talk.audited + (audit is not None)}
            self._talks[key] = talk.model_copy(update=more)
            self._due = min(self._due, at + min(self.terms.idle, self.terms.oldest))
        return (seen_lost and self._bet(at)) or stops

    def status(self, at: float) -> Status:
        """What is known at a time."""
        self._end(at)
        counts = {name: self._counts[name] for name in COUNTED}
        return Status(
            **counts,
            conversations=self._settled.total(),
            open=sum(not talk.ended for talk in self._talks.values()),
            estimate=self._estimate(),
            limit=self.terms.limit,
            evidence=self._peak,
            needed=self.terms.needed,
            stopped=self.stopped,
        )

    def state(self) -> State:
        """Everything that a restart goes on with."""
        return State(
            terms=self.terms,
            began=self._began,
            stopped=self.stopped,
            peak=self._peak,
            **{name: self._counts[name] for name in COUNTED},
            settled=tuple((*kind, times) for kind, times in self._settled.items()),
            settled_audited=self._audited,
            talks=dict(self._talks),
            ended=tuple(self._ended)[-KEPT:],
            before=self._before,
        )

    def _end(self, at: float) -> bool:
        """End conversations whose time is over, and settle those before all that are open; whether the watch stops."""
        if at < self._due:
            return False
        due, lost = math.inf, False
        for key, talk in self._talks.items():
            if not talk.ended and at >= self._over(talk):
                self._talks[key] = talk.model_copy(update={"ended": True})
                lost = lost or talk.lost > 0
            elif not talk.ended:
                due = min(due, self._over(talk))
        self._due = max(due, at + self.terms.idle / 100)  # looking at all of them takes a while
        stops = lost and self._bet(at)  # without a loss it can wait
        while self._talks and (first := next(iter(self._talks.items())))[1].ended:
            self._settle(*first)
        return stops

    def _over(self, talk: Talk) -> float:
        """From when on nothing more counts of a conversation that says no more."""
        return min(talk.last + self.terms.idle, talk.began + self.terms.oldest)

    def _settle(self, key: str, talk: Talk) -> None:
        del self._talks[key]
        self._ended[key] = None
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self._settled[talk.rate, talk.decisions, talk.differing, talk.lost, talk.unknown] += 1
        self._audited += talk.audited
        self._interval = None
        if self.terms.limit is not None:
            self._logs = self._logs + self._added([talk])[0]

    def _added(self, talks: list[Talk]) -> np.ndarray:
        """What conversations add to the logs of the stakes' capitals, at the least: [talks, STAKES]."""
        assert self.terms.limit is not None
        seen = Seen(*np.array([(t.rate, t.decisions, t.differing, t.lost, t.unknown) for t in talks]).T)
        added = log_above(seen, self.terms.limit, self.terms.most_counted, self.terms.reference)
        open_ = np.array([not talk.ended for talk in talks])
        nothing = seen._replace(decisions=np.full(len(talks), self.terms.most_counted), lost=np.zeros(len(talks)))
        lowest = log_above(nothing, self.terms.limit, self.terms.most_counted, self.terms.reference)
        return np.where(open_[:, None], lowest, added)

    def _bet(self, at: float) -> bool:
        """Look at the capital after each conversation; whether the watch stops now."""
        if self.terms.limit is None:
            return False
        logs = self._logs[None]
        if self._talks:
            logs = np.vstack([logs, logs + np.cumsum(self._added(list(self._talks.values())), axis=0)])
        self._peak = max(self._peak, float(log_capital(logs).max()))
        if self.stopped is not None or self._peak < self.terms.needed:
            return False
        self.stopped = at
        return True

    def _kinds(self) -> tuple[Seen, np.ndarray]:
        """The settled conversations' kinds, and how many there are of each: [kinds]."""
        return Seen(*np.array(list(self._settled), dtype=float).T), np.array(list(self._settled.values()), dtype=float)

    def _estimate(self) -> Estimate:
        """The loss per decision of the settled conversations, with its confidence sequence."""
        if not self._settled:
            return Estimate(math.nan, 0.0, 1.0)
        seen, times = self._kinds()
        most = self.terms.most_counted
        if self._interval is None:
            self._interval = interval(seen, times, most, self.terms.reference)
        value, (low, high) = float(times @ seen.loss(most) / (times @ seen.weight(most))), self._interval
        unknown = float(times @ seen.unknown)
        known = self._audited - unknown
        if unknown:
            value = min(value * self._audited / known, high) if known > 0 else math.nan
        return Estimate(value, low, high)


COUNTED = ("decisions", "accepted", "audited", "differing", "unknown", "late")


# -- the file -------------------------------------------------------------------------------------------------


def load(path: Path, terms: Terms, at: float) -> Watch:
    """The watch as its file has it; a fresh one where there is none. Raises `UserError` where the file is damaged.

    Where the file is about another promise, evidence begins afresh; a stop stays a stop.
    """
    if not path.exists():
        return Watch(State(terms=terms, began=at))
    state = _state(path)
    if state.terms.promises_as(terms):
        return Watch(state.model_copy(update={"terms": terms}))
    return Watch(State(terms=terms, began=at, stopped=state.stopped, before=state.before))


def save(path: Path, state: State) -> None:
    """Write the file in one step."""
    write_exact_json(path, state.model_dump(mode="json"))


def trust_again(path: Path, at: float) -> None:
    """Let a policy that was stopped act again; evidence begins afresh. Raises `UserError` where nothing was stopped."""
    state = _state(path) if path.exists() else None
    if state is None or state.stopped is None:
        raise UserError(f"{path}: the cheap model was not stopped, so there is nothing to trust again")
    before = (*state.before, Stop(stopped=state.stopped, trusted=at))
    save(path, State(terms=state.terms, began=at, before=before))


def _state(path: Path) -> State:
    advice = "it says whether the promise was found broken; restore it, or remove it to begin afresh"
    try:
        return State.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "(top level)"
        raise UserError(f"{path}: {field}: {first['msg']}; {advice}") from error
    except UserError as error:
        raise UserError(f"{error}; {advice}") from error
