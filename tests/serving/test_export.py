"""An exported bundle needs nothing of this repository: its adapters load by the base that they name."""

import json
from pathlib import Path

import pytest
import torch
from bundle_files import make_bundle, part
from huggingface_hub import ModelCard
from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model
from toys import COMPACT, TRUNK, compact_tokenizer, llama, save_base
from transformers import AutoModelForCausalLM, AutoTokenizer

from specacts.core.errors import UserError
from specacts.core.words import ROLES
from specacts.models.load import load_model
from specacts.serving.bundle import Bundle, load_bundle
from specacts.serving.export import card, export

IDS = torch.tensor([TRUNK])


@pytest.fixture(scope="module")
def bundle(config, tmp_path_factory) -> Bundle:
    """Toy models with a pickle beside them, and an adapter as PEFT writes it: readable by its owner alone."""
    models = tmp_path_factory.mktemp("models")
    for role, seed in (("cheap", 0), ("strong", 1)):
        save_base(models / "base" / role, compact_tokenizer(), llama(compact_tokenizer(), seed=seed))
    (models / "base/cheap/training_args.bin").write_bytes(b"a pickle")
    tuned = get_peft_model(
        llama(compact_tokenizer()), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    tuned.save_pretrained(models / "cheap")
    adapter = models / "cheap/adapter_config.json"
    adapter.write_text(json.dumps(json.loads(adapter.read_text()) | {"base_model_name_or_path": None}))
    (models / "cheap/adapter_model.safetensors").chmod(0o600)
    return load_bundle(make_bundle(models, config, render=dict.fromkeys(ROLES, COMPACT)))


@pytest.fixture(scope="module")
def written(bundle: Bundle, tmp_path_factory) -> Path:
    """The exported folder, moved to where it was not written."""
    folder = tmp_path_factory.mktemp("exported")
    export(bundle, folder / "out", merged=True)
    return (folder / "out").rename(folder / "moved there")


def test_it_is_a_bundle_that_offers_the_same_wherever_it_lies(bundle, written):
    found = load_bundle(written)
    assert found.model_copy(update={"models": {}}).at(bundle.folder) == bundle.model_copy(update={"models": {}})
    assert found.models["cheap"].base == "../base/cheap" and found.models["strong"].adapter is None


def test_an_adapter_loads_by_the_base_that_it_names(bundle, written, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # PEFT would look for the tokenizer there
    monkeypatch.chdir(written)
    model = AutoPeftModelForCausalLM.from_pretrained("cheap", local_files_only=True).eval()
    ours = load_model(bundle.base("cheap"), bundle.adapter("cheap"), "cpu", "float32")
    plain = load_model(bundle.base("cheap"), None, "cpu", "float32")
    with torch.no_grad():
        theirs, mine, without = (one(input_ids=IDS).logits for one in (model, ours, plain))
    assert torch.allclose(theirs, mine, atol=1e-4) and not torch.allclose(theirs, without, atol=1e-2)


def test_a_merged_model_needs_no_adapter_and_has_its_tokenizer(bundle, written):
    model = AutoModelForCausalLM.from_pretrained(written / "merged/cheap").eval()
    ours = load_model(bundle.base("cheap"), bundle.adapter("cheap"), "cpu", "float32")
    with torch.no_grad():
        assert torch.allclose(model(input_ids=IDS).logits, ours(input_ids=IDS).logits, atol=1e-5)
    assert AutoTokenizer.from_pretrained(written / "merged/cheap").eos_token == "<|im_end|>"


def test_everybody_may_read_it_and_nothing_in_it_is_a_pickle_or_a_link(written):
    paths = list(written.rglob("*"))
    assert not [path for path in paths if path.suffix == ".bin" or path.is_symlink()]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (written, *paths) if path.is_dir()} == {0o755}


def test_cards_say_what_it_is_to_people_and_to_a_hub(written):
    for path in (written / "README.md", written / "cheap/README.md"):
        found = ModelCard.load(path)
        assert found.data.library_name == "peft" and "cheap" in found.data.tags
    assert (
        "| 10 points | F: cheap proposes, its own confidence decides | 80 % | 0.40 |"
        in (written / "README.md").read_text()
    )


def test_of_a_recorded_agent_the_card_tells_how_many_actions_may_differ(bundle):
    recorded = bundle.model_copy(update={"recipe": bundle.recipe.model_copy(update={"strong": "recorded"})})
    text = card(recorded, merged=False)
    assert "| actions that may differ | policy |" in text and "| 10 % | F: " in text and "merged/" not in text


def test_a_base_that_is_a_hubs_own_is_named_so_with_its_commit(bundle, tmp_path):
    models = bundle.folder.parent
    there = part(models, "cheap", tuned=True, hub="some/model", commit="abc")
    export(bundle.model_copy(update={"models": {"cheap": there}}), tmp_path / "out", merged=False)
    named = json.loads((tmp_path / "out/cheap/adapter_config.json").read_text())
    assert (named["base_model_name_or_path"], named["revision"]) == ("some/model", "abc")
    assert not (tmp_path / "out/merged").exists() and load_bundle(tmp_path / "out").models["cheap"].hub == "some/model"


def test_a_folder_that_holds_something_is_left_alone_and_an_empty_one_is_taken(bundle, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not an empty folder; choose another one with -o"):
        export(bundle, tmp_path, merged=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    export(bundle, tmp_path / "empty", merged=False)
    assert load_bundle(tmp_path / "empty").offers == bundle.offers
