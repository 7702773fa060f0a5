"""The smoke scale's plan, beside what its run counted; and the try-out of a GPU where there is none."""

import json
import subprocess
import sys

import pytest
import torch
from places import ROOT

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


def test_what_the_documents_quote_is_made_by_a_script(smoke, tmp_path):
    done = smoke.python("-m", "scripts.plans", "--scale", "smoke", "--out", str(tmp_path / "plans.json"))
    assert done.returncode == 0, done.stdout
    found = json.loads((tmp_path / "plans.json").read_text())["smoke"]
    assert found["screen"][0] == "Scale smoke, recipe v3, traces: BFCL"
    assert {one["fits"] for one in found["gpus"]} == {"yes"} and len(found["gpus"]) > 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_try_out_of_a_gpu_is_one_line_where_there_is_none():
    done = subprocess.run([sys.executable, "-m", "scripts.gpu_smoke"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: no GPU to try: ") and len(done.stderr.splitlines()) == 1
