"""Whether two calls do the same, as recorded by the effects stage: the same state left, the same observation returned.

    same = load_effects(Path("data/effects.jsonl"), rows)
    does_the_same(rows[0], same[0], action)

`ls` and `ls(a=False)` are other strings and one effect. How it is found out: `simulated.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from specacts.answering.records import Answers
from specacts.core.episodes import Action, agrees
from specacts.core.errors import UserError
from specacts.core.files import read_models
from specacts.core.results import Result


class SameEffect(BaseModel):
    """At one decision, whether each candidate does what the gold action does.

    executed: whether they were run. seconds: what the gold call took its simulator; None where none was executed.
    middle: None where the verifier's model does not act.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode: str
    decision: int
    executed: bool
    cheap: tuple[bool, ...]
    strong: bool
    seconds: float | None
    middle: bool | None = None


def by_text(row: Answers) -> SameEffect:
    """Where nothing can be executed, two calls do the same if they agree, and what speaks if its type does."""
    cheap = tuple(agrees(candidate.action, row.gold, "call") for candidate in row.cheap)
    strong = agrees(row.strong.action, row.gold, "call")
    middle = agrees(row.middle.action, row.gold, "call") if row.middle else None
    place = {"episode": row.episode, "decision": row.decision}
    return SameEffect(**place, executed=False, cheap=cheap, strong=strong, middle=middle, seconds=None)


def does_the_same(row: Answers, same: SameEffect, action: Action | None) -> bool:
    """Whether `action`, one of the row's candidates, does what its gold action does."""
    found = [*same.cheap, same.strong, *([same.middle] if row.middle else [])]
    pairs = zip(actions(row), found, strict=True)
    return action is not None and any(does and candidate == action for candidate, does in pairs)


def actions(row: Answers) -> list[Action | None]:
    """What the cheap, the strong and, where it acts, the verifier's model would do at a decision, in this order."""
    middle = [row.middle] if row.middle else []
    return [candidate.action for candidate in (*row.cheap, row.strong, *middle)]


def load_effects(path: Path, rows: Sequence[Answers]) -> list[SameEffect]:
    """Read results that were made of `rows`, or say which line does not belong to them."""
    found = [same for _, same in read_models(path, SameEffect)]
    keys = [(one.episode, one.decision, len(one.cheap), one.middle is None) for one in found]
    if keys != [(row.episode, row.decision, len(row.cheap), row.middle is None) for row in rows]:
        raise UserError(f"{path}: it was made of other answers; run `dvc repro effects`")
    return found


class Counts(Result):
    """Calls that are the gold call as text, calls that are not, and how many of those do the same."""

    same_text: int
    other_text: int
    other_text_same_effect: int


class EffectMetrics(Result):
    """`metrics/effects.json`: greedy proposals and strong actions where the gold call was executed."""

    decisions: int
    executed_calls: int
    median_call_seconds: float
    cheap: Counts
    strong: Counts


def summary(rows: Sequence[Answers], found: Sequence[SameEffect]) -> EffectMetrics:
    """How many greedy proposals and strong actions differ from the gold call in text and not in effect."""
    executed = [(row, same) for row, same in zip(rows, found, strict=True) if same.executed and row.gold.tool]
    return EffectMetrics(
        decisions=len(rows),
        executed_calls=len(executed),
        median_call_seconds=median([same.seconds for _, same in executed if same.seconds is not None] or [0.0]),
        cheap=_counts([(row.cheap[0].action, row.gold, same.cheap[0]) for row, same in executed]),
        strong=_counts([(row.strong.action, row.gold, same.strong) for row, same in executed]),
    )


def _counts(pairs: list[tuple[Action | None, Action, bool]]) -> Counts:
    differing = [same for action, gold, same in pairs if not _equal(action, gold)]
    return Counts(
        same_text=len(pairs) - len(differing),
        other_text=len(differing),
        other_text_same_effect=sum(differing),
    )


def _equal(action: Action | None, gold: Action) -> bool:
    """Whether the calls are equal, whatever type they were given."""
    if action is None or not action.tool:
        return False
    return agrees(action.model_copy(update={"type": gold.type}), gold, "call")
