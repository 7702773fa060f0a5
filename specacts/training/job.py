"""What a training is given, and what it came to: plain values that go from one process to another."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from specacts.config import Lora, Train


@dataclass(frozen=True)
class Settings:
    """Everything beside model and data that decides the weights; part of the checkpoints' key.

    most_tokens: the rows of a step are read together up to so many tokens at a time; what is longer, or does not fit,
    is read after that and its gradients are added. processes: how many GPUs share a step's rows.
    """

    seed: int
    lora: Lora
    train: Train
    learning_rate: float
    epochs: float
    device: str
    dtype: str
    gradient_checkpointing: bool
    most_tokens: int
    train_layers: int | None = None
    least_tokens: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Job:
    """A training, made ready: rows in a file, a folder for checkpoints and the one to go on from, steps to take."""

    base: Path
    rows: Path
    out: Path
    folder: Path
    settings: Settings
    steps: int
    row_weight: float
    rewards: bool
    adapter: Path | None
    checkpoint: Path | None


class Done(NamedTuple):
    """What a process measured, `seconds` being its share where a run was resumed."""

    steps: int
    seconds: float
    peak_memory_gib: float
    trainable_parameters: int
    losses: list[tuple[int, float, float]]  # (step, loss, learning rate)
