"""The small scripts: the result table that `make repro` ends with, and what differs between experiments."""

import argparse
import csv
import io
import os
import subprocess
import sys

import pytest
from factories import TARIFF, make_cases
from places import ROOT

from scripts import compare
from scripts.experiments import table
from scripts.running import jobs
from scripts.seeds import beside
from scripts.show import result_table
from specacts.core.errors import UserError
from specacts.core.files import write_text
from specacts.evaluation.metrics import OUTCOME, outcomes, run
from specacts.policies.table import JUDGING


def test_the_table_behind_its_title_is_shown():
    text = "| other |\n\n## What every policy does\n\n| policy |\n|---|\n| A |\n\nWords.\n\n| third |\n"
    assert result_table(text) == ["| policy |", "|---|", "| A |"]


def test_without_a_report_it_is_said_what_to_run(tmp_path):
    done = subprocess.run([sys.executable, ROOT / "scripts/show.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "error: no reports/appendix.md; run `make repro`\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_the_table_is_shown_whatever_the_output_can_encode(tmp_path, encoding):
    write_text(tmp_path / "reports/appendix.md", "## What every policy does\n\n| 60–70 % |\n")
    command = [sys.executable, ROOT / "scripts/show.py"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 0 and b"| 60?70 % |" in done.stdout and not done.stderr


PLACES = ("specacts", "stages", "scripts", "benchmarks")
APART = {
    "specacts/bfcl/worker.py": "the simulators' own process: it answers in JSON",
    "specacts/__main__.py": "calls the command's main",
}


def test_every_command_prints_behind_the_guard_that_any_terminal_can_show():
    """Who prints outside of it fails where the output is not UTF-8, and lets through what commands a terminal."""
    files = [path for place in PLACES for path in (ROOT / place).rglob("*.py")]
    commands = {path: text for path in files if '__name__ == "__main__"' in (text := path.read_text(encoding="utf-8"))}
    assert len(commands) > 20
    for path, text in commands.items():
        end = text.partition('__name__ == "__main__"')[2]
        assert "with one_line_errors()" in end or str(path.relative_to(ROOT)) in APART, path


def outcomes_text(threshold: float, count: int = 20) -> str:
    """What the evaluate stage writes of so many toy decisions."""
    cases = make_cases(20, seed=3)[:count]
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow(OUTCOME)
    writer.writerows(outcomes(cases, run(cases, TARIFF, dict.fromkeys(JUDGING, threshold), "final_answer", "type")))
    return found.getvalue()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A DVC repository with revisions: old and new share their decisions, shorter has fewer, empty did not end."""
    folder = tmp_path_factory.mktemp("experiments")

    def git(*command: str) -> None:
        nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
        subprocess.run(["git", *nobody, *command], cwd=folder, check=True)

    git("init", "-q")
    quiet = os.environ | {"DVC_NO_ANALYTICS": "1"}
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=folder, check=True, env=quiet)
    (folder / "params.yaml").write_text("acceptance: {level: type}\ncost: {model: flops}\n")
    results = {"old": outcomes_text(0.5), "new": outcomes_text(0.8), "shorter": outcomes_text(0.5, 15), "empty": None}
    for name, text in results.items():
        (folder / compare.OUTCOMES).unlink(missing_ok=True)
        if text:
            write_text(folder / compare.OUTCOMES, text)
            write_text(folder / compare.FIGURE, name)
        git("add", ".")
        git("commit", "-q", "-m", name)
        git("tag", name)
    return folder


@pytest.fixture
def experiments(repository, monkeypatch):
    monkeypatch.chdir(repository)
    return repository


def test_two_experiments_are_compared_policy_by_policy(experiments, capsys):
    compare.main("old", "new", figures=False)
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert "% right: old" in head and [row[0] for row in rows[:9]] == list("ABCDEFGHS")
    assert rows[0].count("none") == rows[1].count("none") == 2  # a threshold changes nothing for A and B
    assert rows[3].rstrip().endswith("*") and "+0." in rows[3]  # and makes D more expensive
    assert rows[10].startswith("20 test decisions in") and len(rows) == 12
    assert not (experiments / "docs").exists()


def test_the_difference_is_the_new_one_minus_the_old_one(experiments, capsys):
    compare.main("old", "new", figures=False)
    there = capsys.readouterr().out.splitlines()[5].split()
    compare.main("new", "old", figures=False)
    back = capsys.readouterr().out.splitlines()[5].split()
    assert there[:3] == back[:3] and there[3:5] == back[4:2:-1]  # D verifier judges, and what was right
    assert float(there[5]) == -float(back[5]) != 0


def test_each_experiment_gives_its_figure(experiments):
    compare.main("old", "new", figures=True)
    for name in ("old", "new"):
        assert (experiments / f"docs/figures/{name}-frontier.png").read_text() == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("never", "^never: there is no such experiment; `dvc exp list` names"),
        ("empty", "^empty: data/outcomes.csv is not there; the experiment did not end"),
        ("shorter", "did not act on the same test decisions: old on 20, shorter on 15, 15 of them the same"),
    ],
)
def test_what_cannot_be_compared_is_named_with_what_to_do(experiments, name, reason):
    with pytest.raises(UserError, match=reason):
        compare.main("old", name, figures=False)


def shown(experiment: str | None, **values: object) -> dict[str, object]:
    """A row as DVC gives it."""
    about = {"Experiment": experiment, "rev": "abc", "typ": "", "Created": None, "parent": "", "State": None}
    return about | {"Executor": None} | values


def test_experiments_stand_beside_each_other_with_what_differs():
    recipes = [f"configs/recipe/{name}.yaml:threshold" for name in ("v2", "v3")]
    first = {"accuracy.A": 0.25, "accuracy.B": 0.5, "seed": 0.0, "data/own": "e9", "specacts": "a1"}
    second = {"accuracy.A": 0.3, "accuracy.B": 0.5, "seed": 1.0, "data/own": "f0", "specacts": "b2"}
    rows = [
        shown(None, **first, **dict(zip(recipes, (None, "calibrated"), strict=True))),
        shown("v2", **second, **dict(zip(recipes, ("fixed", None), strict=True))),
    ]
    lines = [line.split() for line in table(rows).splitlines()]
    assert lines[0] == ["abc", "v2"]
    assert lines[2:] == [["accuracy.A", "0.25", "0.3"], ["seed", "0", "1"], ["threshold", "calibrated", "fixed"]]


def test_revisions_without_results_and_a_workspace_that_is_as_another_have_no_column():
    def row(name: str, accuracy: object) -> dict[str, object]:
        return shown(name, **{"accuracy.A": accuracy, "cheap.layers": "[0, 1, 2, 4, 9, 21, 24, 29]"})

    lines = table([row("workspace", 0.5), row("master", "!"), row("v2", 0.25), row("v3", 0.5)]).splitlines()
    assert lines[0].split() == ["v2", "v3"] and lines[2].split() == ["accuracy.A", "0.25", "0.5"] and len(lines) == 3
    changed = table([row("workspace", 0.75), row("v2", 0.25)])
    assert changed.splitlines()[0].split() == ["workspace", "v2"]


def test_where_nothing_differs_it_is_said_how_to_make_an_experiment():
    assert table([shown("v3", seed=0.0)]).endswith("`dvc exp run -n NAME -S KEY=VALUE` makes another experiment")


@pytest.mark.parametrize(
    ("own", "named", "trained"),
    [(0, [], [1, 2]), (1, [], [0, 2]), (7, [], [0, 1]), (0, [3, 0, 3], [3]), (0, [5, 4, 2], [5, 4, 2])],
)
def test_models_are_trained_again_with_seeds_that_are_not_the_runs_own(own, named, trained):
    assert beside(own, named) == trained


@pytest.mark.parametrize("named", [[4], [-1, 2], [2**32]])
def test_seeds_that_no_training_takes_are_refused_before_anything_is_trained(named):
    with pytest.raises(UserError, match="from 0 to 4294967295, other than the run's own, which is 4"):
        beside(4, named)


def test_at_least_one_experiment_runs_at_a_time():
    assert jobs("2") == 2
    for text in ("0", "-1", "two"):
        with pytest.raises(argparse.ArgumentTypeError, match="no number from 1 on"):
            jobs(text)
