"""The compared policies: pure functions from recorded answers to the action taken and the calls made.

    A  always the strong model
    B  the cheap model alone
    C  cheap proposes, the strong model judges the proposal (by how likely it finds it), strong acts on rejection
    D  cheap proposes, the trained verifier judges, strong acts on rejection
    E  cheap makes N proposals, the verifier picks the best one or rejects them all, then strong acts (recipe v2's E
       never rejects: its threshold accepts everything)

    F  cheap proposes and its own confidence in the type decides: no verifier, and nothing to pay for one
    G  a router decides who acts from what the context looks like, before any model is asked (router.py)
    H  as D, by verifier's score, cheap model's confidence and router's probability combined (combine.py)

    outcome = policies({"C": 0.4, "D": 0.7, "E": 0.8, "F": 0.9, "G": 0.6, "H": 0.7})["D"](row)

A threshold may be one number, or one for each type of action that is proposed. A call is listed where it ran, the
fallback included; `cost.py` turns calls into FLOPs, seconds and prices.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from specacts.answering.records import Answers, Candidate, Verdict
from specacts.core.episodes import Action
from specacts.core.words import Role


class Call(NamedTuple):
    """One call of a model at a decision: it reads what context it has not cached, then judges or generates.

    branches: tokens of each candidate it read or action it generated. heads: next-token distributions it computed.
    answers, verdicts: actions generated and candidates judged. seconds: beyond reading the context.
    """

    role: Role
    branches: tuple[int, ...]
    heads: int
    answers: int
    verdicts: int
    seconds: float


class Outcome(NamedTuple):
    """What a policy did at one decision.

    accepted: whether a judge let a proposal through; None for policies that never judge. actor, tokens: the model
    whose action was taken, and that action's length.
    """

    action: Action | None
    accepted: bool | None
    calls: tuple[Call, ...]
    actor: Role
    tokens: int


Policy = Callable[[Answers], Outcome]
Threshold = float | Mapping[str, float]
"""A number, or one by the proposal's action type; then what is malformed is never accepted."""

GREEDY = (0,)
ALWAYS, NEVER = 0.0, 1.01
"""Thresholds that accept everything and nothing; a saturated score is exactly 0 or 1, so NEVER lies above 1."""
TIE = 1e-4
"""A score this little below a threshold, in parts of it or of its distance to 1, reaches it: how much of a transcript
is read at once changes scores by up to 3e-5 of that, and must not decide (docs/decisions/0005-promises.md)."""


def lowest_accepted(threshold: float) -> float:
    """The lowest score that reaches a threshold."""
    return threshold - TIE * max(0.0, min(threshold, 1 - threshold))


def reaches(score: float, threshold: Threshold, action: Action | None) -> bool:
    """Whether a proposal is accepted that proposes `action` and is scored `score`."""
    if isinstance(threshold, Mapping):
        threshold = threshold[action.type] if action else NEVER
    return score >= lowest_accepted(threshold)


def always_strong(row: Answers) -> Outcome:
    """A."""
    return _took(row.strong, "strong", None, (_generated("strong", (row.strong,)),))


def cheap_only(row: Answers) -> Outcome:
    """B."""
    return _took(row.cheap[0], "cheap", None, (_generated("cheap", row.cheap[:1]),))


def strong_verifies(threshold: Threshold) -> Policy:
    """C: accept the first proposal where the strong model's score of it reaches the threshold."""
    return lambda row: _judged(row, "strong", GREEDY, threshold)


def verifier_decides(threshold: Threshold) -> Policy:
    """D: accept the first proposal where the verifier's score of it reaches the threshold."""
    return lambda row: _judged(row, "verifier", GREEDY, threshold)


def verifier_picks(threshold: Threshold) -> Policy:
    """E: take the one of its proposals that the verifier scores highest, if that reaches the threshold."""
    return lambda row: _judged(row, "verifier", row.picks, threshold)


def confidence_decides(threshold: Threshold) -> Policy:
    """F: accept the first proposal where the cheap model's confidence in its type reaches the threshold."""

    def policy(row: Answers) -> Outcome:
        greedy = row.cheap[0]
        calls = (_generated("cheap", (greedy,)),)
        if reaches(greedy.confidence, threshold, greedy.action):
            return _took(greedy, "cheap", True, calls)
        return _took(row.strong, "strong", False, (*calls, _generated("strong", (row.strong,))))

    return policy


def router_decides(threshold: float) -> Policy:
    """G: the cheap model acts where the router's probability that it will be right reaches the threshold.

    There is no proposal yet, so the threshold cannot be one by type. Only the model that acts is called.
    """

    def policy(row: Answers) -> Outcome:
        if reaches(row.route, threshold, None):
            return cheap_only(row)._replace(accepted=True)
        return always_strong(row)._replace(accepted=False)

    return policy


def combination_decides(threshold: Threshold) -> Policy:
    """H: accept the first proposal where all that is known of it, combined, reaches the threshold; paid for like D."""

    def policy(row: Answers) -> Outcome:
        return _decided(row, "verifier", GREEDY, 0, row.combined, threshold)

    return policy


JUDGING: dict[str, Callable[..., Policy]] = {
    "C": strong_verifies,
    "D": verifier_decides,
    "E": verifier_picks,
    "F": confidence_decides,
    "G": router_decides,
    "H": combination_decides,
}
"""The policies that have an accept threshold."""


def policies(thresholds: Mapping[str, Threshold]) -> dict[str, Policy]:
    """Every policy by its letter, at the given thresholds."""
    judging = {name: make(thresholds[name]) for name, make in JUDGING.items()}
    return {"A": always_strong, "B": cheap_only, **judging}


def score(row: Answers, name: str) -> float:
    """The score that judging policy `name` compares with its threshold."""
    if name in ("F", "G", "H"):
        return {"F": row.cheap[0].confidence, "G": row.route, "H": row.combined}[name]
    verdicts = row.strong_verdict if name == "C" else row.verifier
    return max(verdicts[n].score for n in (row.picks if name == "E" else GREEDY))


class Choice(NamedTuple):
    """What a judging policy would do at one decision if it accepted, and if it rejected."""

    accept: Outcome
    reject: Outcome


def choices(rows: list[Answers], name: str) -> list[Choice]:
    """Both sides of every decision of judging policy `name`: a threshold, a coin or an oracle picks between them."""
    accept, reject = JUDGING[name](ALWAYS), JUDGING[name](NEVER)
    return [Choice(accept(row), reject(row)) for row in rows]


def _judged(row: Answers, judge: Role, numbers: tuple[int, ...], threshold: Threshold) -> Outcome:
    """numbers: which of the cheap model's candidates were made and are judged."""
    verdicts = [(row.strong_verdict if judge == "strong" else row.verifier)[n] for n in numbers]
    best = max(range(len(verdicts)), key=lambda n: verdicts[n].score)  # the first of equals
    return _decided(row, judge, numbers, best, verdicts[best].score, threshold)


def _decided(
    row: Answers, judge: Role, numbers: tuple[int, ...], best: int, score: float, threshold: Threshold
) -> Outcome:
    """Candidates were made and judged; `best` of them, by place among `numbers`, is taken if its score suffices."""
    candidates = tuple(row.cheap[n] for n in numbers)
    verdicts = tuple((row.strong_verdict if judge == "strong" else row.verifier)[n] for n in numbers)
    calls = (_generated("cheap", candidates), *_judging(judge, candidates, verdicts))
    if reaches(score, threshold, candidates[best].action):
        return _took(candidates[best], "cheap", True, calls)
    return _took(row.strong, "strong", False, (*calls, _generated("strong", (row.strong,))))


def _judging(judge: Role, candidates: tuple[Candidate, ...], verdicts: tuple[Verdict, ...]) -> tuple[Call, ...]:
    """The judge's call; none where every candidate is malformed and nobody had to be asked."""
    asked = tuple({v.shared: v for v in verdicts if v.heads}.values())
    if not asked:
        return ()
    branches = tuple(v.tokens for v in asked if v.tokens)
    heads, seconds = sum(v.heads for v in asked), sum(v.seconds for v in asked)
    judged = sum(candidate.action is not None for candidate in candidates)
    return (Call(judge, branches, heads, 0, judged, seconds),)


def _generated(role: Role, candidates: tuple[Candidate, ...]) -> Call:
    branches = tuple(c.tokens for c in candidates)
    return Call(role, branches, sum(branches), len(candidates), 0, sum(c.seconds for c in candidates))


def _took(candidate: Candidate, actor: Role, accepted: bool | None, calls: tuple[Call, ...]) -> Outcome:
    return Outcome(candidate.action, accepted, calls, actor, candidate.tokens)
