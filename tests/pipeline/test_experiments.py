"""Recipes, ablation and queue as experiments of the finished smoke run, which is as it was after each test."""

import sys

import pytest
from safetensors.torch import load_file
from workspace import DATA_STAGES, STAGES

from specacts.evaluation.overview import Overview

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def v2(smoke) -> set[str]:
    """The stages that recipe v2 ran, as an experiment of its own; the workspace is v3's again afterwards."""
    before = smoke.hashes()
    done = smoke.dvc("exp", "run", "-n", "v2", "-S", "recipe=v2")
    assert done.returncode == 0, done.stdout[-5000:]
    assert [path.name for path in (smoke.path / "models/strong").iterdir()] == ["frozen.txt"]
    assert "No adapter" in smoke.text("reports/cards/strong.md")
    assert smoke.json("metrics/train/strong.json")["steps"] == 0
    assert "recipe `v2`" in smoke.report()
    assert any("score.weight" in name for name in load_file(smoke.path / "models/verifier/adapter_model.safetensors"))
    drawn = smoke.dvc("plots", "diff", "smoke", "v2", "--json", "-o", "dvc_plots")
    assert drawn.returncode == 0, drawn.stdout
    back = smoke.dvc("exp", "apply", "smoke")
    assert back.returncode == 0, back.stdout
    assert smoke.hashes() == before
    return set(smoke.ran(done.stdout))


def test_v2_reruns_what_the_recipe_changes_and_no_data_stage(v2):
    assert v2 == STAGES - DATA_STAGES | {"check"}


def test_what_differs_between_v2_and_v3_fits_on_a_screen_in_an_order_that_reads(smoke, v2):
    shown = smoke.dvc("metrics", "diff", "--all", "v2", "smoke")
    assert shown.returncode == 0, shown.stdout
    head, *rows = [line.split() for line in shown.stdout.splitlines()]
    assert head == ["Path", "Metric", "v2", "smoke", "Change"] and len(rows) <= 60
    for path, _, old, new, _ in rows:
        assert path == "metrics/overview.json" and "-" not in (old, new)
    parts = ["accuracy", "cost", "from_cheap", "judges_auroc", "saved", "size"]
    assert list(dict.fromkeys(metric.partition(".")[0] for _, metric, *_ in rows)) == parts


def test_experiments_beside_each_other_show_the_figures_and_settings_that_differ(smoke, v2):
    done = smoke.python("-m", "scripts.experiments")
    assert done.returncode == 0, done.stdout
    head, _, *rows = (line.split() for line in done.stdout.splitlines())
    assert {"v2", "smoke"} <= set(head) and "workspace" not in head
    lines = {name: values for name, *values in rows}
    assert {"mismatched", "same"} <= set(lines["format"]) and "cost.D" in lines
    assert not [name for name in lines if "/" in name]


def test_dvc_itself_shows_few_columns_of_figures(smoke, v2):
    done = smoke.dvc("exp", "show", "--csv", "--rev", "smoke", "--hide-workspace")
    columns = done.stdout.splitlines()[0].split(",")
    figures = [column for column in columns if column.partition(".")[0] in Overview.model_fields]
    assert "accuracy.A" in figures and len(figures) <= 60
    assert len(columns) <= 225  # settings that stages read, files that they depend on


def test_two_experiments_are_compared_policy_by_policy_with_intervals(smoke, v2):
    done = smoke.run("make", "--no-print-directory", "-o", "setup", f"PY={sys.executable}", "compare", "NEW=smoke")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert [line[0] for line in lines[2:11]] == list("ABCDEFGHS") and len(lines) == 14
    assert all(" to " in line or " none" in line for line in lines[2:11]) and "the same in both" in lines[12]


def test_the_figures_of_two_experiments_are_written_side_by_side(smoke, v2):
    assert smoke.python("-m", "scripts.compare", "v2", "smoke", "--figures").returncode == 0
    drawn = [(smoke.path / f"docs/figures/{name}-frontier.png").read_bytes() for name in ("v2", "smoke")]
    assert all(figure.startswith(b"\x89PNG") for figure in drawn) and drawn[0] != drawn[1]
    smoke.run("git", "checkout", "--quiet", "HEAD", "--", "docs")


def test_the_ablation_compares_experiments_in_temporary_folders(smoke, v2):
    before = smoke.hashes()
    done = smoke.python("-m", "scripts.ablation", "threshold", "picks", "--jobs", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    found = smoke.json("docs/ablation.json")
    assert list(found["experiments"]) == ["threshold", "picks"]
    for name, unchanged in (("threshold", "AB"), ("picks", "ABCDFGHS")):
        policies = found["experiments"][name]["policies"]
        assert list(policies) == list("ABCDEFGHS")
        for policy in unchanged:
            assert policies[policy]["accuracy_effect_low"] == policies[policy]["accuracy_effect_high"] == 0
    commit = smoke.run("git", "rev-parse", "--short", "HEAD").stdout.strip()
    page = smoke.text("docs/ablation.md")
    assert "picks: E never rejects" in page and f"at commit {commit} on " in page
    assert smoke.hashes() == before
    smoke.run("git", "checkout", "--quiet", "HEAD", "--", "docs")


def test_other_seeds_train_other_models_on_the_same_data(smoke, v2):
    before = smoke.hashes()
    done = smoke.python("-m", "scripts.seeds", "1", "--jobs", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    found, here = smoke.json("metrics/seeds.json"), smoke.json("metrics/overview.json")
    assert found["seeds"] == [0, 1] and found["decisions"] == here["size"]["test_decisions"]
    for policy, accuracy in here["accuracy"].items():
        assert found["policies"][policy]["accuracy"][0] == pytest.approx(accuracy, abs=1e-4)
    other = smoke.dvc("metrics", "diff", "smoke", "seed-1", "--json")
    assert other.returncode == 0 and "metrics/overview.json" in other.stdout  # not the same models
    assert "over tasks and seeds" in done.stdout
    smoke.run("git", "checkout", "--quiet", "HEAD", "--", "metrics/seeds.json")
    assert smoke.hashes() == before


def test_a_queued_experiment_ends_like_any_other(smoke, v2):
    before = smoke.hashes()
    queued = ("--queue", "-n", "queued", "-S", "configs/recipe/v3.yaml:threshold=fixed", "evaluate")
    for arguments in (queued, ("--run-all",)):
        done = smoke.dvc("exp", "run", *arguments)
        assert done.returncode == 0, done.stdout
    shown = smoke.dvc("metrics", "diff", "smoke", "queued", "--json")
    assert shown.returncode == 0 and "metrics/overview.json" in shown.stdout
    assert smoke.hashes() == before
