"""A bundle is read wherever it lies, and only where every file is the one that its policy was proved with."""

from pathlib import Path
from typing import Any

import pytest
from bundle_files import make_bundle, offer

from specacts.core.episodes import Tool
from specacts.core.errors import UserError
from specacts.serving.bundle import Offer, Watched, load_bundle


@pytest.fixture
def models(tmp_path: Path, config) -> Path:
    """A bundle beside a base and an adapter, in a folder whose name holds a space."""
    return make_bundle(tmp_path / "my models", config)


def test_an_offer_comes_back_from_its_file_as_it_was(tmp_path):
    kept = offer(threshold={"retrieval": 0.25}, watched=Watched(limit=0.1, basis="risk"))
    kept.save(tmp_path / "offer.json", exact=True)
    assert Offer.load(tmp_path / "offer.json") == kept


def test_a_field_that_is_missing_is_named(tmp_path):
    (tmp_path / "offer.json").write_text('{"policy": "F"}')
    with pytest.raises(UserError, match="threshold"):
        Offer.load(tmp_path / "offer.json")


def test_a_bundle_is_read_from_its_own_folder_or_the_one_that_holds_it(models):
    own, holding = load_bundle(models / "policy"), load_bundle(models)
    assert own == holding and own.folder == holding.folder == models / "policy"
    assert own.base("cheap").resolve() == models / "base/cheap" and own.types.is_file()
    assert own.adapter("cheap").resolve() == models / "cheap" and own.adapter("strong") is None
    assert own.router() is None and own.combination() is None  # nothing on offer goes by them


@pytest.mark.parametrize("name", ["policy/action_types.yaml", "base/cheap/config.json", "cheap/adapter_config.json"])
def test_a_file_that_differs_or_is_missing_is_named_and_what_to_do(models, name):
    path = models / name
    path.write_text(path.read_text() + " ")
    with pytest.raises(UserError, match=rf"{path.name}: is not the file .*dvc checkout"):
        load_bundle(models)
    path.unlink()
    with pytest.raises(UserError, match=rf"{path.name}: no such file.*dvc checkout"):
        load_bundle(models)


def test_models_that_are_not_asked_need_not_be_checked(models):
    (models / "base/strong/config.json").unlink()
    assert set(load_bundle(models, roles=["cheap"]).models) == {"cheap", "strong"}
    with pytest.raises(UserError, match="no such file"):
        load_bundle(models, roles=["strong"])


def test_a_folder_without_a_bundle_is_told_apart(tmp_path):
    with pytest.raises(UserError, match=r"has no policy.json; make a bundle with `dvc repro bundle`"):
        load_bundle(tmp_path)


def changed(models: Path, config, **fields: Any):
    return load_bundle(models).model_copy(update=fields)


def test_the_risk_that_is_named_is_served_and_without_one_the_default(models, config):
    offers = (offer(risk=0.05, threshold=0.9), offer(risk=0.1, threshold=0.5))
    bundle = changed(models, config, offers=offers, default=1)
    assert bundle.offer(None).threshold == bundle.offer(0.1).threshold == 0.5
    assert bundle.offer(0.05).threshold == 0.9


def test_a_risk_that_is_not_on_offer_is_refused_with_those_that_are(models, config):
    bundle = changed(models, config, offers=(offer(risk=0.05), offer(risk=0.1)))
    with pytest.raises(UserError, match=r"risk: 0.2 is not on offer in .*: choose from 0.05, 0.1"):
        bundle.offer(0.2)
    with pytest.raises(UserError, match="only an offer without a promise"):
        changed(models, config, offers=(offer(risk=None),)).offer(0.2)


def test_tools_come_as_in_training_the_most_called_first_and_unknown_ones_last(models, config):
    bundle = changed(models, config, tools={"b": 3, "a": 1, "c": 1})
    tools = [Tool(name=name) for name in ("new", "c", "a", "b", "other")]
    assert [tool.name for tool in bundle.arranged(tools)] == ["b", "c", "a", "new", "other"]
