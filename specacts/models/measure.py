"""How large a loaded model is, in what decides the FLOPs of a token; and how long what it is asked takes.

    model_size(model).body
    started = clock(device); ...; seconds = clock(device) - started

Apart from `load.py`, so that no training depends on how sizes are recorded (`sizes.py`).
"""

import time
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from specacts.core.forks import FORKS
from specacts.models.device import free_ram
from specacts.models.load import device_of, head_of
from specacts.models.sizes import ModelSize


def model_size(model: torch.nn.Module) -> ModelSize:
    """What decides a token's FLOPs: parameters outside the embedding, the head's, layers, attention width."""
    config = model.config
    embedding = model.get_input_embeddings().weight
    body = sum(p.numel() for p in model.model.parameters()) - embedding.numel()
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * head_dim
    return ModelSize(body=body, head=head_of(model).weight.numel(), layers=config.num_hidden_layers, attention=width)


def bytes_per_token(model: torch.nn.Module) -> int:
    """What a token's keys and values take in a model's cache."""
    config = model.config
    heads = config.num_key_value_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * size * next(model.parameters()).element_size()


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had there."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_ram()


def copies(device: torch.device) -> int:
    """How many processes can well compute there at a time (core/forks.py): on a CPU as many as there were threads."""
    return torch.get_num_threads() if device.type == "cpu" and FORKS else 1


def size_of_base(base: Path) -> ModelSize:
    """The same of a language model that is not loaded here, from its folder."""
    with torch.device("meta"):  # shapes without weights
        return model_size(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base, trust_remote_code=False)))


def machine(device: str) -> str:
    """What the last digits of a model's numbers depend on beside its weights and the libraries; device: a scale's."""
    if device_of(device).type == "cuda" and torch.cuda.is_available():  # where servers answer there need be none
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    threads = "" if FORKS else f", {torch.get_num_threads()} threads"  # else there is one in each process
    return f"{torch.backends.cpu.get_cpu_capability()}{threads}"


def clock(device: torch.device) -> float:
    """Seconds on a clock that is read when the device has done all that it was asked to: a GPU works on unwatched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
