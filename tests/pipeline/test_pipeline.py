"""The smoke scale through the real `dvc`, in a copy of the working tree whose path holds a space.

One pipeline run is shared (tests/conftest.py); each test leaves it as it was. What would run again is asked of
`dvc status`; it runs again only where bytes are looked at. Nobody's Git identity, home folder or outputs are touched.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from damage import flip
from workspace import DATA_STAGES, STAGES, Workspace

from specacts.answering.ask import judge, likelihood, read
from specacts.answering.records import Candidate
from specacts.config import load_config
from specacts.core.episodes import decisions, load_episodes
from specacts.models.load import load_model
from specacts.policies.decide import TIE
from specacts.recipe import asking_form, shows_confidence
from specacts.serving.bundle import load_bundle
from specacts.serving.export import PICKLES
from specacts.serving.prompt_format import examples, golden, program
from specacts.transcripts.render import load_renderer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_run_ends_with_every_policy_compared(smoke):
    found = smoke.json("metrics/eval.json")
    assert found["decisions"] > 0 and found["groups"] > 0
    assert list(found["policies"]) == list("ABCDEFGHS")
    for policy in found["policies"].values():
        for level in ("type", "tool", "call"):
            low, value, high = (policy[f"{level}_accuracy{end}"] for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1
        assert {"flops", "seconds", "upstream"} <= set(policy["cost"])
    assert found["policies"]["A"]["cost"]["flops"] == 1
    for name in "CDEFGHS":
        assert 0 <= found["policies"][name]["accept_rate"] <= 1
        assert {"type_accuracy", "type_accuracy_low", "type_accuracy_high"} <= set(found["paired"][f"{name}_minus_A"])
    assert {"auroc", "auroc_low", "auroc_high"} <= set(found["verifier"])
    assert {"majority", "random", "random_accept_D", "oracle", "oracle_routes"} <= set(found["baselines"])


def test_a_run_leaves_a_report_with_its_figures(smoke):
    report = smoke.report()
    assert report.startswith("# ") and "smoke" in report and len(smoke.text("reports/report.md").splitlines()) <= 60
    assert smoke.text("reports/report.html").count("data:image/png;base64,") == report.count("![")
    for name in ("frontier", "confusion", "training_loss", "accept_rate"):
        assert (smoke.path / f"reports/figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{name}.png" in report


def test_an_adapter_is_safetensors_and_no_pickle_and_has_a_card(smoke):
    for role in ("cheap", "verifier", "strong"):
        names = {path.name for path in (smoke.path / "models" / role).iterdir()}
        assert names == {"adapter_config.json", "adapter_model.safetensors"}
        card = smoke.text(f"reports/cards/{role}.md")
        assert card.startswith("---\n") and f"specacts: {role} adapter" in card


@pytest.mark.parametrize("role", ["cheap", "verifier", "strong"])
def test_trained_models_score_alike_one_decision_at_a_time_and_side_by_side(smoke, role):
    """On the weights and traces of the run. Windows beside each other change nothing at all; a decision that is read
    without what follows it differs by rounding, which a threshold overlooks (policies.TIE)."""
    config = load_config(smoke.path)
    base, adapter = smoke.path / "models/base" / role, smoke.path / "models" / role
    renderer = load_renderer(base, config.scale.rendering(role))
    model = load_model(base, adapter, "cpu", "float32")
    episodes = load_episodes(smoke.path / "data/split/test.jsonl")[:2]
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


def test_dvc_shows_metrics_and_plots(smoke):
    shown = smoke.dvc("metrics", "show", "--json")
    assert shown.returncode == 0
    assert '"from_cheap"' in shown.stdout and "metrics/overview.json" in shown.stdout
    plots = smoke.dvc("plots", "show", "--json", "-o", "dvc_plots")
    assert plots.returncode == 0, plots.stdout
    for name in ("training loss", "reports/plots/frontier.csv", "reports/figures/confusion.png"):
        assert name in plots.stdout


def test_nothing_changed_reruns_nothing(unharmed):
    done = unharmed.dvc("repro")
    assert done.returncode == 0 and unharmed.ran(done.stdout) == []
    assert all(f"Stage '{name}' didn't change" in done.stdout for name in STAGES)
    assert unharmed.dvc("status").stdout.strip() == "Data and pipelines are up to date."


def followers(smoke: Workspace, stages: set[str]) -> set[str]:
    """The stages and all that come after them in dvc's graph."""
    edges = [line.strip().strip(";").replace('"', "") for line in smoke.dvc("dag", "--dot").stdout.splitlines()]
    pairs = [tuple(edge.split(" -> ")) for edge in edges if " -> " in edge]
    reached = set(stages)
    while more := {after for before, after in pairs if before in reached} - reached:
        reached |= more
    return reached


def test_a_lora_change_reruns_the_trainings_and_what_follows_and_never_the_data(unharmed):
    unharmed.replace("params.yaml", {"  r: 16": "  r: 8"})
    found = unharmed.changed()
    assert found == {"check", "train@cheap", "train@strong", "train-verifier", "report"}  # the cards tell it
    assert followers(unharmed, found - {"check"}) == STAGES - DATA_STAGES
    # `check` says yes or no and writes the same either way: nothing reruns because of it
    assert unharmed.dvc("repro", "check").returncode == 0
    assert unharmed.changed() == found - {"check"}


def test_a_key_of_the_scale_and_of_the_recipe_rerun_what_tracks_them(undone):
    """Of all others tests/repository/test_dvc_yaml.py reads it in dvc.yaml."""
    undone.replace("configs/scale/smoke.yaml", {"calibrate_episodes: 6": "calibrate_episodes: 5"})
    assert undone.changed() == {"check", "split", "answer", "report"}
    undone.replace("configs/recipe/v3.yaml", {"strong: fine_tuned": "strong: frozen"})
    assert undone.changed() == {"check", "split", "answer", "report", "train@strong", "live", "bundle"}


WORDS = [
    ("specacts/core/errors.py", r'"interrupted; ', '"that was that; '),
    ("specacts/transcripts/render.py", r'(UserError\(\s*f?")', r"\1oh dear: "),
    ("specacts/transcripts/render.py", r"\Z", "# the end\n"),
    ("specacts/report/report.py", r"\Z", "# the end\n"),
    ("stages/answer.py", r'(tqdm\([^"]*")', r"\1dear me: "),
]
"""Files, and what to put where: an error, a comment, a progress bar."""


def reworded(workspace: Workspace, name: str, pattern: str, words: str) -> None:
    text, count = re.subn(pattern, words, workspace.text(name), count=1)
    assert count == 1, f"{name} has no {pattern}"
    (workspace.path / name).write_text(text, encoding="utf-8")


@pytest.fixture
def recoded(undone) -> Iterator[Workspace]:
    """The finished run, to change code in; after the test the lists of modules are put back."""
    lock = undone.text("dvc.lock")
    yield undone
    (undone.path / "dvc.lock").write_text(lock)
    assert undone.dvc("checkout", "--force", "modules").returncode == 0


def rerun(workspace: Workspace) -> set[str]:
    """What would run because of changed code."""
    assert workspace.dvc("repro", "modules").returncode == 0
    return workspace.changed()


def test_words_to_people_rerun_nothing_and_a_cards_the_report(recoded):
    for file, pattern, words in WORDS:
        reworded(recoded, file, pattern, words)
    assert "modules" in recoded.changed() and rerun(recoded) == set()
    recoded.replace("specacts/report/templates/card.md.jinja", {"A LoRA adapter": "An adapter"})
    assert rerun(recoded) == {"report"}


def test_another_rendering_reruns_what_reads_transcripts_and_no_data_stage(recoded):
    reworded(recoded, "specacts/transcripts/render.py", r"\Z", "CHANGED = True\n")
    found = rerun(recoded)
    assert {"train@cheap", "train@strong", "propose", "train-verifier", "answer", "live"} <= found
    # `fetch` looks whether a base can write what its template asks of it, and ends with the same bases.
    assert not found & {*(DATA_STAGES - {"fetch"}), "route", "calibrate", "evaluate"}


def test_an_acceptance_change_replays_the_recorded_answers_only(undone):
    undone.replace("params.yaml", {"  max_relative_cost: 1.0": "  max_relative_cost: 0.7"})
    found = undone.changed()
    assert found == {"check", "calibrate", "bundle", "report"}
    replayed = {"calibrate", "evaluate", "live", "bundle", "report"}  # live: new thresholds
    assert followers(undone, found - {"check"}) == replayed


def test_a_risk_reruns_calibrate_bundle_evaluate_and_report_and_its_promise_is_in_the_report(smoke):
    before = smoke.hashes()
    by_type = "+acceptance.risk_by_type={file_write: 0, retrieval: 0.95}"
    few = ("-S", "acceptance.confidence=0.5", "-S", "acceptance.policies=[F,G]")
    few += ("-S", "acceptance.average_over=groups")  # six groups, of which five hold one decision
    done = smoke.dvc("exp", "run", "-S", "acceptance.risk=0.9", "-S", by_type, *few)
    assert done.returncode == 0, done.stdout
    assert set(smoke.ran(done.stdout)) == {"check", "calibrate", "bundle", "evaluate", "report"}
    asked = smoke.json("data/promise.json")["asked"]
    assert asked["risk"] == 0.9 and asked["by_type"] == {"file_write": 0, "retrieval": 0.95}
    assert asked["policies"]["F"]["file_write"] > 1 and asked["policies"]["G"] > 1
    assert "**Asked for** (`acceptance.risk`): at most 90 points" in smoke.report()
    bundle = load_bundle(smoke.path / "models")
    assert bundle.offer(None).risk == 0.9 and bundle.never_cheap == ("file_write",)
    assert smoke.dvc("exp", "apply", "smoke").returncode == 0
    assert smoke.hashes() == before


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("acceptance.risk=0.001", "acceptance.risk: 0.001 cannot be promised"),
        ("cost.prices=mine", "configs/prices/mine.yaml"),
    ],
)
def test_a_promise_that_cannot_be_made_is_refused_and_nothing_is_overwritten(unharmed, setting, reason):
    done = unharmed.dvc("exp", "run", "-S", setting)
    assert done.returncode != 0 and reason in done.stdout and "Traceback" not in done.stdout, done.stdout


def test_policies_ran_live_and_left_their_transcripts(smoke):
    found = smoke.json("metrics/live.json")
    assert list(found["policies"]) == ["A", "B", "D", "other"]
    for entry in found["policies"].values():
        assert 0 <= entry["turn_success_low"] <= entry["turn_success"] <= entry["turn_success_high"] <= 1
    lines = [json.loads(line) for line in (smoke.path / "data/live.jsonl").read_text().splitlines()]
    assert len(lines) == 4 * found["episodes"] and all(line["steps"][0]["role"] == "user" for line in lines)


def test_a_verifier_of_the_wrong_kind_is_one_clear_line(unharmed):
    """As after a training that somebody skipped: the recipe asks for a reward model and there is none."""
    path = unharmed.path / "configs/recipe/v3.yaml"
    path.write_text(path.read_text().replace("objective: verdict", "objective: reward"))
    done = unharmed.python("-m", "stages.answer")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "error: models/verifier: " in done.stdout and "verifier.objective asks for a reward model" in done.stdout


def test_a_wrong_configuration_stops_before_anything_is_lost(unharmed):
    """What is wrong about it is said by tests/test_config.py."""
    unharmed.replace("params.yaml", {"  r: 16": "  r: 0"})
    done = unharmed.dvc("repro")
    assert done.returncode != 0
    assert "error: params.yaml: lora.r" in done.stdout and "Traceback" not in done.stdout
    assert unharmed.ran(done.stdout) == ["check"]


@pytest.mark.parametrize(
    ("setting", "reason"), [("scale=gigantic", "configs/scale/gigantic.yaml"), ("recipe=v4", "configs/recipe/v4.yaml")]
)
def test_a_scale_or_recipe_that_is_not_there_is_refused_and_nothing_is_lost(unharmed, setting, reason):
    done = unharmed.dvc("exp", "run", "-S", setting)
    assert done.returncode != 0 and reason in done.stdout and "Traceback" not in done.stdout, done.stdout


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


def test_a_training_repeated_gives_the_same_bytes(smoke):
    before = smoke.hashes()
    done = smoke.dvc("repro", "--single-item", "--force", "train@cheap")
    assert done.returncode == 0, done.stdout
    after = smoke.hashes()
    assert {name for name in after if after[name] != before.get(name)} <= {"metrics/train/cheap.json"}  # seconds
    assert set(after) == set(before)


def test_proposing_again_gives_the_same_bytes_and_trains_no_verifier_again(smoke):
    before = smoke.hashes()
    done = smoke.dvc("repro", "--single-item", "--force", "propose")
    assert done.returncode == 0, done.stdout
    assert smoke.hashes() == before
    assert "train-verifier" not in smoke.changed()


def test_after_ctrl_c_the_next_run_ends_in_the_same_bytes(smoke):
    before = smoke.hashes()
    running = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", "--force", "train@strong"],
        cwd=smoke.path,
        env=smoke.environment,
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
    again = smoke.dvc("repro")
    assert again.returncode == 0, again.stdout
    after = smoke.hashes()
    timed = {
        "metrics/train/strong.json",
        "reports/appendix.md",
        "reports/report.html",
    }  # of seconds
    assert {name for name in after if after[name] != before.get(name)} <= timed
    assert set(after) == set(before)


def test_outputs_that_a_failed_run_cleared_come_back_without_any_training(smoke):
    before = smoke.hashes()
    shutil.rmtree(smoke.path / "models/strong")
    (smoke.path / "metrics/eval.json").unlink()
    done = smoke.python("-m", "specacts", "verify", "--repair")
    assert done.returncode == 0 and "restored as dvc.lock has them: models/strong, metrics/eval.json" in done.stdout
    assert smoke.hashes() == before


def test_a_damaged_model_is_refused_by_who_reads_it_and_comes_back(unharmed):
    flip(unharmed.path / "models/cheap/adapter_model.safetensors")
    done = unharmed.dvc("repro", "--single-item", "--force", "propose")
    assert done.returncode != 0 and "models/cheap/adapter_model.safetensors: damaged" in done.stdout
    mended = unharmed.python("-m", "specacts", "verify", "--repair")
    assert mended.returncode == 0 and "models/cheap/adapter_model.safetensors: not as dvc.lock has it" in mended.stdout


def test_a_runs_results_are_kept_beside_the_defaults_with_links_that_lead_somewhere(undone):
    kept = undone.path / "docs/results/smoke"
    undone.replace("params.yaml", {"confidence: 0.9": "confidence: 0.8"})
    refused = undone.python("-m", "scripts.keep", "smoke")
    assert refused.returncode == 1 and "not up to date" in refused.stdout and not kept.exists()
    undone.replace("params.yaml", {"confidence: 0.8": "confidence: 0.9"})
    done = undone.python("-m", "scripts.keep", "smoke")
    assert done.returncode == 0, done.stdout
    there = {str(path.relative_to(kept)) for path in kept.rglob("*")}
    assert {"metrics/eval.json", "metrics/train/cheap.json", "made.json"} <= there
    assert "metrics/seeds.json" not in there  # the default run's, which lies in metrics/ too
    for page in ("report.md", "appendix.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (kept / page).read_text(encoding="utf-8"))
        assert links and all((kept / link).exists() for link in links), page
    shutil.rmtree(kept.parent)


# -- the bundle -------------------------------------------------------------------------------------------------


def test_the_page_on_the_prompts_format_tells_how_to_make_what_the_models_read(smoke):
    bundle = load_bundle(smoke.path / "models")
    text = (bundle.folder / "prompt_format.md").read_text(encoding="utf-8")
    ran = smoke.python("-c", f"import os; os.chdir('models/policy')\n{program(text)}\nprint(context, proposals)")
    assert ran.returncode == 0, ran.stdout
    for role, found in examples(text).items():
        renderer = load_renderer(bundle.base(role), bundle.render[role], asking_form(bundle.recipe, role))
        judged = role == "verifier"
        assert found == golden(renderer, bundle.source, judged, shows_confidence(bundle.recipe))
        assert ran.stdout.split("\n")[0] == f"{found['context']} {found['proposals']}"


def test_another_repository_gets_a_released_bundle_and_the_models_that_it_names(smoke, tmp_path):
    """By the commands of docs/serve.md; the release is tagged without a commit of its own."""
    home, tag = tmp_path / "elsewhere", "policy@v1.0.0"
    home.mkdir()
    smoke.run("git", "tag", "-a", tag, "-m", "a release", smoke.run("git", "stash", "create").stdout.strip())
    done = smoke.dvc("artifacts", "get", str(smoke.path), "policy", "-o", str(home / "models/policy"))
    assert done.returncode == 0, done.stdout
    there = load_bundle(smoke.path / "models")
    for role, part in there.models.items():
        for name in (f"base/{role}", *([role] if part.adapter else [])):
            (home / f"models/{name}").parent.mkdir(exist_ok=True)
            got = smoke.dvc("get", "--rev", tag, str(smoke.path), f"models/{name}", "-o", str(home / f"models/{name}"))
            assert got.returncode == 0, got.stdout
    smoke.run("git", "tag", "--delete", tag)
    assert load_bundle(home / "models").offers == there.offers


def test_an_exported_bundle_is_read_wherever_it_lies_and_its_adapters_load_by_the_base_they_name(smoke, tmp_path):
    written, moved = tmp_path / "written", tmp_path / "moved there"
    done = smoke.python("-m", "specacts", "export", "-o", str(written), "--merged")
    assert done.returncode == 0, done.stdout
    again = smoke.python("-m", "specacts", "export", "-o", str(written))
    assert again.returncode == 1 and "not an empty folder" in again.stdout
    written.rename(moved)
    there, here = load_bundle(moved), load_bundle(smoke.path / "models")
    assert there.model_copy(update={"models": {}}).at(here.folder) == here.model_copy(update={"models": {}})
    for path in moved.rglob("*"):
        assert not path.is_symlink() and path.suffix not in PICKLES
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
