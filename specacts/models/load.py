"""Base models and adapters from their folders.

    model = load_model(Path("models/base/cheap"), Path("models/cheap"), device="auto", dtype="float32")
    head_of(model)(hidden)

Only safetensors are read, and no code that comes with a model is run.
"""

from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from specacts.core.errors import UserError
from specacts.core.files import read_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TASKS = {False: "CAUSAL_LM", True: "SEQ_CLS"}
"""What PEFT calls the two kinds of adapters, a reward model's being the second."""


def device_of(name: str) -> torch.device:
    """`auto` is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def devices(name: str) -> int:
    """How many of them there are: GPUs, or the one CPU."""
    return torch.cuda.device_count() if device_of(name).type == "cuda" else 1


def load_base(base: Path, device: str, dtype: str, rewards: bool = False) -> torch.nn.Module:
    """A base model on its device, with a new scalar head where it `rewards`; safetensors only, no remote code."""
    kind, own = AutoModelForCausalLM, {}
    if rewards:
        kind, own = AutoModelForSequenceClassification, {"num_labels": 1}
    model = kind.from_pretrained(
        base, dtype=DTYPES[dtype], trust_remote_code=False, use_safetensors=True, attn_implementation="sdpa", **own
    )
    return model.to(device_of(device))


def load_model(base: Path, adapter: Path | None, device: str, dtype: str, rewards: bool = False) -> torch.nn.Module:
    """A base model with its adapter merged in, for inference.

    Raises `UserError` where there is no adapter of the wanted kind: a reward model's has a head of its own.
    """
    if adapter is not None:
        kind = read_json(adapter / "adapter_config.json").get("task_type")
        if (kind == TASKS[True]) != rewards:
            wanted = "a reward model" if rewards else "a language model"
            stage = "train-verifier" if adapter.name == "verifier" else f"train@{adapter.name}"
            raise UserError(
                f"{adapter}: its adapter is of kind {kind}, and the recipe's verifier.objective asks for {wanted} "
                f"({TASKS[rewards]}); train it again: `dvc repro {stage}`"
            )
    model = load_base(base, device, dtype, rewards)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return model.eval()


def head_of(model: torch.nn.Module) -> torch.nn.Module:
    """What comes after the last layer: it gives the next tokens of a language model, the scalar of a reward model."""
    return model.lm_head if hasattr(model, "lm_head") else model.score
