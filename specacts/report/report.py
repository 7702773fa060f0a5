"""The report: Markdown from the metrics, readable by someone who has never seen the repository.

    text = report(Facts(evaluation=..., calibration=..., ...))

Every sentence about an outcome is chosen by the numbers; nothing here knows what the result should be. What to
do comes first, then the result table (scripts/show.py prints it).
"""

from typing import NamedTuple

from specacts.policies.choose import fixed_thresholds
from specacts.report.sections import (
    ablation_parts,
    charges_table,
    costs_text,
    frontier_text,
    guarantee_parts,
    latency_text,
    live_parts,
    overlap_text,
    own_parts,
)
from specacts.report.wording import (
    BASELINES,
    COSTS,
    JUDGING,
    LEVELS,
    POLICIES,
    Entry,
    Facts,
    as_table,
    interval,
    listed,
    percent,
    points,
    ratio,
    risk_points,
    share,
    side,
)

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


def report(facts: Facts) -> str:
    """The whole report."""
    evaluation = facts.evaluation
    parts = [
        "# Can a cheap model take most of an agent's actions?",
        "An agent can let a cheap model propose its next action, and pay for an expensive model only where a verifier "
        "rejects the proposal. Is that as accurate, and is it cheaper, when every call is charged?",
        f"**{answer(facts)}**",
        *remarks(facts),
        "## What to do",
        advice_text(facts),
        "## What every policy does",
        result_table(evaluation),
        f"{evaluation['decisions']} test decisions in {evaluation['groups']} groups (tasks), scale `{facts.scale}`, "
        f"recipe `{facts.recipe_name}`. In brackets: 95 % intervals from a bootstrap over groups. Costs are totals "
        "relative to A; a policy pays for every call it makes, the strong model's after a rejection included.",
        "![Accuracy against cost](figures/frontier.png)",
        "## The policies",
        policies_text(facts),
        thresholds_text(facts),
        "## Better than a coin?",
        frontier_text(facts),
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
        *live_parts(facts),
        "## How long it takes",
        latency_text(evaluation),
        "## What is charged",
        costs_text(facts),
        charges_table(facts),
        *ablation_parts(facts),
        "## Data",
        data_table(facts.data),
        overlap_text(facts.data["contamination"]),
        *own_parts(facts.own),
        "## Training",
        training_table(facts.training, facts.assets),
        "![Training loss](figures/training_loss.png)",
        "## What is not covered",
        limits_text(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


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
    accuracy = side(gain, f"{facts.level}_accuracy", 0.0, ("worse", "even", "better"))
    cost = side(spent, facts.cost_model, 1.0, ("cheaper", "even", "dearer"))
    return Standing(name, accuracy, cost, gain[f"{facts.level}_accuracy"])


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
        f"{_against_strong(facts, name)}, and costs {ratio(policy['cost'], facts.cost_model)} times what A does "
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
        f"cheap one alone (B) in {percent(policies['B'], key)} at {ratio(policies['B']['cost'], facts.cost_model)} of "
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
            f"No threshold of {listed(over)} kept within the cost budget on the calibrate split "
            f"({facts.max_relative_cost:g} × A in {COSTS[facts.cost_model]}): there the most accurate one was taken."
        )
    for name in JUDGING:
        if policies[name]["accept_rate"] in (0, 1):
            what = "nothing: it is A plus the cost of judging" if not policies[name]["accept_rate"] else "everything"
            found.append(f"{name} accepts {what}.")
    return found


def result_table(evaluation: Entry) -> str:
    """Policies, then baselines: accuracies with intervals, accept rate, relative costs."""
    rows = [_result_row(f"{name} {title}", evaluation["policies"][name]) for name, title in POLICIES.items()]
    rows += [_result_row(f"*{title}*", evaluation["baselines"][name]) for name, title in BASELINES.items()]
    return as_table(rows, ["policy", *LEVELS.values(), "from cheap", *COSTS.values()])


def _result_row(title: str, entry: Entry) -> list[str]:
    accuracies = [percent(entry, f"{level}_accuracy") for level in LEVELS]
    return [title, *accuracies, share(entry.get("accept_rate")), *(ratio(entry["cost"], model) for model in COSTS)]


def paired_table(evaluation: Entry) -> str:
    """Paired differences in points; bold where the interval excludes zero."""
    rows = []
    for name, entry in evaluation["paired"].items():
        cells = []
        for level in LEVELS:
            key = f"{level}_accuracy"
            text = points(entry, key)
            cells.append(text if side(entry, key, 0.0, ("-", "", "+")) == "" else f"**{text}**")
        rows.append([name.replace("_minus_", " − "), *cells])
    text = "Percentage points, with 95 % intervals; bold where the interval excludes zero."
    return f"{text}\n\n{as_table(rows, ['', *LEVELS.values()])}"


def data_table(data: Entry) -> str:
    """Episodes, groups, decisions and action types of every split."""
    splits = {name: part for name, part in data.items() if name != "contamination"}
    types = list(next(iter(splits.values()))["decisions_by_type"])
    counted = ("episodes", "groups", "decisions")
    rows = [
        [name, *(f"{part[key]:,}" for key in counted), *(part["decisions_by_type"][t] for t in types)]
        for name, part in splits.items()
    ]
    text = (
        "A group is what a split must keep together: the variants of one task. No group is in two splits. Models are "
        "asked about as many calibrate and test episodes as the scale says."
    )
    return f"{text}\n\n{as_table(rows, ['split', *counted, *types])}"


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
    return as_table(rows, headers) + _verdict_balance(training)


def _verdict_balance(training: dict[str, Entry]) -> str:
    verdicts = training.get("verifier", {}).get("verdicts")
    if not verdicts:
        return ""
    return f"\n\nThe verifier learned from {verdicts['accept']:,} right and {verdicts['reject']:,} wrong actions."


def policies_text(facts: Facts) -> str:
    """What A to H and the baselines are, as the recipe makes them."""
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
        "strong model acts. No verifier is asked.\n"
        "- **G**: a router decides which model acts before either is called, from what the context looks like (what "
        "was done last, how far the turn has come, how much was asked for): a logistic regression fitted on the verify "
        f"split, AUROC {facts.router['auroc']:.2f} there by cross-validation. It reads no text and costs nothing.\n"
        "- **H**: as D, and asked and paid for like D, by the verifier's score, the cheap model's confidence and the "
        "router's probability combined in a logistic regression fitted on the calibrate split.\n\n"
        "Beside them, what they have to be held against: always answering the type that is commonest in the calibrate "
        "split, a type at random (both at no cost), D with a coin that accepts as often as D does (exact expectation), "
        "D and E with a verifier that accepts exactly the right proposals, and G with a router that sends the cheap "
        f"model exactly where it is right ({LEVELS[facts.level]}): the ceiling for any judge of these two models."
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
    table = as_table(rows, ["", "threshold", f"{LEVELS[facts.level]} accuracy", "accepts", "cost", "within budget"])
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
    rows = [[f"**{title}**" if key == used else title, interval(verifier, key)] for key, title in names.items()]
    return (
        f"{share(verifier['base_rate'])} of the cheap model's greedy proposals are right ({LEVELS[level]}). AUROC is "
        "how often a score ranks a right one above a wrong one; 0.5 is chance; malformed proposals score 0. D and E "
        "go by the score in bold:\n\n"
        f"{as_table(rows, ['score', 'AUROC'])}\n\n{_gain_text(verifier)} Of what D accepts, "
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
    return f"{words[side(verifier, key, 0.0, ('-', '', '+'))]} (difference {interval(verifier, key, '+.3f')})."


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
    rows = [[name, *(interval(entry, key) for key in columns)] for name, entry in evaluation["scores"].items()]
    return (
        "C, D, F, G and H score the cheap model's greedy proposal, G before it is made; it is right "
        f"({LEVELS[level]}) or it is not. Brier score and expected calibration error (ten bins of equal mass; of some "
        "400 decisions a few hundredths are chance) are of the score as it is, and of the probability made of it on "
        "the calibrate split by the method that cross-fitting preferred there (none, temperature, sigmoid or "
        "isotonic). Thresholds are chosen on the raw scores: a rising map would move them and change no decision. By "
        "action type: `reports/plots/score_by_type.csv`.\n\n"
        f"{as_table(rows, ['', *columns.values()])}"
    )


def malformed_text(evaluation: Entry) -> str:
    """How much output was no action at all."""
    a, b = (evaluation["policies"][name]["malformed"] for name in ("A", "B"))
    return (
        f"Output that is no well-formed action counts as wrong: {a * 100:.1f} % of the strong model's, "
        f"{b * 100:.1f} % of the cheap model's. Counts in the cells, shading by row."
    )


def limits_text(facts: Facts) -> str:
    """What the figures do not say."""
    recorded = facts.answers.get("decisions_per_second")
    speed = f" Answers were recorded at {recorded:.1f} decisions a second." if recorded else ""
    return (
        "- Contexts are the recorded ones, where it is not said otherwise: a wrong action does not spoil the decisions "
        "after it, as it would in use and does on the simulators.\n"
        "- What a speaking action says is not judged: the traces hold no reference text for it.\n"
        "- An action counts as right only if it is the recorded one; another that would do as well counts as wrong.\n"
        "- Thresholds without a promise carry no guarantee for other data. The lines in the first figure are sweeps "
        "over the test split, for orientation: their best points are no results.\n"
        "- Intervals cover the choice of test tasks, not the randomness of training: another seed gives other "
        "models.\n"
        f"- Memory, network time and queueing are not charged.{speed}"
    )


def advice_text(facts: Facts) -> str:
    """Which policy at which risk, what it saves and how sure that is; then what would have to be better for more."""
    calibration, kept = facts.calibration, facts.evaluation["guaranteed"]
    rows = []
    for risk, name in facts.promise["cheapest"].items():
        if name == "A":
            rows.append([risk_points(risk), "A: nothing cheaper can be promised", "–", "–", "–"])
            continue
        entry = kept[name][risk]
        saved = {end: 1 - entry["cost"][f"{facts.cost_model}{end}"] for end in ("", "_low", "_high")}
        spread = f"{share(saved[''])} ({saved['_high'] * 100:.0f}–{saved['_low'] * 100:.0f})"
        rows.append(
            [
                risk_points(risk),
                f"**{name}**: {POLICIES[name]}",
                spread,
                share(entry["accept_rate"]),
                points(entry, "lost"),
            ]
        )
    headers = ["accuracy you may lose", "use", f"saves of A's cost ({COSTS[facts.cost_model]})"]
    table = as_table(rows, [*headers, "from the cheap model", "points lost on test"])
    best = facts.thresholds["most_accurate"]
    entry = facts.evaluation["policies"][best]
    return (
        f"With {share(calibration['confidence'])} confidence, for tasks like those of the calibrate split "
        f"({calibration['groups']} groups) and whichever of {listed(list(calibration['guaranteed']))} is used:\n\n"
        f"{table}\n\n"
        f"Without a promise, the most accurate policy within the budget ({facts.max_relative_cost:g} × A) on the "
        f"calibrate split was **{best}** ({POLICIES[best]}): on test {percent(entry, f'{facts.level}_accuracy')} at "
        f"{ratio(entry['cost'], facts.cost_model)} of A's cost.\n\n"
        f"**What would have to be better for more:**\n\n{levers_text(facts)}"
    )


def levers_text(facts: Facts) -> str:
    """What stands between these results and better ones, each with its size."""
    evaluation, key = facts.evaluation, f"{facts.level}_accuracy"
    policies, baselines = evaluation["policies"], evaluation["baselines"]
    gap = (policies["A"][key] - policies["B"][key]) * 100
    ceiling = baselines["oracle_routes"][key]
    chosen = max(JUDGING, key=lambda name: evaluation["frontier"]["policies"][name]["headroom"])
    won = evaluation["frontier"]["policies"][chosen]
    overhead = policies["B"]["cost"][facts.cost_model]
    twice = facts.calibration["projected"]["2"]
    most = {risk: max(twice, key=lambda n: twice[n][risk]) for risk in facts.calibration["groups_needed"]}
    promises = [f"{share(twice[name][risk])} at {risk_points(risk)} ({name})" for risk, name in most.items()]
    return (
        f"- *More calibrate tasks.* The promises rest on {facts.calibration['groups']} groups. Twice as many like them "
        f"would let the cheap model keep {listed(promises)} of its actions.\n"
        f"- *Better judgement.* Knowing which model is right would give {ceiling * 100:.1f} % at "
        f"{ratio(baselines['oracle_routes']['cost'], facts.cost_model)} of A's cost. Of what lies between that and a "
        f"coin, over all budgets, the best judge here ({chosen}) wins {share(won['headroom'])} "
        f"({won['headroom_low'] * 100:.0f} to {won['headroom_high'] * 100:.0f}).\n"
        f"- *The ladder.* The strong model is {gap:.1f} points better than the cheap one and {1 / overhead:.1f} times "
        f"as dear; both are wrong in {share(1 - ceiling)} of decisions, where no judge helps."
    )
