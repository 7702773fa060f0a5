"""How many tokens a run learns, reads and writes, by role: counted in the traces by the renderer that trainings use.

    counted(config, shared_out(config, root, folder), root)["strong"].training.seen

Of a base that is here the tokens of proposers' trainings are exactly those that will be counted (metrics/train); a
verifier's depend on what the cheap model will propose. For others a stand-in counts (`standin.py`). Of many
conversations a part is counted.
"""

from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from specacts.config import Config, Render
from specacts.core.episodes import Episode
from specacts.core.files import read_json
from specacts.core.words import Form, Role
from specacts.plan.ranges import Range
from specacts.recipe import asking_form, freezes, has_verifier, local_roles, shows_confidence, training_form
from specacts.traces.split import spread, training_order
from specacts.transcripts.render import Renderer, Window, load_renderer

SAMPLE = 240
"""Most conversations of a split that are counted; of more, so many stand for all."""
TOGETHER = 8
"""So many windows are answered together (specacts/answering/ask.py: batches)."""


class Training(NamedTuple):
    """rows, tokens: of an epoch; seen: by all steps. Ranges where it is not known what will be judged."""

    rows: int
    tokens: Range
    seen: Range
    steps: int


class Asked(NamedTuple):
    """What a model is asked in `propose` and `answer`.

    read: tokens of trunks. judged: of proposals that it reads. written: of all that it writes. steps: how often it
    writes the next token of everything that is answered together.
    """

    decisions: int
    read: int
    judged: Range
    written: Range
    steps: Range


class Counted(NamedTuple):
    """Of a role. exact: by its own tokenizer. training: None of a model that is not trained."""

    exact: bool
    training: Training | None
    asked: Asked


class Sampled(NamedTuple):
    """Windows of some episodes, and of how many each stands for."""

    windows: list[Window]
    factor: float


def counted(config: Config, parts: dict[str, list[Episode]], root: Path) -> dict[Role, Counted]:
    """What the models that run here are trained on and asked. parts: episodes by split; root: where bases may lie."""
    counting = _Counting(config, parts, root)
    return {role: _of_role(counting, role) for role in local_roles(config.recipe)}


def _of_role(counting: "_Counting", role: Role) -> Counted:
    recipe = counting.config.recipe
    training = None
    if not freezes(recipe, role):
        training = _training(counting, role, counting.renderer(role, training_form(recipe)))
    asked = _asked(counting, role, counting.renderer(role, asking_form(recipe, role)))
    return Counted(is_here(counting.config, role, counting.root), training, asked)


@dataclass
class _Counting:
    """Renderers and windows, of which roles alike share theirs: to make them is what takes the time."""

    config: Config
    parts: dict[str, list[Episode]]
    root: Path
    renderers: dict[tuple[Render, Form, str], Renderer] = field(default_factory=dict)
    sampled: dict[tuple[int, str, int | None], Sampled] = field(default_factory=dict)

    def renderer(self, role: Role, form: Form) -> Renderer:
        """By the base's own tokenizer, or by a stand-in."""
        limits, here = self.config.scale.rendering(role), is_here(self.config, role, self.root)
        key = (limits, form, self.config.scale.role(role).base if here else "")
        if key not in self.renderers:
            self.renderers[key] = self._made(limits, form, self.root / "models/base" / role if here else None)
        return self.renderers[key]

    def _made(self, limits: Render, form: Form, folder: Path | None) -> Renderer:
        if folder:
            return load_renderer(folder, limits, form)
        from specacts.plan.standin import counting_tokenizer

        return Renderer.load(counting_tokenizer(limits), limits, form)

    def windows(self, renderer: Renderer, split: str, most: int | None = None) -> Sampled:
        """Those of a split in training's order; or of as many episodes as are asked about."""
        key = (id(renderer), split, most)
        if key not in self.sampled:
            config, part = self.config, self.parts[split]
            order = self.config.train.seed
            seed = config.seed if order is None else order
            episodes = training_order(part, seed) if most is None else spread(part, most, config.seed)
            taken = episodes[:SAMPLE]
            windows = [window for episode in taken for window in renderer.windows(episode)]
            self.sampled[key] = Sampled(windows, len(episodes) / len(taken) if taken else 1.0)
        return self.sampled[key]


def is_here(config: Config, role: Role, root: Path) -> bool:
    """Whether the role's base was fetched: by metrics/assets.json a base of that name lies in its place."""
    recorded = root / "metrics/assets.json"
    if not recorded.is_file() or not (root / "models/base" / role / "tokenizer.json").is_file():
        return False
    return read_json(recorded).get("roles", {}).get(role, {}).get("base") == config.scale.role(role).base


# -- trainings --------------------------------------------------------------------------------------------------


def _training(counting: _Counting, role: Role, renderer: Renderer) -> Training:
    config, train = counting.config, counting.windows(renderer, "train")
    plain = _lengths(train.factor, [len(window.ids) for window in train.windows])
    if role != "verifier":
        return _trained(config, role, plain, plain)
    verify = counting.windows(renderer, "verify")
    judged = {e.id for e in spread(counting.parts["verify"], config.scale.answer.verify_episodes, config.seed)}
    proposals = (0, config.scale.answer.proposals)  # none of those that are malformed
    ends = [_lengths(verify.factor, _with_branches(config, renderer, verify, judged, count)) for count in proposals]
    more = plain if starts_cold(config) else []
    return _trained(config, role, ends[0] + more, ends[1] + more)


def _lengths(factor: float, lengths: list[int]) -> list[int]:
    """So many times as many, the same again and again."""
    return list(islice(cycle(lengths), round(len(lengths) * factor)))


def _trained(config: Config, role: Role, least: list[int], most: list[int]) -> Training:
    """What a training sees of rows of these lengths at the least and at most."""
    ends = [_seen(config, role, lengths) for lengths in (least, most)]
    steps = [count for count, _ in ends]
    return Training(len(least), Range(sum(least), sum(most)), Range(*(seen for _, seen in ends)), max(steps))


def _seen(config: Config, role: Role, lengths: list[int]) -> tuple[int, int]:
    """Steps, and the tokens that they see, as the training counts them."""
    from specacts.training.train import steps_for  # takes seconds

    settings: Any = _Settings(config.train, config.scale.role(role).epochs, config.scale.role(role).least_tokens)
    steps = steps_for(lengths, settings)
    return steps, round(sum(lengths) * (steps * config.train.batch_size / len(lengths)))


class _Settings(NamedTuple):
    """What of a training's settings its number of steps takes."""

    train: Any
    epochs: float
    least_tokens: int


def starts_cold(config: Config) -> bool:
    """Whether the verifier starts from no adapter, and so learns the train split's actions too."""
    recipe, source = config.recipe.verifier, config.recipe.verifier.warm_start
    if recipe.objective != "verdict":
        return False
    if source == "none":
        return True
    theirs, ours = config.scale.role(source), config.scale.verifier
    return (theirs.base, theirs.layers) != (ours.base, ours.layers)


def _with_branches(config: Config, renderer: Renderer, found: Sampled, judged: set[str], proposals: int) -> list[int]:
    """Lengths of windows with the proposals that a verifier judges in them, each as long as what the agent did."""
    question = len(renderer.verdict_query_ids(0.5 if shows_confidence(config.recipe) else None)) + 1
    return [
        len(window.ids)
        + (window.episode in judged) * proposals * sum(point.end - point.start + question for point in window.points)
        for window in found.windows
    ]


# -- questions --------------------------------------------------------------------------------------------------


def _asked(counting: _Counting, role: Role, renderer: Renderer) -> Asked:
    """What a role is asked of the calibrate and test splits, and the cheap one of verify."""
    config, answer = counting.config, counting.config.scale.answer
    most = {"calibrate": answer.calibrate_episodes, "test": answer.test_episodes}
    proposals = answer.proposals if has_verifier(config.recipe) else 1
    judged, written = (0, proposals) if role == "cheap" else (proposals, 1)
    if role == "cheap" and has_verifier(config.recipe):
        most |= {"verify": answer.verify_episodes}
    splits = [counting.windows(renderer, split, count) for split, count in most.items()]
    return _together([_of_windows(found, judged, written, renderer) for found in splits])


def _of_windows(found: Sampled, judged: int, written: int, renderer: Renderer) -> Asked:
    """judged, written: how many proposals a decision are read and written.

    What will be written is taken to be as long as what the agent wrote, or up to half as long again; and of what is
    answered together, from as many tokens as the longest of these to as many as may be generated.
    """
    windows, factor = found
    labels = [[point.end - point.start for point in window.points] for window in windows]
    together = [sum(labels[start : start + TOGETHER], []) for start in range(0, len(labels), TOGETHER)]
    tokens, least = sum(map(sum, labels)), sum(map(max, together))
    most = max(least, renderer.limits.action_tokens * len(together))
    return Asked(
        decisions=round(sum(map(len, labels)) * factor),
        read=round(sum(window.points[-1].start for window in windows) * factor),
        judged=Range(tokens, tokens).times(judged * factor),
        written=Range(tokens, 1.5 * tokens).times(written * factor),
        steps=Range(least, most).times(factor),
    )


def _together(found: list[Asked]) -> Asked:
    none = Range(0, 0)
    return Asked(
        decisions=sum(one.decisions for one in found),
        read=sum(one.read for one in found),
        judged=sum((one.judged for one in found), none),
        written=sum((one.written for one in found), none),
        steps=sum((one.steps for one in found), none),
    )
