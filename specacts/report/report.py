"""The report: Markdown from the results, readable by someone who has never seen the repository.

    text = report(Facts(evaluation=..., calibration=..., ...))

Every sentence about an outcome is chosen by the numbers; nothing here knows what the result should be. Here and in
sections.py stand the numbers and the choices; the words are templates (`prose.py`), of which `report.md.jinja` is the
whole page. What to do comes first, then the result table (scripts/show.py prints it).
"""

from typing import NamedTuple

from specacts.core.results import Estimate
from specacts.evaluation.results import Summary
from specacts.policies.choose import fixed_thresholds
from specacts.policies.table import BASELINES, POLICIES
from specacts.report import recorded
from specacts.report.facts import Facts
from specacts.report.fair import falls_back_on_better, learned
from specacts.report.missing import missing
from specacts.report.offers import better_on_test, better_without_promise, headline, serving, without_promise
from specacts.report.prose import render
from specacts.report.sections import (
    advice_text,
    costs_text,
    data_text,
    frontier_text,
    latency_text,
    limits_text,
    live_text,
    middle_text,
    own_text,
    paired_text,
    policies_text,
    promises_text,
    rules_text,
    scores_text,
    seeds_text,
    speech_text,
    thresholds_text,
    training_text,
    verifier_text,
)
from specacts.report.wording import COSTS, LEVELS, as_table, described, percent, ratio, share, side, there, title


def report(facts: Facts) -> str:
    """The whole report: the first page, then the appendix."""
    return f"{first_page(facts, 'The rest of this page')}\n{appendix(facts)}"


def first_page(facts: Facts, rest: str = "[appendix.md](appendix.md)") -> str:
    """Question, answer, what to do at which risk, and what that rests on. rest: where everything else stands."""
    page = render(
        "report",
        recorded=facts.recorded,
        evaluation=facts.evaluation,
        scale=facts.scale,
        recipe=facts.recipe_name,
        answer=answer(facts),
        remarks=(recorded.remarks if facts.recorded else remarks)(facts),
        advice=(recorded.advice_text if facts.recorded else advice_text)(facts),
        verifier=facts.evaluation.verifier is not None,
        serving=serving(facts),
        cost_model=facts.cost_model,
        seeds=facts.seeds,
        rest=rest,
    )
    return page + "\n"


def appendix(facts: Facts) -> str:
    """All figures."""
    page = render(
        "appendix",
        recorded=facts.recorded,
        evaluation=facts.evaluation,
        results=result_table(facts),
        seeds=seeds_text(facts),
        policies=policies_text(facts),
        thresholds=thresholds_text(facts),
        frontier=frontier_text(facts),
        promises=promises_text(facts),
        paired=paired_text(facts),
        verifier=verifier_text(facts),
        middle=middle_text(facts),
        scores=scores_text(facts),
        speech=speech_text(facts),
        live=live_text(facts),
        latency=latency_text(facts),
        costs=costs_text(facts),
        data=data_text(facts),
        own=own_text(facts),
        rules=rules_text(facts),
        training=training_text(facts),
        limits=limits_text(facts),
    )
    return page + "\n"


class Standing(NamedTuple):
    """How a policy stands to A: is its accuracy better, worse or neither, and by how much."""

    name: str
    accuracy: str
    gain: Estimate


def standing(facts: Facts, name: str) -> Standing:
    """Judged by whether the 95 % intervals exclude no difference."""
    gain = facts.evaluation.paired[f"{name}_minus_A"].accuracy(facts.level)
    return Standing(name, {"below": "worse", "within": "even", "above": "better"}[side(gain)], gain)


def answer(facts: Facts) -> str:
    """What the report begins with: that there is no fair answer, or what the cheap model can take."""
    if not learned(facts) or _unfair(facts):
        return _no_answer(facts)
    return recorded.answer(facts) if facts.recorded else _of_two_models(facts)


def _unfair(facts: Facts) -> bool:
    """Whether the strong model was trained like the cheap one, and is not shown to be better."""
    return facts.recipe.strong == "fine_tuned" and not falls_back_on_better(facts)


def _no_answer(facts: Facts) -> str:
    evaluation = facts.evaluation
    return render(
        "unfair",
        recorded=facts.recorded,
        learned=learned(facts),
        verified=facts.verified,
        better=not _unfair(facts),
        b=evaluation.policies["B"].type_accuracy,
        constant=evaluation.baselines["majority"].type_accuracy,
        majority=facts.calibration.majority,
        b_minus_a=evaluation.paired["B_minus_A"].accuracy(facts.level),
        level=facts.level,
    )


def _of_two_models(facts: Facts) -> str:
    """The promise that saves most and what it lost on test; or that there is none, and the best without a promise."""
    found, lacking, asked = headline(facts), missing(facts), facts.promise.asked
    name = without_promise(facts)
    entry = facts.evaluation.policies[name]
    return render(
        "answer",
        offers=found,
        better=better_on_test(facts, found[0]) if found else None,
        titles={name: policy.title for name, policy in POLICIES.items()},
        confidence=facts.calibration.confidence,
        level=facts.level,
        cost_model=facts.cost_model,
        groups=facts.calibration.groups,
        lacking=lacking[-1] if len(lacking) == len(facts.calibration.groups_needed) and not asked else None,
        risk=asked.risk if asked else max(map(float, facts.calibration.groups_needed)),
        one=standing(facts, name) if name != "A" else None,
        taken=entry.accept_rate,
        cost=entry.cost[facts.cost_model],
        beaten=better_without_promise(facts, name),
    )


def remarks(facts: Facts) -> str:
    """A sentence on the two models, and one on each thing that undermines the answer; a paragraph each."""
    policies = facts.evaluation.policies
    chosen = [name for name in facts.judging if name not in fixed_thresholds(facts.recipe)]
    return render(
        "remarks",
        level=facts.level,
        cost_model=facts.cost_model,
        a=policies["A"].accuracy(facts.level),
        b=policies["B"].accuracy(facts.level),
        cost_of_b=policies["B"].cost[facts.cost_model],
        b_minus_a=facts.evaluation.paired["B_minus_A"].accuracy(facts.level),
        weak=not falls_back_on_better(facts) and not _unfair(facts),
        over=[described(name) for name in chosen if not facts.calibration.policies[name].within_budget],
        budget=facts.max_relative_cost,
        accepting=[(name, there(policies[name].accept_rate).value) for name in facts.judging],
    )


def result_table(facts: Facts) -> str:
    """Policies, then baselines: accuracies with intervals, accept rate, relative costs as far as they are known."""
    evaluation = facts.evaluation
    costs = [model for model in COSTS if model in evaluation.policies["A"].cost]
    named = [(f"{name} {title(name, facts.recorded)}", entry) for name, entry in evaluation.policies.items()]
    named += [(f"*{BASELINES[name].title}*", e) for name, e in evaluation.baselines.items() if BASELINES[name].shown]
    rows = [_result_row(shown, entry, costs) for shown, entry in named]
    return as_table(rows, ["policy", *LEVELS.values(), "from cheap", *(COSTS[model] for model in costs)])


def _result_row(shown: str, entry: Summary, costs: list[str]) -> list[str]:
    accuracies = [percent(entry.accuracy(level)) for level in LEVELS]
    known = [ratio(entry.cost[model]) if model in entry.cost else "–" for model in costs]
    return [shown, *accuracies, share(entry.accept_rate), *known]
