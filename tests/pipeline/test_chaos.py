"""A few of the kills and damages of tests/chaos.py, in a copy of the finished smoke run."""

import shutil

import pytest
from chaos import KILLS, Workspace, harm, kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

QUICK = {"seconds": {"collect": 4.0, "route": 4.0}, "timed": []}
"""Stages of a few seconds, whose outputs tell no times."""


@pytest.fixture(scope="module")
def workspace(smoke, tmp_path_factory) -> Workspace:
    return Workspace(shutil.copytree(smoke.path, tmp_path_factory.mktemp("chaos") / "work space", symlinks=True))


@pytest.mark.parametrize("number", range(2))
def test_after_a_kill_the_next_run_ends_in_the_same_bytes(workspace, number):
    found = kill(workspace, number, QUICK)
    assert found["same bytes"] and found["how"] in KILLS, found


@pytest.mark.parametrize("number", (1, 3))
def test_no_damage_is_silent(workspace, number):
    found = harm(workspace, number, QUICK, quick=True)
    assert found["same bytes"] and not found["silent"], found
