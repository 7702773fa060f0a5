"""Several processes train what one would, and the stage that starts them hears what they say."""

import shutil
import subprocess
from pathlib import Path

import pytest
from places import ROOT
from pydantic import TypeAdapter
from safetensors.torch import load_file
from toys import CHAT, episode, qwen3_base, settings

from specacts.core.errors import UserError
from specacts.training.job import Job
from specacts.training.launch import launch, processes, refuse_launcher
from specacts.training.rows import Row, Weights, proposer_rows
from specacts.transcripts.render import load_renderer


@pytest.mark.parametrize(
    ("devices", "batch_size", "used"),
    [(1, 1, 1), (1, 8, 1), (4, 1, 1), (4, 8, 4), (8, 4, 4), (3, 8, 2), (8, 6, 6), (0, 2, 1)],
)
def test_as_many_gpus_are_used_as_share_out_the_rows_of_a_step_evenly(devices, batch_size, used):
    assert processes(devices, batch_size) == used


def test_a_stage_that_a_launcher_started_several_times_says_that_it_does_so_itself(monkeypatch):
    refuse_launcher()
    monkeypatch.setenv("WORLD_SIZE", "1")
    refuse_launcher()
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match="started 4 copies of this stage; run it once"):
        refuse_launcher()


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return qwen3_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def rows(base) -> list[Row]:
    episodes = [episode(name, turns) for name, turns in zip("abcdef", (2, 1, 3, 1, 2, 3), strict=True)]
    return list(proposer_rows(load_renderer(base, CHAT), episodes, Weights(2.0, 0.3)))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_what_one_does_with_as_many_rows_a_step(base, rows, tmp_path, monkeypatch, capfd):
    """By `accelerate launch` and DDP over gloo; one of the two reads a step in one batch, the other in two."""
    from specacts.training.train import train

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    how = {"batch_size": 4, "epochs": 12.0}
    one = train(base, rows, tmp_path / "one", tmp_path / "scratch", settings(**how))
    lengths = [len(row.ids) for row in rows]
    how |= {"processes": 2, "most_tokens": lengths[0] + lengths[1]}
    two = train(base, rows, tmp_path / "two", tmp_path / "scratch", settings(**how))
    assert (two.steps, two.rows, two.seen_tokens) == (one.steps, one.rows, one.seen_tokens)
    assert two.losses[-1][1] < two.losses[0][1]
    assert [loss for _, loss, _ in two.losses] == pytest.approx([loss for _, loss, _ in one.losses], rel=1e-3)
    a, b = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert a.keys() == b.keys() and all((a[key] - b[key]).abs().max() < 1e-3 for key in a)
    assert (tmp_path / "one/adapter_config.json").read_bytes() == (tmp_path / "two/adapter_config.json").read_bytes()
    (last,) = (tmp_path / "scratch").glob(f"*/checkpoint-{two.steps}/rng_state_1.pth")  # the second process's
    shutil.rmtree(last.parent)  # as if it had been stopped after the checkpoint before
    capfd.readouterr()
    again = train(base, rows, tmp_path / "again", tmp_path / "scratch", settings(**how))
    assert again.losses == two.losses and "going on from checkpoint-20" in capfd.readouterr().out
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("two", "again")]
    assert files[0] == files[1]


def test_what_stopped_a_process_is_what_the_stage_says(tmp_path, monkeypatch):
    job = Job(tmp_path, tmp_path, tmp_path, tmp_path / "job", settings(processes=2), 1, 1.0, False, None, None)

    def ends(code: int, said: str = ""):
        def run(command, **_):
            assert TypeAdapter(Job).validate_json((tmp_path / "job/job.json").read_bytes()) == job
            if said:
                (tmp_path / "job/error.txt").write_text(f"{said}\n")
            return subprocess.CompletedProcess(command, code)

        monkeypatch.setattr(subprocess, "run", run)

    ends(1, "training: the loss is nan at step 1")
    with pytest.raises(UserError, match="^training: the loss is nan at step 1$"):
        launch(job, 2)
    ends(-9)
    with pytest.raises(UserError, match=r"one of 2 processes stopped \(exit code -9\)"):
        launch(job, 2)
