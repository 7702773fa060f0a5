"""What split and ingest leave: what each split holds, how much of test stands in train, what became of your traces."""

from collections import Counter
from collections.abc import Sequence

from specacts.core.results import Result
from specacts.core.words import ACTION_TYPES, ActionType
from specacts.traces.split import Outline


class Counted(Result):
    """Of a split: how much it holds; all nine action types."""

    episodes: int
    groups: int
    decisions: int
    decisions_by_type: dict[ActionType, int]


def counted(episodes: Sequence[Outline]) -> Counted:
    """How many episodes, groups and decisions these are; all nine action types."""
    types = sum((episode.types for episode in episodes), Counter[str]())
    return Counted(
        episodes=len(episodes),
        groups=len({episode.group for episode in episodes}),
        decisions=types.total(),
        decisions_by_type={name: types[name] for name in ACTION_TYPES},
    )


class Overlap(Result):
    """What test has in common with training.

    episodes: of test, that have at least one n-gram in common with a training episode. ngrams: distinct ones of test.
    shared: how many of these occur in training.
    """

    episodes: int
    ngrams: int
    shared: int


class Contamination(Result):
    """The overlap of the user's messages, and of all that is said, called and observed, in runs of `ngram` words."""

    ngram: int
    user: Overlap
    all: Overlap


class DataMetrics(Result):
    """`metrics/data.json`. most_counted: decisions of a group that count in promises (sizes.py)."""

    train: Counted
    verify: Counted
    calibrate: Counted
    test: Counted
    total: Counted
    most_counted: int
    contamination: Contamination

    @property
    def splits(self) -> dict[str, Counted]:
        """Each split by name, then the total."""
        names = ("train", "verify", "calibrate", "test", "total")
        return {name: getattr(self, name) for name in names}


class IngestMetrics(Result):
    """`metrics/ingest.json`: what became of your own conversations; all zero where there are none.

    left_out: by reason, each of `ingest.LEFT_OUT`. typed_by: decisions by the rule that typed them, each of
    `ingest.RULES`, over all that was read. normalised, secrets: by kind, only those that occurred.
    """

    conversations: int
    taken: int
    left_out: dict[str, int]
    groups: int
    decisions: int
    decisions_by_type: dict[ActionType, int]
    actions_that_are_context: int
    typed_by: dict[str, int]
    undecided_texts: int
    shortened_calls: int
    calls_too_long: int
    decisions_not_drawn: int
    normalised: dict[str, int]
    secrets: dict[str, int]
