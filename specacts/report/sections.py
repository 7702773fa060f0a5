"""Parts of the report (report.py) that stand alone: promises, frontier, latency, live runs, charges, ablation."""

from typing import Any

from specacts.report.wording import (
    COSTS,
    JUDGING,
    LEVELS,
    POLICIES,
    Entry,
    Facts,
    as_table,
    listed,
    percent,
    percent_to,
    points,
    ratio,
    risk_points,
    share,
    signed,
)


def guarantee_parts(facts: Facts) -> list[str]:
    """What can be promised at each risk, what the promises were worth on the test split, and what more groups buy."""
    calibration, kept = facts.calibration, facts.evaluation["guaranteed"]
    names = list(calibration["guaranteed"])
    rows = []
    for risk in calibration["groups_needed"]:
        for name in names:
            threshold = calibration["guaranteed"][name][risk]
            rows.append(
                [risk_points(risk) if name == names[0] else "", *_kept_cells(facts, name, kept[name][risk], threshold)]
            )
    needed = [f"{count} groups to promise {risk_points(r)}" for r, count in calibration["groups_needed"].items()]
    text = (
        "A threshold here is the lowest shown on the calibrate split, with "
        f"{share(calibration['confidence'])} confidence, to lose no more accuracy ({LEVELS[facts.level]}, averaged "
        "over groups) to the strong model than the first column says (Learn-then-Test, fixed-sequence). It is taken "
        "for granted that the tasks to come are drawn like the groups of the calibrate split, independently; decisions "
        "inside a group may depend on each other in any "
        f"way. At each risk the promises of {listed(names)} hold together, so one may choose between them. Where none "
        f"can be shown to be safe, the strong model acts alone. Even without a single loss it takes {listed(needed)}; "
        f"the calibrate split has {calibration['groups']}. *Lost on test* is A's accuracy minus the policy's, in "
        "points over decisions, negative where the policy won."
    )
    headers = ["may lose", "policy", "threshold", "from cheap", "lost on test", f"cost ({COSTS[facts.cost_model]})"]
    return ["## What can be promised", text, as_table(rows, headers), *asked_parts(facts), projection_text(facts)]


def _kept_cells(facts: Facts, name: str, entry: Entry, threshold: Any) -> list[str]:
    known = _ever_accepts(threshold)
    lost = points(entry, "lost") if known else "–"
    return [name, _promised(threshold), share(entry["accept_rate"]), lost, ratio(entry["cost"], facts.cost_model)]


def _ever_accepts(threshold: Any) -> bool:
    return min(threshold.values() if isinstance(threshold, dict) else [threshold]) <= 1


def _promised(threshold: Any) -> str:
    if not _ever_accepts(threshold):
        return "none: always strong"
    return "by type" if isinstance(threshold, dict) else f"{threshold:.3g}"


def asked_parts(facts: Facts) -> list[str]:
    """What was found for `acceptance.risk`; nothing where no risk was insisted on."""
    asked = facts.promise["asked"]
    if not asked:
        return []
    kept = facts.evaluation["guaranteed"]
    rows = [_kept_cells(facts, name, kept[name]["asked"], t) for name, t in asked["policies"].items()]
    by_type = asked["by_type"]
    own = [f"{risk_points(risk)} of `{kind}`" for kind, risk in by_type.items()]
    text = (
        f"**Asked for** (`acceptance.risk`): at most {risk_points(asked['risk'])}"
        + (f", and {listed(own)} proposals" if own else "")
        + f", all together with {share(facts.calibration['confidence'])} confidence. The cheapest that keeps this is "
        + f"**{asked['cheapest']}** ({POLICIES[asked['cheapest']]})."
    )
    headers = ["policy", "threshold", "from cheap", "lost on test", f"cost ({COSTS[facts.cost_model]})"]
    parts = [text, as_table(rows, headers)]
    typed = {name: t for name, t in asked["policies"].items() if isinstance(t, dict)}
    if typed:
        kinds = list(next(iter(typed.values())))
        table = [[kind, *(_bar(t[kind]) for t in typed.values())] for kind in kinds]
        parts.append(as_table(table, ["threshold by proposed type", *typed]))
    return parts


def _bar(threshold: float) -> str:
    return f"{threshold:.3g}" if threshold <= 1 else "strong acts"


def projection_text(facts: Facts) -> str:
    """How much would be accepted at safe thresholds if the calibrate split were larger."""
    calibration = facts.calibration
    projected, names = calibration["projected"], list(calibration["guaranteed"])
    groups = calibration["groups"]
    rows = [
        [risk_points(risk) if name == names[0] else "", name, *(share(projected[k][name][risk]) for k in projected)]
        for risk in calibration["groups_needed"]
        for name in names
    ]
    text = (
        "How much of the cheap model's actions could be accepted with the same promise if the calibrate split were "
        "larger and its new groups like the old ones (each counted several times; an expectation, no promise):"
    )
    return f"{text}\n\n{as_table(rows, ['may lose', 'policy', *(f'{groups * int(k)} groups' for k in projected)])}"


def frontier_text(facts: Facts) -> str:
    """Whether each policy beats a coin between A and B, and its own judge replaced by a coin."""
    frontier = facts.evaluation["frontier"]
    rows = []
    for name, entry in frontier["policies"].items():
        cells = [
            name,
            signed(entry, "above_line"),
            share(entry["undominated_share"]) + (" (yes)" if entry["undominated"] else ""),
        ]
        if name in JUDGING:
            cells += [signed(entry, "minus_coin"), percent_to(entry, "area"), percent_to(entry, "headroom")]
        rows.append(cells + [""] * (6 - len(cells)))
    coin, perfect, stairs = (frontier[f"area_of_{who}"] for who in ("coin", "perfect_router", "all"))
    above = [n for n in JUDGING if frontier["policies"][n]["above_line_low"] > 0]
    won = [n for n in JUDGING if frontier["policies"][n]["headroom_low"] > 0]
    verdict = (
        f"Over all budgets together {listed(won)} {'is' if len(won) == 1 else 'are'} measurably better than a coin."
        if won
        else "Over all budgets together none is measurably better than a coin."
    )
    single = (
        f"At its own threshold {listed(above)} {'lies' if len(above) == 1 else 'lie'} measurably above the line."
        if above
        else "At its own threshold none lies measurably above the line."
    )
    return (
        "Asking A or B by the toss of a coin reaches every point on the line between them, so that line is what a "
        f"judge has to beat. {single} {verdict}\n\n"
        "- *Above the line*: accuracy above a coin between A and B that costs as much, in points.\n"
        "- *Undominated*: in what share of resamples no other policy is both cheaper and more accurate; (yes): on the "
        "test split as it is.\n"
        "- *Above its coin*: accuracy above the same policy with its judge replaced by a coin that accepts as often.\n"
        "- *Area*: accuracy averaged over all budgets from B's cost to A's, at all thresholds (they are read off the "
        f"test split: this compares, it promises nothing). A coin between A and B has {coin['area'] * 100:.1f} %, a "
        f"perfect router {perfect['area'] * 100:.1f} %, the policies at their own thresholds together "
        f"{stairs['area'] * 100:.1f} %.\n"
        "- *Head-room*: the share of the area between a coin's and a perfect router's that a policy wins. Negative: "
        "what it costs to ask the judge is more than its judgement brings.\n\n"
        + as_table(rows, ["", "above the line", "undominated", "above its coin", "area", "head-room won"])
    )


WAYS = {
    "serial_D": "D, one model after the other",
    "parallel_D": "D, strong started at once, cancelled on ACCEPT",
    "serial_F": "F, one model after the other",
    "parallel_F": "F, strong started at once, cancelled on ACCEPT",
    "lossless": "A, the cheap model's call executed in advance",
}
TOOLS = {"as_measured": "tools as on the simulators", "1_s": "tools of 1 s", "5_s": "tools of 5 s"}


def latency_text(evaluation: Entry) -> str:
    """How long a decision takes relative to A when models work side by side, and what that work is."""
    latency = evaluation["latency"]
    by_tool = latency["by_tool_seconds"]
    rows = [
        [title, *(ratio(by_tool[tool], way) for tool in TOOLS), ratio(latency, f"work_{way}")]
        for way, title in WAYS.items()
    ]
    measured = by_tool["as_measured"]
    return (
        f"Seconds until a decision's action is done, tool included, relative to A ({measured['seconds_of_A']:.3g} s a "
        f"decision; a tool on the simulators takes {measured['tool_seconds'] * 1000:.2g} ms a decision, so longer ones "
        "are assumed beside it). A strong model that is asked at every decision never has to catch up on what it has "
        "not read, which is why starting it at once takes less time than asking it rarely. *Work*: seconds that models "
        "ran, cancelled work included. The last row changes no action: only calls that look and change nothing are "
        "executed in advance (`retrieval`, `file_read`, `verifier`), and of the "
        f"{latency['read_only_calls']} such calls that the strong model makes the cheap one proposes "
        f"{percent_to(latency, 'hit_rate_first_1')} exactly, {share(latency['hit_rate_first_all'])} with all its "
        "proposals.\n\n" + as_table(rows, ["relative to A", *TOOLS.values(), "work"])
    )


def live_parts(facts: Facts) -> list[str]:
    """What policies reach where their own actions make the next context, beside the step-wise figures.

    Nothing where the traces have no simulators.
    """
    live, policies = facts.live, facts.evaluation["policies"]
    if not live["policies"]:
        return []
    rows = []
    for key, entry in live["policies"].items():
        name = facts.thresholds["best_other"] if key == "other" else key
        rows.append(
            [
                f"{name} {POLICIES[name]}",
                percent(policies[name], "call_accuracy"),
                percent(entry, "turn_success"),
                percent(entry, "acting_turn_success"),
                "–" if key == "A" else points(entry, "turn_success_minus_A"),
                percent(entry, "episode_success"),
                f"{entry['steps_per_episode']:.1f}",
                share(entry["cheap_share"]),
                f"{entry['failed_calls']} of {entry['calls']}",
                f"{entry['malformed']}",
                f"{sum(entry['given_up'].values())}",
                ratio(entry["cost"], facts.cost_model),
                f"{entry['cost_per_episode']['seconds']:.1f}",
            ]
        )
    headers = ["policy", "full call, step-wise", "turns right", "of those with calls", "minus A", "episodes right"]
    headers += [
        "actions",
        "from cheap",
        "failed calls",
        "malformed",
        "given up",
        f"cost ({COSTS[facts.cost_model]})",
        "seconds",
    ]
    text = (
        f"{live['episodes']} test episodes ({live['groups']} tasks, {live['turns']} turns, {live['acting_turns']} of "
        "which ask for calls; in the others none is right) in which every action is the policy's own and is executed, "
        "so that a wrong one spoils what follows. A turn is right by the benchmark's own criterion: the simulators' "
        "state is the right one, and every required observation was obtained; an episode is right if all its turns "
        "are, and given up where a turn takes too many actions or three in a row come to nothing. Actions, cost "
        "(relative to A's) and seconds are means of an episode. D and the last policy act at the thresholds above.\n\n"
        f"{as_table(rows, headers)}"
    )
    return ["## At work on the simulators", text]


def costs_text(facts: Facts) -> str:
    """The definitions of the cost columns, and what one unit is."""
    evaluation = facts.evaluation
    unit = evaluation["cost_per_decision"]["A"]
    return (
        f"- *FLOPs*: counted from tokens and model sizes. Each model keeps a cache over an episode and reads every "
        "context token once; a model that is asked rarely has to catch up when it is asked. A's unit: "
        f"{_flops(unit['flops'])} a decision.\n"
        f"- *FLOPs, no cache*: every call reads its whole context again (stateless serving). A's unit: "
        f"{_flops(unit['flops_no_cache'])}.\n"
        "- *Seconds*: measured in this run, where answers to many decisions were decoded side by side; a call's share "
        f"of that, not the latency of a lone agent. A's unit: {unit['seconds']:.3g} s.\n"
        f"- *Money*: tokens read anew, cached and generated, at the prices of `configs/prices/{facts.prices}.yaml`. "
        f"A's unit: {unit['money']:.3g} millionths of a {facts.currency}.\n"
        "- *Upstream's figures*: fixed prices for a strong action, a cheap action and a verdict (`cost.upstream` in "
        "`params.yaml`), every call charged. Upstream's own table leaves out what the strong model does after a "
        f"rejection: {listed(list(JUDGING))} then read {_without_fallback(evaluation)}; with it, "
        f"{_with_fallback(evaluation)}."
    )


def charges_table(facts: Facts) -> str:
    """What a decision and an episode cost with every policy, in the parts that make it up."""
    rows = []
    for name in POLICIES:
        one, all_ = (facts.evaluation[f"cost_per_{unit}"][name] for unit in ("decision", "episode"))
        parts = [f"{one[f'{part}_flops'] / 1e9:.2f}" for part in ("new", "cached", "generated")]
        tokens = [f"{one[f'{part}_tokens']:.0f}" for part in ("new", "cached", "generated")]
        ends = [f"{one['seconds']:.3f}", f"{one['money']:.1f}", f"{all_['flops'] / 1e9:.0f}", f"{all_['seconds']:.2f}"]
        rows.append([name, *tokens, *parts, *ends, f"{all_['money']:.0f}"])
    headers = ["", "tokens read", "cached", "generated", "GFLOP reading", "cached", "generating", "seconds"]
    headers += [f"µ{facts.currency}", "GFLOP an episode", "seconds", f"µ{facts.currency}"]
    return (
        "A decision, then an episode, with each model's cache kept; *read* are context tokens read for the first time "
        f"and what is judged:\n\n{as_table(rows, headers)}"
    )


def _without_fallback(evaluation: Entry) -> str:
    return listed([f"{evaluation['upstream_without_fallback'][name]:.2f}" for name in JUDGING])


def _with_fallback(evaluation: Entry) -> str:
    return listed([f"{evaluation['policies'][name]['cost']['upstream']:.2f}" for name in JUDGING])


def _flops(value: float) -> str:
    return f"{value / 1e9:,.3g} GFLOP"


def overlap_text(overlap: Entry) -> str:
    """How much of test's text was there in training."""

    def share_of(part: str) -> str:
        found = overlap[part]
        return (
            f"{found['shared']:,} of {found['ngrams']:,} ({share(found['shared'] / max(1, found['ngrams']))}), in "
            f"{found['episodes']} test episodes"
        )

    return (
        f"Runs of {overlap['ngram']} words of test that occur in train word for word: of what users say "
        f"{share_of('user')}; of everything, tool results included, {share_of('all')}."
    )


OWN_RULES = {
    "label": "an `action_type` in the traces",
    "mapping": "the mapping, by the tool's name",
    "pattern": "the mapping, by a pattern",
    "name": "the tool's name",
    "schema": "the tool's parameters",
    "description": "the tool's description",
    "default": "nothing else known: `tool_call`",
    "repair": "a call that mends a failed one: `repair`",
    "statement": "text without a question, or with a courtesy: `final_answer`",
    "question": "text that ends in a question: `ask_clarification`",
    "refusal": "a `refusal`: `BLOCKED`",
}
LEFT_OUT = {
    "invalid": "are no valid conversations (`data/own/rejects.jsonl` has the reasons)",
    "duplicate": "are there twice",
    "failed": "are marked `success: false`",
    "low_reward": "have too low a reward",
    "nothing_to_learn": "hold no action that could be learnt from",
    "not_drawn": "are more than this scale uses",
}


def own_parts(own: Entry) -> list[str]:
    """What became of one's own traces, and by which rule actions have their type; nothing where there are none."""
    if not own["taken"]:
        return []
    left_out = [f"{count:,} {LEFT_OUT[why]}" for why, count in own["left_out"].items() if count]
    notes = [
        (own["undecided_texts"], "texts of the agent could not be typed and are context (`data/own/undecided.jsonl`)"),
        (own["shortened_calls"], "calls were shortened to what a model may generate at this scale"),
        (own["calls_too_long"], "calls were too long even so, and are context"),
        (own["decisions_not_drawn"], "decisions of long conversations are not used"),
        (sum(own["secrets"].values()), f"secrets were redacted ({_counted(own['secrets'])})"),
    ]
    changed = [(count, what) for what, count in own["normalised"].items()]
    text = (
        f"Of {own['conversations']:,} conversations {own['taken']:,} are used, in {own['groups']:,} groups"
        + (f"; left out: {', '.join(left_out)}." if left_out else ".")
        + "".join(f"\n- {count:,} {what}." for count, what in [*notes, *changed] if count)
    )
    rows = [[what, f"{own['typed_by'][rule]:,}"] for rule, what in OWN_RULES.items() if own["typed_by"][rule]]
    return ["### Your own traces", text, as_table(rows, ["what gave a decision its action type", "decisions"])]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def ablation_parts(facts: Facts) -> list[str]:
    """What undoing each change of the recipe does to every policy; nothing where nobody ran it on these traces."""
    ablation = facts.ablation
    if not ablation.get("experiments") or facts.own["taken"]:  # it was run on BFCL's traces
        return []
    text = (
        f"Each row is an experiment of its own (`make ablation`) that differs from recipe v3 in what its first column "
        f"says, on the same {ablation['decisions']} test decisions in {ablation['groups']} groups of scale "
        f"`{ablation['scale']}`. Accuracy: {LEVELS[ablation['level']]}, in percentage points; cost: "
        f"{COSTS[ablation['cost_model']]}, in units of v3's A. *Effect*: the experiment's figure minus v3's, paired, "
        "with its 95 % interval; bold where that excludes zero. AUROC: of the score that C and D (and E) go by."
    )
    if _stale(facts):
        text += " **The v3 that they are compared with is not this run:** `make ablation` compares anew."
    rows = _ablation_rows("v3", ablation["base"])
    for name, experiment in ablation["experiments"].items():
        rows += _ablation_rows(f"{name}: {experiment['what']}", experiment)
    table = as_table(rows, ["undone", "policy", "accuracy", "effect", "cost", "effect", "AUROC"])
    return ["## What each change of the recipe does", text, table, "![Effects](figures/ablation.png)"]


def _ablation_rows(title: str, experiment: Entry) -> list[list[str]]:
    rows = []
    for policy, entry in experiment["policies"].items():
        auroc = experiment["auroc"].get(policy)
        rows.append(
            [
                title if policy == "A" else "",
                policy,
                f"{entry['accuracy'] * 100:.1f} %",
                _effect(entry, "accuracy_effect", 100, "+.1f"),
                f"{entry['cost']:.2f}",
                _effect(entry, "cost_effect", 1, "+.2f"),
                "" if auroc is None else f"{auroc:.2f}",
            ]
        )
    return rows


def _effect(entry: Entry, key: str, scale: float, form: str) -> str:
    value, low, high = (entry[f"{key}{end}"] * scale for end in ("", "_low", "_high"))
    if low == high == 0:
        return "–"
    text = f"{value:{form}} ({low:{form}} to {high:{form}})"
    return text if low <= 0 <= high else f"**{text}**"


def _stale(facts: Facts) -> bool:
    """Whether this run should be the ablation's v3 and is not."""
    ablation = facts.ablation
    mine = (facts.scale, facts.recipe_name, facts.level, facts.cost_model)
    if mine != (ablation["scale"], "v3", ablation["level"], ablation["cost_model"]):
        return False
    key, base = f"{facts.level}_accuracy", ablation["base"]["policies"]
    policies = facts.evaluation["policies"]
    return any(policies[name][key] != entry["accuracy"] for name, entry in base.items())
