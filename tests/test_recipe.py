"""What follows from a recipe: the form in which models are trained and asked, and by what the verifier goes."""

import pytest

from specacts.config import Recipe
from specacts.core.words import ROLES
from specacts.recipe import (
    asking_form,
    freezes,
    gives_rewards,
    has_verifier,
    is_recorded,
    judge_score,
    local_roles,
    shows_confidence,
    training_form,
)


@pytest.fixture
def v3(config) -> Recipe:
    return config.recipe


def verifying(recipe: Recipe, **changed: str) -> Recipe:
    return recipe.model_copy(update={"verifier": recipe.verifier.model_copy(update=changed)})


def test_v3_trains_and_asks_everyone_in_one_form(v3):
    assert {training_form(v3), *(asking_form(v3, role) for role in ROLES)} == {"words"}
    assert not any(freezes(v3, role) for role in ROLES)


def test_a_mismatched_format_trains_on_lines_and_asks_in_natural_chat(v3):
    found = v3.model_copy(update={"format": "mismatched"})
    assert training_form(found) == "lines" and {asking_form(found, role) for role in ROLES} == {"natural"}


def test_a_frozen_strong_model_alone_is_asked_in_natural_chat(v3):
    found = v3.model_copy(update={"strong": "frozen"})
    assert [asking_form(found, role) for role in ROLES] == ["words", "words", "natural"]
    assert [freezes(found, role) for role in ROLES] == [False, False, True]


@pytest.mark.parametrize("change", [{"negatives": "synthetic"}, {"objective": "reward"}])
def test_confidence_is_shown_only_where_there_is_a_proposer_and_a_question(v3, change):
    assert shows_confidence(v3) and not shows_confidence(verifying(v3, **change))


def test_a_reward_model_is_gone_by_its_reward_whatever_params_say(config, v3):
    rewards = verifying(v3, objective="reward")
    assert [judge_score(recipe, config.acceptance) for recipe in (v3, rewards)] == ["likelihood", "reward"]
    assert [gives_rewards(rewards, role) for role in ("cheap", "verifier", "strong")] == [False, True, False]


def test_without_a_verifier_none_runs_here_and_nothing_is_shown_to_it(v3):
    found = verifying(v3, negatives="none")
    assert has_verifier(v3) and not has_verifier(found) and not shows_confidence(found)
    assert local_roles(found) == ("cheap", "strong")
    assert local_roles(found.model_copy(update={"strong": "recorded"})) == ("cheap",)


def test_all_roles_run_here_but_a_recorded_one(v3):
    assert local_roles(v3) == ROLES and not is_recorded(v3)
    found = v3.model_copy(update={"strong": "recorded"})
    assert local_roles(found) == ("cheap", "verifier") and is_recorded(found) and not freezes(found, "strong")
