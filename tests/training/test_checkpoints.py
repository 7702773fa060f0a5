"""Only a whole checkpoint is gone on from, and what is wrong with another one is said."""

from pathlib import Path

import pytest
from damage import cut, flip

from specacts.core.manifest import LIST, seal
from specacts.training.checkpoints import newest

FILES = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")


@pytest.fixture
def checkpoints(tmp_path) -> Path:
    for step in (20, 100):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for file in FILES:
            (folder / file).write_text(f'{{"global_step": {step}}}')
        seal(folder)
    return tmp_path


def test_the_newest_is_the_one_after_most_steps(checkpoints):
    assert newest(checkpoints) == checkpoints / "checkpoint-100"


@pytest.mark.parametrize("name", [*FILES, LIST])
@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
def test_of_a_damaged_one_it_is_said_what_is_wrong_and_the_older_one_is_gone_on_from(checkpoints, capsys, harm, name):
    harm(checkpoints / "checkpoint-100" / name)
    assert newest(checkpoints) == checkpoints / "checkpoint-20"
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "not used" in line]
    assert said.startswith("checkpoint-100 is not used: ")
    assert not (checkpoints / "checkpoint-100").exists()


def test_another_step_number_is_a_damage(checkpoints, capsys):
    path = checkpoints / "checkpoint-100/trainer_state.json"
    path.write_text(path.read_text().replace("100", "101"))
    assert newest(checkpoints) == checkpoints / "checkpoint-20"
    assert "trainer_state.json is damaged" in capsys.readouterr().out


def test_without_a_whole_one_training_begins_afresh(checkpoints, tmp_path):
    for step in (20, 100):
        flip(checkpoints / f"checkpoint-{step}/optimizer.pt")
    assert newest(checkpoints) is None
    assert newest(tmp_path / "nowhere") is None
