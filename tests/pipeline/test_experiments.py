"""Recipes, ablation and queue as experiments of the finished smoke run, which is as it was after each test."""

import json

import pytest
from safetensors.torch import load_file
from workspace import DATA_STAGES, STAGES

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


def test_v2_and_v3_differ_in_every_line_of_the_diff_and_lack_none(smoke, v2):
    shown = smoke.dvc("metrics", "diff", "--all", "v2", "smoke", "--json")
    assert shown.returncode == 0, shown.stdout
    found = json.loads(shown.stdout)
    assert {"metrics/eval.json", "metrics/calibrate.json", "metrics/train/strong.json"} <= set(found)
    for file, rows in found.items():
        for key, row in rows.items():
            assert row["old"] is not None and row["new"] is not None, f"{file}: {key}"
    assert smoke.dvc("exp", "show").returncode == 0


def test_the_figures_of_two_experiments_are_written_side_by_side(smoke, v2):
    assert smoke.python("-m", "scripts.compare", "v2", "smoke").returncode == 0
    drawn = [(smoke.path / f"docs/figures/{name}-frontier.png").read_bytes() for name in ("v2", "smoke")]
    assert all(figure.startswith(b"\x89PNG") for figure in drawn) and drawn[0] != drawn[1]
    smoke.run("git", "checkout", "--quiet", "HEAD", "--", "docs")


def test_the_ablation_compares_experiments_in_temporary_folders(smoke, v2):
    before, committed = smoke.hashes(), (smoke.path / "metrics/ablation.json").read_text()
    done = smoke.python("-m", "scripts.ablation", "threshold", "strong", "--jobs", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    found = smoke.json("metrics/ablation.json")
    assert list(found["experiments"]) == ["strong", "threshold"]
    for name, unchanged in (("strong", "B"), ("threshold", "AB")):
        policies = found["experiments"][name]["policies"]
        assert list(policies) == list("ABCDEFGHS")
        for policy in unchanged:
            assert policies[policy]["accuracy_effect_low"] == policies[policy]["accuracy_effect_high"] == 0
    report = smoke.report()
    assert "strong: strong model frozen, zero-shot" in report and "is not this run" not in report
    after = smoke.hashes()
    made = {"metrics/ablation.json", "reports/appendix.md", "reports/report.html", "reports/figures/ablation.png"}
    assert {name for name in after if after[name] != before.get(name)} <= made
    (smoke.path / "metrics/ablation.json").write_text(committed)
    assert smoke.dvc("repro").returncode == 0
    assert smoke.hashes() == before


def test_a_queued_experiment_ends_like_any_other(smoke, v2):
    before = smoke.hashes()
    for arguments in (("--queue", "-n", "queued", "-S", "configs/recipe/v3.yaml:threshold=fixed"), ("--run-all",)):
        done = smoke.dvc("exp", "run", *arguments)
        assert done.returncode == 0, done.stdout
    shown = smoke.dvc("metrics", "diff", "smoke", "queued", "--json")
    assert "metrics/calibrate.json" in json.loads(shown.stdout)
    assert smoke.hashes() == before
