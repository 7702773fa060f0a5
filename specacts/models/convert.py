"""Base models as ordinary transformers folders: converted from GGUF, cut to fewer layers, copied.

    convert_gguf(Path("SmolLM2.gguf"), Path("base"))                     # once; 20 to 45 s for 135M parameters
    prune(Path("base"), (0, 1, 2, 3, 4, 5, -2, -1), Path("cheap"))       # an eight-layer model of the same family
    AutoModelForCausalLM.from_pretrained("cheap")                        # nothing special about it afterwards

Only safetensors are read and no code that comes with a model is run. Pruning takes architectures whose
layers are called `model.layers.N.` (Llama, Qwen and their kin).
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel

from specacts.core.errors import UserError

# Everything a model folder may hold beside its weights; never pickles, never Python files.
COMPANIONS = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "LICENSE*", "NOTICE*")
INDEX = "model.safetensors.index.json"
LAYER = re.compile(r"^model\.layers\.(\d+)\.")
PER_LAYER_SETTINGS = ("layer_types", "mlp_layer_types", "no_rope_layers")  # lists with one entry a layer
EMBEDDINGS = ("model.embed_tokens.weight", "lm_head.weight")
PROBE_TOKENS = 16


class Parameters(NamedTuple):
    """How many weights a folder holds; tied embeddings count once."""

    total: int
    without_embedding: int


def convert_gguf(path: Path, out: Path) -> None:
    """Write the GGUF file as a float32 safetensors folder with its tokenizer, and check that it answers alike.

    Raises UserError where transformers cannot read the file or the written model's logits differ.
    """
    try:
        with _read_once():
            loaded = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except Exception as error:  # the reader raises whatever it stumbles over: struct, key, value errors
        raise UserError(f"{path.name}: transformers cannot read this GGUF file ({_first_line(error)})") from error
    _tie_again(loaded, path)
    _plain_copy(loaded).save_pretrained(out)
    tokenizer.save_pretrained(out)
    written = AutoModelForCausalLM.from_pretrained(
        out, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    if not torch.equal(_probe(loaded), _probe(written)):
        raise UserError(f"{path.name}: the converted model's logits differ from the GGUF model's; do not use it")


def prune(model_folder: Path, layers: Sequence[int], out: Path, where: str = "layers") -> tuple[int, ...]:
    """Write the model with only `layers` of it, in that order; negative ones count from the end. Returns them resolved.

    Reads tensor by tensor, so that memory holds the kept part alone. `where` names the field in error messages.
    Raises UserError for a layer list that is empty, repeats or leaves the model, and for unreadable folders.
    """
    config = load_model_config(model_folder)
    kept = kept_layers(layers, config.num_hidden_layers, where)
    _cut_config(config, kept)
    with tensor_files(model_folder) as files:
        tensors = {name: _tensor(files, _source_name(name, kept), model_folder) for name in _parameter_names(config)}
        out.mkdir(parents=True, exist_ok=True)
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})  # transformers asks for the mark
    os.chmod(out / "model.safetensors", 0o644)  # save_file makes it 0600
    _copy_files(model_folder, out, COMPANIONS, skip=(INDEX,))
    config.save_pretrained(out)
    return kept


def copy_model(model_folder: Path, out: Path, link: bool = False) -> tuple[int, ...]:
    """Copy weights, configuration, tokenizer and licence, nothing else. Returns the layer numbers it has.

    link: the weights become hard links where the disk can have them, so that many GB are not there twice.
    """
    config = load_model_config(model_folder)
    with tensor_files(model_folder):  # they are what they say, wherever a link leads
        weights = [path.name for path in _weight_files(model_folder)]
    out.mkdir(parents=True, exist_ok=True)
    _copy_files(model_folder, out, COMPANIONS)
    for name in weights:
        if not (link and _linked(model_folder / name, out / name)):
            _copy_files(model_folder, out, (name,))
    return tuple(range(config.num_hidden_layers))


def kept_layers(layers: Sequence[int], count: int, where: str = "layers") -> tuple[int, ...]:
    """The layers' numbers from 0, of a model that has `count`; UserError if empty, out of range or repeated."""
    if not layers:
        raise UserError(f"{where}: no layer is kept; list some, or write null to keep all {count}")
    outside = [layer for layer in layers if not -count <= layer < count]
    if outside:
        raise UserError(f"{where}: {outside} is out of range: the base has {count} layers, {-count} to {count - 1}")
    kept = tuple(layer % count for layer in layers)
    repeated = sorted({layer for layer in kept if kept.count(layer) > 1})
    if repeated:
        raise UserError(f"{where}: layers {repeated} are listed more than once in {list(layers)}")
    return kept


def count_parameters(model_folder: Path) -> Parameters:
    """Count the weights from the file headers, without reading the weights."""
    sizes: dict[str, int] = {}
    with tensor_files(model_folder) as files:
        for name, file in files.items():
            sizes[name] = torch.Size(file.get_slice(name).get_shape()).numel()
    embedding = sum(sizes.get(name, 0) for name in EMBEDDINGS)
    return Parameters(sum(sizes.values()), sum(sizes.values()) - embedding)


def load_model_config(model_folder: Path) -> PreTrainedConfig:
    """The folder's configuration; UserError where it is missing or needs code that transformers does not have."""
    if not (model_folder / "config.json").is_file():
        raise UserError(f"{model_folder}: no config.json; an ordinary transformers model folder is needed")
    try:
        return AutoConfig.from_pretrained(model_folder, trust_remote_code=False)
    except Exception as error:  # ValueError, KeyError, ImportError ... depending on what is wrong with the file
        raise UserError(f"{model_folder}/config.json: not usable ({_first_line(error)})") from error


@contextmanager
def _read_once() -> Iterator[None]:
    """Meanwhile a GGUF file is read once, and so is its architecture's table of tensor names.

    transformers reads the file with its vocabulary for the configuration, for the tokenizer and for the weights, and
    makes the table for every module: without this, a conversion takes twice as long.
    """
    import gguf  # only a conversion needs it

    made = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, function in made.items():
        setattr(gguf, name, cache(function))
    try:
        yield
    finally:
        for name, function in made.items():
            setattr(gguf, name, function)


SAME = 0.1
"""Two quantisations of one matrix differ by less than this share of its norm: 4 % at five and eight bits."""


def _tie_again(model: PreTrainedModel, path: Path) -> None:
    """Let input and output embeddings be one matrix, the finer one, where the file quantises one in two ways.

    Makers of GGUF files do so with tied embeddings. In float32 the second copy would be as large as the first.
    """
    embed, head = model.get_input_embeddings(), model.get_output_embeddings()
    if model.config.tie_word_embeddings or embed.weight.shape != head.weight.shape:
        return
    with torch.no_grad():
        apart = (embed.weight - head.weight).norm() / head.weight.norm()
    if apart > SAME:
        return
    finer = embed if _bits(path, "token_embd.weight") > _bits(path, "output.weight") else head
    embed.weight = head.weight = finer.weight
    model.config.tie_word_embeddings = True


def _bits(path: Path, name: str) -> float:
    """Bits that the GGUF file has for a weight of a tensor."""
    from gguf import GGUFReader  # only a conversion needs it

    tensor = next(tensor for tensor in GGUFReader(path).tensors if tensor.name == name)
    return 8 * int(tensor.n_bytes) / int(tensor.n_elements)


def _plain_copy(loaded: PreTrainedModel) -> PreTrainedModel:
    """The same model without the marks of its quantized origin, for which `save_pretrained` refuses it."""
    values = loaded.config.to_dict()
    for mark in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        values.pop(mark, None)
    config = type(loaded.config).from_dict(values)
    config.architectures = [type(loaded).__name__]
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model


def _probe(model: PreTrainedModel) -> torch.Tensor:
    """Logits for a fixed run of token ids."""
    ids = torch.arange(PROBE_TOKENS).unsqueeze(0) * 97 % model.config.vocab_size
    with torch.inference_mode():
        return model.eval()(ids).logits


def _cut_config(config: PreTrainedConfig, kept: tuple[int, ...]) -> None:
    count = config.num_hidden_layers
    for name in PER_LAYER_SETTINGS:
        values = getattr(config, name, None)
        if isinstance(values, list) and len(values) == count:
            setattr(config, name, [values[layer] for layer in kept])
    config.num_hidden_layers = len(kept)


def _parameter_names(config: PreTrainedConfig) -> list[str]:
    """What the pruned model's file must hold; a parameter under two names (tied embeddings) is listed once."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    names = [name for name, _ in model.named_parameters()]
    if not any(LAYER.match(name) for name in names):
        raise UserError(f"{type(model).__name__}: cannot be pruned; its layers are not called model.layers.N")
    return names


def _source_name(name: str, kept: tuple[int, ...]) -> str:
    return LAYER.sub(lambda match: f"model.layers.{kept[int(match[1])]}.", name)


def _tensor(files: dict[str, Any], name: str, model_folder: Path) -> torch.Tensor:
    if name not in files:
        raise UserError(f"{model_folder}: tensor {name} is missing from its safetensors files; fetch the model again")
    return files[name].get_tensor(name)


@contextmanager
def tensor_files(model_folder: Path) -> Iterator[dict[str, Any]]:
    """Every tensor's name with the open file that holds it."""
    with ExitStack() as stack:
        try:
            files = [stack.enter_context(safe_open(path, framework="pt")) for path in _weight_files(model_folder)]
        except (SafetensorError, OSError) as error:
            raise UserError(f"{model_folder}: unreadable safetensors ({_first_line(error)})") from error
        yield {name: file for file in files for name in file.keys()}


def _weight_files(model_folder: Path) -> list[Path]:
    """The single file, or the shards the index lists."""
    index = model_folder / INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise UserError(f"{index}: not a safetensors index ({_first_line(error)})") from error
    else:
        names = ["model.safetensors"]
    missing = [name for name in names if Path(name).name != name or not (model_folder / name).is_file()]
    if missing:
        raise UserError(f"{model_folder}: no {missing[0]}; only safetensors weights are read, never pickled ones")
    return [model_folder / name for name in names]


def _copy_files(source: Path, out: Path, patterns: Sequence[str], skip: Sequence[str] = ()) -> None:
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            if path.is_file() and path.name not in skip:
                _require_inside(path)
                shutil.copyfile(path, out / path.name)


def _linked(source: Path, target: Path) -> bool:
    """Make a second name of the file, not of a link to it; False where the disk, or another one, cannot."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        return False
    return True


def _require_inside(path: Path) -> None:
    """Raises `UserError` for a link out of the model's folder: somebody else's folder must not choose what is copied.

    Weights may lie elsewhere, since they are read as such first. In the cache of the model hub's client every file of
    a model is a link into the model's `blobs`.
    """
    folder = path.parent.resolve()
    homes = [folder, folder.parent.parent / "blobs"] if folder.parent.name == "snapshots" else [folder]
    real = path.resolve()
    if path.suffix != ".safetensors" and not any(home in real.parents for home in homes):
        raise UserError(f"{path}: a link to {real}, outside of the model's folder; put the file itself there")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
