"""The try-out of a GPU: what it measures and asserts, at toy size on a CPU; and one line where there is no GPU."""

import sys

import pytest
from places import ROOT
from toys import COMPACT, FRAMES, compact_tokenizer, episode, llama, save_base

from scripts import gpu_smoke
from scripts.gpu_smoke import Seen, foretold, judged, measure, slowest
from specacts.config import Rendering
from specacts.core.errors import UserError
from specacts.models.device import Gpu
from specacts.plan.ranges import Range

L4 = Gpu("NVIDIA L4", 1, 22.0, True, "8.9", "550.54", "2.13.0", "12.8")
RIGHT = Seen(frozenset({"bfloat16"}), 5.0, 9000.0, 10.0, 0.01, (2.0, 1.5))


@pytest.fixture(scope="module")
def seen(config, tmp_path_factory):
    """What a toy's training and answers measure, with what is foretold of them."""
    folder = tmp_path_factory.mktemp("smoke")
    tokenizer = compact_tokenizer()
    base = save_base(folder / "base", tokenizer, llama(tokenizer))
    limits = COMPACT.model_dump() | {"frames": {"smollm2": FRAMES}}
    toy = config.model_copy(update={"scale": config.scale.model_copy(update={"render": Rendering(**limits)})})
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        return measure(toy, base, [episode("a", 2), episode("b", 1)]), foretold(toy, base)


def test_on_a_cpu_all_that_is_asserted_holds_of_a_toy(seen):
    measured, memory = seen
    assert measured.dtypes == {"float32"} and measured.tokens_per_second > 0
    checks = judged(measured, "float32", memory._replace(high=100.0), slowest=1.0)  # a test's process holds much else
    assert [check.name for check in checks if not check.holds] == []


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"dtypes": frozenset({"float32"})}, "adapters compute"),
        ({"dtypes": frozenset({"bfloat16", "float32"})}, "adapters compute"),
        ({"memory": 9.0}, "peak memory"),
        ({"tokens_per_second": 400.0}, "training"),
        ({"apart": 0.2}, "probabilities"),
        ({"losses": (2.0, float("nan"))}, "loss"),
    ],
)
def test_each_assertion_fails_alone_and_shows_its_figures(wrong, name):
    assert all(check.holds for check in judged(RIGHT, "bfloat16", Range(3, 6), 1000.0))
    checks = judged(RIGHT._replace(**wrong), "bfloat16", Range(3, 6), 1000.0)
    assert [check.name for check in checks if not check.holds] == [name]
    assert next(check for check in checks if not check.holds).told().startswith(f"WRONG {name}")


def test_a_gpu_that_the_plan_knows_has_a_slowest_rate_and_another_has_none(seen, tmp_path):
    save_base(tmp_path, compact_tokenizer(), llama(compact_tokenizer()))
    assert slowest(L4, tmp_path) > 0 and slowest(L4._replace(name="NVIDIA GeForce RTX 4090"), tmp_path) > 0
    assert slowest(L4._replace(name="NVIDIA L40"), tmp_path) is None
    assert slowest(L4._replace(name="Some New Card"), tmp_path) is None
    for part in ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA GeForce RTX 4090 Laptop GPU"):
        assert slowest(L4._replace(name=part), tmp_path) is None


def test_without_a_gpu_it_ends_in_one_line(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["gpu_smoke"])
    monkeypatch.setattr(gpu_smoke, "gpu", lambda: "the installed torch (2.13.0+cpu) was built without CUDA")
    with pytest.raises(UserError, match="^no GPU to try: the installed torch .2.13.0.cpu. was built without CUDA$"):
        gpu_smoke.main()
