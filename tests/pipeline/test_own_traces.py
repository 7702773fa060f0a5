"""A file of conversations in the shape that agent frameworks write, from import to report by docs/own-traces.md."""

import json
import re
import subprocess

import pytest
from places import ROOT
from workspace import Workspace

from specacts.core.episodes import load_episodes
from specacts.traces.tool_types import load_type_map

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DOCUMENT = (ROOT / "docs/own-traces.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()]


def shell(workspace: Workspace, command: str) -> subprocess.CompletedProcess:
    return workspace.run("bash", "-c", command)


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What each command of the document printed."""
    return {}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, said) -> Workspace:
    """A copy in which every command of the document has run, in its order."""
    made = Workspace(tmp_path_factory.mktemp("own"))
    for command in COMMANDS:
        done = shell(made, command)
        said[command] = done.stdout
        assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}"
    return made


def test_the_document_goes_from_checking_to_a_run(workspace, said):
    kinds = [" ".join(command.split()[:2]) for command in said]
    assert kinds == ["specacts validate", "specacts types", "specacts use", "dvc exp", "specacts inspect"]
    assert "72 valid" in said[COMMANDS[0]]
    draft = (workspace.path / "configs/action_types/mine.yaml").read_text(encoding="utf-8")
    for line in re.findall(r"^ *\w+: .*   # .*$", DOCUMENT, re.MULTILINE):
        assert line in draft
    assert "tokens a conversation: median" in said[COMMANDS[-1]] and "<jupyter_code>" in said[COMMANDS[-1]]


def test_the_run_is_about_these_traces_and_no_others(workspace):
    for split in ("train", "calibrate", "test"):
        episodes = load_episodes(workspace.path / f"data/split/{split}.jsonl")
        assert episodes and {episode.source for episode in episodes} == {"own"}
    found = workspace.json("metrics/ingest.json")
    assert found["conversations"] == 72 and found["left_out"]["failed"] == 3 and found["undecided_texts"] == 2
    assert found["typed_by"]["mapping"] > 300 and found["typed_by"]["repair"] > 30
    data = workspace.json("metrics/data.json")
    assert data["total"]["episodes"] == found["taken"] and data["contamination"]["ngram"] == 13
    assert not any(data[split]["decisions_by_type"]["BLOCKED"] == 0 for split in ("train", "test"))


def test_the_expensive_model_is_the_agent_that_wrote_them(workspace):
    """Right by definition, paid for in money, never asked: no policy in which it judges, no FLOPs, no training."""
    found = workspace.json("metrics/eval.json")
    assert set("ABFS") <= set(found["policies"]) and "C" not in found["policies"] and found["level"] == "call"
    assert found["policies"]["A"]["call_accuracy_low"] == 1 and found["rules"].keys() >= {"exact", "text"}
    assert {key.removesuffix("_low").removesuffix("_high") for key in found["policies"]["B"]["cost"]} == {
        "money",
        "upstream",
    }
    assert {path.name for path in (workspace.path / "models/strong").iterdir()} == {"recorded.txt"}
    assert {path.name for path in (workspace.path / "models/base/strong").iterdir()} == {"recorded.txt"}
    assert workspace.json("metrics/train/strong.json")["steps"] == 0
    assert "strong" not in workspace.json("metrics/assets.json")["roles"]
    answers = workspace.json("metrics/answer.json")
    assert answers["with_usage"] == 0 and answers["context_tokens"]["strong"] > 2 * answers["context_tokens"]["cheap"]
    assert workspace.json("metrics/live.json")["policies"] == {}


def test_the_report_tells_of_them(workspace):
    report = workspace.report()
    assert "### Your own traces" in report and "Of 72 conversations" in report and "secrets were redacted" in report
    assert "At work on the simulators" not in report and "What each change of the recipe does" not in report
    assert "### How arguments are compared" in report and "compared by your rules" in report
    assert "your agent" in report and "FLOPs and seconds are not compared" in report


def test_few_conversations_are_for_promises_and_not_for_a_verifier(workspace, said):
    assert "No verifier is trained; its groups are kept for promises (recipe: recorded-small" in said[COMMANDS[2]]
    assert "Groups for calibration, and how many" in said[COMMANDS[3]]  # from the stage `split`
    data = workspace.json("metrics/data.json")
    assert data["verify"]["episodes"] == 0 and data["calibrate"]["groups"] > data["test"]["groups"]
    found = workspace.json("metrics/eval.json")
    assert not set("DEGH") & set(found["policies"]) and "verifier" not in found and "F" in found["guaranteed"]
    for folder in ("models/verifier", "models/base/verifier"):
        assert {path.name for path in (workspace.path / folder).iterdir()} == {"none.txt"}
    assert workspace.json("metrics/propose.json")["decisions"] == workspace.json("metrics/route.json")["decisions"] == 0
    assert set(workspace.json("data/answers/models.json")) == {"cheap"}
    report = workspace.report()
    assert "No verifier was trained either" in report and "Is the verifier worth its cost" not in report


def test_a_budget_in_flops_or_a_promise_for_c_is_refused_in_one_line_and_nothing_is_lost(workspace):
    before = workspace.hashes()
    params = workspace.text("params.yaml")
    for setting, said in (
        ("cost.model=flops", "cost.model: 'flops' cannot be counted"),
        ("acceptance.policies=[C]", "C lets"),
    ):
        done = workspace.dvc("exp", "run", "-S", setting)
        assert done.returncode != 0 and f"error: params.yaml: {setting.partition('=')[0]}: " in done.stdout
        assert said in done.stdout and "Traceback" not in done.stdout and workspace.hashes() == before
        (workspace.path / "params.yaml").write_text(params, encoding="utf-8")


def test_no_planted_secret_is_anywhere_but_in_the_users_file(workspace, said):
    example = (workspace.path / "examples/helpdesk.jsonl").read_text(encoding="utf-8")
    given = re.findall(r"password: ([\w-]+)|api_key=(\w+)", example)
    secrets = {a or b for a, b in given}
    assert len(secrets) == 2
    texts = {command: text for command, text in said.items()}
    for folder in ("data", "models", "metrics", "reports", ".work/locks", ".dvc/tmp"):
        for path in (workspace.path / folder).rglob("*"):
            if path.is_file() and path.stat().st_size < 5_000_000:
                texts[str(path)] = path.read_bytes().decode("utf-8", "replace")
    for secret in secrets:
        assert [name for name, text in texts.items() if secret in text] == []


def test_a_second_run_does_nothing_and_a_new_line_is_noticed(workspace):
    assert workspace.ran(workspace.dvc("repro").stdout) == []
    path = workspace.path / "examples/helpdesk.jsonl"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text + '{"messages": [{"role": "robot"}]}\n', encoding="utf-8")
        before = workspace.hashes()
        done = workspace.dvc("repro")
        assert done.returncode != 0 and workspace.ran(done.stdout) == ["ingest"]
        assert "examples/helpdesk.jsonl:73: messages.0.role: 'robot' is not one of 'system'" in done.stdout
        assert "error: examples/helpdesk.jsonl: 1 problem in 1 of 73 conversations" in done.stdout
        assert "Traceback" not in done.stdout and workspace.hashes() == before
        skipping = shell(workspace, "specacts use examples/helpdesk.jsonl --skip-invalid")
        assert skipping.returncode == 0
        done = workspace.dvc("repro", "ingest")
        assert done.returncode == 0, done.stdout
        (reject,) = (workspace.path / "data/own/rejects.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(reject)["line"] == '{"messages": [{"role": "robot"}]}'
    finally:
        path.write_text(text, encoding="utf-8")


def test_own_traces_and_bfcls_can_be_mixed(workspace):
    assert shell(workspace, "specacts use examples/helpdesk.jsonl --mix").returncode == 0
    done = workspace.dvc("repro", "split")
    assert done.returncode == 0, done.stdout
    episodes = load_episodes(workspace.path / "data/split/train.jsonl")
    assert {episode.source for episode in episodes} >= {"own", "multi_turn_base"}


def test_with_a_verifier_train_and_test_are_the_same_and_its_policies_are_there(workspace):
    kept = ("models/cheap/adapter_model.safetensors", "data/split/test.jsonl")
    assert shell(workspace, "specacts use examples/helpdesk.jsonl").returncode == 0
    assert workspace.dvc("repro", "train@cheap").returncode == 0
    before = {name: (workspace.path / name).read_bytes() for name in kept}
    assert shell(workspace, "specacts use examples/helpdesk.jsonl --verifier").returncode == 0
    done = workspace.dvc("repro", "evaluate")
    assert done.returncode == 0, done.stdout[-5000:]
    assert {name: (workspace.path / name).read_bytes() for name in kept} == before
    assert "train@cheap" not in workspace.ran(done.stdout)
    assert set("ABDEFGH") <= set(workspace.json("metrics/eval.json")["policies"])
    assert workspace.json("metrics/data.json")["verify"]["episodes"] > 0


def test_the_mapping_that_ships_is_a_reviewed_draft(workspace):
    mine = load_type_map(workspace.path / "configs/action_types/mine.yaml").names
    shipped = load_type_map(ROOT / "configs/action_types/helpdesk.yaml").names
    assert {name for name in mine if mine[name] != shipped[name]} == {"list_notes"}
