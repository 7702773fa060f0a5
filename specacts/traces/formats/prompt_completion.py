"""Pairs of `prompt` and `completion` as TRL takes them, both lists of messages."""

from collections import Counter
from typing import Any

from specacts.traces.formats.shape import Chat, is_message, items, kept

NAME = "prompt and completion"


def recognises(value: dict[str, Any]) -> bool:
    prompt, completion = items(value.get("prompt")), items(value.get("completion"))
    return bool(prompt) and bool(completion) and all(map(is_message, (*prompt, *completion)))


def to_chat(value: dict[str, Any], noted: Counter[str]) -> Chat:
    return kept(value, messages=[*items(value["prompt"]), *items(value["completion"])])
