"""What acting live came to, as types: `metrics/live.json`, written by the live stage and read by the report."""

from specacts.core.results import Estimate, Result


class LivePolicy(Result):
    """What a policy's attempts came to. cost: relative to A's; cost_per_episode: money in millionths."""

    turn_success: Estimate
    turn_success_minus_A: Estimate
    acting_turn_success: Estimate
    episode_success: Estimate
    steps_per_episode: Estimate
    cheap_share: Estimate
    calls: int
    failed_calls: int
    malformed: int
    given_up: dict[str, int]
    cost_per_episode: dict[str, float | int]
    cost: dict[str, Estimate]


class LiveMetrics(Result):
    """`metrics/live.json`: by policy, the best other one as `other`; no policy where nothing could be tried."""

    episodes: int
    turns: int
    acting_turns: int
    groups: int
    policies: dict[str, LivePolicy]
