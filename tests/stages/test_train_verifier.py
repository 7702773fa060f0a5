"""What the verifier's training starts from, and what it learns then."""

from pathlib import Path

import pytest
from toys import compact_tokenizer, episode, renderer

from specacts.core.episodes import save_episodes
from stages.train_verifier import verifier_lesson, warm_start


def changed(config, **verifier):
    """The configuration with another verifier's recipe."""
    recipe = config.recipe.verifier.model_copy(update=verifier)
    return config.model_copy(update={"recipe": config.recipe.model_copy(update={"verifier": recipe})})


def test_the_verifier_starts_from_the_recipes_adapter_only_where_that_fits_its_base(config):
    def start(source: str, **verifier) -> Path | None:
        made = config.scale.cheap.model_copy(update={"layers": (0, -1)})
        roles = {"cheap": made, "verifier": made.model_copy(update=verifier)}
        return warm_start(
            changed(config, warm_start=source).model_copy(update={"scale": config.scale.model_copy(update=roles)})
        )

    assert start("cheap") == Path("models/cheap")
    assert start("cheap", layers=(0, 1, -1)) is None
    assert start("none") is None


@pytest.fixture
def two_splits(tmp_path, monkeypatch):
    """An episode to verify and two to train on, in a folder to work in."""
    (tmp_path / "data/split").mkdir(parents=True)
    save_episodes(tmp_path / "data/split/verify.jsonl", [episode("v", 2)])
    save_episodes(tmp_path / "data/split/train.jsonl", [episode("a", 1), episode("b", 3)])
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("objective", "cold"), [("verdict", True), ("verdict", False), ("reward", True)])
def test_a_verifier_that_starts_from_no_adapter_learns_the_train_splits_actions_too(
    config, two_splits, objective, cold
):
    made = changed(config, objective=objective, negatives="synthetic")
    lesson = verifier_lesson(made, renderer(compact_tokenizer()), cold)
    acts = cold and objective == "verdict"
    assert lesson.episodes == (3 if acts else 1)
    rows = list(lesson.rows)
    judging = [row for row in rows if row.branches]  # verdicts are learnt on the verify split alone
    assert len(judging) == 2 and len(rows) == (6 if acts else 2)
