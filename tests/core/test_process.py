"""One copy of a stage at a time, and none that outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from places import ROOT

from specacts.core.errors import UserError
from specacts.core.process import stage

HOLD = """
import time
from specacts.core.process import stage
with stage("toy"):
    print("held", flush=True)
    time.sleep(60)
"""


def start(folder: Path, code: str = HOLD) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    """Whether the process is there and not a zombie that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of stage `toy` in `tmp_path`."""
    process = start(tmp_path)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_copy_is_refused(holder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="stage toy: another copy is running"):
        with stage("toy"):
            pass


def test_another_stage_and_another_workspace_are_not_held_up(holder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with stage("other"):
        pass
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with stage("toy"):
        pass


def test_the_lock_is_free_after_the_stage_and_after_its_failure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with stage("toy"):
        pass
    with pytest.raises(ZeroDivisionError):
        with stage("toy"):
            raise ZeroDivisionError
    with stage("toy"):
        pass


def test_kill_9_frees_the_lock(holder, tmp_path, monkeypatch):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    monkeypatch.chdir(tmp_path)
    with stage("toy"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_stage_dies_with_its_parent(tmp_path):
    # The parent plays `dvc repro`: it starts the stage, says which process that is, and is killed.
    parent = start(
        tmp_path,
        f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {HOLD!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\nprint(child.pid, flush=True)\nchild.wait()",
    )
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.communicate()
    assert eventually(lambda: not is_running(child))
