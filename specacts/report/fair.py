"""Whether there is anything to compare: did the cheap model learn, and is the strong one better?

    learned(facts), falls_back_on_better(facts)

Where the answer is no, the report begins with that.
"""

from math import hypot

from specacts.core.results import Estimate
from specacts.report.facts import Facts
from specacts.report.wording import side


def learned(facts: Facts) -> bool:
    """Whether the cheap model has the type of action right measurably more often than the most common type is."""
    cheap, constant = facts.evaluation.policies["B"], facts.evaluation.baselines["majority"]
    return side(difference(cheap.type_accuracy, constant.type_accuracy)) == "above"


def falls_back_on_better(facts: Facts) -> bool:
    """Whether the strong model is shown to be better than the cheap one. A recorded agent is, by definition."""
    return facts.recorded or facts.evaluation.paired["B_minus_A"].accuracy(facts.level).high < 0


def has_room(facts: Facts) -> bool:
    """Whether a perfect router is better than a coin over all budgets: not if a recorded agent is never met."""
    frontier = facts.evaluation.frontier
    return not facts.recorded or frontier.area_of_perfect_router.area.value > frontier.area_of_coin.area.value


def difference(one: Estimate, other: Estimate) -> Estimate:
    """One minus the other, with an interval from both their intervals as if they were independent.

    MOVER (Zou and Donner 2008, doi 10.1002/sim.3095). It is too wide where both rise and fall together.
    """
    value = one.value - other.value
    low = value - hypot(one.value - one.low, other.high - other.value)
    return Estimate(value, low, value + hypot(one.high - one.value, other.value - other.low))
