"""What an agent did: episodes, steps, actions, and the decisions a model has to make.

An `Episode` is one conversation. Its steps are user messages, actions and observations; a step that is a
supervised action is a `Decision`: the place where a model has to say what to do next, knowing everything
before it. They are stored as JSON lines, one episode a line:

    episodes = load_episodes(Path("data/episodes.jsonl"))
    for decision in decisions(episodes[0]): ...
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from specacts.core.comparison import Rules, same_arguments
from specacts.core.files import read_models, write_jsonl
from specacts.core.words import SPEAKING, ActionType, Level


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tool(_Strict):
    """A tool as offered to the agent; `parameters` is a JSON Schema object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class Action(_Strict):
    """One of nine action types: it calls `tool` with `arguments`, or it speaks `content`.

    The content of a call is what the agent said beside it; no model reads it. compare: how other calls' arguments are
    compared with these, where the action-types file has rules for the tool; nothing that a model reads.
    """

    type: ActionType
    tool: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    content: str = ""
    compare: Rules = Field(default_factory=dict, exclude_if=lambda rules: not rules)

    @model_validator(mode="after")
    def _calls_or_speaks(self) -> "Action":
        if (self.type in SPEAKING) != (self.tool is None):
            raise ValueError(f"type {self.type!r} with tool {self.tool!r}: only {sorted(SPEAKING)} go without one")
        if self.tool is None and self.arguments:
            raise ValueError(f"type {self.type!r} takes no arguments")
        return self


class User(_Strict):
    """A user message; `new_tools` names tools that become available with it."""

    role: Literal["user"] = "user"
    content: str
    new_tools: tuple[str, ...] = ()


class Usage(_Strict):
    """Tokens of the model call that decided an action, as its provider counted them.

    prompt: read, `cached` of them from the provider's cache. completion: written.
    """

    prompt: int = Field(ge=0)
    cached: int = Field(ge=0)
    completion: int = Field(ge=0)

    def shared(self, actions: int) -> "Usage":
        """The part of one of several actions that the call decided in one go: each read the prompt."""
        return self.model_copy(update={"completion": -(-self.completion // actions)})


class Act(_Strict):
    """An action that was taken.

    supervised: whether models learn it and are asked for it. What is not (a call that failed and was then put right) is
    context alone. parallel: decided in one go with the action before it, whose result was not known. usage, seconds:
    what the model call that decided it took, where the traces say; actions of one call share its seconds.
    """

    role: Literal["action"] = "action"
    action: Action
    supervised: bool = True
    parallel: bool = False
    usage: Usage | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_known(self, dump: Callable[["Act"], dict[str, Any]]) -> dict[str, Any]:
        dumped = dump(self)
        return {name: value for name, value in dumped.items() if value is not None or name not in ("usage", "seconds")}


class Observation(_Strict):
    """What a tool returned."""

    role: Literal["observation"] = "observation"
    content: str


Step = Annotated[User | Act | Observation, Field(discriminator="role")]


class Episode(_Strict):
    """One conversation.

    group: what a split has to keep together. source: where it comes from, such as BFCL's category. system: standing
    instructions. withheld: of `tools` those that a later user message makes available.
    """

    id: str
    group: str
    source: str
    system: str = ""
    tools: tuple[Tool, ...]
    withheld: tuple[str, ...] = ()
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Decision:
    """The `index`-th decision, from 0, of an episode: its gold action stands at `steps[step]`."""

    episode: str
    index: int
    step: int
    gold: Action


def decisions(episode: Episode) -> list[Decision]:
    """Every place in the episode where an action was due, in order."""
    due = [(n, step.action) for n, step in enumerate(episode.steps) if isinstance(step, Act) and step.supervised]
    return [Decision(episode.id, index, n, gold) for index, (n, gold) in enumerate(due)]


def agrees(proposed: Action | None, gold: Action, level: Level) -> bool:
    """Whether `proposed` (None: malformed output) agrees with `gold` at the level, arguments by the rules of `gold`.

    What a speaking action says is not compared: the traces hold no reference text for it.
    """
    if proposed is None or proposed.type != gold.type:
        return False
    if level == "type":
        return True
    if proposed.tool != gold.tool:
        return False
    return level == "tool" or same_arguments(proposed.arguments, gold.arguments, gold.compare)


def load_episodes(path: Path) -> list[Episode]:
    """Read episodes, or say at which line and field one is wrong."""
    return [episode for _, episode in read_models(path, Episode)]


def save_episodes(path: Path, episodes: Iterable[Episode]) -> None:
    """Write one episode a line."""
    write_jsonl(path, (episode.model_dump(mode="json") for episode in episodes))
