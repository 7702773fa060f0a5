"""The numbers of the comparison: policies and baselines over the same recorded test answers, with intervals.

    tracks = run(cases, tariff, thresholds, majority, level)
    evaluation = evaluate(cases, tracks, tariff, settings, weights)       # what metrics/eval.json holds

A `Track` is what one policy or baseline did at every decision; everything else is computed from tracks. Every
interval is a 95 % bootstrap that resamples groups; all come from the same resamples, so differences are paired.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import isnan
from typing import Any, Literal, NamedTuple

import numpy as np

from specacts.answering.effects import SameEffect, by_text, does_the_same
from specacts.answering.records import Answers
from specacts.core.episodes import agrees
from specacts.core.results import Estimate, spread_out
from specacts.core.words import ACTION_TYPES, SPEAKING, JudgeScore, Level
from specacts.core.words import LEVELS as TEXT_LEVELS
from specacts.evaluation.frontier import (
    Ends,
    above_line,
    area,
    by_episode,
    coin_area,
    curve,
    episode_weights,
    perfect_router,
    shares,
    staircase,
    undominated,
)
from specacts.evaluation.latency import Seconds, hits, lossless, parallel, read_only_calls, serial, tool_seconds
from specacts.evaluation.quality import score_quality, verifier_quality
from specacts.evaluation.results import (
    Accuracies,
    Area,
    Climbed,
    Evaluation,
    Frontier,
    Hopped,
    Hopping,
    Kept,
    Latency,
    MeanCharge,
    Standing,
    Summary,
    Versus,
    WithTools,
)
from specacts.evaluation.rules import decided
from specacts.evaluation.speech import speech
from specacts.evaluation.stats import estimate, mean, ratio
from specacts.policies.cases import Case, Side, compared, judging, laddered, verified
from specacts.policies.choose import correct, right_sides
from specacts.policies.cost import (
    COST_MODELS,
    Charge,
    Tariff,
    charges,
    counted,
    expected_charges,
    hopped,
    sweep,
    total,
    without_fallback,
)
from specacts.policies.decide import (
    NEVER,
    Bars,
    Outcome,
    Threshold,
    accepting,
    act,
    climb,
    middle_alone,
    rejecting,
    taking,
)
from specacts.policies.probability import Calibration
from specacts.policies.table import BASELINES, POLICIES, coin_of

AnyLevel = Level | Literal["effect"]
LEVELS: tuple[AnyLevel, ...] = (*TEXT_LEVELS, "effect")
"""How closely an action agrees with gold: by its text (episodes.py), or by what it does when it is executed."""
MALFORMED = "malformed"
"""The class of an output that is no action, in confusion matrices."""


class Track(NamedTuple):
    """A policy or baseline over the test decisions; arrays are [cases] and hold probabilities where it tosses coins.

    right: at each level. kept: whether the cheap model's action was taken; None where no model was asked.
    proposed_right: for judges, whether the proposal was right at the acceptance level, taken or not.
    unpaid: upstream's price of the calls without what the strong model does itself, as upstream's own table has it.
    hopped: tokens that the strong model reads anew only because it did not see the decisions before.
    middle: whether the verifier's model acted itself.
    """

    right: dict[AnyLevel, np.ndarray]
    kept: np.ndarray | None
    malformed: np.ndarray
    charges: list[Charge]
    proposed_right: np.ndarray | None = None
    unpaid: np.ndarray | None = None
    hopped: np.ndarray | None = None
    middle: np.ndarray | None = None


def run(
    cases: list[Case],
    tariff: Tariff,
    thresholds: Mapping[str, Threshold],
    majority: str,
    level: Level,
    same: Sequence[SameEffect] | None = None,
    bars: Bars | None = None,
) -> dict[str, Track]:
    """Every policy and baseline over `cases`, by name.

    thresholds: of the judging policies. majority: the action type that the majority baseline always answers.
    same: a case's candidates by effect; without it calls are compared by their text. bars: the cascade's; None where
    there is none.
    """
    judged = Judged.of(cases, same)
    tracks = {}
    judges = judging(cases)
    for name in compared(cases):
        proposed = judged.right([case.sides[name].accept for case in cases], level) if name in judges else None
        tracks[name] = track(judged, [act(name, case, thresholds.get(name)) for case in cases], tariff, proposed)
    tracks["majority"] = constant(cases, {t: float(t == majority) for t in ACTION_TYPES})
    tracks["random"] = constant(cases, {t: 1 / len(ACTION_TYPES) for t in ACTION_TYPES})
    sides = {name: [case.sides[name] for case in cases] for name in judges}
    for name in judges:
        tracks[coin_of(name)] = random_accept(judged, sides[name], kept_share(tracks[name]), level, tariff)
    if laddered(cases):
        tracks["middle"] = track(judged, [middle_alone(case) for case in cases], tariff)
    if bars:
        tracks["cascade"] = track(judged, [climb(case, bars) for case in cases], tariff)
    if "D" in judges:
        tracks["oracle"] = oracle(judged, sides["D"], level, tariff)
    if "E" in judges:
        picks = [pick_right(case, level) for case in cases]
        tracks["oracle_picks"] = oracle(judged, picks, level, tariff)
    tracks["oracle_routes"] = oracle(judged, list(map(routed, cases)), level, tariff)
    return tracks


def routed(case: Case) -> Side:
    """Between which outcomes a router chooses, whether or not there is one."""
    return Side(case.route, accepting("G", case), rejecting("G", case))


def run_guaranteed(
    cases: list[Case],
    tariff: Tariff,
    thresholds: Mapping[str, Mapping[str, Threshold]],
    same: Sequence[SameEffect] | None = None,
) -> dict[str, dict[str, Track]]:
    """Judging policies at safe thresholds, by policy and risk. Where none is safe it is A: nobody else is asked."""
    judged = Judged.of(cases, same)
    return {
        name: {
            risk: track(judged, [act_safely(name, case, threshold) for case in cases], tariff)
            for risk, threshold in by_risk.items()
        }
        for name, by_risk in thresholds.items()
    }


def act_safely(name: str, case: Case, threshold: Threshold) -> Outcome:
    """What judging policy `name` does, or A where it would never accept anything."""
    bars = threshold.values() if isinstance(threshold, Mapping) else [threshold]
    return act("A" if min(bars) >= NEVER else name, case, threshold)


class Judged(NamedTuple):
    """Decisions, and what each of their candidates would do."""

    cases: list[Case]
    same: Sequence[SameEffect]

    @classmethod
    def of(cls, cases: list[Case], same: Sequence[SameEffect] | None) -> "Judged":
        """Compared by effect, or where nothing was executed by text."""
        return cls(cases, same or [by_text(case.row) for case in cases])

    @property
    def rows(self) -> list[Answers]:
        return [case.row for case in self.cases]

    def right(self, outcomes: list[Outcome], level: AnyLevel) -> np.ndarray:
        """Whether each outcome agrees with its gold action at a level of `LEVELS`: 1.0 or 0.0, [cases]."""
        if level == "effect":
            triples = zip(self.rows, self.same, outcomes, strict=True)
            return np.array([does_the_same(row, same, outcome.action) for row, same, outcome in triples], dtype=float)
        return np.array(correct(self.cases, outcomes, level), dtype=float)


def track(judged: Judged, outcomes: list[Outcome], tariff: Tariff, proposed_right: np.ndarray | None = None) -> Track:
    """What these outcomes were worth and cost."""
    return Track(
        right={level: judged.right(outcomes, level) for level in LEVELS},
        kept=np.array([outcome.actor == "cheap" for outcome in outcomes], dtype=float),
        malformed=malformed(outcomes),
        charges=charges(judged.rows, outcomes, tariff),
        proposed_right=proposed_right,
        unpaid=np.array([without_fallback(outcome, tariff.upstream) for outcome in outcomes]),
        hopped=np.array(hopped(judged.rows, outcomes, [act("A", case) for case in judged.cases]), dtype=float),
        middle=np.array([outcome.actor == "verifier" for outcome in outcomes], dtype=float),
    )


def malformed(outcomes: list[Outcome]) -> np.ndarray:
    return np.array([outcome.action is None for outcome in outcomes], dtype=float)


def constant(cases: list[Case], chances: dict[str, float]) -> Track:
    """Answering a type with a fixed chance, the context unseen: expectations, at no cost.

    It says nothing and names no tool, so above the type level it is right where a speaking action was due only.
    """
    due = [case.row.gold.type for case in cases]
    typed = np.array([chances[kind] for kind in due])
    spoken = np.array([chances[kind] if kind in SPEAKING else 0.0 for kind in due])
    nothing = total([])
    return Track(
        right={"type": typed, "tool": spoken, "call": spoken, "effect": spoken},
        kept=None,
        malformed=np.zeros(len(cases)),
        charges=[nothing] * len(cases),
    )


def random_accept(judged: Judged, sides: list[Side], rate: float, level: Level, tariff: Tariff) -> Track:
    """A judging policy with a coin for a verdict, accepting with probability `rate`: exact expectations.

    It is charged like the policy, which still asks its judge. Each decision has a toss of its own, also where the
    policy sticks: then its coin proposes at every decision, and the policy does not.
    """
    accepted, rejected = [side.accept for side in sides], [side.reject for side in sides]

    def expected(measured: Callable[[list[Outcome]], np.ndarray]) -> np.ndarray:
        return rate * measured(accepted) + (1 - rate) * measured(rejected)

    return Track(
        right={lv: expected(partial(judged.right, level=lv)) for lv in LEVELS},
        kept=np.full(len(sides), rate),
        malformed=expected(malformed),
        charges=expected_charges(judged.rows, sides, rate, tariff),
        proposed_right=judged.right(accepted, level),
    )


def oracle(judged: Judged, sides: list[Side], level: Level, tariff: Tariff) -> Track:
    """A judge that accepts exactly the right proposals: what no verifier of these proposals can exceed at `level`."""
    proposed = judged.right([side.accept for side in sides], level)
    outcomes = [side.accept if right else side.reject for side, right in zip(sides, proposed, strict=True)]
    return track(judged, outcomes, tariff, proposed)


def pick_right(case: Case, level: Level) -> Side:
    """Policy E's side with the first right one of its N proposals put forward, where there is one."""
    side, row = case.sides["E"], case.row
    right = (n for n, number in enumerate(row.picks) if agrees(row.cheap[number].action, row.gold, level))
    number = next(right, None)
    return side if number is None else side._replace(accept=taking("E", case, number))


# -- metrics ------------------------------------------------------------------------------------------------


class Settings(NamedTuple):
    """What the evaluation is asked for: the level that decides, what the verifier's score is, which cost is plotted."""

    level: Level
    judge: JudgeScore
    cost_model: str


def evaluate(
    cases: list[Case],
    tracks: dict[str, Track],
    tariff: Tariff,
    settings: Settings,
    weights: np.ndarray,
    safe: Mapping[str, Mapping[str, Track]],
    calibrations: Mapping[str, Calibration],
    same: Sequence[SameEffect] | None = None,
) -> Evaluation:
    """Everything in `metrics/eval.json`.

    weights: `resample_weights` of the cases' groups. safe: `run_guaranteed`'s tracks. calibrations: by policy, of the
    scores of greedy proposals.
    """
    level, strong, judged = settings.level, tracks["A"], Judged.of(cases, same)
    letters = compared(cases)
    return Evaluation(
        decisions=len(cases),
        groups=len({case.row.group for case in cases}),
        level=level,
        policies={name: summary(tracks[name], strong, weights) for name in letters},
        paired=paired(tracks, weights),
        frontier=frontier(cases, tracks, tariff, settings, weights),
        guaranteed={
            name: {risk: promise(own, strong, level, weights) for risk, own in by_risk.items()}
            for name, by_risk in safe.items()
        },
        verifier=verifier_quality(judged.rows, level, settings.judge, weights) if verified(judged.rows) else None,
        scores=score_quality(cases, calibrations, level, weights),
        baselines={name: summary(tracks[name], strong, weights) for name in BASELINES if name in tracks},
        cascade=climbed(tracks, letters, weights) if "cascade" in tracks else None,
        latency=latency(judged, tracks, tariff, weights) if timed(tracks) else None,
        cost_per_decision={name: per_decision(tracks[name]) for name in letters},
        cost_per_episode={name: per_episode(judged.rows, tracks[name]) for name in letters},
        speech=speech(judged.rows, weights) or None,
        rules=decided(judged.rows),
        hopping=Hopped(
            policies={name: hopping(tracks[name], strong, tariff, weights) for name in letters},
            guaranteed={
                name: {risk: hopping(own, strong, tariff, weights) for risk, own in by_risk.items()}
                for name, by_risk in safe.items()
            },
        ),
        upstream_without_fallback={name: float(asked(tracks[name].unpaid).mean()) for name in judging(cases)},
    )


def summary(track: Track, strong: Track, weights: np.ndarray) -> Summary:
    """One policy's or baseline's accuracies, accept rate, precision and recall of ACCEPT, and cost relative to A."""
    precision = recall = None
    if track.kept is not None and track.proposed_right is not None:
        hits = track.kept * track.proposed_right
        precision = ratio(hits, track.kept, weights).otherwise(0.0)
        recall = ratio(hits, track.proposed_right, weights).otherwise(0.0)
    return Summary(
        **accuracies(track.right, weights),
        accept_rate=None if track.kept is None else mean(track.kept, weights),
        precision=precision,
        recall=recall,
        malformed=float(track.malformed.mean()),
        cost=relative_costs(track, strong, weights),
    )


def accuracies(right: Mapping[AnyLevel, np.ndarray], weights: np.ndarray) -> dict[str, Estimate]:
    """Fields of `Accuracies`, of what was right at each level, or of a difference of two."""
    return {f"{level}_accuracy": mean(right[level], weights) for level in LEVELS}


def promise(track: Track, strong: Track, level: Level, weights: np.ndarray) -> Kept:
    """What a policy at a guaranteed threshold did."""
    lost = strong.right[level] - track.right[level]
    return Kept(accept_rate=kept_share(track), lost=mean(lost, weights), cost=relative_costs(track, strong, weights))


def relative_costs(track: Track, strong: Track, weights: np.ndarray) -> dict[str, Estimate]:
    """`relative_cost` by every cost model that says something of both."""
    known = counted(track.charges)
    return {model: relative_cost(track, strong, model, weights) for model in counted(strong.charges) if model in known}


def relative_cost(track: Track, strong: Track, model: str, weights: np.ndarray) -> Estimate:
    """Total charge over policy A's."""
    return ratio(spent(track, model), spent(strong, model), weights)


def spent(track: Track, model: str) -> np.ndarray:
    """Each decision's charge by one cost model, [cases]."""
    return np.array([getattr(charge, model) for charge in track.charges])


def per_decision(track: Track) -> MeanCharge:
    """Mean charge of a decision."""
    return _mean_charge(track, len(track.charges))


def per_episode(rows: Sequence[Answers], track: Track) -> MeanCharge:
    """Mean charge of an episode."""
    return _mean_charge(track, len({row.episode for row in rows}))


def hopping(track: Track, strong: Track, tariff: Tariff, weights: np.ndarray) -> Hopping:
    """The price of hopping between models. A miss is what tokens read anew cost beyond cached ones."""
    tokens, price = asked(track.hopped), tariff.prices.strong
    money = tokens * (price.input - price.cached_input)
    return Hopping(
        tokens=float(tokens.mean()),
        money=float(money.mean()),
        share=ratio(money / 1e6, spent(strong, "money"), weights),
    )


def _mean_charge(track: Track, count: int) -> MeanCharge:
    means = {name: value / count for name, value in total(track.charges)._asdict().items()}
    means["money"] *= 1e6  # metrics are rounded to four digits
    known = {name: value for name, value in means.items() if not isnan(value)}
    return MeanCharge(**{name: round(value) if "flops" in name else value for name, value in known.items()})


def frontier(
    cases: list[Case], tracks: Mapping[str, Track], tariff: Tariff, settings: Settings, weights: np.ndarray
) -> Frontier:
    """Which policies are dominated, how each stands to a coin, and what share of the possible it wins."""
    level, model, rows = settings.level, settings.cost_model, [case.row for case in cases]
    letters, judges = compared(cases), judging(cases)
    every = np.vstack([np.ones(len(cases)), weights])
    accuracy = np.stack([every @ tracks[name].right[level] / every.sum(axis=1) for name in letters], axis=1)
    costs = {name: spent(tracks[name], model) for name in letters}
    cost = np.stack([every @ costs[name] / (every @ costs["A"]) for name in letters], axis=1)
    free = undominated(cost, accuracy)
    a, b, low = accuracy[:, 0], accuracy[:, 1], cost[:, 1]
    strong, cheap = tracks["A"].right[level], tracks["B"].right[level]
    ends = Ends(
        strong_right=by_episode(rows, strong),
        strong_cost=by_episode(rows, costs["A"]),
        cheap_right=by_episode(rows, cheap),
        cheap_cost=by_episode(rows, costs["B"]),
        decisions=by_episode(rows, np.ones(len(cases))),
    )
    sampled = episode_weights(rows, weights)
    perfect = perfect_router(cases, cheap, strong, costs["A"] - costs["B"], tariff, model)
    coin, best = coin_area(ends, sampled), area(perfect, ends, sampled)
    found = {}
    for n, name in enumerate(letters):
        own: dict[str, Estimate] = {}
        if name in judges:
            areas = area(curve(cases, name, *right_sides(cases, name, level), tariff, model), ends, sampled)
            gain = tracks[name].right[level] - tracks[coin_of(name)].right[level]
            own["minus_coin"] = mean(gain, weights)
            own["area"] = estimate(float(areas[0]), areas[1:])
            own["headroom"] = shares(areas, coin, best).otherwise(0.0)
        line = above_line(accuracy[:, n], cost[:, n], a, b, low)
        found[name] = Standing(
            above_line=estimate(float(line[0]), line[1:]),
            undominated=int(free[0, n]),
            undominated_share=float(free[1:, n].mean()),
            **own,
        )
    stairs = staircase(cost, accuracy, low)
    return Frontier(
        policies=found,
        area_of_all=Area(area=estimate(float(stairs[0]), stairs[1:])),
        area_of_coin=Area(area=estimate(float(coin[0]), coin[1:])),
        area_of_perfect_router=Area(area=estimate(float(best[0]), best[1:])),
    )


TOOL_SECONDS: dict[str, float | None] = {"as_measured": None, "1_s": 1.0, "5_s": 5.0}
"""What tools take: on the simulators, and as a web service or a test run would."""


def timed(tracks: Mapping[str, Track]) -> bool:
    """Whether it is known how long A takes, and there is a verifier to wait for."""
    return "D" in tracks and "seconds" in counted(tracks["A"].charges)


def latency(judged: Judged, tracks: Mapping[str, Track], tariff: Tariff, weights: np.ndarray) -> Latency:
    """Seconds a decision, tool included, of A, and of other ways to act relative to A (`latency.py`)."""
    rows = judged.rows
    strong, cheap = (spent(tracks[name], "seconds") for name in ("A", "B"))
    asking = charges(rows, [case.sides["D"].accept for case in judged.cases], tariff)
    judging = np.array([charge.seconds for charge in asking]) - cheap
    words = np.array([row.cheap[0].taken_seconds - row.cheap[0].seconds for row in rows])
    unverified = Seconds(strong, cheap - words, np.zeros(len(rows)), words)
    verified = unverified._replace(verdict=judging)
    by_tool, work = {}, {}
    for name, given in TOOL_SECONDS.items():
        tools = tool_seconds(rows, judged.same, given)
        reference = serial(strong, tools)
        ways = {
            "serial_D": serial(spent(tracks["D"], "seconds"), tools),
            "parallel_D": parallel(verified, asked(tracks["D"].kept) > 0, tools),
            "serial_F": serial(spent(tracks["F"], "seconds"), tools),
            "parallel_F": parallel(unverified, asked(tracks["F"].kept) > 0, tools),
            "lossless": lossless(unverified, hits(rows, 1), tools),
        }
        relative = {way: ratio(timed.seconds, reference.seconds, weights) for way, timed in ways.items()}
        means = {"seconds_of_A": float(reference.seconds.mean()), "tool_seconds": float(tools.mean())}
        by_tool[name] = WithTools(**means, **relative)
        work = {f"work_{way}": ratio(timed.work, reference.work, weights) for way, timed in ways.items()}
    callable_ = read_only_calls(rows).astype(float)
    guessed = {
        key: ratio(hits(rows, guesses), callable_, weights).otherwise(0.0)
        for key, guesses in (("hit_rate_first_1", 1), ("hit_rate_first_all", len(rows[0].cheap)))
    }
    return Latency(by_tool_seconds=by_tool, **work, read_only_calls=int(callable_.sum()), **guessed)


def paired(tracks: Mapping[str, Track], weights: np.ndarray) -> dict[str, Accuracies]:
    """Differences in accuracy on the same decisions: every policy minus A, and minus B."""
    found = {}
    for other in ("A", "B"):
        for name in POLICIES:
            if name != other and name in tracks:
                both = tracks[name].right, tracks[other].right
                gain = {level: both[0][level] - both[1][level] for level in LEVELS}
                found[f"{name}_minus_{other}"] = Accuracies(**accuracies(gain, weights))
    return found


def climbed(tracks: Mapping[str, Track], letters: Sequence[str], weights: np.ndarray) -> Climbed:
    """Who acts in the cascade, and what each policy, and the verifier's model alone, does better or worse than it."""
    return Climbed(
        from_middle=mean(asked(tracks["cascade"].middle), weights),
        against={name: versus(tracks[name], tracks["cascade"], tracks["A"], weights) for name in (*letters, "middle")},
    )


def versus(one: Track, other: Track, unit: Track, weights: np.ndarray) -> Versus:
    """The first minus the second, on the same decisions; costs in units of the third's."""
    gain = {level: one.right[level] - other.right[level] for level in LEVELS}
    known = [model for model in counted(other.charges) if model in counted(unit.charges)]
    extra = {model: ratio(spent(one, model) - spent(other, model), spent(unit, model), weights) for model in known}
    return Versus(**accuracies(gain, weights), cost=extra)


def asked(part: np.ndarray | None) -> np.ndarray:
    """A part of a track that is there where models are asked, [cases]."""
    assert part is not None
    return part


def kept_share(track: Track) -> float:
    """How often the cheap model's action was taken."""
    return float(asked(track.kept).mean())


# -- data of the plots --------------------------------------------------------------------------------------

OUTCOME = ("episode", "decision", "group", "policy", *(f"right_{level}" for level in LEVELS), *COST_MODELS)
FRONTIER = ("name", "kind", "threshold", "cost", "cost_low", "cost_high", "accuracy", "accuracy_low", "accuracy_high")
CONFUSION = ("actual", "predicted")
ACCEPT_RATE = ("policy", "action_type", "decisions", "accept_rate", "accept_rate_low", "accept_rate_high", "precision")
SWEEP_POINTS = 60

Cells = tuple[str | float | None, ...]


def outcomes(cases: list[Case], tracks: Mapping[str, Track]) -> Iterator[Cells]:
    """Rows of `OUTCOME`: whether each policy was right at each decision, and what it was charged there."""
    for name in compared(cases):
        track = tracks[name]
        for n, case in enumerate(cases):
            right = (int(track.right[level][n]) for level in LEVELS)
            place = (case.row.episode, case.row.decision, case.row.group)
            charged = (None if isnan(value) else value for value in track.charges[n][: len(COST_MODELS)])
            yield (*place, name, *right, *charged)


def frontier_points(
    cases: list[Case], tracks: Mapping[str, Track], evaluation: Evaluation, tariff: Tariff, settings: Settings
) -> list[Cells]:
    """Rows of `FRONTIER`: policies and baselines with their intervals, then judging policies at many thresholds.

    cost: in units of A's, by the configured cost model. The sweeps are over the test split: for the eye only.
    """
    shown = [(name, "policies", entry) for name, entry in evaluation.policies.items()]
    shown += [(name, "baselines", entry) for name, entry in evaluation.baselines.items() if BASELINES[name].shown]
    result: list[Cells] = [
        (name, kind, None, *entry.cost[settings.cost_model], *entry.accuracy(settings.level))
        for name, kind, entry in shown
        if settings.cost_model in entry.cost
    ]
    strong = getattr(total(tracks["A"].charges), settings.cost_model)
    for name in judging(cases):
        accept, reject = right_sides(cases, name, settings.level)
        for point in thinned(sweep(cases, name, tariff), SWEEP_POINTS):
            accuracy = float(np.where(point.accepted, accept, reject).mean())
            relative = getattr(point.charge, settings.cost_model) / strong
            result.append((name, "sweep", point.threshold, relative, None, None, accuracy, None, None))
    return result


def thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(n * (len(values) - 1) / (most - 1))] for n in range(most)]


def confusion(cases: list[Case], name: str) -> list[Cells]:
    """Rows of `CONFUSION`, one a decision: the type that was due, and the type of what A or B did."""
    actions = [act(name, case).action for case in cases]
    due = [case.row.gold.type for case in cases]
    return [(kind, action.type if action else MALFORMED) for kind, action in zip(due, actions, strict=True)]


def accept_rates(cases: list[Case], tracks: Mapping[str, Track], weights: np.ndarray) -> list[Cells]:
    """Rows of `ACCEPT_RATE`: how often each judge let the proposal through, by the type that was due.

    precision: of what it let through, the share that was right at the acceptance level; None where it let nothing.
    """
    result: list[Cells] = []
    for name in judging(cases):
        taken, proposed_right = asked(tracks[name].kept), asked(tracks[name].proposed_right)
        for action_type in ACTION_TYPES:
            due = np.array([case.row.gold.type == action_type for case in cases], dtype=float)
            if due.any():
                rate = spread_out("rate", ratio(due * taken, due, weights)).values()
                precision = spread_out("precision", ratio(due * taken * proposed_right, due * taken, weights))
                result.append((name, action_type, int(due.sum()), *rate, precision["precision"]))
    return result
