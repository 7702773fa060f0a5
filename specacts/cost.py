"""What a policy's calls cost: counted in FLOPs, in measured seconds, and in upstream's fixed figures.

    charged = charges(rows, outcomes, sizes, config.cost.upstream)      # one Charge a decision
    total(charged).flops

Every call that ran is charged, the fallback included. Within a window a model keeps a cache: context it has read and
the tokens of its own action, where that was the one taken. Cached tokens cost attention, not a pass through the
weights; whatever else it missed it reads when it is next called. `flops_no_cache` charges the whole context every
time, for stateless serving.

FLOPs of t tokens through a decoder (multiply and add count as two): 2·body·t, plus 2·head for each next-token
distribution computed, plus 4·layers·attention for each pair of a token and one it attends to (Kaplan et al. 2020,
table 1). Not counted: norms, softmax, embedding look-ups, sampling.

Recorded contexts hold the gold actions. Where a policy took another action, its tokens stand for the gold ones in
the cache; the lengths differ by a few tokens in either direction, also where an executed action is spelled otherwise
than it was proposed (recipe v2).
"""

from collections.abc import Iterable, Sequence
from math import fsum
from typing import NamedTuple

from specacts.answers import Answers, ModelSize
from specacts.config import UpstreamCost
from specacts.policies import ALWAYS, NEVER, Call, Choice, Outcome, choices, score

COST_MODELS = ("flops", "flops_no_cache", "seconds", "upstream")
MARGIN = 1e-6
"""Scores this close, relatively, are one score: numerically different runs of a model differ by up to 1.5e-7."""

Cached = dict[str, tuple[int, int]]
"""What each model has in its cache, by role: the number of the window, and how many of its context tokens."""


class Charge(NamedTuple):
    """What one decision cost, by cost model: FLOPs, seconds, and units of upstream's strong model."""

    flops: float
    flops_no_cache: float
    seconds: float
    upstream: float


class Swept(NamedTuple):
    """A judging policy at one threshold: which decisions it accepts [rows], and what all of them cost."""

    threshold: float
    accepted: tuple[bool, ...]
    charge: Charge


def charges(
    rows: Sequence[Answers], outcomes: Sequence[Outcome], sizes: dict[str, ModelSize], upstream: UpstreamCost
) -> list[Charge]:
    """The charge of each decision. `rows` are in order within an episode; a new window starts with an empty cache."""
    result: list[Charge] = []
    cached: Cached = {}
    episode = None
    for row, outcome in zip(rows, outcomes, strict=True):
        if row.episode != episode:
            episode, cached = row.episode, {}
        charged, cached = step(row, outcome, cached, sizes, upstream)
        result.append(charged)
    return result


def expected_charges(
    rows: Sequence[Answers],
    both: Sequence[Choice],
    rate: float,
    sizes: dict[str, ModelSize],
    upstream: UpstreamCost,
) -> list[Charge]:
    """The expected charge of each decision where a coin accepts with probability `rate`, exactly.

    What a call costs depends on what is cached, hence on earlier tosses: all cache states an episode can be in are
    followed with their probabilities. There are few, because a call makes a model forget its history.
    """
    result: list[Charge] = []
    states: dict[tuple[tuple[str, tuple[int, int]], ...], float] = {}
    episode = None
    for row, choice in zip(rows, both, strict=True):
        if row.episode != episode:
            episode, states = row.episode, {(): 1.0}
        parts, following = [], {}
        for state, probability in states.items():
            for outcome, share in ((choice.accept, rate), (choice.reject, 1 - rate)):
                charged, cached = step(row, outcome, dict(state), sizes, upstream)
                parts.append(Charge(*(probability * share * value for value in charged)))
                key = tuple(sorted(cached.items()))
                following[key] = following.get(key, 0.0) + probability * share
        result.append(total(parts))
        states = following
    return result


def step(
    row: Answers, outcome: Outcome, cached: Cached, sizes: dict[str, ModelSize], upstream: UpstreamCost
) -> tuple[Charge, Cached]:
    """The charge of one decision, and what is cached after it."""
    after, parts = dict(cached), []
    for call in outcome.calls:
        window, held = after.get(call.role, (-1, 0))
        context = row.context[call.role]
        # An action longer than the gold one must not make more of the context cached than there is.
        new = max(0, context - held) if window == row.window[call.role] else context
        after[call.role] = (row.window[call.role], context)
        parts.append(_charge(row, call, new, sizes[call.role], upstream))
    window, held = after[outcome.actor]
    after[outcome.actor] = (window, held + outcome.tokens)
    return total(parts), after


def _charge(row: Answers, call: Call, new: int, size: ModelSize, upstream: UpstreamCost) -> Charge:
    context = row.context[call.role]
    return Charge(
        flops=flops(size, context - new, new, call),
        flops_no_cache=flops(size, 0, context, call),
        seconds=new * row.seconds_per_token[call.role] + call.seconds,
        upstream=price(call, upstream),
    )


def price(call: Call, upstream: UpstreamCost) -> float:
    """Upstream's fixed price of a call."""
    answer = {"strong": upstream.strong, "cheap": upstream.cheap}
    return call.verdicts * upstream.verdict + (call.answers * answer[call.role] if call.answers else 0.0)


def without_fallback(outcome: Outcome, upstream: UpstreamCost) -> float:
    """Upstream's price of a decision where nobody pays for what the strong model does itself: how its table reads."""
    return sum(price(call, upstream) for call in outcome.calls if call.role != "strong" or not call.answers)


def flops(size: ModelSize, cached: int, new: int, call: Call) -> float:
    """FLOPs of one call: `new` context tokens behind `cached` ones, then its branches, each behind all of them."""
    context, own = cached + new, sum(call.branches)
    pairs = new * cached + _triangle(new) + own * context + sum(map(_triangle, call.branches))
    return 2 * size.body * (new + own) + 2 * size.head * call.heads + 4 * size.layers * size.attention * pairs


def _triangle(tokens: int) -> int:
    """Pairs within a causal sequence: each token attends to itself and all before it."""
    return tokens * (tokens + 1) // 2


def total(charged: Iterable[Charge]) -> Charge:
    """The sum of charges, by cost model; of none, zero."""
    zero = Charge(0.0, 0.0, 0.0, 0.0)
    return Charge(*map(fsum, zip(zero, *charged, strict=True)))


def thresholds(scores: Sequence[float]) -> list[float]:
    """One that accepts everything, one between each two distinct neighbours among `scores`, one that accepts nothing.

    Midpoints, to as many digits as it takes, so that no score is within rounding of a threshold. Scores closer than
    `MARGIN` are one score.
    """
    ordered = sorted(scores)
    pairs = zip(ordered, ordered[1:], strict=False)
    return [ALWAYS, *(_between(low, high) for low, high in pairs if high > low * (1 + MARGIN)), NEVER]


def _between(low: float, high: float) -> float:
    """The shortest number in the middle half of (low, high)."""
    middle, reach = (low + high) / 2, (high - low) / 4
    rounded = (float(f"{middle:.{digits}g}") for digits in range(2, 18))
    return next(value for value in rounded if abs(value - middle) <= reach)


def sweep(rows: Sequence[Answers], name: str, sizes: dict[str, ModelSize], upstream: UpstreamCost) -> list[Swept]:
    """Judging policy `name` at every threshold worth trying (`thresholds`), from the lowest up.

    A higher threshold turns some acceptances into rejections and changes the cost of their episodes only: those alone
    are charged anew, which makes the sweep about as dear as charging each episode once a decision.
    """
    both, scores = choices(list(rows), name), [score(row, name) for row in rows]
    episodes: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        episodes.setdefault(row.episode, []).append(number)
    accepted = [True] * len(rows)
    ascending = sorted(range(len(rows)), key=lambda n: scores[n])
    stale, costs, at, result = set(episodes), {}, 0, []
    for threshold in thresholds(scores):
        while at < len(ascending) and scores[ascending[at]] < threshold:
            accepted[ascending[at]] = False
            stale.add(rows[ascending[at]].episode)
            at += 1
        for key in stale:
            members = episodes[key]
            taken = [both[n].accept if accepted[n] else both[n].reject for n in members]
            costs[key] = total(charges([rows[n] for n in members], taken, sizes, upstream))
        stale = set()
        result.append(Swept(threshold, tuple(accepted), total(costs.values())))
    return result
