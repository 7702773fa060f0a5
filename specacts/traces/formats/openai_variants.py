"""The OpenAI chat shape as people really log it, made the one that `openai_chat.py` reads strictly.

    to_chat(value, noted)       # the very same object where there is nothing to do

Other names of roles (`human`, `ai`, `Assistant`) and of fields (`toolCallId`, `tool_name`, `text`); the older
`functions`, `function_call` and role `function`; thinking before the answer (`<think>`, thinking parts); calls and
results as text (`hermes.py`); transcripts of audio; calls of custom tools, which are context; and exports of tables, in
which every object has every other's keys with null. Calls in a field, or as text in a form, that is not known here are
a problem, never left out. A message stays at its number, so that a problem is told with the field that the user sees.
"""

import re
from collections import Counter
from typing import Any

from specacts.traces.formats import hermes
from specacts.traces.formats.openai_chat import Invalid, Problem
from specacts.traces.formats.shape import (
    CALL_FIELDS,
    ROLES,
    THINKING,
    TOOLS,
    Chat,
    call,
    fields,
    from_text,
    objects,
    result,
    said,
)
from specacts.traces.stream import without_fillers

NAME = "OpenAI chat"
THOUGHT = re.compile(r"\s*(?:<think(?:ing)?>)?(?:(?!<think(?:ing)?>).)*?</think(?:ing)?>\s*", re.DOTALL)
UNCLOSED = re.compile(r"\s*<think(?:ing)?>", re.DOTALL)
UNREAD_CALLS = re.compile(
    r"<｜tool▁calls?▁begin｜>|<\|tool_calls?_section_begin\|>|<\|channel\|>[^<]*\bto=functions\.|<\|python_tag\|>"
    r"|<(?:\w+:)?(?:function_calls|tool_call)>\s*<invoke name=|\A\s*(?:\[TOOL_CALLS\]|<\|tool_call\|>|<function=\w+>)"
)
"""How calls begin that are written as text in the way of models whose text is not read here."""
STRICT = ("user", "tool", "system", "developer")
CALLS, RESULTS = ("tool_call", "function_call"), ("tool_response", "tool_result", "observation")
"""Roles of one call and one result each, the call as JSON text."""
RESULT_IDS = ("tool_call_id", "tool_use_id", "call_id", "toolCallId")
TEXT_NAMES = ("text", "message", "value")
OTHER_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "tool": {
        "tool_call_id": RESULT_IDS[1:],
        "name": ("tool_name", "toolName"),
        "content": ("output", "result", *TEXT_NAMES),
        "is_error": ("isError",),
    },
    "assistant": {"tool_calls": ("toolCalls",), "content": TEXT_NAMES},
    **{role: {"content": TEXT_NAMES} for role in ("user", "system", "developer")},
}
"""By role: the fields of a message, and under what other names they stand where there is none of that name."""
USUAL_ANSWER = frozenset(("role", "content", "tool_calls", "function_call", "refusal"))
UNUSUAL = frozenset(
    ("additional_kwargs", *(name for names in OTHER_NAMES.values() for others in names.values() for name in others))
)


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    given = from_text(value.get("messages"))
    if not isinstance(given, list):
        return value
    if given is value["messages"] and isinstance(value.get("tools"), list) and all(map(_is_usual, given)):
        return value
    if any(_is_filled(message) for message in given):
        value = without_fillers(value)
        given = from_text(value["messages"])
    messages: list[Any] = []
    for number, message in enumerate(given):
        try:
            made = _usual(message, noted) if isinstance(message, dict) else [message]
        except ValueError as error:
            raise Invalid([Problem(f"messages.{number}.content", str(error))]) from error
        if unread := next((name for one in made for name in _unread_calls(one)), None):
            what = "the agent's calls in a field that is not known here: write them as `tool_calls`"
            raise Invalid([Problem(f"messages.{number}.{unread}", what)])
        messages += made
    changed: Chat = {}
    if messages != given or given is not value["messages"]:
        changed["messages"] = messages
    offered = next((value[name] for name in TOOLS if value.get(name) is not None), None)
    if offered is None:
        offered = _from_prompt(messages, changed)
    if offered is not None and offered is not value.get("tools"):
        changed["tools"] = offered
    return {**value, **changed} if changed else value


def _is_usual(message: Any) -> bool:
    """Whether a message certainly is as the strict reader takes it, at a glance: most are."""
    if not isinstance(message, dict):
        return False
    role, content = message.get("role"), message.get("content")
    if not UNUSUAL.isdisjoint(message):
        return False
    if content.__class__ is not str:
        if content is not None or role != "assistant" or "audio" in message:
            return False
    elif "<" in content or (role == "assistant" and content.lstrip().startswith("[TOOL")):
        return False
    if role != "assistant":
        return role in STRICT and "tool_calls" not in message and "tool_responses" not in message
    if message.get("function_call"):
        return False
    calls = message.get("tool_calls")
    if not calls and not USUAL_ANSWER.issuperset(message) and any(map(CALL_FIELDS.fullmatch, message)):
        return False
    return calls is None or (isinstance(calls, list) and all(map(_is_strict_call, calls)))


def _is_filled(message: Any) -> bool:
    """Only a table gives a user's message a `tool_calls` of null."""
    return isinstance(message, dict) and message.get("role") in STRICT and message.get("tool_calls", "") is None


def _from_prompt(messages: list[Any], changed: Chat) -> list[Any] | None:
    """Definitions of tools that stand in the system prompt."""
    first = messages[0] if messages and isinstance(messages[0], dict) else {}
    text = first.get("content")
    if not isinstance(text, str) or "</tools>" not in text or first.get("role") not in ("system", "developer"):
        return None
    found = hermes.tools_in(text)
    if found:
        changed["messages"] = [{**first, "content": hermes.without_tools(text)}, *messages[1:]]
    return found


def _usual(message: dict[str, Any], noted: Counter[str]) -> list[Any]:
    """One message as the strict reader takes it: itself, if there is nothing to do."""
    message = _renamed(message)
    role, content = message.get("role"), message.get("content")
    if role == "tool" and (bundled := _bundled(message)):
        return bundled
    if role in STRICT:
        if isinstance(content, list) and any(map(_has_value, content)):
            return [_of_values(message)] if role != "tool" or _is_text_alone(content) else [message]
        is_answer = isinstance(content, str) and "</tool_response>" in content and role in ("user", "tool")
        return hermes.responses(message) if is_answer and hermes.has_responses(message) else [message]
    if role != "assistant":
        return _other_role(message, noted)
    if isinstance(content, str):
        if "</think" in content or content.lstrip().startswith("<think"):
            message = {**message, "content": without_thought(content)}
        if not message.get("tool_calls") and UNREAD_CALLS.search(message["content"]):
            raise ValueError("a call as text in a form that is not read here: write it as one of `tool_calls`")
        if hermes.has_calls(message):
            message = hermes.with_calls(message)
            noted["calls that stood in the text"] += len(message["tool_calls"])
    elif isinstance(content, list):
        if any(map(_has_value, content)):
            message = _of_values(message)
            content = message["content"]
        if any(isinstance(part, dict) and part.get("type") in THINKING for part in content):
            kept = [part for part in content if not (isinstance(part, dict) and part.get("type") in THINKING)]
            message = {**message, "content": kept}
    elif content is None and isinstance(fields(message.get("audio")).get("transcript"), str):
        message = {**message, "content": message["audio"]["transcript"]}
    calls = message.get("tool_calls")
    if message.get("function_call") and not calls:
        message = {**message, "tool_calls": [_legacy(message["function_call"])]}
    elif isinstance(calls, list) and not all(map(_is_strict_call, calls)):
        message = {**message, "tool_calls": [_call(one, noted) for one in calls]}
    return [message]


def _renamed(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its fields under their usual names; itself where they are, or where it has no known role."""
    if UNUSUAL.isdisjoint(message):
        return message
    more = fields(message.get("additional_kwargs"))  # LangChain's and LlamaIndex's: what one provider alone has
    found: Chat = {}
    for name, others in OTHER_NAMES.get(str(message.get("role")), {}).items():
        values = (message.get(other) for other in others)
        value = more.get(name) or next((one for one in values if one is not None), None)
        if value is not None and message.get(name) in (None, []):
            found[name] = value
    if message.get("role") == "assistant" and not (message.get("tool_calls") or message.get("function_call")):
        if more.get("function_call") and "tool_calls" not in found:
            found["function_call"] = more["function_call"]
    return {**message, **found} if found else message


def _unread_calls(message: Any) -> list[str]:
    """Fields of an answer without calls that hold some all the same."""
    if not isinstance(message, dict) or message.get("role") != "assistant" or message.get("tool_calls"):
        return []
    held = ((name, [value] if isinstance(value, dict) and value else objects(value)) for name, value in message.items())
    return [name for name, calls in held if calls and CALL_FIELDS.fullmatch(name)]


def _bundled(message: dict[str, Any]) -> list[Chat]:
    """Each of several results that stand in one message, under the id of its call."""
    for name in ("tool_responses", "content"):
        parts = objects(message.get(name)) if isinstance(message.get(name), list) else []
        keys = [next((part[key] for key in RESULT_IDS if part.get(key)), None) for part in parts]
        if parts and all(keys):
            contents = [part.get("content", part.get("output", part.get("result"))) for part in parts]
            failed = [part.get("is_error", bool(part.get("error")) or None) for part in parts]
            at = {key: message[key] for key in ("timestamp",) if key in message}
            return [{**result(*one), **at} for one in zip(keys, contents, failed, strict=True)]
    return []


def _is_strict_call(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("function"), dict) and one.get("type") != "custom"


def _has_value(part: Any) -> bool:
    return isinstance(part, dict) and "text" not in part and ("value" in part or isinstance(part.get("content"), str))


def _of_values(message: dict[str, Any]) -> Chat:
    """A message whose parts hold their content under another name, such as `value`, and calls as JSON text."""
    content: list[Any] = []
    calls = list(message.get("tool_calls") or [])
    for part in message["content"]:
        kind, value = (part.get("type"), part.get("value", part.get("content"))) if isinstance(part, dict) else ("", "")
        if kind == "tool_call" and "name" in fields(value):
            calls.append(call(None, fields(value)["name"], fields(value).get("arguments")))
        else:
            content.append({"type": "text", "text": value} if kind == "text" and _has_value(part) else part)
    made = {**message, "content": content, **({"tool_calls": calls} if calls else {})}
    return {**made, "weight": made.get("loss_weight", made.get("weight"))}


def _is_text_alone(content: list[Any]) -> bool:
    return all(isinstance(part, dict) and part.get("type") == "text" for part in content)


def _legacy(given: Any) -> Any:
    return {"function": given} if isinstance(given, dict) else given


def _call(one: Any, noted: Counter[str]) -> Any:
    """A call in another shape: its name under `function` or `name`, its arguments beside it.

    A call of a custom tool has text in the place of arguments: context, since models here propose arguments.
    """
    if not isinstance(one, dict) or isinstance(one.get("function"), dict):
        return one
    if one.get("type") != "custom":
        name = next((one[key] for key in ("function", "name", "toolName", "tool_name") if key in one), None)
        key = next((one[key] for key in ("id", *RESULT_IDS) if one.get(key) is not None), None)
        given = next((one[key] for key in ("arguments", "args", "input", "parameters") if key in one), None)
        more = {key: one[key] for key in ("action_type", "weight") if one.get(key) is not None}
        return call(key, name, given, **more) if isinstance(name, str) else one
    noted["calls of custom tools are context"] += 1
    custom = fields(one.get("custom"))
    return call(one.get("id"), custom.get("name"), {"input": custom.get("input")}, weight=0)


def without_thought(text: str) -> str:
    """What follows the thinking at the beginning of an answer."""
    found = THOUGHT.match(text)
    while found:
        text = text[found.end() :]
        found = THOUGHT.match(text)
    return "" if UNCLOSED.match(text) else text


def _other_role(message: dict[str, Any], noted: Counter[str]) -> list[Any]:
    role = message.get("role")
    if not isinstance(role, str):
        return [message]
    if role == "exit":  # mini-swe-agent's
        noted["notes on how a run ended left out"] += 1
        return []
    if usual := ROLES.get(role.lower()):
        return _usual({**message, "role": usual}, noted)
    if role in CALLS:
        found = from_text(message.get("content"))
        made = [one for one in objects(found if isinstance(found, list) else [found]) if "name" in one]
        if made:
            return [said(None, [call(one.get("id"), one["name"], one.get("arguments")) for one in made])]
    if role in RESULTS:
        return [{**message, "role": "tool"}]
    return [message]
