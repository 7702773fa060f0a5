"""Damage of every kind is found, named and mended."""

import hashlib
import shutil

import pytest
from damage import cut, flip
from repositories import contents, finished, output

from specacts.core.manifest import seal
from specacts.core.stored import Stored
from specacts.core.verify import Found, examine, repair


@pytest.fixture
def kept(tmp_path) -> Stored:
    """A finished repository with a converted base and a downloaded wheel."""
    kept = finished(tmp_path)
    base, wheels = tmp_path / ".work/bases/a1", tmp_path / ".work/wheels"
    base.mkdir(parents=True), wheels.mkdir()
    (base / "model.safetensors").write_text("weights" * 10)
    seal(base)
    (wheels / f"toy-1.0-{hashlib.sha256(b'wheel').hexdigest()}.whl").write_bytes(b"wheel")
    return kept


def said(found: Found) -> str:
    return "\n".join(found.told())


def test_everything_is_whole(kept, tmp_path):
    found = examine(tmp_path)
    assert found.whole
    assert found.told() == ["3 outputs, 4 objects of the DVC cache, 2 converted bases and downloads: all whole"]


@pytest.mark.parametrize("harm", [flip, cut])
@pytest.mark.parametrize("path", ["data/made", "models/cheap.bin"])
def test_a_damaged_object_is_named_and_made_again_from_the_output(kept, tmp_path, harm, path):
    before, place = contents(tmp_path), kept.object(output(kept, path).md5)
    harm(place)
    found = examine(tmp_path)
    assert f"damaged: {place}" in said(found) and not found.outputs
    assert f"saved {path} in the DVC cache" in repair(tmp_path, found)
    assert examine(tmp_path).whole and contents(tmp_path) == before


@pytest.mark.parametrize("name", ["data/made/rows.txt", "models/cheap.bin"])
def test_a_damaged_output_is_named_with_its_stage_and_comes_back_from_the_cache(kept, tmp_path, name):
    before = contents(tmp_path)
    flip(tmp_path / name)
    found = examine(tmp_path)
    assert f"damaged: {name}: not as dvc.lock has it (stage " in said(found)
    repair(tmp_path, found)
    assert examine(tmp_path).whole and contents(tmp_path) == before


def test_where_both_are_damaged_the_stage_to_run_is_named(kept, tmp_path):
    path = "models/cheap.bin"
    flip(tmp_path / path)
    flip(kept.object(output(kept, path).md5), at=0)
    assert f"not in the DVC cache: {path}; `dvc repro train@cheap` makes them again" in repair(
        tmp_path, examine(tmp_path)
    )
    assert not (tmp_path / path).exists()
    assert "not here: models/cheap.bin" in said(examine(tmp_path))


def test_what_the_cache_lacks_is_said_and_saved(kept, tmp_path):
    shutil.rmtree(kept.cache)
    found = examine(tmp_path)
    assert "not in the DVC cache: data/made, models/cheap.bin" in said(found)
    repair(tmp_path, found)
    assert examine(tmp_path).whole


@pytest.mark.parametrize("pattern", [".work/bases/*/model.safetensors", ".work/wheels/*.whl"])
def test_a_damaged_base_or_download_is_named_and_goes(kept, tmp_path, pattern):
    (path,) = tmp_path.glob(pattern)
    flip(path)
    found = examine(tmp_path)
    assert len(found.kept) == 1 and "damaged: " in said(found)
    repair(tmp_path, found)
    assert not path.exists() and examine(tmp_path).whole


def test_leftovers_in_the_cache_go(kept, tmp_path):
    left = kept.cache / "files/md5/ab/.x1y2.tmp"
    left.parent.mkdir(exist_ok=True)
    left.write_text("half")
    found = examine(tmp_path)
    assert f"damaged: {left}: left by a killed or failed run" in said(found)
    repair(tmp_path, found)
    assert not left.exists()


def test_a_lock_file_that_is_cut_off_is_one_line_and_mended(kept, tmp_path):
    cut(tmp_path / "dvc.lock")
    found = examine(tmp_path)
    assert not found.whole and "damaged: dvc.lock: cut off, as by a full disk" in said(found)
    repair(tmp_path, found)
    assert not (tmp_path / "dvc.lock").exists()
