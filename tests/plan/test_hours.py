"""Hours are taken from published or measured throughput, and say which."""

import json

import pytest

from specacts.core.errors import UserError
from specacts.models.shapes import KNOWN, shape_of
from specacts.plan.hours import (
    GPUS,
    Measured,
    gpu_named,
    live_steps,
    measured,
    on_cpu,
    on_gpu,
    published,
    total,
    training_rate,
)
from specacts.plan.ranges import Range
from specacts.plan.tokens import Asked, Counted, Training

ROLES = ("cheap", "verifier", "strong")


@pytest.fixture
def shapes(config):
    return {role: shape_of(config.scale, role) for role in ROLES}


@pytest.fixture
def counted() -> dict:
    training = Training(100, Range(1e5, 1e5), Range(2e5, 2e5), 100)
    one = Counted(True, training, Asked(1000, 60_000, Range(0, 0), Range(10_000, 15_000), Range(1000, 2000)))
    return dict.fromkeys(ROLES, one)


def test_published_sizes_have_their_published_throughput_and_others_lie_between_or_are_slower():
    for size, rate in (("1.7B", 20_800), ("4B", 12_400), ("8B", 8_900)):
        assert published(KNOWN[f"Qwen/Qwen3-{size}"].parameters) == pytest.approx(rate)
    assert 8_900 < published(6 * 10**9) < 12_400 and published(6 * 10**8) > 20_800
    assert published(2 * KNOWN["Qwen/Qwen3-8B"].parameters) == pytest.approx(8_900 / 2)


def test_a_range_ends_in_what_was_published_and_other_gpus_are_slower_by_their_arithmetic():
    shape = KNOWN["Qwen/Qwen3-8B"]
    assert training_rate(shape, GPUS["h100"]) == pytest.approx((8_900 / 3, 8_900))
    assert training_rate(shape, GPUS["a100"]).high == pytest.approx(8_900 * 312 / 989)


def test_a_gpus_hours_are_those_of_its_parts(config, counted, shapes):
    hours = on_gpu(config, counted, shapes, GPUS["h100"])
    assert list(hours) == [*(f"train {role}" for role in ROLES), "propose, answer", "live", "other stages"]
    assert all(0 < took.low <= took.high for took in hours.values())
    assert total(hours).high < total(on_gpu(config, counted, shapes, GPUS["l4"])).high


def test_the_run_that_was_measured_takes_what_it_took(config, counted, shapes):
    bodies = {role: shapes[role].body for role in ROLES}
    run = Measured("cpu", {role: 500.0 for role in ROLES}, bodies, 1800.0, 1000, dict.fromkeys(ROLES, 10_000))
    hours = on_cpu(config, counted, shapes, run)
    assert hours["train strong"].low < 2e5 / 500 / 3600 < hours["train strong"].high
    assert hours["propose, answer"].low < 0.5 < hours["propose, answer"].high
    larger = shapes | {"strong": shapes["strong"]._replace(layers=60)}
    assert on_cpu(config, counted, larger, run)["train strong"].low > 1.9 * hours["train strong"].low


def test_a_recorded_agent_and_own_traces_do_nothing_live(config):
    recorded = config.recipe.model_copy(update={"strong": "recorded"})
    assert live_steps(config).low > 0
    assert live_steps(config.model_copy(update={"recipe": recorded})) == (0, 0)


LOCK = """\
schema: '2.0'
stages:
  train@cheap:
    cmd: python -m stages.train cheap
    params:
      params.yaml: {seed: 0}
      configs/scale/mine.yaml: {device: DEVICE}
"""


def test_only_a_run_on_a_cpu_tells_of_a_cpu(tmp_path):
    assert measured(tmp_path) is None
    (tmp_path / "metrics/train").mkdir(parents=True)
    roles = {role: {"parameters_without_embedding": 10} for role in ROLES}
    (tmp_path / "metrics/assets.json").write_text(json.dumps({"roles": roles}))
    for role in ROLES:
        (tmp_path / f"metrics/train/{role}.json").write_text('{"seen_tokens": 1000, "seconds": 2.0}')
    answer = {"seconds": 9.0, "decisions": {"test": 3}, "generated_tokens": {"cheap": 5, "strong": 6, "middle": 7}}
    (tmp_path / "metrics/answer.json").write_text(json.dumps(answer))
    (tmp_path / "dvc.lock").write_text(LOCK.replace("DEVICE", "cuda"))
    assert measured(tmp_path) is None
    (tmp_path / "dvc.lock").write_text(LOCK.replace("DEVICE", "cpu"))
    found = measured(tmp_path)
    assert (found.scale, found.rates["strong"], found.decisions) == ("mine", 500.0, 3)
    assert found.written == {"cheap": 5, "verifier": 7, "strong": 6}


def test_gpus_are_named_and_an_h100_is_meant_where_none_is(config):
    assert gpu_named(None, "cuda") == GPUS["h100"] and gpu_named(None, "cpu") is None
    assert gpu_named("l4", "cpu") == GPUS["l4"]
    with pytest.raises(UserError, match="--gpu tpu: not known; choose from h100"):
        gpu_named("tpu", "cuda")
