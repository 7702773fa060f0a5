"""The agent that wrote the traces as the strong model: its actions as recorded answers, without asking anybody.

    counts = count(renderer, episode)             # tokens of the whole conversation, by decision
    as_answer(gold, counts[0])                    # a `Candidate`

What its calls took is what the traces say (`Act.usage`), or else is estimated from the uncut conversation: standing
instructions, full definitions of tools, every message and result, counted with the tokenizer of a model that runs here.
Another tokenizer counts a little otherwise. How long they took is what the traces say, or not known.
"""

import json
from typing import NamedTuple

from specacts.answering.records import Candidate
from specacts.core.episodes import Act, Action, Episode, Tool, User
from specacts.transcripts.parse import dump_arguments
from specacts.transcripts.render import Renderer


class Count(NamedTuple):
    """Tokens at a decision: of everything before it, and of its action.

    cached: of the context, found in the provider's cache; None where the traces do not say what the call took. seconds:
    what its call took, reading included, where the traces say.
    """

    context: int
    action: int
    cached: int | None = None
    seconds: float | None = None

    @property
    def recorded(self) -> bool:
        """Whether its provider counted them."""
        return self.cached is not None


def count(renderer: Renderer, episode: Episode) -> list[Count]:
    """One count a decision, in order. Nothing is cut."""
    offered = [tool for tool in episode.tools if tool.name not in episode.withheld]
    before = _length(renderer, episode.system) + sum(_length(renderer, definition(tool)) for tool in offered)
    known = {tool.name: tool for tool in episode.tools}
    counts = []
    for step in episode.steps:
        if isinstance(step, Act):
            length = _length(renderer, written(step.action))
            if step.supervised and step.usage:
                # Several actions of one call: it read its prompt for the first, and had it for the others.
                cached = step.usage.prompt if step.parallel else step.usage.cached
                counts.append(Count(max(1, step.usage.prompt), max(1, step.usage.completion), cached, step.seconds))
            elif step.supervised:
                counts.append(Count(max(1, before), max(1, length), None, step.seconds))
            before += length
        else:
            before += _length(renderer, step.content)
            if isinstance(step, User):
                before += sum(_length(renderer, definition(known[n])) for n in step.new_tools if n in known)
    return counts


def definition(tool: Tool) -> str:
    """A tool as chat APIs are given it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


def written(action: Action) -> str:
    """What the agent wrote for an action: a call, with what was said beside it, or words."""
    call = f"{action.tool} {dump_arguments(action.arguments)}" if action.tool else ""
    return f"{action.content} {call}".strip()


def as_answer(gold: Action, counted: Count) -> Candidate:
    """The recorded action as the strong model's answer: certain, because that is what it did."""
    took = counted.seconds or 0.0
    return Candidate(text=written(gold), action=gold, confidence=1.0, logprob=0.0, tokens=counted.action, seconds=took)


def _length(renderer: Renderer, text: str) -> int:
    return len(renderer.content(text))
