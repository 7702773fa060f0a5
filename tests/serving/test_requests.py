"""Requests become the episodes that models were trained on, or say in a word why they do not."""

import json

import pytest
from agents import ACTIONS, LOOK, MESSAGES, PLACES, TOOLS, request
from toys import episode

from specacts.core.episodes import Act, Observation, User
from specacts.serving.answers import message_of
from specacts.serving.conversations import Conversations, Place
from specacts.serving.requests import Asked, Choice, NotOurs, Reading
from specacts.traces.formats.openai_chat import as_chat, read_conversation
from specacts.traces.tool_types import TypeMap

TYPES = TypeMap({"cancel_order": "tool_call"}, {})


def placed(body, memory: Conversations | None = None, given: str = "") -> Place:
    messages = body.get("messages")
    return (memory or Conversations()).place(messages if isinstance(messages, list) else [], given)


def read(body, **how) -> Asked:
    return Reading(TYPES, "own", **how).read(body, placed(body))


def why_not(body) -> str:
    with pytest.raises(NotOurs) as found:
        read(body)
    return found.value.reason


def test_a_request_is_read_as_the_log_of_its_conversation_would_be():
    whole = read_conversation({"messages": MESSAGES, "tools": TOOLS}, TYPES).episode
    for number, place in enumerate(PLACES):
        asked = read(request(number)).episode
        due = [n for n, step in enumerate(whole.steps) if isinstance(step, Act)][number]
        assert asked.steps == whole.steps[:due], place
        assert (asked.system, asked.tools) == (whole.system, whole.tools)


def test_every_decision_of_a_longer_conversation_too():
    chat = as_chat(episode())
    for message in chat["messages"]:  # clients do not send our labels
        for call in message.get("tool_calls", ()):
            del call["action_type"]
    whole = read_conversation(chat, TypeMap({}, {})).episode
    acts = [n for n, step in enumerate(whole.steps) if isinstance(step, Act)]
    places = [n for n, message in enumerate(chat["messages"]) if message["role"] == "assistant"]
    for act, place in zip(acts, places, strict=True):
        body = {"model": "m", "messages": chat["messages"][:place], "tools": chat["tools"]}
        asked = Reading(TypeMap({}, {}), "own").read(body, placed(body)).episode
        assert said_and_done(asked.steps) == said_and_done(whole.steps[:act])


def said_and_done(steps):
    """Without what only labels are about."""
    return [step.action if isinstance(step, Act) else step for step in steps]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stop": ["\n"]}, "stop"),
        ({"logit_bias": {"7": 1}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"store": True}, "store"),
        ({"functions": [LOOK]}, "functions"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"something": 1}, "unknown_field"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice"),
        ({"tools": [*TOOLS, {"type": "web_search"}]}, "other_tools"),
        ({"tools": [*TOOLS, {"type": "function", "function": {**LOOK, "description": "other"}}]}, "unreadable"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [*MESSAGES[:2], {"role": "assistant", "content": "I"}]}, "prefill"),
        ({"messages": MESSAGES[:3]}, "prefill"),
        ({"messages": [*MESSAGES[:3], {"role": "user", "content": "well?"}]}, "calls_pending"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "images"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "audio"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "files"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "content"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "content"),
        ({"messages": [MESSAGES[1], {"role": "function", "name": "f", "content": "x"}]}, "functions"),
        ({"messages": [{"role": "human", "content": "x"}]}, "role"),
        ({"messages": [MESSAGES[1], {"role": "tool", "tool_call_id": "x", "content": "y"}]}, "unreadable"),
    ],
)
def test_what_only_upstream_may_answer(changed, reason):
    assert why_not({**request(0), **changed}) == reason


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.2, "stream": True, "stream_options": {"include_usage": True}, "user": "u"},
        {"n": 1, "logprobs": False, "response_format": {"type": "text"}, "parallel_tool_calls": False, "store": False},
        {"something": None, "stop": None, "tool_choice": None, "functions": None},
    ],
)
def test_what_makes_no_difference(changed):
    assert read(request(0, **changed)).episode.steps == read(request(0)).episode.steps


def test_a_truth_value_is_no_number():
    assert why_not(request(0, n=True)) == "n"


@pytest.mark.parametrize(
    ("changed", "most"),
    [
        ({}, None),
        ({"max_tokens": None, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 3, "max_completion_tokens": 7}, 3),
    ],
)
def test_the_smaller_of_two_limits_counts(changed, most):
    assert read(request(0, **changed)).most_tokens == most


@pytest.mark.parametrize("value", ["3", 3.5, True])
def test_a_limit_that_is_no_whole_number_is_upstreams_to_judge(value):
    assert why_not(request(0, max_tokens=value)) == "max_tokens"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, Choice()),
        ("none", Choice("none")),
        ("required", Choice("required")),
        ({"type": "function", "function": {"name": "get_order"}}, Choice("required", frozenset({"get_order"}))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_order"}}]},
            },
            Choice("auto", frozenset({"get_order"})),
        ),
    ],
)
def test_tool_choice_says_what_is_allowed(given, wanted):
    assert read(request(0, tool_choice=given)).choice == wanted


def test_tools_stand_in_the_order_that_listings_want():
    asked = read(request(0), arranged=lambda tools: tuple(sorted(tools, key=lambda tool: tool.name)))
    assert [tool.name for tool in asked.episode.tools] == ["cancel_order", "get_order"]


def test_long_calls_are_shortened_as_in_training():
    arguments = json.dumps({"order": 7, "why": "x" * 500})
    call = {"id": "c", "type": "function", "function": {"name": "cancel_order", "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": "c", "content": ""}
    messages = [MESSAGES[1], {"role": "assistant", "tool_calls": [call]}, result]
    steps = read({"messages": messages, "tools": TOOLS}, longest=60).episode.steps
    assert steps[1].action.arguments["why"].endswith("…")


def test_a_call_of_ours_is_read_with_the_type_that_was_meant():
    message = message_of(ACTIONS[0].model_copy(update={"type": "repair"}), "")
    key = message["tool_calls"][0]["id"]
    messages = [*MESSAGES[:2], message, {"role": "tool", "tool_call_id": key, "content": "open"}]
    assert read({"messages": messages, "tools": TOOLS}).episode.steps[1].action.type == "repair"


def test_words_are_read_with_the_type_that_is_remembered():
    memory = Conversations()
    memory.answered(memory.place(MESSAGES[: PLACES[2]]), MESSAGES[PLACES[2]], "BLOCKED", None)
    body = request(3)
    found = Reading(TYPES, "own").read(body, placed(body, memory)).episode
    assert [step.action.type for step in found.steps if isinstance(step, Act)][-1] == "BLOCKED"


@pytest.mark.parametrize("kind", ["final_answer", "ask_clarification", "BLOCKED"])
def test_what_stands_for_no_words_is_read_as_none(kind):
    said = message_of(ACTIONS[2].model_copy(update={"type": kind}), "")
    found = read({"messages": [MESSAGES[1], said, MESSAGES[7]]}).episode
    assert found.steps[1].action.type == kind and found.steps[1].action.content == ""


def test_the_answer_of_upstream_is_read_by_the_same_reader():
    reading, body = Reading(TYPES, "own"), request(1)
    asked = reading.read(body, placed(body))
    assert reading.first_action(asked, placed(body), MESSAGES[PLACES[1]]) == ACTIONS[1]
    assert reading.first_action(asked, placed(body), {"role": "assistant", "content": "Sure? I think so"}) is None
    assert reading.first_action(asked, placed(body), {"role": "assistant", "content": ""}) is None


def test_upstreams_repair_is_one():
    failed = [*MESSAGES[:3], {"role": "tool", "tool_call_id": "call_1", "content": "Error: no such order"}]
    reading, body = Reading(TYPES, "own"), {"messages": failed, "tools": TOOLS}
    function = {"name": "get_order", "arguments": '{"order": 70}'}
    again = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
    assert reading.first_action(reading.read(body, placed(body)), placed(body), again).type == "repair"


# -- BFCL's tasks -------------------------------------------------------------------------------------------------


def test_tools_that_come_later_are_read_as_in_stage_live():
    memory, reading = Conversations(), Reading(TYPES, "bfcl")
    for number in range(4):
        tools = TOOLS if number == 3 else TOOLS[:1]
        body = {"messages": MESSAGES[: PLACES[number]], "tools": tools}
        place = placed(body, memory)
        asked = reading.read(body, place)
        memory.asked(place, tuple(tool.name for tool in asked.episode.tools))
        assert asked.episode.withheld == (("cancel_order",) if number == 3 else ())
    users = [step for step in asked.episode.steps if isinstance(step, User)]
    assert [user.new_tools for user in users] == [(), ("cancel_order",)]


def test_there_every_action_is_a_decision():
    failed = [*MESSAGES[:3], {"role": "tool", "tool_call_id": "call_1", "content": "Error: no such order"}]
    function = {"name": "get_order", "arguments": '{"order": 70}'}
    again = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
    body = {"messages": [*failed, again, {"role": "tool", "tool_call_id": "c", "content": "open"}], "tools": TOOLS}
    steps = Reading(TYPES, "bfcl").read(body, placed(body)).episode.steps
    assert all(step.supervised for step in steps if isinstance(step, Act))
    assert isinstance(steps[-1], Observation)
