"""A model's size is known from its configuration, as its weights have it."""

import json

import pytest

from specacts.config import Hub
from specacts.core.errors import UserError
from specacts.core.words import ROLES
from specacts.models.shapes import KNOWN, base_shape, hub_weights, read_shape, shape_of

PUBLISHED = {  # by their makers, in billions
    "Qwen/Qwen3-0.6B": (0.6, 0.44),
    "Qwen/Qwen3-1.7B": (1.7, 1.4),
    "Qwen/Qwen3-4B": (4.0, 3.6),
    "Qwen/Qwen3-8B": (8.2, 6.95),
    "Qwen/Qwen3-14B": (14.8, 13.2),
    "Qwen/Qwen3-32B": (32.8, 31.2),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_models_have_the_parameters_that_are_published(name):
    total, without_embedding = PUBLISHED[name]
    assert KNOWN[name].parameters / 1e9 == pytest.approx(total, abs=0.05)
    assert KNOWN[name].body / 1e9 == pytest.approx(without_embedding, abs=0.05)


def test_what_fetch_counts_in_the_weights_is_what_is_known_before(config):
    """Of SmolLM2-135M: metrics/assets.json has these figures of the default run."""
    whole = base_shape(config.scale, "smollm2")
    assert (whole.parameters, whole.body) == (134_515_008, 106_203_456)
    assert shape_of(config.scale, "cheap").layers == len(config.scale.cheap.layers)


def test_an_adapters_parameters_are_those_that_a_training_counts():
    """metrics/train/strong.json of the default run: rank 16 on all linear modules of 30 layers."""
    assert KNOWN["HuggingFaceTB/SmolLM2-135M-Instruct"].lora_parameters(16) == 4_884_480


def test_a_config_json_tells_of_any_other_model(tmp_path, config):
    values = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(values | {"vocab_size": 100}))
    shape = base_shape(config.scale, "smollm2", {"smollm2": tmp_path})
    assert shape == read_shape(tmp_path / "config.json")
    assert (shape.kv_heads, shape.head_dim, shape.tied) == (4, 16, True)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="config.json: not the config.json of a model of Llama's kind"):
        read_shape(tmp_path)
    with pytest.raises(UserError, match="gone/config.json: no such file|gone: no such file"):
        read_shape(tmp_path / "gone")


def test_what_a_hub_has_of_a_scales_bases_is_counted_once_a_base(config):
    assert hub_weights(config.scale, ROLES) == {}
    hub = {f"qwen-{size}": Hub(kind="hub", repo=f"Qwen/Qwen3-{size}", revision="main") for size in ("1.7B", "8B")}
    cheap, strong = (config.scale.cheap.model_copy(update={"base": base, "layers": None}) for base in hub)
    scale = config.scale.model_copy(update={"bases": hub, "cheap": cheap, "verifier": cheap, "strong": strong})
    found = hub_weights(scale, ROLES)
    assert list(found) == ["Qwen/Qwen3-1.7B", "Qwen/Qwen3-8B"]
    assert found["Qwen/Qwen3-1.7B"] / 1e9 == pytest.approx(4.06, abs=0.05)  # both of its tied matrices
    assert found["Qwen/Qwen3-8B"] / 1e9 == pytest.approx(16.4, abs=0.1)
