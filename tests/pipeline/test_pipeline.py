"""The smoke scale through the real `dvc`, in a copy of the working tree whose path holds a space.

One pipeline run is shared; the tests go on from it in their order, each leaving the workspace as it was.
Nobody's Git identity, home folder or outputs are touched.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml
from places import ROOT
from safetensors.torch import load_file
from workspace import Workspace

from specacts.answering.ask import judge, likelihood, read
from specacts.answering.records import Candidate
from specacts.config import load_config
from specacts.core.episodes import decisions, load_episodes
from specacts.models.load import load_model
from specacts.policies.decide import TIE
from specacts.transcripts.render import load_renderer

STAGES = ["check", "fetch", "collect", "split", "train@cheap", "train@strong", "propose", "train-verifier"]
STAGES += ["answer", "effects", "route", "calibrate", "evaluate", "live", "report"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """The copy after one run of the smoke scale, as an experiment."""
    made = Workspace(tmp_path_factory.mktemp("pipeline") / "work space", tmp_path_factory.mktemp("home"))
    script = [str(ROOT / "scripts/copy_workspace.sh"), str(made.path)]
    subprocess.run(script, env=made.environment, check=True)
    done = made.dvc("exp", "run", "-n", "smoke", "-S", "scale=smoke")
    assert done.returncode == 0, done.stdout[-5000:]
    return made


@pytest.fixture
def unharmed(workspace) -> Iterator[Workspace]:
    """The workspace; after the test its outputs must be what they were, and its configuration is put back."""
    before = workspace.hashes()
    files = [workspace.path / name for name in ("params.yaml", "configs/scale/smoke.yaml", "configs/recipe/v3.yaml")]
    texts = [file.read_text() for file in files]
    yield workspace
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    assert workspace.hashes() == before


def edit(workspace: Workspace, changes: dict[str, str]) -> None:
    path = workspace.path / "params.yaml"
    text = path.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)


def test_a_run_ends_with_every_policy_compared(workspace):
    found = workspace.json("metrics/eval.json")
    assert found["decisions"] > 0 and found["groups"] > 0
    assert list(found["policies"]) == list("ABCDEFGH")
    for policy in found["policies"].values():
        for level in ("type", "tool", "call"):
            low, value, high = (policy[f"{level}_accuracy{end}"] for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1
        assert {"flops", "seconds", "upstream"} <= set(policy["cost"])
    assert found["policies"]["A"]["cost"]["flops"] == 1
    for name in "CDEFGH":
        assert 0 <= found["policies"][name]["accept_rate"] <= 1
        assert {"type_accuracy", "type_accuracy_low", "type_accuracy_high"} <= set(found["paired"][f"{name}_minus_A"])
    assert {"auroc", "auroc_low", "auroc_high"} <= set(found["verifier"])
    assert {"majority", "random", "random_accept_D", "oracle", "oracle_routes"} <= set(found["baselines"])


def test_a_run_leaves_a_report_with_its_figures(workspace):
    report = (workspace.path / "reports/report.md").read_text()
    assert report.startswith("# ") and "smoke" in report
    for name in ("frontier", "confusion", "training_loss", "accept_rate"):
        assert (workspace.path / f"reports/figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{name}.png" in report
    shown = subprocess.run(
        [sys.executable, "scripts/show.py"], cwd=workspace.path, capture_output=True, text=True, check=True
    )
    assert "always the strong model" in shown.stdout and "reports/report.md" in shown.stdout


def test_an_adapter_is_safetensors_with_a_card_and_no_pickle(workspace):
    for role in ("cheap", "verifier", "strong"):
        names = {path.name for path in (workspace.path / "models" / role).iterdir()}
        assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}


@pytest.mark.parametrize("role", ["cheap", "verifier", "strong"])
def test_trained_models_score_alike_one_decision_at_a_time_and_side_by_side(workspace, role):
    """On the weights and traces of the run. Windows beside each other change nothing at all; a decision that is read
    without what follows it differs by rounding, which a threshold overlooks (policies.TIE)."""
    config = load_config(workspace.path)
    base, adapter = workspace.path / "models/base" / role, workspace.path / "models" / role
    renderer = load_renderer(base, config.scale.render)
    model = load_model(base, adapter, "cpu", "float32")
    episodes = load_episodes(workspace.path / "data/split/test.jsonl")[:4]
    windows = [window for episode in episodes for window in renderer.windows(episode)]
    golds = [due.gold for episode in episodes for due in decisions(episode)]
    row = [[Candidate(text="", action=a, confidence=0.5, logprob=0.0, tokens=1, seconds=0.0)] for a in golds]
    judges = (lambda r, c: likelihood(r, renderer, c, "type"), lambda r, c: judge(r, renderer, c, True))
    beside = [judged(read(model, windows), row) for judged in judges]
    for judged, together in zip(judges, beside, strict=True):  # window by window: the very same numbers
        start = 0
        for window in windows:
            end = start + len(window.points)
            scores = [[v.score for v in verdicts] for verdicts in judged(read(model, [window]), row[start:end])]
            assert scores == [[v.score for v in verdicts] for verdicts in together[start:end]]
            start = end
    alone = [read(model, [window._replace(points=[point])]) for window in windows for point in window.points]
    for number, reading in enumerate(alone):
        for judged, together in zip(judges, beside, strict=True):
            ((found,),) = judged(reading, [row[number]])
            assert abs(found.score - together[number][0].score) <= TIE * min(found.score, 1 - found.score)


def test_dvc_shows_metrics_and_plots(workspace):
    shown = workspace.dvc("metrics", "show", "--json")
    assert shown.returncode == 0
    assert '"type_accuracy"' in shown.stdout and "metrics/train/strong.json" in shown.stdout
    plots = workspace.dvc("plots", "show", "--json", "-o", "dvc_plots")
    assert plots.returncode == 0, plots.stdout
    for name in ("training loss", "reports/plots/frontier.csv", "reports/figures/confusion.png"):
        assert name in plots.stdout


def test_nothing_changed_reruns_nothing(unharmed):
    done = unharmed.dvc("repro")
    assert done.returncode == 0 and unharmed.ran(done.stdout) == []
    assert all(f"Stage '{name}' didn't change" in done.stdout for name in STAGES)
    assert unharmed.dvc("status").stdout.strip() == "Data and pipelines are up to date."


def changed(workspace: Workspace) -> set[str]:
    """The stages whose own dependencies or parameters differ from the latest run's."""
    return set(json.loads(workspace.dvc("status", "--json").stdout))


def followers(workspace: Workspace, stages: set[str]) -> set[str]:
    """The stages and all that come after them in dvc's graph."""
    edges = [line.strip().strip(";").replace('"', "") for line in workspace.dvc("dag", "--dot").stdout.splitlines()]
    pairs = [tuple(edge.split(" -> ")) for edge in edges if " -> " in edge]
    reached = set(stages)
    while more := {after for before, after in pairs if before in reached} - reached:
        reached |= more
    return reached


def test_a_lora_change_reruns_the_trainings_and_what_follows_and_never_the_data(unharmed):
    edit(unharmed, {"  r: 16": "  r: 8"})
    found = changed(unharmed)
    assert found == {"check", "train@cheap", "train@strong", "train-verifier"}
    assert followers(unharmed, found - {"check"}) == set(STAGES) - {"check", "fetch", "collect", "split"}
    # `check` says yes or no and writes the same either way: nothing reruns because of it
    assert unharmed.dvc("repro", "check").returncode == 0
    assert changed(unharmed) == found - {"check"}


@pytest.mark.parametrize(
    ("field", "value", "stages"),
    [
        ("strong: epochs", "0.6", {"check", "train@strong"}),
        ("cheap: learning_rate", "0.001", {"check", "train@cheap"}),
        ("answer: calibrate_episodes", "5", {"check", "answer"}),
        ("live: steps", "3", {"check", "live"}),
        ("answer: verify_episodes", "5", {"check", "propose"}),
        ("bootstrap", "150", {"check", "evaluate", "live"}),
        ("split: train", "0.4000000000001", {"check", "split"}),
        ("data: tasks", "12", {"check", "collect"}),
    ],
)
def test_a_change_of_scale_is_noticed_where_it_matters_and_nowhere_else(unharmed, field, value, stages):
    path = unharmed.path / "configs/scale/smoke.yaml"
    content = yaml.safe_load(path.read_text())
    *parents, last = field.split(": ")
    inner = content
    for parent in parents:
        inner = inner[parent]
    inner[last] = yaml.safe_load(value)
    path.write_text(yaml.safe_dump(content))
    assert changed(unharmed) == stages


def test_an_acceptance_change_replays_the_recorded_answers_only(workspace):
    before = workspace.hashes()
    done = workspace.dvc("exp", "run", "-S", "acceptance.max_relative_cost=0.7")
    assert done.returncode == 0, done.stdout
    assert set(workspace.ran(done.stdout)) <= {
        "check",
        "calibrate",
        "evaluate",
        "live",
        "report",
    }  # live: new thresholds
    assert "calibrate" in workspace.ran(done.stdout)
    back = workspace.dvc("exp", "run", "-S", "acceptance.max_relative_cost=1.0")
    assert back.returncode == 0, back.stdout
    assert workspace.hashes() == before


def test_a_risk_reruns_calibrate_evaluate_and_report_and_its_promise_is_in_the_report(workspace):
    before = workspace.hashes()
    by_type = "+acceptance.risk_by_type={file_write: 0, retrieval: 0.95}"
    few = ("-S", "acceptance.confidence=0.5", "-S", "acceptance.policies=[F,G]")
    done = workspace.dvc("exp", "run", "-S", "acceptance.risk=0.9", "-S", by_type, *few)
    assert done.returncode == 0, done.stdout
    assert set(workspace.ran(done.stdout)) == {"check", "calibrate", "evaluate", "report"}
    asked = workspace.json("data/promise.json")["asked"]
    assert asked["risk"] == 0.9 and asked["by_type"] == {"file_write": 0, "retrieval": 0.95}
    assert asked["policies"]["F"]["file_write"] > 1 and asked["policies"]["G"] > 1
    assert "**Asked for** (`acceptance.risk`): at most 90 points" in (workspace.path / "reports/report.md").read_text()
    back = workspace.dvc("exp", "apply", "smoke")
    assert back.returncode == 0, back.stdout
    assert workspace.hashes() == before


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("acceptance.risk=0.001", "acceptance.risk: 0.001 cannot be promised"),
        ("acceptance.risk=1.5", "acceptance.risk: Input should be less than 1"),
        ("acceptance.confidence=0", "acceptance.confidence: Input should be greater than 0"),
        ("acceptance.policies=[H]", "acceptance.policies.0: "),
        ("+acceptance.risk_by_type.file_wrote=0.1", "acceptance.risk_by_type.file_wrote"),
        ("cost.prices=mine", "configs/prices/mine.yaml"),
    ],
)
def test_a_promise_that_cannot_be_made_is_refused_and_nothing_is_overwritten(unharmed, setting, reason):
    done = unharmed.dvc("exp", "run", "-S", setting)
    assert done.returncode != 0 and reason in done.stdout and "Traceback" not in done.stdout, done.stdout


def test_policies_ran_live_and_left_their_transcripts(workspace):
    found = workspace.json("metrics/live.json")
    assert list(found["policies"]) == ["A", "B", "D", "other"]
    for entry in found["policies"].values():
        assert 0 <= entry["turn_success_low"] <= entry["turn_success"] <= entry["turn_success_high"] <= 1
    lines = [json.loads(line) for line in (workspace.path / "data/live.jsonl").read_text().splitlines()]
    assert len(lines) == 4 * found["episodes"] and all(line["steps"][0]["role"] == "user" for line in lines)


@pytest.mark.parametrize(
    ("switch", "stages"),
    [
        ("format: mismatched", {"train@cheap", "train@strong", "train-verifier", "propose", "answer", "live"}),
        ("strong: frozen", {"train@strong", "answer", "live"}),
        ("  objective: reward", {"train-verifier", "answer", "calibrate", "evaluate", "live"}),
        ("  negatives: synthetic", {"train-verifier", "answer", "live"}),
        ("threshold: fixed", {"calibrate"}),
    ],
)
def test_each_change_of_v3_can_be_undone_by_one_key(unharmed, switch, stages):
    path = unharmed.path / "configs/recipe/v3.yaml"
    key = switch.partition(":")[0]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(f"{switch}\n" if line.startswith(f"{key}:") else line for line in lines))
    assert changed(unharmed) == {"check", "report", *stages}


@pytest.fixture(scope="module")
def v2(workspace) -> set[str]:
    """The stages that recipe v2 ran, as an experiment of its own; the workspace is v3's again afterwards."""
    before = workspace.hashes()
    done = workspace.dvc("exp", "run", "-n", "v2", "-S", "recipe=v2")
    assert done.returncode == 0, done.stdout[-5000:]
    frozen = {path.name for path in (workspace.path / "models/strong").iterdir()}
    assert frozen == {"README.md"}
    assert workspace.json("metrics/train/strong.json")["steps"] == 0
    assert "recipe `v2`" in (workspace.path / "reports/report.md").read_text()
    assert any(
        "score.weight" in name for name in load_file(workspace.path / "models/verifier/adapter_model.safetensors")
    )
    drawn = workspace.dvc("plots", "diff", "smoke", "v2", "--json", "-o", "dvc_plots")
    assert drawn.returncode == 0, drawn.stdout
    back = workspace.dvc("exp", "apply", "smoke")
    assert back.returncode == 0, back.stdout
    assert workspace.hashes() == before
    return set(workspace.ran(done.stdout))


def test_v2_reruns_what_the_recipe_changes_and_no_data_stage(v2):
    untouched = {"fetch", "collect", "split"}
    assert v2 == set(STAGES) - untouched


def test_v2_and_v3_differ_in_every_line_of_the_diff_and_lack_none(workspace, v2):
    shown = workspace.dvc("metrics", "diff", "--all", "v2", "smoke", "--json")
    assert shown.returncode == 0, shown.stdout
    found = json.loads(shown.stdout)
    assert {"metrics/eval.json", "metrics/calibrate.json", "metrics/train/strong.json"} <= set(found)
    for file, rows in found.items():
        for key, row in rows.items():
            assert row["old"] is not None and row["new"] is not None, f"{file}: {key}"
    assert workspace.dvc("exp", "show").returncode == 0


def test_the_ablation_compares_experiments_in_temporary_folders(workspace, v2):
    before, committed = workspace.hashes(), (workspace.path / "metrics/ablation.json").read_text()
    done = workspace.python("-m", "scripts.ablation", "threshold", "objective", "strong", "--jobs", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    found = workspace.json("metrics/ablation.json")
    assert list(found["experiments"]) == ["strong", "objective", "threshold"]
    for name, unchanged in (("strong", "B"), ("objective", "ABC"), ("threshold", "AB")):
        policies = found["experiments"][name]["policies"]
        assert list(policies) == list("ABCDEFGH")
        for policy in unchanged:
            assert policies[policy]["accuracy_effect_low"] == policies[policy]["accuracy_effect_high"] == 0
    report = (workspace.path / "reports/report.md").read_text()
    assert "strong: strong model frozen, zero-shot" in report and "is not this run" not in report
    after = workspace.hashes()
    made = {"metrics/ablation.json", "reports/report.md", "reports/figures/ablation.png"}
    assert {name for name in after if after[name] != before.get(name)} <= made
    (workspace.path / "metrics/ablation.json").write_text(committed)
    assert workspace.dvc("repro").returncode == 0
    assert workspace.hashes() == before


def test_a_queued_experiment_ends_like_any_other(workspace, v2):
    before = workspace.hashes()
    for arguments in (("--queue", "-n", "queued", "-S", "configs/recipe/v3.yaml:threshold=fixed"), ("--run-all",)):
        done = workspace.dvc("exp", "run", *arguments)
        assert done.returncode == 0, done.stdout
    shown = workspace.dvc("metrics", "diff", "smoke", "queued", "--json")
    assert "metrics/calibrate.json" in json.loads(shown.stdout)
    assert workspace.hashes() == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-S", "recipe=v4"), "configs/recipe/v4.yaml"),
        (("-S", "configs/recipe/v3.yaml:verifyer.objective=reward"), "verifyer"),
        (("-S", "configs/recipe/v3.yaml:verifier.objective=guess"), "configs/recipe/v3.yaml: verifier.objective: "),
    ],
)
def test_a_recipe_that_is_none_is_refused_and_nothing_is_lost(unharmed, arguments, reason):
    done = unharmed.dvc("exp", "run", *arguments)
    assert done.returncode != 0 and reason in done.stdout and "Traceback" not in done.stdout, done.stdout


def test_a_verifier_of_the_wrong_kind_is_one_clear_line(unharmed):
    """As after a training that somebody skipped: the recipe asks for a reward model and there is none."""
    path = unharmed.path / "configs/recipe/v3.yaml"
    path.write_text(path.read_text().replace("objective: verdict", "objective: reward"))
    done = unharmed.python("-m", "stages.answer")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "error: models/verifier: " in done.stdout and "verifier.objective asks for a reward model" in done.stdout


@pytest.mark.parametrize("changes", [{"  r: 16": "  r: 0"}, {"  r: 16": "  rank: 16"}])
def test_a_wrong_configuration_stops_before_anything_is_lost(unharmed, changes):
    edit(unharmed, changes)
    done = unharmed.dvc("repro")
    assert done.returncode != 0
    assert "error: params.yaml: lora.r" in done.stdout and "Traceback" not in done.stdout
    assert unharmed.ran(done.stdout) == ["check"]


def test_a_scale_that_is_not_there_is_refused(unharmed):
    done = unharmed.dvc("exp", "run", "-S", "scale=gigantic")
    assert done.returncode != 0 and "configs/scale/gigantic.yaml" in done.stdout


def test_a_damaged_download_that_cannot_be_replaced_is_one_clear_line(unharmed):
    (wheel,) = (unharmed.path / ".work/wheels").glob("bfcl-eval-*.whl")
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-1000])
    try:
        done = unharmed.dvc("repro", "--single-item", "--force", "fetch", PIP_NO_INDEX="1")
    finally:
        wheel.write_bytes(whole)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "configs/scale/smoke.yaml: traces: pip could not download bfcl-eval==" in done.stdout


def test_a_training_repeated_gives_the_same_bytes(workspace):
    before = workspace.hashes()
    done = workspace.dvc("repro", "--single-item", "--force", "train@cheap")
    assert done.returncode == 0, done.stdout
    after = workspace.hashes()
    assert {name for name in after if after[name] != before.get(name)} <= {"metrics/train/cheap.json"}  # seconds
    assert set(after) == set(before)


def test_proposing_again_gives_the_same_bytes_and_trains_no_verifier_again(workspace):
    before = workspace.hashes()
    done = workspace.dvc("repro", "--single-item", "--force", "propose")
    assert done.returncode == 0, done.stdout
    assert workspace.hashes() == before
    assert "train-verifier" not in changed(workspace)


def test_after_ctrl_c_the_next_run_ends_in_the_same_bytes(workspace):
    before = workspace.hashes()
    running = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", "--force", "train@strong"],
        cwd=workspace.path,
        env=workspace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C reaches dvc and the stage alike, as in a terminal, and not this test
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    seen = next(line for line in running.stdout if "'loss'" in line)  # in the middle of training
    os.killpg(running.pid, signal.SIGINT)
    output = seen + running.communicate(timeout=120)[0]
    assert running.returncode != 0
    # Rarely (once in a few dozen runs) the signal ends Python before it can say so; nothing else may differ then.
    said = "interrupted; nothing half-written was published" in output
    assert said or ("exited with -2" in output and "Traceback" not in output), output[-3000:]
    again = workspace.dvc("repro")
    assert again.returncode == 0, again.stdout
    after = workspace.hashes()
    timed = {"metrics/train/strong.json", "reports/report.md"}  # they tell the seconds a training took
    assert {name for name in after if after[name] != before.get(name)} <= timed
    assert set(after) == set(before)


def test_an_output_that_was_lost_comes_back_without_any_training(workspace):
    before = workspace.hashes()
    for path in (workspace.path / "models/strong").iterdir():
        path.unlink()
    (workspace.path / "models/strong").rmdir()
    done = workspace.dvc("checkout", "models/strong")
    assert done.returncode == 0, done.stdout
    assert workspace.hashes() == before
