"""What a training leaves in `metrics/train/<role>.json`."""

from specacts.core.results import Result


class VerdictCounts(Result):
    """How many right and wrong actions a verifier learned from."""

    accept: int
    reject: int


class TrainMetrics(Result):
    """What can be said of a training, also of one that took no step. Losses: the curve beside it.

    tokens: of all rows once; seen_tokens: as often as they were seen. seconds: of the latest process where a training
    was resumed.
    verdicts: of the verifier alone.
    """

    steps: int
    rows: int
    episodes: int
    tokens: int
    supervised_tokens: int
    seen_tokens: int
    trainable_parameters: int
    seconds: int | float
    peak_memory_gib: int | float
    verdicts: VerdictCounts | None = None


FROZEN = TrainMetrics(
    steps=0,
    rows=0,
    episodes=0,
    tokens=0,
    supervised_tokens=0,
    seen_tokens=0,
    trainable_parameters=0,
    seconds=0,
    peak_memory_gib=0,
)
"""Of a model that its recipe uses as it comes, or does without."""
