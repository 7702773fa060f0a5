"""What is never trusted, and that no schema of a stranger's makes the check hang or fail."""

import time

import pytest
from agents import ACTIONS, TOOLS, request

from specacts.answering.records import Candidate, Words
from specacts.core.episodes import Action
from specacts.serving.checks import Checks, Unusable, fits, matches, validator
from specacts.serving.conversations import Conversations
from specacts.serving.requests import Reading
from specacts.traces.tool_types import TypeMap


def asked(source="own", **changed):
    body = request(1, **changed)
    return Reading(TypeMap({}, {}), source).read(body, Conversations().place(body["messages"]))


def proposal(action: Action | None, text: str | None = None, whole: bool = True) -> Candidate:
    words = None if text is None else Words(text=text, whole=whole, tokens=3, seconds=0.0)
    return Candidate(text="", action=action, confidence=0.9, logprob=-0.1, tokens=5, seconds=0.0, words=words)


def cancel(**arguments) -> Candidate:
    return proposal(Action(type="tool_call", tool="cancel_order", arguments=arguments))


@pytest.mark.parametrize(
    ("given", "changed", "reason"),
    [
        (cancel(order=7), {}, None),
        (cancel(order="7"), {}, "arguments"),
        (cancel(), {}, "arguments"),
        (cancel(order=7, force=True), {}, "arguments"),
        (cancel(order=7, why="because it was too lo…"), {}, "cut"),
        (cancel(order=7, why="[REDACTED:openai]"), {}, "cut"),
        (cancel(order=7), {"tools": TOOLS[:1]}, "not_offered"),
        (cancel(order=7), {"tools": None}, "not_offered"),
        (cancel(order=7), {"tool_choice": "none"}, "tool_choice"),
        (cancel(order=7), {"tool_choice": "required"}, None),
        (cancel(order=7), {"tool_choice": {"type": "function", "function": {"name": "get_order"}}}, "tool_choice"),
        (proposal(ACTIONS[2], "Gone."), {"tool_choice": "required"}, "tool_choice"),
        (proposal(ACTIONS[2], "Gone."), {"tool_choice": "none"}, None),
        (proposal(ACTIONS[2], "Gone."), {}, None),
        (proposal(ACTIONS[2], "Gone and", whole=False), {}, "cut"),
        (proposal(ACTIONS[2], "  "), {}, "no_words"),
        (proposal(None), {}, "malformed"),
        (proposal(ACTIONS[2], "Gone."), {"max_tokens": 8}, None),
        (proposal(ACTIONS[2], "Gone."), {"max_completion_tokens": 7}, "max_tokens"),
    ],
)
def test_each_reason_by_itself(given, changed, reason):
    assert Checks().why_not(given, asked(**changed)) == reason


def test_where_models_learnt_no_words_none_are_expected():
    assert Checks().why_not(proposal(ACTIONS[2].model_copy(update={"content": ""})), asked("bfcl")) is None


def test_tools_and_types_can_be_declared_never_cheap():
    assert Checks(("cancel_*",)).why_not(cancel(order=7), asked()) == "never_cheap"
    assert Checks((), frozenset({"tool_call"})).why_not(cancel(order=7), asked()) == "never_cheap"
    assert Checks(("get_*",), frozenset({"BLOCKED"})).why_not(cancel(order=7), asked()) is None


# -- schemas ------------------------------------------------------------------------------------------------------


def test_a_reference_is_never_fetched(monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_: pytest.fail("went to the network"))
    with pytest.raises(Unusable):
        fits(validator({"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}), {"a": 1})


def test_references_inside_a_schema_are_followed():
    ready = validator({"$defs": {"id": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/id"}}})
    assert fits(ready, {"a": 1}) and not fits(ready, {"a": "1"})


def test_references_that_multiply_end():
    many = {f"x{n}": {"allOf": [{"$ref": f"#/$defs/x{n + 1}"}] * 2} for n in range(40)}
    started = time.process_time()
    with pytest.raises(Unusable):
        fits(validator({"$defs": {**many, "x40": {}}, "$ref": "#/$defs/x0"}), {})
    assert time.process_time() - started < 5


def test_one_that_refers_to_itself_is_not_trusted():
    body = request(1, tools=[{"type": "function", "function": {"name": "cancel_order", "parameters": {"$ref": "#"}}}])
    found = Reading(TypeMap({}, {}), "own").read(body, Conversations().place(body["messages"]))
    assert Checks().why_not(cancel(order=7), found) == "schema"


def test_no_pattern_takes_long():
    started = time.process_time()
    assert not matches("^(a+)+$", "a" * 5000 + "b")
    assert time.process_time() - started < 1


@pytest.mark.parametrize("pattern", ["(?=a)", "(a)\\1", "["])
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_not_trusted(pattern):
    with pytest.raises(Unusable):
        matches(pattern, "a")


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"properties": {"a": {"pattern": "^[0-9]+$"}}}, {"a": "12"}, {"a": "x"}),
        ({"patternProperties": {"^n": {"type": "integer"}}}, {"n1": 1}, {"n1": "x"}),
        ({"patternProperties": {"^n": {}}, "additionalProperties": False}, {"n1": 1}, {"m": 1}),
        ({"additionalProperties": {"type": "string"}}, {"a": "x"}, {"a": 1}),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, {"a": "x"}, {"a": "z"}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "required": ["a"]}, {"a": 1}, {}),
    ],
)
def test_arguments_fit_or_do_not(schema, good, bad):
    assert fits(validator(schema), good) and not fits(validator(schema), bad)


@pytest.mark.parametrize(
    "schema",
    [{"type": "dict"}, {"required": "a"}, {"patternProperties": {"a": {}}, "unevaluatedProperties": False}],
)
def test_what_is_no_schema_or_would_be_matched_elsewhere_is_not_used(schema):
    assert validator(schema) is None
