"""Which files are meant, and what their lines and rows hold, whatever the files are like."""

import bz2
import datetime
import gzip
import io
import json
import lzma
import os
import random
import shutil
import socket
import tarfile
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from specacts.core.errors import UserError
from specacts.traces import stream
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
        (["logs", "one file.jsonl"], "one folder, several files"),
    ],
)
def test_what_is_not_there_is_said(here, arguments, says):
    with pytest.raises(UserError, match=says):
        find_files(locate(arguments))


def test_an_empty_folder_is_an_error_that_names_the_known_kinds(tmp_path):
    with pytest.raises(UserError, match=r"no file matches .*\.jsonl, .*\.parquet"):
        find_files(Place(str(tmp_path), ()))


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)  # a path may be too long for it


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_pipe, "a pipe, not a file"),
        (a_socket, "a socket, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
        (lambda path: path.symlink_to("gone"), "a link to gone, which is not there"),
    ],
)
def test_what_cannot_be_read_to_its_end_is_refused_and_never_opened(here, make, says):
    """DVC reads all of a folder, also what no pattern means."""
    for place in ("odd.jsonl", "odd.txt", "logs/deep/odd"):
        make(here / Path(place).name)
        os.rename(here / Path(place).name, here / place)
        for named in (place, str(Path(place).parent)):
            with pytest.raises(UserError, match=says) as refused:
                find_files(locate([named]) if os.path.exists(named) else Place(named, ()))
            assert "odd" in str(refused.value)
        os.unlink(here / place)


def test_links_to_folders_are_followed_but_not_in_circles(here):
    Path("logs/deep/again").symlink_to(here / "other")
    Path("other").mkdir()
    shutil.copy("logs/a.jsonl", "other/x.jsonl")
    assert named(locate(["logs"])) == ["logs/a.jsonl", "logs/deep/again/x.jsonl", "logs/deep/b.jsonl"]
    Path("logs/deep/round").symlink_to("..")
    with pytest.raises(UserError, match="logs/deep/round: a link to a folder that contains it"):
        find_files(locate(["logs"]))


@pytest.fixture
def little(monkeypatch) -> int:
    """A file may unpack to so few bytes, and beyond that to so few times its size, that a test reaches them at once."""
    monkeypatch.setattr(stream, "PLENTY", 2**17)
    monkeypatch.setattr(stream, "RATIO", 50)
    return 2**17


def in_zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", content)
    return file.getvalue()


def in_sparse_tar(content: bytes) -> bytes:
    """A member that holds as many zeros as `content`, none of which stands in the archive."""
    info = tarfile.TarInfo("./a.jsonl")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"%011o\0" % len(content)  # its real size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1024)


PACKERS = [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, in_zip, in_sparse_tar]


@pytest.mark.parametrize("pack", PACKERS, ids=lambda pack: f"{pack.__module__}.{pack.__name__}")
@pytest.mark.parametrize("what", [b" ", b"\n", b"{}\n", b"[1,\n"], ids=repr)
def test_a_small_file_that_unpacks_to_much_ends_in_one_line(tmp_path, little, pack, what):
    path = tmp_path / "a.jsonl"
    path.write_bytes(pack(what * (3 * little // len(what))))
    *_, last = records([path])
    assert last.problem.startswith(("unpacks to more than 0 MiB and 50 times", "not valid JSON: nested deeper"))


@pytest.mark.parametrize("opening", ["[", '{\n"a": ', '[{"a":'])
def test_json_that_goes_deeper_and_deeper_ends_at_once(tmp_path, opening):
    (tmp_path / "a.json").write_text(opening * 10**6, encoding="utf-8")
    (found,) = records([tmp_path / "a.json"])
    assert "nested deeper than 100 levels" in found.problem


def test_brackets_in_texts_are_not_depth_wherever_the_text_is_cut(tmp_path):
    """The file is looked at piece by piece."""
    rng = random.Random(0)
    texts = ["".join(rng.choices('[{"\\x', k=rng.randrange(3000))) for _ in range(300)]
    (tmp_path / "a.json").write_text(json.dumps([{"text": text} for text in texts]), encoding="utf-8")
    assert [record.value["text"] for record in records([tmp_path / "a.json"])] == texts


@pytest.mark.parametrize("pack", PACKERS[:5], ids=lambda pack: pack.__module__)
def test_what_unpacks_to_no_more_than_its_size_lets_expect_is_read_whole(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(stream, "PLENTY", 0)
    rng = random.Random(0)
    lines = [json.dumps({"n": n, "x": f"{rng.random()} " * 20}).encode() for n in range(1000)]
    path = tmp_path / "a.jsonl"
    path.write_bytes(pack(b"\n".join(lines)))
    assert [record.text.encode() for record in records([path])] == lines


@pytest.mark.parametrize(
    "values",
    [
        pa.nulls(10**5),
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**5, "int32")), ["x"]),
        pa.array([[None] * 10**6], pa.list_(pa.int8())),
        pa.array(["x" * 10**7]),
    ],
    ids=["rows of nothing", "rows that are alike", "a long list", "a long text"],
)
def test_a_small_table_that_unpacks_to_much_is_refused_before_its_first_row(tmp_path, little, values):
    pq.write_table(pa.table({"messages": values}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 5000
    (found,) = records([tmp_path / "a.parquet"])
    assert found.number == 1 and found.problem.startswith("unpacks to more than")


def test_a_small_saved_folder_that_unpacks_to_much_is_refused_too(tmp_path, little):
    datasets.Dataset(pa.table({"messages": pa.nulls(10**5)})).save_to_disk(tmp_path / "saved")
    (found,) = records([tmp_path / "saved"])
    assert found.problem.startswith("unpacks to more than")


def test_no_file_has_more_rows_than_can_be_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "MOST_ROWS", 3)
    (tmp_path / "a.jsonl").write_text("{}\n" * 5, encoding="utf-8")
    *rows, last = records([tmp_path / "a.jsonl"])
    assert len(rows) == 3 and last.problem.startswith("holds more than 3 rows")


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


def test_text_in_a_column_of_bytes_is_text(tmp_path):
    pq.write_table(pa.table({"messages": pa.array(["[„x“]".encode()], pa.binary())}), tmp_path / "t.parquet")
    (found,) = records([tmp_path / "t.parquet"])
    assert found.value == {"messages": "[„x“]"}


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"SQLite format 3\0", "an SQLite database, which is not read here; export its conversations as JSON lines"),
        (b"ARROW1\0\0", "an Arrow file, which is not read here; write it as Parquet"),
        (b"PAR1", "a Parquet file; give it a name that ends in .parquet"),
    ],
)
def test_files_that_are_no_text_are_told_by_their_first_bytes(tmp_path, start, said):
    (tmp_path / "t.jsonl").write_bytes(start + bytes(64))
    (found,) = records([tmp_path / "t.jsonl"])
    assert found.problem == said


def test_what_json_does_not_have_becomes_text_or_nothing(tmp_path):
    row = {"when": datetime.datetime(2026, 1, 2), "raw": b"\xff", "reward": float("nan"), "deep": [{"n": float("inf")}]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t.parquet")
    (found,) = records([tmp_path / "t.parquet"])
    assert found.value == {"when": "2026-01-02 00:00:00", "raw": "b'\\xff'", "deep": [{}]}


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\n\n"])
def test_an_array_in_every_line_is_a_conversation_however_long_the_lines_are(tmp_path, break_):
    lines = [json.dumps([{"role": "user", "content": f"{number}{'x' * 100_000}"}]) for number in range(3)]
    (tmp_path / "t.jsonl").write_text(break_.join(lines), encoding="utf-8", newline="")
    assert [json.loads(record.text) for record in records([tmp_path / "t.jsonl"])] == list(map(json.loads, lines))
    for whole in (f"[{lines[0][1:-1]}]", f"[{lines[0][1:-1]},\n{lines[1][1:-1]}]", f"[{lines[0]},\n{lines[1]}]"):
        (tmp_path / "t.jsonl").write_text(whole, encoding="utf-8")
        assert all(record.problem is None for record in records([tmp_path / "t.jsonl"]))


def test_a_table_as_text_is_told_by_its_name(tmp_path):
    (tmp_path / "t.csv").write_text("id,messages\n1,[]\n", encoding="utf-8")
    (found,) = records([tmp_path / "t.csv"])
    assert found.problem == "a CSV file, which is not read here; export JSON lines or Parquet"


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
