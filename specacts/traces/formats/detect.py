"""Which format an object is in, and the object in the OpenAI chat shape.

    found = as_chat(value)          # `Found`: the format's name, the chat; raises `Unsupported` or `Invalid`

A format may lead to another: the answer of a request and response is an Anthropic message, a ShareGPT turn holds
Hermes calls. Every object is looked at by itself, so that none is read in a format that it is not in.
"""

from collections import Counter
from types import ModuleType
from typing import Any, NamedTuple

from specacts.traces import timing
from specacts.traces.formats import (
    anthropic,
    atif,
    chains,
    claude_code,
    exchange,
    langchain,
    openai_variants,
    prompt_completion,
    responses,
    sharegpt,
    tau,
)
from specacts.traces.formats.openai_chat import Invalid, Problem
from specacts.traces.formats.shape import Chat, is_message, items
from specacts.traces.formats.unsupported import Unsupported, named, unknown

FORMATS: tuple[ModuleType, ...] = (
    claude_code,
    tau,
    atif,
    langchain,
    prompt_completion,
    exchange,
    responses,
    anthropic,
    sharegpt,
)
"""In the order in which they are asked. What none of them knows and has `messages` is OpenAI chat."""
PLAIN_ROLES = ("system", "developer", "user", "assistant", "tool")
PLAIN_PARTS = ("text", "image_url", "input_audio", "file")
TELLING = frozenset(
    "system task_id traj steps trajectory history events contents text type role source "
    "request request_body requestBody body input inputs params kwargs prompt choices "
    "response response_body responseBody output outputs completion result previous_response_id "
    "chosen rejected preferred_output query answers custom_id instruction instructions items "
    "conversations conversation attributes resourceSpans scopeSpans sessionId uuid".split()
)
"""Fields beside `messages` by which an object may be in another format."""
TELLING_MESSAGE = frozenset(("type", "parts", "blocks", "toolInvocations"))
"""The same of a message."""
DEEPEST = 4
"""Formats inside one another."""


class Found(NamedTuple):
    """A conversation in the OpenAI chat shape. format: what it was. noted: what was left out, or changed."""

    format: str
    chat: Chat
    noted: Counter[str]


def as_chat(value: Any) -> Found:
    """Raises `Unsupported` for what is known and not read, and `Invalid` with its problems."""
    noted: Counter[str] = Counter()
    if isinstance(value, list) and value and all(map(is_message, value)):
        value = {"messages": value}
    if isinstance(value, list) and any(isinstance(one, list | dict) for one in value):
        raise Unsupported(unknown(value))
    if not isinstance(value, dict):
        return Found("", value, noted)  # whose problem the strict reader tells
    if _is_plain(value):
        return Found(openai_variants.NAME, timing.timed(openai_variants.to_chat(value, noted), noted), noted)
    before = items(value.get(chains.BEFORE))
    if not before and (link := chains.link(value)) and link.previous:
        raise chains.CHAINED
    if before and chains.is_flat(value):
        value, before = {**value, "input": [*before, *chains.start(value)]}, []
    names: list[str] = []
    for _ in range(DEEPEST):
        if what := named(value):
            raise Unsupported(what)
        module = next((one for one in FORMATS if one.recognises(value)), None)
        if module is None:
            if "messages" not in value:
                raise Unsupported(unknown(value))
            break
        names.append(module.NAME)
        value = _converted(module, value, noted)
        if before and isinstance(value.get("input"), list):
            value, before = {**value, "input": [*before, *value["input"]]}, []
    chat = timing.timed(openai_variants.to_chat(value, noted), noted)
    if not names and "messages" in chat:
        names.append(openai_variants.NAME)
    return Found(" of ".join(names), chat, noted)


def _is_plain(value: dict[str, Any]) -> bool:
    """Whether an object can be nothing but OpenAI chat: most are, and need not be shown to every format."""
    messages = value.get("messages")
    return (
        isinstance(messages, list)
        and TELLING.isdisjoint(value)
        and all(
            isinstance(message, dict)
            and message.get("role") in PLAIN_ROLES
            and _is_text(message.get("content"))
            and TELLING_MESSAGE.isdisjoint(message)
            for message in messages
        )
    )


def _is_text(content: Any) -> bool:
    if content is None or isinstance(content, str):
        return True
    return isinstance(content, list) and all(isinstance(p, dict) and p.get("type") in PLAIN_PARTS for p in content)


def _converted(module: ModuleType, value: dict[str, Any], noted: Counter[str]) -> Chat:
    try:
        return module.to_chat(value, noted)
    except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
        # No log makes the reader fail, however broken: each format looks at its fields with care, this is the rest.
        raise Invalid([Problem("(line)", f"looks like {module.NAME}, and is broken ({error})")]) from error
