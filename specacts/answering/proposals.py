"""The cheap model's proposals on the verify split, labelled against gold: what the verifier learns from."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from specacts.answering.records import Candidate
from specacts.core.episodes import Action, agrees
from specacts.core.files import read_models, write_jsonl
from specacts.core.results import Result
from specacts.core.words import LEVELS, Level
from specacts.training.judged import DecisionKey, Judged


class Proposed(BaseModel):
    """One decision: its gold action and the candidates, the first greedy, the others sampled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode: str
    decision: int
    gold: Action
    candidates: tuple[Candidate, ...]


def load_proposals(path: Path) -> list[Proposed]:
    """Read proposals, or say which line and field is wrong."""
    return [row for _, row in read_models(path, Proposed, ignored=("right",))]  # derived; for people and plots


def save_proposals(path: Path, rows: Iterable[Proposed]) -> None:
    """Write one decision a line, with whether each candidate is right at each level.

    Without the seconds they took: the same proposals are the same bytes, and train no verifier again.
    """
    write_jsonl(path, ({**_untimed(row).model_dump(mode="json"), "right": _right(row)} for row in rows))


def _untimed(row: Proposed) -> Proposed:
    candidates = tuple(candidate.model_copy(update={"seconds": 0.0}) for candidate in row.candidates)
    return row.model_copy(update={"candidates": candidates})


def _right(row: Proposed) -> dict[str, list[bool]]:
    return {level: [agrees(c.action, row.gold, level) for c in row.candidates] for level in LEVELS}


class Quality(Result):
    """Of candidates: how many, the share that is right at each level, and the share that is malformed."""

    proposals: int
    type_accuracy: float
    tool_accuracy: float
    call_accuracy: float
    malformed: float


class ProposalMetrics(Result):
    """`metrics/propose.json`."""

    decisions: int
    episodes: int
    greedy: Quality
    sampled: Quality


def summary(rows: list[Proposed]) -> ProposalMetrics:
    """Counts and accuracies of greedy and sampled candidates, and the share of malformed ones."""
    return ProposalMetrics(
        decisions=len(rows),
        episodes=len({row.episode for row in rows}),
        greedy=_quality([(row, candidate) for row in rows for candidate in row.candidates[:1]]),
        sampled=_quality([(row, candidate) for row in rows for candidate in row.candidates[1:]]),
    )


def _quality(pairs: list[tuple[Proposed, Candidate]]) -> Quality:
    count = max(1, len(pairs))
    right = {level: sum(agrees(c.action, row.gold, level) for row, c in pairs) / count for level in LEVELS}
    return Quality(
        proposals=len(pairs),
        type_accuracy=right["type"],
        tool_accuracy=right["tool"],
        call_accuracy=right["call"],
        malformed=sum(c.action is None for _, c in pairs) / count,
    )


def on_policy(proposals: Sequence[Proposed], level: Level) -> dict[DecisionKey, list[Judged]]:
    """The cheap model's own proposals: right where one agrees with the gold action at `level`.

    Of equal ones the last is kept; malformed ones are left out, as nobody has to be asked about them.
    """
    return {
        (row.episode, row.decision): [
            Judged(c.action, c.confidence, agrees(c.action, row.gold, level))
            for c in {c.text: c for c in row.candidates}.values()
            if c.action
        ]
        for row in proposals
    }
