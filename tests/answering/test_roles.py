"""Whoever asks a role, the answer stage or a live agent, asks the same model the same question in the same way.

Here stand fakes at the models' place, so that every setting can be tried; tests/live/test_agents.py compares what real
ones answer.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import candidate
from pydantic import BaseModel
from toys import TOOLS, compact_tokenizer, episode, renderer, say

from specacts.answering import roles
from specacts.answering.ask import Asked, batches
from specacts.answering.records import Answers, Verdict
from specacts.answering.roles import Asking, Voice, asking, judgements, load_voice, proposals
from specacts.config import Config, Recipe
from specacts.core.episodes import Episode, decisions
from specacts.core.words import LEVELS, ROLES
from specacts.live.agents import ASKED, Models
from specacts.policies.cases import verdicts_of
from stages.answer import ask as ask_recorded
from stages.answer import facts

SEED = 3
PRIMITIVES = ("propose", "judge", "likelihood", "reward")
"""What models can be asked (ask.py)."""


def changed(recipe: Recipe, **fields: Any) -> Recipe:
    """The recipe with fields of its own, of its verifier and of its picks changed."""

    def updated(part: BaseModel) -> BaseModel:
        return part.model_copy(update={name: fields[name] for name in fields.keys() & type(part).model_fields.keys()})

    parts = {"verifier": updated(recipe.verifier), "picks": updated(recipe.picks)}
    return updated(recipe.model_copy(update=parts))


def how_of(config: Config, score: str = "likelihood", level: str = "type", **fields: Any) -> Asking:
    """How models are asked where the settings are changed."""
    acceptance = config.acceptance.model_copy(update={"score": score, "level": level})
    return asking(changed(config.recipe, **fields), acceptance, config.scale.answer)


# -- what decides how they are asked ---------------------------------------------------------------------------


def test_a_judge_goes_by_what_the_settings_say_of_a_reward_model_by_its_reward(config):
    assert how_of(config, "likelihood").score("verifier") == "likelihood"
    assert how_of(config, "verdict").score("verifier") == "verdict"
    assert how_of(config, "likelihood", objective="reward").score("verifier") == "reward"


def test_the_strong_model_tells_how_likely_it_finds_a_proposal_and_a_frozen_one_is_asked(config):
    for score in ("likelihood", "verdict"):  # which is the verifier's
        assert how_of(config, score).score("strong") == "likelihood"
        assert how_of(config, score, strong="frozen").score("strong") == "verdict"


def test_e_chooses_among_all_candidates_or_among_sampled_ones_beside_the_greedy_one(config):
    assert config.scale.answer.proposals == 3
    everything, sampled = how_of(config, among="all"), how_of(config, among="sampled")
    assert (everything.picks, everything.candidates) == ((0, 1, 2), 3)
    assert (sampled.picks, sampled.candidates) == ((1, 2, 3), 4)


@pytest.mark.parametrize("strong", ["fine_tuned", "frozen"])
@pytest.mark.parametrize("objective", ["verdict", "reward"])
def test_a_role_is_loaded_with_its_adapter_unless_it_is_frozen_and_in_its_form(config, monkeypatch, strong, objective):
    loaded: dict[Path, tuple] = {}
    monkeypatch.setattr(roles, "load_model", lambda base, *rest: loaded.setdefault(base, rest))
    monkeypatch.setattr(roles, "load_renderer", lambda base, render, form: (base, form))
    recipe, scale, models = changed(config.recipe, strong=strong, objective=objective), config.scale, Path("models")
    for role in ROLES:
        voice = load_voice(models, role, scale, recipe)
        frozen = role == "strong" and strong == "frozen"
        assert voice.role == role and voice.renderer == (models / "base" / role, "natural" if frozen else "words")
        rewards = role == "verifier" and objective == "reward"
        adapter = None if frozen else models / role
        assert loaded[models / "base" / role] == (adapter, scale.device, scale.dtype, rewards)


# -- how they are asked ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch) -> list[tuple]:
    """Every question that models are asked, in order: what, in whose form, and how; answers are fixed."""
    found: list[tuple] = []

    def answering(what: str) -> Callable:
        def answer(reading: Any, form: str, *how: Any) -> list:
            found.append((what, form, *how))
            if what == "propose":
                count, _, seeds, *_ = how
                return [[candidate(say("BLOCKED", f"{seed} {n}").action) for n in range(count)] for seed in seeds]
            score = {"judge": 0.2, "likelihood": 0.4, "reward": 0.6}[what]
            return [[verdict(score, n) for n, _ in enumerate(proposed)] for proposed in how[0]]

        return answer

    for what in PRIMITIVES:
        monkeypatch.setattr(roles, what, answering(what))
    return found


def verdict(score: float, shared: int) -> Verdict:
    return Verdict(score=score, tokens=1, heads=1, seconds=0.0, shared=shared)


VOICES = {role: Voice(role, None, f"{role}'s form") for role in ROLES}


def test_each_score_is_another_question(config, asked):
    how, voice, proposed = how_of(config, level="call"), VOICES["strong"], [[candidate(say("BLOCKED").action)]]
    for score in ("reward", "likelihood", "verdict"):
        judgements(voice, None, proposed, how, score)
    assert asked == [
        ("reward", "strong's form", proposed),
        ("likelihood", "strong's form", proposed, "call"),
        ("judge", "strong's form", proposed, False),
    ]


@pytest.mark.parametrize("shown", [True, False])
def test_only_the_verifier_reads_how_sure_the_proposer_was_and_only_where_the_recipe_says_so(config, asked, shown):
    how, proposed = how_of(config, shows_confidence=shown), [[candidate(say("BLOCKED").action)]]
    for role in ("verifier", "strong"):
        judgements(VOICES[role], None, proposed, how, "verdict")
    assert [question[-1] for question in asked] == [shown, False]


def test_all_but_the_greedy_proposal_are_sampled_at_the_settings_temperature(config, asked):
    proposals(VOICES["cheap"], None, how_of(config), 2, [7, 8], [TOOLS, ()])
    assert asked == [("propose", "cheap's form", 2, config.scale.answer.temperature, [7, 8], True, None)]


def test_proposals_are_kept_to_the_tools_on_offer_where_the_scale_says_so(config, asked):
    how = how_of(config)._replace(well_formed=True)
    proposals(VOICES["cheap"], None, how, 2, [7, 8], [TOOLS, ()])
    assert asked[0][-1] == [TOOLS, ()]


# -- by the answer stage and live ------------------------------------------------------------------------------

RENDERER = renderer(compact_tokenizer(), max_tokens=400)
BATCH: list[Asked] = [one for window in next(batches(RENDERER, [episode("a"), episode("b")], SEED)) for one in window]


def recorded(how: Asking, asked: list[tuple]) -> tuple[list[Answers], dict[str, list[tuple]]]:
    """The rows that the answer stage makes, and what it asks each role."""
    rows: dict[tuple[str, int], dict] = {}
    questions: dict[str, list[tuple]] = {}
    for role in ROLES:
        asked.clear()
        for one, answer in zip(BATCH, ask_recorded(VOICES[role], None, BATCH, rows, how), strict=True):
            row = rows.setdefault((one.episode.id, one.point.decision), facts(one))
            row |= answer
            row["window"][role], row["context"][role], row["seconds_per_token"][role] = 0, 1, 0.0
        questions[role] = list(asked)
    return [Answers.model_validate(row) for row in rows.values()], questions


def so_far(one: Asked) -> Episode:
    """The episode before a decision, as an agent at work has it."""
    step = decisions(one.episode)[one.point.decision].step
    return one.episode.model_copy(update={"steps": one.episode.steps[:step]})


class Unread(Models):
    """Models that nobody has to read a context with."""

    def read(self, role: str, agents: list) -> None:
        return None


@pytest.mark.parametrize(
    ("score", "level", "fields"),
    [
        (score, level, {"strong": strong, "among": among, **verifier})
        for score, level, strong, among, verifier in product(
            ("likelihood", "verdict"),
            LEVELS,
            ("fine_tuned", "frozen"),
            ("all", "sampled"),
            ({"shows_confidence": True}, {"shows_confidence": False}, {"objective": "reward"}),
        )
    ],
    ids=str,
)
def test_a_live_agent_asks_what_the_answer_stage_asks(config, asked, score, level, fields):
    how = how_of(config, score, level, **fields)._replace(well_formed=True)
    rows, questions = recorded(how, asked)
    agents = [
        SimpleNamespace(
            row=SimpleNamespace(episode=row.episode, decision=row.decision, picks=row.picks), episode=so_far(one)
        )
        for row, one in zip(rows, BATCH, strict=True)
    ]
    ask = Unread(VOICES, how, SEED)
    for field, role in ASKED.items():  # cheap first: the others judge its proposals
        asked.clear()
        for agent, answer in zip(agents, ask(field, agents), strict=True):
            setattr(agent.row, field, answer)
        assert len(asked) == 1 and asked[0] in questions[role]
    for agent, row in zip(agents, rows, strict=True):
        live = agent.row
        assert (live.cheap, live.strong, live.strong_verdict) == (row.cheap, row.strong, row.strong_verdict)
        assert live.verdicts == verdicts_of(row, how.score("verifier"))


def test_both_of_a_verifiers_scores_are_recorded_so_that_replaying_with_the_other_asks_nobody(config, asked):
    for score in ("likelihood", "verdict"):
        rows, questions = recorded(how_of(config, score), asked)
        assert [question[0] for question in questions["verifier"]] == ["judge", "likelihood", "propose"]
        assert {verdict.score for row in rows for verdict in row.verifier} == {0.2}
        assert {verdict.score for row in rows for verdict in row.verifier_likelihood} == {0.4}
    rows, questions = recorded(how_of(config, objective="reward"), asked)
    assert [question[0] for question in questions["verifier"]] == ["reward"]
    assert not any(row.verifier_likelihood for row in rows)
