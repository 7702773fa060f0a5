"""The one renderer: episodes to token sequences, the same for every role, in training and inference.

A transcript is a *trunk* and *branches*. The trunk is what was executed, in order:

    system(tools)  user  [action]  observation  [action]  ...  user  [action] ...

with one supervised span a decision (in brackets). A branch leaves the trunk where a decision is due and
holds a proposal, then the question whether it is right, then the verdict:

    ... observation ─┬─ [action] observation ...            the trunk goes on with what was executed
                     └─ proposal  confidence?  [verdict]    never part of any later context

So a proposer and a verifier read the same trunk, a verdict never depends on earlier verdicts (a threshold
can be chosen after the answers were recorded), and any number of proposals can be judged at one decision.
See docs/decisions/0001-branches.md.

Two templates, one code path. A template is a set of `Frames`: the literal text around each kind of content.
`compact` has those that the scale names for a base, one token a frame; `chat` takes them from the model's own chat
template. Frames may hold special tokens; content is encoded by a tokenizer that knows none, so no text can become one.

Three forms say how actions are spelled (recipe v2 trains in one and asks in another; v3 knows the first alone):

    form      what was executed                         a proposal, a label
    words     read cat {"file_name":"a"}                the same
    lines     Action: file_read, then cat {...}         the same; always in the chat template
    natural   what a chat model would have written      as in `lines`, but replies are read leniently

    renderer = Renderer.load(tokenizer, config.scale.rendering("cheap"))
    for window in renderer.windows(episode): window.ids, window.points
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from specacts.config import Render
from specacts.core.episodes import Act, Action, Episode, Tool, User
from specacts.core.errors import UserError
from specacts.core.words import ACTION_TYPES, OWN, ActionType, Form
from specacts.transcripts.frames import INSTRUCTIONS, LINE_INSTRUCTIONS, Frames, chat_frames, compact_frames
from specacts.transcripts.parse import SPOKEN, VERBS, dump_arguments, read_line, read_reply, read_words

VERDICTS = {True: "ACCEPT", False: "REJECT"}


class Point(NamedTuple):
    """A decision in a window: `ids[:start]` is its context, `ids[start:end]` its gold action with the stop token.

    `ids[start:typed]` says the action's type (meaningless in the form `natural`, which nobody is trained on), and of a
    speaking action `ids[said:end]` is what the agent said, the stop token included; elsewhere `said` is `end`. whole:
    whether all of it is there; words that were cut are no reason to stop, so then nobody learns the stop token.
    """

    decision: int
    start: int
    typed: int
    said: int
    end: int
    whole: bool


class Window(NamedTuple):
    """A token sequence no longer than the limit, and the decisions it supervises."""

    episode: str
    ids: list[int]
    points: list[Point]


class _Block(NamedTuple):
    """A step's tokens; a supervised action has a `decision`, its label stands at `ids[label_at:label_end]`.

    `opening`: how many of the label's tokens say its type. `spoken`: how many at its end are words and their stop
    token. `whole`: whether no word was cut.
    """

    ids: list[int]
    opens_turn: bool = False
    decision: int | None = None
    label_at: int = 0
    label_end: int = 0
    opening: int = 0
    spoken: int = 0
    whole: bool = True


@dataclass(frozen=True)
class Renderer:
    """Frames encoded once, content encoded without special tokens."""

    tokenizer: PreTrainedTokenizerFast
    plain: Tokenizer
    frames: Frames
    limits: Render
    form: Form = "words"
    encoded: dict[str, list[int]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, tokenizer: PreTrainedTokenizerFast, limits: Render, form: Form = "words") -> "Renderer":
        """Build the renderer for a tokenizer; raises `UserError` where it lacks what its frames need."""
        if form != "words":
            frames = chat_frames(tokenizer, LINE_INSTRUCTIONS)
        elif limits.frames == "chat":
            frames = chat_frames(tokenizer, INSTRUCTIONS)
        else:
            frames = compact_frames(tokenizer, limits.frames)
        renderer = cls(tokenizer, without_added_tokens(tokenizer), frames, limits, form)
        first = {action_type: renderer.content(verb)[0] for action_type, verb in VERBS.items()}
        if len(set(first.values())) < len(first):
            raise UserError(f"{tokenizer.name_or_path}: two action words begin with the same token: {first}")
        if renderer.verdict_ids(True)[0] == renderer.verdict_ids(False)[0]:
            raise UserError(f"{tokenizer.name_or_path}: ACCEPT and REJECT begin with the same token")
        return renderer

    # -- tokens ---------------------------------------------------------------------------------------------

    def frame(self, text: str) -> list[int]:
        """Encode a template's own literal text, special tokens included; there are few such texts, and many uses."""
        if text not in self.encoded:
            self.encoded[text] = self.tokenizer.encode(text, add_special_tokens=False) if text else []
        return list(self.encoded[text])

    def content(self, text: str) -> list[int]:
        """Encode text from a trace or a model as plain text: no token id in it is a special or added one."""
        # Lone surrogates are not text to the tokenizer; they become "?".
        text = text.encode("utf-8", "replace").decode("utf-8")
        return self.plain.encode(text, add_special_tokens=False).ids if text else []

    def framed(self, frame: tuple[str, str], content: list[int]) -> list[int]:
        return self.frame(frame[0]) + content + self.frame(frame[1])

    @property
    def stop_id(self) -> int:
        """The token that ends an action."""
        return self.frame(self.frames.stop)[0]

    @property
    def produced(self) -> dict[str, int]:
        """The special and added tokens that a model has to write to act, by their text."""
        written = [*self.frame(self.frames.stop)]
        if not self.frames.plain_calls:
            written += [token for text in self.frames.call for token in self.frame(text)]
        return {text: number for text, number in self.tokenizer.get_added_vocab().items() if number in written}

    @property
    def first_ids(self) -> list[int]:
        """First token of each action type, in the order of ACTION_TYPES."""
        return [self.content(VERBS[action_type])[0] for action_type in ACTION_TYPES]

    def type_ids(self, action_type: ActionType) -> list[int]:
        """All tokens that say an action's type where it is proposed."""
        return self.content(VERBS[action_type] if self.form == "words" else f"Action: {action_type}\n")

    # -- parts ----------------------------------------------------------------------------------------------

    def system_ids(self, episode: Episode) -> list[int]:
        """The episode's standing instructions, cut to `system_tokens`, and the tools on offer."""
        offered = [tool for tool in episode.tools if tool.name not in episode.withheld]
        standing = self.content(f"{episode.system}\n") if episode.system else []
        standing = cut_middle(standing, self.limits.system_tokens)
        listing = self.listing(offered, one_level=episode.source != OWN)
        return self.framed(self.frames.system, standing + self.content(listing))

    def listing(self, tools: list[Tool], one_level: bool = True) -> str:
        """The richest listing of the tools that fits `tools_tokens`.

        one_level: the same of all tools, even where the poorest is too long, as BFCL's listings always were. Else,
        where not all fit with all that is known of them, each says as much as there is room for, the first the most:
        those that agents call most stand there (stages/split.py). What does not fit by name is left out.
        """
        levels = (_signature_listings if self.frames.signatures else _json_listings)(tools)
        together = len(levels) - 1 if self.frames.signatures else None  # the level that has all names in one line
        texts = [" ".join(lines) if level == together else "\n".join(lines) for level, lines in enumerate(levels)]
        if one_level:
            return next((text for text in texts if self._fits(text)), texts[-1])
        return texts[0] if self._fits(texts[0]) else self._by_tool(levels, together)

    def _fits(self, listing: str) -> bool:
        return len(self.content(listing)) <= self.limits.tools_tokens

    def _by_tool(self, levels: list[list[str]], together: int | None) -> str:
        """A listing that fits, each tool at a level of its own; those of the level `together` in the last line.

        Half of the room is for parameters, then come names, then whatever else there is room for.
        """
        name, parameters = len(levels) - 1, len(levels) - 2
        cost = [[len(self.content(f"{line}\n")) for line in level] for level in levels]
        room = self.limits.tools_tokens
        while True:
            chosen: dict[int, int] = {}
            used = 0
            for level, most in ((parameters, room // 2), (name, room), (parameters, room), (0, room)):
                for n, price in enumerate(cost[level]):
                    more = price - (cost[chosen[n]][n] if n in chosen else 0)
                    if used + more <= most and level < chosen.get(n, len(levels)):
                        chosen[n] = level
                        used += more
            lines = [levels[level][n] for n, level in sorted(chosen.items()) if level != together]
            names = [levels[level][n] for n, level in sorted(chosen.items()) if level == together]
            text = "\n".join([*lines, *([" ".join(names)] if names else [])])
            over = len(self.content(text)) - self.limits.tools_tokens  # lines cost other than one by one
            if over <= 0:
                return text
            room -= over

    def user_ids(self, step: User) -> list[int]:
        text = step.content + (f"\nnew tools: {' '.join(step.new_tools)}" if step.new_tools else "")
        return self.framed(self.frames.user, cut_middle(self.content(text), self.limits.user_tokens))

    def observation_ids(self, text: str) -> list[int]:
        return self.framed(self.frames.observation, cut_middle(self.content(text), self.limits.observation_tokens))

    def action_ids(self, action: Action) -> list[int]:
        """A label's tokens as a model has to produce them, the stop token included; words cut to `action_tokens`."""
        if action.tool is None:
            return self.type_ids(action.type) + self._spoken(action)[: self._room(action)] + [self.stop_id]
        if self.form == "words":
            return self._called(action) + [self.stop_id]
        rest = f"{escaped(action.tool)} {dump_arguments(action.arguments)}"
        return self.opening_ids(action) + self.content(rest) + [self.stop_id]

    def proposal_ids(self, action: Action) -> list[int]:
        """A proposal's tokens as a judge reads it: in the form `words` without words, which follow if it is taken."""
        if action.tool is not None:
            return self.action_ids(action)
        said = [] if self.form == "words" else self._spoken(action)
        return self.type_ids(action.type) + said + [self.stop_id]

    def executed_ids(self, action: Action) -> list[int]:
        """An action's tokens where it was executed and is context to what follows, the stop token included."""
        if self.form != "natural":
            return self.action_ids(action)
        if action.tool is None:
            return self._spoken(action)[: self._room(action)] + [self.stop_id]
        before, between, after = self.frames.call
        parts = [self.frame(before.lstrip()), self.content(escaped(action.tool)), self.frame(between)]
        return sum([*parts, self.content(dump_arguments(action.arguments)), self.frame(after)], []) + [self.stop_id]

    def opening_ids(self, action: Action) -> list[int]:
        """The tokens an action begins with that say its type; of a word the first, which no other word begins with."""
        said = self.type_ids(action.type)
        return said[:1] if self.form == "words" else said

    def _spoken(self, action: Action) -> list[int]:
        """All that a speaking action says behind its type."""
        if self.form == "words":
            return self.content(f" {action.content}" if action.content else "")
        return self.content(action.content or SPOKEN[action.type])

    def _room(self, action: Action) -> int:
        """So many tokens of words a model may generate; a free reply may be cut before its stop token."""
        if self.form == "natural":
            return self.limits.action_tokens
        return self.limits.action_tokens - len(self.type_ids(action.type)) - 1

    def _called(self, action: Action) -> list[int]:
        assert action.tool is not None
        verb, name, arguments = VERBS[action.type], escaped(action.tool), dump_arguments(action.arguments)
        before, between, after = self.frames.call
        if self.frames.plain_calls:
            return self.content(f"{verb}{before}{name}{between}{arguments}{after}")
        parts = [self.content(verb), self.frame(before), self.content(name), self.frame(between)]
        return sum([*parts, self.content(arguments), self.frame(after)], [])

    def verdict_query_ids(self, confidence: float | None) -> list[int]:
        """What follows a proposal: the proposer's confidence (0 to 1) as a digit, and the question."""
        if confidence is None:
            return self.frame(self.frames.question)
        return self.framed(self.frames.verdict, self.content(str(min(9, int(confidence * 10)))))

    def verdict_ids(self, accept: bool) -> list[int]:
        return self.content(VERDICTS[accept])

    # -- back to actions ------------------------------------------------------------------------------------

    def text(self, ids: list[int]) -> str:
        """Generated tokens as text, without the stop token."""
        ids = ids[: ids.index(self.stop_id)] if self.stop_id in ids else ids
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def parse(self, text: str, whole: bool = True) -> Action | None:
        """The action a model's text stands for; None for anything malformed. Never raises on any text.

        whole: whether the model ended its text itself. Only the natural form reads a text that was cut.
        """
        if self.form == "natural":
            return read_reply(text)
        if not whole:
            return None
        return read_line(text) if self.form == "lines" else read_words(text, self.frames.call)

    # -- whole episodes -------------------------------------------------------------------------------------

    def windows(self, episode: Episode) -> list[Window]:
        """The episode as one sequence, or as several where it is longer than `max_tokens`.

        Where the next action might not fit, a new window begins at the current turn's user message (and where
        that turn alone is too long, without its oldest steps). The rule looks only at what came before, so an
        agent at work and a trainer cut at the same places. Every decision is supervised in exactly one window
        and no label is ever cut. Raises `UserError` where not even one step fits.
        """
        system, blocks = self.system_ids(episode), self._blocks(episode)
        windows: list[Window] = []
        kept: list[_Block] = []
        turn = 0
        for number, block in enumerate(blocks):
            turn = number if block.opens_turn else turn
            if block.decision is not None and self._length(system, kept, block) > self.limits.max_tokens:
                windows.append(_window(episode.id, system, kept))
                kept = self._reopened(system, blocks[turn:number], block)
                if self._length(system, kept, block) > self.limits.max_tokens:
                    raise UserError(
                        f"episode {episode.id}, decision {block.decision}: does not fit render.max_tokens = "
                        f"{self.limits.max_tokens}; raise it, or lower tools_, user_ or observation_tokens"
                    )
            kept.append(block)
        return [w for w in [*windows, _window(episode.id, system, kept)] if w.points]

    def _reopened(self, system: list[int], turn: list[_Block], block: _Block) -> list[_Block]:
        """Of the current turn its first step, and of the others the latest, as many as fit before `block`."""
        room = self.limits.max_tokens - self._length(system, turn[:1], block)
        start = len(turn)
        while start > 1 and len(turn[start - 1].ids) <= room:
            start -= 1
            room -= len(turn[start].ids)
        return [b._replace(decision=None) for b in (*turn[:1], *turn[max(1, start) :])]

    def _length(self, system: list[int], kept: list[_Block], block: _Block) -> int:
        """Tokens of a window with the blocks kept and the next action, as long as it may become."""
        label = max(len(block.ids) - block.label_at, self.limits.action_tokens)
        return len(system) + sum(len(b.ids) for b in kept) + block.label_at + label

    def _blocks(self, episode: Episode) -> list[_Block]:
        blocks, decision = [], 0
        before = self.frame(self.frames.action)
        for step in episode.steps:
            if isinstance(step, User):
                blocks.append(_Block(self.user_ids(step), opens_turn=True))
            elif isinstance(step, Act):
                label = self.executed_ids(step.action)
                if step.supervised:
                    start, opening = len(before), len(self.opening_ids(step.action))
                    block = _Block(before + label, False, decision, start, start + len(label), opening)
                    blocks.append(block._replace(**self._words(step.action)))
                    decision += 1
                else:
                    blocks.append(_Block(before + label))
            else:
                blocks.append(_Block(self.observation_ids(step.content)))
        return blocks

    def _words(self, action: Action) -> dict[str, Any]:
        """Fields of a label's block that tell of its words."""
        if action.tool is not None or not action.content:
            return {}
        spoken, room = len(self._spoken(action)), self._room(action)
        return {"spoken": min(spoken, room) + 1, "whole": spoken <= room}


def _window(episode: str, system: list[int], blocks: list[_Block]) -> Window:
    ids, points = list(system), []
    for block in blocks:
        if block.decision is not None:
            start, end = len(ids) + block.label_at, len(ids) + block.label_end
            points.append(Point(block.decision, start, start + block.opening, end - block.spoken, end, block.whole))
        ids += block.ids
    # What follows the last label teaches nothing and is never needed as context.
    return Window(episode, ids[: points[-1].end] if points else ids, points)


def cut_middle(ids: list[int], limit: int) -> list[int]:
    """At most `limit` tokens: the first three quarters and the last quarter of what fits."""
    if len(ids) <= limit:
        return ids
    tail = limit // 4
    return ids[: limit - tail] + ids[len(ids) - tail :]


def escaped(tool: str) -> str:
    """A tool's name as JSON spells it, spaces escaped: the first one written ends the name."""
    return json.dumps(tool, ensure_ascii=False)[1:-1].replace(" ", "\\u0020")


def without_added_tokens(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """The same byte-level tokenizer without its special and added tokens: their spelling is plain text to it."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["added_tokens"], state["post_processor"] = [], None
    return Tokenizer.from_str(json.dumps(state))


def _signature_listings(tools: list[Tool]) -> list[list[str]]:
    """Every tool's signature, then its name alone."""
    return [
        [f"{tool.name}({', '.join(tool.parameters.get('properties', {}))})" for tool in tools],
        [tool.name for tool in tools],
    ]


def _json_listings(tools: list[Tool]) -> list[list[str]]:
    """Every tool's full definition, then without descriptions, then without parameters; one a line, as templates do."""

    def definition(tool: Tool, **kept: object) -> str:
        return json.dumps({"type": "function", "function": {"name": tool.name, **kept}}, ensure_ascii=False)

    return [
        [definition(t, description=t.description, parameters=t.parameters) for t in tools],
        [definition(t, parameters=_bare(t.parameters)) for t in tools],
        [definition(t) for t in tools],
    ]


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema without the descriptions of its top-level properties."""
    properties = schema.get("properties", {})
    short = {name: {"type": value.get("type")} for name, value in properties.items() if isinstance(value, dict)}
    return {"type": "object", "properties": short, "required": schema.get("required", [])}


def load_renderer(base: Path, limits: Render, form: Form = "words") -> Renderer:
    """The renderer for a base model's folder."""
    return Renderer.load(AutoTokenizer.from_pretrained(base, trust_remote_code=False), limits, form)
