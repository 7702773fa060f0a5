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
from places import ROOT, copy_configuration

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


def start(folder: Path, **environment: str) -> subprocess.Popen:
    outside = {"GIT_CEILING_DIRECTORIES": str(folder.parent), "DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.repro"],
        cwd=folder,
        env={**os.environ, **outside, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def repro(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    running = start(folder, **environment)
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


# -- two trainings at a time --------------------------------------------------------------------------------------

TWO = """\
stages:
  fetch: {cmd: "echo 1 > fetched.txt", outs: [fetched.txt]}
  modules: {cmd: "echo 1 > modules.txt", outs: [modules.txt]}
  split: {cmd: "echo 1 > split.txt", deps: [settings.txt], outs: [split.txt]}
  train:
    foreach: [cheap, strong]
    do:
      cmd: COMMAND
      deps: [fetched.txt, modules.txt, split.txt]
      outs: ["${item}.txt"]
  propose: {cmd: "cp cheap.txt proposed.txt", deps: [cheap.txt], outs: [proposed.txt]}
  answer:
    cmd: cat cheap.txt strong.txt > answers.txt
    deps: [cheap.txt, strong.txt, proposed.txt]
    outs: [answers.txt]
"""
MEET = "touch ${item}.begun && until [ -e cheap.begun ] && [ -e strong.begun ]; do sleep 0.1; done"
"""A training that waits for the other one: it would wait for ever if it had to end first."""
BESIDE = "[ ${item} = cheap ] || until [ -e proposed.txt ]; do sleep 0.1; done"
"""The strong one's waits for the proposals too."""


@pytest.fixture
def trainings(tmp_path) -> Path:
    made = tmp_path / "two trainings"
    (made / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc/config", made / ".dvc/config")
    copy_configuration(made)
    (made / "examples").mkdir()
    shutil.copy(ROOT / "examples/helpdesk.jsonl", made / "examples")
    (made / "settings.txt").write_text("a")
    (made / "dvc.yaml").write_text(TWO.replace("COMMAND", f"{MEET}; {BESIDE}; echo $OMP_NUM_THREADS > ${{item}}.txt"))
    return made


def test_both_trainings_run_at_once_with_half_of_the_cores_and_then_the_rest(trainings):
    done = repro(trainings, OMP_NUM_THREADS="5")
    assert done.returncode == 0, done.stdout
    assert "train@cheap and train@strong run at the same time, with 2 of 4 cores each" in done.stdout
    waits = "Running stage 'train@strong'", "Running stage 'propose'", "Running stage 'answer'"
    assert all(done.stdout.count(line) == 1 for line in waits)
    assert (trainings / "answers.txt").read_text() == "2\n2\n"
    again = repro(trainings, OMP_NUM_THREADS="5")
    assert again.returncode == 0 and "Running stage" not in again.stdout and "at the same time" not in again.stdout
    (trainings / "settings.txt").write_text("b")  # changes what `split` makes of it not at all
    again = repro(trainings, OMP_NUM_THREADS="5")
    assert again.returncode == 0 and again.stdout.count("Running stage") == 1
    assert "at the same time" not in again.stdout


def test_with_one_core_or_a_training_that_is_none_dvc_runs_them_one_by_one(trainings):
    (trainings / "dvc.yaml").write_text(TWO.replace("COMMAND", "echo 1 > ${item}.txt"))
    done = repro(trainings, OMP_NUM_THREADS="1")
    assert done.returncode == 0 and "at the same time" not in done.stdout
    (trainings / "dvc.yaml").write_text(TWO.replace("COMMAND", "echo 2 > ${item}.txt"))
    params = (trainings / "params.yaml").read_text()
    (trainings / "params.yaml").write_text(params.replace("recipe: v3", "recipe: v2"))  # its strong model is frozen
    done = repro(trainings, OMP_NUM_THREADS="4")
    assert done.returncode == 0 and done.stdout.count("Running stage") == 4 and "at the same time" not in done.stdout


def test_where_one_training_fails_the_other_ends_too(trainings):
    fails = f"{MEET}; [ ${{item}} = strong ] && exit 3; sleep 60; touch ${{item}}.txt"
    (trainings / "dvc.yaml").write_text(TWO.replace("COMMAND", fails))
    started = time.monotonic()
    done = repro(trainings, OMP_NUM_THREADS="2")
    assert done.returncode not in (0, 130) and "train@strong" in done.stdout
    assert time.monotonic() - started < 50 and not (trainings / "cheap.txt").exists()


def test_stopped_both_trainings_end(trainings):
    (trainings / "dvc.yaml").write_text(TWO.replace("COMMAND", f"{MEET}; touch ${{item}}.met; sleep 60"))
    running = start(trainings, OMP_NUM_THREADS="2")
    end = time.monotonic() + 60
    while len(list(trainings.glob("*.met"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    family = psutil.Process(running.pid).children(recursive=True)
    os.killpg(running.pid, signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
