"""Seconds of models side by side, by hand; and only calls that change nothing are executed in advance."""

import numpy as np
import pytest
from factories import candidate, make_row
from places import ROOT

from specacts.answering.effects import by_text
from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.bfcl.tasks import load_tasks, replay_tasks
from specacts.core.comparison import Rule
from specacts.core.episodes import Action, decisions
from specacts.core.words import SPEAKING
from specacts.evaluation.latency import (
    READ_ONLY,
    Seconds,
    hits,
    lossless,
    parallel,
    read_only_calls,
    serial,
    tool_seconds,
)

SPENT = Seconds(
    strong=np.array([1.0, 1.0]), cheap=np.array([0.2, 0.2]), verdict=np.array([0.1, 0.1]), words=np.zeros(2)
)
ACCEPTED = np.array([True, False])
TOOLS = np.array([0.5, 0.0])


def call(action_type: str, value: int = 0) -> Action:
    return Action(type=action_type, tool="look", arguments={"value": value})


def test_one_after_the_other_waits_for_all():
    timed = serial(np.array([0.3, 1.3]), TOOLS)
    assert timed.seconds.tolist() == [0.8, 1.3] and timed.work.tolist() == [0.3, 1.3]


def test_started_at_once_a_rejection_waits_for_the_slower_and_an_acceptance_stops_the_strong_model():
    timed = parallel(SPENT, ACCEPTED, TOOLS)
    assert timed.seconds == pytest.approx([0.3 + 0.5, 1.0])
    assert timed.work == pytest.approx([0.3 + 0.3, 0.3 + 1.0])
    slow = SPENT._replace(verdict=np.array([2.0, 2.0]))
    assert parallel(slow, ACCEPTED, 0 * TOOLS).seconds == pytest.approx([2.2, 2.2])
    assert parallel(slow, ACCEPTED, 0 * TOOLS).work == pytest.approx([3.2, 3.2])


def test_a_call_executed_in_advance_overlaps_with_the_strong_model():
    tools = np.array([0.5, 0.5])
    timed = lossless(SPENT, np.array([True, False]), tools)
    assert timed.seconds == pytest.approx([1.0, 1.5])
    assert lossless(SPENT, np.array([True, True]), np.array([3.0, 3.0])).seconds == pytest.approx([3.2, 3.2])
    assert timed.work == pytest.approx([1.2, 1.2])


def test_a_hit_is_the_strong_models_own_call_and_changes_nothing():
    read, write = candidate(call("file_read")), candidate(call("file_write"))
    row = make_row(cheap=("BLOCKED", "BLOCKED"), verifier=(0.5, 0.5))
    other = candidate(call("file_read", 1))
    cases = [
        ((read,), read, True),
        ((other,), read, False),
        ((write,), write, False),  # the same call, but it may change something
        ((row.cheap[0],), row.cheap[0], False),  # nothing to execute
        ((candidate(None),), read, False),
        ((read,), candidate(None), False),
    ]
    for cheap, strong, expected in cases:
        assert hits([row.model_copy(update={"cheap": cheap, "strong": strong})], 1).tolist() == [expected]
    late = row.model_copy(update={"cheap": (other, read), "strong": read})
    assert not hits([late], 1)[0] and hits([late], 2)[0]
    assert read_only_calls([late]).tolist() == [True]
    assert read_only_calls([late.model_copy(update={"strong": write})]).tolist() == [False]


def test_a_call_that_is_the_same_by_a_rule_alone_is_no_hit():
    """It returns something else than the strong model's call would."""
    taken = call("file_read", 100).model_copy(update={"compare": {"value": Rule("number", 0.1)}})
    row = make_row(cheap=("BLOCKED",)).model_copy(update={"strong": candidate(taken)})
    for value, expected in ((100, True), (101, False)):
        assert hits([row.model_copy(update={"cheap": (candidate(call("file_read", value)),)})], 1)[0] == expected


def test_speaking_is_never_read_only_and_a_repair_may_be_anything():
    assert not READ_ONLY & {*SPEAKING, "repair", "tool_call", "file_write"}


def test_tools_take_what_was_measured_or_what_is_assumed():
    rows = [make_row(gold="file_read"), make_row(gold="file_read", decision=1), make_row(decision=2)]
    same = [by_text(row) for row in rows]
    same[0] = same[0].model_copy(update={"seconds": 0.25})
    assert tool_seconds(rows, same, None).tolist() == [0.25, 0.25, 0]  # what was not measured takes the mean
    assert tool_seconds(rows, same, 2.0).tolist() == [2, 2, 0]
    assert tool_seconds(rows, [by_text(row) for row in rows], None).tolist() == [0, 0, 0]


@pytest.mark.slow
def test_calls_of_read_only_types_change_nothing_on_the_simulators(bfcl, config):
    """Every such right call of all tasks. The state is what the benchmark compares; a simulated measurement also draws
    the next of its random numbers, which nothing but another measurement can tell."""
    data = config.scale.data.model_copy(update={"variants": ("base",), "fault_rate": 0.0})
    tasks = {task.id: task.row for task in load_tasks(bfcl, "base")}
    tried = 0
    with Simulator(bfcl / SOURCE_CODE, 30) as simulator:
        for episode, _ in replay_tasks(bfcl, data, 0, ROOT / "configs/action_types/bfcl.yaml", iter):
            row = tasks[episode.id]
            simulator.start(row["involved_classes"], row["initial_config"])
            for due in decisions(episode):
                before = simulator.state()
                if due.gold.tool:
                    simulator.call(due.gold.tool, due.gold.arguments)
                if due.gold.type in READ_ONLY:
                    assert simulator.state() == before, f"{episode.id}: {due.gold.tool} ({due.gold.type}) changes it"
                    tried += 1
    assert tried > 300
