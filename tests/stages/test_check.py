"""The first stage refuses before DVC has cleared anything."""

import os
import subprocess
import sys

import pytest
from places import ROOT, copy_configuration

from specacts.core.errors import UserError
from specacts.models.device import Gpu, ram_gib
from specacts.plan.ranges import Range
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


@pytest.fixture
def on_a_gpu(config):
    """The configuration with a scale for a GPU."""
    return config.model_copy(update={"scale": config.scale.model_copy(update={"device": "cuda", "dtype": "bfloat16"})})


def test_a_scale_for_a_gpu_is_refused_where_there_is_none(on_a_gpu, monkeypatch):
    monkeypatch.setattr("specacts.models.device.gpu", lambda: "the installed torch was built without CUDA")
    with pytest.raises(UserError, match="scale/cpu.yaml: device: cuda needs a GPU, but the installed torch was built"):
        check.require_device(on_a_gpu)


def test_what_gpu_was_found_is_said(on_a_gpu, monkeypatch, capsys):
    monkeypatch.setattr("specacts.models.device.gpu", lambda: Gpu("L4", 1, 22, True, "8.9", "550", "2.13.0", "12.8"))
    check.require_device(on_a_gpu)
    assert capsys.readouterr().out.startswith("GPU: L4, 22.0 GiB")


def test_too_little_memory_for_the_largest_model_is_refused(config, monkeypatch):
    check.require_device(config)
    monkeypatch.setattr("specacts.plan.memory.largest", lambda *_, **__: Range(2 * ram_gib(), 3 * ram_gib()))
    with pytest.raises(UserError, match="scale/cpu.yaml: its models need at least .* GiB of memory"):
        check.require_device(config)


def test_a_scale_for_the_cpu_does_not_wait_for_torch(config, on_a_gpu, monkeypatch):
    """It takes seconds to import. Nor does one with `auto` on a machine without a GPU."""
    monkeypatch.setitem(sys.modules, "torch", None)  # an import raises
    monkeypatch.setattr("shutil.which", lambda _: None)
    check.require_device(config)
    check.require_device(config.model_copy(update={"scale": config.scale.model_copy(update={"device": "auto"})}))
    with pytest.raises(ImportError):
        check.require_device(on_a_gpu)
