"""LoRA training over whole-episode transcripts: TRL's SFTTrainer and RewardTrainer, the head computed where it counts.

    result = train(base, rows, out, scratch, settings)

A `Row` is a token sequence with a loss weight a token (0: context) or, for a reward model, with pairs of tokens of
which one is to be rewarded above the other. The rows of a step are read in packs (batches.py), on several GPUs if asked
(launch.py). Training can be resumed (its checkpoints are kept in a scratch folder under a key of everything that
matters), refuses NaN, and publishes the adapter in one step as safetensors: the average of its last weights
(average.py).
"""

import hashlib
import json
import math
import re
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
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
from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainerState, set_seed
from trl import RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from specacts.core.errors import UserError
from specacts.core.files import published_dir
from specacts.models.load import TASKS, device_of, load_base
from specacts.training.attention import BY_PARTS
from specacts.training.average import Averaging
from specacts.training.batches import Batch, packs
from specacts.training.checkpoints import Sealing, newest, steps
from specacts.training.job import Done, Job, Settings
from specacts.training.launch import launch
from specacts.training.losses import learn_by, pair_loss, weighted_loss
from specacts.training.rows import Row
from specacts.training.stored import Stored, store


class TrainResult(NamedTuple):
    """What a training run measured; `seconds` is this process's share where a run was resumed.

    Of several GPUs, memory is the first one's.
    """

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


class _InPacks(Trainer):
    """What both trainers do: a step's rows come in several batches, and the model's forward is their loss."""

    loss_is_scaled_for_ga = True  # by the number of rows in the step

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss = model(**inputs)
        return (loss, None) if return_outputs else loss

    def training_step(self, model: Any, inputs: list[Batch], num_items_in_batch: Any = None) -> torch.Tensor:
        """The loss of a step; its gradients are shared with other GPUs behind the last batch."""
        total = 0.0
        for number, batch in enumerate(inputs, start=1):
            with nullcontext() if number == len(inputs) else self.accelerator.no_sync(model):
                total = super().training_step(model, batch, num_items_in_batch) + total
        return total

    def floating_point_ops(self, inputs: list[Batch]) -> int:
        return 0  # nobody reads what the trainer would estimate


class ActionTrainer(_InPacks, SFTTrainer):
    """SFTTrainer over rows that are tokenized already."""


class PairTrainer(_InPacks, RewardTrainer):
    """RewardTrainer over rows that are tokenized already."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


class _Losses(TrainerCallback):
    """Stops at the first loss that is not a number."""

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
    base: Path, rows: Iterable[Row], out: Path, scratch: Path, settings: Settings, adapter: Path | None = None
) -> TrainResult:
    """Train a LoRA adapter on `rows`, in their order, and publish it at `out`; starts from `adapter` if one is given.

    Raises `UserError` for empty or label-less data, non-finite loss or weights, and broken checkpoints.
    """
    stored = store(rows, scratch / "rows.arrow")
    folder = scratch / checkpoint_key(base, stored, settings, adapter)
    job = Job(
        base=base,
        rows=stored.path,
        out=out,
        folder=folder,
        settings=settings,
        steps=steps_for(stored.lengths, settings),
        row_weight=stored.row_weight,
        rewards=stored.rewards,
        adapter=adapter,
        checkpoint=newest(folder),
    )
    done = launch(job, settings.processes) if settings.processes > 1 else work(job)
    return _result(done, stored, settings)


def work(job: Job) -> Done:
    """Train in this process, as one of `settings.processes`; the first of them publishes the adapter."""
    settings = job.settings
    set_seed(settings.seed)  # also of a reward model's new head
    model = with_lora(load_base(job.base, settings.device, settings.dtype, job.rewards), settings, job.rewards)
    if job.adapter:
        theirs = load_peft_weights(str(job.adapter), device=str(model.device))
        set_peft_model_state_dict(model, get_peft_model_state_dict(model) | theirs)  # a reward model's head stays new
    averaging = Averaging(settings.train.average, job.checkpoint)
    rows = Dataset.from_file(str(job.rows))
    # All steps at once, and not epochs: their last steps would have fewer rows, and several GPUs others.
    order = [number % len(rows) for number in range(job.steps * settings.train.batch_size)]
    trainer = (PairTrainer if job.rewards else ActionTrainer)(
        model=model,
        args=trainer_config(job.folder, job.steps, settings, job.rewards),
        train_dataset=rows.select(order),
        data_collator=partial(packs, most_tokens=settings.most_tokens),
        processing_class=AutoTokenizer.from_pretrained(job.base, trust_remote_code=False),
        callbacks=[_Losses(), averaging, Sealing()],
    )
    learn_by(trainer.model, pair_loss if job.rewards else weighted_loss, job.row_weight)
    started = time.perf_counter()
    with flushed_denormals():
        go_on(trainer, job.checkpoint, job.steps)
    seconds = time.perf_counter() - started
    averaging.put_into(trainer.model)
    if trainer.is_world_process_zero():
        publish(trainer.model, job.out)
    logs = [log for log in trainer.state.log_history if "loss" in log]
    return Done(
        steps=trainer.state.global_step,
        seconds=seconds,
        peak_memory_gib=peak_memory_gib(),
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        losses=[(log["step"], float(log["loss"]), float(log["learning_rate"])) for log in logs],
    )


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


def with_lora(model: torch.nn.Module, settings: Settings, rewards: bool = False) -> PeftModel:
    """The model with a new adapter, and attention that keeps a sequence's parts apart (attention.py)."""
    model.set_attn_implementation(BY_PARTS)
    try:
        return get_peft_model(model, lora_config(settings, model, rewards))
    except ValueError as error:  # names or a pattern that fit none of its modules
        named = settings.lora.target_modules
        raise UserError(f"params.yaml: lora.target_modules is {named!r}: {error}") from error


def lora_config(settings: Settings, model: torch.nn.Module, rewards: bool = False) -> LoraConfig:
    """LoRA on the chosen modules, of the last `train_layers` layers where that is set; a reward model's head whole."""
    lora, last, layers = settings.lora, settings.train_layers, model.config.num_hidden_layers
    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    those = None
    if last and isinstance(modules, str):  # PEFT takes layers_to_transform only beside a list of names
        modules = [name for name in linear_modules(model, modules) if layer_of(name) >= layers - last]
    elif last:
        those = list(range(max(0, layers - last), layers))
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=modules,
        layers_to_transform=those,
        task_type=TASKS[rewards],
    )


def linear_modules(model: torch.nn.Module, pattern: str) -> list[str]:
    """Full names of the linear modules in a model's layers; those that fit a pattern, or `all-linear`."""
    named = model.named_modules()
    names = [name for name, module in named if isinstance(module, torch.nn.Linear) and layer_of(name) >= 0]
    return [name for name in names if pattern == "all-linear" or re.fullmatch(pattern, name)]


def layer_of(module: str) -> int:
    """The layer in a module's name, as in `model.layers.3.mlp.up_proj`; -1 outside of the layers."""
    found = re.search(r"\.(\d+)\.", module)
    return int(found[1]) if found else -1


def trainer_config(folder: Path, steps: int, settings: Settings, rewards: bool = False) -> SFTConfig | RewardConfig:
    """TRL's settings. Where they differ from its defaults, docs/decisions and the field notes say why."""
    on_cpu = device_of(settings.device).type == "cpu"
    warmup = min(settings.train.warmup_steps, max(steps - 1, 0))
    own: dict[str, Any]
    if rewards:
        kind, own = RewardConfig, {"disable_dropout": False}
    else:
        kind, own = SFTConfig, {"dataset_kwargs": {"skip_prepare_dataset": True}, "packing": False}
    config = kind(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.train.batch_size // settings.processes,
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
        bf16=settings.dtype == "bfloat16",
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
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,  # processes with more batches in a step than others would wait for them
        **own,
    )
    if config.n_gpu > 1:
        config._n_gpu = 1  # one process uses one GPU: the trainer would split every batch among all that it sees
    return config


def checkpoint_key(base: Path, rows: Stored, settings: Settings, adapter: Path | None) -> str:
    """A key under which an interrupted run may be resumed: same base, data, settings and start."""
    named = {"base": base, "adapter": adapter}
    plain = {k: v.model_dump() if hasattr(v, "model_dump") else v for k, v in asdict(settings).items()}
    plain |= {name: version(name) for name in ("transformers", "trl", "peft", "accelerate")}
    plain |= {"torch": torch.__version__, "row_weight": rows.row_weight, "rows": stamp([rows.path])}
    plain |= {name: folder and stamp(folder.glob("*.safetensors")) for name, folder in named.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def stamp(paths: Iterable[Path]) -> str:
    """A hash of what files hold, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
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
        if not isinstance(config["target_modules"], str):  # a pattern
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


def _result(done: Done, stored: Stored, settings: Settings) -> TrainResult:
    tokens = sum(stored.lengths)
    share = done.steps * settings.train.batch_size / len(stored.lengths)
    return TrainResult(
        steps=done.steps,
        rows=len(stored.lengths),
        tokens=tokens,
        supervised_tokens=stored.supervised_tokens,
        seen_tokens=round(tokens * share),
        first_loss=done.losses[0][1],
        final_loss=done.losses[-1][1],
        seconds=done.seconds,
        tokens_per_second=tokens * share / done.seconds,
        peak_memory_gib=done.peak_memory_gib,
        trainable_parameters=done.trainable_parameters,
        losses=done.losses,
    )
