"""What a policy's calls cost: in FLOPs, in measured seconds, in money, and in upstream's fixed figures.

    tariff = Tariff(sizes, config.prices, config.cost.upstream)
    charged = charges(rows, outcomes, tariff)      # one Charge a decision
    total(charged).flops

Every call that ran is charged, the fallback included. Within a window a model keeps a cache: context it has read and
the tokens of its own action, where that was the one taken. Cached tokens cost attention, not a pass through the
weights; whatever else it missed it reads when it is next called. `flops_no_cache` is for stateless serving: each
request reads the whole context. What one model does at one decision is one request: a strong model that judged a
proposal, and then acts itself, has the context before it.

Where traces say what a recorded model's provider had cached (`cached`), that is what it finds if it acted at the
decision before too, as it did then: A costs what they say. After a gap it finds what it had read by then, and no more
than they say; so does what they say of a conversation's first decision (a beginning shared with others) stay cached.

FLOPs of t tokens through a decoder (multiply and add count as two): 2·body·t, plus 2·head for each next-token
distribution computed, plus 4·layers·attention for each pair of a token and one it attends to (Kaplan et al. 2020,
table 1). Not counted: norms, softmax, embedding look-ups, sampling. Money is tokens times a price table's: read anew,
cached, or generated.

Recorded contexts hold the gold actions. Where a policy took another action, its tokens stand for the gold ones in
the cache; the lengths differ by a few tokens in either direction, also where an executed action is spelled otherwise
than it was proposed (recipe v2).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum, isnan, nan
from typing import NamedTuple, Protocol

from specacts.config import Prices, UpstreamCost
from specacts.core.words import Role
from specacts.models.sizes import ModelSize
from specacts.policies.cases import Case, Side
from specacts.policies.decide import ALWAYS, NEVER, TIE, Call, Outcome

COST_MODELS = ("flops", "flops_no_cache", "seconds", "money", "upstream")
UNKNOWN = (nan, nan, nan)
"""FLOPs of a model that does not run here."""
PARTS = ("new", "cached", "generated")
"""What tokens are to a call: read for the first time (context and what is judged), read before, or its own."""
MARGIN = 5 * TIE
"""Scores this close, counted like `TIE`, are one score: a threshold between two others lies further from both."""


class Held(NamedTuple):
    """What a model has in its cache: of which window, how many context tokens. decision: where it was last called."""

    window: int
    tokens: int
    decision: int


Cached = dict[Role, Held]
"""By role; without the models that were not called yet."""
State = tuple[tuple[Role, Held], ...]
"""The same, to be counted."""


class Place(Protocol):
    """Where a decision stands, and what reading takes there: a recorded row (`records.Answers`), or one at work."""

    @property
    def episode(self) -> str: ...
    @property
    def decision(self) -> int: ...
    @property
    def window(self) -> Mapping[Role, int]: ...
    @property
    def context(self) -> Mapping[Role, int]: ...
    @property
    def seconds_per_token(self) -> Mapping[Role, float]: ...
    @property
    def cached(self) -> Mapping[Role, int]: ...


class Tariff(NamedTuple):
    """What calls are charged by: each model's size by role, the price table, upstream's fixed figures."""

    sizes: Mapping[Role, ModelSize]
    prices: Prices
    upstream: UpstreamCost


class Charge(NamedTuple):
    """What one decision cost, by cost model: FLOPs, seconds, the price table's currency, upstream's strong models.

    Then the same FLOPs in parts (attending to cached tokens is all that those cost), and the tokens of each part.
    """

    flops: float
    flops_no_cache: float
    seconds: float
    money: float
    upstream: float
    new_flops: float
    cached_flops: float
    generated_flops: float
    new_tokens: float
    cached_tokens: float
    generated_tokens: float


NOTHING = Charge(*(0.0 for _ in Charge._fields))


class Swept(NamedTuple):
    """A judging policy at one threshold: which decisions it accepts [rows], what all and what each episode's cost."""

    threshold: float
    accepted: tuple[bool, ...]
    charge: Charge
    by_episode: dict[str, Charge]


def charges(rows: Sequence[Place], outcomes: Sequence[Outcome], tariff: Tariff) -> list[Charge]:
    """The charge of each decision. `rows` are in order within an episode; a new window starts with an empty cache."""
    result: list[Charge] = []
    cached: Cached = {}
    episode = None
    for row, outcome in zip(rows, outcomes, strict=True):
        if row.episode != episode:
            episode, cached = row.episode, beginning(row)
        charged, cached = step(row, outcome, cached, tariff)
        result.append(charged)
    return result


def expected_charges(rows: Sequence[Place], sides: Sequence[Side], rate: float, tariff: Tariff) -> list[Charge]:
    """The expected charge of each decision where a coin accepts with probability `rate`, exactly.

    What a call costs depends on what is cached, hence on earlier tosses: all cache states an episode can be in are
    followed with their probabilities. There are few, because a call makes a model forget its history.
    """
    result: list[Charge] = []
    states: dict[State, float] = {}
    episode = None
    for row, side in zip(rows, sides, strict=True):
        if row.episode != episode:
            episode, states = row.episode, {state_of(beginning(row)): 1.0}
        parts: list[Charge] = []
        following: dict[State, float] = {}
        for state, probability in states.items():
            for outcome, share in ((side.accept, rate), (side.reject, 1 - rate)):
                charged, cached = step(row, outcome, dict(state), tariff)
                parts.append(Charge(*(probability * share * value for value in charged)))
                key = state_of(cached)
                following[key] = following.get(key, 0.0) + probability * share
        result.append(total(parts))
        states = following
    return result


def beginning(row: Place) -> Cached:
    """What is cached before an episode's first decision, `row`: what traces say, whoever acts there."""
    return {role: Held(row.window[role], tokens, row.decision - 1) for role, tokens in row.cached.items()}


def state_of(cached: Cached) -> State:
    return tuple(sorted(cached.items()))


def step(row: Place, outcome: Outcome, cached: Cached, tariff: Tariff) -> tuple[Charge, Cached]:
    """The charge of one decision, and what is cached after it."""
    parts, after = itemized(row, outcome, cached, tariff)
    return total(parts), after


def itemized(row: Place, outcome: Outcome, cached: Cached, tariff: Tariff) -> tuple[list[Charge], Cached]:
    """The charge of each of a decision's calls, in their order, and what is cached after them."""
    new, after = _readings(row, outcome, cached)
    roles = [call.role for call in outcome.calls]
    opens = [role not in roles[:number] for number, role in enumerate(roles)]
    both = zip(outcome.calls, new, opens, strict=True)
    return [_charge(row, call, tokens, first, tariff) for call, tokens, first in both], after


def _readings(row: Place, outcome: Outcome, cached: Cached) -> tuple[list[int], Cached]:
    """The context tokens that each of a decision's calls reads anew, and what is cached after them."""
    after, new = dict(cached), []
    for call in outcome.calls:
        context = row.context[call.role]
        new.append(context - _found(row, call.role, after.get(call.role)))
        after[call.role] = Held(row.window[call.role], context, row.decision)
    window, tokens, decision = after[outcome.actor]
    after[outcome.actor] = Held(window, tokens + outcome.tokens, decision)
    return new, after


def _found(row: Place, role: Role, held: Held | None) -> int:
    """How many of the context's tokens a model finds in its cache."""
    # An action longer than the gold one must not make more of the context cached than there is.
    own = min(row.context[role], held.tokens) if held and held.window == row.window[role] else 0
    said = row.cached.get(role)
    if said is None or (held and held.decision == row.decision):  # what it read a moment ago it has
        return own
    return said if held and held.decision == row.decision - 1 else min(own, said)


def hopped(rows: Sequence[Place], outcomes: Sequence[Outcome], alone: Sequence[Outcome]) -> list[int]:
    """Context tokens that the strong model reads anew at each decision only because others acted before, [rows].

    alone: what A does: tokens that it reads anew at the same decision are not counted.
    """
    both = zip(_read_anew(rows, outcomes), _read_anew(rows, alone), strict=True)
    return [max(0, mine["strong"] - its["strong"]) if "strong" in mine else 0 for mine, its in both]


def _read_anew(rows: Sequence[Place], outcomes: Sequence[Outcome]) -> list[dict[Role, int]]:
    """Context tokens that each model that is called reads anew at each decision."""
    result: list[dict[Role, int]] = []
    cached: Cached = {}
    episode = None
    for row, outcome in zip(rows, outcomes, strict=True):
        if row.episode != episode:
            episode, cached = row.episode, beginning(row)
        new, cached = _readings(row, outcome, cached)
        read: dict[Role, int] = {}
        for call, tokens in zip(outcome.calls, new, strict=True):
            read[call.role] = read.get(call.role, 0) + tokens
        result.append(read)
    return result


def _charge(row: Place, call: Call, new: int, opens: bool, tariff: Tariff) -> Charge:
    """opens: whether a request begins with the call. Without a cache that reads the context, and the call that goes on
    with it (C's strong model, which judged and now acts) only attends to it."""
    context, own = row.context[call.role], sum(call.branches)
    read = context if opens else 0
    size, rate = tariff.sizes.get(call.role), getattr(tariff.prices, call.role)
    reading, looking_back, answering = parts = flops(size, context - new, new, call) if size else UNKNOWN
    no_cache = parts if read == new or not size else flops(size, context - read, read, call)
    made = own if call.answers else 0  # what is judged is read, not generated
    anew, found = new + own - made, context - new
    return Charge(
        flops=fsum(parts),
        flops_no_cache=fsum(no_cache),
        seconds=new * row.seconds_per_token.get(call.role, nan) + call.seconds,
        money=fsum((anew * rate.input, found * rate.cached_input, made * rate.output)) / 1e6,
        upstream=price(call, tariff.upstream),
        new_flops=reading,
        cached_flops=looking_back,
        generated_flops=answering,
        new_tokens=float(anew),
        cached_tokens=float(found),
        generated_tokens=float(made),
    )


def price(call: Call, upstream: UpstreamCost) -> float:
    """Upstream's fixed price of a call; NaN where the verifier's model acts, which upstream's does not."""
    answer = {"strong": upstream.strong, "cheap": upstream.cheap, "verifier": nan}
    return call.verdicts * upstream.verdict + (call.answers * answer[call.role] if call.answers else 0.0)


def without_fallback(outcome: Outcome, upstream: UpstreamCost) -> float:
    """Upstream's price of a decision where nobody pays for what the strong model does itself: how its table reads."""
    return sum(price(call, upstream) for call in outcome.calls if call.role != "strong" or not call.answers)


def flops(size: ModelSize, cached: int, new: int, call: Call) -> tuple[float, float, float]:
    """FLOPs of one call by `PARTS`: `new` context tokens behind `cached` ones, then its branches behind all of them."""
    own, pair = sum(call.branches), 4 * size.layers * size.attention
    reading = 2 * size.body * new + pair * _triangle(new)
    answering = 2 * size.body * own + 2 * size.head * call.heads
    answering += pair * (own * new + sum(map(_triangle, call.branches)))
    looking_back = pair * cached * (new + own)
    if call.answers:
        return reading, looking_back, answering
    return reading + answering, looking_back, 0


def _triangle(tokens: int) -> int:
    """Pairs within a causal sequence: each token attends to itself and all before it."""
    return tokens * (tokens + 1) // 2


def counted(charged: Sequence[Charge]) -> tuple[str, ...]:
    """The cost models that say something of every charge: of a strong model that does not run here, the last two."""
    whole = total(charged)
    return tuple(model for model in COST_MODELS if not isnan(getattr(whole, model)))


def total(charged: Iterable[Charge]) -> Charge:
    """The sum of charges, by cost model; of none, zero."""
    return Charge(*map(fsum, zip(NOTHING, *charged, strict=True)))


def thresholds(scores: Sequence[float]) -> list[float]:
    """One that accepts everything, one between each two distinct neighbours among `scores`, one that accepts nothing.

    Midpoints, to as many digits as it takes, so that no score is within rounding of a threshold. Scores closer than
    `MARGIN` are one score.
    """
    ordered = sorted(scores)
    pairs = zip(ordered, ordered[1:], strict=False)
    apart = [(low, high) for low, high in pairs if high - low > MARGIN * min(high, 1 - low)]
    return [ALWAYS, *(_between(low, high) for low, high in apart), NEVER]


def _between(low: float, high: float) -> float:
    """The shortest number in the middle half of (low, high)."""
    middle, reach = (low + high) / 2, (high - low) / 4
    rounded = (float(f"{middle:.{digits}g}") for digits in range(2, 18))
    return next(value for value in rounded if abs(value - middle) <= reach)


def sweep(cases: Sequence[Case], name: str, tariff: Tariff) -> list[Swept]:
    """Judging policy `name` at every threshold worth trying (`thresholds`), from the lowest up.

    A higher threshold turns some acceptances into rejections and changes the cost of their episodes only: those alone
    are charged again, and none of their decisions where the same was done before with the same cached.
    """
    return swept([case.row for case in cases], [case.sides[name] for case in cases], tariff)


def swept(rows: Sequence[Place], sides: Sequence[Side], tariff: Tariff) -> list[Swept]:
    """The same of any sides, one a row."""
    scores = [side.score for side in sides]
    episodes: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        episodes.setdefault(row.episode, []).append(number)
    known: dict[tuple[int, int, State], tuple[Charge, State]] = {}

    def charged(members: Sequence[int], taken: Sequence[Outcome]) -> Iterator[Charge]:
        state = state_of(beginning(rows[members[0]]))
        for n, outcome in zip(members, taken, strict=True):
            at = n, id(outcome), state  # of a decision's few outcomes; they have no hash
            if at not in known:
                charge, cached = step(rows[n], outcome, dict(state), tariff)
                known[at] = charge, state_of(cached)
            charge, state = known[at]
            yield charge

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
            taken = [sides[n].accept if accepted[n] else sides[n].not_accepted(threshold) for n in members]
            costs[key] = total(charged(members, taken))
        stale = set()
        result.append(Swept(threshold, tuple(accepted), total(costs.values()), dict(costs)))
    return result
