"""Stage bundle writes what serving needs and no more: of whose models, with which files, by whose types."""

from pathlib import Path

import pytest
from factories import make_cases
from toy_facts import setting, workspace
from toys import TEMPLATE, call, compact_tokenizer, say

from specacts.core.episodes import Action, Episode, User
from specacts.core.files import read_json, write_json, write_jsonl, write_text
from specacts.policies.router import Router
from specacts.serving.bundle import load_bundle
from specacts.traces.tool_types import load_type_map
from stages import bundle, calibrate

OWN_TYPES = "look: {type: retrieval, compare: {note: ignore}}\nmove: file_write\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """What the stages before it leave behind, `calibrate` included, for toy models."""
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder, {"calibrate": make_cases(12, 5), "test": make_cases(3, 6)})
    tokenizer = compact_tokenizer()
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    for role in ("cheap", "verifier", "strong"):
        tokenizer.save_pretrained(folder / f"models/base/{role}")
        write_text(folder / f"models/{role}/adapter_config.json", "{}\n")
    Router(weights={}, intercept=0.0).save(folder / "data/router.json")
    write_text(folder / "types.yaml", OWN_TYPES)
    setting(folder, "types: configs/action_types/helpdesk.yaml", "types: types.yaml")
    write_jsonl(folder / "data/split/train.jsonl", [e.model_dump(mode="json") for e in (spoken("own"), spoken("bfcl"))])
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        calibrate.main()
    return folder


@pytest.fixture
def here(made: Path, monkeypatch) -> Path:
    monkeypatch.chdir(made)
    before = (made / "params.yaml").read_text(), (made / "metrics/calibrate.json").read_text()
    yield made
    for name, text in zip(("params.yaml", "metrics/calibrate.json"), before, strict=True):
        (made / name).write_text(text)


def spoken(source: str) -> Episode:
    """An episode that looks twice and moves once."""
    steps = (User(content="go"), call("move"), call("look", "retrieval"), call("look", "retrieval"), say())
    return Episode(id=source, group=source, source=source, tools=(), steps=steps)


def guaranteed(folder: Path, **by_policy: float) -> None:
    """As if these thresholds had been shown to be safe at a risk of 0.1."""
    path = folder / "metrics/calibrate.json"
    found = read_json(path)
    found["guaranteed"] = {name: {"0.1": threshold} for name, threshold in by_policy.items()}
    write_json(path, found)


def test_bfcls_policy_knows_bfcls_types_and_no_order_of_tools(here):
    guaranteed(here, G=0.4)
    bundle.main()
    found = load_bundle(here / "models")
    assert (found.source, found.tools, found.characters, found.redacts) == ("bfcl", {}, None, False)
    assert found.types.read_text() == (here / "configs/action_types/bfcl.yaml").read_text()
    assert found.made_by and found.proof.groups == 4


def test_ones_own_policy_knows_ones_types_how_often_tools_were_called_and_how_calls_were_shortened(here):
    setting(here, "own: false", "own: true")
    bundle.main()
    found = load_bundle(here / "models")
    assert found.source == "own" and found.tools == {"look": 2, "move": 1} and list(found.tools) == ["look", "move"]
    assert found.types.read_text() == OWN_TYPES
    assert (
        found.redacts
        and found.characters
        and f"more than {found.characters}" in (found.folder / "prompt_format.md").read_text()
    )


def test_only_models_and_files_that_serving_needs_are_in_it(here):
    guaranteed(here, G=0.4)
    bundle.main()
    routed = load_bundle(here / "models")
    assert [one.policy for one in routed.offers] == ["G"] and list(routed.models) == ["cheap", "strong"]
    assert routed.router() == Router(weights={}, intercept=0.0) and routed.combination() is None
    guaranteed(here, D=0.2)
    bundle.main()
    judged = load_bundle(here / "models")
    assert [one.policy for one in judged.offers] == ["D"] and set(judged.models) == {"cheap", "verifier", "strong"}
    assert judged.router() is None and not (judged.folder / "router.json").exists()


def test_a_model_that_is_used_as_it_comes_has_no_adapter(here):
    setting(here, "recipe: v3", "recipe: v2")
    bundle.main()
    found = load_bundle(here / "models")
    assert found.adapter("strong") is None and found.adapter("cheap") is not None
    assert "deliberately" in (found.folder / "prompt_format.md").read_text()


def test_what_acts_by_default_is_told_in_a_line(here, capsys):
    guaranteed(here, G=0.4)
    bundle.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "* at a risk of 0.1 (with 90% confidence): G, a router decides who acts, before any call; on"
    )


def test_arguments_are_compared_with_the_strong_models_by_the_rules_of_the_types_file(here):
    types = load_type_map(here / "types.yaml")
    strong = Action(type="retrieval", tool="look", arguments={"note": "a"})
    other, plain = (strong.model_copy(update={"arguments": given}) for given in ({"note": "b"}, {"note": "a", "x": 1}))
    assert bundle.alike(other, strong, types, "call") and not bundle.alike(plain, strong, types, "call")
    assert bundle.alike(plain, strong, types, "tool") and not bundle.alike(strong, None, types, "type")
