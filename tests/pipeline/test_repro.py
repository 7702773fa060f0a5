"""`make repro` around DVC: without Git, stopped, out of room, and after that."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from places import ROOT

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  first:
    cmd: echo 1 > first.txt
    outs: [first.txt]
  second:
    cmd: COMMAND
    deps: [first.txt, settings.txt]
    outs: [second.txt]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A DVC repository of two stages after a run, without Git."""
    made = tmp_path_factory.mktemp("finished") / "work space"
    (made / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc/config", made / ".dvc/config")
    (made / "settings.txt").write_text("a")
    (made / "dvc.yaml").write_text(PIPELINE.replace("COMMAND", "cp settings.txt second.txt"))
    assert repro(made).returncode == 0
    return made


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "work space"))


def start(folder: Path) -> subprocess.Popen:
    outside = {"GIT_CEILING_DIRECTORIES": str(folder.parent), "DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.repro"],
        cwd=folder,
        env={**os.environ, **outside},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def repro(folder: Path) -> subprocess.CompletedProcess:
    running = start(folder)
    said, _ = running.communicate(timeout=120)
    return subprocess.CompletedProcess(running.args, running.returncode, said)


def change(folder: Path, command: str) -> None:
    (folder / "dvc.yaml").write_text(PIPELINE.replace("COMMAND", command))


def test_without_git_dvc_runs_and_keeps_nothing_of_it(folder):
    assert (folder / "second.txt").exists() and not (folder / ".dvc/config.local").exists()


def test_what_earlier_versions_left_goes_where_git_works(folder):
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n    checksum_jobs = 1\n")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    assert repro(folder).returncode == 0
    left = (folder / ".dvc/config.local").read_text()
    assert "no_scm" not in left and "checksum_jobs = 1" in left


def test_what_a_failed_stage_had_cleared_comes_back_and_that_is_said(folder):
    change(folder, "exit 3")
    done = repro(folder)
    assert done.returncode not in (0, 130) and "restored as dvc.lock has them: second.txt" in done.stdout
    assert (folder / "second.txt").read_text() == "a"


@pytest.mark.parametrize(
    ("number", "whom", "code"),
    [
        (signal.SIGINT, "all", 130),
        (signal.SIGINT, "one", 130),
        (signal.SIGTERM, "one", 143),
        (signal.SIGHUP, "one", 129),
    ],
)
def test_stopped_it_ends_all_that_it_started_and_brings_back_what_was_there(folder, number, whom, code):
    """Ctrl-C reaches everybody in the terminal; `make` passes TERM on to whom it started alone."""
    change(folder, "touch begun && sleep 60")
    running = start(folder)
    end = time.monotonic() + 60
    while not (folder / "begun").exists() and time.monotonic() < end:
        time.sleep(0.05)
    family = psutil.Process(running.pid).children(recursive=True)
    assert len(family) >= 2
    os.killpg(running.pid, number) if whom == "all" else running.send_signal(number)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == code, said
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert (folder / "second.txt").read_text() == "a" and "restored as dvc.lock has them: second.txt" in said


@pytest.mark.parametrize("name", ["dvc.lock", ".dvc/tmp/rwlock"])
def test_files_of_dvcs_that_a_full_disk_cut_off_are_mended_and_that_is_said(folder, name):
    (folder / name).write_text("{")
    done = repro(folder)
    assert done.returncode == 0 and f"{name}: cut off, as by a full disk" in done.stdout
    assert (folder / "second.txt").read_text() == "a"


def test_what_the_cache_lacks_is_saved_before_dvc_would_make_it_again(folder):
    for path in (folder / ".dvc/cache/files/md5").glob("*/*"):
        path.unlink()
    shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)
    done = repro(folder)
    assert done.returncode == 0 and "saved in the DVC cache: first.txt" in done.stdout
    assert "Running stage" not in done.stdout


def test_a_full_cache_is_no_success_and_with_room_again_what_was_made_is_saved(folder):
    """Of a folder DVC only logs that its cache took nothing, and counts the stage as done. A limit on how large a file
    may be, which the stage lifts for itself, stands for the full disk."""
    command = "ulimit -S -f unlimited && mkdir second && head -c 9000000 /dev/zero > second/large"
    made = PIPELINE.replace("COMMAND", command).replace("[second.txt]", "[second]")
    (folder / "dvc.yaml").write_text(made)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, hard))
    try:
        done = repro(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.returncode == 1 and (folder / "second/large").stat().st_size == 9_000_000, done.stdout
    assert "error: second: made, but not in the DVC cache" in done.stdout and "dvc commit --force second" in done.stdout
    again = repro(folder)
    assert again.returncode == 0 and "saved in the DVC cache: second" in again.stdout, again.stdout
    assert "Running stage" not in again.stdout
