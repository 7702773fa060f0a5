"""Episodes, decisions, and when two actions agree."""

import pytest
from pydantic import ValidationError

from specacts.core.comparison import Rule
from specacts.core.episodes import (
    Act,
    Action,
    Episode,
    Observation,
    Tool,
    User,
    agrees,
    decisions,
    load_episodes,
    save_episodes,
)
from specacts.core.errors import UserError
from specacts.core.words import ACTION_TYPES, LEVELS, SPEAKING


def call(tool: str = "cat", action_type: str = "file_read", **arguments: object) -> Action:
    return Action(type=action_type, tool=tool, arguments=arguments)


EPISODE = Episode(
    id="e1",
    group="g1",
    source="toy",
    tools=(Tool(name="cat", description="show a file", parameters={"type": "object"}),),
    withheld=("cat",),
    steps=(
        User(content="show ä", new_tools=("cat",)),
        Act(action=call(file_name="x"), supervised=False),
        Observation(content='{"error": "no such file"}'),
        Act(action=call(action_type="repair", file_name="ä")),
        Observation(content="text\u2028with an odd line end"),
        Act(action=Action(type="final_answer")),
    ),
)


def test_there_are_nine_action_types_and_three_of_them_speak():
    assert len(ACTION_TYPES) == 9 and SPEAKING < set(ACTION_TYPES) and len(SPEAKING) == 3


def test_decisions_are_the_supervised_actions_in_order():
    assert [(d.episode, d.index, d.step, d.gold.type) for d in decisions(EPISODE)] == [
        ("e1", 0, 3, "repair"),
        ("e1", 1, 5, "final_answer"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "tool_call"},
        {"type": "final_answer", "tool": "cat"},
        {"type": "BLOCKED", "arguments": {"a": 1}},
        {"type": "think"},
        {"type": "final_answer", "thought": "x"},
    ],
)
def test_an_action_that_neither_calls_nor_speaks_is_refused(fields):
    with pytest.raises(ValidationError):
        Action(**fields)


def test_episodes_come_back_from_their_file_as_they_were(tmp_path):
    save_episodes(tmp_path / "e.jsonl", [EPISODE, EPISODE])
    assert (tmp_path / "e.jsonl").read_text(encoding="utf-8").count("\n") == 2
    assert load_episodes(tmp_path / "e.jsonl") == [EPISODE, EPISODE]


def test_a_bad_line_is_named_by_file_line_and_field(tmp_path):
    path = tmp_path / "e.jsonl"
    save_episodes(path, [EPISODE])
    good = path.read_text(encoding="utf-8")
    path.write_text(good + good.replace('"final_answer"', '"final"'), encoding="utf-8")
    with pytest.raises(UserError, match=r"e.jsonl:2: steps.5.*got 'final'"):
        load_episodes(path)
    path.write_text(good + "{", encoding="utf-8")
    with pytest.raises(UserError, match="e.jsonl:2: not valid JSON"):
        load_episodes(path)


@pytest.mark.parametrize(
    ("proposed", "levels"),
    [
        (call(file_name="x", lines=1), LEVELS),
        (call(lines=1.0, file_name=" x "), LEVELS),
        (call(file_name="x", lines=True), ("type", "tool")),
        (call(file_name="x"), ("type", "tool")),
        (call(file_name="x", lines=2), ("type", "tool")),
        (call("tail", file_name="x", lines=1), ("type",)),
        (call(action_type="retrieval", file_name="x", lines=1), ()),
        (Action(type="final_answer"), ()),
        (None, ()),
    ],
)
def test_how_closely_a_proposal_agrees_with_the_gold_call(proposed, levels):
    gold = call(file_name="x", lines=1)
    assert tuple(level for level in LEVELS if agrees(proposed, gold, level)) == tuple(levels)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ([1, 2], [1.0, 2], True),
        ([1, 2], [2, 1], False),
        ([True], [1], False),
        ({"x": 0}, {"x": False}, False),
        ({"x": 1}, {"y": 1}, False),
        ("1", 1, False),
        (None, False, False),
        ([], {}, False),
    ],
)
def test_arguments_are_compared_deeply_and_true_is_not_one(a, b, same):
    assert agrees(call(value=a), call(value=b), "call") is same


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_speaking_action_says_is_not_compared(level):
    assert agrees(Action(type="final_answer", content="done"), Action(type="final_answer"), level)
    assert not agrees(Action(type="BLOCKED"), Action(type="final_answer"), level)


def test_arguments_are_compared_by_the_rules_of_the_gold_call():
    gold = call(file_name="x", lines=100).model_copy(update={"compare": {"lines": Rule("number", 0.1)}})
    near, far = call(file_name="x", lines=110), call(file_name="x", lines=111)
    assert agrees(near, gold, "call") and not agrees(far, gold, "call")
    assert not agrees(gold, near, "call")  # the other has no rules
    assert not agrees(call("tail", file_name="x", lines=100), gold, "tool")
    assert not agrees(call(action_type="retrieval", file_name="x", lines=100), gold, "type")


def test_rules_are_stored_where_there_are_some_and_leave_no_trace_elsewhere(tmp_path):
    assert "compare" not in EPISODE.model_dump_json()
    ruled = EPISODE.steps[3].action.model_copy(update={"compare": {"a": Rule("text", 0.6), "b": Rule("ignore")}})
    steps = (*EPISODE.steps[:3], Act(action=ruled), *EPISODE.steps[4:])
    save_episodes(tmp_path / "e.jsonl", [EPISODE.model_copy(update={"steps": steps})])
    assert '"compare":{"a":["text",0.6],"b":["ignore",0.0]}' in (tmp_path / "e.jsonl").read_text(encoding="utf-8")
    (found,) = load_episodes(tmp_path / "e.jsonl")
    assert decisions(found)[0].gold == ruled
