"""What is foretold of tokens is what a training counts."""

import json
from pathlib import Path

import pytest
from toys import COMPACT, FRAMES, compact_tokenizer, episode

from specacts.config import Config, Rendering
from specacts.core.episodes import decisions as due_in
from specacts.core.words import ROLES
from specacts.plan import tokens
from specacts.plan.tokens import counted, starts_cold
from specacts.recipe import shows_confidence
from specacts.traces.split import training_order
from specacts.training.judged import Judged
from specacts.training.rows import Weights, proposer_rows, verifier_rows
from specacts.transcripts.render import Renderer

PARTS = {
    "train": [episode(f"t{n}", 1 + n % 4) for n in range(12)],
    "verify": [episode(f"v{n}", 2) for n in range(3)],
    "calibrate": [episode(f"c{n}", 3) for n in range(4)],
    "test": [episode(f"e{n}", 1) for n in range(4)],
}
WEIGHTS = Weights(1.0, 1.0)


@pytest.fixture(scope="module")
def toy(config) -> Config:
    """The tests' configuration with the toys' frames and limits."""
    limits = COMPACT.model_dump() | {"frames": {"smollm2": FRAMES}}
    return config.model_copy(update={"scale": config.scale.model_copy(update={"render": Rendering(**limits)})})


@pytest.fixture(scope="module")
def root(toy, tmp_path_factory) -> Path:
    """A place where the bases were fetched."""
    folder = tmp_path_factory.mktemp("root")
    for role in ROLES:
        compact_tokenizer().save_pretrained(folder / "models/base" / role)
    (folder / "metrics").mkdir()
    fetched = {"roles": {role: {"base": toy.scale.role(role).base} for role in ROLES}}
    (folder / "metrics/assets.json").write_text(json.dumps(fetched))
    return folder


@pytest.fixture(scope="module")
def found(toy, root):
    return counted(toy, PARTS, root)


def test_a_proposers_rows_are_those_of_its_training(toy, found):
    rows = [
        *proposer_rows(Renderer.load(compact_tokenizer(), COMPACT), training_order(PARTS["train"], toy.seed), WEIGHTS)
    ]
    training = found["cheap"].training
    assert found["cheap"].exact and training.rows == len(rows)
    assert training.tokens == (sum(len(row.ids) for row in rows),) * 2
    assert training.seen.low == round(training.tokens.low * training.steps / len(rows))


def test_a_verifiers_rows_have_no_proposals_at_the_least_and_at_most_all_that_may_be(toy, found):
    renderer = Renderer.load(compact_tokenizer(), COMPACT)
    judged = {}
    for one in PARTS["verify"]:
        for window in renderer.windows(one):
            for point in window.points:
                gold = due_in(one)[point.decision].gold
                judged[one.id, point.decision] = [Judged(gold, 0.5, True)] * 2
    rows, _ = verifier_rows(renderer, PARTS["verify"], judged, 1.0, WEIGHTS, shows_confidence(toy.recipe))
    low, high = found["verifier"].training.tokens
    assert low < sum(len(row.ids) for row in rows) <= high


def test_a_verifier_that_starts_from_nothing_learns_the_train_split_too(toy, root, found):
    verifier = toy.recipe.verifier.model_copy(update={"warm_start": "none"})
    cold = toy.model_copy(update={"recipe": toy.recipe.model_copy(update={"verifier": verifier})})
    assert starts_cold(cold) and not starts_cold(toy)
    warm, more = found["verifier"].training, counted(cold, PARTS, root)["verifier"].training
    assert more.rows == warm.rows + found["cheap"].training.rows
    assert more.tokens.low == warm.tokens.low + found["cheap"].training.tokens.low


def test_every_decision_is_asked_and_the_cheap_models_on_verify_too(found):
    decisions = {name: sum(len(due_in(one)) for one in part) for name, part in PARTS.items()}
    assert found["strong"].asked.decisions == decisions["calibrate"] + decisions["test"]
    assert found["cheap"].asked.decisions == found["strong"].asked.decisions + decisions["verify"]
    assert found["cheap"].asked.judged == (0, 0) and found["strong"].asked.judged.low > 0


def test_of_many_conversations_some_stand_for_all(toy, root, found, monkeypatch):
    monkeypatch.setattr(tokens, "SAMPLE", 8)  # of twelve, two of each length
    some, every = counted(toy, PARTS, root)["cheap"].training, found["cheap"].training
    assert some.rows == pytest.approx(every.rows, rel=0.2)
    assert some.tokens.low == pytest.approx(every.tokens.low, rel=0.2)


@pytest.mark.parametrize("frames", [FRAMES, "chat"])
def test_without_the_base_a_stand_in_counts_whatever_its_frames(toy, tmp_path, frames):
    named = {"frames": {"smollm2": frames}, "max_tokens": 1600, "tools_tokens": 300}
    render = toy.scale.render.model_copy(update=named)
    config = toy.model_copy(update={"scale": toy.scale.model_copy(update={"render": render})})
    found = counted(config, PARTS, tmp_path)
    assert not found["strong"].exact and found["strong"].training.rows == len(PARTS["train"])
    assert found["strong"].training.tokens.low > 100 * len(PARTS["train"])
