"""Conversations in the OpenAI chat format, and the episodes that they are.

    found = read_conversation(decode(line), types, scrub)     # raises `Invalid` with everything that is wrong
    found.episode, found.rules, found.normalised

A conversation is an object with `messages` (roles system or developer, user, assistant, tool), and where it has them
`tools` (function definitions), `id`, `group`, `reward`, `success`, `metadata`. What becomes what:

    leading system, developer   the episode's standing instructions; later ones are read like the user's
    user                        a user message
    assistant with tool_calls   one action a call, in order, each followed by its result; text beside them is kept there
    assistant with refusal      BLOCKED
    assistant text              goes on in the next assistant message: kept beside that one's actions, no action itself
                                ends with a question mark: ask_clarification, unless it is a courtesy ("anything else?")
                                holds no question mark: final_answer
                                else it cannot be told: context, and listed
    tool                        the result of the call with its `tool_call_id`

`action_type` on an assistant message without calls, or on a tool call, overrules all of this. A call whose result
reports an error and whose successor, decided later in the same turn, calls the same tool in another way (or the tool
was not offered at all) is a fault: context, never a label; its successor is a `repair`. What the agent says before the
user's first words, and calls of tools that were not offered, are context too.
"""

import json
import marshal
import re
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from specacts.core.episodes import Act, Action, Episode, Observation, Step, Tool, User
from specacts.core.files import reject_constant
from specacts.core.observations import is_error
from specacts.core.words import SPEAKING, ActionType
from specacts.traces.tool_types import TypeMap, type_of

SOURCE = "own"
DEEPEST = 64
"""Deepest nesting of a conversation's values: far deeper than any tool asks for, far from Python's own limit."""
LONGEST = 20_000
"""Most characters kept of a message or result: more than any model here reads of one."""
ROLES = Literal["system", "developer", "user", "assistant", "tool"]
TEXT_RULES = {"ask_clarification": "question", "final_answer": "statement"}
"""The rule by which a text has its type."""
Scrub = Callable[[Any], Any]
"""Takes a string, or any JSON value, and gives it back without its secrets."""


class Problem(NamedTuple):
    """What is wrong with a conversation, and in which field of it."""

    field: str
    what: str


class Invalid(Exception):
    """A conversation that cannot be used: every problem found in it."""

    def __init__(self, problems: list[Problem]):
        super().__init__("; ".join(f"{problem.field}: {problem.what}" for problem in problems))
        self.problems = problems


class Conversation(NamedTuple):
    """An episode without its group, which is not known before all are read, and what was noted on the way.

    group: as given, "" where the conversation has none; so is the episode's id. first: the first user message, in full.
    rules: by which rule each decision has its type. undecided: speaking actions that nobody could type.
    normalised: what was changed in order to accept the conversation.
    """

    episode: Episode
    group: str
    first: str
    reward: float | None
    success: bool | None
    rules: Counter[str]
    undecided: list[str]
    normalised: Counter[str]


# -- JSON -----------------------------------------------------------------------------------------------------


def decode(text: str) -> Any:
    """Strict JSON: no NaN, no number that is too large to be one.

    Lone surrogates and NUL characters, which no file or tokenizer can hold, become U+FFFD. Raises `Invalid`.
    """
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        what = f"not valid JSON: {error.msg.removesuffix(' at')} at column {error.colno}"
        raise Invalid([Problem("(line)", what)]) from error
    except RecursionError as error:
        raise Invalid([Problem("(line)", f"nested deeper than {DEEPEST} levels")]) from error
    except ValueError as error:  # a number: NaN, 1e999, or an integer of thousands of digits
        what = str(error) if "JSON" in str(error) else "an integer with too many digits"
        raise Invalid([Problem("(line)", what)]) from error
    return clean(value) if "\\u" in text else value  # only escapes can spell what is cleaned away


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number for JSON")
    return value


DECODER = json.JSONDecoder(parse_constant=reject_constant, parse_float=_finite)


def clean(value: Any) -> Any:
    """`value` with text that every file can hold. Raises `Invalid` where it is nested too deeply for Python."""
    try:
        return _clean(value)
    except RecursionError as error:
        raise Invalid([Problem("(line)", f"nested deeper than {DEEPEST} levels")]) from error


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _shallow(value: Any) -> Any:
    """The value itself, unless it is nested so deeply that what walks through it might fail."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return value
    raise ValueError(f"nested deeper than {DEEPEST} levels")


def plain(text: str) -> str:
    """The text with U+FFFD for NUL and for each half of a surrogate pair that stands alone."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


# -- the format -----------------------------------------------------------------------------------------------


class _Lenient(BaseModel):
    """Real logs hold many more fields than those that are read here."""

    model_config = ConfigDict(extra="ignore", frozen=True, regex_engine="python-re")


def _from_json(value: Any) -> Any:
    """Columns of tables hold messages and tools as JSON text, where their rows differ in shape."""
    if isinstance(value, str):
        try:
            return decode(value)
        except Invalid as error:
            raise ValueError(error.problems[0].what) from error
    return value


def _arguments(value: Any) -> Any:
    """Arguments are an object written as JSON text; some frameworks write the object itself, or nothing for none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    value = _from_json(value)
    if not isinstance(value, dict):
        raise ValueError(f"the arguments are {_kind(value)}, not an object")
    return _shallow(value)


def _kind(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return names.get(type(value), "null" if value is None else "an object")


def _as_text(value: Any) -> Any:
    """Numbers are used as names by many; a boolean is none."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _flat(value: Any) -> Any:
    """A tool's definition out of its `function`; the flat form of newer interfaces as it is."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        return value["function"]
    return value


ToolName = Annotated[str, Field(min_length=1, max_length=256)]
Label = Annotated[Annotated[str, Field(max_length=256)], BeforeValidator(_as_text)]


class _Function(_Lenient):
    name: ToolName
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)] = {}


class _Call(_Lenient):
    id: Annotated[str, BeforeValidator(_as_text)] | None = None
    type: Literal["function"] = "function"
    function: _Function
    action_type: ActionType | None = None


class _Part(_Lenient):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Message(_Lenient):
    role: ROLES
    content: Any = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None
    tool_call_id: Annotated[str, BeforeValidator(_as_text)] | None = None
    action_type: ActionType | None = None


class _Definition(_Lenient):
    name: ToolName
    description: str | None = None
    parameters: Annotated[dict[str, Any], BeforeValidator(_shallow)] | None = None


TOOLS = TypeAdapter(
    Annotated[tuple[Annotated[_Definition, BeforeValidator(_flat)], ...], BeforeValidator(_from_json)] | None
)


class _Conversation(_Lenient):
    messages: Annotated[tuple[_Message, ...], BeforeValidator(_from_json)]
    id: Label | None = None
    group: Label | None = None
    reward: Annotated[float, Field(allow_inf_nan=False)] | None = None
    success: bool | None = None


# -- conversations to episodes --------------------------------------------------------------------------------


class Toolset(NamedTuple):
    """The tools on offer by name, and what is wrong with their definitions. typed: filled as they are called."""

    tools: dict[str, Tool]
    problems: list[Problem]
    typed: dict[str, tuple[str, ActionType, str]]


Toolsets = dict[bytes, Toolset]
"""Lists of tools that were read before: most conversations of a file have one of a few."""
MOST_TOOLSETS, MOST_NAMES = 256, 4096
"""What is remembered of them before it is forgotten again: somebody may give every conversation its own."""


def read_conversation(
    value: Any, types: TypeMap, scrub: Scrub = lambda value: value, known: Toolsets | None = None
) -> Conversation:
    """The conversation that a decoded line is. Raises `Invalid` with all its problems.

    known: lists of tools, filled as they come; for conversations that are read with the same `types` and `scrub`.
    """
    if not isinstance(value, dict):
        raise Invalid([Problem("(line)", f"{_kind(value)}, not a conversation: an object with `messages`")])
    given, problems = None, []
    try:
        given = _Conversation.model_validate(value)
    except ValidationError as error:
        problems = [_problem(one) for one in error.errors()]
    toolset = _toolset(value.get("tools"), scrub, known if known is not None else {})
    if given is None or toolset.problems:
        raise Invalid([*problems, *toolset.problems])
    return _Reader(given, toolset, types, scrub).conversation()


def _toolset(value: Any, scrub: Scrub, known: Toolsets) -> Toolset:
    """The list of tools of a conversation; one that is defined twice in the same way counts once."""
    try:
        key = marshal.dumps(value)
    except ValueError:  # a table may hold what JSON does not
        key = b""
    if key and key in known:
        return known[key]
    found = Toolset({}, [], {})
    try:
        definitions = TOOLS.validate_python(value)
    except ValidationError as error:
        found.problems.extend(_problem(one, "tools") for one in error.errors())
        return found
    for number, given in enumerate(definitions or ()):
        tool = Tool(
            name=scrub(given.name), description=scrub(given.description or ""), parameters=scrub(given.parameters or {})
        )
        if found.tools.setdefault(tool.name, tool) != tool:
            what = f"{given.name!r} is defined twice, in different ways"
            found.problems.append(Problem(f"tools.{number}.name", what))
    if key and not found.problems:
        if len(known) >= MOST_TOOLSETS:
            known.clear()
        known[key] = found
    return found


def _problem(error: Any, *inside: str) -> Problem:
    """One of pydantic's errors: its field as in the line, what is wrong and what was found."""
    parts = [str(part) for part in (*inside, *error["loc"])]
    field = ".".join(part for part in parts if not part.startswith("function-"))
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("model_type", "dict_type"):
        what = f"{_kind(error['input'])}, not an object"
    elif error["type"] not in ("missing", "value_error"):
        what += f" (got {str(error['input'])[:LONGEST]!r})"
    return Problem(field or "(line)", what)


def _is_empty(message: _Message) -> bool:
    """Whether an assistant message says and does nothing."""
    does = message.tool_calls or message.refusal or message.action_type
    says = message.content.strip() if isinstance(message.content, str) else message.content
    return message.role == "assistant" and not does and not says


class _Pending(NamedTuple):
    """A call that waits for its result: its id, where it stands in the conversation, and the rule behind its type."""

    key: str | None
    field: str
    act: Act
    rule: str


class _Reader:
    """Goes through the messages once; problems are collected, so that one pass tells all of them."""

    def __init__(self, given: _Conversation, toolset: Toolset, types: TypeMap, scrub: Scrub):
        self.given, self.types, self.scrub = given, types, scrub
        self.tools, self.typed = toolset.tools, toolset.typed
        self.problems: list[Problem] = []
        self.normalised: Counter[str] = Counter()
        self.undecided: list[str] = []
        self.system: list[str] = []
        self.steps: list[Step] = []
        self.rules: dict[int, str] = {}  # of the action at a step: what typed it
        self.waiting: list[_Pending] = []
        self.results: dict[int, str] = {}  # of the calls in `waiting`, by their place there
        self.first: str | None = None
        self.said = ""  # by the agent, which then went on

    def conversation(self) -> Conversation:
        said = [(f"messages.{n}", m) for n, m in enumerate(self.given.messages) if not _is_empty(m)]
        self.normalised["empty assistant messages"] += len(self.given.messages) - len(said)
        for n, (field, message) in enumerate(said):
            self._message(field, message, said[n + 1][1] if n + 1 < len(said) else None)
        self._settle(at_end=True)
        if not any(isinstance(step, Act) for step in self.steps) and not self.problems:
            what = "no assistant message" if self.given.messages else "empty"
            self._wrong("messages", f"{what}: there is no action to learn from")
        if self.problems:
            raise Invalid(self.problems)
        self._mark_repairs()
        episode = Episode(
            id=self.scrub(self.given.id or ""),
            group="",
            source=SOURCE,
            system=self._text("\n\n".join(self.system)),
            tools=tuple(self.tools.values()),
            steps=tuple(self.steps),
        )
        labels = [n for n, step in enumerate(self.steps) if isinstance(step, Act) and step.supervised]
        return Conversation(
            episode=episode,
            group=self.scrub(self.given.group or ""),
            first=self.first or "",
            reward=self.given.reward,
            success=self.given.success,
            rules=Counter(self.rules[n] for n in labels),
            undecided=self.undecided,
            normalised=self.normalised,
        )

    def _wrong(self, field: str, what: str) -> None:
        self.problems.append(Problem(field, what))

    def _text(self, text: str) -> str:
        """Text as it is kept: without secrets, and without the middle of what is far too long."""
        text = self.scrub(text)
        if len(text) > LONGEST:
            self.normalised["texts cut in the middle"] += 1
            text = cut_text(text, LONGEST)
        return text

    # -- messages ---------------------------------------------------------------------------------------------

    def _message(self, field: str, message: _Message, following: _Message | None) -> None:
        if message.tool_calls and message.role != "assistant":
            self._wrong(f"{field}.tool_calls", f"only the assistant calls tools, not role {message.role!r}")
        text = self._content(field, message)
        if message.role == "tool":
            self._result(field, message.tool_call_id, text)
            return
        self._settle()
        if message.role == "assistant":
            self._assistant(field, message, text, following)
        elif message.role == "user" or self.steps:
            if self.first is None:
                self.first = text
            self.steps.append(User(content=self._text(text)))
        elif text:
            self.system.append(text)

    def _content(self, field: str, message: _Message) -> str:
        """The text of a message: a string, or parts, of which those that are no text leave their kind in brackets."""
        content = message.content
        if content is None or isinstance(content, str):
            return content or ""
        is_parts = isinstance(content, list) and all(isinstance(p, str) or "type" in p for p in content if p)
        if message.role == "tool" and not is_parts:  # a result of which nobody made a text
            self.normalised["results written as JSON"] += 1
            try:
                return json.dumps(_shallow(content), ensure_ascii=False)
            except ValueError as error:
                self._wrong(f"{field}.content", str(error))
                return ""
        if isinstance(content, list):
            return "\n".join(self._part(f"{field}.content.{n}", part) for n, part in enumerate(content))
        self._wrong(f"{field}.content", f"{_kind(content)}, not a string or an array of parts")
        return ""

    def _part(self, field: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        try:
            part = _Part.model_validate(value)
        except ValidationError as error:
            for problem in map(_problem, error.errors()):
                self._wrong(field if problem.field == "(line)" else f"{field}.{problem.field}", problem.what)
            return ""
        text = part.refusal if part.text is None else part.text
        if text is None:
            self.normalised["parts that are no text"] += 1
            return f"[{part.type}]"
        return text

    def _assistant(self, field: str, message: _Message, text: str, following: _Message | None) -> None:
        label = message.action_type
        if message.tool_calls:
            if label:
                self._wrong(f"{field}.action_type", "belongs to each of the tool_calls where there are any")
            self._calls(field, message.tool_calls, self._beside(text))
        elif label and label not in SPEAKING:
            self._wrong(f"{field}.action_type", f"{label!r} calls a tool, and there is no call")
        elif label:
            self._speak(label, self._beside(text or message.refusal or ""), "label")
        elif message.refusal:
            self._speak("BLOCKED", self._beside(message.refusal), "refusal")
        elif following is not None and following.role == "assistant":
            self.said = self._beside(text)
            self.normalised["texts joined to what the agent did next"] += 1
        else:
            text = self._beside(text)
            found = speaking_type(text)
            if found is None:
                self.undecided.append(self._text(text))
            self._speak(found or "final_answer", text, TEXT_RULES.get(found or ""))

    def _beside(self, text: str) -> str:
        """The text behind what was said just before it."""
        said, self.said = self.said, ""
        return f"{said}\n{text}" if said and text else said or text

    def _speak(self, action_type: ActionType, text: str, rule: str | None) -> None:
        self._act(Act(action=Action(type=action_type, content=self._text(text))), rule)

    def _act(self, act: Act, rule: str | None) -> None:
        """An action as a step; without a rule that types it, or before the user has spoken, it is context."""
        if rule is None or self.first is None:
            act = act.model_copy(update={"supervised": False})
        self.rules[len(self.steps)] = rule or "undecided"
        self.steps.append(act)

    # -- calls ------------------------------------------------------------------------------------------------

    def _calls(self, field: str, calls: tuple[_Call, ...], text: str) -> None:
        keys = Counter(call.id for call in calls if call.id is not None)
        for number, call in enumerate(calls):
            place = f"{field}.tool_calls.{number}"
            if call.id is not None and keys[call.id] > 1:
                self._wrong(f"{place}.id", f"{call.id!r} names {keys[call.id]} calls of this message")
            if call.action_type in SPEAKING:
                self._wrong(f"{place}.action_type", f"{call.action_type!r} calls no tool")
                continue
            name, action_type, rule = self._typed(call.function.name)
            action = Action(
                type=call.action_type or action_type,
                tool=name,
                arguments=self.scrub(call.function.arguments),
                content=self._text(text) if number == 0 else "",
            )
            act = Act(action=action, supervised=not self.tools or name in self.tools, parallel=number > 0)
            self.waiting.append(_Pending(call.id, place, act, "label" if call.action_type else rule))

    def _typed(self, given: str) -> tuple[str, ActionType, str]:
        """A tool's name without secrets, the type of its calls, and the rule that says so."""
        if given not in self.typed:
            if len(self.typed) >= MOST_NAMES:
                self.typed.clear()
            name = self.scrub(given)
            found = type_of(self.tools.get(name) or Tool(name=name), self.types)
            self.typed[given] = (name, found.type, found.rule)
        return self.typed[given]

    def _result(self, field: str, key: str | None, text: str) -> None:
        field = f"{field}.tool_call_id"
        places = [n for n, pending in enumerate(self.waiting) if key in (None, pending.key)]
        if key is None and len(places) != 1:
            self._wrong(field, f"missing, and {len(places)} calls wait for a result")
        elif not places:
            self._wrong(field, f"{key!r} is no call of the assistant message before it")
        elif places[0] in self.results:
            self._wrong(field, f"{key!r} has a result already")
        else:
            self.normalised["results without tool_call_id"] += key is None
            self.results[places[0]] = text

    def _settle(self, at_end: bool = False) -> None:
        """The waiting calls become steps, each with its result, which only a conversation's last calls may lack."""
        for number, pending in enumerate(self.waiting):
            self._act(pending.act, pending.rule)
            if number in self.results:
                self.steps.append(Observation(content=self._text(self.results[number])))
            elif not at_end:
                self._wrong(f"{pending.field}.id", f"no tool message answers {pending.key!r} before the next message")
        self.waiting, self.results = [], {}

    def _mark_repairs(self) -> None:
        """Failed calls that were put right become context, and the calls that put them right repairs."""
        for failed in [n for n, step in enumerate(self.steps) if isinstance(step, Act)]:
            result = self.steps[failed + 1] if failed + 1 < len(self.steps) else None
            if not isinstance(result, Observation) or not is_error(result.content):
                continue
            later = next((n for n in self._next_calls(failed) if self._puts_right(failed, n)), None)
            if later is None:
                continue
            self.steps[failed] = self._act_at(failed).model_copy(update={"supervised": False})
            if self.rules[later] != "label":
                act = self._act_at(later)
                repair = act.action.model_copy(update={"type": "repair"})
                self.steps[later] = act.model_copy(update={"action": repair})
                self.rules[later] = "repair"

    def _act_at(self, number: int) -> Act:
        act = self.steps[number]
        assert isinstance(act, Act)
        return act

    def _next_calls(self, number: int) -> list[int]:
        """The calls of the agent's next message in the same turn, by their steps."""
        found: list[int] = []
        for n in range(number + 1, len(self.steps)):
            step = self.steps[n]
            if isinstance(step, User) or (found and isinstance(step, Act) and not step.parallel):
                break
            if isinstance(step, Act) and step.action.tool is not None and (found or not step.parallel):
                found.append(n)
        return found

    def _puts_right(self, failed: int, later: int) -> bool:
        """Whether a later call is a failed one, put right: another call of its tool, or of any if that was unknown."""
        wrong, right = self._act_at(failed).action, self._act_at(later).action
        unknown = bool(self.tools) and wrong.tool not in self.tools
        return unknown or (wrong.tool == right.tool and wrong.arguments != right.arguments)


COURTESY = re.compile(
    r"\b(anything|something|what|how) else\b|\b(can|may|could|might|shall) i (further )?(help|assist|be of)\b"
    r"|\bany (other|more|further) (questions?|requests?|help)\b",
    re.IGNORECASE,
)
NO_PROSE = re.compile(r"```.*?(```|$)|`[^`]*`|\bhttps?://\S+", re.DOTALL)
"""Code and addresses: a question mark in them asks nothing."""
QUESTION_MARKS = "?\uff1f\u061f\u037e"  # also full-width, Arabic and Greek


def speaking_type(text: str) -> ActionType | None:
    """What an assistant's text without a call does; None where its wording does not tell (see the module's rule)."""
    words = NO_PROSE.sub(" ", text)
    asked = [n for n, character in enumerate(words) if character in QUESTION_MARKS]
    if not asked:
        return "final_answer"
    if any(character.isalnum() for character in words[asked[-1] :]):
        return None
    question = re.split(r"[.!\n]|[" + QUESTION_MARKS + r"](?=.*[" + QUESTION_MARKS + "])", words[: asked[-1] + 1])[-1]
    return "final_answer" if COURTESY.search(question) else "ask_clarification"


def cut_text(text: str, most: int) -> str:
    """At most `most` characters: the beginning, how much was left out, and the end. most: at least 64."""
    kept = most - 48
    tail = kept // 4
    return f"{text[: kept - tail]} [... {len(text) - kept} characters left out ...] {text[len(text) - tail :]}"


# -- and back -------------------------------------------------------------------------------------------------


def as_chat(episode: Episode) -> dict[str, Any]:
    """The conversation that an episode is, as `read_conversation` reads it; what tools were withheld is lost."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": episode.system}] if episode.system else []
    spoken_to = False
    for number, step in enumerate(episode.steps):
        if isinstance(step, User):
            spoken_to = True
            messages.append({"role": "user", "content": step.content})
        elif isinstance(step, Observation):
            # Behind the calls decided in one go, whose results come after all of them.
            messages.append({"role": "tool", "tool_call_id": f"call_{number - 1}", "content": step.content})
        elif step.action.tool is None:
            # Without a label what could not be decided stays undecided.
            label = {"action_type": step.action.type} if step.supervised or not spoken_to else {}
            messages.append({"role": "assistant", "content": step.action.content, **label})
        else:
            function = {"name": step.action.tool, "arguments": json.dumps(step.action.arguments, ensure_ascii=False)}
            call = {"id": f"call_{number}", "type": "function", "function": function, "action_type": step.action.type}
            if step.parallel:
                together = next(m for m in reversed(messages) if m["role"] == "assistant")
                together["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": step.action.content or None, "tool_calls": [call]})
    functions = [{"type": "function", "function": tool.model_dump()} for tool in episode.tools]
    names = {name: value for name, value in (("id", episode.id), ("group", episode.group)) if value}
    return {**names, "messages": messages, "tools": functions}
