"""What attempts at live tasks came to."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from specacts.evaluation.stats import mean, ratio, resample_weights
from specacts.live.agents import GIVEN_UP, Attempt
from specacts.live.results import LiveMetrics, LivePolicy
from specacts.policies.cost import COST_MODELS, total


def line(attempt: Attempt) -> dict[str, Any]:
    """An attempt as one line of `data/live.jsonl`; seconds of each decision, all costs in total."""
    charge = total(attempt.charges)
    return attempt._asdict() | {
        "charges": {model: getattr(charge, model) for model in COST_MODELS},
        "seconds": [each.seconds for each in attempt.charges],
        "steps": [each.model_dump(mode="json") for each in attempt.steps],
    }


def summary(attempts: Sequence[Attempt], resamples: int, seed: int) -> LiveMetrics:
    """What attempts came to. All policies, A among them, tried all episodes.

    Intervals are 95 % bootstraps that resample groups, the same ones for every policy.
    """
    ordered = sorted(attempts, key=lambda attempt: attempt.episode)
    by_policy = {attempt.policy: [a for a in ordered if a.policy == attempt.policy] for attempt in attempts}
    strong = by_policy.get("A", [])
    groups = [attempt.group for attempt in strong]
    weights = resample_weights(groups, resamples, seed) if attempts else np.empty((0, 0))
    return LiveMetrics(
        episodes=len(strong),
        turns=sum(len(attempt.turns) for attempt in strong),
        acting_turns=sum(sum(attempt.acting) for attempt in strong),
        groups=len(set(groups)),
        policies={name: _metrics(own, strong, weights) for name, own in by_policy.items()},
    )


def _metrics(own: list[Attempt], strong: list[Attempt], weights: np.ndarray) -> LivePolicy:
    """One policy's attempts beside A's at the same episodes."""
    turns, steps = [len(a.turns) for a in own], [len(a.actors) for a in own]
    won, lead = [sum(a.turns) for a in own], [sum(a.turns) - sum(b.turns) for a, b in zip(own, strong, strict=True)]
    costs, reference = ([total(a.charges)._asdict() for a in each] for each in (own, strong))
    acting = [sum(a.acting) for a in own]
    acted = [sum(won and due for won, due in zip(a.turns, a.acting, strict=True)) for a in own]
    absolute = {model: sum(c[model] for c in costs) / len(costs) for model in COST_MODELS}
    absolute["money"] *= 1e6  # metrics are rounded to four digits
    return LivePolicy(
        turn_success=ratio(won, turns, weights),
        turn_success_minus_A=ratio(lead, turns, weights),
        acting_turn_success=ratio(acted, acting, weights).otherwise(0.0),
        episode_success=mean([all(a.turns) for a in own], weights),
        steps_per_episode=mean(steps, weights),
        cheap_share=ratio([a.actors.count("cheap") for a in own], steps, weights),
        calls=sum(a.calls for a in own),
        failed_calls=sum(a.failed for a in own),
        malformed=sum(a.malformed for a in own),
        given_up={why: sum(a.given_up == why for a in own) for why in GIVEN_UP},
        cost_per_episode={model: round(v) if "flops" in model else v for model, v in absolute.items()},
        cost={m: ratio([c[m] for c in costs], [c[m] for c in reference], weights) for m in COST_MODELS},
    )
