"""Free checks before a proposal is trusted: what no model has to be asked about.

    checks = Checks(never=("delete_*",), never_types=frozenset({"BLOCKED"}))
    checks.why_not(candidate, asked)        # None, or in a word why upstream has to act

The tool is on offer in this very request, its arguments fit their JSON Schema, `tool_choice` allows it, nobody declared
it never to be the cheap model's, and nothing of it was cut: not its words, not the arguments that it learnt to write
shortened, and not a secret that it learnt as `[REDACTED:…]`.

Schemas come with requests, so they are not trusted either: a `$ref` is never fetched, patterns are matched in linear
time (by the engine that pydantic brings; what it cannot match is not trusted), and references that multiply end.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend, validator_for
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as NoMatch
from referencing import Registry
from referencing.exceptions import Unresolvable

from specacts.answering.records import Candidate
from specacts.core.episodes import Action
from specacts.core.words import SPEAKING, ActionType
from specacts.serving.answers import words_of
from specacts.serving.requests import Asked, Choice

MOST_REFERENCES = 2_000
"""References that are followed to check one call: more multiply without end."""
MOST_SCHEMAS = 512
"""Schemas that are kept ready."""
CUT = "\u2026"
"""Ends an argument that was shortened for training (traces/ingest.py)."""
REDACTED = "[REDACTED:"
"""Begins what stands in the place of a secret in training (traces/redaction.py)."""


class Unusable(Exception):
    """A schema that nothing can be checked against."""


class Checks:
    """What is never trusted: tools by shell-style patterns, and action types."""

    def __init__(self, never: tuple[str, ...] = (), never_types: frozenset[ActionType] = frozenset()) -> None:
        self.never, self.never_types = never, never_types
        self.schemas: OrderedDict[str, Any] = OrderedDict()

    def why_not(self, proposal: Candidate, asked: Asked) -> str | None:
        """Why a proposal must not be done, in a word; None where nothing speaks against it."""
        action = proposal.action
        if action is None:
            return "malformed"
        if action.type in self.never_types or any(fnmatchcase(action.tool or "", name) for name in self.never):
            return "never_cheap"
        if asked.most_tokens is not None and proposal.taken_tokens > asked.most_tokens:
            return "max_tokens"
        if not allows(asked.choice, action):
            return "tool_choice"
        if action.type in SPEAKING:
            return _why_not_say(proposal, asked.episode.source == "own")
        return self._why_not_call(action, asked)

    def _why_not_call(self, action: Action, asked: Asked) -> str | None:
        offered = next((tool for tool in asked.episode.tools if tool.name == action.tool), None)
        if offered is None:
            return "not_offered"
        if any(_is_cut(text) for text in _texts(action.arguments)):
            return "cut"
        try:
            return None if self._fits(offered.parameters, action.arguments) else "arguments"
        except (Unusable, RecursionError):
            return "schema"

    def _fits(self, schema: dict[str, Any], arguments: dict[str, Any]) -> bool:
        key = json.dumps(schema)
        if key not in self.schemas:
            self.schemas[key] = validator(schema)
            while len(self.schemas) > MOST_SCHEMAS:
                self.schemas.popitem(last=False)
        self.schemas.move_to_end(key)
        if self.schemas[key] is None:
            raise Unusable
        return fits(self.schemas[key], arguments)


def allows(choice: Choice, action: Action) -> bool:
    """Whether a request's `tool_choice` allows an action."""
    if action.tool is None:
        return choice.mode != "required"
    return choice.mode != "none" and (choice.tools is None or action.tool in choice.tools)


def _why_not_say(proposal: Candidate, speaks: bool) -> str | None:
    """speaks: whether the models learnt words; where they did not, none are expected."""
    words = words_of(proposal)
    if not words.strip():
        return "no_words" if speaks else None
    whole = proposal.words is None or proposal.words.whole
    return None if whole and REDACTED not in words else "cut"


def _is_cut(text: str) -> bool:
    return text.endswith(CUT) or REDACTED in text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


# -- schemas --------------------------------------------------------------------------------------------------


def validator(schema: dict[str, Any]) -> Any:
    """What checks arguments against a schema, of the draft that it names or else 2020-12; None if it is no schema.

    None too where patterns decide which properties were looked at: jsonschema matches those itself.
    """
    text = json.dumps(schema)
    if "patternProperties" in text and "unevaluatedProperties" in text:
        return None
    try:
        draft = validator_for(schema, default=Draft202012Validator)
        draft.check_schema(schema)
        return _bounded(draft)(schema, registry=Registry())
    except (SchemaError, Unresolvable, RecursionError, TypeError, ValueError):
        return None


def fits(ready: Any, arguments: dict[str, Any]) -> bool:
    """Whether arguments are valid. Raises `Unusable` where that cannot be said."""
    _followed.count = 0
    try:
        return bool(ready.is_valid(arguments))
    except Unresolvable as error:
        raise Unusable from error


class _Count:
    """References followed in the check that is going on."""

    count = 0


_followed = _Count()


@lru_cache
def _bounded(draft: Any) -> Any:
    """The draft's validator, with references that are counted and patterns that take linear time."""
    rules: dict[str, Callable[..., Any]] = {"pattern": _pattern, "patternProperties": _pattern_properties}
    rules |= {name: _counted(draft.VALIDATORS[name]) for name in REFERENCES if name in draft.VALIDATORS}
    if "additionalProperties" in draft.VALIDATORS:
        rules["additionalProperties"] = _additional_properties
    return extend(draft, rules)


REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def _counted(follow: Callable[..., Any]) -> Callable[..., Any]:
    def counted(ready: Any, reference: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        _followed.count += 1
        if _followed.count > MOST_REFERENCES:
            raise Unusable
        yield from follow(ready, reference, instance, schema) or ()

    return counted


def _pattern(ready: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield ValidationError("does not match")


def _pattern_properties(ready: Any, patterns: Mapping[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    for pattern, inner in patterns.items() if isinstance(instance, dict) else ():
        for key, value in instance.items():
            if matches(pattern, key):
                yield from ready.descend(value, inner, path=key, schema_path=pattern)


def _additional_properties(ready: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in named or any(matches(pattern, key) for pattern in patterns):
            continue
        if isinstance(allowed, dict):
            yield from ready.descend(value, allowed, path=key)
        elif not allowed:
            yield ValidationError("is no argument")


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text, in linear time. Raises `Unusable` for what takes more, such as `(?=`."""
    ready = _compiled(pattern)
    if ready is None:
        raise Unusable
    try:
        ready.validate_python(text)
    except NoMatch:
        return False
    return True


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except PatternError:
        return None
