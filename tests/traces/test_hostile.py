"""Every kind of hostile or broken input has the outcome that the documentation says, and nothing else."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hostile import CASES, Case, outcome, page
from hypothesis import given, note, settings
from hypothesis import strategies as st
from nonsense import GENERATORS, anything
from places import ROOT

from specacts.core.episodes import Episode
from specacts.traces.formats.openai_chat import Conversation
from specacts.traces.ingest import ingest
from specacts.traces.reader import Continued, Duplicate, Read, Reader, Reject, Source
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

DOCUMENT = ROOT / "docs/hostile-input.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_an_input_has_the_outcome_that_is_said(case: Case):
    found = outcome(case.title)
    assert len(found.good) == case.good
    notes = [note for one in found.good for note, count in one.normalised.items() if count]
    assert all(line.startswith(f"{case.name}:") and "\n" not in line for line in found.lines)
    if case.says:
        assert any(case.says in said for said in [*found.lines, *notes]), (found.lines, notes)
    else:
        assert not found.lines and not notes
    for one in found.good:
        stored = one.episode.model_dump_json()
        assert Episode.model_validate_json(stored) == one.episode
        assert case.holds in stored


def test_the_document_is_what_the_reader_does():
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run: python tests/hostile.py > docs/hostile-input.md"


def test_everything_at_once_keeps_the_good_lines_and_gives_a_reason_for_each_other(tmp_path, config):
    """All broken lines in one file, good ones between them."""
    plain = [case for case in CASES if case.name == "traces.jsonl" and case.title not in WHOLE_FILE]
    body = b"".join(case.content().rstrip(b"\n") + b"\n" + good(n) for n, case in enumerate(plain))
    (tmp_path / "all.jsonl").write_bytes(body)
    sources = config.sources.model_copy(update={"own": True, "invalid": "skip"})
    out = tmp_path / "out"
    out.mkdir()
    found = ingest(Place(str(tmp_path / "all.jsonl"), ()), TypeMap({}, {}), sources, config.scale.own, 0, out)
    kept = (out / "episodes.jsonl").read_text(encoding="utf-8")
    rejected = (out / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(f'"id":"good-{n}"' in kept for n in range(len(plain)))
    assert len(rejected) == found.left_out["invalid"] > 25
    assert all('"problems":["' in line for line in rejected)


WHOLE_FILE = {
    "UTF-16",
    "UTF-8 with a byte-order mark",
    "a gzip file under a plain name",
    "an empty file",
    "a conversation of 20,000 messages",
    "a line of 40 MB",
    "a line of 10 MB",
}
"""What is about a file and not a line, and what takes long."""


def good(number: int) -> bytes:
    text = b'{"id": "good-%d", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    return text % number


def read(content: bytes, folder: Path) -> list[Read]:
    path = folder / "fuzz.jsonl"
    path.write_bytes(content)
    return list(Reader(TypeMap({}, {}), keep_secrets=False).read(Place(str(path), ())))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(tmp_path_factory, content):
    for found in read(content, tmp_path_factory.getbasetemp()):
        assert isinstance(found, Conversation | Reject | Duplicate | Continued | Source)


KEYS = (
    "messages role content tool_calls id function name arguments tool_call_id tools parameters type text refusal "
    "action_type group reward success"
).split()
WORDS = "system developer user assistant tool function text final_answer repair {} [] null".split()


def message(rng: Random) -> Any:
    if rng.random() < 0.2:
        return anything(rng, KEYS, WORDS)
    return {rng.choice(KEYS): anything(rng, KEYS, WORDS, most=10) for _ in range(rng.randint(0, 5))}


@settings(max_examples=60, deadline=None)
@given(GENERATORS)
def test_no_json_makes_the_reader_fail(tmp_path_factory, rng):
    lines = []
    for _ in range(20):
        is_list = rng.random() < 0.8
        value = {"messages": [message(rng) for _ in range(rng.randint(0, 5))] if is_list else message(rng)}
        value |= {key: anything(rng, KEYS, WORDS) for key in ("tools", "id") if rng.random() < 0.5}
        lines.append(json.dumps(value).encode())
    note(b"\n".join(lines).decode())
    for found in read(b"\n".join(lines), tmp_path_factory.getbasetemp()):
        assert isinstance(found, Conversation | Reject | Duplicate | Continued | Source)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(good(0))), st.binary(max_size=4), st.integers(0, 4))
def test_no_damage_to_a_good_line_makes_the_reader_fail(tmp_path_factory, at, inserted, removed):
    line = good(1)
    for found in read(line[:at] + inserted + line[at + removed :], tmp_path_factory.getbasetemp()):
        assert isinstance(found, Conversation | Reject | Duplicate | Continued | Source)
