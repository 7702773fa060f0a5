"""A crash leaves the old file or the new one; numbers are rounded and never NaN."""

import json
import os
import shutil
import stat

import pytest

from specacts.core.errors import UserError
from specacts.core.files import (
    NEW,
    OLD,
    published_dir,
    read_json,
    read_jsonl,
    rounded,
    sha256,
    sweep,
    write_json,
    write_jsonl,
    write_text,
)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_floats_are_rounded_however_deep_and_nothing_else_is_touched():
    value = {"a": 0.123456, "b": [1, 2.000049, {"c": (0.5, "x", None, True)}]}
    assert rounded(value) == {"a": 0.1235, "b": [1, 2.0, {"c": [0.5, "x", None, True]}]}


def test_json_keeps_the_keys_order_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "deep/er/m.json", {"z": 1 / 3, "a": "é"})
    assert (tmp_path / "deep/er/m.json").read_text(encoding="utf-8") == '{\n  "z": 0.3333,\n  "a": "é"\n}\n'


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), [1, {"x": float("-inf")}]])
def test_nan_is_refused_and_the_old_file_stays(tmp_path, bad):
    path = tmp_path / "m.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError):
        write_json(path, bad)
    with pytest.raises(ValueError):
        write_jsonl(path, [bad])
    assert read_json(path) == {"old": 1}
    assert names(tmp_path) == ["m.json"]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "m.txt"
    write_text(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["m.txt"]


def test_rows_that_fail_half_way_leave_the_old_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [1])
    with pytest.raises(ZeroDivisionError):
        write_jsonl(path, (1 // (2 - n) for n in range(4)))
    assert list(read_jsonl(path)) == [(1, 1)]
    assert names(tmp_path) == ["rows.jsonl"]


def test_others_may_read_what_was_written(tmp_path):
    write_text(tmp_path / "a", "")
    with published_dir(tmp_path / "b"):
        pass
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755


def test_line_endings_are_the_same_everywhere(tmp_path):
    write_text(tmp_path / "a", "one\ntwo\n")
    assert (tmp_path / "a").read_bytes() == b"one\ntwo\n"


def test_lines_are_numbered_from_one_and_empty_ones_skipped(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"a":1}\n\n[2]\n')
    assert list(read_jsonl(tmp_path / "r.jsonl")) == [(1, {"a": 1}), (3, [2])]


def test_a_malformed_line_is_named(tmp_path):
    (tmp_path / "r.jsonl").write_text("1\n{oops\n")
    with pytest.raises(UserError, match=r"r\.jsonl:2: not valid JSON"):
        list(read_jsonl(tmp_path / "r.jsonl"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.json: no such file; run the stage that makes it"):
        read_json(tmp_path / "gone.json")
    with pytest.raises(UserError, match="gone.jsonl: no such file"):
        list(read_jsonl(tmp_path / "gone.jsonl"))


def test_malformed_json_is_named(tmp_path):
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(UserError, match="m.json: not valid JSON"):
        read_json(tmp_path / "m.json")


def test_a_folder_is_published_whole_and_replaces_the_old_one(tmp_path):
    out = tmp_path / "deep/out"
    for content in ("old", "new"):
        with published_dir(out) as work:
            (work / content).write_text(content)
            assert work.parent == out.parent  # the same file system: publishing is one rename
        assert names(out) == [content]
    assert names(out.parent) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_folder_and_no_litter(tmp_path, error):
    out = tmp_path / "out"
    with published_dir(out) as work:
        (work / "old").write_text("")
    with pytest.raises(error):
        with published_dir(out) as work:
            (work / "half").write_text("")
            raise error
    assert names(out) == ["old"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("moment", [0, 1])
def test_whenever_it_is_killed_the_old_folder_or_the_new_one_is_found_again(tmp_path, monkeypatch, moment):
    """A kill does not clean up: here it comes before or between the two renames."""
    out = tmp_path / "out"
    with published_dir(out) as work:
        (work / "old").write_text("")
    rename, done = os.replace, []

    def replace(*names):
        if len(done) == moment:
            raise Killed
        done.append(1)
        rename(*names)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            with published_dir(out) as work:
                (work / "new").write_text("")
    assert out.exists() == (moment == 0) and len(names(tmp_path)) == 2
    sweep(out)
    assert names(out) == ["old"] and names(tmp_path) == ["out"]


class Killed(BaseException):
    """As by kill -9."""


def test_leftovers_of_killed_runs_are_swept_and_nothing_else(tmp_path):
    with published_dir(tmp_path / "out"):
        pass
    (tmp_path / f".out.x1y2{OLD}").mkdir()
    (tmp_path / f".out.z3{NEW}").mkdir()
    (tmp_path / f".out.z4{NEW}").write_text("")
    (tmp_path / f".other.z4{NEW}").write_text("")
    sweep(tmp_path / "out")
    assert names(tmp_path) == [f".other.z4{NEW}", "out"]


def test_the_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_was_rounded_is_json(tmp_path):
    write_json(tmp_path / "a", {"n": (1, 2)})
    assert json.loads((tmp_path / "a").read_text()) == {"n": [1, 2]}
