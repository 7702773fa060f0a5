"""Plausible wrong variants of a right call, from which repairs are learnt.

    for kind, wrong in wrong_variants(call, tool, rng): ...

Only proposals: whoever uses one executes it and keeps it if the simulator answers with a real error.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from specacts.core.episodes import Tool


class Call(NamedTuple):
    """A tool call before it is labelled with an action type."""

    tool: str
    arguments: dict[str, Any]


class Fault(NamedTuple):
    """A wrong call and what is wrong with it: one of FAULT_KINDS."""

    kind: str
    call: Call


def wrong_variants(call: Call, tool: Tool, rng: random.Random) -> Iterator[Fault]:
    """Every kind of fault that `call` allows, in random order, none of them equal to `call`."""
    kinds = rng.sample(sorted(FAULT_KINDS), len(FAULT_KINDS))
    if rng.random() < 0.5:  # most wrong values meet no error and the next kind is used: let more of them be tried
        kinds.sort(key=lambda kind: kind != "wrong_value")
    for kind in kinds:
        for wrong in FAULT_KINDS[kind](call, tool, rng):
            if wrong != call:
                yield Fault(kind, wrong)


def wrong_value(call: Call, tool: Tool, rng: random.Random) -> Iterator[Call]:
    """Another value of the same kind in one argument: a misspelt name, an identifier that does not exist."""
    for name in rng.sample(sorted(call.arguments), len(call.arguments)):
        for value in other_values(call.arguments[name], rng):
            yield Call(call.tool, {**call.arguments, name: value})


def missing_argument(call: Call, tool: Tool, rng: random.Random) -> Iterator[Call]:
    """The call without one of its required arguments."""
    required = sorted(set(tool.parameters.get("required", ())) & call.arguments.keys())
    for name in rng.sample(required, len(required)):
        yield Call(call.tool, {key: value for key, value in call.arguments.items() if key != name})


def wrong_argument(call: Call, tool: Tool, rng: random.Random) -> Iterator[Call]:
    """One argument under a misspelt name."""
    for name in rng.sample(sorted(call.arguments), len(call.arguments)):
        wrong = misspelt(name, rng)
        if wrong not in call.arguments:
            yield Call(call.tool, {wrong if key == name else key: value for key, value in call.arguments.items()})


def unknown_tool(call: Call, tool: Tool, rng: random.Random) -> Iterator[Call]:
    """The call to a tool that does not exist: a misspelt name."""
    yield Call(misspelt(call.tool, rng), call.arguments)


FAULT_KINDS: dict[str, Callable[[Call, Tool, random.Random], Iterator[Call]]] = {
    "missing_argument": missing_argument,
    "unknown_tool": unknown_tool,
    "wrong_argument": wrong_argument,
    "wrong_value": wrong_value,
}


def other_values(value: Any, rng: random.Random) -> list[Any]:
    """Other values of the same kind, the more likely mistakes first; none for booleans, lists and objects."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return rng.sample([-value, value * 10 + rng.randint(1, 9)], 2)
    if isinstance(value, str) and value:
        return [misspelt(value, rng)]
    return []


def misspelt(text: str, rng: random.Random) -> str:
    """`text` with two neighbouring characters swapped or one left out; a digit is replaced by another one."""
    at = rng.randrange(len(text))
    if text[at].isdecimal():
        return text[:at] + str((int(text[at]) + rng.randint(1, 9)) % 10) + text[at + 1 :]
    if len(text) > 2 and at + 1 < len(text) and text[at] != text[at + 1] and rng.random() < 0.5:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :] if len(text) > 1 else text + text
