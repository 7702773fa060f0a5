"""What an action may be, byte by byte: one of nine words, a tool on offer, JSON that fits its parameters.

    grammar = Grammar.of(renderer, offered)
    state = grammar.after(grammar.start, b'read cat {"file')     # None: no action begins so
    grammar.ends(state), grammar.closing(state)                  # False, b'_name":""}'

For the form `words` between frames that a scale names (transcripts/render.py). It knows what JSON Schema says of names,
types, enumerations of texts, items and required properties, and lets through the rest; no key comes twice. Whatever it
lets end, `read_words` reads as an action.

A state is a stack of what is still open, so that going back costs nothing and states can be shared.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from specacts.core.episodes import Episode, Tool, User
from specacts.core.words import SPEAKING
from specacts.transcripts.parse import VERBS
from specacts.transcripts.render import Renderer, escaped

State = tuple[Any, ...]
"""The open parts, innermost first, each a tuple that begins with its kind. (): nothing is open, the action ends."""

DIGITS, HEX = frozenset(b"0123456789"), frozenset(b"0123456789abcdefABCDEF")
LITERALS = {"boolean": (b"true", b"false"), "null": (b"null",)}
KINDS = ("string", "number", "integer", "boolean", "null", "array", "object")
EXPONENT = 2
"""Most digits of a number's exponent: 1e999 is JSON that no file can hold."""


class Schema(NamedTuple):
    """What is known of a value. texts: the only ones, as JSON. properties: None: any; keys as JSON with their colon."""

    kinds: tuple[str, ...]
    texts: tuple[bytes, ...] = ()
    items: "Schema | None" = None
    properties: "tuple[tuple[bytes, Schema], ...] | None" = None
    required: frozenset[bytes] = frozenset()


ANY = Schema(KINDS)


def schema_of(found: Any) -> Schema:
    """As much of a JSON Schema as is enforced; what is not understood allows anything."""
    if not isinstance(found, Mapping):
        return ANY
    named = found.get("type")
    kinds = tuple(kind for kind in KINDS if kind in (named if isinstance(named, list) else [named]))
    choices = found.get("enum")
    if isinstance(choices, list) and choices and all(isinstance(one, str) for one in choices):
        return Schema(("string",), texts=tuple(_json(one) for one in choices))
    properties, required = found.get("properties"), found.get("required", [])
    if not isinstance(properties, Mapping) or found.get("additionalProperties") is True:
        return Schema(kinds or KINDS, items=schema_of(found.get("items")))
    known = tuple((_json(name) + b":", schema_of(inner)) for name, inner in properties.items())
    needed = {_json(name) + b":" for name in required} if isinstance(required, list) else set()
    return Schema(
        kinds or ("object",),
        items=schema_of(found.get("items")),
        properties=known,
        required=frozenset(needed & {key for key, _ in known}),
    )


def offered(episode: Episode, steps: int) -> tuple[Tool, ...]:
    """The tools on offer behind the first `steps` steps of an episode."""
    later = {name for step in episode.steps[:steps] if isinstance(step, User) for name in step.new_tools}
    return tuple(tool for tool in episode.tools if tool.name not in set(episode.withheld) - later)


class Grammar(NamedTuple):
    """What an action may be at one decision. start: the state before its first byte."""

    start: State

    @classmethod
    def of(cls, renderer: Renderer, tools: Iterable[Tool]) -> "Grammar":
        """Of the actions that can be taken with these tools, as a renderer writes them."""
        before, between, after = (text.encode() for text in renderer.frames.call)
        calls = tuple(
            (escaped(tool.name).encode() + between, (("value", _arguments(tool)), ("text", after, 0))) for tool in tools
        )
        words: list[tuple[bytes, State]] = []
        for action_type, verb in VERBS.items():
            if action_type in SPEAKING:
                words.append((verb.encode(), (("speech", None),)))
            elif calls:
                words.append((verb.encode() + before, (("choice", calls, 0),)))
        return cls((("choice", tuple(words), 0),))

    def after(self, state: State, text: bytes) -> State | None:
        """The state behind some more bytes; None where no action goes on so."""
        for byte in text:
            found = _feed(state, byte)
            if found is None:
                return None
            state = found
        return state

    def ends(self, state: State) -> bool:
        """Whether the action may end here."""
        open_ = [part for part in state if part[0] != "text" or part[2] < len(part[1])]
        return not open_ or (self.speaks(state) and not state[0][1])

    def speaks(self, state: State) -> bool:
        """Whether it is words that are due."""
        return bool(state) and state[0][0] == "speech"

    def closing(self, state: State) -> bytes:
        """The shortest way to an end, near enough: what is required and nothing more."""
        return b"".join(_closed(part) for part in state)


def _arguments(tool: Tool) -> Schema:
    return schema_of({"type": "object", **tool.parameters})._replace(kinds=("object",))


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")


def _feed(state: State, byte: int) -> State | None:
    """The state behind one more byte."""
    while state:
        part, rest = state[0], state[1:]
        if part[0] == "text" and part[2] == len(part[1]):  # nothing of it is left
            state = rest
            continue
        if part[0] == "number" and byte not in _continuing(part):
            if part[1] not in ENDS:
                return None
            state = rest
            continue
        return STEPS[part[0]](part, rest, byte)
    return None


def _text(part: tuple, rest: State, byte: int) -> State | None:
    _, text, at = part
    if text[at] != byte:
        return None
    return (("text", text, at + 1), *rest) if at + 1 < len(text) else rest


def _choice(part: tuple, rest: State, byte: int) -> State | None:
    """Of several texts, none of which begins another: (text, what follows it)."""
    _, options, at = part
    left = tuple(option for option in options if option[0][at] == byte)
    if not left:
        return None
    done = next((follows for text, follows in left if len(text) == at + 1), None)
    return (*done, *rest) if done is not None else (("choice", left, at + 1), *rest)


def _speech(part: tuple, rest: State, byte: int) -> State | None:
    """Any words behind a space. None: there are none yet; else what its latest character still needs."""
    if part[1] is None:
        return (("speech", ()),) if byte == 0x20 else None
    due = _utf8(part[1], byte)
    return None if due is None else (("speech", due),)


def _value(part: tuple, rest: State, byte: int) -> State | None:
    schema = part[1]
    if byte == 0x22 and "string" in schema.kinds:
        if schema.texts:
            return (("choice", tuple((text, ()) for text in schema.texts), 1), *rest)
        return (("string", ()), *rest)
    if byte == 0x7B and "object" in schema.kinds:
        return (("object", schema, frozenset(), "first"), *rest)
    if byte == 0x5B and "array" in schema.kinds:
        return (("array", schema.items or ANY, "first"), *rest)
    if (byte in DIGITS or byte == 0x2D) and {"number", "integer"} & set(schema.kinds):
        whole = "number" not in schema.kinds
        return (("number", "sign" if byte == 0x2D else "zero" if byte == 0x30 else "whole", whole, 0), *rest)
    for kind, texts in LITERALS.items():
        for text in texts if kind in schema.kinds else ():
            if text[0] == byte:
                return (("text", text, 1), *rest)
    return None


def _string(part: tuple, rest: State, byte: int) -> State | None:
    due = part[1]
    if not due and byte == 0x22:
        return rest
    if not due and byte == 0x5C:
        return (("escape", ""), *rest)
    due = None if byte < 0x20 else _utf8(due, byte)
    return None if due is None else (("string", due), *rest)


def _escape(part: tuple, rest: State, byte: int) -> State | None:
    """Behind a backslash; half a surrogate pair is JSON that no file can hold, so there are none at all."""
    said = part[1]
    if not said:
        if byte == 0x75:
            return (("escape", "u"), *rest)
        return (("string", ()), *rest) if byte in b'"\\/bfnrt' else None
    if byte not in HEX or (said in ("ud", "uD") and byte not in b"01234567"):
        return None
    return (("escape", said + chr(byte)), *rest) if len(said) < 4 else (("string", ()), *rest)


Due = tuple[tuple[int, int], ...]
"""The bytes that a character still needs: the least and the greatest that each may be."""
REST = (0x80, 0xBF)


def _utf8(due: Due, byte: int) -> Due | None:
    """What a character needs behind this byte, of what it needed before it; None: there is no such text."""
    if due:
        return due[1:] if due[0][0] <= byte <= due[0][1] else None
    if byte < 0x80:
        return ()
    if 0xC2 <= byte <= 0xDF:
        return (REST,)
    if 0xE0 <= byte <= 0xEF:  # no overlong forms, no surrogates
        return ((0xA0 if byte == 0xE0 else 0x80, 0x9F if byte == 0xED else 0xBF), REST)
    if 0xF0 <= byte <= 0xF4:  # nor beyond the last character
        return ((0x90 if byte == 0xF0 else 0x80, 0x8F if byte == 0xF4 else 0xBF), REST, REST)
    return None


def _character(due: Due) -> bytes:
    return bytes(least for least, _ in due)


ENDS = ("zero", "whole", "fraction", "exponent")
"""Where a number may end."""


def _continuing(part: tuple) -> frozenset[int] | bytes:
    """The bytes that a number goes on with."""
    _, at, whole, digits = part
    if at in ("sign", "point", "power", "power sign"):
        return b"+-0123456789" if at == "power" else DIGITS
    if at == "exponent":
        return DIGITS if digits < EXPONENT else b""
    more = b"" if whole else b"eE" if at == "fraction" else b".eE"
    return more if at == "zero" else frozenset(b"0123456789" + more)


def _number(part: tuple, rest: State, byte: int) -> State | None:
    _, at, whole, digits = part
    if byte in b"eE":
        at = "power"
    elif byte == 0x2E:
        at = "point"
    elif byte in b"+-":
        at = "power sign"
    elif at == "sign":
        at = "zero" if byte == 0x30 else "whole"
    elif at in ("point", "fraction"):
        at = "fraction"
    elif at in ("power", "power sign", "exponent"):
        at, digits = "exponent", digits + 1
    return (("number", at, whole, digits), *rest)


def _object(part: tuple, rest: State, byte: int) -> State | None:
    """at: "first", behind the brace; "more", behind a value; "key", behind a comma."""
    _, schema, used, at = part
    left = None if schema.properties is None else tuple(p for p in schema.properties if p[0] not in used)
    if byte == 0x7D and at != "key":
        return rest if schema.required <= used else None
    if byte == 0x2C and at == "more":
        return (("object", schema, used, "key"), *rest) if left or left is None else None
    if byte != 0x22 or at == "more":
        return None
    if left is None:
        after = (("string", ()), ("text", b":", 0), ("value", ANY), ("object", schema, used, "more"))
        return (*after, *rest)
    options = tuple((key, (("value", inner), ("object", schema, used | {key}, "more"))) for key, inner in left)
    return (("choice", options, 1), *rest) if options else None


def _array(part: tuple, rest: State, byte: int) -> State | None:
    _, items, at = part
    if byte == 0x5D:
        return rest
    if at == "more":
        return (("value", items), ("array", items, "more"), *rest) if byte == 0x2C else None
    return _value(("value", items), (("array", items, "more"), *rest), byte)


STEPS = {
    "text": _text,
    "choice": _choice,
    "speech": _speech,
    "value": _value,
    "string": _string,
    "escape": _escape,
    "number": _number,
    "object": _object,
    "array": _array,
}
"""What each kind of part makes of a byte."""


def _closed(part: tuple) -> bytes:
    """The rest of a part, as short as may be."""
    kind = part[0]
    if kind == "text":
        return part[1][part[2] :]
    if kind == "choice":
        _, options, at = part
        return min((text[at:] + b"".join(map(_closed, follows)) for text, follows in options), key=len)
    if kind == "speech":
        return _character(part[1] or ())
    if kind == "value":
        return _least(part[1])
    if kind == "string":
        return _character(part[1]) + b'"'
    if kind == "escape":
        return b'n"' if not part[1] else b"0" * (5 - len(part[1])) + b'"'
    if kind == "number":
        return b"" if part[1] in ENDS else b"0"
    if kind == "object":
        return _rest_of_object(part)
    return b"]"


def _rest_of_object(part: tuple) -> bytes:
    _, schema, used, at = part
    due = [(key, inner) for key, inner in schema.properties or () if key in schema.required - used]
    if at == "key" and not due:  # a comma has promised one more
        spare = [p for p in schema.properties or ((b'"":', ANY),) if p[0] not in used]
        due = spare[:1]
    pairs = [key + _least(inner) for key, inner in due]
    return (b"," if at == "more" and pairs else b"") + b",".join(pairs) + b"}"


def _least(schema: Schema) -> bytes:
    """The shortest value."""
    if schema.texts:
        return min(schema.texts, key=len)
    kind = next(kind for kind in (*LEAST, "object") if kind in schema.kinds)
    return LEAST[kind] if kind in LEAST else b"{" + _rest_of_object(("object", schema, frozenset(), "first"))


LEAST = {"number": b"0", "integer": b"0", "string": b'""', "array": b"[]", "null": b"null", "boolean": b"true"}
"""The shortest values of each kind, the shortest first."""
