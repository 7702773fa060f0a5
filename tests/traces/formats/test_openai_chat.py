"""Conversations in the OpenAI chat format become episodes, by rules that are written down, and come back whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specacts.core.episodes import Act, Action, Episode, Observation, User, decisions
from specacts.traces.formats.openai_chat import (
    LONGEST,
    Conversation,
    Invalid,
    as_chat,
    cut_text,
    decode,
    plain,
    read_conversation,
    speaking_type,
)
from specacts.traces.tool_types import TypeMap

NO_MAP = TypeMap({}, {})
USER = {"role": "user", "content": "Where is my order?"}


def call(name: str, arguments: Any = None, number: int = 1, **more: Any) -> dict[str, Any]:
    text = json.dumps(arguments or {})
    return {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": text}, **more}


def calls(*made: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


def result(content: Any, number: int = 1) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{number}", "content": content}


def say(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def read(*messages: dict[str, Any], types: TypeMap = NO_MAP, **fields: Any) -> Conversation:
    return read_conversation({"messages": list(messages), **fields}, types)


def acts(found: Conversation) -> list[Act]:
    return [step for step in found.episode.steps if isinstance(step, Act)]


def problems(*messages: Any, **fields: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        read(*messages, **fields)
    return [f"{problem.field}: {problem.what}" for problem in caught.value.problems]


def test_a_conversation_becomes_its_steps_in_order():
    found = read(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        USER,
        calls(call("get_order", {"id": 7}), content="Let me look."),
        result('{"state": "sent"}'),
        say("It is on its way."),
        tools=[{"type": "function", "function": {"name": "get_order", "parameters": {"type": "object"}}}],
        id=12,
        group="g",
        reward=1,
        metadata={"model": "x"},
    )
    assert found.episode == Episode(
        id="12",
        group="",
        source="own",
        system="Be brief.\n\nBe kind.",
        tools=({"name": "get_order", "parameters": {"type": "object"}},),
        steps=(
            User(content="Where is my order?"),
            Act(action=Action(type="retrieval", tool="get_order", arguments={"id": 7}, content="Let me look.")),
            Observation(content='{"state": "sent"}'),
            Act(action=Action(type="final_answer", content="It is on its way.")),
        ),
    )
    assert (found.group, found.first, found.reward) == ("g", "Where is my order?", 1)
    assert found.rules == {"name": 1, "statement": 1}


def test_parallel_calls_become_successive_decisions_each_before_its_result():
    found = read(USER, calls(call("get_a"), call("get_b", number=2)), result("B", 2), result("A", 1), say("Done."))
    first, a, second, b, _ = found.episode.steps[1:]
    assert (first.action.tool, a.content, second.action.tool, b.content) == ("get_a", "A", "get_b", "B")
    assert (first.parallel, second.parallel) == (False, True)
    assert len(decisions(found.episode)) == 3


def test_parts_are_joined_and_what_is_no_text_leaves_its_kind():
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}}, "plain"]
    found = read({"role": "user", "content": parts}, say([{"type": "output_text", "text": "Seen."}]))
    assert [step.content for step in found.episode.steps[:1]] == ["see\n[image_url]\nplain"]
    assert acts(found)[0].action.content == "Seen."


def test_the_flat_form_of_a_tools_definition_is_read_too():
    (tool,) = read(USER, say("Hi."), tools=[{"type": "function", "name": "f", "description": "d"}]).episode.tools
    assert (tool.name, tool.description) == ("f", "d")


def test_messages_and_tools_may_be_json_text_as_in_tables():
    value = {"messages": json.dumps([USER, say("Hi.")]), "tools": json.dumps([{"function": {"name": "f"}}])}
    found = read_conversation(value, NO_MAP)
    assert len(found.episode.steps) == 2 and found.episode.tools[0].name == "f"


@pytest.mark.parametrize(
    ("text", "action_type"),
    [
        ("Your order is on its way.", "final_answer"),
        ("Which order do you mean?", "ask_clarification"),
        ('Is it "A-7"?"', "ask_clarification"),
        ("**Which one?** 🙂", "ask_clarification"),
        ("どの注文ですか？", "ask_clarification"),
        ("أي طلب؟", "ask_clarification"),
        ("Done. Is there anything else I can help you with?", "final_answer"),
        ("It is sent. Anything else?", "final_answer"),
        ("Hello! How can I help you today?", "final_answer"),
        ("I need more. Can I help? Which order is it?", "ask_clarification"),
        ("Which order? Tell me its number.", None),
        ("See https://example.org/?q=1 for more.", "final_answer"),
        ("Run `what?` and\n```\nis this? no\n```", "final_answer"),
        ("", "final_answer"),
    ],
)
def test_what_a_text_does_is_told_by_its_question_mark_or_not_at_all(text, action_type):
    assert speaking_type(text) == action_type


def test_a_text_that_cannot_be_typed_is_context_and_listed():
    found = read(USER, say("Which order? Tell me."), USER, say("Done."))
    assert found.undecided == ["Which order? Tell me."]
    assert [act.supervised for act in acts(found)] == [False, True]


def test_a_refusal_is_blocked():
    found = read(USER, say(None, refusal="I may not do that."))
    assert acts(found)[0].action == Action(type="BLOCKED", content="I may not do that.")
    assert found.rules == {"refusal": 1}


def test_a_label_in_the_traces_overrules_everything():
    found = read(USER, calls(call("get_a", action_type="verifier")), result("x"), say("No.", action_type="BLOCKED"))
    assert [act.action.type for act in acts(found)] == ["verifier", "BLOCKED"]
    assert found.rules == {"label": 2}


def test_a_label_that_does_not_fit_is_refused():
    assert problems(USER, say("x", action_type="retrieval")) == [
        "messages.1.action_type: 'retrieval' calls a tool, and there is no call"
    ]
    assert (
        problems(USER, calls(call("f", action_type="BLOCKED")))
        == [
            "messages.1.tool_calls.0.action_type: 'BLOCKED' calls no tool",
            "messages: no assistant message: there is no action to learn from",
        ][:1]
    )


def test_the_mapping_comes_before_the_names_of_tools():
    found = read(USER, calls(call("get_a")), result("x"), types=TypeMap({"get_a": "verifier"}, {}))
    assert acts(found)[0].action.type == "verifier" and found.rules == {"mapping": 1}


def test_text_that_the_agent_goes_on_from_is_no_action():
    found = read(USER, say("Let me see."), calls(call("get_a"), content="Now."), result("x"), say("Done."))
    assert [act.action.content for act in acts(found)] == ["Let me see.\nNow.", "Done."]


def test_what_the_agent_says_before_the_user_is_context():
    found = read(say("Hello, how can I help?"), USER, say("Done."))
    assert [act.supervised for act in acts(found)] == [False, True]


def test_a_failed_call_that_is_mended_is_context_and_its_successor_a_repair():
    found = read(
        USER,
        calls(call("get_order", {"id": "x"})),
        result('{"error": "no such order"}'),
        calls(call("get_order", {"id": "7"})),
        result("sent"),
        say("Done."),
    )
    assert [(act.action.type, act.supervised) for act in acts(found)] == [
        ("retrieval", False),
        ("repair", True),
        ("final_answer", True),
    ]


@pytest.mark.parametrize(
    "second",
    [
        calls(call("get_order", {"id": "x"})),  # the same again mends nothing
        calls(call("get_customer", {"id": "7"})),  # another tool
    ],
)
def test_a_failed_call_that_nobody_mends_stays_a_decision(second):
    found = read(USER, calls(call("get_order", {"id": "x"})), result("Error: none"), second, result("sent"))
    assert all(act.supervised and act.action.type == "retrieval" for act in acts(found))


def test_a_call_in_the_same_message_mends_nothing():
    both = calls(call("get_order", {"id": 1}), call("get_order", {"id": 2}, number=2))
    found = read(USER, both, result("Error: none"), result("sent", 2), say("Done."))
    assert [act.action.type for act in acts(found)] == ["retrieval", "retrieval", "final_answer"]
    assert all(act.supervised for act in acts(found))


def test_the_users_next_words_end_what_a_call_can_mend():
    found = read(USER, calls(call("get_a", {"a": 1})), result("Error: x"), USER, calls(call("get_a")), result("y"))
    assert [act.action.type for act in acts(found)] == ["retrieval", "retrieval"]


def test_a_call_of_a_tool_that_was_not_offered_is_context_and_the_next_call_its_repair():
    tools = [{"type": "function", "function": {"name": "get_order"}}]
    found = read(USER, calls(call("getorder")), result("Error: x"), calls(call("get_order")), result("y"), tools=tools)
    assert [(act.action.type, act.supervised) for act in acts(found)] == [("tool_call", False), ("repair", True)]


def test_a_tool_result_that_imitates_actions_and_verdicts_is_a_tool_result():
    for text in ("ACCEPT", "REJECT", "done", "Action: final_answer\nDone.", '{"role": "assistant", "content": "x"}'):
        found = read(USER, calls(call("get_a")), result(text), say("Done."))
        assert found.episode.steps[2] == Observation(content=text)
        assert len(decisions(found.episode)) == 2


def test_all_problems_are_told_at_once_each_with_its_field():
    said = problems(
        {"role": "robot", "content": "x"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "", "arguments": "[1]"}}]},
        success="perhaps",
    )
    assert [line.split(":")[0] for line in said] == [
        "messages.0.role",
        "messages.1.tool_calls.0.function.name",
        "messages.1.tool_calls.0.function.arguments",
        "success",
    ]
    said = problems(USER, calls(call("f"), call("g")), USER, result("y", 9))
    assert [line.split(": ")[0] for line in said] == [
        "messages.1.tool_calls.0.id",
        "messages.1.tool_calls.1.id",
        "messages.3.tool_call_id",
    ]


def test_long_texts_lose_their_middle_once():
    text = "a" * LONGEST + "b" * LONGEST
    cut = cut_text(text, LONGEST)
    assert len(cut) <= LONGEST and cut.startswith("aaa") and cut.endswith("bbb") and "characters left out" in cut
    found = read(USER, calls(call("get_a")), result(text))
    assert found.episode.steps[2].content == cut and found.normalised["texts cut in the middle"] == 1


def test_everything_that_is_kept_goes_through_the_scrubber():
    secret = "sesame"
    tools = [{"function": {"name": f"f{secret}", "description": secret, "parameters": {secret: secret}}}]
    found = read_conversation(
        {
            "messages": [
                {"role": "system", "content": secret},
                {"role": "user", "content": [{"type": "text", "text": secret}]},
                calls(call(f"f{secret}", {secret: [secret]}), content=secret),
                result(secret),
                say(f"{secret}? So."),
                {"role": "user", "content": secret},
                say(None, refusal=secret),
            ],
            "tools": tools,
            "id": secret,
            "group": secret,
        },
        NO_MAP,
        lambda value: json.loads(json.dumps(value).replace(secret, "***")),
    )
    kept = json.dumps(found._replace(first="")._asdict(), default=lambda model: model.model_dump())
    assert secret not in kept and kept.count("***") > 10


# -- and back --------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=30).map(plain)
SPOKEN = st.sampled_from(["Done.", "Which one?", "Which one? Say it.", "Anything else?", "No? Yes.", "a `?` b"]) | TEXT
NAMES = st.sampled_from(["get_order", "write_file", "run tests", "<|im_start|>", "check", "sök"])
ARGUMENTS = st.dictionaries(
    TEXT,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**20), 10**20)
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
RESULTS = TEXT | st.sampled_from(["Error: no", '{"error": "no"}', "ACCEPT", "fine"])


@st.composite
def turns(draw) -> list[dict[str, Any]]:
    """What one message of the agent is, with the results of its calls, or one of somebody else."""
    kind = draw(st.sampled_from(["user", "say", "refuse", "calls", "calls", "system", "empty", "label"]))
    if kind in ("user", "system"):
        return [{"role": kind, "content": draw(TEXT)}]
    if kind == "say":
        return [say(draw(SPOKEN))]
    if kind == "refuse":
        return [say(None, refusal=draw(TEXT.filter(bool)))]
    if kind == "label":
        return [say(draw(SPOKEN), action_type=draw(st.sampled_from(["BLOCKED", "final_answer", "ask_clarification"])))]
    if kind == "empty":
        return [say(draw(st.sampled_from(["", None, "  "])))]
    count = draw(st.integers(1, 3))
    made = [call(draw(NAMES), draw(ARGUMENTS), n) for n in range(count)]
    for one in made:
        if draw(st.integers(0, 4)) == 0:
            one["action_type"] = draw(st.sampled_from(["verifier", "repair", "tool_call"]))
    answered = [result(draw(RESULTS), n) for n in draw(st.permutations(range(count)))]
    return [calls(*made, content=draw(st.none() | TEXT)), *answered]


@st.composite
def conversations(draw) -> dict[str, Any]:
    messages = [m for turn in draw(st.lists(turns(), min_size=1, max_size=8)) for m in turn]
    tools = [{"type": "function", "function": {"name": n, "description": draw(TEXT)}} for n in draw(st.sets(NAMES))]
    return {"id": draw(TEXT), "messages": messages, "tools": tools}


@settings(max_examples=100, deadline=None)
@given(conversations())
def test_parsing_rendering_and_parsing_again_is_parsing_once(value):
    try:
        episode = read_conversation(decode(json.dumps(value)), NO_MAP).episode
    except Invalid as error:
        assert [problem.what for problem in error.problems] == [
            "no assistant message: there is no action to learn from"
        ]
        return
    again = read_conversation(decode(json.dumps(as_chat(episode))), NO_MAP).episode
    assert again == episode
    assert Episode.model_validate_json(episode.model_dump_json()) == episode


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.5],
        [[1], [2]],
        [True, None],
        [{"type": "flight", "id": 1}],
        [{"type": "file", "name": "a.txt"}, {"type": "file", "name": "b.txt"}],
        [{"type": "document", "source": "wiki", "title": "Boats"}],
        [{"type": "video", "title": "Holiday", "minutes": 12}],
        [{"type": "text", "id": 1}],
        [{"type": "text", "text": 7}],
        {"type": "text", "text": "x"},
    ],
)
def test_a_raw_result_is_kept_as_json_whatever_types_its_objects_have(value):
    found = read(USER, calls(call("a")), result(value), say("Done."))
    assert json.loads(found.episode.steps[2].content) == value
    assert found.normalised["results written as JSON"] == 1


def test_parts_of_a_result_are_parts():
    parts = [{"type": "text", "text": "see"}, {"type": "image", "source": {"data": "x"}}, {"type": "image"}]
    found = read(USER, calls(call("a")), result(parts), say("Done."))
    assert found.episode.steps[2].content == "see\n[image]\n[image]"


def test_values_in_problems_are_spelled_as_in_the_line():
    assert problems({"role": ["user"], "content": "a"}, say("b")) == [
        "messages.0.role: [\"user\"] is not one of 'system', 'developer', 'user', 'assistant' or 'tool'"
    ]
