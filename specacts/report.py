"""The report: Markdown from the metrics, readable by someone who has never seen the repository.

    text = report(Facts(evaluation=..., calibration=..., ...))

Every sentence about an outcome is chosen by the numbers; nothing here knows what the result should be. The first
table is the result table (scripts/show.py prints it).
"""

from typing import Any, NamedTuple

from tabulate import tabulate

from specacts.calibrate import fixed_thresholds
from specacts.config import Recipe

POLICIES = {
    "A": "always the strong model",
    "B": "the cheap model alone",
    "C": "cheap proposes, strong judges",
    "D": "cheap proposes, trained verifier judges",
    "E": "cheap proposes N, verifier picks",
    "F": "cheap proposes, its own confidence decides",
}
JUDGING = ("C", "D", "E", "F")
BASELINES = {
    "majority": "always the commonest type",
    "random": "a random type",
    "random_accept": "D with a coin for a verifier",
    "oracle": "D with a perfect verifier",
    "oracle_picks": "E with a perfect verifier",
}
COSTS = {
    "flops": "FLOPs",
    "flops_no_cache": "FLOPs, no cache",
    "seconds": "seconds",
    "upstream": "upstream's figures",
}
LEVELS = {"type": "action type", "tool": "type and tool", "call": "full call", "effect": "same effect"}
SCORES = {
    "likelihood": "how likely it finds it, without generating",
    "verdict": "its probability of ACCEPT",
    "reward": "the reward it gives it",
}
RIGHT = {
    "type": "the right type of action",
    "tool": "the right type and tool",
    "call": "the right call, arguments included",
}

Entry = dict[str, Any]


class Facts(NamedTuple):
    """What the report is made of: the metrics files' contents and the settings they were made with.

    answers: metrics/answer.json. training: metrics/train/<role>.json by role, with the first and the last loss of its
    curve. ablation: metrics/ablation.json, {} where nobody ran it.
    """

    evaluation: Entry
    calibration: Entry
    data: Entry
    answers: Entry
    assets: Entry
    training: dict[str, Entry]
    ablation: Entry
    scale: str
    recipe_name: str
    recipe: Recipe
    level: str
    score: str
    cost_model: str
    max_relative_cost: float


def report(facts: Facts) -> str:
    """The whole report."""
    evaluation = facts.evaluation
    parts = [
        "# Can a cheap model take most of an agent's actions?",
        "An agent can let a cheap model propose its next action, and pay for an expensive model only where a verifier "
        "rejects the proposal. Is that as accurate, and is it cheaper, when every call is charged?",
        f"**{answer(facts)}**",
        *remarks(facts),
        promise_sentence(facts),
        result_table(evaluation),
        f"{evaluation['decisions']} test decisions in {evaluation['groups']} groups (tasks), scale `{facts.scale}`, "
        f"recipe `{facts.recipe_name}`. In brackets: 95 % intervals from a bootstrap over groups. Costs are totals "
        "relative to A; a policy pays for every call it makes, the strong model's after a rejection included.",
        "![Accuracy against cost](figures/frontier.png)",
        "## The policies",
        policies_text(facts),
        thresholds_text(facts),
        *guarantee_parts(facts),
        "## Differences on the same decisions",
        paired_table(evaluation),
        "## Is the verifier worth its cost?",
        verifier_text(evaluation, facts.level, facts.score),
        "### Its scores as probabilities",
        scores_text(evaluation, facts.level),
        "![Reliability](figures/reliability.png)",
        "![Risk and coverage](figures/risk_coverage.png)",
        "![Accept rate by action type](figures/accept_rate.png)",
        "## Where the two models go wrong",
        malformed_text(evaluation),
        "![Confusion matrices of A and B](figures/confusion.png)",
        "## What is charged",
        costs_text(evaluation),
        *ablation_parts(facts),
        "## Data",
        data_table(facts.data),
        "## Training",
        training_table(facts.training, facts.assets),
        "![Training loss](figures/training_loss.png)",
        "## What is not covered",
        limits_text(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# -- the answer ---------------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """How a policy stands to A: is it better, worse or neither in accuracy; cheaper, dearer or neither in cost."""

    name: str
    accuracy: str
    cost: str
    gain: float


def standing(facts: Facts, name: str) -> Standing:
    """Judged by whether the 95 % intervals exclude no difference."""
    gain = facts.evaluation["paired"][f"{name}_minus_A"]
    spent = facts.evaluation["policies"][name]["cost"]
    accuracy = _side(gain, f"{facts.level}_accuracy", 0.0, ("worse", "even", "better"))
    cost = _side(spent, facts.cost_model, 1.0, ("cheaper", "even", "dearer"))
    return Standing(name, accuracy, cost, gain[f"{facts.level}_accuracy"])


def _side(entry: Entry, key: str, pivot: float, names: tuple[str, str, str]) -> str:
    low, high = entry[f"{key}_low"], entry[f"{key}_high"]
    return names[0] if high < pivot else names[2] if low > pivot else names[1]


def answer(facts: Facts) -> str:
    """One sentence: does a judging policy beat the strong model, or match it for less?"""
    found = sorted((standing(facts, name) for name in JUDGING), key=lambda s: -s.gain)
    for accuracy, cost, verdict in (
        ("better", "cheaper", "Yes"),
        ("better", "even", "Yes in accuracy, not in cost"),
        ("even", "cheaper", "Nearly: cheaper, and no difference in accuracy could be shown"),
        ("better", "dearer", "In accuracy yes, but it costs more"),
    ):
        for one in found:
            if (one.accuracy, one.cost) == (accuracy, cost):
                return f"{verdict}: {describe(facts, one.name)}."
    best = describe(facts, found[0].name)
    if any(one.cost == "cheaper" for one in found):
        cheaper = describe(facts, next(one.name for one in found if one.cost == "cheaper"))
        return f"Not without a loss: {cheaper}."
    return f"No: no judging policy is shown to be more accurate than the strong model alone, or cheaper; {best}."


def describe(facts: Facts, name: str) -> str:
    """What a policy takes from the cheap model, how accurate it is beside A, and what it costs."""
    policy = facts.evaluation["policies"][name]
    return (
        f"{name} ({POLICIES[name]}) takes {share(policy['accept_rate'])} of its actions from the cheap model, "
        f"{_against_strong(facts, name)}, and costs {_ratio(policy['cost'], facts.cost_model)} times what A does "
        f"({COSTS[facts.cost_model]})"
    )


def _against_strong(facts: Facts, name: str) -> str:
    """The difference in accuracy to A, in points, with its interval."""
    key = f"{facts.level}_accuracy"
    words = {
        "better": "is more often right than the strong model alone",
        "worse": "is less often right than the strong model alone",
        "even": "is not measurably more or less often right than the strong model alone",
    }
    gain = facts.evaluation["paired"][f"{name}_minus_A"]
    value, low, high = (gain[f"{key}{end}"] * 100 for end in ("", "_low", "_high"))
    difference = f"{value:+.1f} points of {LEVELS[facts.level]} accuracy, {low:+.1f} to {high:+.1f}"
    return f"{words[standing(facts, name).accuracy]} ({difference})"


def remarks(facts: Facts) -> list[str]:
    """A sentence on the two models, and one on each thing that undermines the answer."""
    policies, paired = facts.evaluation["policies"], facts.evaluation["paired"]["B_minus_A"]
    key = f"{facts.level}_accuracy"
    found = [
        f"The strong model alone (A) takes {RIGHT[facts.level]} in {percent(policies['A'], key)} of decisions, the "
        f"cheap one alone (B) in {percent(policies['B'], key)} at {_ratio(policies['B']['cost'], facts.cost_model)} of "
        f"the cost ({COSTS[facts.cost_model]})."
    ]
    if paired[f"{key}_high"] >= 0:
        found.append(
            "The strong model is not shown to be better than the cheap one here, so this is no fair test of a "
            f"verifier: what it falls back on is no improvement (B minus A: {points(paired, key)} points)."
        )
    chosen = [name for name in JUDGING if name not in fixed_thresholds(facts.recipe)]
    over = [name for name in chosen if not facts.calibration["policies"][name]["within_budget"]]
    if over:
        found.append(
            f"No threshold of {_listed(over)} kept within the cost budget on the calibrate split "
            f"({facts.max_relative_cost:g} × A in {COSTS[facts.cost_model]}): there the most accurate one was taken."
        )
    for name in JUDGING:
        if policies[name]["accept_rate"] in (0, 1):
            what = "nothing: it is A plus the cost of judging" if not policies[name]["accept_rate"] else "everything"
            found.append(f"{name} accepts {what}.")
    return found


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# -- tables -------------------------------------------------------------------------------------------------


def result_table(evaluation: Entry) -> str:
    """Policies, then baselines: accuracies with intervals, accept rate, relative costs."""
    rows = [_result_row(f"{name} {title}", evaluation["policies"][name]) for name, title in POLICIES.items()]
    rows += [_result_row(f"*{title}*", evaluation["baselines"][name]) for name, title in BASELINES.items()]
    return _table(rows, ["policy", *LEVELS.values(), "from cheap", *COSTS.values()])


def _result_row(title: str, entry: Entry) -> list[str]:
    accuracies = [percent(entry, f"{level}_accuracy") for level in LEVELS]
    return [title, *accuracies, share(entry.get("accept_rate")), *(_ratio(entry["cost"], model) for model in COSTS)]


def paired_table(evaluation: Entry) -> str:
    """Paired differences in points; bold where the interval excludes zero."""
    rows = []
    for name, entry in evaluation["paired"].items():
        cells = []
        for level in LEVELS:
            key = f"{level}_accuracy"
            text = points(entry, key)
            cells.append(text if _side(entry, key, 0.0, ("-", "", "+")) == "" else f"**{text}**")
        rows.append([name.replace("_minus_", " − "), *cells])
    text = "Percentage points, with 95 % intervals; bold where the interval excludes zero."
    return f"{text}\n\n{_table(rows, ['', *LEVELS.values()])}"


def data_table(data: Entry) -> str:
    """Episodes, groups, decisions and action types of every split."""
    types = list(next(iter(data.values()))["decisions_by_type"])
    counted = ("episodes", "groups", "decisions")
    rows = [
        [name, *(f"{part[key]:,}" for key in counted), *(part["decisions_by_type"][t] for t in types)]
        for name, part in data.items()
    ]
    text = (
        "A group is what a split must keep together: the variants of one task. No group is in two splits. Models are "
        "asked about as many calibrate and test episodes as the scale says."
    )
    return f"{text}\n\n{_table(rows, ['split', *counted, *types])}"


def training_table(training: dict[str, Entry], assets: Entry) -> str:
    """What each training saw and took."""
    if not training:
        return "No training was recorded."
    rows = []
    for role, t in training.items():
        base = assets["roles"].get(role, {})
        size = f"{base['parameters'] / 1e6:,.0f}M, {len(base['layers'])} layers" if base else "–"
        if not t["steps"]:
            rows.append([role, size, "frozen", *["–"] * 6])
            continue
        rows.append(
            [
                role,
                size,
                f"{t['trainable_parameters'] / 1e6:.1f}M",
                f"{t['steps']:,}",
                f"{t['seen_tokens']:,}",
                f"{t['first_loss']:.2f} → {t['final_loss']:.2f}",
                f"{t['seconds'] / 60:.1f}",
                f"{t['seen_tokens'] / t['seconds']:,.0f}",
                f"{t['peak_memory_gib']:.1f}",
            ]
        )
    headers = ["role", "base", "trained", "steps", "tokens", "loss", "minutes", "tokens/s", "peak GiB"]
    return _table(rows, headers) + _verdict_balance(training)


def _verdict_balance(training: dict[str, Entry]) -> str:
    verdicts = training.get("verifier", {}).get("verdicts")
    if not verdicts:
        return ""
    return f"\n\nThe verifier learned from {verdicts['accept']:,} right and {verdicts['reject']:,} wrong actions."


def _table(rows: list[list[Any]], headers: list[str]) -> str:
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=align if rows else None)


# -- texts --------------------------------------------------------------------------------------------------


def policies_text(facts: Facts) -> str:
    """What A to E and the baselines are, as the recipe makes them."""
    recipe = facts.recipe
    trained = "fine-tuned" if recipe.strong == "fine_tuned" else "frozen, zero-shot"
    judges = "by how likely it finds it, without generating"
    if recipe.strong == "frozen":
        judges = "by its probability of ACCEPT when asked ACCEPT or REJECT"
    learned = "the cheap model's own right and wrong proposals"
    if recipe.verifier.negatives == "synthetic":
        learned = "gold actions, those of other decisions standing for wrong ones"
    kind = "a reward model trained on pairs of" if facts.score == "reward" else "trained on gold actions and on"
    made = "one greedy, the others sampled" if recipe.picks.among == "all" else "all sampled"
    ends = "picks the best one or rejects them all; then the strong model acts"
    if not recipe.picks.may_reject:
        ends = "picks the best one; nothing is rejected"
    formats = {
        "same": "Models are asked in the format they were trained in.",
        "mismatched": "Models were trained on transcripts whose actions read `Action: <type>` and are asked in natural "
        "chat, in which actions read as a chat model would have written them.",
    }
    return (
        "A *decision* is a place in an episode where the agent had to act; its context is what really happened before. "
        f"A *proposal* is the action a model generates there. {formats[recipe.format]}\n\n"
        f"- **A**: the strong model ({trained}) acts at every decision.\n"
        "- **B**: the cheap model acts at every decision.\n"
        f"- **C**: the cheap model proposes; the *strong* model scores the proposal {judges}; below a threshold it "
        "acts itself.\n"
        f"- **D**: the cheap model proposes; a small verifier, {kind} {learned}, scores it by {SCORES[facts.score]}; "
        "below a threshold the strong model acts.\n"
        f"- **E**: the cheap model makes several proposals ({made}), the verifier {ends}.\n"
        "- **F**: the cheap model proposes; below a threshold on its own confidence in the type of its action the "
        "strong model acts. No verifier is asked.\n\n"
        "Beside them, what they have to be held against: always answering the type that is commonest in the calibrate "
        "split, a type at random (both at no cost), D with a coin that accepts as often as D does (exact expectation), "
        "and D and E with a verifier that accepts exactly the right proposals "
        f"({LEVELS[facts.level]}): the ceiling for any verifier of these proposals."
    )


def thresholds_text(facts: Facts) -> str:
    """How the thresholds were chosen and what they did where they were chosen."""
    calibration, fixed = facts.calibration, fixed_thresholds(facts.recipe)
    rows = [
        [
            f"**{name}**",
            _threshold(fit["threshold"]) + (", fixed" if name in fixed else ""),
            f"{fit['accuracy'] * 100:.1f} %",
            share(fit["accept_rate"]),
            f"{fit['cost']:.2f}",
            "yes" if fit["within_budget"] else "**no**",
        ]
        for name, fit in calibration["policies"].items()
    ]
    table = _table(rows, ["", "threshold", f"{LEVELS[facts.level]} accuracy", "accepts", "cost", "within budget"])
    split = f"the calibrate split ({calibration['decisions']} decisions, {calibration['groups']} groups)"
    budget = f"{facts.max_relative_cost:g} × A ({COSTS[facts.cost_model]})"
    if len(fixed) == len(calibration["policies"]):
        return f"The recipe fixes the thresholds. What they do on {split}, against a budget of {budget}:\n\n{table}"
    return (
        f"Thresholds were chosen on {split}: the most accurate one that costs at most {budget}. The figures are of "
        f"that split and a little flattered by the choice:\n\n{table}"
    )


def _threshold(value: float) -> str:
    return "accepts all" if value <= 0 else "accepts none" if value > 1 else f"{value:.3g}"


def verifier_text(evaluation: Entry, level: str, score: str) -> str:
    """The verifier's score against scores that cost nothing, and what D's verdicts were worth."""
    verifier, d = evaluation["verifier"], evaluation["policies"]["D"]
    asked = "reward" if score == "reward" else "P(ACCEPT)"
    names = {
        "auroc": "trained verifier: its probability of the proposal",
        "verdict_auroc": f"trained verifier: {asked}",
        "confidence_auroc": "cheap model's own probability of its type (free)",
        "logprob_auroc": "cheap model's mean token probability (free)",
        "strong_auroc": "strong model's judgement (policy C)",
    }
    used = "auroc" if score == "likelihood" else "verdict_auroc"
    if used != "auroc":
        del names["auroc"]  # the same figure
    rows = [[f"**{title}**" if key == used else title, _interval(verifier, key)] for key, title in names.items()]
    return (
        f"{share(verifier['base_rate'])} of the cheap model's greedy proposals are right ({LEVELS[level]}). AUROC is "
        "how often a score ranks a right one above a wrong one; 0.5 is chance; malformed proposals score 0. D and E "
        "go by the score in bold:\n\n"
        f"{_table(rows, ['score', 'AUROC'])}\n\n{_gain_text(verifier)} Of what D accepts, "
        f"{share(d['precision'] if d['accept_rate'] else None)} is right; of the right proposals, it accepts "
        f"{share(d['recall'] if verifier['base_rate'] else None)}."
    )


def _gain_text(verifier: Entry) -> str:
    key = "auroc_minus_confidence"
    if verifier["base_rate"] in (0, 1):
        return "The proposals are all right or all wrong, so no score can be judged."
    words = {
        "+": "The trained verifier tells them apart better than the free confidence does",
        "-": "The trained verifier tells them apart worse than the free confidence does: it is not worth its cost",
        "": "The trained verifier is not measurably better than the free confidence",
    }
    return f"{words[_side(verifier, key, 0.0, ('-', '', '+'))]} (difference {_interval(verifier, key, '+.3f')})."


def scores_text(evaluation: Entry, level: str) -> str:
    """How good the judges' scores are at ranking and as probabilities, before and after calibration."""
    columns = {
        "auroc": "AUROC",
        "average_precision": "average precision",
        "brier": "Brier",
        "brier_calibrated": "Brier, calibrated",
        "ece": "ECE",
        "ece_calibrated": "ECE, calibrated",
    }
    rows = [[name, *(_interval(entry, key) for key in columns)] for name, entry in evaluation["scores"].items()]
    return (
        f"C, D and F score the cheap model's greedy proposal; it is right ({LEVELS[level]}) or it is not. Brier score "
        "and expected calibration error (ten bins of equal mass; of some 400 decisions a few hundredths are chance) "
        "are of the score as it is, and of the probability made of it on the calibrate split by the method that "
        "cross-fitting preferred there (none, temperature, sigmoid or isotonic). Thresholds are chosen on the raw "
        "scores: a rising map would move them and change no decision. By action type: "
        "`reports/plots/score_by_type.csv`.\n\n"
        f"{_table(rows, ['', *columns.values()])}"
    )


def malformed_text(evaluation: Entry) -> str:
    """How much output was no action at all."""
    a, b = (evaluation["policies"][name]["malformed"] for name in ("A", "B"))
    return (
        f"Output that is no well-formed action counts as wrong: {a * 100:.1f} % of the strong model's, "
        f"{b * 100:.1f} % of the cheap model's. Counts in the cells, shading by row."
    )


def costs_text(evaluation: Entry) -> str:
    """The definitions of the cost columns, and what one unit is."""
    unit = evaluation["cost_per_decision"]["A"]
    return (
        f"- *FLOPs*: counted from tokens and model sizes. Each model keeps a cache over an episode and reads every "
        "context token once; a model that is asked rarely has to catch up when it is asked. A's unit: "
        f"{_flops(unit['flops'])} a decision.\n"
        f"- *FLOPs, no cache*: every call reads its whole context again (stateless serving). A's unit: "
        f"{_flops(unit['flops_no_cache'])}.\n"
        "- *Seconds*: measured in this run, where answers to many decisions were decoded side by side; a call's share "
        f"of that, not the latency of a lone agent. A's unit: {unit['seconds']:.3g} s.\n"
        "- *Upstream's figures*: fixed prices for a strong action, a cheap action and a verdict (`cost.upstream` in "
        "`params.yaml`), every call charged. Upstream's own table leaves out what the strong model does after a "
        f"rejection: {_listed(list(JUDGING))} then read {_without_fallback(evaluation)}; with it, "
        f"{_with_fallback(evaluation)}."
    )


def _without_fallback(evaluation: Entry) -> str:
    return _listed([f"{evaluation['upstream_without_fallback'][name]:.2f}" for name in JUDGING])


def _with_fallback(evaluation: Entry) -> str:
    return _listed([f"{evaluation['policies'][name]['cost']['upstream']:.2f}" for name in JUDGING])


def _flops(value: float) -> str:
    return f"{value / 1e9:,.3g} GFLOP"


def limits_text(facts: Facts) -> str:
    """What the figures do not say."""
    recorded = facts.answers.get("decisions_per_second")
    speed = f" Answers were recorded at {recorded:.1f} decisions a second." if recorded else ""
    return (
        "- Contexts are the recorded ones: a wrong action does not spoil the decisions after it, as it would in use.\n"
        "- What a speaking action says is not judged: the traces hold no reference text for it.\n"
        "- An action counts as right only if it is the recorded one; another that would do as well counts as wrong.\n"
        "- The threshold carries no guarantee for other data. The line in the first figure is a sweep over the test "
        "split, for orientation: its best point is not a result.\n"
        "- Intervals cover the choice of test tasks, not the randomness of training: another seed gives other "
        "models.\n"
        f"- Memory, network time and queueing are not charged.{speed}"
    )


# -- guarantees ---------------------------------------------------------------------------------------------


def guarantee_parts(facts: Facts) -> list[str]:
    """What can be promised at each risk, and what the promises were worth on the test split."""
    promised, kept = facts.calibration["guaranteed"], facts.evaluation["guaranteed"]
    risks = promised_risks(facts)
    rows = []
    for risk in risks:
        for name in JUDGING:
            entry, threshold = kept[name][risk], promised[name][risk]
            known = threshold <= 1
            rows.append(
                [
                    f"{float(risk) * 100:g} points" if name == JUDGING[0] else "",
                    name,
                    f"{threshold:.3g}" if known else "none: always strong",
                    share(entry["accept_rate"]),
                    points(entry, "lost") if known else "–",
                    _ratio(entry["cost"], facts.cost_model),
                ]
            )
    headers = ["may lose", "policy", "threshold", "from cheap", "lost on test", f"cost ({COSTS[facts.cost_model]})"]
    needed = [
        f"{count} groups to promise {float(risk) * 100:g} points"
        for risk, count in facts.calibration["groups_needed"].items()
    ]
    text = (
        "A threshold here is the lowest shown on the calibrate split, with 90 % confidence, to lose no more accuracy "
        f"({LEVELS[facts.level]}, averaged over groups) to the strong model than the first column says "
        "(Learn-then-Test, fixed-sequence; groups are taken to be independent draws of the tasks to come, decisions "
        "inside a group may depend on each other). At each risk the promises of all policies hold together, so one may "
        "choose between them. Where none can be shown to be safe, the strong model acts alone. Even without a single "
        f"loss it takes {_listed(needed)}; the calibrate split has {facts.calibration['groups']} groups. *Lost on "
        "test* is A's accuracy minus the policy's, in points over decisions, negative where the policy won."
    )
    return ["## What can be promised", text, _table(rows, headers)]


def promised_risks(facts: Facts) -> list[str]:
    """The risks for which guaranteed thresholds were sought, as they are written."""
    return list(next(iter(facts.calibration["guaranteed"].values())))


def promise_sentence(facts: Facts) -> str:
    """The cheapest certified policy at each risk, where it is cheaper than A."""
    promised, kept = facts.calibration["guaranteed"], facts.evaluation["guaranteed"]
    found = []
    for risk in promised_risks(facts):
        costs = {n: kept[n][risk]["cost"][facts.cost_model] for n in JUDGING if promised[n][risk] <= 1}
        best = min(costs, key=costs.get, default=None)
        if best and kept[best][risk]["cost"][f"{facts.cost_model}_high"] < 1:
            found.append(
                f"if {float(risk) * 100:g} points of accuracy may be lost, {best} saves "
                f"{(1 - costs[best]) * 100:.0f} % of A's cost with {share(kept[best][risk]['accept_rate'])} of actions "
                "from the cheap model"
            )
    groups = facts.calibration["groups"]
    if not found:
        return (
            "No saving can be promised: no threshold is shown on the calibrate split to lose at most "
            f"{_listed([f'{float(risk) * 100:g}' for risk in promised_risks(facts)])} points and to be cheaper than A."
        )
    return f"Promised with 90 % confidence ({groups} calibrate groups): {'; '.join(found)} ({COSTS[facts.cost_model]})."


# -- ablation -----------------------------------------------------------------------------------------------


def ablation_parts(facts: Facts) -> list[str]:
    """What undoing each change of the recipe does to every policy; nothing where nobody ran it."""
    ablation = facts.ablation
    if not ablation.get("experiments"):
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
    table = _table(rows, ["undone", "policy", "accuracy", "effect", "cost", "effect", "AUROC"])
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


# -- numbers ------------------------------------------------------------------------------------------------


def percent(entry: Entry, key: str) -> str:
    """`61.2 % (57–65)`."""
    return f"{entry[key] * 100:.1f} % ({entry[f'{key}_low'] * 100:.0f}–{entry[f'{key}_high'] * 100:.0f})"


def points(entry: Entry, key: str) -> str:
    """`+1.2 (-0.8 to +3.1)`, in percentage points."""
    value, low, high = (entry[f"{key}{end}"] * 100 for end in ("", "_low", "_high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def share(value: float | None) -> str:
    """`61 %`, or a dash where there is no such number."""
    return "–" if value is None else f"{value * 100:.0f} %"


def _interval(entry: Entry, key: str, form: str = ".3f") -> str:
    return f"{entry[key]:{form}} ({entry[f'{key}_low']:{form}} to {entry[f'{key}_high']:{form}})"


def _ratio(cost: Entry, model: str) -> str:
    """Relative cost with its interval where that is wider than the figures shown."""
    value, low, high = (cost[f"{model}{end}"] for end in ("", "_low", "_high"))
    text = f"{value:.2f}"
    return text if f"{low:.2f}" == f"{high:.2f}" else f"{text} ({low:.2f}–{high:.2f})"
