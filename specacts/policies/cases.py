"""Recorded decisions with what is made of them, once and without a model: scores, and both sides of every judgement.

    routes = load_routes(Path("data/routes.jsonl"), rows)
    cases = make_cases(rows, "likelihood", routes, combined)       # combined: combine.py's probabilities
    cases[0].sides["D"].score, cases[0].sides["D"].accept.action
    act("D", cases[0], threshold=0.7)

A `Case` is a `View` (decide.py). The record beside it is never edited.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isnan, nan
from pathlib import Path
from typing import NamedTuple

from specacts.answering.records import Answers, Candidate, Verdict
from specacts.core.episodes import agrees
from specacts.core.errors import UserError
from specacts.core.files import read_jsonl
from specacts.core.words import JudgeScore, Level
from specacts.policies.combine import Signals
from specacts.policies.decide import Outcome, accepting, rejecting, score, sticking
from specacts.policies.table import JUDGING, POLICIES, SCORED


class Side(NamedTuple):
    """What a judging policy goes by at a decision, and what it would do if it accepted, and if it rejected.

    A threshold, a coin or an oracle picks between the two. score: of a policy that sticks, the lowest in its turn so
    far, so that a higher threshold never accepts more. before: the lowest of the turn's earlier ones; behind: what is
    done where that was rejected.
    """

    score: float
    accept: Outcome
    reject: Outcome
    before: float = inf
    behind: Outcome | None = None

    def not_accepted(self, threshold: float) -> Outcome:
        """What is done where the score does not reach the threshold."""
        return self.behind if self.behind and self.before < threshold else self.reject


class Route(NamedTuple):
    """What is known of a decision before any model is asked: the router's probability, and the number of its turn."""

    probability: float
    turn: int


@dataclass(frozen=True)
class Case:
    """A decision: its record, the verifier's verdicts that policies go by, the router's and the combined score.

    verdicts: none where there is no verifier. route, combined: NaN where there is no router, or nothing to combine.
    earlier: the decisions before it in its turn, in order.
    """

    row: Answers
    verdicts: tuple[Verdict, ...]
    route: float
    combined: float
    earlier: tuple["Case", ...] = field(default=(), repr=False, compare=False)

    @property
    def cheap(self) -> tuple[Candidate, ...]:
        return self.row.cheap

    @property
    def picks(self) -> tuple[int, ...]:
        return self.row.picks

    @property
    def middle(self) -> Candidate | None:
        return self.row.middle

    @property
    def strong(self) -> Candidate:
        return self.row.strong

    @property
    def strong_verdict(self) -> tuple[Verdict, ...]:
        return self.row.strong_verdict

    @cached_property
    def sides(self) -> dict[str, Side]:
        """By judging policy that can be replayed."""
        return {name: self._side(name) for name in self.judging}

    def _side(self, name: str) -> Side:
        own, accept, reject = score(name, self), accepting(name, self), rejecting(name, self)
        if not POLICIES[name].sticks:
            return Side(own, accept, reject)
        before = min((score(name, case) for case in self.earlier), default=inf)
        return Side(min(before, own), accept, reject, before, sticking(self))

    @property
    def judging(self) -> tuple[str, ...]:
        """The judging policies that can be replayed: whose judge gave verdicts, whose score there is.

        A recorded strong model gives none; nor does a verifier that was never trained, and then there is no router.
        """
        there = {None: True, "strong": bool(self.strong_verdict), "verifier": bool(self.verdicts)}
        routed = not isnan(self.route)
        return tuple(n for n in JUDGING if there[POLICIES[n].judge] and (routed or POLICIES[n].score != "route"))


def judging(cases: Sequence[Case]) -> tuple[str, ...]:
    """The judging policies that can be replayed on all of these cases."""
    return tuple(name for name in JUDGING if all(name in case.judging for case in cases))


def scored(cases: Sequence[Case]) -> tuple[str, ...]:
    """Those of them that score the greedy proposal."""
    return tuple(name for name in judging(cases) if name in SCORED)


def compared(cases: Sequence[Case]) -> tuple[str, ...]:
    """All policies that can be."""
    return tuple(name for name in POLICIES if name not in JUDGING or name in judging(cases))


def make_cases(
    rows: Sequence[Answers], judge: JudgeScore, routes: Sequence[Route], combined: Sequence[float]
) -> list[Case]:
    """One case a row, an episode's in order. judge: which of the verifier's scores policies go by."""
    made: list[Case] = []
    turn: tuple[str, int] | None = None
    for row, route, value in zip(rows, routes, combined, strict=True):
        follows = turn == (row.episode, route.turn)
        earlier = (*made[-1].earlier, made[-1]) if follows else ()
        made.append(Case(row, verdicts_of(row, judge), route.probability, value, earlier))
        turn = row.episode, route.turn
    return made


def verdicts_of(row: Answers, judge: JudgeScore) -> tuple[Verdict, ...]:
    """The verifier's verdicts that policies go by; a reward model's are recorded where its verdicts would be."""
    return row.verifier_likelihood if judge == "likelihood" else row.verifier


def verified(rows: Sequence[Answers]) -> bool:
    """Whether there was a verifier to ask about the proposals."""
    return all(row.verifier for row in rows)


def laddered(cases: Sequence[Case]) -> bool:
    """Whether there is a model between the cheap and the strong one that acts: the verifier's."""
    return all(case.middle for case in cases)


def signals(rows: Sequence[Answers], judge: JudgeScore, routes: Sequence[Route]) -> list[Signals]:
    """What is known of each row's greedy proposal, where a verifier was asked."""
    pairs = zip(rows, routes, strict=True)
    return [
        Signals(verdicts_of(row, judge)[0].score, row.cheap[0].confidence, route.probability) for row, route in pairs
    ]


def greedy_right(rows: Sequence[Answers], level: Level) -> list[bool]:
    """Whether each row's greedy proposal agrees with its gold action."""
    return [agrees(row.cheap[0].action, row.gold, level) for row in rows]


def load_routes(path: Path, rows: Sequence[Answers]) -> list[Route]:
    """What `data/routes.jsonl` says of each row. Raises `UserError` where it says nothing of one."""
    known = {}
    for number, line in read_jsonl(path):
        try:
            probability = nan if line["route"] is None else float(line["route"])
            known[line["episode"], line["decision"]] = Route(probability, int(line["turn"]))
        except (KeyError, TypeError, ValueError) as error:
            needed = "needs episode, decision, turn and route; run `dvc repro route`"
            raise UserError(f"{path}:{number}: {error!r}: {needed}") from error
    for row in rows:
        if (row.episode, row.decision) not in known:
            raise UserError(f"{path}: no line for {row.episode}, decision {row.decision}; run `dvc repro route`")
    return [known[row.episode, row.decision] for row in rows]
