"""How each role is asked: which model answers, in which form, and by which score it judges.

    voice = load_voice(Path("models"), "verifier", config.scale, config.recipe)
    how = asking(config.recipe, config.acceptance, config.scale.answer)
    judgements(voice, reading, proposed, how, how.score("verifier"))

Recording answers (stages/answer.py) and acting on the simulators (live/) both ask in this way and no other: if they
drifted apart, live figures would silently stop being comparable.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from specacts.answering.ask import Reading, judge, likelihood, propose, reward
from specacts.answering.records import Candidate, Verdict
from specacts.config import Acceptance, Answer, Recipe, Render, Scale
from specacts.core.episodes import Tool
from specacts.core.words import JudgeScore, Level, Role
from specacts.models.load import load_model
from specacts.recipe import asking_form, freezes, gives_rewards, has_verifier, judge_score, shows_confidence
from specacts.transcripts.render import Renderer, load_renderer


class Voice(NamedTuple):
    """A role's model, and the renderer of the form that it is asked in."""

    role: Role
    model: torch.nn.Module
    renderer: Renderer


class Asking(NamedTuple):
    """What decides how models are asked.

    level: what a judge has to find right. verifier, strong: the score that each judges by. proposals, temperature: N,
    of which all but the greedy one are sampled. greedy_apart: whether all N are, and the greedy one stands beside them.
    well_formed: whether proposals are kept to what an action may be.
    """

    level: Level
    verifier: JudgeScore
    strong: JudgeScore
    shows_confidence: bool
    proposals: int
    temperature: float
    greedy_apart: bool
    well_formed: bool

    @property
    def picks(self) -> tuple[int, ...]:
        """Numbers of the cheap model's candidates that policy E chooses among; the greedy one is number 0."""
        first = int(self.greedy_apart)
        return tuple(range(first, first + self.proposals))

    @property
    def candidates(self) -> int:
        """How many candidates the cheap model generates for all policies together."""
        return self.proposals + int(self.greedy_apart)

    def score(self, role: Role) -> JudgeScore:
        """What a judge goes by."""
        return self.strong if role == "strong" else self.verifier


def asking(recipe: Recipe, acceptance: Acceptance, answer: Answer) -> Asking:
    """How a configuration lets models be asked."""
    judged_by = judge_score(recipe, acceptance)
    return asking_so(recipe, acceptance.level, judged_by, answer.proposals, answer.temperature, answer.well_formed)


def asking_so(
    recipe: Recipe, level: Level, verifier: JudgeScore, proposals: int, temperature: float, well_formed: bool
) -> Asking:
    """How a recipe lets models be asked. A frozen strong model is asked in words, like upstream's."""
    return Asking(
        level=level,
        verifier=verifier,
        strong="verdict" if freezes(recipe, "strong") else "likelihood",
        shows_confidence=shows_confidence(recipe),
        proposals=proposals if has_verifier(recipe) else 1,  # nobody would pick among several
        temperature=temperature,
        greedy_apart=has_verifier(recipe) and recipe.picks.among == "sampled",
        well_formed=well_formed,
    )


def load_voice(models: Path, role: Role, scale: Scale, recipe: Recipe) -> Voice:
    """A role's model from `models/base/<role>`, with its adapter from `models/<role>` unless the recipe freezes it."""
    adapter = None if freezes(recipe, role) else models / role
    return voice_of(role, models / "base" / role, adapter, scale.rendering(role), scale.device, scale.dtype, recipe)


def voice_of(
    role: Role, base: Path, adapter: Path | None, render: Render, device: str, dtype: str, recipe: Recipe
) -> Voice:
    """A role's model from wherever its base and its adapter lie, such as in a bundle (serving/bundle.py)."""
    renderer = load_renderer(base, render, asking_form(recipe, role))
    return Voice(role, load_model(base, adapter, device, dtype, gives_rewards(recipe, role)), renderer)


def proposals(
    voice: Voice,
    reading: Reading,
    how: Asking,
    count: int,
    seeds: list[int],
    tools: Sequence[Sequence[Tool]],
    speaks: bool = True,
) -> list[list[Candidate]]:
    """`count` candidates at each decision that was read: one greedy, the others sampled.

    tools: on offer at each. speaks: with the words of speaking actions, which somebody may take.
    """
    kept_to = tools if how.well_formed else None
    return propose(reading, voice.renderer, count, how.temperature, seeds, speaks, kept_to)


def judgements(
    voice: Voice, reading: Reading, proposed: list[list[Candidate]], how: Asking, score: JudgeScore
) -> list[list[Verdict]]:
    """Verdicts on each candidate at each decision that was read."""
    if score == "reward":
        return reward(reading, voice.renderer, proposed)
    if score == "likelihood":
        return likelihood(reading, voice.renderer, proposed, how.level)
    return judge(reading, voice.renderer, proposed, voice.role == "verifier" and how.shows_confidence)
