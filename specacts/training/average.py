"""The average of an adapter's weights over the last part of its training, which is steadier than where it ended.

    averaging = Averaging(share=0.1, checkpoint=newest(folder))     # a callback of the trainer
    averaging.put_into(model)                                       # once it has trained

Polyak and Juditsky 1992; over the last steps alone as in Izmailov et al. 2018 (stochastic weight averaging). What has
been averaged is part of each checkpoint, so a training that was interrupted ends in the same bytes.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback

NAME = "average.safetensors"


class Averaging(TrainerCallback):
    """Averages what is trained over the last `share` of the steps, 0 to 1; of 0 nothing is averaged."""

    def __init__(self, share: float, checkpoint: Path | None = None):
        self.share = share
        self.steps = 0
        self.mean: dict[str, torch.Tensor] = {}
        if checkpoint and (checkpoint / NAME).is_file():
            with safe_open(checkpoint / NAME, framework="pt") as file:
                self.steps = int(file.metadata()["steps"])
                self.mean = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step <= (1 - self.share) * state.max_steps:
            return
        self.steps += 1
        for name, weight in _trained(model).items():
            mean = self.mean.get(name, torch.zeros_like(weight, dtype=torch.float32)).to(weight.device)
            self.mean[name] = mean + (weight.float() - mean) / self.steps

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.mean and state.is_world_process_zero:  # of several GPUs all have the same
            path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / NAME
            save_file(self.mean, path, metadata={"steps": str(self.steps)})

    def put_into(self, model: torch.nn.Module) -> None:
        """Let the model's trained weights be the averages, where there are any."""
        with torch.no_grad():
            for name, weight in _trained(model).items() if self.mean else ():
                weight.copy_(self.mean[name])


def _trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
