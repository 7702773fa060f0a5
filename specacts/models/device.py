"""The device that models are to run on: what it is, and whether it is enough.

    found = gpu()                        # a Gpu, or why there is none
    require(found, "bfloat16", 23.5, "configs/scale/qwen3.yaml")

Asked before anything is downloaded (stages/check.py), and shown by `python -m scripts.gpu_smoke`.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil

from specacts.core.errors import UserError

GIB = 2**30


class Gpu(NamedTuple):
    """What a GPU is. gib: its memory; of several alike the smallest. driver: as nvidia-smi has it, if it is there."""

    name: str
    cards: int
    gib: float
    bf16: bool
    capability: str
    driver: str
    torch: str
    cuda: str

    def told(self) -> str:
        """In a line."""
        several = f"{self.cards} × " if self.cards > 1 else ""
        bf16 = "bfloat16" if self.bf16 else "no bfloat16"
        versions = f"driver {self.driver}, torch {self.torch}, CUDA {self.cuda}"
        return f"{several}{self.name}, {self.gib:.1f} GiB, compute capability {self.capability} ({bf16}), {versions}"


def gpu() -> Gpu | str:
    """The GPUs that torch sees, or why it sees none and what to do."""
    import torch  # takes seconds: only who needs a GPU imports it

    if torch.version.cuda is None:
        return (
            f"the installed torch ({torch.__version__}) was built without CUDA; install the same version built for "
            "your CUDA (docs/gpu.md)"
        )
    if not torch.cuda.is_available():
        return (
            f"torch {torch.__version__} finds none; `nvidia-smi` has to list one, with a driver new enough for CUDA "
            f"{torch.version.cuda}, and CUDA_VISIBLE_DEVICES must not hide it"
        )
    count = torch.cuda.device_count()
    seen = [torch.cuda.get_device_properties(number) for number in range(count)]
    return Gpu(
        name=seen[0].name,
        cards=count,
        gib=min(one.total_memory for one in seen) / GIB,
        bf16=all(one.major >= 8 for one in seen),  # below, torch emulates it, slowly
        capability=f"{seen[0].major}.{seen[0].minor}",
        driver=driver(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
    )


def driver() -> str:
    """The driver's version; `unknown` without nvidia-smi."""
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0].strip() if done.returncode == 0 else "unknown"


def require(found: Gpu | str, dtype: str, needed: float, where: str) -> None:
    """UserError, naming the scale file `where`, unless there is a GPU with this dtype and `needed` GiB of memory."""
    if isinstance(found, str):
        raise UserError(
            f"{where}: device: cuda needs a GPU, but {found}. Nothing was downloaded. Without a GPU use the scale cpu "
            "or laptop (docs/scales.md)"
        )
    if dtype == "bfloat16" and not found.bf16:
        raise UserError(
            f"{where}: dtype: bfloat16 needs a GPU of compute capability 8.0 or more (A10, A100, L4, RTX 30 and "
            f"later), but {found.name} has {found.capability}; use such a one, or write dtype: float32, which takes "
            "twice the memory"
        )
    if found.gib < needed:
        raise UserError(
            f"{where}: its models need at least {needed:.0f} GiB of GPU memory (`specacts plan` says which), but "
            f"{found.name} has {found.gib:.0f}; use a larger GPU, smaller bases, a lower render.max_tokens, or "
            "gradient_checkpointing: true"
        )


def ram_gib() -> float:
    """The memory that there is for this process, in GiB: the machine's or, in a container, what that may have of it."""
    return min([psutil.virtual_memory().total, *memory_limits(*GROUPS)]) / GIB


def free_ram() -> int:
    """The bytes of it that this process can still have; in a container others in there may take some of them."""
    own = psutil.Process().memory_info().rss
    return max(0, min([psutil.virtual_memory().available, *(limit - own for limit in memory_limits(*GROUPS))]))


GROUPS = (Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def memory_limits(groups: Path, mounted: Path) -> list[int]:
    """The limits in bytes of the control groups that a process is in, and of those around them (Linux alone has any).

    groups: which they are, a line each (man 7 cgroups). mounted: where their files are. In a container a group may have
    a path of the machine outside, which is not there; its limit then stands at the top.
    """
    limits = []
    for line in groups.read_text(encoding="utf-8").splitlines() if groups.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            file = folder / name
            if folder.is_relative_to(top) and file.is_file() and (limit := file.read_text("ascii").strip()) != "max":
                limits.append(int(limit))
    return limits


def require_ram(needed: float, where: str) -> None:
    """UserError, naming the scale file `where`, on a machine with less memory than `needed` GiB."""
    if ram_gib() < needed:
        raise UserError(
            f"{where}: its models need at least {needed:.0f} GiB of memory (`specacts plan` says which), but this "
            f"machine or container has {ram_gib():.0f}; use a smaller scale, or a lower render.max_tokens"
        )
