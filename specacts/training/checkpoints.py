"""Checkpoints that a training can go on from: whole ones, the newest first.

    newest(folder)          # where to go on from; says of each newer one what is wrong with it, and removes it
    Sealing()               # a callback that seals each checkpoint once it is written

Every checkpoint has a list of its files' SHA-256, written last (specacts/core/manifest.py). One without it was not
finished, one that differs from it is damaged: either would fail to load, or go on to other weights without a word.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from specacts.core.manifest import flaw, seal


class Sealing(TrainerCallback):
    """Seals a checkpoint when everything of it is there: each of several processes writes something."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.world_size > 1:
            torch.distributed.barrier()
        if state.is_world_process_zero:
            seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint; None where there is none. Others are removed, with a line for each."""
    for path in sorted(folder.glob("checkpoint-*"), key=steps, reverse=True):
        wrong = flaw(path)
        if wrong is None:
            print(f"going on from {path.name}", flush=True)
            return path
        print(f"{path.name} is not used: {wrong}", flush=True)
        shutil.rmtree(path)
    return None


def steps(path: Path) -> int:
    """After how many steps a checkpoint was made, by its name."""
    number = path.name.partition("-")[2]
    return int(number) if number.isdecimal() else -1
