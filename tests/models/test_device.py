"""A GPU that is not there, too old or too small is one clear line, before anything is downloaded."""

import psutil
import pytest

from specacts.core.errors import UserError
from specacts.models import device
from specacts.models.device import Gpu, free_ram, gpu, memory_limits, ram_gib, require, require_ram

WHERE = "configs/scale/qwen3.yaml"
A100 = Gpu("NVIDIA A100-SXM4-40GB", 1, 39.4, True, "8.0", "550.54", "2.13.0", "12.8")


def test_a_gpu_that_is_enough_is_told_in_a_line():
    require(A100, "bfloat16", 39, WHERE)
    told = "NVIDIA A100-SXM4-40GB, 39.4 GiB, compute capability 8.0 (bfloat16), driver 550.54, torch 2.13.0, CUDA 12.8"
    assert A100.told() == told
    assert A100._replace(cards=4).told() == f"4 × {told}"


def test_too_little_memory_names_both_figures_and_the_ways_out():
    with pytest.raises(UserError, match=f"^{WHERE}: its models need at least 45 GiB .* but NVIDIA A100.* has 39; use"):
        require(A100, "bfloat16", 45.2, WHERE)


def test_a_gpu_without_bfloat16_is_refused_for_it_and_fine_without():
    t4 = A100._replace(name="Tesla T4", bf16=False, capability="7.5")
    with pytest.raises(UserError, match=r"dtype: bfloat16 needs .* capability 8.0 .* but Tesla T4 has 7.5"):
        require(t4, "bfloat16", 1, WHERE)
    require(t4, "float32", 1, WHERE)


def test_no_gpu_says_why_and_that_nothing_was_downloaded():
    with pytest.raises(UserError, match=f"^{WHERE}: device: cuda needs a GPU, but torch finds none. Nothing was dow"):
        require("torch finds none", "bfloat16", 1, WHERE)


def test_what_torch_says_here_is_a_gpu_or_a_reason():
    found = gpu()
    assert isinstance(found, Gpu) or "built without CUDA" in found or "nvidia-smi" in found


def test_this_machines_memory_is_known_and_asked_for():
    require_ram(ram_gib() / 2, WHERE)
    with pytest.raises(UserError, match="GiB of memory .* but this machine or container has"):
        require_ram(ram_gib() * 2, WHERE)


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "4000"}, [4000]),  # as a container sees itself
        ("0::/a/b\n", {"memory.max": "max", "a/memory.max": "3000", "a/b/memory.max": "max"}, [3000]),
        ("4:cpu,memory:/docker/12\n2:cpu:/\n", {"memory/memory.limit_in_bytes": "2000", "memory.max": "1"}, [2000]),
        ("0::/\n", {}, []),
        (None, {}, []),  # no Linux
    ],
)
def test_a_container_has_what_its_control_groups_allow(tmp_path, groups, files, limits):
    if groups:
        (tmp_path / "groups").write_text(groups)
    for name, text in files.items():
        (tmp_path / "mounted" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mounted" / name).write_text(f"{text}\n")
    assert memory_limits(tmp_path / "groups", tmp_path / "mounted") == limits


@pytest.mark.parametrize("limits", [[], [2**33], [1]])
def test_what_memory_there_is_where_nothing_limits_it_and_where_something_does(monkeypatch, limits):
    monkeypatch.setattr(device, "memory_limits", lambda *_: limits)
    there = psutil.virtual_memory()
    assert ram_gib() == min([there.total, *limits]) / 2**30
    free = free_ram()
    assert 0 <= free <= there.total and (free > 0) == (limits != [1])
