"""Recorded answers of toy models, and cases of them: seeded, plausible, made in milliseconds.

cases = make_cases(episodes=20, seed=0)
case = make_case(context=40, verifier=(0.9,), route=0.7)
rows, row = make_rows(episodes=20), make_row(context=40)      # the record alone
"""

import random
from dataclasses import replace
from functools import cache
from math import nan
from typing import Any

from specacts.answering.records import Answers, Candidate, Verdict
from specacts.config import Acceptance, Cost, Price, Prices, UpstreamCost
from specacts.core.episodes import Action
from specacts.core.words import ACTION_TYPES, SPEAKING
from specacts.models.sizes import ModelSize
from specacts.policies.cases import Case
from specacts.policies.cost import Tariff

UPSTREAM = UpstreamCost(strong=1.0, cheap=0.15, verdict=0.10)
COST = Cost(model="flops", prices="example", upstream=UPSTREAM)
PRICES = Prices(
    currency="USD",
    cheap=Price(input=0.1, cached_input=0.01, output=0.4),
    verifier=Price(input=0.2, cached_input=0.02, output=0.8),
    strong=Price(input=1.0, cached_input=0.1, output=4.0),
)
ACCEPTANCE = Acceptance(
    level="type",
    score="verdict",
    max_relative_cost=1.0,
    risk=None,
    confidence=0.9,
    policies=("D", "F", "G"),
    risk_by_type={},
    average_over="decisions",
)
SIZES = {
    "cheap": ModelSize(body=28_000_000, head=28_000_000, layers=8, attention=576),
    "verifier": ModelSize(body=28_000_000, head=28_000_000, layers=8, attention=576),
    "strong": ModelSize(body=106_000_000, head=28_000_000, layers=30, attention=576),
}
TARIFF = Tariff(SIZES, PRICES, UPSTREAM)
SECONDS_PER_TOKEN = {"cheap": 0.001, "verifier": 0.001, "strong": 0.004}


def action(action_type: str, value: int = 0) -> Action:
    """An action of the type; a call's argument is `value`."""
    if action_type in SPEAKING:
        return Action(type=action_type, content="text")
    return Action(type=action_type, tool=f"{action_type}_tool", arguments={"value": value})


def candidate(proposed: Action | None, **fields: Any) -> Candidate:
    """A generated action; None is malformed output."""
    known = {"text": "text", "confidence": 0.5 if proposed else 0.0, "logprob": -2.0, "tokens": 10, "seconds": 0.1}
    return Candidate(action=proposed, **{**known, **fields})


def make_row(
    context: int = 100,
    gold: str = "final_answer",
    cheap: tuple[str | None, ...] = ("final_answer",),
    strong: str | None = "final_answer",
    verifier: tuple[float, ...] = (0.5,),
    strong_verdict: tuple[float, ...] | None = None,
    **fields: Any,
) -> Answers:
    """One decision: cheap's proposals and strong's action by type (None: malformed), judges' scores of proposals.

    context, window: the same for every role. Each verdict is a computation of its own.
    """
    known: dict[str, Any] = {"episode": "e0", "group": "g0", "source": "toy", "decision": 0}
    fields = {**known, **fields}
    return Answers(
        context=everywhere(context),
        window=everywhere(fields.pop("window", 0)),
        picks=fields.pop("picks", tuple(range(len(cheap)))),
        gold=action(gold),
        cheap=tuple(candidate(t and action(t)) for t in cheap),
        strong=candidate(strong and action(strong), tokens=12, seconds=0.6),
        verifier=tuple(Verdict(score=s, tokens=11, heads=1, seconds=0.02, shared=n) for n, s in enumerate(verifier)),
        verifier_likelihood=tuple(
            Verdict(score=s / 2, tokens=0, heads=1, seconds=0.0, shared=n) for n, s in enumerate(verifier)
        ),
        strong_verdict=tuple(
            Verdict(score=s, tokens=10, heads=10, seconds=0.05, shared=n)
            for n, s in enumerate(strong_verdict or verifier)
        ),
        seconds_per_token=SECONDS_PER_TOKEN,
        **fields,
    )


def make_case(route: float = 0.5, combined: float = 0.5, **fields: Any) -> Case:
    """One decision with its scores; fields as of `make_row`. Policies go by what it has for `verifier`."""
    return case_of(make_row(**fields), route, combined)


def case_of(row: Answers, route: float = 0.5, combined: float = 0.5) -> Case:
    """A given row's case, the first of its turn; policies go by the verifier's verdicts."""
    return Case(row, row.verifier, route, combined)


def turn_of(case: Case) -> int:
    """The number of its turn in `make_cases`: the user speaks before every third decision."""
    return case.row.decision // 3


def in_turns(cases: list[Case]) -> list[Case]:
    """The same decisions, each with those before it in its turn."""
    linked: list[Case] = []
    for case in cases:
        before = linked[-1:] if linked and linked[-1].row.episode == case.row.episode else []
        earlier = (*before[0].earlier, *before) if before and turn_of(before[0]) == turn_of(case) else ()
        linked.append(replace(case, earlier=earlier))
    return linked


def edited(case: Case, **fields: Any) -> Case:
    """The same decision with another record."""
    return replace(case_of(case.row.model_copy(update=fields), case.route, case.combined), earlier=case.earlier)


def everywhere(value: int) -> dict[str, int]:
    """The same for every role."""
    return dict.fromkeys(("cheap", "verifier", "strong"), value)


def make_rows(episodes: int = 20, seed: int = 0, digits: int = 2, proposals: int = 3) -> list[Answers]:
    """The record of `make_cases`."""
    return [case.row for case in make_cases(episodes, seed, digits, proposals)]


def make_cases(episodes: int = 20, seed: int = 0, digits: int = 2, proposals: int = 3) -> list[Case]:
    """Episodes of one to nine decisions in windows of up to four and turns of three, three episodes a group.

    The strong model is right more often than the cheap one; both judges score right proposals higher. Scores have
    few digits, so that ties occur; equal proposals share one verdict, as recorded ones do.
    """
    return list(_cases(episodes, seed, digits, proposals))


@cache
def _cases(episodes: int, seed: int, digits: int, proposals: int) -> tuple[Case, ...]:
    rng = random.Random(seed)
    cases = []
    for number in range(episodes):
        context = 0
        for decision in range(rng.randint(1, 9)):
            context = rng.randint(60, 120) if decision % 4 == 0 else context + rng.randint(15, 60)
            gold = rng.choice((*ACTION_TYPES, "final_answer", "final_answer"))
            place = {"episode": f"e{number}", "group": f"g{number // 3}", "source": "toy"}
            place["window"] = everywhere(decision // 4)
            cases.append(_case(rng, gold, context, digits, proposals, decision=decision, **place))
    return tuple(in_turns(cases))


def _case(rng: random.Random, gold: str, context: int, digits: int, proposals: int, **place: Any) -> Case:
    cheap = tuple(_candidate(rng, gold, 0.6) for _ in range(proposals))
    right = [c.action is not None and c.action.type == gold for c in cheap]
    row = Answers(
        context=everywhere(context),
        gold=action(gold, 1),
        cheap=cheap,
        picks=tuple(range(proposals)),
        strong=_candidate(rng, gold, 0.7),
        verifier=_verdicts(rng, cheap, right, digits),
        verifier_likelihood=_verdicts(rng, cheap, right, digits),
        strong_verdict=_verdicts(rng, cheap, right, digits),
        seconds_per_token=SECONDS_PER_TOKEN,
        **place,
    )
    route = _score(rng, 0.55 if right[0] else 0.45, digits)
    return case_of(row, route, combined=_score(rng, 0.6 if right[0] else 0.4, digits))


def _score(rng: random.Random, around: float, digits: int) -> float:
    return round(min(0.99, max(0.01, rng.gauss(around, 0.2))), digits)


def _candidate(rng: random.Random, gold: str, skill: float) -> Candidate:
    proposed: Action | None = action(gold if rng.random() < skill else rng.choice(ACTION_TYPES), rng.randint(0, 1))
    tokens = rng.randint(2, 30)
    if rng.random() < 0.05:
        proposed = None
    return candidate(
        proposed,
        text=str(proposed),
        confidence=round(rng.random(), 3) if proposed else 0.0,
        logprob=-rng.random() * tokens,
        tokens=tokens,
        seconds=tokens * 0.02,
    )


def _verdicts(rng: random.Random, cheap: tuple[Candidate, ...], right: list[bool], digits: int) -> tuple[Verdict, ...]:
    found: dict[str, Verdict] = {}
    for number, (one, good) in enumerate(zip(cheap, right, strict=True)):
        score = _score(rng, 0.6 if good else 0.4, digits)
        new = Verdict(score=score, tokens=one.tokens + 1, heads=1, seconds=0.01, shared=number)
        if one.action is None:
            new = Verdict(score=0.0, tokens=0, heads=0, seconds=0.0, shared=number)
        found.setdefault(one.text, new)
    return tuple(found[one.text] for one in cheap)


def with_middle(cases: list[Case], seed: int = 0, skill: float = 0.65) -> list[Case]:
    """The same where the verifier's model says what it would do itself, right that often."""
    rng = random.Random(seed)
    acting = [edited(case, middle=_candidate(rng, case.row.gold.type, skill)) for case in cases]
    return in_turns([replace(case, earlier=()) for case in acting])


def unverified(cases: list[Case]) -> list[Case]:
    """The same without a verifier: nobody judged the proposals, of which there is one each, and there is no router."""

    def alone(case: Case) -> Case:
        row = case.row
        fields = {name: without_verifier(getattr(row, name)) for name in ("window", "context", "seconds_per_token")}
        fields |= {"verifier": (), "verifier_likelihood": (), "cheap": row.cheap[:1], "picks": (0,)}
        fields["strong_verdict"] = row.strong_verdict[:1]
        return Case(row.model_copy(update=fields), (), nan, nan)

    return [alone(case) for case in cases]


def without_verifier(by_role: dict[Any, Any]) -> dict[Any, Any]:
    return {role: value for role, value in by_role.items() if role != "verifier"}


def recorded(cases: list[Case], timed: bool = False) -> list[Case]:
    """The same, the strong model being the agent that wrote the traces: it did the right thing, and judged nothing.

    timed: whether the traces say how long its calls took.
    """

    def did(case: Case) -> Candidate:
        return case.strong.model_copy(update={"action": case.row.gold})

    pace = {role: seconds for role, seconds in SECONDS_PER_TOKEN.items() if role != "strong"}
    pace |= {"strong": 0.0} if timed else {}
    return in_turns([edited(case, strong=did(case), strong_verdict=(), seconds_per_token=pace) for case in cases])
