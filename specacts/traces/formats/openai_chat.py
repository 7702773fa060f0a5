"""Conversations in the OpenAI chat format, and the episodes that they are.

    found = read_conversation(decode(line), types, scrub)     # raises `Invalid` with everything that is wrong
    found.episode, found.rules, found.normalised

A conversation is an object with `messages` (roles system or developer, user, assistant, tool), and where it has them
`tools` (function definitions), `id`, `group`, `reward`, `success`, `metadata`. What becomes what:

    leading system, developer   the episode's standing instructions; later ones are read like the user's
    user                        a user message
    assistant with tool_calls   one action a call, in order, each followed by its result; text beside them is kept there
    assistant with refusal      BLOCKED
    assistant with weight 0     context, never a label
    assistant text              goes on in the next assistant message: kept beside that one's actions, no action itself
                                ends with a question mark: ask_clarification, unless it is a courtesy ("anything else?")
                                holds no question mark: final_answer
                                else it cannot be told: context, and listed
    assistant, several in a row whose results stand behind the last: one message
    tool                        the result of the call with its `tool_call_id`; without one, of the call of its `name`,
                                or of the calls in their order. `is_error`, an `error` or a `status` of error say that
                                the call failed, `is_error: false` that it did not; else its text has to tell

`action_type` on an assistant message without calls, or on a tool call, overrules all of this. A call whose result
reports an error and whose successor, decided later in the same turn, calls the same tool in another way (or the tool
was not offered at all) is a fault: context, never a label; its successor is a `repair`. What the agent says before the
user's first words, calls of tools that were not offered, and calls that were interrupted are context too. Results from
before the conversation begins are left out. Where the user says nothing at all, the task is the last of the standing
instructions.
"""

import hashlib
import json
import marshal
import math
import re
from collections import Counter
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from specacts.core.episodes import Act, Action, Episode, Observation, Step, Tool, User
from specacts.core.files import reject_constant
from specacts.core.observations import is_error
from specacts.core.words import OWN, SPEAKING, ActionType
from specacts.traces.timing import seconds_known
from specacts.traces.tool_types import Typed, TypeMap, type_of
from specacts.traces.usage import Took, usage_of

DEEPEST = 64
"""Deepest nesting of a conversation's values: far deeper than any tool asks for, far from Python's own limit."""
LONGEST = 20_000
"""Most characters kept of a message or result: more than any model here reads of one."""
NO_RESULT = "[no result]"
"""Stands behind a call that was interrupted."""
CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")
"""Tools without a schema that the agent's own side runs; all others of a special `type` run on the model's server."""
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
    normalised: what was changed in order to accept the conversation. history: after each message a digest of all that
    was said and done so far: a conversation extends another if the other's last is among its own.
    """

    episode: Episode
    group: str
    first: str
    reward: float | None
    success: bool | None
    rules: Counter[str]
    undecided: list[str]
    normalised: Counter[str]
    history: tuple[int, ...] = ()


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
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid([Problem("(line)", "a number that is too large for JSON")])
    if isinstance(value, dict):
        return {plain(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _shallow(value: Any) -> Any:
    """The value itself, unless it is nested so deeply that what walks through it might fail."""
    if isinstance(value, dict) and not any(isinstance(item, dict | list) for item in value.values()):
        return value  # most are flat
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
    if isinstance(value, str) and value.lstrip().startswith("{"):  # encoded twice
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


def _no_id(value: Any) -> Any:
    """An id of no characters is none."""
    return None if value == "" else _as_text(value)


def _flat(value: Any) -> Any:
    """A tool's definition out of its `function`; the flat form of newer interfaces as it is, a bare name as one."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if isinstance(value, dict) and value.get("parameters") is None:
        schema = value.get("input_schema", value.get("inputSchema"))
        return value if schema is None else {**value, "parameters": schema}
    return value


def _is_elsewhere(value: Any) -> bool:
    """Whether a tool runs on the model's server, or takes text in the place of arguments: no call of it is one here."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str) or isinstance(value.get("function"), dict):
        return False
    if value["type"] == "function" or any(value.get(n) is not None for n in ("parameters", "input_schema")):
        return False
    return "name" not in value or not value["type"].startswith(CLIENT_TOOLS)


def _schema(value: Any) -> Any:
    """Parameters as a JSON schema: what exports leave empty (null, an empty list) holds none."""
    if isinstance(value, str):
        value = _from_json(value) if value.strip() else {}
    if value == []:
        return {}
    return _shallow(_proper(_shallow(value))) if isinstance(value, dict) else value


def _proper(schema: Any) -> Any:
    """The schema itself, or a copy whose `properties` are an object wherever there are some."""
    if not isinstance(schema, dict):
        return schema
    changed: dict[str, Any] = {}
    for key, item in schema.items():
        if key in ("properties", "$defs", "definitions", "patternProperties"):
            if item is None or item == []:
                continue
            if not isinstance(item, dict):
                raise ValueError(f"its `{key}` are {_kind(item)}, not an object")
            proper = {name: _proper(one) for name, one in item.items() if one is not None}
            changed[key] = item if _same_items(proper, item) else proper
        elif key == "required" and item is None:
            continue
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(item, list):
            proper_items = [_proper(one) for one in item]
            changed[key] = item if all(a is b for a, b in zip(proper_items, item, strict=True)) else proper_items
        else:
            changed[key] = _proper(item) if key in ("items", "additionalProperties", "not") else item
    return schema if _same_items(changed, schema) else changed


def _same_items(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return len(a) == len(b) and all(a[key] is b[key] for key in a)


ToolName = Annotated[str, Field(min_length=1, max_length=256)]
Label = Annotated[Annotated[str, Field(max_length=256)], BeforeValidator(_as_text)]


class _Function(_Lenient):
    name: ToolName
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)] = {}


class _Call(_Lenient):
    id: Annotated[str | None, BeforeValidator(_no_id)] = None
    type: Literal["function"] | None = "function"
    function: _Function
    action_type: ActionType | None = None
    weight: Any = None


class _Part(_Lenient):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Message(_Lenient):
    role: ROLES
    content: Any = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None
    tool_call_id: Annotated[str | None, BeforeValidator(_no_id)] = None
    action_type: ActionType | None = None
    name: Any = None
    weight: Any = None
    is_error: Any = None
    status: Any = None
    usage: Any = None
    seconds: Any = None
    error: Any = None


class _Definition(_Lenient):
    name: ToolName
    description: str | None = None
    parameters: Annotated[dict[str, Any] | None, BeforeValidator(_schema)] = None


class _Conversation(_Lenient):
    messages: Annotated[tuple[_Message, ...], BeforeValidator(_from_json)]
    id: Label | None = None
    group: Label | None = None
    reward: Annotated[float, Field(allow_inf_nan=False)] | None = None
    success: bool | None = None


# -- conversations to episodes --------------------------------------------------------------------------------


class Toolset(NamedTuple):
    """The tools on offer by name, and what is wrong with their definitions. typed: filled as they are called.

    elsewhere: how many tools were left out, since they run on the model's server or take no arguments.
    """

    tools: dict[str, Tool]
    problems: list[Problem]
    typed: dict[str, tuple[str, Typed]]
    elsewhere: int = 0
    offered: tuple[Tool, ...] = ()


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
    try:
        offered = _offered(value)
    except ValueError as error:
        return Toolset({}, [Problem("tools", str(error))], {})
    found = Toolset({}, [], {}, sum(map(_is_elsewhere, offered)))
    for number, item in enumerate(offered):
        if _is_elsewhere(item):
            continue
        try:
            given = _Definition.model_validate(_flat(item))
        except ValidationError as error:
            found.problems.extend(_problem(one, "tools", str(number)) for one in error.errors())
            continue
        tool = Tool(
            name=scrub(given.name), description=scrub(given.description or ""), parameters=scrub(given.parameters or {})
        )
        if found.tools.setdefault(tool.name, tool) != tool:
            what = f"{given.name!r} is defined twice, in different ways"
            found.problems.append(Problem(f"tools.{number}.name", what))
    found = found._replace(offered=tuple(found.tools.values()))
    if key and not found.problems:
        if len(known) >= MOST_TOOLSETS:
            known.clear()
        known[key] = found
    return found


def _offered(value: Any) -> list[Any]:
    """The list of tools, however it is kept: JSON text, an object by name, nothing."""
    if isinstance(value, str):
        value = _from_json(value) if value.strip() else None
    if isinstance(value, dict):  # by name; or one tool alone
        value = [value] if "function" in value or ("name" in value and "parameters" in value) else list(value.values())
    if value is not None and not isinstance(value, list | tuple):
        raise ValueError(f"{_kind(value)}, not an array of definitions")
    return list(map(_from_text_object, value or ()))


def _from_text_object(value: Any) -> Any:
    """Some tables hold each definition as JSON text."""
    return _from_json(value) if isinstance(value, str) and value.lstrip().startswith("{") else value


WORDS: dict[str, Callable[[Any], str]] = {
    "missing": lambda error: "is missing",
    "model_type": lambda error: f"{_kind(error['input'])}, not an object",
    "dict_type": lambda error: f"{_kind(error['input'])}, not an object",
    "tuple_type": lambda error: f"{_kind(error['input'])}, not an array",
    "string_type": lambda error: f"{_kind(error['input'])}, not a string",
    "literal_error": lambda error: f"{_shown(error['input'])} is not one of {error['ctx']['expected']}",
    "string_too_short": lambda error: f"needs at least {error['ctx']['min_length']} character",
    "string_too_long": lambda error: f"may have at most {error['ctx']['max_length']} characters",
    **dict.fromkeys(("bool_parsing", "bool_type"), lambda error: f"{_shown(error['input'])} is neither true nor false"),
    **dict.fromkeys(("float_parsing", "float_type"), lambda error: f"{_shown(error['input'])} is not a number"),
    "finite_number": lambda error: f"{_shown(error['input'])} is not a number",
}
"""What is wrong in our words, by the name that pydantic has for it."""


def _shown(value: Any) -> str:
    """A value as the user wrote it: text in quotes, anything else as JSON."""
    if isinstance(value, str):
        return repr(value[:LONGEST])
    return json.dumps(value, ensure_ascii=False, default=str)[:LONGEST]


def _problem(error: Any, *inside: str) -> Problem:
    """One of pydantic's errors: its field as in the line, what is wrong and what was found."""
    parts = [str(part) for part in (*inside, *error["loc"])]
    field = ".".join(part for part in parts if not part.startswith("function-"))
    say = WORDS.get(error["type"])
    what = say(error) if say else error["msg"].removeprefix("Value error, ")
    if say is None and error["type"] != "value_error":
        what += f" (got {_shown(error['input'])})"
    return Problem(field or "(line)", what)


def _is_empty(message: _Message) -> bool:
    """Whether an assistant message says and does nothing."""
    if message.role != "assistant" or message.tool_calls or message.refusal or message.action_type:
        return False
    return not (message.content.strip() if isinstance(message.content, str) else message.content)


def _parts_of_answers(messages: list[_Message]) -> set[int]:
    """Which messages of the agent go on with the calls of the one before: the results of those stand behind both.

    Such are logs that write every call, or every block of an answer, as a message of its own.
    """
    found: set[int] = set()
    end = 0
    for n, first in enumerate(messages):
        if n < end or first.role != "assistant" or not first.tool_calls:
            continue
        end = n + 1
        while end < len(messages) and messages[end].role == "assistant":
            end += 1
        if end == n + 1:
            continue
        answered = {m.tool_call_id for m in takewhile(lambda m: m.role == "tool", islice(messages, end, None))}
        start, later = end, set[str | None]()
        for k in reversed(range(n, end)):
            calls = {call.id for call in messages[k].tool_calls or () if call.id is not None}
            if answered & calls - later:
                start = k
            later |= calls
        found.update(range(start + 1, end))
    return found


class _Pending(NamedTuple):
    """A call that waits for its result: its id, where it stands in the conversation, and the rule behind its type.

    name: the tool's, as given.
    """

    key: str | None
    field: str
    act: Act
    rule: str
    name: str


class _Answer(NamedTuple):
    """A result: its text, and whether the call failed, if the log itself says so. field: where it stands."""

    text: str
    failed: bool | None
    field: str = ""


class _Reader:
    """Goes through the messages once; problems are collected, so that one pass tells all of them."""

    def __init__(self, given: _Conversation, toolset: Toolset, types: TypeMap, scrub: Scrub):
        self.given, self.types, self.scrub = given, types, scrub
        self.tools, self.typed, self.elsewhere = toolset.tools, toolset.typed, toolset.elsewhere
        self.offered = toolset.offered
        self.problems: list[Problem] = []
        self.normalised: Counter[str] = Counter()
        self.undecided: list[str] = []
        self.system: list[str] = []
        self.steps: list[Step] = []
        self.rules: dict[int, str] = {}  # of the action at a step: what typed it
        self.waiting: list[_Pending] = []
        self.results: dict[int, _Answer] = {}  # of the calls in `waiting`, by their place there
        self.nameless: list[_Answer] = []  # results of which nothing says whose they are
        self.interrupted: dict[str, int] = {}  # by the call's id the step that its late result may still fill
        self.failed: dict[int, bool | None] = {}  # of steps with results whether the call failed, if the log says so
        self.has_called = False
        self.first: str | None = None
        self.said = ""  # by the agent, which then went on
        self.took = self.took_before = Took()  # by the message that is being read, and by texts that it goes on from
        self.digest = b""
        self.history: list[int] = []

    def conversation(self) -> Conversation:
        said = [(f"messages.{n}", m) for n, m in enumerate(self.given.messages) if not _is_empty(m)]
        self.normalised["empty assistant messages"] += len(self.given.messages) - len(said)
        self.normalised["tools that run elsewhere left out"] += self.elsewhere
        task = self._task(said)
        parts = _parts_of_answers([message for _, message in said])
        for n, (field, message) in enumerate(said):
            if n == task:
                message = message.model_copy(update={"role": "user"})
                self.normalised["tasks that stand in the system prompt"] += 1
            self._message(field, message, said[n + 1][1] if n + 1 < len(said) else None, n in parts)
        self._settle(at_end=True)
        if not any(isinstance(step, Act) for step in self.steps) and not self.problems:
            what = "no assistant message" if self.given.messages else "empty"
            self._wrong("messages", f"{what}: there is no action to learn from")
        if self.problems:
            raise Invalid(self.problems)
        self._mark_repairs()
        episode = Episode.model_construct(  # of valid parts; and the tools stay the same tuple for all who share them
            id=self.scrub(self.given.id or ""),
            group="",
            source=OWN,
            system=self._text("\n\n".join(self.system)),
            tools=self.offered,
            withheld=(),
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
            history=tuple(self.history),
        )

    def _task(self, said: list[tuple[str, _Message]]) -> int | None:
        """Where the user says nothing: the number of the message that sets the task, the last standing instruction."""
        if any(message.role == "user" for _, message in said):
            return None
        leading = 0
        while leading < len(said) and said[leading][1].role in ("system", "developer"):
            leading += 1
        return leading - 1 if 0 < leading < len(said) else None

    def _remember(self, role: str, text: str, calls: tuple[_Call, ...]) -> None:
        """Go on with the digest of all that was said and done; standing instructions may change from call to call."""
        made = repr([(call.function.name, call.function.arguments) for call in calls]) if calls else ""
        content = f"{role} {len(text)} {text}{made}".encode("utf-8", "replace")
        self.digest = hashlib.blake2b(self.digest + content, digest_size=8).digest()
        self.history.append(int.from_bytes(self.digest, "big") >> 1)

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

    def _message(self, field: str, message: _Message, following: _Message | None, is_part: bool) -> None:
        if message.tool_calls and message.role != "assistant":
            self._wrong(f"{field}.tool_calls", f"only the assistant calls tools, not role {message.role!r}")
        text = message.content if isinstance(message.content, str) else self._content(field, message)
        if message.role == "assistant" and not message.refusal and _is_refusal(message.content):
            message = message.model_copy(update={"refusal": text})
        if message.role in ("user", "assistant", "tool"):
            self._remember(message.role, text or message.refusal or "", message.tool_calls or ())
        if message.role == "tool":
            self._result(field, message, _Answer(text, _has_failed(message), f"{field}.tool_call_id"))
            return
        if is_part:
            self._go_on(field, message, text)
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
        if content is None:
            return ""
        is_parts = isinstance(content, list) and all(map(_is_part, content))
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
        if (held := _held_text(value)) is not None:
            return held
        try:
            part = _Part.model_validate(value)
        except ValidationError as error:
            for problem in map(_problem, error.errors()):
                self._wrong(field if problem.field == "(line)" else f"{field}.{problem.field}", problem.what)
            return ""
        text = part.refusal if part.text is None else part.text
        if text is None and re.search("tool|function|call|text", part.type):  # what would be lost matters
            self._wrong(f"{field}.type", f"{part.type!r} without `text` is no kind of content that is known here")
        if text is None:
            self.normalised["parts that are no text"] += 1
            return f"[{part.type}]"
        return text

    def _go_on(self, field: str, message: _Message, text: str) -> None:
        """A message that was decided together with the calls that wait: its words stand beside the first of them."""
        took, self.took = self.took, Took(usage_of(message.usage), seconds_known(message.seconds))
        if text:
            first = self.waiting[0]
            said = first.act.action.content
            action = first.act.action.model_copy(update={"content": self._text(f"{said}\n{text}" if said else text)})
            self.waiting[0] = first._replace(act=first.act.model_copy(update={"action": action}))
        if message.tool_calls:
            self._calls(field, message.tool_calls, "", _is_zero(message.weight))
        self.took = took

    def _assistant(self, field: str, message: _Message, text: str, following: _Message | None) -> None:
        label = message.action_type
        is_context = _is_zero(message.weight)
        self.took = Took(usage_of(message.usage), seconds_known(message.seconds)).behind(self.took_before)
        self.took_before = Took()
        if message.tool_calls:
            if label:
                self._wrong(f"{field}.action_type", "belongs to each of the tool_calls where there are any")
            self._calls(field, message.tool_calls, self._beside(text), is_context)
        elif label and label not in SPEAKING:
            self._wrong(f"{field}.action_type", f"{label!r} calls a tool, and there is no call")
        elif label:
            self._speak(label, self._beside(text or message.refusal or ""), "label", is_context)
        elif message.refusal:
            self._speak("BLOCKED", self._beside(message.refusal), "refusal", is_context)
        elif following is not None and following.role == "assistant":
            self.said, self.took_before = self._beside(text), self.took
            self.normalised["texts joined to what the agent did next"] += 1
        else:
            text = self._beside(text)
            found = speaking_type(text)
            if found is None and not is_context:
                self.undecided.append(self._text(text))
            self._speak(found or "final_answer", text, TEXT_RULES.get(found or ""), is_context)

    def _beside(self, text: str) -> str:
        """The text behind what was said just before it."""
        said, self.said = self.said, ""
        return f"{said}\n{text}" if said and text else said or text

    def _speak(self, action_type: ActionType, text: str, rule: str | None, is_context: bool) -> None:
        self.normalised["messages of weight 0, which are context"] += is_context
        action = Action(type=action_type, content=self._text(text))
        self._act(Act(action=action, supervised=not is_context, **self.took._asdict()), rule)

    def _act(self, act: Act, rule: str | None) -> None:
        """An action as a step; without a rule that types it, or before the user has spoken, it is context."""
        if rule is None or self.first is None:
            act = act.model_copy(update={"supervised": False})
        self.rules[len(self.steps)] = rule or "undecided"
        self.steps.append(act)

    # -- calls ------------------------------------------------------------------------------------------------

    def _calls(self, field: str, calls: tuple[_Call, ...], text: str, is_context: bool) -> None:
        self.has_called = True
        self.normalised["messages of weight 0, which are context"] += is_context
        keys = Counter(call.id for call in calls if call.id is not None) if len(calls) > 1 else NO_KEYS
        for number, call in enumerate(calls):
            place = f"{field}.tool_calls.{number}"
            if call.id is not None and keys[call.id] > 1:
                self._wrong(f"{place}.id", f"{call.id!r} names {keys[call.id]} calls of this message")
            if call.action_type in SPEAKING:
                self._wrong(f"{place}.action_type", f"{call.action_type!r} calls no tool")
                continue
            name, typed = self._typed(call.function.name)
            action = Action(
                type=call.action_type or typed.type,
                tool=name,
                arguments=self.scrub(call.function.arguments),
                content=self._text(text) if number == 0 else "",
                compare=typed.compare,
            )
            is_label = not (is_context or _is_zero(call.weight)) and (not self.tools or name in self.tools)
            took = self.took.shared(len(calls))
            act = Act(action=action, supervised=is_label, parallel=bool(self.waiting), **took._asdict())
            made_by = "label" if call.action_type else typed.rule
            self.waiting.append(_Pending(call.id, place, act, made_by, call.function.name))

    def _typed(self, given: str) -> tuple[str, Typed]:
        """A tool's name without secrets; the type of its calls, with the rule that says so, and how they compare."""
        if given not in self.typed:
            if len(self.typed) >= MOST_NAMES:
                self.typed.clear()
            name = self.scrub(given)
            self.typed[given] = (name, type_of(self.tools.get(name) or Tool(name=name), self.types))
        return self.typed[given]

    def _result(self, field: str, message: _Message, answer: _Answer) -> None:
        key, field = message.tool_call_id, answer.field
        if key is not None and any(pending.key is not None for pending in self.waiting):
            place = next((n for n, pending in enumerate(self.waiting) if pending.key == key), None)
        else:
            place = self._next_of(message.name)
        if place is not None and place in self.results:
            self._wrong(field, f"{key!r} has a result already")
        elif place is not None:
            self.normalised["results without tool_call_id"] += key is None
            self.results[place] = answer
        elif key is not None and key in self.interrupted:
            self._late(self.interrupted.pop(key), answer)
        elif not self.has_called:  # of a call from before the conversation begins here
            self.normalised["results of no call left out"] += 1
        elif key is not None and (not self.waiting or any(pending.key is not None for pending in self.waiting)):
            self._wrong(field, f"{key!r} is no call of the assistant message before it")
        elif not self.waiting:
            self._wrong(field, "missing, and 0 calls wait for a result")
        else:
            self.nameless.append(answer)

    def _next_of(self, name: Any) -> int | None:
        """The first call of the tool that still waits."""
        open_calls = (n for n in range(len(self.waiting)) if n not in self.results)
        return next((n for n in open_calls if name and self.waiting[n].name == name), None)

    def _late(self, step: int, answer: _Answer) -> None:
        """The result of a call that the conversation went on from: it fills its place, and the call stays context."""
        self.normalised["results behind what the user said next"] += 1
        self.steps[step] = Observation(content=self._text(answer.text))
        self.failed[step] = answer.failed

    def _in_order(self) -> None:
        """Results that name nothing belong to the calls in their order, if there are as many."""
        if not self.nameless:
            return
        places = [n for n in range(len(self.waiting)) if n not in self.results]
        if len(places) == len(self.nameless):
            self.results |= dict(zip(places, self.nameless, strict=True))
            self.normalised["results without tool_call_id"] += len(places)
        else:
            for answer in self.nameless:
                self._wrong(answer.field, f"missing, and {len(places)} calls wait for a result")
        self.nameless = []

    def _settle(self, at_end: bool = False) -> None:
        """The waiting calls become steps, each with its result; one that lacks it, but for the last, is context."""
        self._in_order()
        for number, pending in enumerate(self.waiting):
            answer = self.results.get(number)
            interrupted = answer is None and not at_end
            act = pending.act.model_copy(update={"supervised": False}) if interrupted else pending.act
            self._act(act, pending.rule)
            if answer is not None:
                self.failed[len(self.steps)] = answer.failed
                self.steps.append(Observation(content=self._text(answer.text)))
            elif interrupted:
                self.normalised["calls without a result, which are context"] += 1
                if pending.key is not None:
                    self.interrupted[pending.key] = len(self.steps)
                self.steps.append(Observation(content=NO_RESULT))
        self.waiting, self.results = [], {}

    def _mark_repairs(self) -> None:
        """Failed calls that were put right become context, and the calls that put them right repairs."""
        for failed in [n for n, step in enumerate(self.steps) if isinstance(step, Act)]:
            result = self.steps[failed + 1] if failed + 1 < len(self.steps) else None
            if not isinstance(result, Observation):
                continue
            said = self.failed.get(failed + 1)
            if said is False or not (said or (_may_fail(result.content) and is_error(result.content))):
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


NO_KEYS: Counter[str] = Counter()
CARRY = frozenset("image_url input_audio audio_url video_url image_file file_id file_data mimeType refusal".split())
"""Fields that hold what a part that is no text has; an object without any has its `type` for reasons of its own."""
CARRY_OBJECTS = ("source", "resource", "file", "audio")
"""The same, where they hold an object."""
PARTS = re.compile(r"(input_|output_)?(text|image|audio|file|video)(_url)?|refusal|document|resource(_link)?")
"""Kinds of parts of a message."""


def _is_part(value: Any) -> bool:
    """Whether a member of a list is a part of a message, and not data that a tool returned."""
    if isinstance(value, dict):
        kind = value.get("type")
        if not isinstance(kind, str) or not PARTS.fullmatch(kind):
            return not value
        if "text" in kind:
            return isinstance(value.get("text"), str)
        held = any(isinstance(value.get(name), dict) for name in CARRY_OBJECTS)
        return len(value) == 1 or held or not CARRY.isdisjoint(value)
    return isinstance(value, str) or value is None


def _held_text(part: Any) -> str | None:
    """The text of a document or a resource that stands in a message whole."""
    if not isinstance(part, dict) or part.get("type") not in ("document", "resource"):
        return None
    source, resource = part.get("source"), part.get("resource")
    if isinstance(source, dict) and source.get("type") == "text":
        text = source.get("data")
    else:
        text = resource.get("text") if isinstance(resource, dict) else None
    return text if isinstance(text, str) else None


def _is_refusal(content: Any) -> bool:
    """Whether all parts of an answer are refusals."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(part, dict) and part.get("type") == "refusal" for part in content)
    )


def _has_failed(message: _Message) -> bool | None:
    """Whether the call failed whose result a message is; None where it is not said, and its text has to tell."""
    if message.is_error is True or message.error or message.status in ("error", "failed"):
        return True
    return False if message.is_error is False or message.error is False else None


def _may_fail(result: str) -> bool:
    """Whether a result could be one that reports a failure: looking into each is slow, and an object without the word
    is none."""
    return not result.startswith("{") or "rror" in result or "\\u" in result


def _is_zero(weight: Any) -> bool:
    return isinstance(weight, int | float) and not isinstance(weight, bool) and weight == 0


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
            label: dict[str, Any]
            label = {"action_type": step.action.type} if step.supervised or not spoken_to else {}
            if not step.supervised and spoken_to:
                label["weight"] = 0
            messages.append({"role": "assistant", "content": step.action.content, **label})
        else:
            function = {"name": step.action.tool, "arguments": json.dumps(step.action.arguments, ensure_ascii=False)}
            call: dict[str, Any]
            call = {"id": f"call_{number}", "type": "function", "function": function, "action_type": step.action.type}
            following = episode.steps[number + 1] if number + 1 < len(episode.steps) else None
            if not step.supervised and following == Observation(content=NO_RESULT):
                call["weight"] = 0
            if step.parallel:
                together = next(m for m in reversed(messages) if m["role"] == "assistant")
                together["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": step.action.content or None, "tool_calls": [call]})
    functions = [{"type": "function", "function": tool.model_dump()} for tool in episode.tools]
    names = {name: value for name, value in (("id", episode.id), ("group", episode.group)) if value}
    return {**names, "messages": messages, "tools": functions}
