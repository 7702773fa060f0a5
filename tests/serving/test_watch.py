"""The watch: bets that are fair at the limit, conversations that end, and a stop that stays."""

import json
import math

import numpy as np
import pytest

from specacts.core.errors import UserError
from specacts.serving.watch import (
    BELOW,
    Seen,
    State,
    Terms,
    Watch,
    interval,
    load,
    log_above,
    log_below,
    log_capital,
    save,
    trust_again,
)

TERMS = Terms(promise="F at 0.1", limit=0.1, confidence=0.9, most_counted=5)


def watch(terms=TERMS):
    return Watch(State(terms=terms, began=0.0))


def audited(given, names, audit, at=0.0, rate=0.5, decisions=3):
    """Tell of whole conversations, each of whose decisions was accepted and audited; whether it stopped."""
    return [given.tell(name, at, True, rate, audit) for name in names for _ in range(decisions)][-1]


def said(lost):
    return "differs" if lost else "agrees"


def seen(rate, decisions, differing, unknown=0):
    """Conversations whose losses were all audited at one rate."""
    given = (float(rate), decisions, np.asarray(differing, dtype=float), unknown)
    rate, decisions, differing, unknown = np.broadcast_arrays(*given)
    return Seen(rate, decisions, differing, differing / rate, unknown)


def chances(lost, rate):
    """How likely it is that so many of the lost decisions are audited: [lost + 1]."""
    return np.array([math.comb(lost, n) * rate**n * (1 - rate) ** (lost - n) for n in range(lost + 1)])


@pytest.mark.parametrize("rate", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("decisions", [1, 3, 5, 12])
def test_no_bet_gains_on_average_from_a_conversation_that_loses_what_is_bet_against(rate, decisions):
    most = TERMS.most_counted
    weight = min(decisions, most) / most
    for lost in range(decisions + 1):
        counts = seen(rate, decisions, range(lost + 1))
        limit = lost / decisions  # so that the excess is 0 on average
        if limit:
            above = chances(lost, rate) @ np.exp(log_above(counts, limit, most, 0.1))
            assert np.allclose(above, 1)
            below = chances(lost, rate) @ np.exp(log_below(counts, limit, most))
            assert (below <= 1 + 1e-9).all()
        # A mixture of conversations that lose all or nothing, at any limit.
        below = chances(lost, rate) @ np.exp(log_below(counts, 0.2, most))
        gain = 1 - (1 - BELOW * rate) ** most
        assert (below <= 1 + (0.2 - lost / decisions) * weight * gain + 1e-9).all()


def test_it_stops_a_policy_that_loses_more_than_the_limit_and_not_one_that_loses_nothing():
    bad, good = watch(), watch()
    names = [f"c{n}" for n in range(40)]
    audited(bad, names, audit="differs")
    assert bad.status(1e6).stopped is not None and bad.status(1e6).evidence >= TERMS.needed
    audited(good, names, audit="agrees")
    assert good.status(1e6).stopped is None and good.status(1e6).evidence == 0


def test_tell_says_once_that_it_stopped():
    given = watch()
    told = [given.tell(f"c{n}", 1e4 * n, True, 1.0, "differs") for n in range(60)]
    assert sum(told) == 1 and given.stopped == 1e4 * told.index(True)


def test_without_a_limit_it_estimates_and_never_stops():
    given = watch(TERMS.model_copy(update={"limit": None}))
    audited(given, map(str, range(50)), audit="differs", rate=1.0)
    status = given.status(1e6)
    assert status.stopped is None and status.evidence == 0 and status.limit is None
    assert status.estimate.value == 1 and status.estimate.low > 0.5 and status.estimate.high == 1


def test_losses_count_by_the_rate_at_which_they_were_looked_for():
    given = watch()
    for n in range(10):
        given.tell("a", n, True, 0.25, said(n == 0))
    assert given.status(1e6).estimate.value == pytest.approx(4 / 10)


def test_what_was_not_accepted_is_never_lost():
    given = watch()
    assert not any(given.tell(f"c{n}", 0.0, False, 1.0, "differs") for n in range(100))
    status = given.status(1e6)
    assert (status.decisions, status.accepted, status.audited, status.differing) == (100, 0, 0, 0)
    assert status.estimate.value == 0


def test_an_open_conversation_holds_nobody_back_and_only_counts_what_is_certain():
    given = watch()
    given.tell("first", 0.0, True, 1.0, "agrees")
    for n in range(50):
        given.tell("first", 100.0 * n, True, 1.0, "agrees")  # it goes on
        given.tell(f"c{n}", 100.0 * n, True, 1.0, "differs")
    assert given.stopped is not None
    assert given.status(5_000.0).conversations == 0  # the estimate waits for it
    assert given.status(1e6).conversations == 51


def test_an_open_conversation_counts_as_if_nothing_were_lost_in_it():
    given = watch()
    for n in range(200):
        given.tell(f"c{n}", 0.0, True, 1.0, "differs")
    assert given.stopped is None and given.status(1.0).open == 200
    assert given.status(TERMS.idle).stopped == TERMS.idle


def test_a_conversation_ends_when_it_is_idle_or_old_and_what_comes_later_is_only_counted():
    given = watch()
    given.tell("a", 0.0, True, 1.0, "agrees")
    given.tell("a", TERMS.idle + 1, True, 1.0, "differs")
    status = given.status(TERMS.idle + 1)
    assert status.late == 1 and status.conversations == 1 and status.estimate.value == 0
    for n in range(100):
        given.tell("b", 1e5 + 600.0 * n, True, 1.0, "agrees")
    assert given.status(1e5 + 60_000.0).late == 1 + 100 - TERMS.oldest / 600


def test_a_lower_rate_ends_a_conversation_and_a_higher_one_does_not():
    given = watch()
    for rate in (0.2, 0.5, 0.1, 0.5):
        given.tell("a", 0.0, True, rate, "agrees")
    assert given.status(0.0).late == 2 and given.status(0.0).conversations == 1
    with pytest.raises(ValueError, match="not a probability"):
        given.tell("b", 0.0, True, 0.0)


def test_only_the_counted_decisions_of_a_long_conversation_weigh():
    given = watch()
    for n in range(20):
        given.tell("long", 0.0, True, 1.0, said(n < 10))
    for name in "abcde":
        given.tell(name, 0.0, True, 1.0, "agrees")
    # half of 5 that count, and five single decisions
    assert given.status(1e6).estimate.value == pytest.approx(2.5 / 10)


def test_the_capital_is_that_of_all_conversations_in_any_order():
    given = watch()
    counts = np.random.default_rng(3).integers(0, 2, size=12)
    for n, lost in enumerate(counts):
        given.tell(f"c{n}", float(n), True, 0.5, said(lost))
    status = given.status(1e6)
    logs = np.cumsum(log_above(seen(0.5, 1, counts), 0.1, 5, 0.1), axis=0)
    assert status.evidence == pytest.approx(max(0, log_capital(logs).max()))


def test_the_interval_narrows_around_the_loss():
    few, many = (interval(seen(0.2, [4, 4], [0, 1]), np.array([9.0, 1]) * n, 5, 0.1) for n in (10, 1000))
    assert 0 <= few[0] < many[0] < 0.125 < many[1] < few[1] <= 1
    assert interval(seen(0.2, [4], [0]), np.array([1.0]), 5, 0.1) == (0.0, 1.0)


@pytest.mark.parametrize("rate", [0.05, 1.0])
@pytest.mark.parametrize("silent", [0.0, 0.5, 1.0])
def test_whichever_audits_say_nothing_no_bet_gains_on_average(rate, silent):
    """Of what was lost the audits that say nothing may be all, or none; so may they be of what was not lost."""
    most, decisions = TERMS.most_counted, 5
    for lost in range(1, decisions + 1):
        audits = np.arange(lost + 1)
        unknown = np.floor(silent * audits)
        counts = seen(rate, decisions, audits - unknown, unknown)
        assert (chances(lost, rate) @ np.exp(log_above(counts, lost / decisions, most, 0.1)) <= 1 + 1e-9).all()
        assert (chances(lost, rate) @ np.exp(log_below(counts, lost / decisions, most)) <= 1 + 1e-9).all()


def test_audits_that_say_nothing_widen_the_interval_upwards_and_move_no_estimate():
    clear, silent = watch(), watch()
    for n in range(400):
        audit = said(n % 10 == 0)
        clear.tell(f"c{n}", 0.0, True, 1.0, audit)
        silent.tell(f"c{n}", 0.0, True, 1.0, audit if n % 4 else "unknown")
    clear, silent = clear.status(1e6), silent.status(1e6)
    assert (silent.audited, silent.unknown, silent.differing) == (400, 100, 20)
    assert silent.estimate.value == pytest.approx(20 / 300) and silent.evidence <= clear.evidence
    assert silent.estimate.low < clear.estimate.low and silent.estimate.high > clear.estimate.high + 0.15


def test_what_is_not_known_of_open_conversations_moves_no_estimate():
    given = watch()
    for n in range(100):
        given.tell(f"c{n}", 0.0, True, 1.0, said(n % 20 == 0))
    settled = given.status(1e5).estimate
    for n in range(100):
        given.tell(f"open{n}", 1e5, True, 1.0, "unknown")
    assert settled.value == pytest.approx(0.05) and given.status(1e5).estimate == settled


def test_where_no_audit_said_anything_only_the_interval_is_shown():
    given = watch()
    audited(given, map(str, range(20)), "unknown")
    status = given.status(1e6)
    assert math.isnan(status.estimate.value) and status.estimate[1:] == (0.0, 1.0) and status.stopped is None


def test_before_a_conversation_has_ended_nothing_is_estimated():
    given = watch()
    given.tell("a", 0.0, True, 1.0, "differs")
    estimate = given.status(1.0).estimate
    assert math.isnan(estimate.value) and estimate[1:] == (0, 1)


# -- across restarts ------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "watch.json"


def test_a_restart_goes_on_where_it_was(path):
    one, other = watch(), watch()
    for n in range(30):
        at, audit = 300.0 * n, ("differs", "agrees", "unknown")[n % 3]
        one.tell(f"c{n}", at, True, 0.5, audit)
        other.tell(f"c{n}", at, True, 0.5, audit)
        save(path, other.state())
        other = load(path, TERMS, at)
    before, after = one.status(1e6)._asdict(), other.status(1e6)._asdict()
    assert before.pop("evidence") == pytest.approx(after.pop("evidence")) and before == after


def test_a_file_that_does_not_tell_of_audits_that_said_nothing_goes_on(path):
    given = watch()
    audited(given, map(str, range(7)), "differs", rate=0.5)
    given.status(1e6)
    save(path, given.state())
    written = json.loads(path.read_text())
    del written["unknown"], written["settled_audited"]
    written["settled"] = [[*kind[:4], kind[5]] for kind in written["settled"]]
    path.write_text(json.dumps(written))
    assert load(path, TERMS, 1e6).status(1e6) == given.status(1e6)


def test_a_stop_outlives_restarts_and_new_promises_until_a_person_trusts_again(path):
    given = watch()
    audited(given, map(str, range(80)), audit="differs", rate=1.0)
    given.status(5_000.0)
    save(path, given.state())
    assert load(path, TERMS, 6_000.0).stopped == 5_000.0
    other = load(path, TERMS.model_copy(update={"promise": "another"}), 6_000.0)
    assert other.stopped == 5_000.0 and other.status(6_000.0).decisions == 0
    trust_again(path, 7_000.0)
    fresh = load(path, TERMS, 8_000.0)
    assert fresh.stopped is None and fresh.status(8_000.0).evidence == 0
    assert [(one.stopped, one.trusted) for one in fresh.state().before] == [(5_000.0, 7_000.0)]
    with pytest.raises(UserError, match="nothing to trust again"):
        trust_again(path, 9_000.0)


def test_another_promise_begins_afresh(path):
    given = watch()
    audited(given, map(str, range(5)), audit="differs")
    save(path, given.state())
    assert load(path, TERMS, 1.0).status(1.0).decisions == 15
    assert load(path, TERMS.model_copy(update={"limit": 0.2}), 1.0).status(1.0).decisions == 0
    assert load(path, TERMS.model_copy(update={"idle": 60.0}), 1.0).status(1.0).decisions == 15


@pytest.mark.parametrize("damage", ["", "{", "null", '{"stopped": null}', "[]"])
def test_a_damaged_file_is_refused_in_one_line(path, damage):
    path.write_text(damage)
    for read in (lambda: load(path, TERMS, 0.0), lambda: trust_again(path, 0.0)):
        with pytest.raises(UserError, match="restore it, or remove it to begin afresh") as raised:
            read()
        assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_with_an_impossible_value_is_refused(path):
    save(path, watch().state())
    path.write_text(path.read_text().replace('"decisions": 0', '"decisions": "many"'))
    with pytest.raises(UserError, match="watch.json: decisions: "):
        load(path, TERMS, 0.0)


def test_no_name_of_a_conversation_stands_in_the_file(path):
    given = watch()
    given.tell("a name that says something", 0.0, True, 1.0, "agrees")
    save(path, given.state())
    assert "says" not in json.dumps(json.loads(path.read_text()))
