"""The report: Markdown from the results, readable by someone who has never seen the repository.

    text = report(Facts(evaluation=..., calibration=..., ...))

Every sentence about an outcome is chosen by the numbers; nothing here knows what the result should be. Here and in
sections.py stand the numbers and the choices; the words are templates (`prose.py`), of which `report.md.jinja` is the
whole page. What to do comes first, then the result table (scripts/show.py prints it).
"""

from typing import NamedTuple

from specacts.core.results import Estimate
from specacts.evaluation.results import Evaluation, Summary
from specacts.policies.choose import fixed_thresholds
from specacts.policies.table import BASELINES, JUDGING, POLICIES
from specacts.report.facts import Facts
from specacts.report.prose import render
from specacts.report.sections import (
    ablation_text,
    advice_text,
    costs_text,
    data_text,
    frontier_text,
    latency_text,
    limits_text,
    live_text,
    own_text,
    paired_text,
    policies_text,
    promises_text,
    scores_text,
    thresholds_text,
    training_text,
    verifier_text,
)
from specacts.report.wording import COSTS, LEVELS, as_table, percent, ratio, share, side, there


def report(facts: Facts) -> str:
    """The whole report."""
    page = render(
        "report",
        evaluation=facts.evaluation,
        scale=facts.scale,
        recipe=facts.recipe_name,
        answer=answer(facts),
        remarks=remarks(facts),
        advice=advice_text(facts),
        results=result_table(facts.evaluation),
        policies=policies_text(facts),
        thresholds=thresholds_text(facts),
        frontier=frontier_text(facts),
        promises=promises_text(facts),
        paired=paired_text(facts),
        verifier=verifier_text(facts),
        scores=scores_text(facts),
        live=live_text(facts),
        latency=latency_text(facts),
        costs=costs_text(facts),
        ablation=ablation_text(facts),
        data=data_text(facts),
        own=own_text(facts),
        training=training_text(facts),
        limits=limits_text(facts),
    )
    return page + "\n"


class Standing(NamedTuple):
    """How a policy stands to A: is it better, worse or neither in accuracy; cheaper, dearer or neither in cost."""

    name: str
    accuracy: str
    cost: str
    gain: Estimate


def standing(facts: Facts, name: str) -> Standing:
    """Judged by whether the 95 % intervals exclude no difference."""
    gain = facts.evaluation.paired[f"{name}_minus_A"].accuracy(facts.level)
    cost = facts.evaluation.policies[name].cost[facts.cost_model]
    accuracy = {"below": "worse", "within": "even", "above": "better"}[side(gain)]
    return Standing(name, accuracy, {"below": "cheaper", "within": "even", "above": "dearer"}[side(cost, 1.0)], gain)


WANTED = (("better", "cheaper"), ("better", "even"), ("even", "cheaper"), ("better", "dearer"), ("worse", "cheaper"))
"""What a judging policy may be worth having for, accuracy and cost, the best first."""


def answer(facts: Facts) -> str:
    """One sentence: does a judging policy beat the strong model, or match it for less?"""
    found = sorted((standing(facts, name) for name in JUDGING), key=lambda one: -one.gain.value)
    worth = [one for wanted in WANTED for one in found if (one.accuracy, one.cost) == wanted]
    one = (worth or found)[0]
    policy = facts.evaluation.policies[one.name]
    return render(
        "answer",
        one=one,
        title=POLICIES[one.name].title,
        taken=policy.accept_rate,
        cost=policy.cost[facts.cost_model],
        level=facts.level,
        cost_model=facts.cost_model,
    )


def remarks(facts: Facts) -> str:
    """A sentence on the two models, and one on each thing that undermines the answer; a paragraph each."""
    policies = facts.evaluation.policies
    chosen = [name for name in JUDGING if name not in fixed_thresholds(facts.recipe)]
    return render(
        "remarks",
        level=facts.level,
        cost_model=facts.cost_model,
        a=policies["A"].accuracy(facts.level),
        b=policies["B"].accuracy(facts.level),
        cost_of_b=policies["B"].cost[facts.cost_model],
        b_minus_a=facts.evaluation.paired["B_minus_A"].accuracy(facts.level),
        over=[name for name in chosen if not facts.calibration.policies[name].within_budget],
        budget=facts.max_relative_cost,
        accepting=[(name, there(policies[name].accept_rate).value) for name in JUDGING],
    )


def result_table(evaluation: Evaluation) -> str:
    """Policies, then baselines: accuracies with intervals, accept rate, relative costs."""
    rows = [_result_row(f"{name} {policy.title}", evaluation.policies[name]) for name, policy in POLICIES.items()]
    against = {name: baseline for name, baseline in BASELINES.items() if baseline.shown}
    rows += [_result_row(f"*{baseline.title}*", evaluation.baselines[name]) for name, baseline in against.items()]
    return as_table(rows, ["policy", *LEVELS.values(), "from cheap", *COSTS.values()])


def _result_row(title: str, entry: Summary) -> list[str]:
    accuracies = [percent(entry.accuracy(level)) for level in LEVELS]
    return [title, *accuracies, share(entry.accept_rate), *(ratio(entry.cost[model]) for model in COSTS)]
