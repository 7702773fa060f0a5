"""The report's sections one by one: what each takes from the facts, as values and rows for its template."""

import math
from collections.abc import Callable, Mapping, Sequence

from specacts.core.results import Estimate
from specacts.evaluation.results import Kept, MeanCharge, Standing, Versus
from specacts.policies.choose import fixed_thresholds
from specacts.policies.decide import ALWAYS
from specacts.policies.results import ASKED, Asked, Bar
from specacts.policies.table import POLICIES
from specacts.report.facts import Facts, Trained
from specacts.report.fair import falls_back_on_better, has_room
from specacts.report.missing import missing
from specacts.report.offers import acting, better_without_promise, contradicted, offer_at, without_promise
from specacts.report.prose import render
from specacts.report.seeds import seeds_table
from specacts.report.wording import (
    AVERAGES,
    COSTS,
    LEVELS,
    Side,
    described,
    interval,
    percent,
    percent_to,
    points,
    ratio,
    risk_points,
    risk_share,
    share,
    side,
    signed,
    there,
    title,
)

Rows = list[list[str]]

BETTER: tuple[tuple[Side, Side], ...] = (("above", "below"), ("above", "within"), ("within", "below"))
WORSE: tuple[tuple[Side, Side], ...] = (("below", "above"), ("below", "within"), ("within", "above"))
"""On which sides of another's a policy's accuracy and cost lie, if it is better in one and not worse in the other."""


def seeds_text(facts: Facts) -> str:
    """How far results with other seeds lie apart; empty where nobody has looked."""
    return render("seeds", seeds=facts.seeds, table=seeds_table(facts.seeds)) if facts.seeds else ""


# -- what to do, and what can be promised -----------------------------------------------------------------------


def advice_text(facts: Facts) -> str:
    """Which policy at which risk, what it saves and how sure that is; then what would have to be better for more."""
    best = without_promise(facts)
    entry = facts.evaluation.policies[best]
    lacking = {one.risk: one.needed for one in missing(facts)}
    counted_in = [facts.cost_model, *(model for model in COSTED if model != facts.cost_model)]
    return render(
        "advice",
        calibration=facts.calibration,
        rows=[_advised(facts, risk, name, lacking) for risk, name in facts.promise.cheapest.items()],
        compared=[described(name) for name in facts.calibration.guaranteed],
        counted=_counted(facts, counted_in),
        counted_in=[COSTS[model] for model in counted_in],
        prices=facts.prices,
        cost_model=facts.cost_model,
        budget=facts.max_relative_cost,
        best=best,
        title=POLICIES[best].title,
        accuracy=entry.accuracy(facts.level),
        cost=entry.cost[facts.cost_model],
        beaten=better_without_promise(facts, best),
        levers=levers_text(facts),
        contradicted=[
            f"{better.name} at {risk_points(better.risk)} instead of {one.name} at {risk_points(one.risk)}"
            for one, better in contradicted(facts)
        ],
    )


COSTED = ("flops_no_cache", "flops", "seconds", "money")
"""What the first page counts savings in: all but another project's fixed prices."""


def _counted(facts: Facts, models: Sequence[str]) -> Rows:
    """What is promised (or was asked for), and what it saves by each way of counting; what does the same, once."""
    asked, menu = facts.promise.asked, facts.promise.cheapest
    if asked:
        found = [offer_at(facts, asked.risk, asked.cheapest, ASKED)] if asked.cheapest != "A" else []
    else:
        found = [offer_at(facts, risk, name) for risk, name in menu.items() if name != "A"]
    alike = [one._replace(risk=0.0) for one in found]
    return [
        [f"{one.name} at {risk_points(one.risk)}", *(_saved(one.costs[model]) for model in models)]
        for number, one in enumerate(found)
        if alike[number] not in alike[:number]
    ]


def _saved(cost: Estimate) -> str:
    return percent_to(Estimate(1 - cost.value, 1 - cost.high, 1 - cost.low), ".0f")


def _advised(facts: Facts, risk: str, name: str, lacking: Mapping[str, int]) -> list[str]:
    if name == "A":
        few = f"too few groups for a promise (it takes {lacking[risk]})" if risk in lacking else ""
        return [risk_points(risk), f"A: {few or 'nothing cheaper can be promised'}", "–", "–", "–"]
    offer = offer_at(facts, risk, name)
    cost = offer.costs[facts.cost_model]
    saved = f"{share(1 - cost.value)} ({(1 - cost.high) * 100:.0f}–{(1 - cost.low) * 100:.0f})"
    use = f"**{offer.name}**: {POLICIES[offer.name].title}"
    return [risk_points(risk), use, saved, share(offer.taken), points(offer.lost)]


def levers_text(facts: Facts) -> str:
    """What stands between these results and better ones, each with its size."""
    evaluation, twice = facts.evaluation, facts.calibration.projected["2"]
    ceiling = evaluation.baselines["oracle_routes"]
    a, b = (evaluation.policies[name].accuracy(facts.level).value for name in ("A", "B"))
    won = {name: there(evaluation.frontier.policies[name].headroom) for name in facts.judging}
    judge = max(won, key=lambda name: won[name].value)
    most = {risk: max(twice, key=lambda name: twice[name][risk]) for risk in facts.calibration.groups_needed}
    return render(
        "levers",
        groups=facts.calibration.groups,
        promises=[
            f"{share(twice[name][risk])} at {risk_points(risk)} ({acting(name, twice[name][risk])})"
            for risk, name in most.items()
            if twice[name][risk]
        ],
        ceiling=ceiling.accuracy(facts.level).value,
        cost_of_ceiling=ceiling.cost[facts.cost_model],
        judge=judge,
        won=won[judge],
        gap=(a - b) * 100,
        better=falls_back_on_better(facts),
        overhead=evaluation.policies["B"].cost[facts.cost_model].value,
        middle=evaluation.baselines["cascade"] if _cascade_beats_both(facts) else None,
        level=facts.level,
        cost_model=facts.cost_model,
    )


def _cascade_beats_both(facts: Facts) -> bool:
    """Whether a middle model that acts is measurably better than one that judges (D), and than none (F)."""
    cascade = facts.evaluation.cascade
    return cascade is not None and all(_stands(cascade.against[name], facts)[:2] in WORSE for name in "DF")


def promises_text(facts: Facts) -> str:
    """What can be promised at each risk, what the promises were worth on the test split, and what more groups buy."""
    calibration, kept, asked = facts.calibration, facts.evaluation.guaranteed, facts.promise.asked
    typed = {name: bar for name, bar in asked.policies.items() if isinstance(bar, dict)} if asked else {}
    cheapest = asked.cheapest if asked else ""
    if asked and cheapest != "A":
        cheapest = offer_at(facts, asked.risk, cheapest, ASKED).name

    def found(risk: str, name: str) -> list[str]:
        return _kept_cells(facts, name, kept[name][risk], calibration.guaranteed[name][risk])

    def projected(risk: str, name: str) -> list[str]:
        return [name, *(share(accepted[name][risk]) for accepted in calibration.projected.values())]

    return render(
        "promises",
        recorded=facts.recorded,
        calibration=calibration,
        level=facts.level,
        average=AVERAGES[calibration.average_over],
        cost_model=facts.cost_model,
        needed=[f"{count} groups to promise {_risk(facts, r)}" for r, count in calibration.groups_needed.items()],
        rows=_by_risk(facts, found),
        asked=asked,
        cheapest=cheapest,
        title=title(cheapest, facts.recorded) if asked else "",
        own_risks=[f"{_risk(facts, risk)} of `{kind}`" for kind, risk in asked.by_type.items()] if asked else [],
        asked_rows=_asked_rows(facts, asked) if asked else [],
        typed=list(typed),
        typed_rows=_typed_rows(typed, "your agent acts" if facts.recorded else "strong acts"),
        projected_rows=_by_risk(facts, projected),
        larger=[f"{calibration.groups * int(times)} groups" for times in calibration.projected],
    )


def _by_risk(facts: Facts, cells: Callable[[str, str], list[str]]) -> Rows:
    """A row of cells for each risk and policy; the risk stands beside its first policy alone."""
    names = list(facts.calibration.guaranteed)
    return [
        [_risk(facts, risk) if name == names[0] else "", *cells(risk, name)]
        for risk in facts.calibration.groups_needed
        for name in names
    ]


def _risk(facts: Facts, risk: str | float) -> str:
    """In points of accuracy, or in actions that may differ from a recorded agent's."""
    return risk_share(risk) if facts.recorded else risk_points(risk)


def _kept_cells(facts: Facts, name: str, entry: Kept, bar: Bar) -> list[str]:
    accepts = min(bar.values() if isinstance(bar, dict) else [bar]) <= 1
    threshold = "by type" if isinstance(bar, dict) else f"{bar:.3g}"
    if entry.accept_rate == 1:
        threshold += ": as B"
    return [
        name,
        threshold if accepts else f"none: always {'your agent' if facts.recorded else 'strong'}",
        share(entry.accept_rate),
        _lost(facts, entry) if accepts else "–",
        ratio(entry.cost[facts.cost_model]),
    ]


def _lost(facts: Facts, entry: Kept) -> str:
    return percent(entry.lost) if facts.recorded else points(entry.lost)


def _asked_rows(facts: Facts, asked: Asked) -> Rows:
    kept = facts.evaluation.guaranteed
    return [_kept_cells(facts, name, kept[name][ASKED], bar) for name, bar in asked.policies.items()]


def _typed_rows(typed: Mapping[str, Mapping[str, float]], otherwise: str) -> Rows:
    """Of the policies that have a threshold by action type, one row a type."""
    kinds = list(next(iter(typed.values()), {}))
    return [[kind, *(_bar(bar[kind], otherwise) for bar in typed.values())] for kind in kinds]


def _bar(threshold: float, otherwise: str) -> str:
    return f"{threshold:.3g}" if threshold <= 1 else otherwise


# -- the policies, and how they compare -------------------------------------------------------------------------


def policies_text(facts: Facts) -> str:
    """What the policies and the baselines are, as the recipe makes them."""
    return render(
        "policies",
        recorded=facts.recorded,
        verified=facts.verified,
        recipe=facts.recipe,
        score=facts.score,
        router=facts.router,
        laddered=facts.evaluation.cascade is not None,
        level=facts.level,
    )


def thresholds_text(facts: Facts) -> str:
    """How the thresholds were chosen and what they did where they were chosen."""
    fixed = fixed_thresholds(facts.recipe)
    rows = [
        [
            f"**{name}**",
            _threshold(fit.threshold) + (", fixed" if name in fixed else ""),
            f"{fit.accuracy * 100:.1f} %",
            share(fit.accept_rate),
            f"{fit.cost:.2f}",
            "yes" if fit.within_budget else "**no**",
        ]
        for name, fit in facts.calibration.policies.items()
    ]
    return render(
        "thresholds",
        calibration=facts.calibration,
        budget=facts.max_relative_cost,
        cost_model=facts.cost_model,
        level=facts.level,
        all_fixed=len(fixed) == len(rows),
        rows=rows,
    )


def _threshold(value: float) -> str:
    return "accepts all" if value <= 0 else "accepts none" if value > 1 else f"{value:.3g}"


def frontier_text(facts: Facts) -> str:
    """Whether each policy beats a coin between A and B, and its own judge replaced by a coin."""
    frontier, room = facts.evaluation.frontier, has_room(facts)
    return render(
        "frontier",
        frontier=frontier,
        room=room,
        above=[name for name in facts.judging if frontier.policies[name].above_line.low > 0],
        won=[name for name in facts.judging if room and there(frontier.policies[name].headroom).low > 0],
        rows=[_frontier_row(name, entry, room) for name, entry in frontier.policies.items()],
    )


def _frontier_row(name: str, entry: Standing, room: bool) -> list[str]:
    undominated = share(entry.undominated_share) + (" (yes)" if entry.undominated else "")
    row = [name, signed(entry.above_line), undominated]
    if entry.area is None:
        return [*row, "", "", ""]
    headroom = percent_to(there(entry.headroom)) if room else "–"
    return [*row, signed(there(entry.minus_coin)), percent_to(there(entry.area)), headroom]


def paired_text(facts: Facts) -> str:
    """Paired differences in points; bold where the interval excludes zero."""
    paired = facts.evaluation.paired
    rows = [
        [name.replace("_minus_", " − "), *(signed(entry.accuracy(level)) for level in LEVELS)]
        for name, entry in paired.items()
    ]
    return render("paired", recorded=facts.recorded, rows=rows)


def verifier_text(facts: Facts) -> str:
    """The verifier's score against scores that cost nothing, and what D's verdicts were worth.

    Nothing where there is no verifier.
    """
    quality = facts.evaluation.verifier
    if quality is None:
        return ""
    d = facts.evaluation.policies["D"]
    asked = ("trained verifier: " + ("reward" if facts.score == "reward" else "P(ACCEPT)"), quality.verdict_auroc)
    likelihood = ("trained verifier: its probability of the proposal", quality.auroc)
    trained = [likelihood, asked] if facts.score == "likelihood" else [asked]  # otherwise both are one figure
    others = [
        ("cheap model's own probability of its type (free)", quality.confidence_auroc),
        ("cheap model's mean token probability (free)", quality.logprob_auroc),
        *([("strong model's judgement (policy C)", quality.strong_auroc)] if quality.strong_auroc else []),
    ]
    used = trained[0][0]
    rows = [[f"**{title}**" if title == used else title, interval(auroc)] for title, auroc in [*trained, *others]]
    return render(
        "verifier",
        quality=quality,
        level=facts.level,
        rows=rows,
        side=side(quality.auroc_minus_confidence),
        precision=d.precision if there(d.accept_rate).value else None,
        recall=d.recall if quality.base_rate.value else None,
    )


def middle_text(facts: Facts) -> str:
    """What the verifier's model is worth that acts, alone and in a cascade, against one that judges (D) and none (F).

    Nothing where it cannot act.
    """
    cascade, chosen, model = facts.evaluation.cascade, facts.calibration.cascade, facts.cost_model
    if cascade is None or chosen is None:
        return ""
    baselines = facts.evaluation.baselines
    rows = [
        [name, signed(entry.accuracy(facts.level)), *(_signed(entry.cost[m]) for m in (model, "money"))]
        for name, entry in cascade.against.items()
    ]
    return render(
        "middle",
        recorded=facts.recorded,
        level=facts.level,
        cost_model=model,
        budget=facts.max_relative_cost,
        fixed="F" in fixed_thresholds(facts.recipe),
        chosen=chosen,
        bars=[_bar_of(bar) for bar in chosen.bars],
        alone=baselines["middle"],
        cascade=baselines["cascade"],
        from_middle=cascade.from_middle,
        d=_stands(cascade.against["D"], facts),
        f=_stands(cascade.against["F"], facts),
        better=BETTER,
        worse=WORSE,
        rows=rows,
    )


def _bar_of(bar: float) -> str:
    return "always" if bar <= ALWAYS else f"from a confidence of {bar:.3g}"


def _stands(entry: Versus, facts: Facts) -> tuple[Side, Side, str]:
    """Where a policy's accuracy and cost lie beside the cascade's, and both in words and figures."""
    accuracy, cost = entry.accuracy(facts.level), entry.cost[facts.cost_model]
    right = {"below": "less", "within": "not measurably more or less", "above": "more"}[side(accuracy)]
    costs = {"below": "costs less", "within": "costs about as much", "above": "costs more"}[side(cost)]
    figures = f"{points(accuracy)} points at {interval(cost, '+.2f')} of A's cost"
    return side(accuracy), side(cost), f"is {right} accurate than the cascade and {costs} ({figures})"


def _signed(cost: Estimate) -> str:
    """A difference of costs, in bold where the interval excludes zero."""
    return interval(cost, "+.2f") if side(cost) == "within" else f"**{interval(cost, '+.2f')}**"


def scores_text(facts: Facts) -> str:
    """How good the judges' scores are at ranking and as probabilities, before and after calibration."""
    rows = []
    for name, found in facts.evaluation.scores.items():
        ranking = (found.auroc, found.average_precision)
        probability = (found.brier, found.brier_calibrated, found.ece, found.ece_calibrated)
        rows.append([name, *map(interval, (*ranking, *probability))])
    return render("scores", level=facts.level, names=list(facts.evaluation.scores), rows=rows)


def speech_text(facts: Facts) -> str:
    """How likely the proposers find what the agent said, and how much they say; nothing where the traces hold none."""
    found = facts.evaluation.speech
    if not found:
        return ""
    rows = [
        [
            role,
            f"{one.decisions:,}",
            interval(one.nll),
            f"{math.exp(there(one.nll).value):.1f}",
            interval(one.recorded_tokens, ".1f"),
            f"{one.said:,}",
            interval(one.said_tokens, ".1f") if one.said else "–",
            f"{one.cut:,}",
        ]
        for role, one in found.items()
    ]
    return render("speech", rows=rows, recorded=facts.recorded, families=families(facts))


def families(facts: Facts) -> int:
    """Of how many base models the roles' are: more than one may mean more than one tokenizer."""
    return len({one.base for one in facts.assets.roles.values()})


# -- at work, and what it costs ---------------------------------------------------------------------------------


def live_text(facts: Facts) -> str:
    """What policies reach where their own actions make the next context, beside the step-wise figures.

    Nothing where the traces have no simulators.
    """
    if not facts.live.policies:
        return ""
    rows = []
    for key, entry in facts.live.policies.items():
        name = facts.thresholds.best_other if key == "other" else key
        rows.append(
            [
                f"{name} {title(name, facts.recorded)}",
                percent(facts.evaluation.policies[name].call_accuracy),
                percent(entry.turn_success),
                percent(entry.acting_turn_success),
                "–" if key == "A" else points(entry.turn_success_minus_A),
                percent(entry.episode_success),
                f"{entry.steps_per_episode.value:.1f}",
                share(entry.cheap_share),
                f"{entry.failed_calls} of {entry.calls}",
                f"{entry.malformed}",
                f"{sum(entry.given_up.values())}",
                ratio(entry.cost[facts.cost_model]),
                f"{entry.cost_per_episode['seconds']:.1f}",
            ]
        )
    return render("live", live=facts.live, rows=rows, cost_model=facts.cost_model, verified=facts.verified)


def latency_text(facts: Facts) -> str:
    """How long a decision takes relative to A when models work side by side, and what that work is.

    Nothing where it is not known how long A takes.
    """
    latency = facts.evaluation.latency
    if latency is None:
        return ""
    by_tool = [latency.by_tool_seconds[tool] for tool in ("as_measured", "1_s", "5_s")]
    at_once = f"{'your agent' if facts.recorded else 'strong'} started at once, cancelled on ACCEPT"

    def row(title: str, seconds: list[Estimate], work: Estimate) -> list[str]:
        return [title, *map(ratio, seconds), ratio(work)]

    rows = [
        row("D, one model after the other", [t.serial_D for t in by_tool], latency.work_serial_D),
        row(f"D, {at_once}", [t.parallel_D for t in by_tool], latency.work_parallel_D),
        row("F, one model after the other", [t.serial_F for t in by_tool], latency.work_serial_F),
        row(f"F, {at_once}", [t.parallel_F for t in by_tool], latency.work_parallel_F),
        row("A, the cheap model's call executed in advance", [t.lossless for t in by_tool], latency.work_lossless),
    ]
    return render("latency", recorded=facts.recorded, latency=latency, measured=by_tool[0], rows=rows)


def costs_text(facts: Facts) -> str:
    """What the costs are, one unit of each, and what a decision and an episode cost with every policy, in parts."""
    evaluation = facts.evaluation
    both = (evaluation.cost_per_decision, evaluation.cost_per_episode)
    timed = "seconds" in evaluation.policies["A"].cost
    cells = (_money_and_time if timed else _money) if facts.recorded else _charges
    hopping = there(evaluation.hopping).policies
    rows = [
        [name, *cells(both[0][name], both[1][name]), percent(hopping[name].share) if name in facts.judging else "–"]
        for name in evaluation.policies
    ]
    return render(
        "costs",
        recorded=facts.recorded,
        unit=evaluation.cost_per_decision["A"],
        prices=facts.prices,
        currency=facts.currency,
        hopping=[f"{percent(hopping[name].share)} with {name}" for name in ("F", "S")],
        with_usage=facts.answers.with_usage,
        with_seconds=facts.answers.with_seconds,
        timed=timed,
        decisions=sum(facts.answers.decisions.values()),
        judging=facts.judging,
        families=families(facts),
        without_fallback=[f"{evaluation.upstream_without_fallback[name]:.2f}" for name in facts.judging],
        with_fallback=[f"{evaluation.policies[name].cost['upstream'].value:.2f}" for name in facts.judging],
        rows=rows,
    )


def _charges(one: MeanCharge, whole: MeanCharge) -> list[str]:
    """What a decision costs, and a whole episode."""
    return [
        *_tokens(one),
        *(f"{there(flops) / 1e9:.2f}" for flops in (one.new_flops, one.cached_flops, one.generated_flops)),
        f"{there(one.seconds):.3f}",
        f"{one.money:.1f}",
        f"{there(whole.flops) / 1e9:.0f}",
        f"{there(whole.seconds):.2f}",
        f"{whole.money:.0f}",
    ]


def _money(one: MeanCharge, whole: MeanCharge) -> list[str]:
    """The same, of what is known where A does not run here."""
    return [*_tokens(one), f"{one.money:.1f}", f"{whole.money:.0f}"]


def _money_and_time(one: MeanCharge, whole: MeanCharge) -> list[str]:
    """With seconds, where it is known how long A takes."""
    return [*_money(one, whole), f"{there(one.seconds):.3f}", f"{there(whole.seconds):.2f}"]


def _tokens(one: MeanCharge) -> list[str]:
    return [f"{tokens:.0f}" for tokens in (one.new_tokens, one.cached_tokens, one.generated_tokens)]


# -- where it comes from ----------------------------------------------------------------------------------------


def data_text(facts: Facts) -> str:
    """Episodes, groups, decisions and action types of every split; how much of test's text was there in training."""
    rows = []
    for name, part in facts.data.splits.items():
        counted = [f"{count:,}" for count in (part.episodes, part.groups, part.decisions)]
        rows.append([name, *counted, *map(str, part.decisions_by_type.values())])
    return render(
        "data",
        rows=rows,
        types=list(facts.data.train.decisions_by_type),
        shared=facts.data.contamination,
        with_bfcl=facts.data.total.episodes > facts.own.taken,
    )


OWN_RULES = {
    "label": "an `action_type` in the traces",
    "mapping": "the mapping, by the tool's name",
    "pattern": "the mapping, by a pattern",
    "name": "the tool's name",
    "schema": "the tool's parameters",
    "description": "the tool's description",
    "default": "none of these: `tool_call`",
    "repair": "a call that fixes a failed one: `repair`",
    "statement": "text without a question, or with a courtesy: `final_answer`",
    "question": "text that ends in a question: `ask_clarification`",
    "refusal": "a `refusal`: `BLOCKED`",
}
LEFT_OUT = {
    "invalid": "are no valid conversations (`data/own/rejects.jsonl` has the reasons)",
    "duplicate": "are duplicates",
    "continued": "are beginnings of conversations that a later row holds in full",
    "failed": "are marked `success: false`",
    "low_reward": "have too low a reward",
    "nothing_to_learn": "hold no action to learn from",
    "not_drawn": "are more than this scale uses",
}


def own_text(facts: Facts) -> str:
    """What became of your own traces, and by which rule actions have their type; nothing where there are none."""
    own = facts.own
    if not own.taken:
        return ""
    return render(
        "own",
        own=own,
        left_out=[f"{count:,} {LEFT_OUT[why]}" for why, count in own.left_out.items() if count],
        secrets=sum(own.secrets.values()),
        kinds_of_secrets=[f"{count} {kind}" for kind, count in own.secrets.items()],
        normalised=[(count, what) for what, count in own.normalised.items()],
        rows=[[what, f"{own.typed_by[rule]:,}"] for rule, what in OWN_RULES.items() if own.typed_by[rule]],
    )


def rules_text(facts: Facts) -> str:
    """What the rules for comparing arguments decided; nothing where all are compared exactly."""
    found = facts.evaluation.rules
    if not found:
        return ""
    rows = [
        [kind, *(f"{count:,}" for count in (o.decisions, o.compared, o.same, o.refused))] for kind, o in found.items()
    ]
    return render("rules", rows=rows)


def training_text(facts: Facts) -> str:
    """What each training saw and took."""
    roles = facts.assets.roles
    rows = []
    for role, trained in facts.training.items():
        size = f"{roles[role].parameters / 1e6:,.0f}M, {len(roles[role].layers)} layers"
        rows.append([role, size, *_training_cells(trained)])
    verifier = facts.training.get("verifier")
    return render("training", rows=rows, verdicts=verifier.measured.verdicts if verifier else None)


def _training_cells(trained: Trained) -> list[str]:
    found, losses = trained.measured, trained.losses
    if not losses:
        return ["frozen", *["–"] * 6]
    return [
        f"{found.trainable_parameters / 1e6:.1f}M",
        f"{found.steps:,}",
        f"{found.seen_tokens:,}",
        f"{losses.first:.2f} → {losses.final:.2f}",
        f"{found.seconds / 60:.1f}",
        f"{found.seen_tokens / found.seconds:,.0f}",
        f"{found.peak_memory_gib:.1f}",
    ]


def limits_text(facts: Facts) -> str:
    """What the figures do not say."""
    return render(
        "limits",
        recorded=facts.recorded,
        speed=facts.answers.decisions_per_second,
        timed="seconds" in facts.evaluation.policies["A"].cost,
        with_usage=facts.answers.with_usage or 0,
        decisions=sum(facts.answers.decisions.values()),
    )
