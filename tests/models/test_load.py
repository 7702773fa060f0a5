"""Models come from their folders with adapter, precision and device."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from toys import TRUNK, compact_tokenizer, fresh, llama, rows_equal, save_base

from specacts.models.load import device_of, load_model


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_loaded_model_has_its_adapter_merged_and_its_dtype(tmp_path, dtype):
    tokenizer = compact_tokenizer()
    base = save_base(tmp_path / "base", tokenizer, llama(tokenizer))
    adapted = get_peft_model(llama(tokenizer), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    loaded = load_model(base, tmp_path / "adapter", "cpu", dtype)
    assert loaded.dtype == getattr(torch, dtype)
    assert not any("lora" in name for name, _ in loaded.named_parameters())
    with torch.inference_mode():
        expected = torch.log_softmax(adapted.eval()(input_ids=torch.tensor([TRUNK])).logits[0], dim=-1)
    assert rows_equal(fresh(loaded, TRUNK), expected, 1e-5 if dtype == "float32" else 0.5)
    assert not rows_equal(fresh(load_model(base, None, "cpu", "float32"), TRUNK), expected, 1e-2)


def test_auto_is_some_device():
    assert device_of("auto").type in ("cpu", "cuda")
    assert device_of("cpu").type == "cpu"
