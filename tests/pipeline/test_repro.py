"""`make repro` where there is no Git, as in an unpacked archive, and where there is again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from places import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work space"
    for name in (".dvc", "scripts"):
        (made / name).mkdir(parents=True)
    shutil.copy(ROOT / ".dvc/config", made / ".dvc/config")
    shutil.copy(ROOT / "scripts/repro.sh", made / "scripts/repro.sh")
    (made / "dvc.yaml").write_text("stages:\n  a:\n    cmd: echo 1 > a.txt\n    outs: [a.txt]\n")
    return made


def repro(folder: Path) -> None:
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(["scripts/repro.sh"], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_git_dvc_runs_and_keeps_nothing_of_it(folder):
    repro(folder)
    assert (folder / "a.txt").exists() and not (folder / ".dvc/config.local").exists()


def test_what_earlier_versions_left_goes_where_git_works(folder):
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n    checksum_jobs = 1\n")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    repro(folder)
    left = (folder / ".dvc/config.local").read_text()
    assert "no_scm" not in left and "checksum_jobs = 1" in left
