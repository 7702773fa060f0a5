"""Every call is charged once, in FLOPs counted by hand, in seconds, in money, and in upstream's figures."""

import itertools
import random
from dataclasses import replace
from math import isclose, prod

import pytest
from factories import PRICES, SECONDS_PER_TOKEN, SIZES, TARIFF, UPSTREAM, edited, make_case, make_cases

from specacts.config import UpstreamCost
from specacts.models.sizes import ModelSize
from specacts.policies.cases import Case
from specacts.policies.cost import (
    MARGIN,
    PARTS,
    Charge,
    Held,
    Tariff,
    beginning,
    charges,
    expected_charges,
    hopped,
    itemized,
    step,
    sweep,
    thresholds,
    total,
    without_fallback,
)
from specacts.policies.cost import flops as flops_in_parts
from specacts.policies.decide import NEVER, TIE, Call, Outcome, act, always_strong, cheap_only
from specacts.policies.table import JUDGING, POLICIES

NOTHING = Charge(*[0.0] * len(Charge._fields))
TINY = ModelSize(body=10, head=7, layers=2, attention=3)


def charged(cases: list[Case], outcomes: list[Outcome]) -> list[Charge]:
    return charges([case.row for case in cases], outcomes, TARIFF)


def charge(case: Case, letter: str, threshold: float | None = None) -> Charge:
    """What a policy is charged for one decision with nothing before it."""
    (found,) = charged([case], [act(letter, case, threshold)])
    return found


def flops(size: ModelSize, cached: int, new: int, call: Call) -> float:
    return sum(flops_in_parts(size, cached, new, call))


def attended(contexts: range) -> int:
    """Pairs of tokens at the given positions and what they attend to, by counting."""
    return sum(position + 1 for position in contexts)


def test_flops_of_generating_by_hand():
    # 4 cached tokens, 3 new ones at positions 4, 5, 6, then 2 generated ones at 7, 8.
    call = Call("cheap", branches=(2,), heads=2, answers=1, verdicts=0, seconds=0.0)
    body, head, attention = 2 * 10 * (3 + 2), 2 * 7 * 2, 4 * 2 * 3 * attended(range(4, 9))
    assert flops(TINY, 4, 3, call) == body + head + attention


def test_flops_of_judging_two_branches_by_hand():
    # 5 cached tokens; branches of 2 and 3 tokens, each at positions 5, 6(, 7): neither sees the other.
    call = Call("verifier", branches=(2, 3), heads=2, answers=0, verdicts=2, seconds=0.0)
    attention = 4 * 2 * 3 * (attended(range(5, 7)) + attended(range(5, 8)))
    assert flops(TINY, 5, 0, call) == 2 * 10 * 5 + 2 * 7 * 2 + attention


def test_reading_in_pieces_costs_as_much_as_at_once():
    whole = flops(TINY, 0, 30, Call("cheap", (), 0, 0, 0, 0.0))
    pieces = [flops(TINY, cached, 10, Call("cheap", (), 0, 0, 0, 0.0)) for cached in (0, 10, 20)]
    assert sum(pieces) == whole


def test_a_model_reads_in_a_window_only_what_it_has_not_cached():
    cases = [make_case(context=100), make_case(context=150)]
    first, second = charged(cases, [always_strong(case) for case in cases])
    own = cases[0].strong.tokens
    assert isclose(first.seconds, 100 * SECONDS_PER_TOKEN["strong"] + cases[0].strong.seconds)
    assert isclose(second.seconds, (50 - own) * SECONDS_PER_TOKEN["strong"] + cases[1].strong.seconds)
    assert second.flops < first.flops
    assert second.flops_no_cache > first.flops_no_cache


def test_a_new_window_or_episode_starts_with_empty_caches():
    cases = [make_case(context=80), make_case(context=80, window=1), make_case(context=80, episode="e1", window=1)]
    assert len(set(charged(cases, [always_strong(case) for case in cases]))) == 1


def test_a_model_that_was_not_asked_catches_up_later():
    cases = [make_case(context=100, verifier=(0.9,)), make_case(context=150, verifier=(0.1,))]
    outcomes = [act("D", case, 0.5) for case in cases]
    _, cached = step(cases[0].row, outcomes[0], {}, TARIFF)
    assert cached == {"cheap": Held(0, 100 + cases[0].cheap[0].tokens, 0), "verifier": Held(0, 100, 0)}
    fallback = outcomes[1].calls[-1]
    second = charged(cases, outcomes)[1]
    others = charged(cases, [outcomes[0], outcomes[1]._replace(calls=outcomes[1].calls[:-1], actor="cheap")])[1]
    assert fallback.role == "strong"
    assert isclose(second.flops - others.flops, flops(SIZES["strong"], 0, 150, fallback))


def test_each_model_has_windows_and_contexts_of_its_own():
    apart = {
        "window": {"cheap": 0, "verifier": 0, "strong": 1},
        "context": {"cheap": 150, "verifier": 150, "strong": 70},
    }
    cases = [make_case(context=100), edited(make_case(), **apart)]
    a, b = (charged(cases, [policy(case) for case in cases])[1] for policy in (always_strong, cheap_only))
    assert isclose(a.flops, flops(SIZES["strong"], 0, 70, always_strong(cases[1]).calls[0]))
    held = 100 + cases[0].cheap[0].tokens
    assert isclose(b.flops, flops(SIZES["cheap"], held, 150 - held, cheap_only(cases[1]).calls[0]))
    assert isclose(b.flops_no_cache, flops(SIZES["cheap"], 0, 150, cheap_only(cases[1]).calls[0]))


def test_an_action_longer_than_the_next_context_costs_no_less_than_nothing():
    cases = [make_case(context=100), make_case(context=105)]
    second = charged(cases, [always_strong(case) for case in cases])[1]
    assert isclose(second.seconds, cases[1].strong.seconds)


def test_the_strong_model_reads_a_context_once_though_it_judges_and_acts():
    case = make_case(context=100, strong_verdict=(0.1,))
    c, a, cheap = charge(case, "C", 0.5), charge(case, "A"), charge(case, "B")
    judge = act("C", case, 0.5).calls[1]
    both = a.flops + cheap.flops + flops(SIZES["strong"], 100, 0, judge)
    assert isclose(c.flops, both) and isclose(c.flops_no_cache, both)  # nothing was cached before


def test_without_a_cache_a_request_reads_its_context_once_by_hand():
    # Judging: 5 context tokens at positions 0 to 4, a proposal of 2 behind them. Acting: 3 tokens behind the same 5.
    judge = Call("strong", branches=(2,), heads=2, answers=0, verdicts=1, seconds=0.0)
    acting = Call("strong", branches=(3,), heads=3, answers=1, verdicts=0, seconds=0.0)
    outcome = act("A", make_case())._replace(calls=(judge, acting), tokens=3)
    cases = [make_case(context=5), make_case(context=5)]  # the second time much of it is cached, which is ignored
    tariff = TARIFF._replace(sizes={"strong": TINY})
    found = charges([case.row for case in cases], [outcome, outcome], tariff)
    body, head = 2 * 10 * (5 + 2 + 3), 2 * 7 * (2 + 3)
    attention = 4 * 2 * 3 * (attended(range(7)) + attended(range(5, 8)))
    assert [one.flops_no_cache for one in found] == [body + head + attention] * 2
    assert found[0].flops == body + head + attention > found[1].flops


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "C"])
def test_where_every_model_is_asked_once_each_call_reads_its_whole_context_without_a_cache(name: str):
    cases = make_cases(6)
    outcomes = [act(name, case, 0.5) for case in cases]
    for case, outcome, found in zip(cases, outcomes, charged(cases, outcomes), strict=True):
        whole = [flops(SIZES[call.role], 0, case.row.context[call.role], call) for call in outcome.calls]
        assert found.flops_no_cache == pytest.approx(sum(whole))


@pytest.mark.parametrize("name", POLICIES)
def test_charges_of_single_calls_sum_to_the_total(name: str):
    """The accounting identity, for every policy and every cost."""
    cases = make_cases(6)
    outcomes = [act(name, case, 0.5) for case in cases]
    cached, latest, parts = {}, None, []
    for case, outcome in zip(cases, outcomes, strict=True):
        if case.row.episode != latest:
            latest, cached = case.row.episode, {}
        for call in outcome.calls:
            alone = outcome._replace(calls=(call,), actor=call.role, tokens=0)
            one, cached = step(case.row, alone, cached, TARIFF)
            parts.append(one)
        held = cached[outcome.actor]
        cached[outcome.actor] = held._replace(tokens=held.tokens + outcome.tokens)
    # Without a cache a call of its own is a request of its own: see the two tests above.
    single, whole = (total(one)._replace(flops_no_cache=1.0) for one in (parts, charged(cases, outcomes)))
    assert single == pytest.approx(whole)
    assert all(value > 0 for value in single)


@pytest.mark.parametrize("name", POLICIES)
def test_a_decision_is_charged_for_each_of_its_calls_and_flops_for_each_of_their_parts(name: str):
    cached, latest = {}, None
    for case in make_cases(6):
        outcome, row = act(name, case, 0.5), case.row
        cached = cached if row.episode == latest else {}
        latest = row.episode
        parts, after = itemized(row, outcome, cached, TARIFF)
        assert len(parts) == len(outcome.calls)
        assert step(row, outcome, cached, TARIFF) == (total(parts), after)
        for call, part in zip(outcome.calls, parts, strict=True):
            assert part.flops == pytest.approx(sum(getattr(part, f"{kind}_flops") for kind in PARTS))
            read = part.new_tokens + part.cached_tokens + part.generated_tokens
            assert read == row.context[call.role] + sum(call.branches)
            assert (part.generated_tokens > 0) == (part.generated_flops > 0) == (call.answers > 0)
        cached = after


def test_money_is_tokens_times_prices_by_hand():
    cases = [make_case(context=100), make_case(context=150)]
    own = cases[0].strong.tokens
    first, second = charged(cases, [always_strong(case) for case in cases])
    price = PRICES.strong
    assert first.money == pytest.approx((100 * price.input + own * price.output) / 1e6)
    again = (50 - own) * price.input + (100 + own) * price.cached_input + cases[1].strong.tokens * price.output
    assert second.money == pytest.approx(again / 1e6)


def test_what_is_judged_is_read_and_not_generated():
    case = make_case(context=100)
    parts, _ = itemized(case.row, act("D", case, 0.1), {}, TARIFF)
    assert [(c.new_tokens, c.generated_tokens) for c in parts] == [(100, 10), (111, 0)]
    assert parts[1].money == pytest.approx(111 * PRICES.verifier.input / 1e6)


def test_a_router_pays_for_the_model_that_acts_and_for_no_other():
    case = make_case(route=0.6)
    assert charge(case, "G", 0.7) == charge(case, "A")
    assert charge(case, "G", 0.5) == charge(case, "B")


def test_a_policy_that_sticks_pays_for_no_proposal_behind_a_rejection():
    first, second = make_case(context=100, decision=0), make_case(context=150, decision=1)
    cases = [first, replace(second, earlier=(first,))]
    stuck = charged(cases, [act("S", case, 0.6) for case in cases])  # the toy's confidence is 0.5
    alone = charged(cases, [act("A", case) for case in cases])
    cheap = charge(first, "B")
    assert stuck[0] == pytest.approx(total([alone[0], cheap])) and stuck[1] == alone[1]


def logged(*decisions: tuple[int, int]) -> list[Case]:
    """A recorded agent's decisions: tokens of the prompt, and how many of them its provider had cached."""
    cases = [make_case(context=context, decision=n) for n, (context, _) in enumerate(decisions)]
    return [edited(case, cached={"strong": found}) for case, (_, found) in zip(cases, decisions, strict=True)]


def agents_tokens(cases: list[Case], outcomes: list[Outcome]) -> list[tuple[float, float]]:
    """What the strong model reads anew and finds cached, at the decisions where it acts."""
    cached, found = beginning(cases[0].row), []
    for case, outcome in zip(cases, outcomes, strict=True):
        parts, cached = itemized(case.row, outcome, cached, TARIFF)
        for call, part in zip(outcome.calls, parts, strict=True):
            if call.role == "strong":
                found.append((part.new_tokens, part.cached_tokens))
    return found


LOG = ((100, 64), (150, 96), (400, 384), (450, 0))
"""A shared beginning; less than it had read; more, a call that is no decision having read it; nothing."""


def test_a_recorded_agent_costs_what_its_logs_say_to_the_token():
    cases = logged(*LOG)
    outcomes = [always_strong(case) for case in cases]
    assert agents_tokens(cases, outcomes) == [(context - found, found) for context, found in LOG]
    price, own = PRICES.strong, sum(case.strong.tokens for case in cases)
    read, found = sum(context - found for context, found in LOG), sum(found for _, found in LOG)
    expected = (read * price.input + found * price.cached_input + own * price.output) / 1e6
    assert total(charged(cases, outcomes)).money == pytest.approx(expected)


def test_after_a_gap_it_finds_what_it_had_read_by_then_and_no_more_than_the_logs_say():
    cases = logged(*LOG)
    own = cases[0].strong.tokens
    acts = [always_strong(cases[0]), cheap_only(cases[1]), always_strong(cases[2]), always_strong(cases[3])]
    assert agents_tokens(cases, acts) == [(36, 64), (400 - 100 - own, 100 + own), (450, 0)]


def test_a_beginning_that_conversations_share_is_cached_whoever_acts_first():
    cases = logged(*LOG)
    acts = [cheap_only(cases[0]), cheap_only(cases[1]), always_strong(cases[2]), always_strong(cases[3])]
    assert agents_tokens(cases, acts) == [(400 - 64, 64), (450, 0)]


def test_what_logs_say_of_caches_holds_for_coins_too():
    cases = logged(*LOG)
    rows, sides = [case.row for case in cases], [case.sides["G"] for case in cases]
    never = expected_charges(rows, sides, 0.0, TARIFF)
    assert never == charged(cases, [always_strong(case) for case in cases])


@pytest.mark.parametrize("name", POLICIES)
def test_hopping_is_what_the_strong_model_reads_anew_beyond_what_it_reads_alone(name: str):
    cases = make_cases(12)
    rows, alone = [case.row for case in cases], [always_strong(case) for case in cases]
    found = hopped(rows, [act(name, case, 0.5) for case in cases], alone)
    assert min(found) == 0 and any(found) == (name not in "AB")


def test_hopping_by_hand():
    cases = [make_case(context=context, decision=n) for n, context in enumerate((100, 150, 210))]
    rows, alone = [case.row for case in cases], [always_strong(case) for case in cases]
    own = cases[0].strong.tokens
    assert hopped(rows, [alone[0], cheap_only(cases[1]), alone[2]], alone) == [0, 0, 50]
    assert hopped(rows, [cheap_only(cases[0]), alone[1], alone[2]], alone) == [0, 100 + own, 0]
    assert hopped(rows, [cheap_only(case) for case in cases], alone) == [0, 0, 0]


def test_upstream_figures_come_out_as_upstream_printed_them():
    case = make_case(cheap=("repair",) * 3, verifier=(0.5,) * 3)
    accepting = {name: charge(case, name, 0.1).upstream for name in JUDGING}
    rejecting = {name: charge(case, name, NEVER).upstream for name in JUDGING}
    assert charge(case, "A").upstream == 1
    assert charge(case, "B").upstream == pytest.approx(0.15)
    assert rejecting["C"] == pytest.approx(1.25)
    assert accepting["D"] == pytest.approx(0.25)  # upstream's table stops here ...
    assert rejecting["D"] == pytest.approx(1.25)  # ... but a rejection pays for the strong action too
    assert without_fallback(act("D", case, NEVER), UPSTREAM) == pytest.approx(0.25)
    assert without_fallback(act("E", case, NEVER), UPSTREAM) == pytest.approx(0.75)
    assert accepting["E"] == pytest.approx(0.75)
    assert rejecting["E"] == pytest.approx(1.75)


def test_upstream_prices_are_those_of_the_configuration():
    case = make_case()
    prices = UpstreamCost(strong=2.0, cheap=0.5, verdict=0.25)
    (found,) = charges([case.row], [act("D", case, NEVER)], Tariff(SIZES, PRICES, prices))
    assert found.upstream == 2.0 + 0.5 + 0.25


def test_the_total_of_nothing_is_zero():
    assert total([]) == NOTHING


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_expected_charges_weigh_every_sequence_of_tosses(rate: float):
    cases = [make_case(context=context) for context in (50, 90, 130, 170)]
    sides = [case.sides["D"] for case in cases]
    expected = expected_charges([case.row for case in cases], sides, rate, TARIFF)
    by_hand = [NOTHING] * len(cases)
    for tosses in itertools.product((True, False), repeat=len(cases)):
        probability = prod(rate if toss else 1 - rate for toss in tosses)
        outcomes = [side.accept if toss else side.reject for side, toss in zip(sides, tosses, strict=True)]
        for n, one in enumerate(charged(cases, outcomes)):
            by_hand[n] = Charge(*(a + probability * b for a, b in zip(by_hand[n], one, strict=True)))
    for one, other in zip(expected, by_hand, strict=True):
        assert one == pytest.approx(other)


def test_thresholds_lie_between_neighbours_and_around_all():
    rng = random.Random(0)
    scores = [(n + rng.uniform(0.1, 0.9)) / 200 for n in range(200)]
    rng.shuffle(scores)
    ordered, found = sorted(scores), thresholds(scores)
    assert found == sorted(found) and len(found) == len(scores) + 1
    assert found[0] <= ordered[0] and found[-1] > ordered[-1]
    for low, threshold, high in zip(ordered, found[1:-1], ordered[1:], strict=False):
        assert low + (high - low) / 4 <= threshold <= high - (high - low) / 4


def test_scores_within_rounding_of_each_other_are_not_parted():
    assert thresholds([0.3, 0.3, 0.3 + 1e-6, 0.9]) == [0.0, 0.6, NEVER]
    assert len(thresholds([0.3, 0.3 * (1 + MARGIN) + 1e-3])) == 3 and MARGIN > 4 * TIE
    assert len(thresholds([1 - 1e-9, 1 - 2e-9])) == 3  # nor is almost certain
    assert len(thresholds([1e-9, 2e-9])) == 3  # tiny is not close


@pytest.mark.parametrize("name", JUDGING)
def test_a_sweep_equals_charging_every_threshold_again(name: str):
    cases = make_cases(8)
    swept = sweep(cases, name, TARIFF)
    for point in swept:
        outcomes = [act(name, case, point.threshold) for case in cases]
        assert point.accepted == tuple(outcome.accepted for outcome in outcomes)
        assert point.charge == pytest.approx(total(charged(cases, outcomes)), rel=1e-12)
        assert total(point.by_episode.values()) == pytest.approx(point.charge)
    assert [point.threshold for point in swept] == thresholds([case.sides[name].score for case in cases])
