"""Which files are meant, and what their lines and rows hold, whatever the files are like."""

import datetime
import gzip
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from specacts.core.errors import UserError
from specacts.traces.stream import LONGEST_LINE, Place, find_files, locate, records, size


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("logs/a.jsonl", "logs/deep/b.jsonl", "logs/c.txt", "logs/.hidden.jsonl", "one file.jsonl"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text('{"a": 1}\n')
    return tmp_path


def named(place: Place) -> list[str]:
    return list(map(str, find_files(place)))


def test_a_file_a_folder_a_pattern_and_several_files_are_found(here):
    assert named(locate(["one file.jsonl"])) == ["one file.jsonl"]
    assert named(locate(["logs"])) == ["logs/a.jsonl", "logs/deep/b.jsonl"]
    assert locate(["logs/**/*.jsonl"]) == Place("logs", ("**/*.jsonl",))
    assert named(locate(["logs/**/*.jsonl"])) == ["logs/a.jsonl", "logs/deep/b.jsonl"]
    assert named(locate(["*.jsonl"])) == ["one file.jsonl"]
    several = locate(["logs/a.jsonl", "logs/c.txt"])
    assert several == Place("logs", ("a.jsonl", "c.txt")) and named(several) == ["logs/a.jsonl", "logs/c.txt"]


def test_several_files_with_special_names_are_just_those(here):
    for name in ("x[1].jsonl", "x1.jsonl"):
        Path(name).write_text("{}\n")
    assert named(locate(["x[1].jsonl", "one file.jsonl"])) == ["one file.jsonl", "x[1].jsonl"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.jsonl"], "nothing.jsonl: no such file or folder"),
        (["nothing/*.jsonl"], "nothing: no such file or folder"),
        (["logs/*.parquet"], "logs: no file matches"),
        (["logs/a.jsonl", "gone.jsonl"], "gone.jsonl: no such file or folder"),
        (["logs", "one file.jsonl"], "one folder, or several files"),
    ],
)
def test_what_is_not_there_is_said(here, arguments, says):
    with pytest.raises(UserError, match=says):
        find_files(locate(arguments))


def test_an_empty_folder_is_an_error_that_names_the_known_kinds(tmp_path):
    with pytest.raises(UserError, match=r"no file matches .*\.jsonl, .*\.parquet"):
        find_files(Place(str(tmp_path), ()))


def test_lines_carry_their_numbers_also_behind_blank_ones(tmp_path):
    (tmp_path / "a.jsonl").write_text('\n{"a": 1}\n\n{"b": 2}')
    found = list(records(find_files(Place(str(tmp_path), ()))))
    assert [(r.number, r.text) for r in found] == [(2, '{"a": 1}'), (4, '{"b": 2}')]
    assert found[0].where == f"{tmp_path}/a.jsonl:2"


def test_the_lines_before_damage_are_read(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    lines = b"".join(json.dumps({"n": n, "x": "y" * 5000}).encode() + b"\n" for n in range(200))
    path.write_bytes(gzip.compress(lines)[:-200])
    found = list(records([path]))
    assert found[0].text.startswith('{"n": 0') and "damaged" in found[-1].problem


def test_after_a_line_that_is_too_long_the_next_one_is_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * (2 * LONGEST_LINE + 5) + b"\n{}\n")
    first, second = records([path])
    assert "more than 32 MiB" in first.problem and len(first.shown) == 1000
    assert (second.number, second.text) == (2, "{}")


ROWS = [
    {"id": "a", "messages": [{"role": "user", "content": "x", "tool_call_id": None}]},
    {"id": "b", "messages": [{"role": "tool", "content": None, "tool_call_id": "c"}]},
]
CLEAN = [
    {"id": "a", "messages": [{"role": "user", "content": "x"}]},
    {"id": "b", "messages": [{"role": "tool", "tool_call_id": "c"}]},
]


def test_tables_lose_the_nulls_that_fill_them_up(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    found = list(records([tmp_path / "t.parquet"]))
    assert [r.value for r in found] == CLEAN and [r.number for r in found] == [1, 2]


def test_what_json_does_not_have_becomes_text_or_nothing(tmp_path):
    row = {"when": datetime.datetime(2026, 1, 2), "raw": b"x", "reward": float("nan"), "deep": [{"n": float("inf")}]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t.parquet")
    (found,) = records([tmp_path / "t.parquet"])
    assert found.value == {"when": "2026-01-02 00:00:00", "raw": "b'x'", "deep": [{}]}


def test_folders_that_datasets_saved_are_read_split_by_split(tmp_path):
    one = datasets.Dataset.from_list(ROWS)
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=one, test=one).save_to_disk(tmp_path / "two")
    assert [r.value for r in records(find_files(Place(str(tmp_path / "one"), ())))] == CLEAN
    assert [r.value for r in records(find_files(Place(str(tmp_path / "two"), ())))] == CLEAN * 2
    assert find_files(Place(str(tmp_path), ())) == [tmp_path / "one", tmp_path / "two"]


def test_a_damaged_saved_folder_is_a_problem_and_no_crash(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    next((tmp_path / "one").glob("*.arrow")).write_bytes(b"no arrow")
    (found,) = records([tmp_path / "one"])
    assert "cannot load this folder" in found.problem


def test_progress_ends_at_the_size(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}\n" * 50)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 50))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "c.parquet")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "d")
    files, passed = find_files(Place(str(tmp_path), ())), []
    list(records(files, passed.append))
    assert len(files) == 4 and sum(passed) == size(files)
