"""What a training minimises, as the model's own forward: `learn_by(model, weighted_loss, row_weight)`.

Both losses are sums over a batch (batches.py), divided by what the data set's rows supervise on average and by how many
rows the step takes. So every decision weighs the same, and a step's loss is the same however its rows are shared out
among batches and GPUs.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy, logsigmoid

from specacts.training.attention import seen_as
from specacts.training.batches import Batch

Loss = Callable[[torch.nn.Module, Batch, float], torch.Tensor]


def learn_by(model: torch.nn.Module, loss: Loss, row_weight: float) -> None:
    """Make the loss of a batch what the model's forward returns.

    What accelerate wraps around a model is around its forward alone: autocast, without which LoRA runs in float32, and
    DDP, without which every GPU trains for itself.
    """

    def forward(self: torch.nn.Module, **batch: Any) -> torch.Tensor:
        return loss(self, batch, row_weight)

    model.forward = MethodType(forward, model)


def weighted_loss(model: torch.nn.Module, batch: Batch, row_weight: float) -> torch.Tensor:
    """Weighted cross-entropy of the supervised tokens, summed, over `row_weight` a row (`stored.Stored`).

    Over all rows at once it is their weighted mean, and TRL's loss where all weights are 1. The head (49k rows on the
    smallest model) runs on the positions that predict a label, not on every one.
    """
    hidden = _hidden(model, batch)[:, :-1]
    weights = batch["weights"][:, 1:]
    chosen = weights > 0
    logits = _base(model).lm_head(hidden[chosen]).float()
    losses = cross_entropy(logits, batch["labels"][:, 1:][chosen], reduction="none")
    return (losses * weights[chosen]).sum() / (row_weight * batch["rows"])


def pair_loss(model: torch.nn.Module, batch: Batch, row_pairs: float) -> torch.Tensor:
    """-log P(chosen above rejected), summed, over `row_pairs` a row (`stored.Stored`).

    P is the sigmoid of their rewards' difference (Bradley and Terry 1952). Over all rows at once it is RewardTrainer's
    loss over the same pairs (tests/training/test_losses.py), with each trunk read once for all of them.
    """
    hidden = _hidden(model, batch)[0]
    chosen, rejected = batch["pairs"].unbind(dim=1)
    score = _base(model).score
    better = logsigmoid((score(hidden[chosen]) - score(hidden[rejected])).float())
    return -better.sum() / (row_pairs * batch["rows"])


def _base(model: torch.nn.Module) -> torch.nn.Module:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _hidden(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Last hidden states [1, T, H], before any head."""
    inputs = {key: batch[key] for key in ("input_ids", "position_ids")}
    if "parts" in batch:
        inputs |= seen_as(batch["parts"], batch["input_ids"].shape[1])
    return _base(model).model(**inputs, use_cache=False).last_hidden_state
