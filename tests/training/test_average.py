"""What is published is the average over the last part of a training."""

from types import SimpleNamespace

import pytest
import torch

from specacts.training.average import Averaging


def passes(model: torch.nn.Linear, averaging: Averaging, steps: range, of: int) -> None:
    """Steps in which every weight is the step's number."""
    for step in steps:
        with torch.no_grad():
            model.weight.fill_(float(step))
        averaging.on_step_end(None, SimpleNamespace(global_step=step, max_steps=of), None, model=model)


@pytest.fixture
def model() -> torch.nn.Linear:
    """Weights that are trained, and a bias that is not."""
    made = torch.nn.Linear(2, 2)
    made.bias.requires_grad_(False)
    return made


def averaged(model: torch.nn.Linear, averaging: Averaging) -> list[float]:
    averaging.put_into(model)
    return model.weight.flatten().tolist()


@pytest.mark.parametrize(("share", "expected"), [(0.5, 8.0), (0.2, 9.5), (0.05, 10.0), (0.0, 10.0)])
def test_weights_are_averaged_over_the_last_part_alone(model, share, expected):
    averaging = Averaging(share)
    passes(model, averaging, range(1, 11), of=10)
    assert averaged(model, averaging) == [pytest.approx(expected)] * 4


def test_a_training_that_went_on_from_a_checkpoint_averages_what_came_before_it_too(model, tmp_path):
    first = Averaging(0.5)
    passes(model, first, range(1, 9), of=10)
    (tmp_path / "checkpoint-8").mkdir()
    first.on_save(
        SimpleNamespace(output_dir=tmp_path), SimpleNamespace(global_step=8, is_world_process_zero=True), None
    )
    again = Averaging(0.5, tmp_path / "checkpoint-8")
    passes(model, again, range(9, 11), of=10)
    passes(model, first, range(9, 11), of=10)
    assert averaged(model, again) == averaged(model, first) == [8.0] * 4


def test_what_is_not_trained_stays_as_it_is(model):
    before = model.bias.clone()
    averaging = Averaging(0.5)
    passes(model, averaging, range(1, 11), of=10)
    averaging.put_into(model)
    assert torch.equal(model.bias, before)
