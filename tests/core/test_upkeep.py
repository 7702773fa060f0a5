"""What is around a stage's work: inputs are whole, nothing finished is lost, nothing is left."""

import json
import shutil
import subprocess

import pytest
from damage import cut, flip
from repositories import contents, finished, output, write_lock

from specacts.core.errors import UserError
from specacts.core.files import NEW, OLD
from specacts.core.stored import Stored
from specacts.core.upkeep import LAST_LOCK, RWLOCK, begin, ended, mend, restore, told, unsaved_stages

STAGE = "train@cheap"


@pytest.fixture
def kept(tmp_path) -> Stored:
    return finished(tmp_path)


def test_a_stage_begins_where_what_it_reads_is_whole(kept, tmp_path):
    begin(tmp_path, STAGE)
    flip(tmp_path / "models/cheap.bin")  # its own, which it makes again
    begin(tmp_path, STAGE)


@pytest.mark.parametrize("name", ["data/made/rows.txt", "data/made/deep/more.txt"])
def test_a_damaged_input_is_refused_with_its_name_and_the_cure(kept, tmp_path, name):
    flip(tmp_path / name)
    with pytest.raises(UserError, match=f"^{name}: damaged, or changed .*`specacts verify --repair`"):
        begin(tmp_path, STAGE)


def test_what_an_earlier_stage_made_and_the_cache_does_not_hold_stops_the_next_one(kept, tmp_path):
    kept.object(output(kept, "models/cheap.bin").md5).unlink()
    with pytest.raises(UserError, match="cheap.bin: made, but not in the DVC cache .*`dvc commit --force train@cheap"):
        begin(tmp_path, "make")


def test_leftovers_of_killed_runs_go_and_an_old_output_comes_back(kept, tmp_path):
    before = contents(tmp_path)
    (tmp_path / "data/made").rename(tmp_path / f"data/.made.a1b2c3d4{OLD}")
    (tmp_path / f"data/.made.a1b2c3d4{NEW}").mkdir()
    (tmp_path / f"metrics/.cheap.json.z9y8x7w6{NEW}").write_text("{")
    begin(tmp_path, "make")
    begin(tmp_path, STAGE)
    assert contents(tmp_path) == before
    assert not [path for path in tmp_path.rglob(".*") if path.name.endswith((OLD, NEW))]


def test_a_stage_that_ended_and_that_dvc_does_not_know_of_is_saved_only_if_all_is_as_it_was(kept, tmp_path):
    write_lock(tmp_path, "make")  # a kill came before DVC wrote it down
    ended(tmp_path, STAGE, None)
    assert unsaved_stages(tmp_path) == [STAGE]
    for name in ("params.yaml", "models/cheap.bin", "metrics/cheap.json"):
        flip(tmp_path / name)
        assert unsaved_stages(tmp_path) == [], name
        flip(tmp_path / name)
    assert unsaved_stages(tmp_path) == [STAGE]
    (tmp_path / "data/made/rows.txt").write_text("other rows\n")
    write_lock(tmp_path, "make")
    assert unsaved_stages(tmp_path) == []


def test_scratch_is_kept_until_dvc_has_the_outputs(kept, tmp_path):
    scratch = tmp_path / ".work/train/cheap"
    scratch.mkdir(parents=True)
    write_lock(tmp_path, "make")
    ended(tmp_path, STAGE, scratch.relative_to(tmp_path))
    begin(tmp_path, "make")
    begin(tmp_path, STAGE)  # once more: from its checkpoints
    assert scratch.is_dir()
    ended(tmp_path, STAGE, scratch.relative_to(tmp_path))
    write_lock(tmp_path)
    assert unsaved_stages(tmp_path) == []
    begin(tmp_path, "make")
    assert not scratch.exists() and not list((tmp_path / ".work/done").iterdir())


def test_a_note_that_is_cut_off_counts_for_nothing(kept, tmp_path):
    write_lock(tmp_path, "make")
    ended(tmp_path, STAGE, None)
    cut(tmp_path / ".work/done/train@cheap.json")
    assert unsaved_stages(tmp_path) == []


def test_dvcs_own_files_are_mended(kept, tmp_path):
    begin(tmp_path, STAGE)
    before = (tmp_path / "dvc.lock").read_text()
    assert mend(tmp_path) == [] and (tmp_path / LAST_LOCK).read_text() == before
    (tmp_path / RWLOCK).write_text('{"wri')
    (tmp_path / "dvc.lock").write_text("")
    assert len(mend(tmp_path, dry=True)) == 2 and (tmp_path / "dvc.lock").read_text() == ""
    said = mend(tmp_path)
    assert said[0].endswith("removed, DVC makes it again") and said[1].endswith(
        "put back as it was before the latest stage"
    )
    assert not (tmp_path / RWLOCK).exists() and (tmp_path / "dvc.lock").read_text() == before
    assert mend(tmp_path) == []


def test_without_a_copy_dvc_lock_is_gits_or_goes(kept, tmp_path):
    before = (tmp_path / "dvc.lock").read_text()
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    for command in (("init", "-q"), ("add", "."), (*nobody, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    cut(tmp_path / "dvc.lock")
    assert mend(tmp_path)[0].endswith("put back as Git's latest commit has it")
    assert (tmp_path / "dvc.lock").read_text() == before
    shutil.rmtree(tmp_path / ".git")
    cut(tmp_path / "dvc.lock")
    assert "removed" in mend(tmp_path)[0] and not (tmp_path / "dvc.lock").exists()


def test_what_dvc_cleared_comes_back_from_the_cache_and_it_is_said(kept, tmp_path):
    before = contents(tmp_path)
    (tmp_path / "models/cheap.bin").unlink()
    shutil.rmtree(tmp_path / "data/made")
    (line,) = told(restore(tmp_path))
    assert line == "restored as dvc.lock has them: data/made, models/cheap.bin"
    assert contents(tmp_path) == before
    assert told(restore(tmp_path)) == []


def test_what_is_in_no_cache_comes_from_git_only_if_it_has_these_bytes(kept, tmp_path):
    """Git's latest commit may be of another scale, or of somebody else's traces."""
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    for command in (("init", "-q"), ("add", "metrics"), (*nobody, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    path = tmp_path / "metrics/cheap.json"
    path.unlink()
    assert [out.path for out in restore(tmp_path).back] == ["metrics/cheap.json"] and path.read_text() == "{}\n"
    path.write_text('{"of": "my own traces"}\n')
    write_lock(tmp_path)
    path.unlink()
    assert told(restore(tmp_path)) == [
        "not in the DVC cache: metrics/cheap.json; `dvc repro train@cheap` makes them again"
    ]
    assert not path.exists()
    assert json.loads((tmp_path / "params.yaml").read_text().partition(": ")[2]) == 0
