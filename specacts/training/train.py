"""LoRA training over whole-episode transcripts: TRL's SFTTrainer and RewardTrainer, the head computed where it counts.

    result = train(base, rows, out, scratch, settings)

A `Row` is a token sequence with a loss weight a token (0: context) or, for a reward model, with pairs of tokens of
which one is to be rewarded above the other. Rows with branches (see transcripts/render.py) bring their own positions
and attention mask. Training can be resumed (its checkpoints are kept in a scratch folder under a key of everything that
matters), refuses NaN, and publishes the adapter in one step as safetensors.
"""

import hashlib
import json
import math
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    load_peft_weights,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, logsigmoid
from transformers import AutoTokenizer, TrainerCallback, TrainerState, set_seed
from trl import RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from specacts.config import Lora, Train
from specacts.core.errors import UserError
from specacts.core.files import published_dir
from specacts.models.load import TASKS, device_of, load_base
from specacts.training.average import Averaging
from specacts.training.checkpoints import Sealing, newest, steps
from specacts.training.rows import Row

Batch = dict[str, torch.Tensor]
"""What `collate` makes of rows."""


@dataclass(frozen=True)
class Settings:
    """Everything beside model and data that decides the weights; part of the checkpoints' key."""

    seed: int
    lora: Lora
    train: Train
    learning_rate: float
    epochs: float
    device: str
    dtype: str
    gradient_checkpointing: bool
    train_layers: int | None = None
    least_tokens: int = 0


class TrainResult(NamedTuple):
    """What a training run measured; `seconds` is this process's share where a run was resumed."""

    steps: int
    rows: int
    tokens: int
    supervised_tokens: int
    seen_tokens: int
    first_loss: float
    final_loss: float
    seconds: float
    tokens_per_second: float
    peak_memory_gib: float
    trainable_parameters: int
    losses: list[tuple[int, float, float]]  # (step, loss, learning rate)


def collate(rows: list[dict[str, Any]]) -> Batch:
    """Pad rows to one batch: input_ids, labels, weights, position_ids [B, T]; attention_mask and pairs where needed.

    pairs: [P, 3] of row, chosen and rejected position. A single row without branches needs no mask: plain causal
    attention, the fastest kernel.
    """
    longest = max(len(row["ids"]) for row in rows)

    def padded(values: list[list[Any]], fill: float) -> torch.Tensor:
        return torch.tensor([value + [fill] * (longest - len(value)) for value in values])

    weights = padded([row["weights"] for row in rows], 0.0)
    ids = padded([row["ids"] for row in rows], 0)
    batch = {"input_ids": ids, "labels": ids.masked_fill(weights == 0, -100), "weights": weights}
    batch["position_ids"] = padded([positions(len(row["ids"]), row["branches"]) for row in rows], 0)
    if len(rows) > 1 or rows[0]["branches"]:
        batch["attention_mask"] = torch.stack([branch_mask(longest, row["branches"]) for row in rows])
    pairs = [(number, *pair) for number, row in enumerate(rows) for pair in row["pairs"]]
    return batch | ({"pairs": torch.tensor(pairs)} if pairs else {})


def positions(length: int, branches: list[tuple[int, int, int]]) -> list[int]:
    """Position ids: a branch counts on from the prefix it leaves."""
    result = list(range(length))
    for start, end, prefix in branches:
        result[start:end] = range(prefix, prefix + end - start)
    return result


def branch_mask(length: int, branches: list[tuple[int, int, int]]) -> torch.Tensor:
    """Boolean attention mask [length, length]; True may attend. Branch (start, end, prefix) sees prefix and itself."""
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    for start, end, prefix in branches:
        mask[start:end, prefix:start] = False
    return mask


def per_row(rows: Sequence[Row]) -> float:
    """What a row supervises on average: its weights' sum or, of a reward model's rows, its pairs.

    Losses are divided by this and not by what their own row holds, so that every decision weighs the same: a mean
    within each row lets a row of one decision weigh as much as one of ten.
    """
    return sum(len(row.pairs) or sum(row.weights) for row in rows) / len(rows)


def weighted_loss(model: torch.nn.Module, batch: Batch, row_weight: float) -> torch.Tensor:
    """Weighted cross-entropy of the supervised tokens, summed, over `row_weight` a row (`per_row`).

    Over all rows at once it is their weighted mean, and TRL's loss where all weights are 1. The head (49k rows on the
    smallest model) runs on the positions that predict a label, not on every one.
    """
    hidden = _hidden(model, batch)[:, :-1]
    weights = batch["weights"][:, 1:]
    chosen = weights > 0
    logits = _base(model).lm_head(hidden[chosen]).float()
    losses = cross_entropy(logits, batch["labels"][:, 1:][chosen], reduction="none")
    return (losses * weights[chosen]).sum() / (row_weight * len(weights))


def pair_loss(model: torch.nn.Module, batch: Batch, row_pairs: float) -> torch.Tensor:
    """-log P(chosen above rejected), summed, over `row_pairs` a row (`per_row`).

    P is the sigmoid of their rewards' difference (Bradley and Terry 1952). Over all rows at once it is RewardTrainer's
    loss over the same pairs (tests/training/test_train.py), with each trunk read once for all of them.
    """
    hidden = _hidden(model, batch)
    row, chosen, rejected = batch["pairs"].unbind(dim=1)
    score = _base(model).score
    better = logsigmoid((score(hidden[row, chosen]) - score(hidden[row, rejected])).float())
    return -better.sum() / (row_pairs * len(hidden))


def _base(model: torch.nn.Module) -> torch.nn.Module:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _hidden(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Last hidden states [B, T, H], before any head."""
    inputs = {key: batch[key] for key in ("input_ids", "position_ids", "attention_mask") if key in batch}
    if "attention_mask" in inputs:  # True = may attend; sdpa takes booleans as they are
        inputs["attention_mask"] = inputs["attention_mask"].unsqueeze(1)
    return _base(model).model(**inputs, use_cache=False).last_hidden_state


class ActionTrainer(SFTTrainer):
    """SFTTrainer whose loss is `weighted_loss`."""

    row_weight: float

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss = weighted_loss(self.accelerator.unwrap_model(model), inputs, self.row_weight)
        return (loss, None) if return_outputs else loss


class PairTrainer(RewardTrainer):
    """RewardTrainer whose loss is `pair_loss`, over rows that are tokenized already."""

    row_weight: float

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss = pair_loss(self.accelerator.unwrap_model(model), inputs, self.row_weight)
        return (loss, None) if return_outputs else loss


class _Losses(TrainerCallback):
    """Collects the loss curve and stops at the first loss that is not a number."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            raise UserError(
                f"training: the loss is {loss} at step {state.global_step}; lower the role's learning_rate "
                f"(now {args.learning_rate:g}) in the scale file"
            )


MOST_EPOCHS = 6
"""Few traces are gone through so often at the most: beyond that they are learnt by heart."""


def steps_for(lengths: Sequence[int], settings: Settings) -> int:
    """Optimiser steps for rows of these lengths: the epochs asked for, or of few rows what `least_tokens` takes."""
    size = settings.train.batch_size
    asked = math.ceil(len(lengths) / size * settings.epochs)
    seen = accumulate(length for _ in range(MOST_EPOCHS) for length in lengths)
    few = sum(1 for _ in takewhile(lambda tokens: tokens < settings.least_tokens, seen))
    rows = min(few + 1, MOST_EPOCHS * len(lengths)) if settings.least_tokens else 0
    return max(1, asked, math.ceil(rows / size))


def train(
    base: Path, rows: list[Row], out: Path, scratch: Path, settings: Settings, adapter: Path | None = None
) -> TrainResult:
    """Train a LoRA adapter on `rows`, in their order, and publish it at `out`; starts from `adapter` if one is given.

    Raises `UserError` for empty or label-less data, non-finite loss or weights, and broken checkpoints.
    """
    check_rows(rows)
    rewards = bool(rows[0].pairs)
    set_seed(settings.seed)  # also of a reward model's new head
    folder = scratch / checkpoint_key(base, rows, settings, adapter)
    model = load_base(base, settings.device, settings.dtype, rewards)
    model = get_peft_model(model, lora_config(settings, model.config.num_hidden_layers, rewards))
    if adapter:
        theirs = load_peft_weights(str(adapter), device=str(model.device))
        set_peft_model_state_dict(model, get_peft_model_state_dict(model) | theirs)  # a reward model's head stays new
    count = steps_for([len(row.ids) for row in rows], settings)
    checkpoint = newest(folder)
    averaging = Averaging(settings.train.average, checkpoint)
    trainer = (PairTrainer if rewards else ActionTrainer)(
        model=model,
        args=trainer_config(folder, count, settings, rewards),
        train_dataset=Dataset.from_list([row._asdict() for row in rows]),
        data_collator=collate,
        processing_class=AutoTokenizer.from_pretrained(base, trust_remote_code=False),
        callbacks=[_Losses(), averaging, Sealing()],
    )
    trainer.row_weight = per_row(rows)
    started = time.perf_counter()
    with flushed_denormals():
        go_on(trainer, checkpoint, count)
    seconds = time.perf_counter() - started
    averaging.put_into(trainer.model)
    publish(trainer.model, out)
    return _result(trainer, rows, seconds, settings)


def go_on(trainer: SFTTrainer, checkpoint: Path | None, count: int) -> None:
    """Train up to `count` steps, from a checkpoint if there is one."""
    if checkpoint and steps(checkpoint) >= count:  # it ended: the trainer would take one step more
        set_peft_model_state_dict(trainer.model, load_peft_weights(str(checkpoint), device=str(trainer.model.device)))
        trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        return
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormals as zero: a young LoRA's gradients are full of them, and they are slow on a CPU.

    The setting is the processor's, for the whole thread: it must not outlive the training.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def check_rows(rows: list[Row]) -> None:
    """Every row must supervise something, and rows must agree in length with their weights."""
    if not rows:
        raise UserError(
            "training: no rows; the split is empty, or holds no wrong action for a reward model to learn from"
        )
    for number, row in enumerate(rows):
        if len(row.ids) != len(row.weights) or not (any(row.weights) or row.pairs):
            raise UserError(f"training: row {number} has {len(row.ids)} tokens and no label; this is a renderer bug")


def lora_config(settings: Settings, layers: int, rewards: bool = False) -> LoraConfig:
    """LoRA on the chosen modules, of the last `train_layers` layers where that is set; a reward model's head whole."""
    lora, last = settings.lora, settings.train_layers
    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    if modules == "all-linear" and last:  # PEFT takes layers_to_transform only beside a list of names
        modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=modules,
        layers_to_transform=list(range(max(0, layers - last), layers)) if last else None,
        task_type=TASKS[rewards],
    )


def trainer_config(folder: Path, steps: int, settings: Settings, rewards: bool = False) -> SFTConfig | RewardConfig:
    """TRL's settings. Where they differ from its defaults, docs/decisions and the field notes say why."""
    on_cpu = device_of(settings.device).type == "cpu"
    warmup = min(settings.train.warmup_steps, max(steps - 1, 0))
    own: dict[str, Any]
    if rewards:
        kind, own = RewardConfig, {"disable_dropout": False}
    else:
        kind, own = SFTConfig, {"dataset_kwargs": {"skip_prepare_dataset": True}, "packing": False}
    return kind(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.train.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={
            "num_decay_steps": steps - warmup,
            "decay_type": "linear",
            "min_lr_ratio": settings.train.final_lr_ratio,
        },
        warmup_steps=warmup,
        weight_decay=settings.train.weight_decay,
        max_grad_norm=settings.train.max_grad_norm,
        gradient_checkpointing=settings.gradient_checkpointing,
        use_cpu=on_cpu,
        bf16=not on_cpu and settings.dtype == "bfloat16",
        max_length=None,
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
        seed=settings.seed,
        data_seed=settings.seed,
        full_determinism=False,
        logging_steps=max(1, steps // 60),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=max(20, steps // 4),
        save_total_limit=2,
        dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
        report_to="none",
        **own,
    )


def checkpoint_key(base: Path, rows: list[Row], settings: Settings, adapter: Path | None) -> str:
    """A key under which an interrupted run may be resumed: same base, data, settings and start."""
    digest = hashlib.sha256()
    plain = {k: v.model_dump() if hasattr(v, "model_dump") else v for k, v in asdict(settings).items()}
    plain |= {name: version(name) for name in ("transformers", "trl", "peft", "accelerate")}
    plain |= {"torch": torch.__version__, "base": _weights_stamp(base), "adapter": adapter and _weights_stamp(adapter)}
    plain |= {"row_weight": per_row(rows)}
    digest.update(json.dumps(plain, sort_keys=True, default=str).encode())
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()[:16]


def _weights_stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def publish(model: PeftModel, out: Path) -> None:
    """Save the adapter as safetensors in one step, with a stable configuration; refuses weights that are not finite."""
    bad = [name for name, p in model.named_parameters() if p.requires_grad and not torch.isfinite(p).all()]
    if bad:
        raise UserError(f"training: {len(bad)} weights are not finite, first {bad[0]}; nothing was published")
    with published_dir(out) as folder:
        model.save_pretrained(folder, safe_serialization=True)
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        # PEFT keeps a set here, whose order changes from process to process, and the machine's own path.
        config["target_modules"] = sorted(config["target_modules"])
        config["modules_to_save"] = sorted(config["modules_to_save"]) if config["modules_to_save"] else None
        config["base_model_name_or_path"] = None
        text = json.dumps(config, indent=2, sort_keys=True)
        (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
        for path in folder.iterdir():
            if path.suffix in (".bin", ".pt", ".pth") or path.name == "README.md":
                path.unlink()
        load_file(folder / "adapter_model.safetensors")  # what was written can be read


def peak_memory_gib() -> float:
    """Peak memory of this process: the GPU's where there is one, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def _result(trainer: SFTTrainer, rows: list[Row], seconds: float, settings: Settings) -> TrainResult:
    logs = [log for log in trainer.state.log_history if "loss" in log]
    losses = [(log["step"], float(log["loss"]), float(log["learning_rate"])) for log in logs]
    tokens = sum(len(row.ids) for row in rows)
    share = trainer.state.global_step * settings.train.batch_size / len(rows)
    return TrainResult(
        steps=trainer.state.global_step,
        rows=len(rows),
        tokens=tokens,
        supervised_tokens=sum(sum(1 for w in row.weights if w) + 2 * len(row.pairs) for row in rows),
        seen_tokens=round(tokens * share),
        first_loss=losses[0][1],
        final_loss=losses[-1][1],
        seconds=seconds,
        tokens_per_second=tokens * share / seconds,
        peak_memory_gib=peak_memory_gib(),
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        losses=losses,
    )
