"""How actions are spelled, and a model's text back to the action that it stands for.

    read_words('read cat {"file_name":"a"}', (" ", " ", ""))    # file_read: cat
    read_line('Action: file_read\\ncat {"file_name":"a"}')       # the same
    read_reply("Shall I delete it?")                             # ask_clarification

One reader for each form of `render.py`. None of them raises, whatever the text is.
"""

import json
import re
from typing import Any

from specacts.core.episodes import Action
from specacts.core.files import compact_json, reject_constant
from specacts.core.words import SPEAKING, ActionType, as_action_type

VERBS: dict[ActionType, str] = {
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
SPOKEN: dict[ActionType, str] = {
    "ask_clarification": "Could you tell me what is missing?",
    "final_answer": "Done.",
    "BLOCKED": "I cannot do that with the tools I have.",
}
"""What a speaking action says in the forms without words, where its trace holds no text."""
UNNAMED = ""
"""The tool of a reply that says its action's type and holds no readable call: right in type at most."""


def dump_arguments(arguments: dict[str, Any]) -> str:
    """Arguments as models have to write them: JSON, in their own order, no spaces to spare."""
    return compact_json(arguments)


def read_words(text: str, around: tuple[str, str, str]) -> Action | None:
    """The action that a text of the form `words` stands for; None for anything malformed.

    around: what stands before, between and after a call's name and arguments.
    """
    verb = re.match(r"[a-z]+", text)
    if verb is None or verb.group() not in TYPES:
        return None
    action_type, rest = TYPES[verb.group()], text[verb.end() :]
    if action_type in SPEAKING:
        return Action(type=action_type, content=rest[1:]) if rest[:1] in ("", " ") else None
    before, between, after = around
    if not (rest.startswith(before) and rest.endswith(after)):
        return None
    name, found, arguments = rest[len(before) : len(rest) - len(after)].partition(between)
    return _call(action_type, f'"{name}"', arguments) if found and name else None


def read_line(text: str) -> Action | None:
    """The action that a text of the form `lines` stands for; None for anything malformed.

    >>> read_line('Action: retrieval\\nget_order {"order": 7}').arguments
    {'order': 7}
    """
    found = re.fullmatch(r"Action: (\w+)(?:\n(.*))?", text, re.DOTALL)
    action_type = as_action_type(found.group(1)) if found else None
    if found is None or action_type is None:
        return None
    rest = found.group(2) or ""
    if action_type in SPEAKING:
        return _speech(action_type, rest)
    name, _, arguments = rest.partition(" ")
    return _call(action_type, f'"{name}"', arguments) if name else None


def read_reply(text: str) -> Action | None:
    """The action that a chat model's free reply stands for: whatever can be read out of it, None where it is empty.

    An `Action:` line says the type, even where its call is unreadable (then the tool is `UNNAMED`). Without such a
    line a call, a JSON object with a name, is a `tool_call`; text that ends in a question asks; other text answers.
    """
    text = text.strip()
    line = re.search(r"Action:\s*(\w+)[^\n]*\n?(.*)", text, re.DOTALL)
    action_type = as_action_type(line.group(1)) if line else None
    if line is not None and action_type is not None:
        rest = line.group(2)
        if action_type in SPEAKING:
            return _speech(action_type, rest)
        spelled = read_line(f"Action: {action_type}\n{rest}")
        return spelled or _call_inside(action_type, rest) or Action(type=action_type, tool=UNNAMED)
    if call := _call_inside("tool_call", text):
        return call
    return Action(type="ask_clarification" if text.endswith("?") else "final_answer", content=text) if text else None


def _speech(action_type: ActionType, text: str) -> Action:
    return Action(type=action_type, content="" if text == SPOKEN[action_type] else text)


def _call_inside(action_type: ActionType, text: str) -> Action | None:
    """The first JSON object in the text that names a tool, as a call of it."""
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            value, _ = json.JSONDecoder(parse_constant=reject_constant).raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("name"), str) and value["name"]:
            return _call(action_type, json.dumps(value["name"]), json.dumps(value.get("arguments", {})))
    return None


def _call(action_type: ActionType, name: str, arguments: str) -> Action | None:
    """A call from the JSON of its tool's name and arguments; None where a file could not hold them or they are none."""
    try:
        values = json.loads(arguments, parse_constant=reject_constant)
        tool = json.loads(name)
        (tool + dump_arguments(values)).encode()  # 1e999 and half a surrogate pair are JSON that no file can hold
    except (ValueError, RecursionError):
        return None
    return Action(type=action_type, tool=tool, arguments=values) if isinstance(values, dict) else None
