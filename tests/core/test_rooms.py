"""Room is asked for before anything runs, and only for what is still to be written."""

import shutil
from types import SimpleNamespace

import pytest
import yaml
from repositories import finished

from specacts.core.errors import UserError
from specacts.core.rooms import MB, Downloads, Needs, existing, keeps_once, present, require
from specacts.core.stored import Stored


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A finished run of the scale `cpu`, on a disk with 1,000 MB free."""
    finished(tmp_path)
    lock = yaml.safe_load((tmp_path / "dvc.lock").read_text())
    lock["stages"]["fetch"] = {"cmd": "fetch", "params": {"configs/scale/cpu.yaml": {}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000 * MB))
    return tmp_path


def test_where_there_is_room_nothing_is_said(root):
    require(root, "cpu", Needs(300, 300, 400))


def test_places_on_one_disk_need_room_together_and_are_named(root):
    with pytest.raises(UserError) as raised:
        require(root, "cpu", Needs(300, 300, 401))
    said = str(raised.value)
    assert said.startswith("configs/scale/cpu.yaml: disk: a run still needs about 1,001 MB for cache (")
    assert ".dvc/cache), workspace (" in said and "but only 1,000 MB are free there; make room, or move DVC" in said


def test_what_is_there_of_this_scales_run_is_not_asked_for_again(root, monkeypatch):
    (root / ".work").mkdir(exist_ok=True)
    with (root / ".work/wheel").open("wb") as file:
        file.truncate(50 * MB)  # takes no room itself
    assert present(Stored.at(root, exact=False), "cpu") == Needs(0, 0, 50)
    require(root, "cpu", Needs(300, 300, 450))
    with pytest.raises(UserError, match="1,050 MB"):
        require(root, "smoke", Needs(300, 300, 450))


def test_a_place_that_is_not_there_yet_is_on_the_disk_of_the_folder_above(tmp_path):
    assert existing(tmp_path / "a/b/c") == tmp_path


def test_what_is_downloaded_of_a_hub_needs_room_too_where_it_is_kept(root):
    require(root, "cpu", Needs(100, 100, 100, hub=900), Downloads(root / "hub", there=200))
    with pytest.raises(UserError, match=r"1,001 MB for cache \(.*\), hub \(.*/hub\)"):
        require(root, "cpu", Needs(100, 100, 101, hub=900), Downloads(root / "hub", there=200))


def test_only_a_cache_that_links_first_of_all_keeps_outputs_once(tmp_path):
    (tmp_path / ".dvc").mkdir()
    for types, once in (("", False), ("type = copy", False), ("type = hardlink,copy", True)):
        (tmp_path / ".dvc/config.local").write_text(f"[cache]\n{types}\n")
        assert keeps_once(tmp_path) is once
    (tmp_path / ".dvc/config.local").write_text("[cache]\ntype = reflink,hardlink\n")
    assert not keeps_once(tmp_path)  # DVC then copies first
