"""What a policy's calls cost: counted in FLOPs, in measured seconds, and in upstream's fixed figures.

Every call that ran is charged. Context tokens a model has already read in the same window are cached: they cost
attention, not a pass through the weights. `flops_no_cache` charges them in full, for stateless serving.

FLOPs of t tokens through a decoder (multiply and add count as two): 2·body·t, plus 2·head for each token sampled
or verdict read, plus 4·layers·attention·c for each token that attends to c others (Kaplan et al. 2020, table 1).
"""

from collections.abc import Iterable
from typing import NamedTuple

from specacts.answers import Answers, ModelSize
from specacts.config import UpstreamCost
from specacts.policies import Call, Outcome

COST_MODELS = ("flops", "flops_no_cache", "seconds", "upstream")


class Charge(NamedTuple):
    """What one decision cost, by cost model."""

    flops: float
    flops_no_cache: float
    seconds: float
    upstream: float


def charges(
    rows: list[Answers], outcomes: list[Outcome], sizes: dict[str, ModelSize], upstream: UpstreamCost
) -> list[Charge]:
    """The charge of each decision. `rows` are in order within an episode; caches are kept within a window.

    A model's cache holds the context up to its latest call. Its own generated tokens are charged again as
    context when it reads what was executed: conservative, and the same for every policy.
    """
    result = []
    cached: dict[str, int] = {}
    window = None
    for row, outcome in zip(rows, outcomes, strict=True):
        if (row.episode, row.window) != window:
            window, cached = (row.episode, row.window), {}
        total = Charge(0.0, 0.0, 0.0, 0.0)
        for call in outcome.calls:
            new = row.context - cached.get(call.role, 0)
            cached[call.role] = row.context
            total = Charge(*map(sum, zip(total, _charge(row, call, new, sizes[call.role], upstream), strict=True)))
        result.append(total)
    return result


def _charge(row: Answers, call: Call, new: int, size: ModelSize, upstream: UpstreamCost) -> Charge:
    return Charge(
        flops=flops(size, row.context - new, new, call),
        flops_no_cache=flops(size, 0, row.context, call),
        seconds=new * row.seconds_per_token[call.role] + call.seconds,
        upstream=call.verdicts * upstream.verdict + call.answers * getattr(upstream, call.role, 0.0),
    )


def flops(size: ModelSize, cached: int, new: int, call: Call) -> float:
    """FLOPs of one call: `new` context tokens behind `cached` ones, then what it judged and generated."""
    own = call.judged + call.generated
    context = cached + new
    attended = new * (cached + (new + 1) / 2) + own * (context + _mean_own_length(call))
    heads = call.generated + call.verdicts
    return 2 * size.body * (new + own) + 2 * size.head * heads + 4 * size.layers * size.attention * attended


def _mean_own_length(call: Call) -> float:
    """Mean number of a branch's own tokens that one of its tokens attends to."""
    branches = max(1, call.verdicts + call.answers)
    return ((call.judged + call.generated) / branches + 1) / 2


def total(charged: Iterable[Charge]) -> Charge:
    """The sum of charges, by cost model."""
    return Charge(*map(sum, zip(*charged, strict=True)))
