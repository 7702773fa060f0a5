"""The report: Markdown from the metrics, readable by someone who has never seen the repository.

Every sentence about an outcome is chosen by the numbers; nothing here knows what the result should be.
"""

from typing import Any

from tabulate import tabulate

NAMES = {
    "A": "A always the strong model",
    "B": "B cheap model alone",
    "C": "C cheap proposes, strong model judges",
    "D": "D cheap proposes, trained verifier judges",
    "E": "E cheap proposes N, verifier picks or rejects",
}
BASELINE_NAMES = {
    "majority": "always the commonest type",
    "random": "uniform random type",
    "random_accept": "D with a coin for a verifier",
    "oracle": "D with a perfect verifier (ceiling)",
}
COSTS = {
    "flops": "FLOPs, context cached",
    "flops_no_cache": "FLOPs, no cache",
    "seconds": "seconds",
    "upstream": "upstream's figures",
}


def report(metrics: dict[str, Any]) -> str:
    """The whole report. `metrics` holds eval, calibrate, data, answer, assets, train (by role), scale, recipe, cost."""
    evaluation = metrics["eval"]
    return "\n\n".join(
        [
            "# Can a cheap model take most of an agent's actions?",
            f"Scale `{metrics['scale']}`, recipe `{metrics['recipe']}`. {evaluation['decisions']} test decisions in "
            f"{evaluation['groups']} groups; intervals are 95 %, from a bootstrap over groups.",
            answer(evaluation),
            result_table(evaluation),
            "Costs are relative to A. A policy pays for every call it makes, the fallback included.",
            "![Accuracy and cost](figures/frontier.png)",
            "## What the rows are",
            explanation(metrics["calibrate"], metrics["cost"], evaluation["level"]),
            "## Differences on the same decisions",
            paired_table(evaluation),
            "## Is the verifier worth its cost?",
            verifier_text(evaluation),
            "![Accept rate by action type](figures/accept_rate.png)",
            "## Where the two models go wrong",
            "![Confusion](figures/confusion.png)",
            "## Data",
            data_table(metrics["data"]),
            "## Training",
            train_table(metrics["train"], metrics["assets"]),
            "![Training loss](figures/training_loss.png)",
            "## What is and is not covered",
            limits(evaluation),
        ]
    ) + "\n"


def answer(evaluation: dict[str, Any]) -> str:
    """One paragraph: does any judging policy beat the strong model, or match it for less?"""
    a = evaluation["policies"]["A"]
    sentences = [
        f"**Always asking the strong model (A) gets {percent(a, 'type_accuracy')} of action types right, the cheap model "
        f"alone (B) {percent(evaluation['policies']['B'], 'type_accuracy')} at "
        f"{evaluation['policies']['B']['cost']['flops']:.2f} of the FLOPs.**"
    ]
    for name in ("C", "D", "E"):
        policy, gain = evaluation["policies"][name], evaluation["paired"][f"{name}_minus_A"]
        cheaper = [COSTS[m] for m in COSTS if policy["cost"][m] < 1]
        where = f"costs less than A in {', '.join(cheaper)}" if cheaper else "costs no less than A in any measure"
        sentences.append(
            f"{name} keeps {policy['accept_rate']:.0%} of the cheap actions, is {_compared(gain)} and {where}."
        )
    return " ".join(sentences)


def _compared(gain: dict[str, float]) -> str:
    value, low, high = (gain[f"type_accuracy{part}"] for part in ("", "_low", "_high"))
    points = f"{value * 100:+.1f} points, {low * 100:+.1f} to {high * 100:+.1f}"
    if low > 0:
        return f"more accurate than A ({points})"
    if high < 0:
        return f"less accurate than A ({points})"
    return f"not distinguishable from A in accuracy ({points})"


def result_table(evaluation: dict[str, Any]) -> str:
    """Policies, then baselines: accuracies with intervals, accept rate, costs."""
    rows = [_row(title, evaluation["policies"][name]) for name, title in NAMES.items()]
    rows += [_row(f"*{title}*", evaluation["baselines"][name]) for name, title in BASELINE_NAMES.items()]
    headers = ["policy", "type", "type + tool", "full call", "accepts", *COSTS.values()]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _row(title: str, entry: dict[str, Any]) -> list[str]:
    accuracies = [percent(entry, f"{level}_accuracy") for level in ("type", "tool", "call")]
    costs = [f"{entry['cost'][model]:.2f}" if entry["cost"][model] else "–" for model in COSTS]
    return [title, *accuracies, f"{entry['accept_rate']:.0%}" if entry["accept_rate"] else "–", *costs]


def percent(entry: dict[str, Any], key: str) -> str:
    """`61.2 % (57–65)`."""
    return f"{entry[key] * 100:.1f} % ({entry[f'{key}_low'] * 100:.0f}–{entry[f'{key}_high'] * 100:.0f})"


def explanation(calibrate: dict[str, Any], cost: dict[str, Any], level: str) -> str:
    """What A to E are, and how their thresholds were chosen."""
    rows = [
        [n, f"{c['threshold']:.3f}", f"{c['accuracy']:.3f}", f"{c['accept_rate']:.0%}", f"{c['cost']:.2f}",
         "yes" if c["within_budget"] else "**no**"]
        for n, c in calibrate.items()
    ]  # fmt: skip
    first = next(iter(calibrate.values()))
    table = tabulate(
        rows, ["policy", "threshold", "accuracy", "accepts", "cost", "within budget"], "github", disable_numparse=True
    )
    return (
        "A decision is a place where the agent had to act; its context is what really happened before (teacher-forced). "
        "A proposer generates an action from it. C, D and E keep the cheap model's action where a judge scores it at or "
        "above a threshold, and otherwise pay for the strong model's action as well.\n\n"
        f"Thresholds maximise {level} accuracy on the calibrate split ({first['decisions']} decisions, {first['groups']} "
        f"groups) at no more than {cost['max_relative_cost']:g} × A's cost in `{cost['model']}`; where no threshold is "
        f"within that budget, the most accurate one is used and marked:\n\n{table}"
    )


def paired_table(evaluation: dict[str, Any]) -> str:
    """Paired differences in points with intervals."""
    rows = []
    for name, entry in evaluation["paired"].items():
        cells = [
            f"{entry[k] * 100:+.1f} ({entry[f'{k}_low'] * 100:+.1f} to {entry[f'{k}_high'] * 100:+.1f})"
            for k in ("type_accuracy", "call_accuracy")
        ]
        rows.append([name.replace("_minus_", " − "), *cells])
    return tabulate(rows, ["difference", "type, points", "full call, points"], "github", disable_numparse=True)


def verifier_text(evaluation: dict[str, Any]) -> str:
    """The verifier's score against scores that cost nothing."""
    verifier = evaluation["verifier"]
    names = {
        "auroc": "trained verifier, P(ACCEPT)",
        "confidence_auroc": "cheap model's own probability of its type (free)",
        "likelihood_auroc": "cheap model's mean token probability (free)",
        "strong_auroc": "strong model's probability of the proposal (C)",
    }
    rows = [[title, *(_number(verifier[f"{key}{end}"]) for end in ("", "_low", "_high"))] for key, title in names.items()]
    table = tabulate(rows, ["score", "AUROC", "low", "high"], "github", disable_numparse=True)
    gain = [verifier[f"auroc_minus_confidence{end}"] for end in ("", "_low", "_high")]
    if None in gain:
        return table
    verdict = "better than" if gain[1] > 0 else "worse than" if gain[2] < 0 else "not distinguishable from"
    return (
        f"{verifier['base_rate']:.0%} of the cheap model's greedy proposals are right. How well does each score tell them "
        f"from the wrong ones?\n\n{table}\n\nThe verifier is {verdict} the free confidence "
        f"({gain[0]:+.3f}, {gain[1]:+.3f} to {gain[2]:+.3f})."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def data_table(data: dict[str, Any]) -> str:
    """Episodes, groups, decisions and types by split."""
    types = list(next(iter(data.values()))["decisions_by_type"])
    rows = [
        [name, c["episodes"], c["groups"], c["decisions"], *(c["decisions_by_type"][t] for t in types)]
        for name, c in data.items()
    ]
    return tabulate(rows, ["split", "episodes", "groups", "decisions", *types], tablefmt="github")


def train_table(train: dict[str, Any], assets: dict[str, Any]) -> str:
    """What each training saw and took."""
    rows = []
    for role, t in train.items():
        size = assets["roles"][role]
        rows.append(
            [
                role,
                f"{size['parameters'] / 1e6:.0f}M, {len(size['layers'])} layers",
                t["steps"],
                f"{t['seen_tokens']:,}",
                f"{t['first_loss']:.2f} → {t['final_loss']:.2f}",
                f"{t['seconds']:.0f}",
                f"{t['tokens_per_second']:.0f}",
                f"{t['peak_memory_gib']:.1f}",
            ]
        )
    headers = ["role", "base", "steps", "tokens", "loss", "seconds", "tokens/s", "peak GiB"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def limits(evaluation: dict[str, Any]) -> str:
    """What the figures do not say."""
    a = evaluation["strong_per_decision"]
    return (
        f"- One strong decision is {a['flops'] / 1e9:.2f} GFLOP with a cached context ({a['flops_no_cache'] / 1e9:.2f} "
        f"without) and took {a['seconds']:.2f} s in this run.\n"
        "- *FLOPs, context cached*: each model keeps its cache over an episode, so it reads every context token once; a "
        "model that is asked rarely still has to catch up. *No cache*: every call reads its whole context again. "
        "*Seconds* are each call's share of batched decoding on the machine of this run, not the latency of a lone "
        "agent. *Upstream's figures* charge 0.15 a cheap action, 0.10 a verdict, 1 a strong action.\n"
        "- Contexts are the recorded ones: an early mistake does not spoil later contexts here.\n"
        "- What a speaking action says is not judged: the traces hold no reference text for it.\n"
        "- A right type with a wrong tool or argument counts as right in the type column only."
    )
