"""Every benchmark still runs, at a size at which its figures mean nothing."""

import re
import threading
import time

import numpy as np
import pytest
import uvicorn
from completions import completions_app
from factories import make_cases, with_middle
from places import ROOT

from benchmarks.proposers import acting_first
from benchmarks.signals import cross_fitted
from specacts.evaluation.stats import auroc, resample_weights
from specacts.models.load import load_model

TINY = {
    "answer_processes": ["--episodes 9"],
    "answer_speed": ["--episodes 1"],
    "gateway": ["--requests 5 --streams 5 --conversations 1"],
    "import_speed": ["--megabytes 1 --repeats 1"],
    "promises": ["--draws 3"],
    "proposers": [""],
    "time_lost": ["--stages propose train@cheap"],
    "train_throughput": ["--rows 1 --tokens 64 --repeats 1", "--rows 1 --tokens 64 --repeats 1 --shape tiny"],
    "watch": ["--deployments 2"],
    "windows": ["--contexts 2000 --tools 5"],
}
"""Options by benchmark."""
APART = {"remote_engine", "served_answers", "served_prompts", "signals"}
"""They take more than options, or a run of more than a handful of decisions."""


def test_each_benchmark_is_here():
    assert set(TINY) | APART == {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "options"), [(name, options) for name in TINY for options in TINY[name]])
def test_it_prints_its_ratio(smoke, name, options):
    done = smoke.python("-m", f"benchmarks.{name}", *options.split())
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^ratio.*: \d+\.\d+", done.stdout, re.MULTILINE), done.stdout[-3000:]


def test_a_verifier_that_proposes_is_charged_as_it_is_and_judged_by_nobody():
    (row, *_) = (case.row for case in with_middle(make_cases(1)))
    row = row.model_copy(update={"context": {"cheap": 10, "verifier": 20, "strong": 30}})
    found = acting_first(row)
    assert found.cheap == (row.middle,) and found.strong == row.strong and not found.verifier
    assert found.context == {"cheap": 20, "verifier": 20, "strong": 30} and row.context["cheap"] == 10


def test_a_signal_that_tells_is_seen_and_noise_is_not():
    dice = np.random.default_rng(0)
    right = dice.random(400) < 0.6
    features = np.stack([right + dice.normal(size=400), dice.normal(size=400)], axis=1)
    groups = [str(number // 5) for number in range(400)]
    telling, noise = (cross_fitted(features[:, [column]], right, groups) for column in (0, 1))
    weights = resample_weights(groups, 200, 0)
    assert auroc(telling, right, weights).low > 0.65 and auroc(noise, right, weights).value < 0.6
    assert set(cross_fitted(features, right | True, groups)) == {1.0}


@pytest.mark.slow
def test_signals_are_compared_where_some_proposals_are_right_and_some_wrong(smoke):
    """Of the smoke scale's few proposals it may be that none is right."""
    done = smoke.python("-m", "benchmarks.signals")
    assert re.search(r"^ratio.*: \d+\.\d+|^error: signals: .*nothing to tell apart$", done.stdout, re.MULTILINE), (
        done.stdout
    )


@pytest.mark.slow
def test_the_engine_on_a_server_is_compared_with_the_one_here(smoke):
    made = smoke.path / "models"
    models = {role: load_model(made / "base" / role, made / role, "cpu", "float32") for role in ("cheap", "verifier")}
    server = uvicorn.Server(uvicorn.Config(completions_app(models), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    options = ("--url", f"http://127.0.0.1:{port}/v1", "--most", "4")
    done = smoke.python("-m", "benchmarks.remote_engine", *options)
    answers = smoke.python("-m", "benchmarks.served_answers", *options)
    server.should_exit = True
    thread.join()
    assert done.returncode == 0, done.stdout[-3000:]
    assert "| 4 | 4 | 4 |" in done.stdout
    assert re.search(r"^ratio: \d+\.\d+", done.stdout, re.MULTILINE)
    assert answers.returncode == 0, answers.stdout[-3000:]
    decisions, proposals, actions = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \|", answers.stdout, re.MULTILINE)[0]
    assert 1 <= int(decisions) <= 4 and proposals == actions == decisions
