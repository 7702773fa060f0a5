"""The whole circle: served, worked behind, learnt from, served again."""

import re
import shutil

import pytest
from workspace import Workspace

from specacts.core.episodes import load_episodes
from specacts.serving.bundle import load_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def workspace(smoke, tmp_path_factory) -> Workspace:
    """A copy of the finished run, which the circle goes on from."""
    folder = tmp_path_factory.mktemp("circle") / "own"
    shutil.copytree(smoke.path.parent, folder, symlinks=True)
    return Workspace(folder)


def test_an_agent_behind_the_gateway_does_what_the_policy_does_in_this_process(workspace):
    done = workspace.python("-m", "scripts.agreement", "--episodes", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(
        r"^[1-9]\d* decisions of 2 tasks compared, \d+ by the cheap model: 0 differ$", done.stdout, re.MULTILINE
    )


def test_what_an_agent_did_behind_the_gateway_becomes_the_next_bundle_that_acts(workspace):
    first = load_bundle(workspace.path / "models/policy")
    done = workspace.python("-m", "scripts.circle")
    assert done.returncode == 0, done.stdout[-5000:]
    acted = re.search(r"acted by (\S+), now by (\S+)", done.stdout)
    assert acted and acted[1] != acted[2]
    second = load_bundle(workspace.path / "models/policy")
    assert (first.source, second.source) == ("bfcl", "own")
    learnt = load_episodes(workspace.path / "data/split/train.jsonl")
    assert learnt and {episode.source for episode in learnt} == {"own"}
    assert re.search(r"conversations come from `specacts serve`; in \d+ of them upstream alone acted", done.stdout)
    assert "one more conversation" in done.stdout
