"""Whose action is taken: what the policies of the table (table.py) do at a decision, and which calls that takes.

    A  always the strong model
    B  the cheap model alone
    C  cheap proposes, the strong model judges the proposal (by how likely it finds it), strong acts on rejection
    D  cheap proposes, the trained verifier judges, strong acts on rejection
    E  cheap makes N proposals, the verifier picks the best one or rejects them all, then strong acts (recipe v2's E
       never rejects: its threshold accepts everything)
    F  cheap proposes and its own confidence in the type decides: no verifier, and nothing to pay for one
    G  a router decides who acts from what the context looks like, before any model is asked (router.py)
    H  as D, by verifier's score, cheap model's confidence and router's probability combined (combine.py)
    S  as F, but it sticks: once strong took over it acts until the user's next message, and cheap is not asked

    act("D", view, 0.7)          # the Outcome: action taken, calls made

Two baselines have no judge either, and need the verifier's model to act: `middle_alone`, and `climb`, a cascade.

A threshold may be one number, or one for each type of action that is proposed. A call is listed where it ran, the
fallback included; `cost.py` turns calls into FLOPs, seconds and prices. Of a `View` nothing is read that the policy
does not need, so that at work (live/) nobody is asked in vain.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from specacts.answering.records import Candidate, Verdict
from specacts.core.episodes import Action
from specacts.core.words import Role
from specacts.policies.table import POLICIES


class View(Protocol):
    """What policies see of a decision: proposals, verdicts and scores; see `records.Answers` and `cases.Case`.

    verdicts: the verifier's on each candidate, by the score that policies go by. earlier: the decisions before it in
    its turn, that is since the user's latest message, in order.
    """

    @property
    def cheap(self) -> tuple[Candidate, ...]: ...
    @property
    def picks(self) -> tuple[int, ...]: ...
    @property
    def strong(self) -> Candidate: ...
    @property
    def verdicts(self) -> tuple[Verdict, ...]: ...
    @property
    def strong_verdict(self) -> tuple[Verdict, ...]: ...
    @property
    def route(self) -> float: ...
    @property
    def combined(self) -> float: ...
    @property
    def earlier(self) -> Sequence["View"]: ...


class Rungs(Protocol):
    """What a cascade sees of a decision: what each of the three models would do. middle: the verifier's."""

    @property
    def cheap(self) -> tuple[Candidate, ...]: ...
    @property
    def middle(self) -> Candidate | None: ...
    @property
    def strong(self) -> Candidate: ...


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
    whose action was taken, and that action's length, words included. words: what it said, where the action speaks.
    """

    action: Action | None
    accepted: bool | None
    calls: tuple[Call, ...]
    actor: Role
    tokens: int
    words: str = ""


Threshold = float | Mapping[str, float]
"""A number, or one by the proposal's action type; what is malformed, or may not be proposed, is never accepted."""

GREEDY = (0,)
"""Number of the first candidate, which is the greedy one."""
ALWAYS, NEVER = 0.0, 1.01
"""Thresholds that accept everything and nothing; a saturated score is exactly 0 or 1, so NEVER lies above 1."""
TIE = 1e-4
"""A score this little below a threshold, in parts of it or of its distance to 1, reaches it: how much of a transcript
is read at once changes scores by up to 3e-5 of that in float32, and must not decide (docs/decisions/0005-promises.md).
In bfloat16 it changes them by more than any margin could overlook (`NOISE` in answering/session.py)."""


def lowest_accepted(threshold: float) -> float:
    """The lowest score that reaches a threshold."""
    return threshold - TIE * max(0.0, min(threshold, 1 - threshold))


def act(letter: str, view: View, threshold: Threshold | None = None) -> Outcome:
    """What a policy of the table does; the judging ones at their threshold."""
    if POLICIES[letter].always == "strong":
        return always_strong(view)
    if POLICIES[letter].always == "cheap":
        return cheap_only(view)
    assert threshold is not None, f"policy {letter} needs a threshold"
    if isinstance(threshold, Mapping):
        proposed = None if POLICIES[letter].one_threshold else accepting(letter, view).action
        threshold = threshold[proposed.type] if proposed else NEVER
    lowest = lowest_accepted(threshold)
    if POLICIES[letter].sticks and any(score(letter, before) < lowest for before in view.earlier):
        return sticking(view)  # in order: at work those behind the first rejection have no score
    return accepting(letter, view) if score(letter, view) >= lowest else rejecting(letter, view)


class Bars(NamedTuple):
    """How sure of the type of its own action a model must be to act, in a cascade that ends with the strong one."""

    cheap: float
    middle: float


def middle_alone(view: Rungs) -> Outcome:
    """The verifier's model acts at every decision."""
    assert view.middle, "the verifier's model cannot act"
    return _took(view.middle, "verifier", None, (_generated("verifier", (view.middle,), taken=0),))


def climb(view: Rungs, bars: Bars) -> Outcome:
    """A cascade: the cheap model acts where it is sure enough, else the verifier's where that is, else the strong one.

    Each is asked, and paid for, only where those before it were not sure.
    """
    assert view.middle, "the verifier's model cannot act"
    cheap, middle = view.cheap[:1], (view.middle,)
    if cheap[0].confidence >= lowest_accepted(bars.cheap):
        return _took(cheap[0], "cheap", True, (_generated("cheap", cheap, taken=0),))
    asked = _generated("cheap", cheap, taken=None)
    if view.middle.confidence >= lowest_accepted(bars.middle):
        return _took(view.middle, "verifier", True, (asked, _generated("verifier", middle, taken=0)))
    both = (asked, _generated("verifier", middle, taken=None))
    return _took(view.strong, "strong", False, (*both, _generated("strong", (view.strong,), taken=0)))


def always_strong(view: View) -> Outcome:
    """A."""
    return _took(view.strong, "strong", None, (_generated("strong", (view.strong,), taken=0),))


def cheap_only(view: View) -> Outcome:
    """B."""
    return _took(view.cheap[0], "cheap", None, (_generated("cheap", view.cheap[:1], taken=0),))


def score(letter: str, view: View) -> float:
    """The score that a judging policy compares with its threshold; of several proposals the best one's."""
    kind = POLICIES[letter].score
    if kind == "confidence":
        return view.cheap[0].confidence
    if kind == "route":
        return view.route
    if kind == "combined":
        return view.combined
    return max(verdict.score for verdict in _verdicts(letter, view))


def accepting(letter: str, view: View) -> Outcome:
    """What a judging policy does where it accepts: the cheap model's action is taken, of several the best one."""
    if not POLICIES[letter].picks:
        return taking(letter, view, 0)
    scores = [verdict.score for verdict in _verdicts(letter, view)]
    return taking(letter, view, scores.index(max(scores)))  # the first of equals


def taking(letter: str, view: View, number: int) -> Outcome:
    """What a judging policy does where it takes this one of its candidates."""
    return _took(_candidates(letter, view)[number], "cheap", True, _proposing(letter, view, number))


def rejecting(letter: str, view: View) -> Outcome:
    """What a judging policy does where it rejects: the strong model acts; what was asked before is paid for."""
    calls = () if POLICIES[letter].foresees else _proposing(letter, view)
    return _took(view.strong, "strong", False, (*calls, _generated("strong", (view.strong,), taken=0)))


def sticking(view: View) -> Outcome:
    """What a policy that sticks does behind a rejection in its turn: strong acts, and nobody else is asked."""
    return always_strong(view)._replace(accepted=False)


def _proposing(letter: str, view: View, taken: int | None = None) -> tuple[Call, ...]:
    """The calls that a judging policy makes before it decides, or where it takes a candidate."""
    candidates, judge = _candidates(letter, view), POLICIES[letter].judge
    judging = _judging(judge, candidates, _verdicts(letter, view)) if judge else ()
    return (_generated("cheap", candidates, taken), *judging)


def _numbers(letter: str, view: View) -> tuple[int, ...]:
    return view.picks if POLICIES[letter].picks else GREEDY


def _candidates(letter: str, view: View) -> tuple[Candidate, ...]:
    """The cheap model's candidates that a policy lets it make."""
    return tuple(view.cheap[n] for n in _numbers(letter, view))


def _verdicts(letter: str, view: View) -> tuple[Verdict, ...]:
    """The judge's verdicts on those."""
    verdicts = view.strong_verdict if POLICIES[letter].judge == "strong" else view.verdicts
    return tuple(verdicts[n] for n in _numbers(letter, view))


def _judging(judge: Role, candidates: tuple[Candidate, ...], verdicts: tuple[Verdict, ...]) -> tuple[Call, ...]:
    """The judge's call; none where every candidate is malformed and nobody had to be asked."""
    asked = tuple({v.shared: v for v in verdicts if v.heads}.values())
    if not asked:
        return ()
    branches = tuple(v.tokens for v in asked if v.tokens)
    heads, seconds = sum(v.heads for v in asked), sum(v.seconds for v in asked)
    judged = sum(candidate.action is not None for candidate in candidates)
    return (Call(judge, branches, heads, 0, judged, seconds),)


def _generated(role: Role, candidates: tuple[Candidate, ...], taken: int | None) -> Call:
    """A proposer's call. It goes on to the words of the candidate that is taken, and of no other."""
    branches = tuple(c.taken_tokens if n == taken else c.tokens for n, c in enumerate(candidates))
    seconds = sum(c.taken_seconds if n == taken else c.seconds for n, c in enumerate(candidates))
    return Call(role, branches, sum(branches), len(candidates), 0, seconds)


def _took(candidate: Candidate, actor: Role, accepted: bool | None, calls: tuple[Call, ...]) -> Outcome:
    words = candidate.words.text if candidate.words else ""
    return Outcome(candidate.action, accepted, calls, actor, candidate.taken_tokens, words)
