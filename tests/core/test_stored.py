"""Outputs, dvc.lock and the cache by their bytes."""

import shutil

import pytest
from damage import cut, flip
from places import ROOT
from repositories import FILES, contents, finished, output, write_lock

from specacts.core.errors import UserError
from specacts.core.stored import Stored, cache_folder, listing_bytes, parse_lock, read_lock, usual_cache


@pytest.fixture
def kept(tmp_path) -> Stored:
    return finished(tmp_path)


def test_a_folders_listing_is_the_one_that_dvc_makes():
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    files = {"b/ä.txt": "a" * 32, "a.txt": "b" * 32, "b.txt": "c" * 32}
    tree = Tree()
    for name, md5 in files.items():
        tree.add(tuple(name.split("/")), None, HashInfo("md5", md5))
    assert listing_bytes(files) == tree.as_bytes()


def test_the_stages_of_this_repository_are_read_with_what_they_read_and_write():
    stages = Stored.at(ROOT, exact=False).stages
    assert stages["train@cheap"].outs == {
        "models/cheap": True,
        "metrics/train/cheap.json": False,
        "metrics/train/cheap_loss.csv": False,
    }
    assert "models/base/cheap" in stages["train@cheap"].deps


def test_a_finished_run_is_whole_and_saved(kept):
    assert [kept.differs(out) for out in kept.outputs] == [[], [], []]
    assert kept.unsaved() == []


@pytest.mark.parametrize("harm", [flip, cut])
@pytest.mark.parametrize("name", ["data/made/deep/more.txt", "models/cheap.bin", "metrics/cheap.json"])
def test_a_file_that_differs_is_named(kept, tmp_path, harm, name):
    harm(tmp_path / name)
    assert [file for out in kept.outputs for file in kept.differs(out)] == [name]


def test_of_a_folder_what_is_missing_or_new_differs(kept, tmp_path):
    (tmp_path / "data/made/rows.txt").rename(tmp_path / "data/made/lines.txt")
    assert kept.differs(output(kept, "data/made")) == ["data/made/lines.txt", "data/made/rows.txt"]


def test_what_a_stage_reads_is_what_others_wrote(kept):
    assert [out.path for out in kept.read_by("train@cheap")] == ["data/made"]
    assert kept.read_by("make") == []


def test_what_the_cache_lacks_is_unsaved_where_it_is_here_and_whole(kept, tmp_path):
    shutil.rmtree(kept.cache)
    assert [out.path for out in kept.unsaved()] == ["data/made", "models/cheap.bin"]
    flip(tmp_path / "models/cheap.bin")
    shutil.rmtree(tmp_path / "data")
    assert kept.unsaved() == []  # as in a fresh clone, or with another run's outputs


def test_saved_and_brought_back_it_is_the_same(kept, tmp_path):
    before = contents(tmp_path)
    shutil.rmtree(kept.cache)
    for out in kept.unsaved():
        kept.save(out)
    assert kept.unsaved() == [] and not list(kept.cache.rglob(".*"))
    for name in ("data/made", "models/cheap.bin"):
        path = tmp_path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert kept.bring_back(output(kept, name))
    assert contents(tmp_path) == before
    (tmp_path / "models/cheap.bin").write_text("a file of the user's own, to be written")


def test_a_damaged_object_is_not_brought_back(kept, tmp_path):
    out = output(kept, "models/cheap.bin")
    (tmp_path / out.path).unlink()
    flip(kept.object(out.md5))
    assert not kept.bring_back(out)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_whose_listing_is_damaged_is_not_brought_back(kept, tmp_path):
    out = output(kept, "data/made")
    shutil.rmtree(tmp_path / out.path)
    flip(kept.object(out.md5))
    assert not kept.bring_back(out) and kept.lacks(out.md5) == [out.md5]


def test_a_lock_file_that_is_cut_off_anywhere_is_noticed(tmp_path):
    finished(tmp_path)
    whole = (tmp_path / "dvc.lock").read_bytes()
    assert list(parse_lock(whole)) == ["make", "train@cheap"]
    lines = {at + 1 for at, byte in enumerate(whole) if byte == ord("\n")}  # what is cut there is a shorter lock file
    assert all(parse_lock(whole[:at]) is None for at in range(len(whole)) if at not in lines)
    assert parse_lock(b"") is None
    (tmp_path / "dvc.lock").write_bytes(whole[:-40])
    with pytest.raises(UserError, match="dvc.lock: it is cut off or damaged, .*`specacts verify --repair` fixes it"):
        read_lock(tmp_path)


def test_the_cache_is_where_dvc_has_it(tmp_path):
    (tmp_path / ".dvc").mkdir()
    assert usual_cache(tmp_path) == cache_folder(tmp_path) == tmp_path / ".dvc/cache"
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n[cache]\n    dir = ../elsewhere\n")
    assert usual_cache(tmp_path).resolve() == cache_folder(tmp_path).resolve() == tmp_path / "elsewhere"
    (tmp_path / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path}/mine\n")
    assert usual_cache(tmp_path) == cache_folder(tmp_path) == tmp_path / "mine"


def test_a_run_that_is_not_complete_has_the_outputs_that_it_has(tmp_path):
    finished(tmp_path)
    write_lock(tmp_path, "make")
    assert [out.path for out in Stored.at(tmp_path, exact=False).outputs] == ["data/made"]
    assert set(FILES) >= {"metrics/cheap.json"}
