"""The small scripts: the result table that `make repro` ends with, the figures of two experiments."""

import os
import subprocess
import sys

import pytest
from places import ROOT

from scripts import compare
from scripts.show import result_table
from specacts.core.errors import UserError


def test_the_table_behind_its_title_is_shown():
    text = "| other |\n\n## What every policy does\n\n| policy |\n|---|\n| A |\n\nWords.\n\n| third |\n"
    assert result_table(text) == ["| policy |", "|---|", "| A |"]


def test_without_a_report_it_is_said_what_to_run(tmp_path):
    done = subprocess.run([sys.executable, ROOT / "scripts/show.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "error: no reports/appendix.md; run `make repro`\n"


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    """A DVC repository with two revisions, old and new, each with a figure of its own."""
    monkeypatch.chdir(tmp_path)
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
    figure = tmp_path / compare.FIGURE
    figure.parent.mkdir(parents=True)
    for name in ("old", "new"):
        figure.write_text(name)
        for command in (("add", "."), (*nobody, "commit", "-q", "-m", name), ("tag", name)):
            subprocess.run(["git", *command], check=True)
    return tmp_path


def test_each_experiment_gives_its_figure(experiments):
    compare.main("old", "new")
    for name in ("old", "new"):
        assert (experiments / f"docs/figures/{name}-frontier.png").read_text() == name


def test_an_experiment_that_does_not_exist_is_named(experiments):
    with pytest.raises(UserError, match="^never: "):
        compare.main("old", "never")
