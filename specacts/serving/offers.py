"""What a bundle offers: at each risk the cheapest policy that can be served, or without a promise the most accurate.

    made = choose(Grounds(cases, found, promise, thresholds, tariff, acceptance, alike, recorded=False))
    made.offers[made.default]

Nothing is decided here that stage `calibrate` did not show: its thresholds are replayed over the calibration split's
recorded answers, for what each policy took and cost there, and how often it acted otherwise than the strong model.

C cannot be served: it wants an upstream's verdict on a proposal. A policy that let every proposal through is B: nobody
has to be asked. A malformed proposal is never served, whatever the policy: the strong model acts then, which loses no
more.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from specacts.config import Acceptance
from specacts.core.episodes import Action
from specacts.policies.cases import Case
from specacts.policies.choose import Chosen, cheapest, most_accurate, spent
from specacts.policies.cost import Tariff
from specacts.policies.decide import Outcome, Threshold, act, always_strong
from specacts.policies.guarantee import upper_bound
from specacts.policies.results import OnCalibrate, Promise, Thresholds
from specacts.policies.table import POLICIES
from specacts.serving.bundle import Offer, Watched


class Grounds(NamedTuple):
    """What is known when offers are made: the calibration split's decisions, and what `calibrate` found on them.

    alike: whether an action is what the strong model would have done, by its own one. recorded: whether the strong
    model is the agent that wrote the logs, so that every other action is a loss.
    """

    cases: list[Case]
    found: OnCalibrate
    promise: Promise
    thresholds: Thresholds
    tariff: Tariff
    acceptance: Acceptance
    alike: Callable[[Action, Action | None], bool]
    recorded: bool


class Made(NamedTuple):
    """Offers, the smallest risk first, and the place of what acts unless a risk is named."""

    offers: tuple[Offer, ...]
    default: int


def choose(grounds: Grounds) -> Made:
    """The promises at which something cheaper than A acts, and the one that was asked for; the default is that, or the
    smallest risk. Without a promise the most accurate policy within budget."""
    asked = grounds.promise.asked
    found = {risk: _cheapest(grounds, safe) for risk, safe in safe_by_risk(grounds).items()}
    kept = {risk: best for risk, best in sorted(found.items()) if best.policy != "A" or (asked and risk == asked.risk)}
    if not kept:
        return Made((_offer(grounds, without_promise(grounds), None),), 0)
    offers = tuple(_offer(grounds, best, risk) for risk, best in kept.items())
    return Made(offers, list(kept).index(asked.risk) if asked else 0)


def safe_by_risk(grounds: Grounds) -> dict[float, dict[str, Threshold]]:
    """The thresholds that were shown to be safe, of the policies that can be served.

    Where some types were given risks of their own the menu is left out: its thresholds do not know them.
    """
    asked, menu = grounds.promise.asked, grounds.found.guaranteed
    safe: dict[float, dict[str, Threshold]] = {}
    for name, by_risk in menu.items():
        for risk, threshold in by_risk.items() if can_be_served(name) and not (asked and asked.by_type) else ():
            safe.setdefault(float(risk), {})[name] = threshold
    if asked:
        safe[asked.risk] = {name: bar for name, bar in asked.policies.items() if can_be_served(name)}
    return safe


def can_be_served(name: str) -> bool:
    """Whether the policy takes no verdict of the strong model."""
    return POLICIES[name].judge != "strong"


def without_promise(grounds: Grounds) -> Chosen:
    """The most accurate policy within budget, among those that can be served."""
    name, exact = grounds.thresholds.most_accurate, grounds.thresholds.policies
    if not can_be_served(name):
        fitted = {one: fit for one, fit in grounds.found.policies.items() if can_be_served(one)}
        model = grounds.found.cost_model
        name = most_accurate(fitted, grounds.cases, grounds.tariff, grounds.acceptance, model).policy
    return Chosen(name, exact.get(name))


def _cheapest(grounds: Grounds, safe: dict[str, Threshold]) -> Chosen:
    return cheapest(safe, grounds.cases, grounds.tariff, grounds.acceptance.level, grounds.found.cost_model)


def _offer(grounds: Grounds, one: Chosen, risk: float | None) -> Offer:
    """What a policy took and cost on the split, as it will be served."""
    name, threshold = plainly(grounds.cases, one)
    outcomes = [served(name, case, threshold) for case in grounds.cases]
    strong = [always_strong(case) for case in grounds.cases]
    model = grounds.found.cost_model
    cost, unit = (getattr(spent(grounds.cases, acts, grounds.tariff), model) for acts in (outcomes, strong))
    return Offer(
        policy=name,
        threshold=threshold,
        risk=risk,
        watched=None if risk is None or name == "A" else watched(grounds, outcomes, risk),
        taken=sum(outcome.actor == "cheap" for outcome in outcomes) / len(outcomes),
        cost=cost / unit,
    )


def plainly(cases: Sequence[Case], one: Chosen) -> Chosen:
    """The same policy by its plainest name: B where it let every greedy proposal through."""
    if one.threshold is None or POLICIES[one.policy].picks:
        return one
    takes_all = all(act(one.policy, case, one.threshold).actor == "cheap" for case in cases)
    return Chosen("B", None) if takes_all else one


def served(name: str, case: Case, threshold: Threshold | None) -> Outcome:
    """What the policy does, but that the strong model acts where the proposal is malformed."""
    outcome = act(name, case, threshold)
    if outcome.action is not None or outcome.actor == "strong":
        return outcome
    strong = always_strong(case)
    return strong._replace(accepted=False, calls=(*outcome.calls, *strong.calls))


def watched(grounds: Grounds, outcomes: Sequence[Outcome], risk: float) -> Watched:
    """What the share of actions that were taken and that the strong model would not have chosen is held to."""
    asked = grounds.promise.asked
    if grounds.recorded:
        risks = [risk, *(asked.by_type.values() if asked else ())]
        return Watched(limit=max(risks), basis="risk")  # each type keeps its own, so all together the largest
    both = zip(grounds.cases, outcomes, strict=True)
    other = [
        outcome.actor == "cheap" and not (outcome.action and grounds.alike(outcome.action, case.strong.action))
        for case, outcome in both
    ]
    groups = np.array([case.row.group for case in grounds.cases])
    error = 1 - grounds.found.confidence
    limit = upper_bound(np.array(other, dtype=float), groups, error, grounds.found.most_counted)
    return Watched(limit=limit, basis="calibrated")


def in_words(offer: Offer, confidence: float) -> str:
    """An offer in a line, as a person is told what acts."""
    did = f"took {offer.taken:.0%} of the actions from the cheap model, at {offer.cost:.2f} of A's cost"
    where = f"on the calibration split it {did}"
    title = f"{offer.policy}, {POLICIES[offer.policy].title}"
    if offer.risk is None:
        return f"without a promise: {title}; {where}"
    return f"at a risk of {offer.risk:g} (with {confidence:.0%} confidence): {title}; {where}"
