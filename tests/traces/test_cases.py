"""Inputs of every kind have the outcome that a person stated, and the documentation shows it."""

import codecs
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from cases import CASES, EXPECTED, SHARED, observed, page
from places import ROOT
from typer.testing import CliRunner

from specacts import cli
from specacts.traces.formats.openai_chat import Conversation
from specacts.traces.reader import Reader
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

DOCUMENT = ROOT / "docs/formats.md"
FOUND = sorted(path.name for path in CASES.iterdir() if path.name != "expected.json")


def test_every_input_has_an_expected_outcome():
    assert FOUND == sorted(EXPECTED["own"])


@pytest.mark.parametrize("file", FOUND)
def test_an_input_has_the_outcome_that_is_stated(file):
    assert observed(CASES / file) == EXPECTED["own"][file][1]


@pytest.mark.skipif(not SHARED.is_dir(), reason="inputs that lie outside the repository")
@pytest.mark.parametrize("file", sorted(EXPECTED["shared"]))
def test_an_input_that_others_collected_has_the_outcome_that_is_stated(file):
    assert observed(SHARED / file) == EXPECTED["shared"][file]


@pytest.mark.skipif(not SHARED.is_dir(), reason="inputs that lie outside the repository")
def test_all_inputs_that_others_collected_are_known():
    assert sorted(path.name for path in SHARED.iterdir() if path.suffix != ".md") == sorted(EXPECTED["shared"])


def test_the_document_is_what_the_reader_does():
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run: python tests/cases.py > docs/formats.md"


def episodes(file: Path) -> list[str]:
    found = Reader(TypeMap({}, {}), keep_secrets=False).read(Place(str(file), ()))
    return [
        one.episode.model_copy(update={"id": ""}).model_dump_json() for one in found if isinstance(one, Conversation)
    ]


def test_a_table_and_its_export_are_the_same_episodes():
    assert episodes(CASES / "chat-null-filled.jsonl") == episodes(CASES / "chat-null-filled.parquet")


# -- what `validate` says ----------------------------------------------------------------------------------------


def validate(file: Path, *options: str) -> tuple[int, list[str]]:
    done = CliRunner().invoke(cli.app, ["validate", str(file), *options])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout.splitlines()


@pytest.mark.parametrize("file", FOUND)
def test_validate_begins_with_what_a_file_holds_and_ends_without_a_traceback(file):
    code, lines = validate(CASES / file)
    _, expected = EXPECTED["own"][file]
    assert code == (1 if "refused" in expected or "named" in expected or file == "chat-no-user.jsonl" else 0)
    assert lines[0].startswith(f"{CASES / file}")
    if "named" in expected:
        assert len(lines) == 3 and ": not read; " in lines[0] and lines[2] == "nothing left: no conversation is valid"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("chat-no-user.jsonl", "no conversation has a user message: "),
        ("chat-no-user.jsonl", "nothing to learn: "),
        ("chat-text-actions.jsonl", "no conversation calls a tool: "),
        ("chat-schema-as-list.jsonl", "nothing left: "),
    ],
)
def test_validate_says_why_conversations_are_of_no_use(file, said):
    assert any(line.startswith(said) for line in validate(CASES / file, "--skip-invalid")[1])


def test_a_terminal_that_knows_few_characters_shows_others_as_marks(monkeypatch):
    written = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", written)
    monkeypatch.setattr(sys, "argv", ["specacts", "validate", str(CASES / "chat-characters.jsonl")])
    with pytest.raises(SystemExit):
        cli.main()
    written.flush()
    text = codecs.decode(written.buffer.getvalue(), "ascii")  # type: ignore[attr-defined]
    assert "'Gast ?' is not one of" in text


def test_printed_commands_quote_their_paths(tmp_path):
    file = tmp_path / "my logs.jsonl"
    shutil.copy(CASES / "chat.jsonl", file)
    done = CliRunner().invoke(cli.app, ["types", "suggest", str(file), "-o", str(tmp_path / "a b.yaml")])
    assert f"specacts use '{file}' --types '{tmp_path}/a b.yaml'" in done.stdout


# -- many rows ----------------------------------------------------------------------------------------------------


def test_other_processes_give_the_same_as_this_one(tmp_path):
    lines = [line for file in FOUND if file.endswith(".jsonl") for line in (CASES / file).read_text().splitlines()]
    file = tmp_path / "all.jsonl"
    file.write_text("\n".join(line for _ in range(3) for line in lines), encoding="utf-8")
    readers = [Reader(TypeMap({}, {}), keep_secrets=False, workers=workers) for workers in (0, 2)]
    here, there = (list(reader.read(Place(str(file), ()))) for reader in readers)
    assert here == there and readers[0].secrets == readers[1].secrets and len(here) > 100


USER = {"role": "user", "content": "Where is it?"}
SILENT = {"role": "assistant", "content": "Is it? I wonder."}
OTHER = {"role": "assistant", "tool_calls": [{"function": {"name": "other", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "nothing found: no file holds a conversation"),
        (["{"], "nothing left: no conversation is valid"),
        ([{"messages": [USER, SILENT]}], "(1 texts that are neither clearly a question nor an answer)"),
        ([{"messages": [USER, {**SILENT, "weight": 0}]}], "(1 of weight 0)"),
        ([{"messages": [USER, OTHER], "tools": ["get_order"]}], "(1 calls of tools that were not offered)"),
        ([{"conversations": [{"from": "gpt", "value": "Hello."}]}], "(1 before the user's first message)"),
        ([{"request": {"messages": [USER]}, "response": None}], "nothing left: no conversation is valid"),
    ],
)
def test_validate_says_why_there_is_nothing_to_learn(lines, said, tmp_path):
    file = tmp_path / "logs.jsonl"
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    code, told = validate(file, "--skip-invalid")
    assert code == 1 and told[-1].endswith(said)
