"""The reader's other processes, and rows that go on with earlier ones."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from places import ROOT
from typer.testing import CliRunner

from specacts import cli
from specacts.config import Own
from specacts.core.episodes import Act, Usage, load_episodes
from specacts.traces import reader
from specacts.traces.formats.openai_chat import Conversation
from specacts.traces.ingest import ingest
from specacts.traces.reader import Continued, Duplicate, Reader, Reject
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

READ = """
import sys
from specacts.traces.reader import Reader
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

found = Reader(TypeMap({}, {}), keep_secrets=False, workers=2).read(Place(sys.argv[1], ()))
next(found)  # what the file holds
next(found)  # a conversation: the others are at work
print("reading", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_no_process_that_reads_outlives_the_one_that_was_killed(tmp_path):
    line = '{"messages": [{"role": "user", "content": "%d %s"}, {"role": "assistant", "content": "b"}]}\n'
    path = tmp_path / "long.jsonl"  # more than waits whether later rows go on with it
    path.write_text("".join(line % (n, "x" * 2000) for n in range(5_000)), encoding="utf-8")
    command = [sys.executable, "-c", READ, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reading:
        assert reading.stdout.readline() == "reading\n"
        others = psutil.Process(reading.pid).children(recursive=True)
        reading.kill()
    assert len(others) >= 3
    _, alive = psutil.wait_procs(others, timeout=20)
    assert alive == []


def test_a_member_of_an_archive_is_a_file_of_its_own(tmp_path):
    chat = {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "Both."}]}
    lines = [
        {"type": kind, "sessionId": "s", "message": {"role": kind, "content": "x"}} for kind in ("user", "assistant")
    ]
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as archive:
        for number in range(6):
            archive.writestr(f"a{number}.json", json.dumps({"config": number}))
        archive.writestr("b.jsonl", json.dumps(chat))
        for name in "cd":
            archive.writestr(f"{name}.jsonl", "\n".join(json.dumps(line) for line in lines))
    found = list(Reader(TypeMap({}, {}), keep_secrets=False).read(Place(str(tmp_path / "logs.zip"), ())))
    names = [one.episode.id for one in found if isinstance(one, Conversation)]
    assert names == ["logs.zip/b.jsonl:1", "logs.zip/c.jsonl:1"]
    assert [one.where[-9:] for one in found if isinstance(one, Duplicate)] == ["d.jsonl:1"]
    assert len([one for one in found if isinstance(one, Reject)]) == 6


# -- rows of one conversation ------------------------------------------------------------------------------------


def row(*said: str, usage: int, milliseconds: int) -> dict[str, Any]:
    """A model call: what was said in turns before it, and its answer, the last."""
    messages = [{"role": "user" if n % 2 == 0 else "assistant", "content": text} for n, text in enumerate(said)]
    response = {"choices": [{"message": messages[-1]}], "usage": {"prompt_tokens": usage, "completion_tokens": 1}}
    return {"request": {"messages": messages[:-1]}, "response": response, "latency_ms": milliseconds}


TURNS = ("Hello", "Hello.", "Where is it?", "On its way.", "Thanks", "Gladly.")
ROWS = [row(*TURNS[: 2 * n], usage=100 * n, milliseconds=500 * n) for n in (1, 2, 3)]
BETWEEN = [row(f"What of {n}?", "x" * 5000, usage=7, milliseconds=70) for n in range(20)]


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "calls.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def took(acts: list[Act]) -> list[tuple[int, float | None] | None]:
    return [(act.usage.prompt, act.seconds) if act.usage else None for act in acts]


def read(path: Path) -> tuple[list[list[Act]], int]:
    """The actions of every conversation, and how many rows a later one goes on with."""
    found = list(Reader(TypeMap({}, {}), keep_secrets=False).read(Place(str(path), ())))
    good = [one.episode.steps for one in found if isinstance(one, Conversation)]
    acts = [[step for step in steps if isinstance(step, Act)] for steps in good]
    return acts, sum(isinstance(one, Continued) for one in found)


def test_each_action_keeps_what_its_own_row_says_it_took(tmp_path):
    acts, continued = read(written(tmp_path, [ROWS[0], *BETWEEN, ROWS[1], ROWS[2]]))
    assert continued == 2
    assert took(acts[-1]) == [(100, 0.5), (200, 1.0), (300, 1.5)]


def test_what_is_brought_in_keeps_it_too(tmp_path, config):
    own = Own(conversations=100, decisions=24, characters=500)
    place = Place(str(written(tmp_path, [*ROWS, *BETWEEN])), ())
    found = ingest(place, TypeMap({}, {}), config.sources, own, 0, tmp_path)
    assert found.left_out["continued"] == 2
    (whole,) = [one for one in load_episodes(tmp_path / "episodes.jsonl") if len(one.steps) > 2]
    assert took([step for step in whole.steps if isinstance(step, Act)]) == [(100, 0.5), (200, 1.0), (300, 1.5)]


def test_words_that_a_later_row_goes_on_from_count_with_its_call(tmp_path):
    words = row("Hello", "I look.", usage=100, milliseconds=500)
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    asked = [*words["request"]["messages"], {"role": "assistant", "content": "I look."}]
    answer = {
        "choices": [{"message": {"role": "assistant", "tool_calls": [call]}}],
        "usage": ROWS[1]["response"]["usage"],
    }
    then = {"request": {"messages": asked}, "response": answer, "latency_ms": 1000}
    (acts,), continued = read(written(tmp_path, [words, then]))
    assert continued == 1 and took(acts) == [(300, 1.5)] and acts[0].usage == Usage(prompt=300, cached=0, completion=2)


def test_rows_that_stand_too_far_apart_are_told(tmp_path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path, [ROWS[0], *BETWEEN, ROWS[1]])
    assert "go on with one that stands" not in CliRunner().invoke(cli.app, ["validate", str(path)]).stdout
    monkeypatch.setattr(reader, "OPEN_CHARACTERS", 50_000)
    said = CliRunner().invoke(cli.app, ["validate", str(path)]).stdout
    assert "1 rows continue one that is more than" in said and "sort the rows by session and time" in said
