"""`make clean` removes what can be made again, and nothing else."""

import subprocess

from places import ROOT


def test_clean_keeps_what_the_gateway_logged(tmp_path):
    kept, gone = tmp_path / ".work/serve/logs/2026-11-26-alone.jsonl.gz", tmp_path / ".work/wheels/a.whl"
    for path in (kept, gone, tmp_path / "specacts/__pycache__/a.pyc"):
        path.parent.mkdir(parents=True)
        path.touch()
    subprocess.run(["make", "--silent", "--file", ROOT / "Makefile", "clean"], cwd=tmp_path, check=True)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {kept}
    subprocess.run(["make", "--silent", "--file", ROOT / "Makefile", "clean"], cwd=tmp_path, check=True)
