"""What the report recommends: promises that measurably save, and who acts then, by the plainest name.

    largest, smallest_risk = headline(facts)
    offer_at(facts, "0.1", "F")         # one row of what to do
    better_on_test(facts, largest)      # what test says against the choice

Chosen on the calibration split, told by the test split: test never chooses. Where a judge hands over everything, it is
the cheap model alone that acts, so that is called B and charged as B: nobody has to be asked.
"""

from collections.abc import Mapping
from typing import NamedTuple

from specacts.core.results import Estimate
from specacts.policies.results import ASKED
from specacts.report.facts import Facts


class Offer(NamedTuple):
    """A policy that is shown to lose no more than `risk`, and what it did on test.

    risk: points of accuracy, or actions that may differ from a recorded agent's, as a share. name: who acts; B where
    the judging policy lets everything through. taken: share of actions from the cheap model. lost: to A. costs:
    relative to A, by cost model.
    """

    risk: float
    name: str
    taken: float
    lost: Estimate
    costs: Mapping[str, Estimate]


def offer_at(facts: Facts, risk: str | float, name: str, key: str | None = None) -> Offer:
    """A promise of the menu, or under another key (`ASKED`)."""
    kept = facts.evaluation.guaranteed[name][str(risk) if key is None else key]
    who = acting(name, kept.accept_rate)
    costs = facts.evaluation.policies["B"].cost if who == "B" else kept.cost
    return Offer(float(risk), who, kept.accept_rate, kept.lost, costs)


def acting(name: str, taken: float) -> str:
    """What a policy is called that takes this share of actions from the cheap model."""
    return "B" if taken == 1 else name


def offers(facts: Facts) -> list[Offer]:
    """The cheapest promises, the smallest risk first, or the one asked for; only those that measurably save."""
    asked = facts.promise.asked
    menu = sorted(facts.promise.cheapest.items(), key=lambda item: float(item[0]))
    found = [offer_at(facts, risk, name) for risk, name in menu if name != "A" and not asked]
    if asked and asked.cheapest != "A":
        found = [offer_at(facts, asked.risk, asked.cheapest, ASKED)]
    return [one for one in found if one.costs[facts.cost_model].high < 1]


def headline(facts: Facts) -> list[Offer]:
    """The promise that saves most, then that of the smallest risk where it is another; none where nothing saves.

    The cheapest at the largest risk was the cheapest of all where promises were chosen. Where a smaller risk does the
    same, that is what is promised.
    """
    found = offers(facts)
    if not found:
        return []
    largest = next(one for one in found if one._replace(risk=0.0) == found[-1]._replace(risk=0.0))
    return [largest] if largest == found[0] else [largest, found[0]]


def better_on_test(facts: Facts, offer: Offer) -> Offer | None:
    """A promise of no larger risk that on test lost less and cost less (or one of both, the other being equal)."""
    asked, guaranteed = facts.promise.asked, facts.calibration.guaranteed
    if asked:
        others = [offer_at(facts, asked.risk, name, ASKED) for name in asked.policies]
    else:
        risks = [risk for risk in facts.promise.cheapest if float(risk) <= offer.risk]
        others = [offer_at(facts, risk, name) for risk in risks for name in guaranteed]

    def axes(one: Offer) -> tuple[float, float]:
        return one.costs[facts.cost_model].value, one.lost.value

    return min((one for one in others if _beats(axes(one), axes(offer))), key=axes, default=None)


def contradicted(facts: Facts) -> list[tuple[Offer, Offer]]:
    """The cheapest promises that another one beat on test, each with that one."""
    menu = [offer_at(facts, risk, name) for risk, name in facts.promise.cheapest.items() if name != "A"]
    pairs = [(one, better_on_test(facts, one)) for one in menu if not facts.promise.asked]
    return [(one, better) for one, better in pairs if better]


def without_promise(facts: Facts) -> str:
    """The policy that was best on the calibration split within the budget; B where on test it hands over everything."""
    name = facts.thresholds.most_accurate
    taken = facts.evaluation.policies[name].accept_rate
    return acting(name, taken.value) if taken else name


def serving(facts: Facts) -> str:
    """What `specacts serve` would act by: `asked`, `promised` or `unpromised`; empty where all it could do is A."""
    asked, cheapest = facts.promise.asked, facts.promise.cheapest
    if asked:
        return "asked" if asked.cheapest != "A" else ""
    if any(name != "A" for name in cheapest.values()):
        return "promised"
    taken = facts.evaluation.policies[without_promise(facts)].accept_rate
    return "unpromised" if without_promise(facts) == "B" or (taken and taken.value) else ""


def better_without_promise(facts: Facts, name: str) -> list[str]:
    """The policies that on test, at the thresholds without a promise, beat this one on both axes."""
    policies, model = facts.evaluation.policies, facts.cost_model
    axes = {key: (-entry.accuracy(facts.level).value, entry.cost[model].value) for key, entry in policies.items()}
    return [other for other in axes if _beats(axes[other], axes[name])]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one is no worse on either axis, where less is better, and better on one."""
    return one != other and all(mine <= its for mine, its in zip(one, other, strict=True))
