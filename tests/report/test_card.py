"""Model cards: their front matter can be read, their words follow the configuration and what was measured."""

from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from specacts.config import Config, Folder, Hub
from specacts.core.words import ROLES, Role
from specacts.report.card import model_card
from specacts.report.facts import Losses, Trained
from specacts.training.results import FROZEN, TrainMetrics, VerdictCounts

MEASURED = TrainMetrics(
    steps=45,
    rows=9000,
    episodes=26,
    tokens=39_750,
    supervised_tokens=5298,
    seen_tokens=19_875,
    trainable_parameters=325_632,
    seconds=10.25,
    peak_memory_gib=0.75,
)
TRAINED = Trained(MEASURED, Losses(35.6876, 6.0049))


def changed(config: Config, part: str, **values: Any) -> Config:
    return config.model_copy(update={part: getattr(config, part).model_copy(update=values)})


def based_on(config: Config, source: Hub | Folder) -> Config:
    return changed(config, "scale", bases=dict.fromkeys(config.scale.bases, source))


def front_matter(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize("role", ROLES)
def test_a_card_says_what_a_hub_wants_to_know(config: Config, role: Role):
    text = model_card(role, config, TRAINED)
    assert front_matter(text) == {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "language": ["en"],
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "license": "apache-2.0",
        "tags": ["lora", "agents", "tool-use", "specacts", role],
    }
    assert ModelCard(text).text.startswith(f"\n# specacts: {role} adapter\n\nA LoRA adapter that ")
    assert text.endswith("see `NOTICE`.\n")


def test_a_base_of_unknown_licence_is_described_without_a_guess(config: Config):
    text = model_card("cheap", based_on(config, Hub(kind="hub", repo="me/mine", revision="main")), TRAINED)
    assert front_matter(text)["base_model"] == "me/mine" and "license" not in front_matter(text)
    assert "`me/mine` at revision `main`; the commit is in `metrics/assets.json`." in text
    text = model_card("cheap", based_on(config, Folder(kind="folder", path="/home/somebody/mine")), TRAINED)
    assert not {"base_model", "license"} & set(front_matter(text))
    assert "The local folder `mine`; its hash" in text and "somebody" not in text


def test_what_was_measured_is_there_and_what_another_machine_would_change_is_not(config: Config):
    text = model_card("cheap", config, TRAINED)
    for row in ("| rows | 9,000 |", "| trainable parameters | 325,632 |", "| first loss | 35.6876 |"):
        assert row in text
    assert "10.25" not in text and "0.75" not in text
    assert "first loss" not in model_card("cheap", config, Trained(MEASURED, None))


def test_traces_are_named_by_where_they_came_from(config: Config):
    for bfcl, own in ((True, False), (False, True), (True, True)):
        text = model_card("cheap", changed(config, "sources", bfcl=bfcl, own=own), TRAINED)
        assert ("replayed from `bfcl-eval==" in text) is bfcl and ("`metrics/ingest.json`" in text) is own
        assert (", and conversations of" in text) is (bfcl and own)


def test_a_verifier_says_what_it_learned_from(config: Config):
    verdicts = VerdictCounts(accept=83, reject=21)
    found = Trained(MEASURED.model_copy(update={"verdicts": verdicts}), TRAINED.losses)
    text = model_card("verifier", config, found)
    assert "Objective 'verdict': 83 right and 21 wrong actions (the cheap model's own proposals; right at" in text
    recipe = config.recipe.verifier.model_copy(update={"objective": "reward", "negatives": "synthetic"})
    text = model_card("verifier", changed(config, "recipe", verifier=recipe), found)
    assert "gives a proposed action a scalar reward" in text and "gold actions, also of others" in text


def test_a_frozen_model_has_no_adapter(config: Config):
    text = model_card("strong", changed(config, "recipe", strong="frozen"), Trained(FROZEN, None))
    assert "# specacts: strong, frozen\n\nNo adapter: recipe `v3` uses the base as it comes" in text
    assert "## Training" not in text and "## Base" in text and "## Licence" in text
