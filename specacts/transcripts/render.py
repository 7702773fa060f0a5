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

Where a chat template knows tools, a transcript is token for token what a server with that template reads when it is
sent the conversation as messages (`served.py`), and an action is what a model would write there: between two special
tokens frames and content are one text, and encoded as one.

Three forms say how actions are spelled (recipe v2 trains in one and asks in another; v3 knows the first alone):

    form      what was executed                         a proposal, a label
    words     read cat {"file_name":"a"}                the same
    lines     Action: file_read, then cat {...}         the same; always in the chat template
    natural   what a chat model would have written      as in `lines`, but replies are read leniently

    renderer = Renderer.load(tokenizer, config.scale.rendering("cheap"))
    for window in renderer.windows(episode): window.ids, window.points
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from specacts.config import Render
from specacts.core.episodes import Act, Action, Episode, Step, Tool, User
from specacts.core.errors import UserError
from specacts.core.words import ACTION_TYPES, OWN, ActionType, Form
from specacts.transcripts.frames import INSTRUCTIONS, LINE_INSTRUCTIONS, Frames, chat_frames, compact_frames
from specacts.transcripts.parse import SPOKEN, VERBS, dump_arguments, read_line, read_reply, read_words
from specacts.transcripts.served import require_served

VERDICTS = {True: "ACCEPT", False: "REJECT"}
KEPT_LISTINGS = 64
"""So many lists of tools are remembered: the same one stands in thousands of conversations."""


class Listing(NamedTuple):
    """Tools as text. described: a line for each of those that are described. named: names alone, in one line."""

    described: str
    named: str

    @property
    def text(self) -> str:
        return "\n".join(part for part in self if part)


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
    listings: dict[tuple[str, bool], Listing] = field(default_factory=dict, compare=False, repr=False)

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
        if frames.served and form == "words":
            require_served(renderer)
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

    def woven(self, *texts: str) -> list[int]:
        """Encode frames and content in turn, a frame first: each by itself, or where they are served as one text.

        As one text: its special tokens, which only frames hold, divide it, and what stands between is plain text.
        """
        if not self.frames.served:
            return [i for n, text in enumerate(texts) for i in (self.content if n % 2 else self.frame)(text)]
        ids, waiting = [], ""
        for n, text in enumerate(texts):
            for k, part in enumerate([text] if n % 2 else self._special.split(text)):
                if k % 2:
                    ids += [*self.content(waiting), self.tokenizer.get_added_vocab()[part]]
                waiting = "" if k % 2 else waiting + part
        return ids + self.content(waiting)

    @cached_property
    def _special(self) -> re.Pattern[str]:
        """Any special or added token; splitting by it puts the tokens at odd places."""
        longest_first = sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def shortened(self, text: str, limit: int, tail: bool = True) -> str:
        """A text of at most `limit` tokens: like `cut_middle`, but whole characters; without a tail its beginning."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        encoded = self.plain.encode(text, add_special_tokens=False)
        offsets, most = encoded.offsets, limit
        while len(encoded.ids) > limit:  # what is joined in the middle may be encoded in more tokens than before
            last = most // 4 if tail else 0
            head = text[: offsets[most - last - 1][1]] if most > last else ""
            kept = head + (text[offsets[len(offsets) - last][0] :] if last else "")
            encoded, most = self.plain.encode(kept, add_special_tokens=False), most - 1
            if len(encoded.ids) <= limit:
                return kept
        return text

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
        if self.frames.served:
            told, tools = self.system_texts(episode)
            if not tools:
                return self.woven(self.frames.alone[0], told, self.frames.alone[1])
            return self.woven(self.frames.system[0], told, self.frames.system[1], tools, self.frames.system[2])
        before, between, after = self.frames.system
        listing = self.content(self._offered(episode).text)
        if self.frames.plain_calls:
            standing = self.content(f"{episode.system}\n") if episode.system else []
            return self.frame(before) + cut_middle(standing, self.limits.system_tokens) + listing + self.frame(after)
        standing = self.content(f"\n\n{episode.system}") if episode.system else []
        standing = cut_middle(standing, self.limits.system_tokens)
        return self.frame(before) + standing + self.frame(between) + listing + self.frame(after)

    def system_texts(self, episode: Episode) -> tuple[str, str]:
        """Where they are served: what follows the models' own instructions, and the definitions of tools, one a line.

        Tools of which only the name has room stand in the instructions: a definition of a name takes thrice as much.
        """
        listing = self._offered(episode)
        told = self.shortened(episode.system, self.limits.system_tokens)
        parts = [told, f"More tools: {listing.named}" if listing.named else ""]
        return "".join(f"\n\n{part}" for part in parts if part), listing.described

    def _offered(self, episode: Episode) -> Listing:
        """The listing of the tools that an episode begins with."""
        withheld = set(episode.withheld)
        return self.listing([tool for tool in episode.tools if tool.name not in withheld], episode.source != OWN)

    def listing(self, tools: list[Tool], one_level: bool = True) -> Listing:
        """The richest listing of the tools that fits `tools_tokens`.

        one_level: the same of all tools, even where the poorest is too long, as BFCL's listings between named frames
        always were. Else, where not all fit with all that is known of them, each says as much as there is room for, the
        first the most: those that agents call most stand there (stages/split.py). What does not fit by name is left
        out.
        """
        level = _definitions if self.frames.served else _signatures
        first = level(tools)
        key = ("\n".join(first), one_level and not self.frames.served)
        if key not in self.listings:
            if len(self.listings) == KEPT_LISTINGS:
                del self.listings[next(iter(self.listings))]
            self.listings[key] = self._listing(first, tools, key[1])
        return self.listings[key]

    def _listing(self, first: list[str], tools: list[Tool], one_level: bool) -> Listing:
        whole, names = Listing("\n".join(first), ""), [tool.name for tool in tools]
        if self._fits(whole):
            return whole
        if one_level:
            return Listing("", " ".join(names))
        return self._by_tool([first, *([_definitions(tools, bare=True)] if self.frames.served else []), names])

    def _fits(self, listing: Listing) -> bool:
        return len(self.content(listing.text)) <= self.limits.tools_tokens

    def _by_tool(self, levels: list[list[str]]) -> Listing:
        """A listing that fits, each tool at a level of its own; the last level is its name.

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
            described = "\n".join(levels[level][n] for n, level in sorted(chosen.items()) if level != name)
            listing = Listing(described, " ".join(levels[name][n] for n in sorted(chosen) if chosen[n] == name))
            over = len(self.content(listing.text)) - self.limits.tools_tokens  # lines cost other than one by one
            if over <= 0:
                return listing
            room -= over

    def user_ids(self, step: User, tools: Iterable[Tool] = ()) -> list[int]:
        """tools: the episode's, of which some may become available with the message."""
        if self.frames.served:
            return self.woven(self.frames.user[0], self.user_text(step, tools), self.frames.user[1])
        text = step.content + (f"\nnew tools: {' '.join(step.new_tools)}" if step.new_tools else "")
        return self.framed(self.frames.user, cut_middle(self.content(text), self.limits.user_tokens))

    def user_text(self, step: User, tools: Iterable[Tool] = ()) -> str:
        """Where it is served: a message cut to its limit, and the definitions of new tools as of those from the start.

        A template lists tools at the very beginning. Put there, a later one would change all that was read before.
        """
        said = self.shortened(step.content, self.limits.user_tokens)
        if not step.new_tools:
            return said
        known = {tool.name: tool for tool in tools}
        new = self.listing([known.get(name, Tool(name=name)) for name in step.new_tools]).text
        return f"{said}\n\nNew tools:\n{new}" if said else f"New tools:\n{new}"

    def observation_ids(self, text: str) -> list[int]:
        before, after = self.frames.observation
        if self.frames.served:
            return self.woven(before, self.shortened(text, self.limits.observation_tokens), after)
        return self.framed((before, after), cut_middle(self.content(text), self.limits.observation_tokens))

    def notice_ids(self, text: str) -> list[int]:
        """What is observed without a call, such as that a reply was malformed: where served, no tool's response."""
        if not self.frames.served:
            return self.observation_ids(text)
        return self.woven(
            self.frames.user[0], self.shortened(text, self.limits.observation_tokens), self.frames.user[1]
        )

    def action_ids(self, action: Action) -> list[int]:
        """A label's tokens as a model has to produce them, the stop token included; words cut to `action_tokens`."""
        if action.tool is None:
            return self.type_ids(action.type) + self._said(action)[0] + [self.stop_id]
        if self.form == "words":
            return self._called(action) + [self.stop_id]
        rest = f"{escaped(action.tool)} {dump_arguments(action.arguments)}"
        return self.opening_ids(action) + self.content(rest) + [self.stop_id]

    def proposal_ids(self, action: Action) -> list[int]:
        """A proposal's tokens as a judge reads it: in the form `words` without words, which follow if it is taken."""
        if action.tool is not None:
            return self.action_ids(action)
        said = [] if self.form == "words" else self.content(self._words(action))
        return self.type_ids(action.type) + said + [self.stop_id]

    def executed_ids(self, action: Action) -> list[int]:
        """An action's tokens where it was executed and is context to what follows, the stop token included."""
        if self.form != "natural":
            return self.action_ids(action)
        if action.tool is None:
            return self._said(action)[0] + [self.stop_id]
        before, between, after = self.frames.call
        return [*self.woven(before.lstrip(), self._name(action), between, self._arguments(action), after), self.stop_id]

    def opening_ids(self, action: Action) -> list[int]:
        """The tokens an action begins with that say its type; of a word the first, which no other word begins with."""
        said = self.type_ids(action.type)
        return said[:1] if self.form == "words" else said

    def _words(self, action: Action) -> str:
        """All that a speaking action says behind its type."""
        if self.form == "words":
            return f" {action.content}" if action.content else ""
        return action.content or SPOKEN[action.type]

    def _said(self, action: Action) -> tuple[list[int], bool]:
        """The words of a speaking action as far as there is room for them, and whether that is all of them."""
        text, room = self._words(action), self._room(action)
        said = self.content(text)
        if self.frames.served and len(said) > room:
            return self.content(self.shortened(text, room, tail=False)), False
        return said[:room], len(said) <= room

    def spoken_text(self, action: Action) -> str:
        """Where it is served: what the agent is shown to have written, of a call what stands before it."""
        if action.tool is not None:
            return VERBS[action.type]
        return VERBS[action.type] + self.shortened(self._words(action), self._room(action), tail=False)

    def _room(self, action: Action) -> int:
        """So many tokens of words a model may generate; a free reply may be cut before its stop token."""
        if self.form == "natural":
            return self.limits.action_tokens
        return self.limits.action_tokens - len(self.type_ids(action.type)) - 1

    def _called(self, action: Action) -> list[int]:
        verb, name, arguments = VERBS[action.type], self._name(action), self._arguments(action)
        before, between, after = self.frames.call
        if self.frames.plain_calls:
            return self.content(f"{verb}{before}{name}{between}{arguments}{after}")
        return self.content(verb) + self.woven(before, name, between, arguments, after)

    def _name(self, action: Action) -> str:
        """A tool's name as JSON spells it, without quotes; where a space ends it, spaces are escaped."""
        assert action.tool is not None
        return json.dumps(action.tool, ensure_ascii=False)[1:-1] if self.frames.served else escaped(action.tool)

    def _arguments(self, action: Action) -> str:
        """Arguments in their own order: without spaces to spare, or where they are served as templates' `tojson`."""
        return (
            json.dumps(action.arguments, ensure_ascii=False) if self.frames.served else dump_arguments(action.arguments)
        )

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
        that turn alone is too long, without its older steps). The rule looks only at what came before, so an
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
        """The current turn; where it does not fit before `block`, its first step and the latest, for half of the room.

        The other half is for what follows. A window that began full would end with its first action, and a long turn
        would be read again at every step.
        """
        room = self.limits.max_tokens - self._length(system, turn[:1], block)
        if sum(len(step.ids) for step in turn[1:]) > room:
            room //= 2
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
        earlier: list[Step | None] = [None, *episode.steps]
        for before_it, step in zip(earlier, episode.steps, strict=False):
            if isinstance(step, User):
                blocks.append(_Block(self.user_ids(step, episode.tools), opens_turn=True))
            elif isinstance(step, Act):
                label = self.executed_ids(step.action)
                if step.supervised:
                    start, opening = len(before), len(self.opening_ids(step.action))
                    block = _Block(before + label, False, decision, start, start + len(label), opening)
                    blocks.append(block._replace(**self._taught(step.action)))
                    decision += 1
                else:
                    blocks.append(_Block(before + label))
            else:
                called = isinstance(before_it, Act) and before_it.action.tool is not None
                blocks.append(_Block((self.observation_ids if called else self.notice_ids)(step.content)))
        return blocks

    def _taught(self, action: Action) -> dict[str, Any]:
        """Fields of a label's block that tell of its words."""
        if action.tool is not None or not action.content:
            return {}
        said, whole = self._said(action)
        return {"spoken": len(said) + 1, "whole": whole}


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


def _signatures(tools: list[Tool]) -> list[str]:
    return [f"{tool.name}({', '.join(tool.parameters.get('properties', {}))})" for tool in tools]


def _definitions(tools: list[Tool], bare: bool = False) -> list[str]:
    """Definitions as templates write them, one a line. bare: without descriptions.

    Each has a description, if an empty one, and parameters: vLLM puts null for those that are not there.
    """
    return [json.dumps(definition(tool, bare), ensure_ascii=False) for tool in tools]


def definition(tool: Tool, bare: bool = False) -> dict[str, Any]:
    """A tool as the API of chat completions has it."""
    description, parameters = ("", _bare(tool.parameters)) if bare else (tool.description, tool.parameters)
    return {"type": "function", "function": {"name": tool.name, "description": description, "parameters": parameters}}


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema without the descriptions of its top-level properties."""
    properties = schema.get("properties", {})
    short = {name: {"type": value.get("type")} for name, value in properties.items() if isinstance(value, dict)}
    return {"type": "object", "properties": short, "required": schema.get("required", [])}


def load_renderer(base: Path, limits: Render, form: Form = "words") -> Renderer:
    """The renderer for a base model's folder."""
    return Renderer.load(AutoTokenizer.from_pretrained(base, trust_remote_code=False), limits, form)
