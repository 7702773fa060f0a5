"""The compared policies: pure functions from recorded answers to the action taken and the calls made.

    A  always the strong model
    B  the cheap model alone
    C  cheap proposes, the strong model judges the proposal (by how likely it finds its type), strong acts on rejection
    D  cheap proposes, the trained verifier judges, strong acts on rejection
    E  cheap makes N proposals, the verifier picks the best one or rejects them all, then strong acts

A call is listed where it ran, the fallback included; `cost.py` turns calls into FLOPs, seconds and prices.
"""

from collections.abc import Callable
from typing import NamedTuple

from specacts.answers import Answers
from specacts.config import Role
from specacts.episodes import Action


class Call(NamedTuple):
    """One call of a model at a decision: it reads what context it has not cached, then judges or generates."""

    role: Role
    judged: int = 0  # tokens of the candidates it read to judge them
    verdicts: int = 0  # candidates judged
    generated: int = 0
    answers: int = 0  # actions generated
    seconds: float = 0.0  # beyond reading the context


class Outcome(NamedTuple):
    """What a policy did at one decision. `accepted` is None for policies that never judge."""

    action: Action | None
    accepted: bool | None
    calls: tuple[Call, ...]


Policy = Callable[[Answers], Outcome]


def always_strong(row: Answers) -> Outcome:
    """A."""
    return Outcome(row.strong.action, None, (_act(row),))


def cheap_only(row: Answers) -> Outcome:
    """B."""
    return Outcome(row.cheap[0].action, None, (_propose(row, 1),))


def strong_verifies(threshold: float) -> Policy:
    """C: accept the first proposal where the strong model's score of it reaches the threshold."""
    return lambda row: _judged(row, "strong", 1, threshold)


def verifier_decides(threshold: float) -> Policy:
    """D: accept the first proposal where the verifier's score of it reaches the threshold."""
    return lambda row: _judged(row, "verifier", 1, threshold)


def verifier_picks(threshold: float) -> Policy:
    """E: take the proposal the verifier scores highest, if that reaches the threshold."""
    return lambda row: _judged(row, "verifier", len(row.cheap), threshold)


JUDGING: dict[str, Callable[[float], Policy]] = {"C": strong_verifies, "D": verifier_decides, "E": verifier_picks}
"""The policies that have an accept threshold."""


def policies(thresholds: dict[str, float]) -> dict[str, Policy]:
    """Every policy by its letter, at the given thresholds."""
    judging = {name: make(thresholds[name]) for name, make in JUDGING.items()}
    return {"A": always_strong, "B": cheap_only, **judging}


def score(row: Answers, name: str) -> float:
    """The score a judging policy compares with its threshold."""
    verdicts = row.strong_verdict if name == "C" else row.verifier
    return max(v.score for v in (verdicts if name == "E" else verdicts[:1]))


def _judged(row: Answers, role: Role, proposals: int, threshold: float) -> Outcome:
    verdicts = (row.strong_verdict if role == "strong" else row.verifier)[:proposals]
    best = max(range(len(verdicts)), key=lambda n: verdicts[n].score)  # the first of equals
    accepted = verdicts[best].score >= threshold
    judging = Call(
        role,
        judged=sum(v.tokens for v in verdicts),
        verdicts=len(verdicts),
        seconds=sum(v.seconds for v in verdicts),
    )
    calls = (_propose(row, proposals), judging)
    if accepted:
        return Outcome(row.cheap[best].action, True, calls)
    return Outcome(row.strong.action, False, (*calls, _act(row)))


def _propose(row: Answers, count: int) -> Call:
    chosen = row.cheap[:count]
    return Call(
        "cheap", generated=sum(c.tokens for c in chosen), answers=count, seconds=sum(c.seconds for c in chosen)
    )


def _act(row: Answers) -> Call:
    return Call("strong", generated=row.strong.tokens, answers=1, seconds=row.strong.seconds)
