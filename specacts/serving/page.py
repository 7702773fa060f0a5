"""The gateway's page: how much the cheap model takes, what that saves, and whether the promise holds.

    page(Shown(policy="F", mode="enforce", …, watch=watch.status(now), last=latest))      # HTML

One text without a script and without anything from elsewhere; it asks for itself again every few seconds. It shows
words of ours and numbers, never text of a conversation.
"""

import math
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from specacts.config import Price
from specacts.policies.table import POLICIES
from specacts.serving.journal import Counts
from specacts.serving.watch import Status

TEMPLATES = Path(__file__).parent / "templates"
LAST = 20
"""Decisions that are listed."""


class Last(NamedTuple):
    """A decision. at: seconds since 1970. type: of the proposed action. by: who acted. reason: a word of ours."""

    at: float
    type: str | None
    by: str
    score: float | None
    threshold: float | None
    reason: str | None


class Shown(NamedTuple):
    """What the page shows.

    share: of conversations, 0 to 1, in which the cheap model may act. started, now: seconds since 1970. requests: all.
    decisions: those that a policy could decide about; taken: those of them that the cheap model took (observing: would
    have). passed: requests that were not understood. failed: decisions at which the cheap model was slow or broke down.
    saved: money; None where it is not counted. last: the latest decisions, the newest first.
    """

    policy: str
    mode: Literal["observe", "enforce"]
    share: float
    started: float
    now: float
    requests: int
    decisions: int
    taken: int
    passed: int
    failed: int
    saved: float | None
    currency: str
    watch: Status | None
    last: Sequence[Last]
    journal: Counts | None


def page(shown: Shown) -> str:
    """The page as HTML."""
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            shown=shown,
            title=POLICIES[shown.policy].title,
            status=shown.watch,
            state=state(shown),
            says=says(shown),
            scale=scale(shown.watch),
            evidence=evidence(shown.watch),
            last=list(shown.last)[:LAST],
        )
    )


def state(shown: Shown) -> str:
    """How the page is coloured: `stopped`, `observe`, `unwatched` or `well`."""
    if shown.watch is not None and shown.watch.stopped is not None:
        return "stopped"
    if shown.mode == "observe":
        return "observe"
    return "unwatched" if shown.watch is None or shown.watch.limit is None else "well"


def says(shown: Shown) -> str:
    """How things are, in a sentence."""
    status = shown.watch
    if status is not None and status.stopped is not None:
        return (
            f"Stopped since {moment(status.stopped)}: more is lost than was promised, so upstream takes every action. "
            "It stays so until a person starts it with --trust-again."
        )
    if shown.mode == "observe":
        return "Observing: upstream takes every action, and what the cheap model would have done is compared with it."
    where = "in every conversation" if shown.share >= 1 else f"in {percent(shown.share)} of conversations"
    acting = f"The cheap model acts {where} when the policy allows it"
    if status is None or status.limit is None:
        return f"{acting}. This policy has no promise: the loss is estimated, and nothing stops it."
    if not status.audited:
        return f"{acting}. Nothing has been audited yet."
    return f"{acting}. So far the evidence against the promise is no more than chance can explain."


class Scale(NamedTuple):
    """Where the estimate, its interval and the limit lie on a line, as shares of it in percent; most: its end."""

    value: float | None
    low: float
    high: float
    limit: float | None
    most: float


def scale(status: Status | None) -> Scale | None:
    """The line on which the running loss is drawn: from 0 to a round number beyond what matters."""
    if status is None or not math.isfinite(status.estimate.value):
        return None
    value, low, high = status.estimate
    least = max(high * 1.1, (status.limit or 0) * 1.5, 0.02)
    most = next(end for end in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, math.inf) if end >= least)
    most = min(most, 1.0)

    def at(share: float) -> float:
        return 100 * min(1.0, share / most)

    limit = None if status.limit is None else at(status.limit)
    return Scale(at(value), at(low), at(high), limit, most)


def evidence(status: Status | None) -> float | None:
    """How far the bet against the promise is, in percent of what stops the policy; None where nothing is promised."""
    if status is None or status.limit is None:
        return None
    return 100 * min(1.0, status.evidence / status.needed)


def spent(price: Price, read: float, cached: float, written: float) -> float:
    """Money for so many tokens: read, read from a cache, written."""
    return (read * price.input + cached * price.cached_input + written * price.output) / 1e6


# -- words ----------------------------------------------------------------------------------------------------


def percent(share: float | None) -> str:
    """A share as people read it; more exactly where it is small."""
    if share is None or not math.isfinite(share):
        return "–"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def money(amount: float) -> str:
    """An amount with as many digits as tell something."""
    return f"{amount:,.2f}" if abs(amount) >= 1 or not amount else f"{amount:.4f}"


def moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at))


def ago(seconds: float) -> str:
    """How long something has lasted.

    >>> ago(42), ago(3_700), ago(200_000)
    ('42 s', '1 h', '2 days')
    """
    for size, unit in ((86_400, " days"), (3_600, " h"), (60, " min")):
        if seconds >= (2 if unit == " days" else 1) * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))} s"


def worded(word: Any) -> str:
    """A word of ours as one of English."""
    return "–" if word is None else str(word).replace("_", " ")


def number(value: Any) -> str:
    """A score; a threshold by action type is none."""
    return f"{value:.3f}" if isinstance(value, int | float) and math.isfinite(value) else "–"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter in (percent, money, moment, clock, ago, worded, number):
        made.filters[filter.__name__] = filter
    return made
