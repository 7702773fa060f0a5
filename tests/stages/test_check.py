"""The first stage refuses before DVC has cleared anything."""

import os
import subprocess
import sys

import pytest
from places import ROOT, copy_configuration

from specacts.core.errors import UserError
from stages import check

RUN = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('stages.check', run_name='__main__')"


def test_a_python_without_the_projects_packages_is_told_what_to_do(tmp_path):
    # -I -S: no site-packages, as under a python that is not the environment's
    done = subprocess.run([sys.executable, "-I", "-S", "-c", RUN], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "make setup" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", ["path", "types"])
def test_traces_that_are_not_there_are_refused_before_anything_runs(tmp_path, monkeypatch, config, field):
    monkeypatch.chdir(copy_configuration(tmp_path))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    check.main()
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace(f"  {field}: {getattr(config.sources, field)}", f"  {field}: gone"))
    with pytest.raises(UserError, match=f"params.yaml: sources.{field}: 'gone': no such file or folder"):
        check.main()


def test_traces_that_an_experiment_lacks_are_told_to_git(tmp_path, monkeypatch):
    monkeypatch.chdir(copy_configuration(tmp_path))
    monkeypatch.setenv("DVC_EXP_NAME", "bold-name")  # as DVC sets it
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("  path: examples/helpdesk.jsonl", "  path: my logs.jsonl"))
    with pytest.raises(UserError, match="an experiment sees only what Git knows: git add 'my logs.jsonl'"):
        check.main()


@pytest.mark.parametrize("field", ["path", "types"])
def test_a_pipe_at_the_traces_place_or_among_them_is_refused_before_dvc_reads_it(tmp_path, monkeypatch, config, field):
    monkeypatch.chdir(copy_configuration(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/helpdesk.jsonl").symlink_to(ROOT / "examples/helpdesk.jsonl")
    params = tmp_path / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace(f"  {field}: {getattr(config.sources, field)}", f"  {field}: pipe"))
    with pytest.raises(UserError, match="pipe: a pipe, not a file"):
        check.main()
    if field == "path":
        params.write_text(text.replace(f"  path: {config.sources.path}", "  path: examples"))
        check.main()
        os.rename("pipe", "examples/pipe")
        with pytest.raises(UserError, match="examples/pipe: a pipe, not a file"):
            check.main()
