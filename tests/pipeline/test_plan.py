"""The smoke scale's plan, beside what its run counted."""

import pytest

from specacts.config import load_config
from specacts.core.words import ROLES
from specacts.plan.plan import STAND_IN
from specacts.plan.tokens import counted
from specacts.plan.traces import collected, shared_out

pytestmark = pytest.mark.slow


def test_tokens_are_those_that_trainings_counted_and_a_stand_in_is_near_them(smoke, tmp_path):
    config = load_config(smoke.path)
    assert collected(config, smoke.path)
    parts = shared_out(config, smoke.path, tmp_path)
    found, near = counted(config, parts, smoke.path), counted(config, parts, tmp_path)
    for role in ROLES:
        measured, training = smoke.json(f"metrics/train/{role}.json"), found[role].training
        assert training.rows == measured["rows"] and training.steps == measured["steps"], role
        assert training.tokens.low <= measured["tokens"] <= training.tokens.high, role
        assert training.seen.low <= measured["seen_tokens"] <= training.seen.high, role
        if role != "verifier":  # whose rows hold what the cheap model proposed
            assert training.tokens.low == training.tokens.high and training.seen.low == measured["seen_tokens"]
        assert near[role].training.tokens.low == pytest.approx(training.tokens.low, rel=STAND_IN), role
    asked = smoke.json("metrics/answer.json")
    assert found["strong"].asked.decisions == sum(asked["decisions"].values())


def test_bfcls_tasks_are_made_without_a_run(smoke, tmp_path):
    (tmp_path / "configs").symlink_to(smoke.path / "configs")
    (tmp_path / ".work").symlink_to(smoke.path / ".work")
    config = load_config(smoke.path)
    assert not collected(config, tmp_path)
    made, there = shared_out(config, tmp_path, tmp_path), shared_out(config, smoke.path, tmp_path)
    assert made == there
