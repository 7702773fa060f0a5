"""The first page where the strong model is the agent that wrote the traces: the answer, and what to do.

    answer(facts), remarks(facts), advice_text(facts), levers_text(facts)

That agent is right by definition, so no policy can be more accurate: the question is how many of its actions the cheap
model can take, how many then differ, and what is saved. The answer goes by what can be promised (guarantee.py).
"""

from specacts.report.facts import Facts
from specacts.report.fair import has_room
from specacts.report.missing import Missing, missing, without_a_verifier
from specacts.report.offers import (
    acting,
    better_on_test,
    better_without_promise,
    contradicted,
    headline,
    offer_at,
    without_promise,
)
from specacts.report.prose import render
from specacts.report.wording import amount, described, listed, percent, risk_share, share, there, title

Rows = list[list[str]]


def answer(facts: Facts) -> str:
    """How much the cheap model can take at which risk, or why nothing can be promised, and what is best without."""
    found, lacking, asked = headline(facts), missing(facts), facts.promise.asked
    best = without_promise(facts)
    entry = facts.evaluation.policies[best]
    takes = best != "A" and there(entry.accept_rate).value > 0
    return render(
        "answer",
        recorded=True,
        offers=found,
        better=better_on_test(facts, found[0]) if found else None,
        best=best if takes and entry.cost[facts.cost_model].high < 1 else None,
        taken=entry.accept_rate,
        differs=1 - entry.accuracy(facts.level).value,
        cost=entry.cost[facts.cost_model],
        beaten=better_without_promise(facts, best),
        confidence=facts.calibration.confidence,
        cost_model=facts.cost_model,
        groups=facts.calibration.groups,
        total=facts.data.total,
        risk=asked.risk if asked else max(map(float, facts.calibration.groups_needed)),
        asked=bool(asked),
        lacking=lacking[-1] if len(lacking) == len(facts.calibration.groups_needed) else None,
        more=_more(facts, lacking[-1]) if lacking else "",
        without=without_a_verifier(facts),
    )


def remarks(facts: Facts) -> str:
    """What right means here, how far the cheap model alone gets, and where the agent's costs are from."""
    policies, unit = facts.evaluation.policies, facts.evaluation.cost_per_decision
    return render(
        "remarks",
        recorded=True,
        level=facts.level,
        rules=bool(facts.evaluation.rules),
        cost_model=facts.cost_model,
        b=policies["B"].accuracy(facts.level),
        cost_of_b=policies["B"].cost[facts.cost_model],
        prices=facts.prices,
        currency=facts.currency,
        with_usage=facts.answers.with_usage,
        decisions=sum(facts.answers.decisions.values()),
        of_agent=_per_thousand(unit["A"].money),
        of_cheap=_per_thousand(unit["B"].money),
    )


def advice_text(facts: Facts) -> str:
    """Which policy at which risk, what it saves in money, what is missing for a promise; then what would help."""
    best = without_promise(facts)
    entry = facts.evaluation.policies[best]
    lacking = missing(facts)
    accepting = {name: there(facts.evaluation.policies[name].accept_rate).value for name in facts.judging}
    return render(
        "advice",
        recorded=True,
        calibration=facts.calibration,
        rows=[_advised(facts, risk, name, lacking) for risk, name in facts.promise.cheapest.items()],
        compared=[described(name) for name in facts.calibration.guaranteed],
        cost_model=facts.cost_model,
        currency=facts.currency,
        lacking=[_lacking(facts, one) for one in lacking],
        least=listed([f"{one.needed} for {risk_share(one.risk)}" for one in lacking[::-1]]) if lacking else "",
        split=facts.data.calibrate,
        verify_groups=facts.data.verify.groups,
        without=without_a_verifier(facts),
        not_drawn=facts.own.left_out.get("not_drawn", 0),
        scale=facts.scale,
        budget=facts.max_relative_cost,
        best=best,
        title=title(best, recorded=True),
        taken=entry.accept_rate,
        differs=1 - entry.accuracy(facts.level).value,
        cost=entry.cost[facts.cost_model],
        contradicted=[
            f"{better.name} at {risk_share(better.risk)} instead of {one.name} at {risk_share(one.risk)}"
            for one, better in contradicted(facts)
        ],
        accept_all=[name for name, rate in accepting.items() if rate == 1],
        accept_none=[name for name, rate in accepting.items() if rate == 0],
        hopping=_hopping(facts),
        levers=levers_text(facts),
    )


def _hopping(facts: Facts) -> list[str]:
    """What hopping costs with the policy that is advised (or else F) and with S; where promised, at the smallest risk.

    Without a promise at the threshold that the policy has anyway.
    """
    counted = there(facts.evaluation.hopping)
    promised = [
        (name, risk)
        for risk, name in facts.promise.cheapest.items()
        if name != "A" and offer_at(facts, risk, name).name == name  # the cheap model alone does not hop
    ]
    risks, advised = dict(reversed(promised)), [name for name, _ in promised] or [facts.thresholds.most_accurate]
    found = []
    for name in dict.fromkeys((advised[0] if advised[0] in facts.judging else "F", "S")):
        if name in risks:
            cost = counted.guaranteed[name][risks[name]].share
            found.append(f"{percent(cost)} with {name} where {risk_share(risks[name])} of actions may differ")
        else:
            found.append(f"{percent(counted.policies[name].share)} with {name} at its threshold without a promise")
    return found


def _advised(facts: Facts, risk: str, name: str, lacking: list[Missing]) -> list[str]:
    if name == "A":
        few = [one for one in lacking if one.risk == risk]
        why = "too few logs to promise anything" if few else "nothing cheaper can be promised"
        return [risk_share(risk), f"your agent: {why}", "–", "–", "–", "–"]
    offer = offer_at(facts, risk, name)
    cost, money = offer.costs[facts.cost_model], offer.costs["money"]
    unit = facts.evaluation.cost_per_decision["A"].money
    return [
        risk_share(risk),
        f"**{offer.name}**: {title(offer.name, recorded=True)}",
        share(offer.taken),
        f"{share(1 - cost.value)} ({(1 - cost.high) * 100:.0f}–{(1 - cost.low) * 100:.0f})",
        f"{_per_thousand((1 - money.value) * unit)} of {_per_thousand(unit)}",
        percent(offer.lost),
    ]


def _lacking(facts: Facts, one: Missing) -> list[str]:
    return [risk_share(one.risk), str(one.needed), str(facts.calibration.groups), _more(facts, one)]


def _more(facts: Facts, one: Missing) -> str:
    """How many more logs that means, in words."""
    total = facts.data.total
    if not one.groups:
        return "none"
    if total.groups == total.episodes:
        return f"{one.conversations:,} conversations"
    return f"{one.groups:,} groups ({one.conversations:,} conversations)"


def _per_thousand(millionths: float) -> str:
    """Money per thousand actions, from millionths for one."""
    return amount(millionths / 1000)


def levers_text(facts: Facts) -> str:
    """What would let the cheap model take more: logs, judgement, a better cheap model; each with its size."""
    evaluation = facts.evaluation
    ceiling = evaluation.baselines["oracle_routes"]
    won = {name: there(evaluation.frontier.policies[name].headroom) for name in facts.judging}
    judge = max(won, key=lambda name: won[name].value)
    times, promises = _larger(facts)
    return render(
        "levers",
        recorded=True,
        groups=facts.calibration.groups,
        times=times,
        most_times=list(facts.calibration.projected)[-1],
        promises=promises,
        ceiling=ceiling.accept_rate,
        cost_of_ceiling=ceiling.cost[facts.cost_model],
        judge=judge,
        won=won[judge] if has_room(facts) else None,
        differs=1 - evaluation.policies["B"].accuracy(facts.level).value,
        differs_in_type=1 - evaluation.policies["B"].type_accuracy.value,
        level=facts.level,
    )


def _larger(facts: Facts) -> tuple[str, list[str]]:
    """How many times the groups it takes until anything could be promised, and what could be then."""
    for times, by_name in facts.calibration.projected.items():
        most = {risk: max(by_name, key=lambda name: by_name[name][risk]) for risk in facts.calibration.groups_needed}
        found = [
            f"{share(by_name[name][risk])} if {risk_share(risk)} may differ ({acting(name, by_name[name][risk])})"
            for risk, name in most.items()
            if by_name[name][risk]
        ]
        if found:
            return times, found
    return "", []
