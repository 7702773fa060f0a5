"""How each role is asked: which model answers, in which form, and by which score it judges.

    voice = load_voice(Path("models"), "verifier", config.scale, config.recipe)
    how = asking(config.recipe, config.acceptance, config.scale.answer)
    reading = read_batch(voice, batch)
    judgements(voice, reading, proposed, how, how.score("verifier"))

Its model runs here, or is asked on a server (`engine` of the scale): the same questions, by ask.py or by served.py.

Recording answers (stages/answer.py) and acting on the simulators (live/) both ask in this way and no other: if they
drifted apart, live figures would silently stop being comparable.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from specacts.answering import served
from specacts.answering.ask import Asked, Reading, judge, likelihood, propose, read, reward
from specacts.answering.records import Candidate, Verdict
from specacts.answering.served import Contexts, Served
from specacts.config import Acceptance, Answer, Recipe, Render, Scale
from specacts.core.episodes import Tool
from specacts.core.words import JudgeScore, Level, Role
from specacts.models.load import load_model
from specacts.models.measure import model_size
from specacts.models.sizes import ModelSize
from specacts.recipe import asking_form, freezes, gives_rewards, has_verifier, judge_score, shows_confidence
from specacts.transcripts.render import Renderer, load_renderer


class Voice(NamedTuple):
    """A role's model, and the renderer of the form that it is asked in."""

    role: Role
    model: torch.nn.Module | Served
    renderer: Renderer

    @property
    def size(self) -> ModelSize:
        """What decides how much a token of it takes."""
        return self.model.size if isinstance(self.model, Served) else model_size(self.model)


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
    """A role's model from `models/base/<role>`, with its adapter from `models/<role>` unless the recipe freezes it.

    Or, where the scale's `engine` names the role, as its server has it.
    """
    if scale.engine != "local" and role in scale.engine.models:
        base = models / "base" / role
        renderer = load_renderer(base, scale.rendering(role), asking_form(recipe, role))
        return Voice(role, served.opened(scale.engine, role, renderer, base), renderer)
    adapter = None if freezes(recipe, role) else models / role
    return voice_of(role, models / "base" / role, adapter, scale.rendering(role), scale.device, scale.dtype, recipe)


def voice_of(
    role: Role, base: Path, adapter: Path | None, render: Render, device: str, dtype: str, recipe: Recipe
) -> Voice:
    """A role's model from wherever its base and its adapter lie, such as in a bundle (serving/bundle.py)."""
    renderer = load_renderer(base, render, asking_form(recipe, role))
    return Voice(role, load_model(base, adapter, device, dtype, gives_rewards(recipe, role)), renderer)


def read_batch(voice: Voice, batch: list[list[Asked]]) -> Reading | Contexts:
    """Read what the decisions of a batch (`ask.batches`) are about, each window once."""
    if not isinstance(voice.model, Served):
        return read(voice.model, [window[0].window for window in batch])
    asked = [a for window in batch for a in window]
    points = [(a.window.points, a.window.points.index(a.point)) for a in asked]
    known = [of[n - 1].start if n else 0 for of, n in points]  # what the decision before it was about
    return served.read(voice.model, voice.renderer, [a.window.ids[: a.point.start] for a in asked], known)


def proposals(
    voice: Voice,
    reading: Reading | Contexts,
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
    if isinstance(reading, Contexts):
        return served.propose(reading, voice.renderer, count, how.temperature, seeds, speaks, kept_to)
    return propose(reading, voice.renderer, count, how.temperature, seeds, speaks, kept_to)


def judgements(
    voice: Voice, reading: Reading | Contexts, proposed: list[list[Candidate]], how: Asking, score: JudgeScore
) -> list[list[Verdict]]:
    """Verdicts on each candidate at each decision that was read."""
    shows_confidence = voice.role == "verifier" and how.shows_confidence
    if isinstance(reading, Contexts):  # never of a reward model (config.py)
        if score == "likelihood":
            return served.likelihood(reading, voice.renderer, proposed, how.level)
        return served.judge(reading, voice.renderer, proposed, shows_confidence)
    if score == "reward":
        return reward(reading, voice.renderer, proposed)
    if score == "likelihood":
        return likelihood(reading, voice.renderer, proposed, how.level)
    return judge(reading, voice.renderer, proposed, shows_confidence)
