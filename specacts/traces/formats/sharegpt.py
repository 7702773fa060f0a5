"""ShareGPT: `conversations` of `from` and `value`, with `function_call` and `observation` turns.

The value of a `function_call` is JSON text of one call, or of a list of calls that were decided together. Calls that a
`gpt` turn writes as `<tool_call>` text are read by `hermes.py` afterwards.
"""

from collections import Counter
from typing import Any

from specacts.traces.formats.shape import Chat, call, fields, from_text, items, kept, result, said

NAME = "ShareGPT"
CALLS = ("function_call", "tool_call", "function-call")
RESULTS = ("observation", "tool", "function_response", "tool_response", "function", "ipython")
SPEAKERS = {
    **{name: "user" for name in ("human", "user")},
    **{name: "assistant" for name in ("gpt", "assistant", "chatgpt", "bing", "bard", "model", "ai")},
    "system": "system",
}


def recognises(value: dict[str, Any]) -> bool:
    name = _name(value)
    return name is not None and any("from" in turn or "role" in turn for turn in _turns(value[name])[:3])


def _name(value: dict[str, Any]) -> str | None:
    for name in ("conversations", "conversation", "messages"):
        turns = _turns(value.get(name))
        if turns and (name != "messages" or ("from" in turns[0] and "value" in turns[0])):
            return name
    return None


def _turns(value: Any) -> list[dict[str, Any]]:
    found = items(value)
    return found if all(isinstance(turn, dict) for turn in found) else []


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    turns = _turns(value[_name(value) or "conversations"])
    messages: list[Any] = []
    if isinstance(value.get("system"), str) and value["system"]:
        messages.append({"role": "system", "content": value["system"]})
    messages += [_message(turn) for turn in turns]
    return kept(value, messages=messages)


def _message(turn: dict[str, Any]) -> Any:
    speaker, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
    more = {name: turn[name] for name in ("weight", "action_type") if turn.get(name) is not None}
    if "from" not in turn:
        return turn
    if speaker in CALLS:
        found = from_text(text)
        made = [fields(one) for one in (found if isinstance(found, list) else [found])]
        calls = [call(one.get("id"), one.get("name"), one.get("arguments", one.get("parameters"))) for one in made]
        return said(None, calls, **more)
    if speaker in RESULTS:
        return result(None, text, name=turn.get("name"))
    return {"role": SPEAKERS.get(str(speaker).lower(), speaker), "content": text, **more}
