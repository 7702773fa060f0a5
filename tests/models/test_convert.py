"""Base models: pruned, copied and converted ones are ordinary models that answer as they should."""

import json
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from specacts.config import Folder
from specacts.core.errors import UserError
from specacts.core.words import ROLES
from specacts.models.convert import convert_gguf, copy_model, count_parameters, kept_layers, prune
from stages import fetch

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
LAYERS = (0, 3, -1)
CONFIGS = {
    "llama, tied": LlamaConfig(**SHAPE, tie_word_embeddings=True),
    "llama, untied": LlamaConfig(**SHAPE, tie_word_embeddings=False),
    "qwen3, sliding": Qwen3Config(
        **SHAPE, tie_word_embeddings=False, use_sliding_window=True, sliding_window=4, max_window_layers=3
    ),
}


def make_model(config, folder: Path, shard: str | None = None):
    """Save a random model with a tokenizer; returns the model. `shard`: the largest file, as transformers writes it."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(deepcopy(config), dtype=torch.float32).eval()
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    backend = Tokenizer(models.WordLevel({f"w{n}": n for n in range(40)}, unk_token="w0"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="w0").save_pretrained(folder)
    return model


def load(folder: Path):
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    assert not any(report.values()), report
    return model.eval()


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(12).unsqueeze(0), use_cache=False).logits  # a cache counts the layers by number


def cut_in_memory(model, layers):
    """What pruning should come to: the same model with its list of layers cut."""
    config = model.config
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in layers]
    model.model.layers = torch.nn.ModuleList([model.model.layers[layer] for layer in layers])
    config.num_hidden_layers = len(layers)
    return model


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("shard", [None, "8KB"])
def test_a_pruned_model_answers_as_the_original_with_its_layers_cut(tmp_path, config, shard):
    original = make_model(config, tmp_path / "base", shard)
    assert (tmp_path / "base/model.safetensors.index.json").exists() == bool(shard)
    assert prune(tmp_path / "base", LAYERS, tmp_path / "cut") == (0, 3, 5)
    pruned = load(tmp_path / "cut")
    assert pruned.config.num_hidden_layers == 3 and type(pruned) is type(original)
    assert torch.equal(logits(pruned), logits(cut_in_memory(original, (0, 3, 5))))


def test_pruning_cuts_settings_that_are_listed_by_layer(tmp_path):
    original = make_model(CONFIGS["qwen3, sliding"], tmp_path / "base")
    prune(tmp_path / "base", (4, 0), tmp_path / "cut")
    assert original.config.layer_types[0] != original.config.layer_types[4]
    written = json.loads((tmp_path / "cut/config.json").read_text())["layer_types"]
    assert written == [original.config.layer_types[4], original.config.layer_types[0]]


def test_a_pruned_model_keeps_its_tokenizer_and_licence(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    (tmp_path / "base/LICENSE").write_text("the licence")
    prune(tmp_path / "base", LAYERS, tmp_path / "cut")
    assert AutoTokenizer.from_pretrained(tmp_path / "cut")("w3 w7").input_ids == [3, 7]
    assert (tmp_path / "cut/LICENSE").read_text() == "the licence"


def test_pruning_twice_gives_the_same_bytes(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    for out in ("one", "two"):
        prune(tmp_path / "base", LAYERS, tmp_path / out)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)


def test_tied_embeddings_are_written_and_counted_once(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    prune(tmp_path / "base", LAYERS, tmp_path / "cut")
    with safe_open(tmp_path / "cut/model.safetensors", framework="pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118
    model = load(tmp_path / "cut")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    counted = count_parameters(tmp_path / "cut")
    assert counted.total == sum(p.numel() for p in model.parameters())
    assert counted.total - counted.without_embedding == 40 * 16


def test_both_embeddings_of_an_untied_model_are_left_out_of_the_count(tmp_path):
    make_model(CONFIGS["llama, untied"], tmp_path / "base", shard="8KB")
    counted = count_parameters(tmp_path / "base")
    assert counted.total - counted.without_embedding == 2 * 40 * 16


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ((), "no layer is kept"),
        ((0, 6), r"\[6\] is out of range: the base has 6 layers, -6 to 5"),
        ((-7,), r"\[-7\] is out of range"),
        ((0, 5, -1), r"layers \[5\] are listed more than once"),
    ],
)
def test_an_impossible_layer_list_is_refused_by_field(layers, problem):
    with pytest.raises(UserError, match=rf"toy\.yaml: cheap\.layers: .*{problem}"):
        kept_layers(layers, 6, "toy.yaml: cheap.layers")


def test_an_architecture_with_other_layer_names_is_refused(tmp_path):
    make_model(GPT2Config(vocab_size=40, n_embd=8, n_layer=2, n_head=1), tmp_path / "base")
    with pytest.raises(UserError, match="GPT2LMHeadModel: cannot be pruned"):
        prune(tmp_path / "base", (0,), tmp_path / "cut")


def test_a_lost_tensor_is_named(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    config = json.loads((tmp_path / "base/config.json").read_text())
    (tmp_path / "base/config.json").write_text(json.dumps({**config, "num_hidden_layers": 7}))
    with pytest.raises(UserError, match=r"tensor model\.layers\.6\.\S+ is missing"):
        prune(tmp_path / "base", (0, 6), tmp_path / "cut")


def test_damaged_weights_are_a_readable_error(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    (tmp_path / "base/model.safetensors").write_bytes(b"half a file")
    with pytest.raises(UserError, match="unreadable safetensors"):
        prune(tmp_path / "base", (0,), tmp_path / "cut")


def test_pickled_weights_are_never_read_or_copied(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    (tmp_path / "base/extra.bin").write_bytes(b"pickle")
    (tmp_path / "base/modeling_evil.py").write_text("raise SystemExit")
    copy_model(tmp_path / "base", tmp_path / "copy")
    assert not {"extra.bin", "modeling_evil.py"} & {path.name for path in (tmp_path / "copy").iterdir()}
    (tmp_path / "base/model.safetensors").rename(tmp_path / "base/pytorch_model.bin")
    for make in (lambda out: copy_model(tmp_path / "base", out), lambda out: prune(tmp_path / "base", (0,), out)):
        with pytest.raises(UserError, match="only safetensors weights are read"):
            make(tmp_path / "out")


@pytest.mark.parametrize("making", [copy_model, lambda folder, out: prune(folder, (0,), out)], ids=["copied", "pruned"])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path, making):
    """Else a model from somebody else could bring any file of this machine into an output that is shared."""
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    link = tmp_path / "base/generation_config.json"
    link.unlink(missing_ok=True)
    link.symlink_to("../secret")
    with pytest.raises(UserError, match="generation_config.json: a link to .*secret, outside of the model's folder"):
        making(tmp_path / "base", tmp_path / "out")
    link.unlink()
    (tmp_path / "base/other.json").symlink_to("config.json")
    making(tmp_path / "base", tmp_path / "out")
    assert (tmp_path / "out/other.json").is_file()


def test_weights_that_are_none_are_not_copied_wherever_they_lie(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "base")
    weights = tmp_path / "base/model.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to("../elsewhere")
    copy_model(tmp_path / "base", tmp_path / "out")
    (tmp_path / "elsewhere").write_text("secret", encoding="utf-8")
    with pytest.raises(UserError, match="unreadable safetensors"):
        copy_model(tmp_path / "base", tmp_path / "again")
    assert not (tmp_path / "again/model.safetensors").exists()


def test_the_hub_clients_cache_of_links_is_copied(tmp_path):
    make_model(CONFIGS["llama, tied"], tmp_path / "blobs")
    snapshot = tmp_path / "snapshots/abc"
    snapshot.mkdir(parents=True)
    for path in (tmp_path / "blobs").iterdir():
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    copy_model(snapshot, tmp_path / "out")
    assert (tmp_path / "out/config.json").read_bytes() == (tmp_path / "blobs/config.json").read_bytes()


def test_a_model_that_brings_its_own_code_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "evil", "auto_map": {"AutoConfig": "code.Config"}}')
    (tmp_path / "code.py").write_text("raise SystemExit('was run')")
    with pytest.raises(UserError, match=r"config\.json: not usable"):
        copy_model(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("shard", [None, "8KB"])
def test_a_copied_model_answers_alike(tmp_path, shard):
    original = make_model(CONFIGS["llama, tied"], tmp_path / "base", shard)
    assert copy_model(tmp_path / "base", tmp_path / "copy") == tuple(range(6))
    assert torch.equal(logits(load(tmp_path / "copy")), logits(original))


def write_gguf(path: Path, tied: bool) -> None:
    """A random two-layer Llama with a byte-pair tokenizer."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(24)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<|end|>", "a", "b", "c", "ab", "d", "e", "f"])
    writer.add_token_types([3, 1, 1, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    shapes = {"token_embd": (8, 16), "output_norm": (16,)} | ({} if tied else {"output": (8, 16)})
    for n in range(2):
        shapes |= {f"blk.{n}.attn_q": (16, 16), f"blk.{n}.attn_k": (8, 16), f"blk.{n}.attn_v": (8, 16)}
        shapes |= {f"blk.{n}.attn_output": (16, 16), f"blk.{n}.attn_norm": (16,), f"blk.{n}.ffn_norm": (16,)}
        shapes |= {f"blk.{n}.ffn_gate": (24, 16), f"blk.{n}.ffn_up": (24, 16), f"blk.{n}.ffn_down": (16, 24)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_is_read_once_and_becomes_an_ordinary_folder(tmp_path, tied, monkeypatch):
    read = []

    class Reader(gguf.GGUFReader):
        def __init__(self, path: Path):
            read.append(path)
            super().__init__(path)

    monkeypatch.setattr(gguf, "GGUFReader", Reader)
    write_gguf(tmp_path / "toy.gguf", tied)
    convert_gguf(tmp_path / "toy.gguf", tmp_path / "out")
    assert len(read) == 1 and gguf.GGUFReader is Reader
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="toy.gguf", dtype=torch.float32).eval()
    model, ids = load(tmp_path / "out"), torch.arange(8).unsqueeze(0)
    assert torch.equal(model(ids).logits, reference(ids).logits)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert "quantization_config" not in config and str(tmp_path) not in json.dumps(config)
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("abc").input_ids == [4, 3]
    assert prune(tmp_path / "out", (-1,), tmp_path / "cut") == (1,)


BLOCK = 256
"""Weights in one block of a K quantisation."""


def q4_k_block(packed: bytes) -> list[float]:
    """One block of 144 bytes, as llama.cpp's `dequantize_row_q4_K` reads it."""
    scale, least = np.frombuffer(packed[:4], np.float16).astype(np.float32)
    scales, weights = packed[4:16], packed[16:]
    result: list[float] = []
    for chunk in range(4):
        for half in range(2):
            j = 2 * chunk + half
            if j < 4:
                d, m = scales[j] & 63, scales[j + 4] & 63
            else:
                d = (scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4
                m = (scales[j + 4] >> 4) | (scales[j] >> 6) << 4
            of_chunk = weights[32 * chunk : 32 * chunk + 32]
            result += [scale * d * (w >> 4 if half else w & 15) - least * m for w in of_chunk]
    return result


def q6_k_block(packed: bytes) -> list[float]:
    """One block of 210 bytes, as llama.cpp's `dequantize_row_q6_K` reads it."""
    scale = float(np.frombuffer(packed[208:], np.float16)[0])
    scales = np.frombuffer(packed[192:208], np.int8)
    result = [0.0] * BLOCK
    for half in range(2):
        low, high = packed[64 * half : 64 * half + 64], packed[128 + 32 * half : 160 + 32 * half]
        for n in range(32):
            for quarter in range(4):
                four = low[n + 32 * (quarter % 2)] >> 4 * (quarter // 2) & 15
                value = (four | (high[n] >> 2 * quarter & 3) << 4) - 32
                d = int(scales[8 * half + 2 * quarter + n // 16])
                result[128 * half + 32 * quarter + n] = scale * d * value
    return result


def packed(random: np.random.Generator, rows: int, size: int, halves: tuple[int, ...]) -> np.ndarray:
    """Random blocks [rows, size bytes], with small numbers where half-precision ones stand."""
    blocks = random.integers(0, 256, (rows, size), np.uint8)
    for place in halves:
        blocks[:, place : place + 2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
    return blocks


def write_qwen2(path: Path) -> dict[str, np.ndarray]:
    """A Qwen2 of one layer like the makers' Q4_K_M files: K quantisations, biases, one matrix quantised in two ways."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(BLOCK)
    writer.add_feed_forward_length(BLOCK)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(["<|endoftext|>", "a", "b", "c", "ab", "d", "<tool_call>", "f"])
    writer.add_token_types([3, 1, 1, 1, 1, 1, 4, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    writer.add_chat_template("{{ messages[0].content }}<|endoftext|>")
    embedding = random.normal(size=(8, BLOCK)).astype(np.float32)
    kinds = {"token_embd": gguf.GGMLQuantizationType.Q5_0, "output": gguf.GGMLQuantizationType.Q8_0}
    written: dict[str, np.ndarray] = {}
    for name, kind in kinds.items():
        blocks = gguf.quants.quantize(embedding, kind)
        written[name] = gguf.quants.dequantize(blocks, kind)
        writer.add_tensor(f"{name}.weight", blocks, raw_dtype=kind)
    k_quants = {
        "blk.0.ffn_down": (packed(random, BLOCK, 210, (208,)), gguf.GGMLQuantizationType.Q6_K),
        "blk.0.ffn_gate": (packed(random, BLOCK, 144, (0, 2)), gguf.GGMLQuantizationType.Q4_K),
        "blk.0.ffn_up": (packed(random, BLOCK, 144, (0, 2)), gguf.GGMLQuantizationType.Q4_K),
    }
    for name, (blocks, kind) in k_quants.items():
        writer.add_tensor(f"{name}.weight", blocks, raw_dtype=kind)
        written[name] = blocks
    shapes = {"blk.0.attn_q": (BLOCK, BLOCK), "blk.0.attn_k": (128, BLOCK), "blk.0.attn_v": (128, BLOCK)}
    shapes |= {"blk.0.attn_output": (BLOCK, BLOCK)}
    for name, shape in shapes.items():
        written[name] = random.normal(size=shape).astype(np.float32) / 16
        writer.add_tensor(f"{name}.weight", written[name])
        if name != "blk.0.attn_output":
            written[f"{name}.bias"] = random.normal(size=shape[0]).astype(np.float32)
            writer.add_tensor(f"{name}.bias", written[f"{name}.bias"])
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(BLOCK, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written


def test_the_makers_q4_k_m_files_become_qwen2_folders(tmp_path):
    written = write_qwen2(tmp_path / "toy.gguf")
    convert_gguf(tmp_path / "toy.gguf", tmp_path / "out")
    model = load(tmp_path / "out")
    layer = model.model.layers[0]
    for short, module in (("q", layer.self_attn.q_proj), ("k", layer.self_attn.k_proj), ("v", layer.self_attn.v_proj)):
        assert np.array_equal(module.weight.detach().numpy(), written[f"blk.0.attn_{short}"])
        assert np.array_equal(module.bias.detach().numpy(), written[f"blk.0.attn_{short}.bias"])
    for read, name, module in (
        (q6_k_block, "blk.0.ffn_down", layer.mlp.down_proj),
        (q4_k_block, "blk.0.ffn_gate", layer.mlp.gate_proj),
    ):
        for row in (0, 7, BLOCK - 1):
            expected = np.array(read(written[name][row].tobytes()), np.float32)
            assert np.allclose(module.weight[row].detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_matrix_that_is_quantised_in_two_ways_is_kept_once_in_the_finer_one(tmp_path):
    written = write_qwen2(tmp_path / "toy.gguf")
    convert_gguf(tmp_path / "toy.gguf", tmp_path / "out")
    model = load(tmp_path / "out")
    assert model.config.tie_word_embeddings and model.lm_head.weight is model.model.embed_tokens.weight
    assert np.array_equal(model.lm_head.weight.detach().numpy(), written["output"])
    assert not np.array_equal(written["token_embd"], written["output"])


def test_tokenizer_and_chat_template_come_from_the_file(tmp_path):
    write_qwen2(tmp_path / "toy.gguf")
    convert_gguf(tmp_path / "toy.gguf", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("ab<tool_call>c").input_ids == [4, 6, 3] and tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.is_fast and {"<|endoftext|>", "<tool_call>"} == set(tokenizer.get_added_vocab())
    assert tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False) == "ab<|endoftext|>"


def test_a_broken_gguf_file_is_one_readable_line(tmp_path):
    (tmp_path / "toy.gguf").write_bytes(b"GGUF and nothing more")
    with pytest.raises(UserError, match=r"^toy\.gguf: transformers cannot read this GGUF file .*$"):
        convert_gguf(tmp_path / "toy.gguf", tmp_path / "out")


def test_each_role_gets_its_base_and_roles_alike_share_one_making(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_model(CONFIGS["llama, tied"], Path("toy"))
    cut, full = SimpleNamespace(base="toy", layers=(0, -1)), SimpleNamespace(base="toy", layers=None)
    roles = {"cheap": cut, "verifier": cut, "strong": full}
    monkeypatch.setattr(fetch, "check_frames", lambda *_: None)  # this toy's tokenizer has no special tokens
    scale = SimpleNamespace(role=roles.get, rendering=roles.get, bases={"toy": Folder(kind="folder", path=Path("toy"))})
    records = fetch.make_roles(scale, ROLES, {"toy": Path("toy")}, "toy.yaml")
    assert records["cheap"] == records["verifier"] and records["cheap"].layers == (0, 5)
    assert records["strong"].parameters > records["cheap"].parameters
    for role, layers in (("cheap", 2), ("verifier", 2), ("strong", 6)):
        assert load(fetch.BASES / role).config.num_hidden_layers == layers
        assert records[role].bytes == fetch.folder_bytes(fetch.BASES / role)


def test_linked_weights_are_the_same_bytes_once_and_are_copied_where_no_link_can_be(tmp_path, monkeypatch):
    """As models of a hub are: its client's cache has links to files that are named by their hashes."""
    snapshot, blobs = tmp_path / "model/snapshots/c", tmp_path / "model/blobs"
    make_model(CONFIGS["llama, tied"], snapshot)
    blobs.mkdir()
    (snapshot / "model.safetensors").rename(blobs / "hash")
    (snapshot / "model.safetensors").symlink_to("../../blobs/hash")
    copy_model(snapshot, tmp_path / "linked", link=True)
    assert (tmp_path / "linked/model.safetensors").samefile(blobs / "hash")
    assert not (tmp_path / "linked/model.safetensors").is_symlink()
    assert not (tmp_path / "linked/config.json").samefile(snapshot / "config.json")  # small ones are their own
    monkeypatch.setattr("os.link", refused)
    copy_model(snapshot, tmp_path / "copied", link=True)
    assert not (tmp_path / "copied/model.safetensors").samefile(blobs / "hash")
    assert (tmp_path / "copied/model.safetensors").read_bytes() == (blobs / "hash").read_bytes()


def refused(*_):
    raise OSError("another disk")


def test_a_refused_layer_list_leaves_the_published_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_model(CONFIGS["llama, tied"], Path("toy"))
    fetch.publish_base(Path("toy"), (0, 1), Path("models/base/cheap"), "toy.yaml: cheap.layers")
    with pytest.raises(UserError, match=r"cheap\.layers"):
        fetch.publish_base(Path("toy"), (0, 99), Path("models/base/cheap"), "toy.yaml: cheap.layers")
    assert load(Path("models/base/cheap")).config.num_hidden_layers == 2
    assert [path.name for path in Path("models/base").iterdir()] == ["cheap"]
