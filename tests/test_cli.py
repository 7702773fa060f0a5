"""The commands: what they print, what they write, and how they end."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from places import ROOT, copy_configuration
from toys import compact_tokenizer, llama, save_base

from specacts.cli import main
from specacts.config import load_config
from specacts.core.comparison import Rule
from specacts.traces.tool_types import load_type_map

EXAMPLE = ROOT / "examples/helpdesk.jsonl"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with the configuration and the example; its path holds a space."""
    folder = copy_configuration(tmp_path / "work space")
    shutil.copytree(ROOT / "examples", folder / "examples")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line: its exit code, stdout and stderr."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["specacts", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return ran


def bad_file(path: Path) -> Path:
    good = EXAMPLE.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([good[0], '{"messages": [{"role": "x"}], "success": 7}', good[1]]) + "\n")
    return path


@pytest.mark.parametrize(
    "command", [[], ["validate"], ["inspect"], ["types"], ["types", "suggest"], ["use"]], ids=" ".join
)
def test_every_command_explains_itself(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0 and "Usage: specacts" in out
    if command and command != ["types"]:
        assert f"Example: specacts {' '.join(command)}" in out and "Exit codes: 0 fine; 1 " in out


def test_a_wrong_command_line_ends_with_2(run):
    code, _, err = run("validate")
    assert code == 2 and "TRACES" in err


def test_a_valid_file_is_valid(here, run):
    code, out, _ = run("validate", "examples/helpdesk.jsonl")
    assert code == 0 and out.endswith("72 conversations: 72 valid, 0 duplicate, 0 invalid with 0 problems\n")


def test_all_problems_are_printed_with_file_line_and_field(here, run):
    bad_file(here / "bad.jsonl")
    code, out, _ = run("validate", "bad.jsonl")
    lines = out.splitlines()
    assert code == 1 and lines[0] == "bad.jsonl: OpenAI chat"
    assert lines[1].startswith("bad.jsonl:2: messages.0.role: ") and " is not one of 'system', " in lines[1]
    assert lines[2].startswith("bad.jsonl:2: success: ")
    assert lines[3] == "3 conversations: 2 valid, 0 duplicate, 1 invalid with 2 problems"
    assert run("validate", "bad.jsonl", "--skip-invalid")[0] == 0


def test_of_a_gateways_logs_it_is_said_in_how_many_upstream_alone_acted(here, run):
    chats = [{"messages": [{"role": "user", "content": f"Pay {n}."}]} for n in range(3)]
    answer = {"choices": [{"message": {"role": "assistant", "content": "Paid."}}]}
    about: list[dict[str, bool]] = [{"alone": True}, {"alone": False}, {"alone": False, "audit": True}]
    rows = [{"request": chat, "response": answer, "specacts": how} for chat, how in zip(chats, about, strict=True)]
    (here / "logs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = run("validate", "logs.jsonl")[1]
    assert "2 conversations come from `specacts serve`; in 1 of them upstream alone acted; from the others" in out
    assert "1 audited actions" in out
    (here / "logs.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert "in 1 of them upstream alone acted\n" in run("validate", "logs.jsonl")[1]


@pytest.mark.parametrize("command", [["validate"], ["inspect"], ["types", "suggest"], ["use"]], ids=" ".join)
def test_traces_that_are_not_there_are_one_line(here, run, command):
    code, out, err = run(*command, "gone.jsonl")
    assert code == 1 and not out and err == "error: gone.jsonl: no such file or folder\n"


def test_inspect_counts_types_rules_and_secrets(here, run):
    code, out, _ = run("inspect", "examples/helpdesk.jsonl", "--types", "configs/action_types/helpdesk.yaml")
    assert code == 0 and out.startswith("72 conversations, 3 failed, 60 with a group\n")
    for said in ("retrieval ", "repair ", "mapping ", "question ", "secrets found: ", "characters a conversation"):
        assert said in out
    assert "correct-horse" not in out


def test_inspect_shows_what_the_models_see_once_they_are_there(here, run):
    tokenizer = compact_tokenizer()
    save_base(here / "models/base/cheap", tokenizer, llama(tokenizer))
    code, out, _ = run("inspect", "examples/helpdesk.jsonl", "--sample", "2")
    assert code == 0 and "tokens a conversation: median" in out
    shown = out.split("-- conv-0002, as the models see it")[1]
    assert "<jupyter_code>" in shown and "<jupyter_output>" in shown


EVIL = "a\x1b[2Jb\nerror: all is lost\u202e.jsonl"
SHOWN = r"a\x1b[2Jb\nerror: all is lost\u202e.jsonl"


def test_a_file_is_named_in_one_line_that_commands_no_terminal(here, run):
    bad_file(here / EVIL)
    for command in (["validate"], ["inspect"], ["types", "suggest"], ["use"]):
        code, out, err = run(*command, EVIL)
        assert code == 1 and SHOWN in out + err, command
        assert not any(c in out + err for c in "\x1b\u202e") and "\nerror: all is lost" not in out + err
    code, out, _ = run("use", EVIL, "--skip-invalid")
    assert code == 0 and f"the sources are now {SHOWN} with" in out and "\x1b" not in out
    assert load_config(here).sources.path == EVIL


def test_a_name_that_is_no_utf8_is_refused_before_anything_is_written(here, run):
    name = "logs-\udcff.jsonl"
    bad_file(here / name)
    before = (here / "params.yaml").read_bytes()
    code, _, err = run("use", name, "--skip-invalid")
    assert code == 1 and err == "error: logs-\\udcff.jsonl: the name is not UTF-8; rename it\n"
    assert (here / "params.yaml").read_bytes() == before


def test_inspect_stops_at_invalid_conversations_unless_told_to_go_on(here, run):
    bad_file(here / "bad.jsonl")
    code, _, err = run("inspect", "bad.jsonl")
    assert code == 1 and "error: bad.jsonl: 1 of 3 conversations are invalid" in err
    code, out, err = run("inspect", "bad.jsonl", "--skip-invalid")
    assert code == 0 and out.startswith("2 conversations") and "bad.jsonl:2: messages.0.role" in err


def test_a_draft_of_types_can_be_read_back_and_is_never_overwritten(here, run):
    code, out, _ = run("types", "suggest", "examples/helpdesk.jsonl")
    assert code == 0 and "get_order: retrieval   # 36 calls; " in out
    assert run("types", "suggest", "examples/helpdesk.jsonl", "-o", "types.yaml")[0] == 0
    assert (here / "types.yaml").read_text(encoding="utf-8") == out
    types = load_type_map(here / "types.yaml")
    assert len(types.names) == 15 and types.compare == {"write_note": {"text": Rule("text", 0.6)}}
    assert "    text: {text: 0.6}   # 48 of 58 texts differ, " in out
    code, _, err = run("types", "suggest", "examples/helpdesk.jsonl", "-o", "types.yaml")
    assert code == 1 and "already exists" in err
    assert run("types", "suggest", "examples/helpdesk.jsonl", "-o", "types.yaml", "--force")[0] == 0


RECORDED = [
    ("policies: [D, F, G]", "policies: [F]"),
    ("recipe: v3", "recipe: recorded-small"),
    ("level: type", "level: call"),
    ("model: flops_no_cache", "model: money"),
]


@pytest.mark.parametrize(("options", "more"), [((), RECORDED), (("--strong", "fine-tuned"), [])])
def test_using_traces_changes_what_they_need_and_no_other_line(here, run, options, more):
    before = (here / "params.yaml").read_text(encoding="utf-8").splitlines()
    code, out, _ = run("use", "examples/helpdesk.jsonl", *options)
    after = (here / "params.yaml").read_text(encoding="utf-8").splitlines()
    assert code == 0 and "Next: dvc repro" in out
    both = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    changed = [tuple(line.split("#")[0].strip() for line in pair) for pair in both]
    assert sorted(changed) == sorted([("bfcl: true", "bfcl: false"), ("own: false", "own: true"), *more])
    assert ("The expensive model is your agent as recorded" in out) == bool(more)
    assert all(old.partition("#")[2] == new.partition("#")[2] for old, new in zip(before, after, strict=True))
    assert load_config(here).sources.types == "configs/action_types/helpdesk.yaml"


def test_a_model_trained_here_takes_the_agents_place_again(here, run):
    run("use", "examples/helpdesk.jsonl")
    assert load_config(here).recipe_name == "recorded-small"
    run("use", "examples/helpdesk.jsonl", "--strong", "fine-tuned")
    config = load_config(here)
    assert config.recipe_name == "v3" and config.acceptance.policies == ("D", "F", "G")


def test_few_logs_are_for_promises_and_not_for_a_verifier_unless_you_say_so(here, run):
    code, out, _ = run("use", "examples/helpdesk.jsonl")
    assert code == 0 and "69 conversations in 58 groups are used" in out
    assert "with a verifier (D, F, G): too few groups for any promise; 20 % needs roughly" in out
    assert "without one (F): enough groups for a risk of 15 % or more; 10 % needs roughly" in out
    assert (
        "No verifier is trained; its groups are kept for promises (recipe: recorded-small, acceptance.policies: [F])"
        in out
    )
    code, out, _ = run("use", "examples/helpdesk.jsonl", "--verifier")
    config = load_config(here)
    assert code == 0 and "A verifier is trained (recipe: recorded)" in out
    assert config.recipe_name == "recorded" and config.acceptance.policies == ("D", "F", "G")
    code, _, err = run("use", "examples/helpdesk.jsonl", "--strong", "fine-tuned", "--no-verifier")
    assert code == 1 and "--no-verifier: works only with the recorded agent" in err


def test_logs_that_are_enough_for_nothing_are_used_all_the_same_and_it_is_said(here, run):
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    (here / "three.jsonl").write_text("\n".join(lines[:3]) + "\n")
    code, out, err = run("use", "three.jsonl", "--types", "configs/action_types/helpdesk.yaml")
    assert (
        code == 0 and "Next: dvc repro" in out and "note: the " in err and load_config(here).recipe_name == "recorded"
    )
    (here / "ten.jsonl").write_text("\n".join(lines[:16]) + "\n")
    code, out, _ = run("use", "ten.jsonl", "--types", "configs/action_types/helpdesk.yaml")
    assert code == 0 and out.count("too few groups for any promise") == 2 and "A verifier is trained" in out


def test_what_dvc_repro_would_refuse_changes_nothing(here, run):
    bad_file(here / "bad.jsonl")
    before = (here / "params.yaml").read_bytes()
    code, _, err = run("use", "bad.jsonl", "--types", "configs/action_types/helpdesk.yaml")
    assert code == 1 and "2 problems in 1 of 3 conversations" in err and (here / "params.yaml").read_bytes() == before
    assert not list((here / ".work").iterdir())


def test_using_other_traces_drafts_their_types_and_says_everything(here, run):
    (here / "logs").mkdir()
    bad_file(here / "logs/mine.jsonl")
    code, _, err = run("use", "logs/*.jsonl")
    assert code == 1 and "1 conversations are invalid" in err and not load_config(here).sources.own
    code, out, _ = run("use", "logs/*.jsonl", "--mix", "--skip-invalid", "--keep-secrets")
    sources = load_config(here).sources
    assert code == 0 and "wrote configs/action_types/logs.yaml" in out
    assert (sources.bfcl, sources.own, sources.path, sources.files) == (True, True, "logs", ("*.jsonl",))
    assert (sources.invalid, sources.secrets) == ("skip", "keep")
    assert load_type_map(Path(sources.types)).names["get_order"] == "retrieval"
    assert yaml.safe_load((here / "params.yaml").read_text())["sources"]["min_reward"] is None


def test_use_says_how_experiments_get_to_know_traces_that_git_does_not(here, run):
    few = EXAMPLE.read_text(encoding="utf-8").splitlines(keepends=True)[:5]
    (here / "my logs.jsonl").write_text("".join(few), encoding="utf-8")
    assert "git add" not in run("use", "my logs.jsonl")[1]  # no Git here
    subprocess.run(["git", "init", "--quiet"], check=True)
    told = "`dvc exp run --temp` and `--queue` see only files that Git tracks; before them: git add "
    both = ["my logs.jsonl", "configs/action_types/my logs.yaml"]
    assert f"{told}{shlex.join(both)}\n" in run("use", "my logs.jsonl")[1]
    subprocess.run(["git", "add", both[0]], check=True)
    assert f"{told}{shlex.join(both[1:])}\n" in run("use", "my logs.jsonl")[1]
    subprocess.run(["git", "add", both[1]], check=True)
    assert "git add" not in run("use", "my logs.jsonl")[1]


def test_a_folder_that_cannot_be_written_is_named_before_anything_changes(here, run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != here)  # root may write everywhere
    shutil.copy(EXAMPLE, here / "mine.jsonl")
    code, _, err = run("use", "mine.jsonl")
    assert code == 1 and err == f"error: {here}: this folder cannot be written; nothing was changed\n"
    assert not (here / "configs/action_types/mine.yaml").exists()


def test_a_broken_types_file_is_refused_before_anything_changes(here, run):
    (here / "types.yaml").write_text("get_order: look_up\n")
    before = (here / "params.yaml").read_bytes()
    code, _, err = run("use", "examples/helpdesk.jsonl", "--types", "types.yaml")
    assert code == 1 and "types.yaml:1: get_order: " in err and (here / "params.yaml").read_bytes() == before


def test_outside_a_repository_use_says_where_to_run_it(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("use", str(EXAMPLE))
    assert code == 1 and "run this command in the repository's root" in err


def test_the_module_runs_as_the_command_does(here):
    command = [sys.executable, "-m", "specacts", "validate", "examples/helpdesk.jsonl"]
    done = subprocess.run(command, cwd=here, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0 and "72 valid" in done.stdout, done.stderr


def test_the_example_is_what_its_script_makes(tmp_path):
    script = [sys.executable, str(ROOT / "examples/make_helpdesk.py")]
    made = subprocess.run(script, capture_output=True, check=True).stdout
    assert made == EXAMPLE.read_bytes()
    assert json.loads(made.splitlines()[0])["id"] == "conv-0001"


# -- plan -------------------------------------------------------------------------------------------------------


def test_a_plan_fits_on_a_screen_before_anything_is_downloaded(here, run):
    code, out, err = run("plan", str(EXAMPLE), "--types", "configs/action_types/helpdesk.yaml", "--gpu", "a100")
    assert code == 0, err
    assert len(out.splitlines()) <= 32 and max(map(len, out.splitlines())) <= 120
    out = " ".join(out.split())
    assert "Counted by a stand-in" in out and "on one A100 SXM 80 GB, from published throughput" in out
    assert not (here / "models").exists()


def test_a_plan_is_json_too_and_says_what_is_not_known(here, run):
    code, out, _ = run("plan", str(EXAMPLE), "--types", "configs/action_types/helpdesk.yaml", "--json")
    found = json.loads(out)
    assert code == 0 and found["roles"]["cheap"]["training"]["rows"] > 0 and found["gpu"] is None
    assert found["hours"] == {"together": [0, 0]}  # nothing was measured in this place


def test_a_plan_for_what_is_not_there_is_refused(here, run):
    assert "choose from h100" in run("plan", "--gpu", "tpu")[2]
    assert "--types a.yaml: is for your own traces" in run("plan", "--types", "a.yaml")[2]
    assert "write BASE=FILE, with one of this scale's bases: smollm2" in run("plan", "--config", "other=a.json")[2]
    assert "'big' has no file configs/scale/big.yaml" in run("plan", "--scale", "big")[2]
