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
`compact` spends one token a frame; `chat` takes its frames from the model's own chat template. Frames may
hold special tokens; content is encoded by a tokenizer that knows none, so no text can become one.

    renderer = Renderer.load(tokenizer, config.scale.render)
    for window in renderer.windows(episode): window.ids, window.points
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from specacts.config import Render
from specacts.episodes import ACTION_TYPES, SPEAKING, Act, Action, Episode, Tool, User
from specacts.errors import UserError

VERBS = {
    "tool_call": "call",
    "retrieval": "search",
    "file_read": "read",
    "file_write": "write",
    "repair": "fix",
    "verifier": "check",
    "ask_clarification": "ask",
    "final_answer": "done",
    "BLOCKED": "blocked",
}
"""An action's text begins with one short word, one token in the tokenizers in use, that says its type."""
TYPES = {verb: action_type for action_type, verb in VERBS.items()}
VERDICTS = {True: "ACCEPT", False: "REJECT"}

COMPACT_TOKENS = {
    "system": "<jupyter_start>",
    "user": "<jupyter_text>",
    "action": "<jupyter_code>",
    "observation": "<jupyter_output>",
    "verdict": "<issue_comment>",
    "stop": "<|im_end|>",
}
"""SmolLM2 was pretrained on notebooks in which text, code and output alternate: just an agent's rhythm."""

INSTRUCTIONS = (
    "You act for a user, one action a reply. Begin each reply with one word: "
    "call, search, read, write, fix or check before a tool call; ask if something is missing; "
    "done when the request is fulfilled; blocked if no tool can do it."
)
QUESTION = "Was that the right action? Reply ACCEPT or REJECT."


class Frames(NamedTuple):
    """Literal text (special tokens allowed) around content: (before, after).

    `action` has no after: an action ends with `stop`. `verdict` stands around the proposer's confidence and
    ends where the verdict begins. `call` stands before, between and after a call's name and arguments.
    """

    system: tuple[str, str]
    user: tuple[str, str]
    action: str
    observation: tuple[str, str]
    verdict: tuple[str, str]
    call: tuple[str, str, str]
    stop: str


class Point(NamedTuple):
    """A decision in a window: `ids[:start]` is its context, `ids[start:end]` its gold action with the stop token."""

    decision: int
    start: int
    end: int


class Window(NamedTuple):
    """A token sequence no longer than the limit, and the decisions it supervises."""

    episode: str
    ids: list[int]
    points: list[Point]


class _Block(NamedTuple):
    """A step's tokens; a supervised action has a `decision`, its label stands at `ids[label_at:label_end]`."""

    ids: list[int]
    opens_turn: bool = False
    decision: int | None = None
    label_at: int = 0
    label_end: int = 0


@dataclass(frozen=True)
class Renderer:
    """Frames encoded once, content encoded without special tokens."""

    tokenizer: PreTrainedTokenizerFast
    plain: Tokenizer
    frames: Frames
    limits: Render

    @classmethod
    def load(cls, tokenizer: PreTrainedTokenizerFast, limits: Render) -> "Renderer":
        """Build the renderer for a tokenizer; raises `UserError` where it lacks what the template needs."""
        frames = compact_frames(tokenizer) if limits.template == "compact" else chat_frames(tokenizer)
        renderer = cls(tokenizer, without_added_tokens(tokenizer), frames, limits)
        first = {action_type: renderer.content(verb)[0] for action_type, verb in VERBS.items()}
        if len(set(first.values())) < len(first):
            raise UserError(f"{tokenizer.name_or_path}: two action words begin with the same token: {first}")
        if renderer.verdict_ids(True)[0] == renderer.verdict_ids(False)[0]:
            raise UserError(f"{tokenizer.name_or_path}: ACCEPT and REJECT begin with the same token")
        return renderer

    # -- tokens ---------------------------------------------------------------------------------------------

    def frame(self, text: str) -> list[int]:
        """Encode a template's own literal text, special tokens included."""
        return self.tokenizer.encode(text, add_special_tokens=False) if text else []

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
    def type_ids(self) -> list[int]:
        """First token of each action type, in the order of ACTION_TYPES."""
        return [self.content(VERBS[action_type])[0] for action_type in ACTION_TYPES]

    # -- parts ----------------------------------------------------------------------------------------------

    def system_ids(self, episode: Episode) -> list[int]:
        offered = [tool for tool in episode.tools if tool.name not in episode.withheld]
        return self.framed(self.frames.system, self.content(self.listing(offered)))

    def listing(self, tools: list[Tool]) -> str:
        """The richest listing of the tools that fits `tools_tokens`; the poorest where none does."""
        levels = _compact_listings if self.limits.template == "compact" else _json_listings
        texts = list(levels(tools))
        return next((t for t in texts if len(self.content(t)) <= self.limits.tools_tokens), texts[-1])

    def user_ids(self, step: User) -> list[int]:
        text = step.content + (f"\nnew tools: {' '.join(step.new_tools)}" if step.new_tools else "")
        return self.framed(self.frames.user, cut_middle(self.content(text), self.limits.user_tokens))

    def observation_ids(self, text: str) -> list[int]:
        return self.framed(self.frames.observation, cut_middle(self.content(text), self.limits.observation_tokens))

    def action_ids(self, action: Action) -> list[int]:
        """An action's tokens as a model has to produce them, the stop token included."""
        verb = VERBS[action.type]
        if action.tool is None:
            return self.content(f"{verb} {action.content}" if action.content else verb) + [self.stop_id]
        # A space in a name is escaped: the first one written ends the name.
        name = json.dumps(action.tool, ensure_ascii=False)[1:-1].replace(" ", "\\u0020")
        arguments = dump_arguments(action.arguments)
        before, between, after = self.frames.call
        if self.limits.template == "compact":  # no special tokens inside: one natural piece of text
            return self.content(f"{verb}{before}{name}{between}{arguments}{after}") + [self.stop_id]
        parts = [self.content(verb), self.frame(before), self.content(name), self.frame(between)]
        return sum([*parts, self.content(arguments), self.frame(after)], []) + [self.stop_id]

    def verdict_query_ids(self, confidence: float | None) -> list[int]:
        """What follows a proposal: the proposer's confidence (0 to 1) as a digit, and the question."""
        digit = "" if confidence is None else str(min(9, int(confidence * 10)))
        return self.framed(self.frames.verdict, self.content(digit))

    def verdict_ids(self, accept: bool) -> list[int]:
        return self.content(VERDICTS[accept])

    # -- back to actions ------------------------------------------------------------------------------------

    def text(self, ids: list[int]) -> str:
        """Generated tokens as text, without the stop token."""
        ids = ids[: ids.index(self.stop_id)] if self.stop_id in ids else ids
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def parse(self, text: str) -> Action | None:
        """The action a model's text stands for; None for anything malformed. Never raises on any text."""
        verb = re.match(r"[a-z]+", text)
        action_type = TYPES.get(verb.group()) if verb else None
        if action_type is None:
            return None
        rest = text[verb.end() :]
        if action_type in SPEAKING:
            return Action(type=action_type, content=rest[1:]) if rest[:1] in ("", " ") else None
        before, between, after = self.frames.call
        if not (rest.startswith(before) and rest.endswith(after)):
            return None
        name, found, arguments = rest[len(before) : len(rest) - len(after)].partition(between)
        if not found or not name:
            return None
        try:
            values = json.loads(arguments, parse_constant=_reject_constant)
            name = json.loads(f'"{name}"')
            (name + dump_arguments(values)).encode()  # 1e999 and half a surrogate pair are JSON that no file can hold
        except (ValueError, RecursionError):
            return None
        return Action(type=action_type, tool=name, arguments=values) if isinstance(values, dict) else None

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
            if block.decision is not None and not self._fits(system, kept, block):
                windows.append(_window(episode.id, system, kept))
                kept = [b._replace(decision=None) for b in blocks[turn:number]]
                while len(kept) > 1 and not self._fits(system, kept, block):
                    kept.pop(1)  # the turn's oldest step after its user message
                if not self._fits(system, kept, block):
                    raise UserError(
                        f"episode {episode.id}, decision {block.decision}: does not fit render.max_tokens = "
                        f"{self.limits.max_tokens}; raise it, or lower tools_, user_ or observation_tokens"
                    )
            kept.append(block)
        return [w for w in [*windows, _window(episode.id, system, kept)] if w.points]

    def _fits(self, system: list[int], kept: list[_Block], block: _Block) -> bool:
        label = max(len(block.ids) - block.label_at, self.limits.action_tokens)
        return len(system) + sum(len(b.ids) for b in kept) + block.label_at + label <= self.limits.max_tokens

    def _blocks(self, episode: Episode) -> list[_Block]:
        blocks, decision = [], 0
        before = self.frame(self.frames.action)
        for step in episode.steps:
            if isinstance(step, User):
                blocks.append(_Block(self.user_ids(step), opens_turn=True))
            elif isinstance(step, Act):
                label = self.action_ids(step.action)
                if step.supervised:
                    end = len(before) + len(label)
                    blocks.append(_Block(before + label, False, decision, len(before), end))
                    decision += 1
                else:
                    blocks.append(_Block(before + label))
            else:
                blocks.append(_Block(self.observation_ids(step.content)))
        return blocks


def _window(episode: str, system: list[int], blocks: list[_Block]) -> Window:
    ids, points = list(system), []
    for block in blocks:
        if block.decision is not None:
            points.append(Point(block.decision, len(ids) + block.label_at, len(ids) + block.label_end))
        ids += block.ids
    # What follows the last label teaches nothing and is never needed as context.
    return Window(episode, ids[: points[-1].end] if points else ids, points)


def cut_middle(ids: list[int], limit: int) -> list[int]:
    """At most `limit` tokens: the first three quarters and the last quarter of what fits."""
    if len(ids) <= limit:
        return ids
    tail = limit // 4
    return ids[: limit - tail] + ids[len(ids) - tail :]


def dump_arguments(arguments: dict) -> str:
    """Arguments as models have to write them: JSON, in their own order, no spaces to spare."""
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def without_added_tokens(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """The same byte-level tokenizer without its special and added tokens: their spelling is plain text to it."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["added_tokens"], state["post_processor"] = [], None
    return Tokenizer.from_str(json.dumps(state))


def compact_frames(tokenizer: PreTrainedTokenizerFast) -> Frames:
    """One special token a frame. Raises `UserError` naming a token that the tokenizer lacks."""
    known = set(tokenizer.get_added_vocab())
    for use, token in COMPACT_TOKENS.items():
        if token not in known:
            raise UserError(
                f"{tokenizer.name_or_path}: the tokenizer has no token {token} ({use}), which render.template: "
                "compact needs; use render.template: chat for this model"
            )
    tokens = COMPACT_TOKENS
    return Frames(
        system=(tokens["system"], ""),
        user=(tokens["user"], ""),
        action=tokens["action"],
        observation=(tokens["observation"], ""),
        verdict=("", tokens["verdict"]),
        call=(" ", " ", ""),
        stop=tokens["stop"],
    )


def chat_frames(tokenizer: PreTrainedTokenizerFast) -> Frames:
    """Frames cut out of the model's own chat template, its tool-calling convention included.

    A conversation of marks is rendered once and taken apart again. The final user message keeps templates
    that treat the latest assistant message differently (Qwen3 adds an empty thinking block there) from doing
    so: transcripts stay linear. Raises `UserError` where the template cannot be taken apart.
    """
    tools = [{"MARKTOOL": 0}]
    call = {"type": "function", "function": {"name": "MARKNAME", "arguments": {"MARKARGUMENTS": 0}}}
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": "MARKUSER"},
        {"role": "assistant", "content": "MARKVERB", "tool_calls": [call]},
        {"role": "tool", "name": "MARKNAME", "content": "MARKOBSERVATION"},
        {"role": "assistant", "content": "MARKDONE"},
        {"role": "user", "content": f"Confidence MARKCONFIDENCE. {QUESTION}"},
        {"role": "assistant", "content": "MARKVERDICT"},
        {"role": "user", "content": "MARKEND"},
    ]
    name = tokenizer.name_or_path
    try:
        text = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    except Exception as error:  # templates raise whatever they like
        raise UserError(f"{name}: its chat template does not render a tool-calling conversation ({error})") from error
    marks = ['{"MARKTOOL": 0}', "MARKUSER", "MARKVERB", "MARKNAME", '{"MARKARGUMENTS": 0}']
    marks += ["MARKOBSERVATION", "MARKDONE", "MARKCONFIDENCE", "MARKVERDICT", "MARKEND"]
    pieces, rest = [], text
    for mark in marks:
        before, found, rest = rest.partition(mark)
        if not found:
            raise UserError(f"{name}: its chat template drops or reorders {mark}; use another model")
        pieces.append(before)
    stop = tokenizer.eos_token

    def around_stop(number: int) -> tuple[str, str]:
        """A piece between two marks, parted behind the token that ends the first one's message."""
        before, found, after = pieces[number].partition(stop)
        if not found:
            raise UserError(f"{name}: its chat template does not end a message with {stop} before {marks[number]}")
        return before, after

    system_after, user_before = around_stop(1)
    user_after, action_before = around_stop(2)
    call_after, observation_before = around_stop(5)
    observation_after, _ = around_stop(6)
    _, question_before = around_stop(7)
    return Frames(
        system=(pieces[0], system_after + stop),
        user=(user_before, user_after + stop),
        action=action_before,
        observation=(observation_before, observation_after + stop),
        verdict=(question_before, pieces[8]),
        call=(pieces[3], pieces[4], call_after),
        stop=stop,
    )


def _compact_listings(tools: list[Tool]) -> list[str]:
    """Signatures, or names only."""
    return [
        "\n".join(f"{tool.name}({', '.join(tool.parameters.get('properties', {}))})" for tool in tools),
        " ".join(tool.name for tool in tools),
    ]


def _json_listings(tools: list[Tool]) -> list[str]:
    """Full definitions, then without descriptions, then without parameters; one a line, as templates do."""

    def definition(tool: Tool, **kept: object) -> str:
        return json.dumps({"type": "function", "function": {"name": tool.name, **kept}}, ensure_ascii=False)

    return [
        "\n".join(definition(t, description=t.description, parameters=t.parameters) for t in tools),
        "\n".join(definition(t, parameters=_bare(t.parameters)) for t in tools),
        "\n".join(definition(t) for t in tools),
    ]


def _bare(schema: dict) -> dict:
    """A JSON Schema without the descriptions of its top-level properties."""
    properties = schema.get("properties", {})
    short = {name: {"type": value.get("type")} for name, value in properties.items() if isinstance(value, dict)}
    return {"type": "object", "properties": short, "required": schema.get("required", [])}


def load_renderer(base: Path, limits: Render) -> Renderer:
    """The renderer for a base model's folder."""
    return Renderer.load(AutoTokenizer.from_pretrained(base, trust_remote_code=False), limits)
