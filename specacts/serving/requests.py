"""Requests of agents as the decisions that models were trained on, or why only upstream may answer them.

    asked = Reading(types, "own").read(body, place)      # raises `NotOurs` with the reason in a word
    asked.episode                                               # what the cheap model is asked about
    reading.first_action(asked, place, message)                 # what an answer of upstream's would have done

A request for a chat completion is read by the reader of training (traces/formats/openai_chat.py), with the action that
is due behind it. What that reader, or the API, would read otherwise than as a conversation of texts and calls of tools
goes upstream: images, several answers, formats of answers, and every field that is not known here not to matter.

Two things are put back that a request does not say. Which type the models meant, where an action was theirs: of a call
its id tells (`call_repair_5f0c…`), of words the gateway remembers it (conversations.py). And of BFCL's tasks, which
withhold tools until a later turn, when a tool came.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Any, Literal, NamedTuple

from specacts.core.episodes import Act, Action, Episode, Tool, User
from specacts.core.words import OWN, SPEAKING, ActionType, as_action_type
from specacts.serving.conversations import Place
from specacts.traces.formats.openai_chat import Invalid, Toolsets, clean, read_conversation
from specacts.traces.formats.openai_variants import to_chat
from specacts.traces.ingest import shortened
from specacts.traces.tool_types import TypeMap
from specacts.transcripts.parse import SPOKEN

ANY = frozenset(
    "model messages tools tool_choice stream stream_options temperature top_p top_k min_p seed user metadata "
    "service_tier safety_identifier prompt_cache_key prompt_cache_retention reasoning_effort reasoning verbosity "
    "presence_penalty frequency_penalty repetition_penalty parallel_tool_calls max_tokens "
    "max_completion_tokens".split()
)
"""Fields that change nothing of what is asked for, whatever they hold, or that are looked at elsewhere."""
MOST_TOKENS = ("max_completion_tokens", "max_tokens")
"""Whole numbers that an answer may not exceed; of two the smaller one counts."""
PLAIN: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "stop": ([], ""),
    "logit_bias": ({},),
    "store": (False,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "prediction": (),
    "audio": (),
    "web_search_options": (),
}
"""Fields that ask for more than an action, unless they hold one of these, or null."""
ROLES = ("system", "developer", "user", "assistant", "tool")
PARTS = {"image_url": "images", "input_image": "images", "input_audio": "audio", "file": "files", "input_file": "files"}
"""Why only upstream reads a part of a message; others have the reason `content`."""
TEXTS = ("text", "input_text", "output_text", "refusal")
TYPED = re.compile(r"call_([A-Za-z_]+)_[0-9a-f]{16}")
"""The id of a call that a model here made: its type stands in it."""
GAPS = {
    "calls without a result, which are context": "calls_pending",
    "tools that run elsewhere left out": "other_tools",
    "results of no call left out": "unreadable",
}
"""What the reader says that it put up with in a log, and why a request has to be better."""
DUE = {"role": "assistant", "content": "", "action_type": "final_answer"}
"""Stands where the action is due; nothing of it is read."""


Arranged = Callable[[Iterable[Tool]], tuple[Tool, ...]]


class NotOurs(Exception):
    """Only upstream may answer; `reason` says why, in a word that metrics can count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Choice(NamedTuple):
    """What `tool_choice` allows: `auto`, `none`, or `required`, of the named tools if it names any."""

    mode: Literal["auto", "none", "required"] = "auto"
    tools: frozenset[str] | None = None


class Asked(NamedTuple):
    """A request that is understood.

    episode: as far as it has got; the action that is due follows its last step. chat: as it was read, without that
    action. most_tokens: of an answer, if the request says.
    """

    episode: Episode
    chat: dict[str, Any]
    choice: Choice
    most_tokens: int | None


class Reading:
    """How the requests for a bundle are read.

    source: `own`, or whose tasks the models learnt. arranged: brings tools into the order in which listings want them.
    longest: characters of tool and arguments beyond which calls are shortened, as in training; None: none is.
    """

    def __init__(self, types: TypeMap, source: str, arranged: Arranged = tuple, longest: int | None = None) -> None:
        self.types, self.source, self.arranged, self.longest = types, source, arranged, longest
        self.toolsets: Toolsets = {}

    def read(self, body: Mapping[str, Any], place: Place) -> Asked:
        """The decision that a request asks for. Raises `NotOurs`. body: as `decode` (openai_chat.py) reads it."""
        if reason := unusual(body):
            raise NotOurs(reason)
        chat: dict[str, Any] = {"messages": labelled(body["messages"], place.said), "tools": body.get("tools") or []}
        episode = self._episode(chat, DUE, place)
        asked = episode.model_copy(update={"steps": episode.steps[:-1]})
        return Asked(asked, chat, choice(body.get("tool_choice")), _most_tokens(body))

    def first_action(self, asked: Asked, place: Place, message: Mapping[str, Any]) -> Action | None:
        """The first action of an answer to the request; None where it is none that anybody could learn."""
        number = len(asked.episode.steps)
        try:
            episode = self._episode(asked.chat, clean(labelled([message])[0]), place)
        except (NotOurs, Invalid):
            return None
        act = episode.steps[number] if number < len(episode.steps) else None
        return act.action if isinstance(act, Act) and act.supervised else None

    def _episode(self, chat: dict[str, Any], answer: Mapping[str, Any], place: Place) -> Episode:
        """The conversation with an answer behind it. Raises `NotOurs`."""
        try:
            noted: Counter[str] = Counter()
            value = to_chat({**chat, "messages": [*chat["messages"], answer]}, noted)
            found = read_conversation(value, self.types, known=self.toolsets)
        except Invalid as error:
            raise NotOurs("unreadable") from error
        if value["tools"] is not chat["tools"] and value["tools"] != chat["tools"]:
            raise NotOurs("tools_in_text")
        for what, reason in GAPS.items():
            if found.normalised[what]:
                raise NotOurs(reason)
        return self._as_learnt(found.episode, place)

    def _as_learnt(self, episode: Episode, place: Place) -> Episode:
        """The episode as the models know such: tools in their order, long calls shortened."""
        tools = self.arranged(episode.tools)
        steps = [self._shortened(step) if isinstance(step, Act) else step for step in episode.steps]
        changed: dict[str, Any] = {"id": place.name, "source": self.source, "tools": tools, "steps": tuple(steps)}
        if self.source != OWN:
            changed |= _as_tasks(steps, [tool.name for tool in tools], place)
        return episode.model_copy(update=changed)

    def _shortened(self, act: Act) -> Act:
        if self.longest is None or act.action.tool is None:
            return act
        action = shortened(act.action, self.longest)
        return act if action is act.action else act.model_copy(update={"action": action or act.action})


def _as_tasks(steps: list[Any], names: list[str], place: Place) -> dict[str, Any]:
    """Fields of an episode as stage `live` has them: each action is a decision, and tools come when they came."""
    came = _arrivals(names, place)
    users = [n for n, step in enumerate(steps) if isinstance(step, User)]
    steps = [
        step.model_copy(update={"supervised": True, "parallel": False}) if isinstance(step, Act) else step
        for step in steps
    ]
    if len(users) != place.turns:
        came = {}
    for turn, new in came.items():
        steps[users[turn]] = steps[users[turn]].model_copy(update={"new_tools": new})
    return {"steps": tuple(steps), "withheld": tuple(name for new in came.values() for name in new)}


def _arrivals(names: list[str], place: Place) -> dict[int, tuple[str, ...]]:
    """By the number of a user's message, the tools that were not there before it; of those that are there now."""
    found: dict[int, tuple[str, ...]] = {}
    if 0 not in place.offered:
        return found
    there = set(place.offered[0])
    for turn in range(1, place.turns):
        now = place.offered.get(turn, names if turn == place.turns - 1 else ())
        new = tuple(name for name in names if name in now and name not in there)
        if new:
            found[turn] = new
            there.update(new)
    return found


# -- what is understood ---------------------------------------------------------------------------------------


def unusual(body: Mapping[str, Any]) -> str | None:
    """Why a request asks for more, or for something else, than an action; None where it does not."""
    for name, value in body.items():
        if name in ANY or value is None or any(value == plain and type(value) is type(plain) for plain in _plain(name)):
            continue
        return name if name in PLAIN else "unknown_field"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        return "messages"
    if messages[-1].get("role") == "assistant":
        return "prefill"
    if _is_custom_choice(body.get("tool_choice")):
        return "tool_choice"
    if not all(type(body.get(name)) in (int, NoneType) for name in MOST_TOKENS):
        return "max_tokens"
    return next((reason for message in messages if (reason := _unusual_message(message))), None)


def _plain(name: str) -> tuple[Any, ...]:
    return PLAIN.get(name, ())


def _unusual_message(message: Mapping[str, Any]) -> str | None:
    if message.get("role") not in ROLES:
        return "functions" if message.get("role") == "function" else "role"
    for name, reason in (("audio", "audio"), ("function_call", "functions")):
        if message.get(name) is not None:
            return reason
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, list | tuple) or any(not isinstance(call, dict) for call in calls):
        return "unreadable"
    if any(call.get("type", "function") != "function" for call in calls):
        return "custom_tools"
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in TEXTS:
            return PARTS.get(str(kind), "content")
    return None if content is None or isinstance(content, str | list) else "content"


def _is_custom_choice(value: Any) -> bool:
    return value is not None and _choice(value) is None


def choice(value: Any) -> Choice:
    """What a request's `tool_choice` allows; it has been looked at before."""
    return (_choice(value) if value is not None else None) or Choice()


def _choice(value: Any) -> Choice | None:
    if value in ("auto", "none", "required"):
        return Choice(value)
    if not isinstance(value, dict):
        return None
    if value.get("type") == "function" and isinstance(name := _name_of(value), str):
        return Choice("required", frozenset((name,)))
    allowed = value.get("allowed_tools", value)
    if value.get("type") != "allowed_tools" or not isinstance(allowed, dict):
        return None
    mode, tools = allowed.get("mode"), allowed.get("tools")
    names = [_name_of(tool) for tool in tools] if isinstance(tools, list) else [None]
    if mode not in ("auto", "required") or not all(isinstance(name, str) for name in names):
        return None
    return Choice(mode, frozenset(map(str, names)))


def _name_of(value: Any) -> Any:
    function = value.get("function", value) if isinstance(value, dict) else None
    return function.get("name") if isinstance(function, dict) else None


def _most_tokens(body: Mapping[str, Any]) -> int | None:
    return min((body[name] for name in MOST_TOKENS if body.get(name) is not None), default=None)


# -- types ----------------------------------------------------------------------------------------------------


def labelled(messages: list[Any], said: Mapping[int, ActionType] | None = None) -> list[Any]:
    """The messages with the types that their actions were meant to have, where that is known.

    said: types of what the agent said, by the number of the message.
    """
    kinds = said or {}
    return [_labelled(one, kinds.get(n)) if one.get("role") == "assistant" else one for n, one in enumerate(messages)]


def _labelled(message: dict[str, Any], kind: ActionType | None) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if calls:
        return {**message, "tool_calls": [_labelled_call(call) for call in calls]}
    spoken = SAID.get(message["content"]) if isinstance(message.get("content"), str) else None
    if spoken:  # what stands for no words is none
        return {**message, "content": "", "action_type": spoken}
    return {**message, "action_type": kind} if kind and not message.get("refusal") else message


SAID: dict[str, ActionType] = {text: kind for kind, text in SPOKEN.items()}


def _labelled_call(call: dict[str, Any]) -> dict[str, Any]:
    found = TYPED.fullmatch(call["id"]) if isinstance(call.get("id"), str) else None
    kind = as_action_type(found.group(1)) if found else None
    return {**call, "action_type": kind} if kind and kind not in SPEAKING else call
