"""A model's text back to the action it stands for."""

import json
import re

from specacts.core.episodes import Action
from specacts.core.files import compact_json, reject_constant
from specacts.core.words import ACTION_TYPES, SPEAKING

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
SPOKEN = {
    "ask_clarification": "Could you tell me what is missing?",
    "final_answer": "Done.",
    "BLOCKED": "I cannot do that with the tools I have.",
}
"""What a speaking action says in the forms without words, where its trace holds no text."""
UNNAMED = ""
"""The tool of a reply that says its action's type and holds no readable call: right in type at most."""


def read_line(text: str) -> Action | None:
    """The action that a reply of the form `lines` stands for, its call being well-formed; None for anything else."""
    found = re.fullmatch(r"Action: (\w+)(?:\n(.*))?", text, re.DOTALL)
    if not found or found.group(1) not in ACTION_TYPES:
        return None
    action_type, rest = found.group(1), found.group(2) or ""
    if action_type in SPEAKING:
        return Action(type=action_type, content="" if rest == SPOKEN[action_type] else rest)
    name, _, arguments = rest.partition(" ")
    call = _read_call(f'"{name}"', arguments) if name else None
    return Action(type=action_type, tool=call[0], arguments=call[1]) if call else None


def read_reply(text: str) -> Action | None:
    """The action that a chat model's free reply stands for: whatever can be read out of it, None where it is empty.

    An `Action:` line says the type, wherever its call is unreadable too (then the tool is `UNNAMED`). Without such a
    line a call, a JSON object with a name, is a `tool_call`; text that ends in a question asks; other text answers.
    """
    text = text.strip()
    line = re.search(r"Action:\s*(\w+)[^\n]*\n?(.*)", text, re.DOTALL)
    if line and line.group(1) in ACTION_TYPES:
        action_type, rest = line.group(1), line.group(2)
        if action_type in SPEAKING:
            return Action(type=action_type, content="" if rest == SPOKEN[action_type] else rest)
        spelled = read_line(f"Action: {action_type}\n{rest}")
        return spelled or _natural_call(rest, action_type) or Action(type=action_type, tool=UNNAMED)
    if call := _natural_call(text, "tool_call"):
        return call
    return Action(type="ask_clarification" if text.endswith("?") else "final_answer", content=text) if text else None


def _natural_call(text: str, action_type: str) -> Action | None:
    """The first JSON object in the text that names a tool, as a call of it."""
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            value, _ = json.JSONDecoder(parse_constant=reject_constant).raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("name"), str) and value["name"]:
            arguments = value.get("arguments", {})
            call = _read_call(json.dumps(value["name"]), json.dumps(arguments))
            return Action(type=action_type, tool=call[0], arguments=call[1]) if call else None
    return None


def _read_call(name: str, arguments: str) -> tuple[str, dict] | None:
    """A tool's name and arguments from their JSON; None where a file could not hold them or they are no call."""
    try:
        values = json.loads(arguments, parse_constant=reject_constant)
        tool = json.loads(name)
        (tool + dump_arguments(values)).encode()  # 1e999 and half a surrogate pair are JSON that no file can hold
    except (ValueError, RecursionError):
        return None
    return (tool, values) if isinstance(values, dict) else None


def dump_arguments(arguments: dict) -> str:
    """Arguments as models have to write them: JSON, in their own order, no spaces to spare."""
    return compact_json(arguments)
