"""The numbers of the comparison: policies and baselines over the same recorded test answers, with intervals.

    tracks = run(rows, tariff, thresholds, majority, level)
    evaluation = evaluate(rows, tracks, tariff, settings, weights)       # what metrics/eval.json holds

A `Track` is what one policy or baseline did at every decision; everything else is computed from tracks. Every
interval is a 95 % bootstrap that resamples groups; all come from the same resamples, so differences are paired.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from specacts.answering.effects import SameEffect, by_text, does_the_same
from specacts.answering.records import Answers
from specacts.core.episodes import agrees
from specacts.core.words import ACTION_TYPES, SPEAKING, JudgeScore, Level
from specacts.core.words import LEVELS as TEXT_LEVELS
from specacts.evaluation.frontier import (
    Curve,
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
from specacts.evaluation.stats import Estimate, estimate, mean, ratio, spread_out
from specacts.policies.choose import correct
from specacts.policies.cost import (
    COST_MODELS,
    Charge,
    Tariff,
    charges,
    expected_charges,
    sweep,
    total,
    without_fallback,
)
from specacts.policies.decide import (
    JUDGING,
    NEVER,
    Choice,
    Outcome,
    Policy,
    Threshold,
    always_strong,
    choices,
    policies,
)
from specacts.policies.probability import Calibration

POLICIES = ("A", "B", *JUDGING)
LEVELS = (*TEXT_LEVELS, "effect")
"""How closely an action agrees with gold: by its text (episodes.py), or by what it does when it is executed."""
BASELINES = (
    "majority",
    "random",
    *(f"random_accept_{name}" for name in JUDGING),
    "oracle",
    "oracle_picks",
    "oracle_routes",
)
MALFORMED = "malformed"
"""The class of an output that is no action, in confusion matrices."""


class Track(NamedTuple):
    """A policy or baseline over the test decisions; each array is [rows] and holds probabilities where it tosses coins.

    right: at each level. kept: whether the cheap model's action was taken; None where no model was asked.
    proposed_right: for judges, whether the proposal was right at the acceptance level, taken or not.
    unpaid: upstream's price of the calls without what the strong model does itself, as upstream's own table has it.
    """

    right: dict[str, np.ndarray]
    kept: np.ndarray | None
    malformed: np.ndarray
    charges: list[Charge]
    proposed_right: np.ndarray | None = None
    unpaid: np.ndarray | None = None


def run(
    rows: list[Answers],
    tariff: Tariff,
    thresholds: Mapping[str, Threshold],
    majority: str,
    level: Level,
    same: Sequence[SameEffect] | None = None,
) -> dict[str, Track]:
    """Every policy and baseline over `rows`, by name.

    thresholds: of the judging policies. majority: the action type that the majority baseline always answers.
    same: a row's candidates by effect; without it calls are compared by their text alone.
    """
    judged = Judged(rows, same or [by_text(row) for row in rows])
    both = {name: choices(rows, name) for name in JUDGING}
    tracks = {}
    for name, policy in policies(thresholds).items():
        proposed = None
        if name in JUDGING:
            proposed = judged.right([choice.accept for choice in both[name]], level)
        tracks[name] = track(judged, [policy(row) for row in rows], tariff, proposed)
    tracks["majority"] = constant(rows, {t: float(t == majority) for t in ACTION_TYPES})
    tracks["random"] = constant(rows, {t: 1 / len(ACTION_TYPES) for t in ACTION_TYPES})
    for name in JUDGING:
        tracks[coin_of(name)] = random_accept(judged, both[name], float(tracks[name].kept.mean()), level, tariff)
    tracks["oracle"] = oracle(judged, both["D"], level, tariff)
    picks = [pick_right(row, choice, level) for row, choice in zip(rows, both["E"], strict=True)]
    tracks["oracle_picks"] = oracle(judged, picks, level, tariff)
    tracks["oracle_routes"] = oracle(judged, both["G"], level, tariff)
    return tracks


def coin_of(name: str) -> str:
    """The baseline that accepts as often as judging policy `name`, at random."""
    return f"random_accept_{name}"


def run_guaranteed(
    rows: list[Answers],
    tariff: Tariff,
    thresholds: Mapping[str, Mapping[str, Threshold]],
    same: Sequence[SameEffect] | None = None,
) -> dict[str, dict[str, Track]]:
    """Judging policies at safe thresholds, by policy and risk. Where none is safe it is A: nobody else is asked."""
    judged = Judged(rows, same or [by_text(row) for row in rows])
    result: dict[str, dict[str, Track]] = {}
    for name, by_risk in thresholds.items():
        found = {risk: safe_policy(name, threshold) for risk, threshold in by_risk.items()}
        result[name] = {risk: track(judged, [policy(row) for row in rows], tariff) for risk, policy in found.items()}
    return result


def safe_policy(name: str, threshold: Threshold) -> Policy:
    """Judging policy `name`, or A where it would never accept anything."""
    strictest = threshold.values() if isinstance(threshold, Mapping) else [threshold]
    return always_strong if min(strictest) >= NEVER else JUDGING[name](threshold)


class Judged(NamedTuple):
    """Decisions, and what each of their candidates would do."""

    rows: list[Answers]
    same: Sequence[SameEffect]

    def right(self, outcomes: list[Outcome], level: str) -> np.ndarray:
        """Whether each outcome agrees with its gold action at a level of `LEVELS`: 1.0 or 0.0, [rows]."""
        if level != "effect":
            return np.array(correct(self.rows, outcomes, level), dtype=float)
        triples = zip(self.rows, self.same, outcomes, strict=True)
        return np.array([does_the_same(row, same, outcome.action) for row, same, outcome in triples], dtype=float)


def track(judged: Judged, outcomes: list[Outcome], tariff: Tariff, proposed_right: np.ndarray | None = None) -> Track:
    """What these outcomes were worth and cost."""
    return Track(
        right={level: judged.right(outcomes, level) for level in LEVELS},
        kept=np.array([outcome.actor == "cheap" for outcome in outcomes], dtype=float),
        malformed=np.array([outcome.action is None for outcome in outcomes], dtype=float),
        charges=charges(judged.rows, outcomes, tariff),
        proposed_right=proposed_right,
        unpaid=np.array([without_fallback(outcome, tariff.upstream) for outcome in outcomes]),
    )


def constant(rows: list[Answers], chances: dict[str, float]) -> Track:
    """Answering a type with a fixed chance, the context unseen: expectations, at no cost.

    It says nothing and names no tool, so above the type level it is right where a speaking action was due only.
    """
    typed = np.array([chances[row.gold.type] for row in rows])
    spoken = np.array([chances[row.gold.type] if row.gold.type in SPEAKING else 0.0 for row in rows])
    nothing = total([])
    return Track(
        right={"type": typed, "tool": spoken, "call": spoken, "effect": spoken},
        kept=None,
        malformed=np.zeros(len(rows)),
        charges=[nothing] * len(rows),
    )


def random_accept(judged: Judged, both: list[Choice], rate: float, level: Level, tariff: Tariff) -> Track:
    """A judging policy with a coin for a verdict, accepting with probability `rate`: exact expectations.

    It is charged like the policy, which still asks its judge.
    """
    accept = track(judged, [choice.accept for choice in both], tariff)
    reject = track(judged, [choice.reject for choice in both], tariff)
    return Track(
        right={lv: rate * accept.right[lv] + (1 - rate) * reject.right[lv] for lv in LEVELS},
        kept=np.full(len(both), rate),
        malformed=rate * accept.malformed + (1 - rate) * reject.malformed,
        charges=expected_charges(judged.rows, both, rate, tariff),
        proposed_right=accept.right[level],
    )


def oracle(judged: Judged, both: list[Choice], level: Level, tariff: Tariff) -> Track:
    """A judge that accepts exactly the right proposals: what no verifier of these proposals can exceed at `level`."""
    proposed = judged.right([choice.accept for choice in both], level)
    outcomes = [choice.accept if right else choice.reject for choice, right in zip(both, proposed, strict=True)]
    return track(judged, outcomes, tariff, proposed)


def pick_right(row: Answers, choice: Choice, level: Level) -> Choice:
    """Policy E's choice with the first right one of its N proposals put forward, where there is one."""
    right = next((c for c in row.cheap if agrees(c.action, row.gold, level)), None)
    if right is None:
        return choice
    return choice._replace(accept=choice.accept._replace(action=right.action, tokens=right.tokens))


# -- metrics ------------------------------------------------------------------------------------------------


class Settings(NamedTuple):
    """What the evaluation is asked for: the level that decides, what the verifier's score is, which cost is plotted."""

    level: Level
    judge: JudgeScore
    cost_model: str


def evaluate(
    rows: list[Answers],
    recorded: list[Answers],
    tracks: dict[str, Track],
    tariff: Tariff,
    settings: Settings,
    weights: np.ndarray,
    safe: Mapping[str, Mapping[str, Track]],
    calibrations: Mapping[str, Calibration],
    same: Sequence[SameEffect] | None = None,
) -> dict[str, Any]:
    """Everything in `metrics/eval.json`: what JSON can hold, in a fixed order; None where there is no such number.

    rows: as judged, routed and combined; recorded: as they were recorded. weights: `resample_weights` of their groups.
    safe: `run_guaranteed`'s tracks. calibrations: by policy, of the scores of greedy proposals.
    """
    level, strong = settings.level, tracks["A"]
    return {
        "decisions": len(rows),
        "groups": len({row.group for row in rows}),
        "level": level,
        "policies": {name: summary(tracks[name], strong, level, weights) for name in POLICIES},
        "paired": paired(tracks, weights),
        "frontier": frontier(rows, tracks, tariff, settings, weights),
        "guaranteed": {
            name: {risk: promise(own, strong, level, weights) for risk, own in by_risk.items()}
            for name, by_risk in safe.items()
        },
        "verifier": verifier_quality(recorded, level, settings.judge, weights),
        "scores": score_quality(rows, calibrations, level, weights),
        "baselines": {name: summary(tracks[name], strong, level, weights) for name in BASELINES},
        "latency": latency(rows, tracks, same or [by_text(row) for row in rows], tariff, weights),
        "cost_per_decision": {name: per_decision(tracks[name]) for name in POLICIES},
        "cost_per_episode": {name: per_episode(rows, tracks[name]) for name in POLICIES},
        "upstream_without_fallback": {name: float(tracks[name].unpaid.mean()) for name in JUDGING},
    }


def summary(track: Track, strong: Track, level: Level, weights: np.ndarray) -> dict[str, Any]:
    """One policy's or baseline's accuracies, accept rate, precision and recall of ACCEPT, and cost relative to A.

    The precision of a judge that accepts nothing, and the recall where nothing was right, are 0, as in scikit-learn:
    the same keys hold numbers in every experiment, and `dvc metrics diff` lines up.
    """
    result: dict[str, Any] = {}
    for each in LEVELS:
        result |= spread_out(f"{each}_accuracy", mean(track.right[each], weights))
    if track.kept is not None:
        result |= spread_out("accept_rate", mean(track.kept, weights))
    if track.proposed_right is not None:
        hits = track.kept * track.proposed_right
        result |= spread_out("precision", ratio(hits, track.kept, weights), empty=0.0)
        result |= spread_out("recall", ratio(hits, track.proposed_right, weights), empty=0.0)
    result["malformed"] = float(track.malformed.mean())
    return result | {"cost": relative_costs(track, strong, weights)}


def promise(track: Track, strong: Track, level: Level, weights: np.ndarray) -> dict[str, Any]:
    """What a policy at a guaranteed threshold did: share accepted, accuracy lost to A (negative: won), cost."""
    lost = strong.right[level] - track.right[level]
    result = {"accept_rate": float(track.kept.mean()), **spread_out("lost", mean(lost, weights))}
    return result | {"cost": relative_costs(track, strong, weights)}


def relative_costs(track: Track, strong: Track, weights: np.ndarray) -> dict[str, float | None]:
    """`relative_cost` by every cost model, with intervals."""
    result: dict[str, float | None] = {}
    for model in COST_MODELS:
        result |= spread_out(model, relative_cost(track, strong, model, weights))
    return result


def relative_cost(track: Track, strong: Track, model: str, weights: np.ndarray) -> Estimate:
    """Total charge over policy A's."""
    own, reference = ([getattr(charge, model) for charge in t.charges] for t in (track, strong))
    return ratio(own, reference, weights)


def per_decision(track: Track) -> dict[str, float]:
    """Mean charge of a decision, FLOPs and tokens in their parts; FLOPs are whole numbers, money is a millionth."""
    return _mean_charge(track, len(track.charges))


def per_episode(rows: Sequence[Answers], track: Track) -> dict[str, float]:
    """Mean charge of an episode, as `per_decision`."""
    return _mean_charge(track, len({row.episode for row in rows}))


def _mean_charge(track: Track, count: int) -> dict[str, float]:
    means = {name: value / count for name, value in total(track.charges)._asdict().items()}
    means["money"] *= 1e6  # metrics are rounded to four digits
    return {name: round(value) if "flops" in name else value for name, value in means.items()}


def frontier(
    rows: list[Answers], tracks: Mapping[str, Track], tariff: Tariff, settings: Settings, weights: np.ndarray
) -> dict[str, Any]:
    """Which policies are dominated, how each stands to a coin, and what share of the possible it wins.

    above_line: accuracy above that of a coin between A and B that costs as much. undominated: whether no policy is as
    accurate and as cheap, and one of both more so; undominated_share: in how many resamples. Of judging policies:
    minus_coin, accuracy above the same policy's with a coin that accepts as often; area, accuracy over all budgets
    between B's cost and A's (`frontier.area`); headroom, what it wins of the area between a coin's and a perfect
    router's.
    """
    level, model = settings.level, settings.cost_model
    every = np.vstack([np.ones(len(rows)), weights])
    accuracy = np.stack([every @ tracks[name].right[level] / every.sum(axis=1) for name in POLICIES], axis=1)
    spent = {name: np.array([getattr(charge, model) for charge in tracks[name].charges]) for name in POLICIES}
    cost = np.stack([every @ spent[name] / (every @ spent["A"]) for name in POLICIES], axis=1)
    free = undominated(cost, accuracy)
    a, b, low = accuracy[:, 0], accuracy[:, 1], cost[:, 1]
    result: dict[str, Any] = {"policies": {}}
    for n, name in enumerate(POLICIES):
        line = above_line(accuracy[:, n], cost[:, n], a, b, low)
        result["policies"][name] = {
            **spread_out("above_line", estimate(float(line[0]), line[1:])),
            "undominated": int(free[0, n]),
            "undominated_share": float(free[1:, n].mean()),
        }
    ends = Ends(*(by_episode(rows, values) for values in _ends(tracks, spent, level)))
    sampled = episode_weights(rows, weights)
    coin, best = coin_area(ends, sampled), area(_perfect(rows, tracks, spent, tariff, settings), ends, sampled)
    for name in JUDGING:
        accept, reject = _sides(rows, name, level)
        areas = area(curve(rows, name, accept, reject, tariff, model), ends, sampled)
        gain = tracks[name].right[level] - tracks[coin_of(name)].right[level]
        result["policies"][name] |= {
            **spread_out("minus_coin", mean(gain, weights)),
            **spread_out("area", estimate(float(areas[0]), areas[1:])),
            **spread_out("headroom", shares(areas, coin, best), empty=0.0),
        }
    stairs = staircase(cost, accuracy, low)
    result["area_of_all"] = spread_out("area", estimate(float(stairs[0]), stairs[1:]))
    result["area_of_coin"] = spread_out("area", estimate(float(coin[0]), coin[1:]))
    result["area_of_perfect_router"] = spread_out("area", estimate(float(best[0]), best[1:]))
    return result


def _ends(tracks: Mapping[str, Track], spent: Mapping[str, np.ndarray], level: Level) -> Iterator[np.ndarray]:
    for name in ("A", "B"):
        yield tracks[name].right[level]
        yield spent[name]
    yield np.ones(len(spent["A"]))


def _perfect(
    rows: list[Answers],
    tracks: Mapping[str, Track],
    spent: Mapping[str, np.ndarray],
    tariff: Tariff,
    settings: Settings,
) -> Curve:
    right = (tracks[name].right[settings.level] for name in ("B", "A"))
    return perfect_router(rows, *right, spent["A"] - spent["B"], tariff, settings.cost_model)


def _sides(rows: list[Answers], name: str, level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Whether accepting and rejecting would be right, [rows] each."""
    both = choices(rows, name)
    accept, reject = (np.array(correct(rows, list(side), level), dtype=float) for side in zip(*both, strict=True))
    return accept, reject


TOOL_SECONDS: dict[str, float | None] = {"as_measured": None, "1_s": 1.0, "5_s": 5.0}
"""What tools take: on the simulators, and as a web service or a test run would."""


def latency(
    rows: list[Answers], tracks: Mapping[str, Track], same: Sequence[SameEffect], tariff: Tariff, weights: np.ndarray
) -> dict[str, Any]:
    """Seconds a decision, tool included, of A, and of other ways to act relative to A (`latency.py`).

    By what tools take. work: seconds that models ran, relative to A's. hit_rate: of the strong model's calls that
    change nothing, the share that the cheap model proposes too, first (first_1) or at all (first_all).
    """
    strong, cheap = (_seconds(tracks[name].charges) for name in ("A", "B"))
    judging = _seconds(charges(rows, [choice.accept for choice in choices(rows, "D")], tariff)) - cheap
    verified, unverified = Seconds(strong, cheap, judging), Seconds(strong, cheap, np.zeros(len(rows)))
    result: dict[str, Any] = {"by_tool_seconds": {}}
    for name, given in TOOL_SECONDS.items():
        tools = tool_seconds(rows, same, given)
        reference = serial(strong, tools)
        ways = {
            "serial_D": serial(_seconds(tracks["D"].charges), tools),
            "parallel_D": parallel(verified, tracks["D"].kept > 0, tools),
            "serial_F": serial(_seconds(tracks["F"].charges), tools),
            "parallel_F": parallel(unverified, tracks["F"].kept > 0, tools),
            "lossless": lossless(unverified, hits(rows, 1), tools),
        }
        entry: dict[str, Any] = {"seconds_of_A": float(reference.seconds.mean()), "tool_seconds": float(tools.mean())}
        for way, timed in ways.items():
            entry |= spread_out(way, ratio(timed.seconds, reference.seconds, weights))
        result["by_tool_seconds"][name] = entry
    for way, timed in ways.items():
        result |= spread_out(f"work_{way}", ratio(timed.work, reference.work, weights))
    callable_ = read_only_calls(rows).astype(float)
    result["read_only_calls"] = int(callable_.sum())
    for key, guesses in (("first_1", 1), ("first_all", len(rows[0].cheap))):
        found = ratio(hits(rows, guesses), callable_, weights)
        result |= spread_out(f"hit_rate_{key}", found, empty=0.0)
    return result


def paired(tracks: dict[str, Track], weights: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Differences in accuracy on the same decisions: every policy minus A, and minus B."""
    result: dict[str, dict[str, float | None]] = {}
    for other in ("A", "B"):
        for name in POLICIES:
            if name != other:
                entry = result.setdefault(f"{name}_minus_{other}", {})
                for level in LEVELS:
                    difference = tracks[name].right[level] - tracks[other].right[level]
                    entry |= spread_out(f"{level}_accuracy", mean(difference, weights))
    return result


def _seconds(charged: Sequence[Charge]) -> np.ndarray:
    return np.array([charge.seconds for charge in charged])


# -- data of the plots --------------------------------------------------------------------------------------

OUTCOME = ("episode", "decision", "group", "policy", *(f"right_{level}" for level in LEVELS), *COST_MODELS)
FRONTIER = ("name", "kind", "threshold", "cost", "cost_low", "cost_high", "accuracy", "accuracy_low", "accuracy_high")
CONFUSION = ("actual", "predicted")
ACCEPT_RATE = ("policy", "action_type", "decisions", "accept_rate", "accept_rate_low", "accept_rate_high", "precision")
SWEEP_POINTS = 60

Cells = tuple[str | float | None, ...]


def outcomes(rows: list[Answers], tracks: dict[str, Track]) -> Iterator[Cells]:
    """Rows of `OUTCOME`: whether each policy was right at each decision, and what it was charged there."""
    for name in POLICIES:
        track = tracks[name]
        for n, row in enumerate(rows):
            right = (int(track.right[level][n]) for level in LEVELS)
            yield (row.episode, row.decision, row.group, name, *right, *track.charges[n][: len(COST_MODELS)])


def frontier_points(
    rows: list[Answers], tracks: Mapping[str, Track], evaluation: dict[str, Any], tariff: Tariff, settings: Settings
) -> list[Cells]:
    """Rows of `FRONTIER`: policies and baselines with their intervals, then judging policies at many thresholds.

    cost: in units of A's, by the configured cost model. The sweeps are over the test split: for the eye only.
    """
    result: list[Cells] = []
    for kind in ("policies", "baselines"):
        for name, entry in evaluation[kind].items():
            if not name.startswith("random_accept") or name == coin_of("D"):
                spent = [entry["cost"][f"{settings.cost_model}{end}"] for end in ("", "_low", "_high")]
                got = [entry[f"{settings.level}_accuracy{end}"] for end in ("", "_low", "_high")]
                result.append((name, kind, None, *spent, *got))
    strong = getattr(total(tracks["A"].charges), settings.cost_model)
    for name in JUDGING:
        accept, reject = _sides(rows, name, settings.level)
        for point in thinned(sweep(rows, name, tariff), SWEEP_POINTS):
            accuracy = float(np.where(point.accepted, accept, reject).mean())
            relative = getattr(point.charge, settings.cost_model) / strong
            result.append((name, "sweep", point.threshold, relative, None, None, accuracy, None, None))
    return result


def thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(n * (len(values) - 1) / (most - 1))] for n in range(most)]


def confusion(rows: list[Answers], policy: Policy) -> list[Cells]:
    """Rows of `CONFUSION`, one a decision: the type that was due, and the type of what the policy did."""
    actions = [policy(row).action for row in rows]
    return [(row.gold.type, action.type if action else MALFORMED) for row, action in zip(rows, actions, strict=True)]


def accept_rates(rows: list[Answers], tracks: Mapping[str, Track], weights: np.ndarray) -> list[Cells]:
    """Rows of `ACCEPT_RATE`: how often each judge let the proposal through, by the type that was due.

    precision: of what it let through, the share that was right at the acceptance level; None where it let nothing.
    """
    result: list[Cells] = []
    for name in JUDGING:
        kept, proposed_right = tracks[name].kept, tracks[name].proposed_right
        for action_type in ACTION_TYPES:
            due = np.array([row.gold.type == action_type for row in rows], dtype=float)
            if due.any():
                rate = spread_out("rate", ratio(due * kept, due, weights)).values()
                precision = spread_out("precision", ratio(due * kept * proposed_right, due * kept, weights))
                result.append((name, action_type, int(due.sum()), *rate, precision["precision"]))
    return result
