"""Rules for arguments are drafted with care: only from many values, and not where another value is another act."""

import random
import uuid
from itertools import pairwise
from typing import Any

import pytest

from specacts.core.comparison import Rule
from specacts.core.episodes import Act, Action, Episode, Observation, Tool, User
from specacts.core.words import ActionType
from specacts.traces import argument_rules
from specacts.traces.argument_rules import Seen, leaves

SUBJECTS = "parcel invoice printer lamp laptop refund router".split()
ENDS = ("is on its way to you", "was sent back this morning", "has been looked at by us", "cannot be found any more")
SENTENCES = [f"Hello, the {subject} {end}." for subject in SUBJECTS for end in ENDS]
UUIDS = [str(uuid.UUID(int=random.Random(n).getrandbits(128))) for n in range(20)]


def drafted(
    values: list[Any],
    name: str = "body",
    said: str = "please",
    action_type: ActionType = "tool_call",
    schema: dict[str, Any] | None = None,
) -> Rule | None:
    """The rule for an argument of which these are the values, one a conversation."""
    found = rules([{name: value} for value in values], said, action_type, {name: schema or {}})
    return found.get(name)


def rules(
    arguments: list[dict[str, Any]], said: str = "", action_type: ActionType = "tool_call", schema: Any = None
) -> dict[str, Rule]:
    seen = Seen()
    for each in arguments:
        act = Act(action=Action(type="tool_call", tool="do", arguments=each))
        steps = (User(content=said.format(**each)), act, Observation(content="done"))
        seen.add(Episode(id="e", group="g", source="own", tools=(), steps=steps))
    tool = Tool(name="do", parameters={"properties": schema or {}})
    return {path: found.rule for path, found in seen.drafted(tool, action_type).items()}


def test_what_an_agent_words_itself_is_text():
    assert drafted(SENTENCES) == Rule("text", 0.6)


@pytest.mark.parametrize(
    ("why", "values", "more"),
    [
        ("few", SENTENCES[:4], {}),
        ("the same again and again", SENTENCES[:5] * 4, {}),
        ("short", SUBJECTS * 2, {}),
        ("copied from the user", SENTENCES, {"said": "Write: {body}"}),
        ("listed by the schema", SENTENCES, {"schema": {"enum": SENTENCES}}),
        ("a command", [f"{s} and then go on" for s in SENTENCES], {"name": "command"}),
        ("code", [f"print('{s}') # that is what it says" for s in SENTENCES], {}),
        ("a query", [f"select a from b where c = '{s}'" for s in SENTENCES], {}),
        ("not all text", [*SENTENCES, 3], {}),
    ],
)
def test_text_is_not_suggested_for_what_is(why, values, more):
    assert drafted(values, **more) is None


def test_numbers_that_are_not_whole_may_be_near():
    assert drafted([1, 2.5, 3, 4, 5], "latitude") == Rule("number", 0.01)
    assert drafted([1, 2.5, 3, 4, 5], "max_price", action_type="retrieval") == Rule("number", 0.01)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([1, 2, 3.0, 4, 5], "x"),
        ([1.5, 2, 3], "x"),
        ([1.5, "2 EUR", 3, 4, 5], "x"),
        ([1.5, True, 3, 4, 5], "x"),
        ([1.5, 2, 3, 4, 5], "refund_amount"),  # a hundredth more is another sum
        ([10**400, 2, 3, 4, 5], "x"),
    ],
)
def test_other_numbers_have_to_be_equal(values, name):
    assert drafted(values, name) is None


def test_what_a_generator_made_is_ignored():
    assert drafted(UUIDS) == drafted([f"req_{value}" for value in UUIDS]) == Rule("ignore")
    assert drafted([value.replace("-", "") for value in UUIDS]) == Rule("ignore")
    assert drafted([f"2026-01-02T03:04:{n}Z" for n in range(10, 30)], "timestamp") == Rule("ignore")
    assert drafted(list(range(1_700_000_000, 1_700_000_020)), "nonce") == Rule("ignore")


@pytest.mark.parametrize(
    ("why", "values", "more"),
    [
        ("from the conversation", UUIDS, {"said": "my id is {body}"}),
        ("there twice", [*UUIDS, UUIDS[0]], {}),
        ("few", UUIDS[:9], {}),
        ("of another kind once", [*UUIDS, "none"], {}),
        ("when an appointment is", [f"2026-01-02T03:04:{n}Z" for n in range(10, 30)], {"name": "start"}),
        ("an order", [f"A-{n}" for n in range(1000, 1020)], {"name": "order_id"}),
        ("a word", ["decade", "facade"] * 5, {"name": "x"}),
    ],
)
def test_nothing_else_is_ignored(why, values, more):
    assert drafted(values, **more) is None


def test_what_lies_in_objects_and_lists_has_a_path():
    arguments = [{"mail": {"parts": [{"text": a}, {"text": b}]}, "to": "x"} for a, b in pairwise(SENTENCES)]
    assert rules(arguments) == {"mail.parts.text": Rule("text", 0.6)}
    listed = {"mail": {"properties": {"parts": {"items": {"properties": {"text": {"enum": []}}}}}}}
    assert rules(arguments, schema=listed) == {}


@pytest.mark.parametrize("schema", [None, 3, [], {"properties": []}, {"items": {"items": None}}, {"properties": None}])
def test_a_strange_schema_lists_nothing(schema):
    assert not argument_rules.is_listed(schema, "a.b")


def test_arguments_without_end_are_left_out():
    deep: Any = "x"
    for _ in range(200):
        deep = {"a": [deep]}
    assert list(leaves({"deep": deep, "x" * 500: 1, "": {"a": None}, "b": []})) == [("a", None)]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(argument_rules, "MOST_VALUES", 3)
    monkeypatch.setattr(argument_rules, "MOST_ARGUMENTS", 2)
    seen = Seen()
    for n in range(9):
        act = Act(action=Action(type="tool_call", tool=f"t{n % 4}", arguments={"a": n, "b": n, "c": n}))
        seen.add(Episode(id="e", group="g", source="own", tools=(), steps=(act,)))
    assert {path: found.count for path, found in seen.tools["t0"].items()} == {"a": 3, "b": 3}
    assert sum(len(found) for found in seen.tools.values()) == 2
