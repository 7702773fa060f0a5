"""Every call is charged once, in FLOPs counted by hand, in seconds, in money, and in upstream's figures."""

import itertools
import random
from math import isclose, prod

import pytest
from factories import PRICES, SECONDS_PER_TOKEN, SIZES, TARIFF, UPSTREAM, make_row, make_rows

from specacts.answering.records import Answers
from specacts.config import UpstreamCost
from specacts.models.sizes import ModelSize
from specacts.policies.cost import (
    MARGIN,
    PARTS,
    Charge,
    Tariff,
    charges,
    expected_charges,
    itemized,
    step,
    sweep,
    thresholds,
    total,
    without_fallback,
)
from specacts.policies.cost import flops as flops_in_parts
from specacts.policies.decide import (
    JUDGING,
    NEVER,
    TIE,
    Call,
    Outcome,
    always_strong,
    cheap_only,
    choices,
    policies,
    score,
)

NOTHING = Charge(*[0.0] * len(Charge._fields))
TINY = ModelSize(body=10, head=7, layers=2, attention=3)


def charged(rows: list[Answers], outcomes: list[Outcome]) -> list[Charge]:
    return charges(rows, outcomes, TARIFF)


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
    rows = [make_row(context=100), make_row(context=150)]
    first, second = charged(rows, [always_strong(row) for row in rows])
    own = rows[0].strong.tokens
    assert isclose(first.seconds, 100 * SECONDS_PER_TOKEN["strong"] + rows[0].strong.seconds)
    assert isclose(second.seconds, (50 - own) * SECONDS_PER_TOKEN["strong"] + rows[1].strong.seconds)
    assert second.flops < first.flops
    assert second.flops_no_cache > first.flops_no_cache


def test_a_new_window_or_episode_starts_with_empty_caches():
    rows = [make_row(context=80), make_row(context=80, window=1), make_row(context=80, episode="e1", window=1)]
    assert len(set(charged(rows, [always_strong(row) for row in rows]))) == 1


def test_a_model_that_was_not_asked_catches_up_later():
    rows = [make_row(context=100, verifier=(0.9,)), make_row(context=150, verifier=(0.1,))]
    outcomes = [JUDGING["D"](0.5)(row) for row in rows]
    _, cached = step(rows[0], outcomes[0], {}, TARIFF)
    assert cached == {"cheap": (0, 100 + rows[0].cheap[0].tokens), "verifier": (0, 100)}
    fallback = outcomes[1].calls[-1]
    second = charged(rows, outcomes)[1]
    others = charged(rows, [outcomes[0], outcomes[1]._replace(calls=outcomes[1].calls[:-1], actor="cheap")])[1]
    assert fallback.role == "strong"
    assert isclose(second.flops - others.flops, flops(SIZES["strong"], 0, 150, fallback))


def test_each_model_has_windows_and_contexts_of_its_own():
    apart = {
        "window": {"cheap": 0, "verifier": 0, "strong": 1},
        "context": {"cheap": 150, "verifier": 150, "strong": 70},
    }
    rows = [make_row(context=100), make_row().model_copy(update=apart)]
    a, b = (charged(rows, [policy(row) for row in rows])[1] for policy in (always_strong, cheap_only))
    assert isclose(a.flops, flops(SIZES["strong"], 0, 70, always_strong(rows[1]).calls[0]))
    held = 100 + rows[0].cheap[0].tokens
    assert isclose(b.flops, flops(SIZES["cheap"], held, 150 - held, cheap_only(rows[1]).calls[0]))
    assert isclose(b.flops_no_cache, flops(SIZES["cheap"], 0, 150, cheap_only(rows[1]).calls[0]))


def test_an_action_longer_than_the_next_context_costs_no_less_than_nothing():
    rows = [make_row(context=100), make_row(context=105)]
    second = charged(rows, [always_strong(row) for row in rows])[1]
    assert isclose(second.seconds, rows[1].strong.seconds)


def test_the_strong_model_reads_a_context_once_though_it_judges_and_acts():
    row = make_row(context=100, strong_verdict=(0.1,))
    c, a = (charged([row], [policy(row)])[0] for policy in (JUDGING["C"](0.5), always_strong))
    judge = JUDGING["C"](0.5)(row).calls[1]
    cheap = charged([row], [cheap_only(row)])[0]
    assert isclose(c.flops, a.flops + cheap.flops + flops(SIZES["strong"], 100, 0, judge))
    assert c.flops_no_cache - a.flops_no_cache - cheap.flops_no_cache == flops(SIZES["strong"], 0, 100, judge)


@pytest.mark.parametrize("name", policies(dict.fromkeys(JUDGING, 0.5)))
def test_charges_of_single_calls_sum_to_the_total(name: str):
    """The accounting identity, for every policy and every cost."""
    rows = make_rows(6)
    outcomes = [policies(dict.fromkeys(JUDGING, 0.5))[name](row) for row in rows]
    cached, latest, parts = {}, None, []
    for row, outcome in zip(rows, outcomes, strict=True):
        if row.episode != latest:
            latest, cached = row.episode, {}
        for call in outcome.calls:
            alone = outcome._replace(calls=(call,), actor=call.role, tokens=0)
            charge, cached = step(row, alone, cached, TARIFF)
            parts.append(charge)
        window, held = cached[outcome.actor]
        cached[outcome.actor] = (window, held + outcome.tokens)
    assert total(parts) == pytest.approx(total(charged(rows, outcomes)))
    assert all(value > 0 for value in total(parts))


@pytest.mark.parametrize("name", policies(dict.fromkeys(JUDGING, 0.5)))
def test_a_decision_is_charged_for_each_of_its_calls_and_flops_for_each_of_their_parts(name: str):
    cached, latest = {}, None
    for row in make_rows(6):
        outcome = policies(dict.fromkeys(JUDGING, 0.5))[name](row)
        cached = cached if row.episode == latest else {}
        latest = row.episode
        parts, after = itemized(row, outcome, cached, TARIFF)
        assert len(parts) == len(outcome.calls)
        assert step(row, outcome, cached, TARIFF) == (total(parts), after)
        for call, charge in zip(outcome.calls, parts, strict=True):
            assert charge.flops == pytest.approx(sum(getattr(charge, f"{part}_flops") for part in PARTS))
            read = charge.new_tokens + charge.cached_tokens + charge.generated_tokens
            assert read == row.context[call.role] + sum(call.branches)
            assert (charge.generated_tokens > 0) == (charge.generated_flops > 0) == (call.answers > 0)
        cached = after


def test_money_is_tokens_times_prices_by_hand():
    rows = [make_row(context=100), make_row(context=150)]
    own = rows[0].strong.tokens
    first, second = charged(rows, [always_strong(row) for row in rows])
    price = PRICES.strong
    assert first.money == pytest.approx((100 * price.input + own * price.output) / 1e6)
    again = (50 - own) * price.input + (100 + own) * price.cached_input + rows[1].strong.tokens * price.output
    assert second.money == pytest.approx(again / 1e6)


def test_what_is_judged_is_read_and_not_generated():
    row = make_row(context=100)
    parts, _ = itemized(row, JUDGING["D"](0.1)(row), {}, TARIFF)
    assert [(c.new_tokens, c.generated_tokens) for c in parts] == [(100, 10), (111, 0)]
    assert parts[1].money == pytest.approx(111 * PRICES.verifier.input / 1e6)


def test_a_router_pays_for_the_model_that_acts_and_for_no_other():
    row = make_row(route=0.6)
    (sent,), (kept,) = (charged([row], [JUDGING["G"](threshold)(row)]) for threshold in (0.7, 0.5))
    assert sent == charged([row], [always_strong(row)])[0]
    assert kept == charged([row], [cheap_only(row)])[0]


def test_upstream_figures_come_out_as_upstream_printed_them():
    row = make_row(cheap=("repair",) * 3, verifier=(0.5,) * 3)
    accepting = {name: charged([row], [make(0.1)(row)])[0].upstream for name, make in JUDGING.items()}
    rejecting = {name: charged([row], [make(NEVER)(row)])[0].upstream for name, make in JUDGING.items()}
    assert charged([row], [always_strong(row)])[0].upstream == 1
    assert charged([row], [cheap_only(row)])[0].upstream == pytest.approx(0.15)
    assert rejecting["C"] == pytest.approx(1.25)
    assert accepting["D"] == pytest.approx(0.25)  # upstream's table stops here ...
    assert rejecting["D"] == pytest.approx(1.25)  # ... but a rejection pays for the strong action too
    rejected = JUDGING["D"](NEVER)(row)
    assert without_fallback(rejected, UPSTREAM) == pytest.approx(0.25)
    assert without_fallback(JUDGING["E"](NEVER)(row), UPSTREAM) == pytest.approx(0.75)
    assert accepting["E"] == pytest.approx(0.75)
    assert rejecting["E"] == pytest.approx(1.75)


def test_upstream_prices_are_those_of_the_configuration():
    row = make_row()
    prices = UpstreamCost(strong=2.0, cheap=0.5, verdict=0.25)
    (charge,) = charges([row], [JUDGING["D"](NEVER)(row)], Tariff(SIZES, PRICES, prices))
    assert charge.upstream == 2.0 + 0.5 + 0.25


def test_the_total_of_nothing_is_zero():
    assert total([]) == NOTHING


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_expected_charges_weigh_every_sequence_of_tosses(rate: float):
    rows = [make_row(context=context) for context in (50, 90, 130, 170)]
    both = choices(rows, "D")
    expected = expected_charges(rows, both, rate, TARIFF)
    by_hand = [NOTHING] * len(rows)
    for tosses in itertools.product((True, False), repeat=len(rows)):
        probability = prod(rate if toss else 1 - rate for toss in tosses)
        outcomes = [choice.accept if toss else choice.reject for choice, toss in zip(both, tosses, strict=True)]
        for n, charge in enumerate(charged(rows, outcomes)):
            by_hand[n] = Charge(*(a + probability * b for a, b in zip(by_hand[n], charge, strict=True)))
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
def test_a_sweep_equals_charging_every_threshold_anew(name: str):
    rows = make_rows(8)
    for point in sweep(rows, name, TARIFF):
        outcomes = [JUDGING[name](point.threshold)(row) for row in rows]
        assert point.accepted == tuple(outcome.accepted for outcome in outcomes)
        assert point.charge == pytest.approx(total(charged(rows, outcomes)), rel=1e-12)
        assert total(point.by_episode.values()) == pytest.approx(point.charge)
    assert len(thresholds([score(row, name) for row in rows])) == len(sweep(rows, name, TARIFF))
