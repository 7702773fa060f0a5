"""Every format gives the conversation that a person would write down, and nothing that was logged makes one fail."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note, settings
from nonsense import GENERATORS, anything
from places import ROOT

from specacts.core.episodes import Act, Observation
from specacts.traces.formats.detect import FORMATS, Found, Unsupported, as_chat
from specacts.traces.formats.openai_chat import Conversation, Invalid, read_conversation
from specacts.traces.reader import Continued, Reader, Reject, Source
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

NO_MAP = TypeMap({}, {})
USER = {"role": "user", "content": "Is the boat free on Sunday?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_boat", "arguments": '{"day": "Sunday"}'}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "free"}
DONE = {"role": "assistant", "content": "Yes, it is."}


def read(value: Any) -> Conversation:
    return read_conversation(as_chat(value).chat, NO_MAP)


def acts(found: Conversation) -> list[str]:
    """What the agent did, with `~` before what is context."""
    steps = [step for step in found.episode.steps if isinstance(step, Act)]
    return [f"{'' if act.supervised else '~'}{act.action.type}" for act in steps]


def results(found: Conversation) -> list[str]:
    return [step.content for step in found.episode.steps if isinstance(step, Observation)]


def outcomes(folder: Path, *values: Any) -> list[Any]:
    """What the reader makes of a file with these lines."""
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return list(Reader(NO_MAP, keep_secrets=False).read(Place(str(path), ())))


# -- the same conversations in other shapes --------------------------------------------------------------------

HELPDESK = [json.loads(line) for line in (ROOT / "examples/helpdesk.jsonl").read_text(encoding="utf-8").splitlines()]
KEPT = ("id", "group", "success", "reward")


def as_anthropic(value: dict[str, Any]) -> dict[str, Any]:
    """An OpenAI conversation as Anthropic Messages has it."""
    system = [m["content"] for m in value["messages"] if m["role"] in ("system", "developer")]
    messages: list[dict[str, Any]] = []
    for message in value["messages"]:
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) and content else list(content or [])
        if message["role"] == "user":
            messages.append({"role": "user", "content": blocks})
        elif message["role"] == "tool":
            block = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content}
            if messages[-1]["role"] == "user" and messages[-1]["content"][-1]["type"] == "tool_result":
                messages[-1]["content"].append(block)
            else:
                messages.append({"role": "user", "content": [block]})
        elif message["role"] == "assistant":
            for call in message.get("tool_calls") or []:
                made = call["function"]
                arguments = json.loads(made["arguments"] or "{}")
                blocks.append({"type": "tool_use", "id": call["id"], "name": made["name"], "input": arguments})
            if message.get("refusal"):
                blocks.append({"type": "refusal", "refusal": message["refusal"]})
            messages.append({"role": "assistant", "content": blocks})
    tools = [
        {"name": f["name"], "description": f.get("description", ""), "input_schema": f.get("parameters", {})}
        for f in functions(value)
    ]
    kept = {name: value[name] for name in KEPT if name in value}
    return {**kept, "system": "\n\n".join(system), "messages": messages, "tools": tools}


def functions(value: dict[str, Any]) -> list[dict[str, Any]]:
    tools = value.get("tools") or []
    tools = json.loads(tools) if isinstance(tools, str) else tools
    return [tool.get("function", tool) for tool in tools]


def as_responses(value: dict[str, Any]) -> dict[str, Any]:
    """The same as items of the Responses interface."""
    items: list[dict[str, Any]] = []
    for message in value["messages"]:
        content = message.get("content")
        if message["role"] == "tool":
            items.append({"type": "function_call_output", "call_id": message["tool_call_id"], "output": content})
            continue
        if message.get("refusal"):
            content = [{"type": "refusal", "refusal": message["refusal"]}]
        if content:
            items.append({"type": "message", "role": message["role"], "content": content})
        for call in message.get("tool_calls") or []:
            items.append({"type": "reasoning", "summary": []})
            items.append({"type": "function_call", "call_id": call["id"], **call["function"]})
    tools = [{"type": "function", **function} for function in functions(value)]
    return {**{name: value[name] for name in KEPT if name in value}, "input": items, "tools": tools}


def as_sharegpt(value: dict[str, Any]) -> dict[str, Any]:
    """The same as turns of ShareGPT, whose results have no ids: they follow in the order of their calls."""
    turns: list[dict[str, Any]] = []
    messages = value["messages"]
    for number, message in enumerate(messages):
        content = message.get("content")
        text = (
            content
            if isinstance(content, str)
            else "\n".join(part.get("text", f"[{part['type']}]") for part in content or [])
        )
        calls = message.get("tool_calls") or []
        if message["role"] == "tool":
            continue
        if message.get("refusal"):  # which this shape has no word for
            turns.append({"from": "gpt", "value": message["refusal"], "action_type": "BLOCKED"})
        if text or message["role"] == "user":
            speaker = {"user": "human", "assistant": "gpt"}.get(message["role"], "system")
            turns.append({"from": speaker, "value": text})
        if calls:
            made = [
                {"name": c["function"]["name"], "arguments": json.loads(c["function"]["arguments"] or "{}")}
                for c in calls
            ]
            turns.append({"from": "function_call", "value": json.dumps(made)})
            behind = {m["tool_call_id"]: m["content"] for m in answers(messages[number + 1 :])}
            found = [behind[call["id"]] for call in calls if call["id"] in behind]
            turns += [{"from": "observation", "value": answer} for answer in found]
    kept = {name: value[name] for name in KEPT if name in value}
    return {**kept, "conversations": turns, "tools": json.dumps(functions(value))}


def answers(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results at the beginning of what follows a call."""
    end = next((n for n, message in enumerate(messages) if message["role"] != "tool"), len(messages))
    return messages[:end]


@pytest.mark.parametrize("convert", [as_anthropic, as_responses, as_sharegpt])
def test_the_same_conversations_in_another_shape_are_the_same_episodes(convert):
    for value in HELPDESK:
        expected = read(value)
        found = read(convert(value))
        assert as_chat(convert(value)).format != as_chat(value).format
        assert found.episode == expected.episode, value["id"]
        assert (found.group, found.success, found.first) == (expected.group, expected.success, expected.first)


# -- kinds ------------------------------------------------------------------------------------------------------


def test_a_result_that_its_log_calls_failed_makes_the_next_call_a_repair():
    def use(number: int, day: str) -> dict[str, Any]:
        block = {"type": "tool_use", "id": f"t{number}", "name": "get_boat", "input": {"day": day}}
        return {"role": "assistant", "content": [block]}

    def answer(number: int, text: str, **more: Any) -> dict[str, Any]:
        return {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": f"t{number}", "content": text, **more}],
        }

    messages = [USER, use(1, "Sun"), answer(1, "unknown day", is_error=True), use(2, "Sunday"), answer(2, "free"), DONE]
    assert acts(read({"messages": messages})) == ["~retrieval", "repair", "final_answer"]
    messages[2] = answer(1, "unknown day")
    assert acts(read({"messages": messages})) == ["retrieval", "retrieval", "final_answer"]


@pytest.mark.parametrize("status", ["error", "success"])
def test_langchains_status_says_that_a_call_failed(status):
    def ai(day: str, key: str) -> dict[str, Any]:
        return {"type": "ai", "content": "", "tool_calls": [{"name": "get_boat", "args": {"day": day}, "id": key}]}

    messages = [{"type": "human", "content": "Free?"}, ai("Sun", "a")]
    messages += [{"type": "tool", "content": "which?", "tool_call_id": "a", "status": status}, ai("Sunday", "b")]
    assert acts(read({"messages": messages}))[1] == ("repair" if status == "error" else "retrieval")


def test_langchain_messages_are_read_in_all_three_ways():
    plain = [{"type": "human", "content": "Free?"}, {"type": "ai", "content": "Yes."}]
    nested = [{"type": m["type"], "data": m} for m in plain]
    classes = {"human": "HumanMessage", "ai": "AIMessageChunk"}
    dumped = [
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", classes[m["type"]]],
            "kwargs": {"content": m["content"]},
        }
        for m in plain
    ]
    run = {
        "run_type": "llm",
        "inputs": {"messages": [dumped[:1]]},
        "outputs": {"generations": [[{"message": dumped[1]}]]},
    }
    expected = read({"messages": [{"role": "user", "content": "Free?"}, {"role": "assistant", "content": "Yes."}]})
    for value in ({"messages": plain}, {"messages": nested}, {"messages": dumped}, run):
        assert read(value).episode == expected.episode


def test_what_is_thought_is_neither_context_nor_label():
    said = [
        "<think>Is it? Perhaps.</think>\n\nYes, it is.",
        "Is it? Perhaps.\n</think>\nYes, it is.",
        [{"type": "thinking", "thinking": "Is it?"}, {"type": "text", "text": "Yes, it is."}],
        [{"type": "reasoning", "text": "Is it?"}, {"type": "text", "text": "Yes, it is."}],
    ]
    for content in said:
        found = read({"messages": [USER, {"role": "assistant", "content": content, "reasoning": "Is it?"}]})
        assert [step.action.content for step in found.episode.steps[1:]] == ["Yes, it is."]
    found = read({"messages": [USER, {"role": "assistant", "content": "So: <think> opens."}]})
    assert found.episode.steps[1].action.content == "So: <think> opens."


def test_a_weight_of_zero_makes_context_of_words_and_of_calls():
    messages = [USER, {**CALLS, "weight": 0}, RESULT, {**DONE, "weight": 0}, USER, {**DONE, "weight": 1}]
    assert acts(read({"messages": messages})) == ["~retrieval", "~final_answer", "final_answer"]


def test_what_atif_copied_or_no_model_decided_is_context():
    def step(number: int, **more: Any) -> dict[str, Any]:
        call = {"tool_call_id": f"c{number}", "function_name": "get_boat", "arguments": {"day": number}}
        result = {"source_call_id": f"c{number}", "content": "free"}
        return {
            "step_id": number,
            "source": "agent",
            "message": "",
            "tool_calls": [call],
            "observation": {"results": [result]},
            **more,
        }

    steps = [{"step_id": 1, "source": "user", "message": "Free?"}]
    steps += [step(2, is_copied_context=True), step(3, llm_call_count=0), step(4)]
    value = {"schema_version": "ATIF-v1.8", "session_id": "s", "agent": {"name": "a", "version": "1"}, "steps": steps}
    atif = pytest.importorskip("atif")
    assert atif.Trajectory.model_validate(value)
    found = read(value)
    assert acts(found) == ["~retrieval", "~retrieval", "retrieval"] and found.group == "s"


def test_calls_as_text_are_calls_in_all_their_spellings():
    for text in (
        '<tool_call>\n{"name": "get_boat", "arguments": {"day": "Sunday"}}\n</tool_call>',
        "<tool_call>{'name': 'get_boat', 'arguments': {'day': 'Sunday'}}</tool_call>",
        '<think>Which?</think><tool_call>{"name": "get_boat", "arguments": {"day": "Sunday"}}',
        "<tool_call>\n<function=get_boat>\n<parameter=day>\nSunday\n</parameter>\n</function>\n</tool_call>",
    ):
        for result in (
            {"role": "tool", "content": "free"},
            {"role": "user", "content": "<tool_response>free</tool_response>"},
        ):
            found = read({"messages": [USER, {"role": "assistant", "content": text}, result, DONE]})
            assert found.episode.steps[1].action.arguments == {"day": "Sunday"} and results(found) == ["free"]
    with pytest.raises(Invalid, match="messages.1.content: a <tool_call> that is no call"):
        read({"messages": [USER, {"role": "assistant", "content": "<tool_call>get the boat</tool_call>"}]})


def test_definitions_in_a_system_prompt_are_tools():
    text = 'You call.\n<tools>\n{"type": "function", "function": {"name": "get_boat"}}\n</tools>'
    found = read({"messages": [{"role": "system", "content": text}, USER, DONE]})
    assert [tool.name for tool in found.episode.tools] == ["get_boat"] and found.episode.system == "You call."


def test_calls_are_read_however_their_name_and_arguments_stand():
    for one in (
        {"id": "c1", "function": "get_boat", "arguments": {"day": "Sunday"}, "type": "function"},
        {"id": "c1", "function": "get_boat", "args": {"day": "Sunday"}},
        {"id": "c1", "name": "get_boat", "arguments": '{"day": "Sunday"}'},
        {"id": "c1", "name": "get_boat", "args": {"day": "Sunday"}, "type": "tool_call"},
    ):
        found = read({"messages": [USER, {**CALLS, "tool_calls": [one]}, RESULT, DONE]})
        assert found.episode == read({"messages": [USER, CALLS, RESULT, DONE]}).episode, one


def test_an_error_beside_a_result_says_that_the_call_failed():
    second = {**CALLS, "tool_calls": [{**CALL, "id": "c2", "function": {"name": "get_boat", "arguments": "{}"}}]}
    for error in ("no such day", {"type": "timeout"}, True):
        found = read({"messages": [USER, CALLS, {**RESULT, "content": "", "error": error}, second]})
        assert acts(found) == ["~retrieval", "repair"]
    assert acts(read({"messages": [USER, CALLS, {**RESULT, "error": None}, second]})) == ["retrieval", "retrieval"]


def test_parts_that_hold_a_value_are_read():
    parts = [
        {"type": "reasoning", "value": "Hm."},
        {"type": "text", "value": "I look."},
        {"type": "tool_call", "value": '{"name": "get_boat", "arguments": {"day": "Sunday"}}'},
    ]
    messages = [
        {"role": "user", "content": [{"type": "text", "value": "Free?"}]},
        {"role": "assistant", "content": parts, "loss_weight": 1.0},
        {"role": "tool", "content": [{"type": "text", "value": "free"}]},
        {"role": "assistant", "content": [{"type": "text", "value": "Yes."}], "loss_weight": 0.0},
    ]
    found = read({"messages": messages})
    assert acts(found) == ["retrieval", "~final_answer"] and results(found) == ["free"] and found.first == "Free?"
    assert found.episode.steps[1].action.content == "I look."
    with pytest.raises(Invalid, match="'text' without `text`"):
        read({"messages": [USER, {"role": "assistant", "content": [{"type": "text", "body": "Yes."}]}]})


def test_an_answer_that_stands_on_both_sides_counts_once():
    value = {"messages": [USER, {**DONE, "source": "generate"}], "output": {"choices": [{"message": DONE}]}}
    assert (
        acts(read(value)) == ["final_answer"] and not read(value).normalised["texts joined to what the agent did next"]
    )


def test_a_session_that_was_exported_whole_is_one_conversation():
    lines = [
        {"type": "user", "message": USER},
        {"type": "assistant", "message": {**DONE, "content": [{"type": "text", "text": "Yes."}]}},
    ]
    assert acts(read({"loglines": lines, "sessionContext": {}})) == ["final_answer"]


def test_results_belong_to_calls_by_name_then_by_order():
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("get_a", "get_b", "get_a")]
    named = [{"role": "tool", "name": n, "content": c} for n, c in (("get_b", "B"), ("get_a", "A1"), ("get_a", "A2"))]
    assert results(read({"messages": [USER, {"role": "assistant", "tool_calls": calls}, *named]})) == ["A1", "B", "A2"]
    plain = [{"role": "tool", "content": c} for c in "xyz"]
    assert results(read({"messages": [USER, {"role": "assistant", "tool_calls": calls}, *plain]})) == ["x", "y", "z"]
    with pytest.raises(Invalid, match="missing, and 3 calls wait"):
        read({"messages": [USER, {"role": "assistant", "tool_calls": calls}, *plain[:2], DONE]})


def test_a_call_that_was_interrupted_is_context_and_all_else_is_used():
    again = {**CALLS, "tool_calls": [{**CALL, "id": "c2"}]}
    found = read({"messages": [USER, CALLS, USER, again, {**RESULT, "tool_call_id": "c2"}, DONE]})
    assert acts(found) == ["~retrieval", "retrieval", "final_answer"]
    late = read({"messages": [USER, CALLS, USER, RESULT, DONE]})
    assert acts(late) == ["~retrieval", "final_answer"] and results(late) == ["free"]


def test_a_task_in_the_system_prompt_is_what_the_user_asks():
    rules = {"role": "system", "content": "Be brief."}
    found = read({"messages": [rules, {"role": "system", "content": "Find a boat."}, CALLS, RESULT, DONE]})
    assert acts(found) == ["retrieval", "final_answer"]
    assert (found.episode.system, found.first) == ("Be brief.", "Find a boat.")


@pytest.mark.parametrize(
    "content",
    [[3, 17], [1.5], [[1], [2]], [{"type": "boat", "name": "Ida"}], [{"id": 1}], [None, 2], [True], {"type": "text"}],
)
def test_data_that_a_tool_returned_stays_its_json(content):
    found = read({"messages": [USER, CALLS, {**RESULT, "content": content}, DONE]})
    assert json.loads(results(found)[0]) == content


@pytest.mark.parametrize(
    "empty",
    [
        None,
        [],
        {},
        '{"type": "object"}',
        {"type": "object", "properties": None},
        {"type": "object", "properties": []},
        {"properties": {"day": None}, "required": None},
    ],
)
def test_empty_parameters_are_none(empty):
    tools = [{"type": "function", "function": {"name": "get_boat", "parameters": empty}}]
    (tool,) = read({"messages": [USER, DONE], "tools": tools}).episode.tools
    assert not tool.parameters.get("properties")


@pytest.mark.parametrize("wrong", ["day", [{"name": "day"}], 3])
def test_properties_that_are_no_object_are_told_with_their_field(wrong):
    for parameters in ({"type": "object", "properties": wrong}, {"properties": {"a": {"properties": wrong}}}):
        with pytest.raises(Invalid, match="tools.0.parameters: its `properties` are"):
            read({"messages": [USER, DONE], "tools": [{"function": {"name": "get_boat", "parameters": parameters}}]})


def test_tools_are_read_however_they_are_kept():
    function = {"name": "get_boat", "parameters": {"type": "object"}}
    whole = {"type": "function", "function": function}
    for tools in (
        [whole],
        [function],
        json.dumps([whole]),
        {"get_boat": function},
        [json.dumps(whole)],
        whole,
        ["get_boat"],
    ):
        assert [tool.name for tool in read({"messages": [USER, DONE], "tools": tools}).episode.tools] == ["get_boat"]
    for tools in (None, [], "", "null", "[]", {}):
        assert not read({"messages": [USER, DONE], "tools": tools}).episode.tools
    elsewhere = [
        {"type": "web_search"},
        {"type": "custom", "custom": {"name": "sql"}},
        {"type": "code_20250522", "name": "x"},
    ]
    found = read({"messages": [USER, DONE], "tools": [whole, *elsewhere]})
    assert len(found.episode.tools) == 1 and found.normalised["tools that run elsewhere left out"] == 3


def test_an_export_that_is_filled_with_nulls_is_the_same_without_them():
    def filled(message: dict[str, Any]) -> dict[str, Any]:
        return {**dict.fromkeys(("content", "tool_calls", "tool_call_id", "name")), **message}

    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_boat", "arguments": {"day": "Sunday", "hour": None}},
    }
    bare = {"id": "c1", "type": "function", "function": {"name": "get_boat", "arguments": {"day": "Sunday"}}}
    full = [filled(m) for m in (USER, {"role": "assistant", "tool_calls": [call]}, RESULT, DONE)]
    assert (
        read({"messages": full}).episode
        == read({"messages": [USER, {**CALLS, "tool_calls": [bare]}, RESULT, DONE]}).episode
    )
    kept = read({"messages": [USER, {**CALLS, "tool_calls": [call]}, RESULT, DONE]})  # null is what the agent gave here
    assert kept.episode.steps[1].action.arguments == {"day": "Sunday", "hour": None}


def parallel(found: Conversation) -> list[bool]:
    return [step.parallel for step in found.episode.steps if isinstance(step, Act)]


def call_of(key: str, name: str = "get_boat") -> dict[str, Any]:
    return {**CALLS, "tool_calls": [{"id": key, "function": {"name": name, "arguments": "{}"}}]}


def test_calls_in_messages_of_their_own_were_decided_together_if_their_results_stand_behind_all():
    answers = [{**RESULT, "tool_call_id": key, "content": key} for key in ("b", "a")]
    together = {**CALLS, "tool_calls": [*call_of("a")["tool_calls"], *call_of("b")["tool_calls"]]}
    expected = read({"messages": [USER, together, *answers, DONE]})
    found = read({"messages": [USER, call_of("a"), call_of("b"), *answers, DONE]})
    assert found.episode == expected.episode and parallel(found) == [False, True, False]
    words = {"role": "assistant", "content": "And Monday."}
    said = read({"messages": [USER, call_of("a"), words, call_of("b"), *answers, DONE]})
    assert [step.action.content for step in said.episode.steps if isinstance(step, Act)] == [
        "And Monday.",
        "",
        "Yes, it is.",
    ]
    assert results(said) == ["a", "b"] and parallel(said) == [False, True, False]
    interrupted = read({"messages": [USER, call_of("a"), call_of("b"), answers[0], DONE]})
    assert acts(interrupted) == ["~retrieval", "retrieval", "final_answer"] and not any(parallel(interrupted))
    again = read({"messages": [USER, call_of("a"), call_of("a"), answers[1], DONE]})  # the id of an interrupted call
    assert acts(again) == ["~retrieval", "retrieval", "final_answer"] and results(again) == ["[no result]", "a"]


@pytest.mark.parametrize("between", [{"type": "web_search_call", "id": "w"}, {"role": "assistant", "content": "And."}])
def test_calls_of_one_response_are_one_message_whatever_stands_between_them(between):
    calls = [{"type": "function_call", "call_id": key, "name": "get_boat", "arguments": "{}"} for key in "ab"]
    outputs = [{"type": "function_call_output", "call_id": key, "output": key} for key in "ab"]
    found = read({"input": [USER, calls[0], between, calls[1], *outputs]})
    assert parallel(found) == [False, True] and results(found) == ["a", "b"] and acts(found) == ["retrieval"] * 2
    last = read({"input": [USER], "output": [calls[0], between, calls[1]]})
    assert parallel(last) == [False, True] and acts(last) == ["retrieval"] * 2


@pytest.mark.parametrize("key", ["tool_use_id", "call_id", "toolCallId"])
def test_a_result_belongs_to_its_call_whatever_its_id_is_called(key):
    calls = {**CALLS, "tool_calls": [*call_of("a")["tool_calls"], *call_of("b")["tool_calls"]]}
    found = read({"messages": [USER, calls, *({"role": "tool", key: one, "content": one} for one in "ba"), DONE]})
    assert results(found) == ["a", "b"]


@pytest.mark.parametrize("name", ["tool_name", "toolName"])
def test_a_result_without_an_id_belongs_to_the_call_of_its_tool_whatever_that_is_called(name):
    calls = {**CALLS, "tool_calls": [{"function": {"name": one, "arguments": {}}} for one in ("get_a", "get_b")]}
    found = read({"messages": [USER, calls, *({"role": "tool", name: f"get_{n}", "content": n} for n in "ba"), DONE]})
    assert results(found) == ["a", "b"]


@pytest.mark.parametrize("name", ["tool_uses", "toolInvocation", "functionCalls", "tool_use"])
def test_calls_in_a_field_that_nobody_knows_are_told_with_it(name):
    for calls in ([{"name": "get_boat"}], {"name": "get_boat"}):
        with pytest.raises(Invalid, match=f"messages.1.{name}: the agent's calls in a field that is not known"):
            read({"messages": [USER, {"role": "assistant", "content": "I look.", name: calls}, DONE]})
    assert acts(read({"messages": [USER, {**DONE, name: None}]})) == ["final_answer"]


# -- requests and responses --------------------------------------------------------------------------------------


def test_text_that_a_result_holds_whole_is_read():
    parts = [
        {"type": "text", "text": "a"},
        {"type": "resource", "resource": {"uri": "file:///b", "text": "b"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "c"}},
        {"type": "resource", "resource": {"uri": "file:///d", "blob": "AAAA"}},
    ]
    assert results(read({"messages": [USER, CALLS, {**RESULT, "content": parts}]})) == ["a\nb\nc\n[resource]"]


def test_the_answer_of_a_request_is_the_last_action_whatever_the_sides_are_called():
    request, answered = (
        {"model": "m", "messages": [USER]},
        {"choices": [{"message": CALLS}], "usage": {"total_tokens": 3}},
    )
    expected = read({"messages": [USER, CALLS]})
    for value in (
        {"request": request, "response": answered},
        {"request": {"body": request}, "response": {"status_code": 200, "body": answered}},
        {"request_body": json.dumps(request), "response_body": json.dumps(answered)},
        {**request, "response": answered},
        {"input": [USER], "output": CALLS},
        {"inputs": request, "output": answered},
        {"custom_id": "r", "body": request, "response": {"body": answered}},
        {**request, "choices": answered["choices"]},
    ):
        assert read(value).episode == expected.episode, value


def test_the_sides_may_be_of_any_interface():
    block = {"type": "tool_use", "id": "c1", "name": "get_boat", "input": {"day": "Sunday"}}
    anthropic = {
        "request": {"model": "m", "system": "Be brief.", "messages": [USER], "max_tokens": 9},
        "response": {"type": "message", "role": "assistant", "content": [block], "usage": {"input_tokens": 3}},
    }
    item = {"type": "function_call", "call_id": "c1", "name": "get_boat", "arguments": '{"day": "Sunday"}'}
    responses = {
        "request": {"model": "m", "instructions": "Be brief.", "input": "Is the boat free on Sunday?"},
        "response": {"output": [{"type": "reasoning", "summary": []}, item]},
    }
    system = {"role": "system", "content": "Be brief."}
    for value in (anthropic, responses):
        assert read(value).episode == read({"messages": [system, USER, CALLS]}).episode


PIECE = {"choices": [{"delta": {"content": "x"}}]}


@pytest.mark.parametrize(
    "response",
    [
        *("data: {}\n", 'event: message_start\ndata: {"type": "message_start"}\n', ": PROCESSING\n\ndata: {}\n"),
        *([PIECE], PIECE, [PIECE, {"choices": [], "usage": {}}]),
        [{"type": "message_start"}, {"type": "content_block_delta", "delta": {"text": "x"}}, {"type": "message_stop"}],
        [{"type": "response.created"}, {"type": "response.completed", "response": {}}],
        '{"message": {"content": "x"}, "done": false}\n{"message": {"content": ""}, "done": true}\n',
    ],
)
def test_an_answer_in_pieces_is_told(response):
    with pytest.raises(Unsupported, match="answers in streamed pieces: not read; log the final message"):
        read({"request": {"messages": [USER]}, "response": response})


@pytest.mark.parametrize(
    "answer",
    [
        {"content": "I look.", "tool_calls": [CALL]},
        {"text": "I look.", "toolCalls": [{"toolCallId": "c1", "toolName": "get_boat", "args": {"day": "Sunday"}}]},
        {"role": "assistant", "content": "I look.", "additional_kwargs": {"tool_calls": [CALL]}},
        {"output": {"message": {"role": "assistant", "content": "I look.", "tool_calls": [CALL]}}},
    ],
)
def test_the_calls_of_an_answer_are_read_whatever_it_is_wrapped_in(answer):
    expected = read({"messages": [USER, {**CALLS, "content": "I look."}]})
    for value in (
        {"input": {"messages": [USER]}, "output": answer},
        {"run_type": "llm", "inputs": {"messages": [USER]}, "outputs": answer},
        {"input": {"inputBodyJson": {"messages": [USER]}}, "output": {"outputBodyJson": answer}},
        {"messages": {}, "proxy_server_request": {"messages": [USER]}, "response": answer},
    ):
        assert read(value).episode == expected.episode, value


def test_what_stands_beside_a_conversation_that_the_agent_ended_is_not_its_answer():
    for label in ({"result": "success"}, {"output": "resolved"}, {"completion": 1}, {"output": {"score": 1}}):
        found = read({"id": "x", "messages": [USER, DONE], **label})
        assert [step.content if step.role != "action" else step.action.content for step in found.episode.steps] == [
            USER["content"],
            DONE["content"],
        ]
        assert found.episode.id == "x"
    begun = {"role": "assistant", "content": "Yes, "}
    value = {"request": {"messages": [USER, begun]}, "response": {"choices": [{"message": DONE}]}}
    assert read(value).episode.steps[1].action.content == "Yes, \nYes, it is."


def test_rows_of_calls_grow_though_each_call_has_an_id(tmp_path):
    rows = [
        {"id": "call-1", "messages": [USER], "response": {"choices": [{"message": CALLS}]}},
        {"id": "call-2", "messages": [USER, CALLS, RESULT], "response": {"choices": [{"message": DONE}]}},
    ]
    (found,) = [one for one in outcomes(tmp_path, *rows) if isinstance(one, Conversation)]
    assert acts(found) == ["retrieval", "final_answer"]


def test_tools_are_found_among_the_settings_of_a_row():
    tools = [{"type": "function", "function": {"name": "get_boat"}}]
    value = {"messages": [USER], "model_parameters": {"tools": tools}, "response": {"choices": [{"message": CALLS}]}}
    assert [tool.name for tool in read(value).episode.tools] == ["get_boat"]


@pytest.mark.parametrize(
    "text",
    [
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_boat",
        '[TOOL_CALLS][{"name": "get_boat", "arguments": {}}]',
        "<|channel|>commentary to=functions.get_boat <|constrain|>json<|message|>{}<|call|>",
        'I look.\n<function_calls>\n<invoke name="get_boat">\n</invoke>\n</function_calls>',
        '<minimax:tool_call>\n<invoke name="get_boat"></invoke>',
        '<function=get_boat>{"day": "Sunday"}</function>',
        '<|python_tag|>get_boat.call(day="Sunday")',
    ],
)
def test_a_call_as_text_that_is_not_read_is_no_answer(text):
    with pytest.raises(Invalid, match="messages.1.content: a call as text in a form that is not read here"):
        read({"messages": [USER, {"role": "assistant", "content": text}, DONE]})
    said = {"role": "assistant", "content": "Models write [TOOL_CALLS] or `<function_calls>` there."}
    assert acts(read({"messages": [USER, said]})) == ["final_answer"]


def test_a_call_whose_arguments_langchain_could_not_read_is_context_and_keeps_its_result():
    broken = {"type": "invalid_tool_call", "id": "a", "name": "get_boat", "args": "{day", "error": "no JSON"}
    messages = [
        {"type": "human", "content": "Free?"},
        {"type": "ai", "content": "", "tool_calls": [], "invalid_tool_calls": [broken]},
        {"type": "tool", "content": "no JSON", "tool_call_id": "a", "status": "error"},
        {"type": "ai", "content": "", "tool_calls": [{"name": "get_boat", "args": {"day": "Sunday"}, "id": "b"}]},
        {"type": "tool", "content": "free", "tool_call_id": "b"},
    ]
    found = read({"messages": messages})
    assert acts(found) == ["~retrieval", "repair"] and results(found) == ["no JSON", "free"]


def test_how_a_run_of_mini_swe_agent_ended_is_no_message():
    end = {"role": "exit", "content": "patch", "extra": {"exit_status": "Submitted"}}
    assert read({"messages": [USER, CALLS, RESULT, end]}).episode == read({"messages": [USER, CALLS, RESULT]}).episode


# -- newer kinds of blocks and items -------------------------------------------------------------------------------


def test_tools_of_a_namespace_and_those_that_a_search_found_are_on_offer():
    tool = {"type": "function", "name": "get_boat", "parameters": {"type": "object"}}
    space = {"type": "namespace", "name": "harbour", "tools": [tool]}
    called = {"type": "function_call", "call_id": "c1", "name": "get_boat", "namespace": "harbour", "arguments": "{}"}
    search = [
        {"type": "tool_search_call", "call_id": "s", "execution": "client", "arguments": {"goal": "boats"}},
        {"type": "tool_search_output", "call_id": "s", "execution": "client", "tools": [space]},
    ]
    definition = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}
    found = read({"tools": [definition], "input": [USER, *search, called]})
    assert acts(found) == ["retrieval", "retrieval"] and results(found) == ["get_boat"]
    assert [tool.name for tool in found.episode.tools] == ["tool_search", "get_boat"]
    server = [{**one, "call_id": None, "execution": "server"} for one in search]
    found = read({"tools": [{"type": "tool_search"}, space], "input": [USER, *server, called]})
    assert acts(found) == ["retrieval"] and [tool.name for tool in found.episode.tools] == ["get_boat"]


def test_an_item_that_nobody_knows_is_told_with_its_place():
    item = {"type": "sonar_call", "call_id": "c1"}
    known = {"type": "function_call", "call_id": "c1", "name": "get_boat", "arguments": "{}"}
    with pytest.raises(Invalid, match="input.2.type: 'sonar_call' is no kind of item"):
        read({"input": [USER, known, item]})
    with pytest.raises(Invalid, match="output.1.type: 'sonar_call' is no kind of item"):
        read({"input": "Is it free?", "output": [known, item]})


def test_all_actions_of_a_computer_call_are_its_arguments_and_a_screenshot_is_a_picture():
    actions = [{"type": "click", "x": 1, "y": 2}, {"type": "screenshot"}]
    shot = {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"}
    items = [{"type": "computer_call", "call_id": "c1", "actions": actions}]
    found = read({"input": [USER, *items, {"type": "computer_call_output", "call_id": "c1", "output": shot}]})
    assert found.episode.steps[1].action.arguments == {"actions": actions} and results(found) == ["[input_image]"]


def test_items_that_are_no_messages_stand_in_a_list_among_them(tmp_path):
    call = {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"]}}
    items = [USER, {"type": "web_search_call", "id": "w"}, call, {"type": "shell_call_output", "call_id": "c1"}, DONE]
    path = tmp_path / "items.json"
    for text in (json.dumps(items), json.dumps(items, indent=1), f"{json.dumps(items)}\n{json.dumps([USER, DONE])}\n"):
        path.write_text(text, encoding="utf-8")
        found = list(Reader(NO_MAP, keep_secrets=False).read(Place(str(path), ())))
        assert acts(next(one for one in found if isinstance(one, Conversation)))[1:] == ["final_answer"]
        assert not any(isinstance(one, Reject) for one in found)


def test_summaries_by_the_server_are_nobodys_words_and_citations_divide_no_sentence():
    blocks = [
        {"type": "compaction", "content": "The user asks for boats."},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "free", "citations": [{"cited_text": "free"}]},
        {"type": "text", "text": "."},
    ]
    found = read({"system": "Be brief.", "messages": [USER, {"role": "assistant", "content": blocks}]})
    assert found.episode.steps[1].action.content == "It is free."


def test_what_code_of_the_model_called_is_context():
    block = {"type": "tool_use", "id": "c1", "name": "get_boat", "input": {}}
    answer = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "free"}]}
    for caller, expected in (("direct", "retrieval"), ("code_execution_20260120", "~retrieval")):
        used = {"role": "assistant", "content": [{**block, "caller": {"type": caller}}]}
        assert acts(read({"messages": [USER, used, answer, DONE]})) == [expected, "final_answer"]


def test_documents_and_search_results_of_the_user_are_text():
    blocks = [
        {"type": "document", "title": "Piers", "source": {"type": "text", "data": "A, B"}},
        {"type": "search_result", "source": "x", "title": "Boats", "content": [{"type": "text", "text": "Ida"}]},
        {"type": "document", "source": {"type": "base64", "data": "AAAA"}},
    ]
    found = read({"system": "Be brief.", "messages": [{"role": "user", "content": blocks}, DONE]})
    assert found.first == "Piers\nA, B\nBoats\nIda\n[document]"


def test_a_call_whose_beginning_is_on_a_server_is_never_read_without_it():
    output = [{"type": "message", "role": "assistant", "content": "Yes."}]
    for value in (
        {"input": "And on Monday?", "output": output, "previous_response_id": "r1"},
        {
            "request": {"model": "m", "input": "And on Monday?", "previous_response_id": "r1"},
            "response": {"output": output},
        },
    ):
        with pytest.raises(Unsupported, match="previous_response_id"):
            read(value)


def test_rows_that_grow_are_one_conversation(tmp_path):
    rows = [[USER, CALLS], [USER, CALLS, RESULT, DONE], [USER, CALLS, RESULT, DONE, USER, DONE]]
    other = {"messages": [{**USER, "content": "Hello"}, DONE]}
    found = outcomes(tmp_path, {"messages": rows[0]}, other, *({"messages": row} for row in rows[1:]))
    good = [one for one in found if isinstance(one, Conversation)]
    assert sorted(len(acts(one)) for one in good) == [1, 3]
    assert [one.where[-1] for one in found if isinstance(one, Continued)] == ["1", "3"]


def test_conversations_with_ids_of_their_own_are_never_one(tmp_path):
    found = outcomes(tmp_path, {"id": "a", "messages": [USER, DONE]}, {"id": "b", "messages": [USER, DONE, USER, DONE]})
    assert len([one for one in found if isinstance(one, Conversation)]) == 2


def test_rows_of_calls_grow_with_what_the_answer_was(tmp_path):
    rows = [
        {
            "request": {"messages": [{"role": "system", "content": "Now: 12:00"}, USER]},
            "response": {"choices": [{"message": CALLS}]},
        },
        {
            "request": {"messages": [{"role": "system", "content": "Now: 12:01"}, USER, CALLS, RESULT]},
            "response": {"choices": [{"message": {**DONE, "refusal": None}}]},
        },
    ]
    (found,) = [one for one in outcomes(tmp_path, *rows) if isinstance(one, Conversation)]
    assert acts(found) == ["retrieval", "final_answer"]


# -- files of lines that belong together --------------------------------------------------------------------------


def test_a_claude_code_session_is_one_conversation_and_a_subagents_another(tmp_path):
    def line(kind: str, content: Any, key: str, **more: Any) -> dict[str, Any]:
        message = {"role": kind, "content": content, **({"id": more.pop("message")} if "message" in more else {})}
        return {"type": kind, "sessionId": "s", "uuid": key, "message": message, **more}

    use = {"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": "a"}}
    answer = {"type": "tool_result", "tool_use_id": "t", "content": "boats", "is_error": False}
    found = outcomes(
        tmp_path,
        {"type": "summary", "summary": "Boats", "leafUuid": "x"},
        line("user", "<command>init</command>", "0", isMeta=True),
        line("user", "Which boats?", "1"),
        line("assistant", [{"type": "thinking", "thinking": "Hm?"}], "2", message="m"),
        line("assistant", [{"type": "text", "text": "I look."}], "3", message="m"),
        line("assistant", [use], "4", message="m"),
        line("user", [answer], "5"),
        line("user", "Count them", "7", isSidechain=True, agentId="b"),
        line("assistant", [{"type": "text", "text": "Two."}], "8", isSidechain=True, agentId="b"),
        line("user", [answer], "5"),
        line("assistant", [{"type": "text", "text": "Two boats."}], "6", message="n"),
        {"type": "something-new", "sessionId": "s"},
    )
    assert found[0] == Source(str(tmp_path / "t.jsonl"), "Claude Code sessions")
    good = [one for one in found if isinstance(one, Conversation)]
    assert [acts(one) for one in good] == [["file_read", "final_answer"], ["final_answer"]]
    assert good[0].episode.steps[1].action.content == "I look." and {one.group for one in good} == {"s"}


def session(*lines: tuple[str, Any, str, str | None], **more: Any) -> list[dict[str, Any]]:
    """Lines of a session: who, the content, the line's own id and that of the line before it."""
    return [
        {
            "type": kind,
            "sessionId": "s",
            "uuid": key,
            "parentUuid": parent,
            "message": {"role": kind, "content": content},
        }
        | more
        for kind, content, key, parent in lines
    ]


def used(key: str) -> list[dict[str, Any]]:
    return [{"type": "tool_use", "id": key, "name": "Read", "input": {"file_path": key}}]


def returned(key: str) -> list[dict[str, Any]]:
    return [{"type": "tool_result", "tool_use_id": key, "content": key}]


def conversations(folder: Path, *lines: Any) -> list[Conversation]:
    return [one for one in outcomes(folder, *lines) if isinstance(one, Conversation)]


def test_a_tool_that_runs_while_claude_code_still_writes_leaves_its_answer_one_message(tmp_path):
    lines = session(
        ("user", "Which boats?", "1", None),
        ("assistant", used("a"), "2", "1"),
        ("user", returned("a"), "3", "2"),
        ("assistant", used("b"), "4", "2"),
        ("user", returned("b"), "5", "4"),
        ("assistant", "Two.", "6", "5"),
    )
    for number in (1, 3):
        lines[number]["message"]["id"] = "m"
    (found,) = conversations(tmp_path, *lines)
    assert parallel(found) == [False, True, False] and results(found) == ["a", "b"]


@pytest.mark.parametrize("mark", [{"isApiErrorMessage": True}, {"message": {"model": "<synthetic>"}}])
def test_what_claude_code_says_in_the_agents_place_is_no_action(tmp_path, mark):
    lines = session(("user", "Which boats?", "1", None), ("assistant", "API Error: 529", "2", "1"))
    lines[1] |= {**mark, "message": {**lines[1]["message"], **mark.get("message", {})}}
    more = session(("user", "Go on", "3", "2"), ("assistant", "Two.", "4", "3"))
    (found,) = conversations(tmp_path, *lines, *more)
    assert [step.action.content for step in found.episode.steps if isinstance(step, Act)] == ["Two."]


def test_what_the_user_asks_while_claude_code_works_is_read(tmp_path):
    lines = session(
        ("user", "Which boats?", "1", None), ("assistant", used("a"), "2", "1"), ("user", returned("a"), "3", "2")
    )
    asked = [
        {"type": "attachment", "sessionId": "s", "uuid": mode, "attachment": {**queued, "commandMode": mode}}
        for queued in [{"type": "queued_command", "prompt": "And piers?"}]
        for mode in ("prompt", "task-notification")
    ]
    (found,) = conversations(tmp_path, *lines, *asked, *session(("assistant", "Two.", "4", "prompt")))
    assert [step.role for step in found.episode.steps] == ["user", "action", "observation", "user", "action"]


def test_a_question_that_the_user_takes_back_ends_a_conversation_and_the_other_goes_on_without_it(tmp_path):
    lines = session(
        ("user", "Count.", "1", None),
        ("assistant", "Two.", "2", "1"),
        ("user", "And piers?", "3", "2"),
        ("assistant", "Three.", "4", "3"),
        ("user", "And berths?", "5", "2"),
        ("assistant", "Four.", "6", "5"),
        ("user", "Begin again.", "7", None),
        ("assistant", "Yes.", "8", "7"),
    )
    found = conversations(tmp_path, *lines)
    assert [acts(one) for one in found] == [["final_answer"] * 2, ["~final_answer", "final_answer"], ["final_answer"]]
    assert [one.first for one in found] == ["Count.", "Count.", "Begin again."] and {one.group for one in found} == {
        "s"
    }


def test_a_session_is_known_by_its_notes_of_whatever_kind_and_never_read_line_by_line(tmp_path):
    notes = [{"type": f"note-{number}", "sessionId": "s"} for number in range(6)]
    lines = session(
        ("user", "Count.", "1", None), ("assistant", used("a"), "2", "1"), ("user", returned("a"), "3", "2")
    )
    (found,) = conversations(tmp_path, *notes, *lines)
    assert acts(found) == ["file_read"] and results(found) == ["a"]
    chats = [{"messages": [{**USER, "content": f"{number}"}, DONE]} for number in range(5)]
    mixed = outcomes(tmp_path, *chats, *lines)
    assert [one.printed() for one in mixed if isinstance(one, Reject)][1:] == [[], []]
    assert len([one for one in mixed if isinstance(one, Conversation)]) == 5
    traced = [{"type": "GENERATION", "sessionId": "s", "input": [USER], "output": DONE}] * 2
    assert outcomes(tmp_path, *traced)[0].what == "request and response"


def test_what_the_simulated_user_of_tau2_does_is_not_the_agents():
    turn = {"turn_idx": 1, "timestamp": "t"}
    messages = [
        {"role": "user", "content": "My phone is off", **turn},
        {"role": "assistant", "content": "Toggle it, please.", **turn},
        {
            "role": "user",
            "content": None,
            "tool_calls": [{"id": "u", "name": "toggle", "arguments": {}, "requestor": "user"}],
        },
        {"role": "tool", "id": "u", "content": "on", "requestor": "user", "error": False},
        {"role": "user", "content": "It is on."},
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "name": "get_line", "arguments": {}, "requestor": "assistant"}],
        },
        {"role": "tool", "id": "a", "content": "no such line", "requestor": "assistant", "error": True},
        {"role": "assistant", "content": "Done."},
    ]
    value = {"id": "sim", "task_id": "7", "messages": messages, "reward_info": {"reward": 0.0}}
    found = read({"info": {"environment_info": {"policy": "Be kind."}}, **value})
    assert acts(found) == ["final_answer", "retrieval", "final_answer"]
    assert (found.group, found.reward, found.episode.system) == ("task 7", 0.0, "Be kind.")


# -- what is not read, and what is broken -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"query": "q", "answers": "[]", "tools": "[]"}, "xLAM"),
        ({"prompt": [USER], "chosen": [DONE], "rejected": [DONE]}, "preference pairs"),
        ({"custom_id": "r", "method": "POST", "body": {"messages": [USER]}}, "batch requests without answers"),
        ({"custom_id": "r", "response": {"body": {"choices": []}}}, "answers without their requests"),
        ({"resourceSpans": []}, "OpenTelemetry"),
        ({"traceId": "t", "spanId": "s", "attributes": {"gen_ai.system": "x"}}, "OpenTelemetry"),
        ({"contents": [{"role": "user", "parts": [{"text": "x"}]}]}, "Gemini"),
        ({"messages": [{"role": "assistant", "content": [{"toolUse": {"name": "x"}}]}]}, "Bedrock"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool-call", "toolName": "x"}]}]}, "Vercel"),
        ({"messages": [{"role": "user", "parts": [{"type": "text", "text": "x"}]}]}, "Vercel"),
        ({"messages": [USER, {**DONE, "toolInvocations": [{"toolName": "x"}]}]}, "Vercel"),
        ([{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": [{"functionCall": {}}]}], "Gemini"),
        ({"messages": [{"role": "user", "blocks": [{"block_type": "text", "text": "x"}]}]}, "LlamaIndex"),
        ({"custom_id": "r", "params": {"messages": [USER]}}, "batch requests without answers"),
        ({"custom_id": "r", "result": {"type": "succeeded", "message": DONE}}, "answers without their requests"),
        ({"observations": [{"input": {"messages": [USER]}, "output": DONE}]}, "`observations` holds some"),
        ({"id": "r", "object": "response", "output": [DONE]}, "answers without their requests"),
        ({"steps": [{"step": 1, "tool_calls": [], "observations": "x"}]}, "smolagents"),
        ({"trajectory": [{"action": "ls", "observation": "x"}], "history": []}, "SWE-agent"),
        ({"id": 1, "source": "agent", "action": "run", "args": {}}, "OpenHands"),
        ({"instruction": "x", "input": "", "output": "y"}, "Alpaca"),
        ({"prompt": "x", "completion": "y"}, "pairs of texts"),
        ({"text": "<|im_start|>user\nx<|im_end|>"}, "chat template"),
        (USER, "one message a line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_known_and_not_read_is_refused_by_its_name_once_a_file(tmp_path, value, name):
    found = outcomes(tmp_path, *([value] * 8))
    assert len(found) == 1 and isinstance(found[0], Reject)
    (line,) = found[0].printed()
    assert name in line and ": not read; " in line and line.startswith(f"{tmp_path}/t.jsonl: ")


def test_of_a_kind_that_stands_among_others_only_the_first_is_told(tmp_path):
    pair = {"prompt": [USER], "chosen": [DONE], "rejected": [DONE]}
    found = outcomes(tmp_path, {"messages": [USER, DONE]}, pair, pair, pair)
    rejects = [one for one in found if isinstance(one, Reject)]
    assert len(rejects) == 3 and [len(one.printed()) for one in rejects] == [1, 0, 0]


def test_an_action_in_a_part_that_nobody_knows_is_never_dropped_in_silence():
    part = {"type": "functionCallPart", "name": "x"}
    with pytest.raises(Invalid, match="is no kind of content that is known"):
        read({"messages": [USER, {"role": "assistant", "content": [part]}]})


def test_formats_further_down_are_said_at_the_end(tmp_path):
    lines = [{"messages": [{**USER, "content": f"{n}"}, DONE]} for n in range(8)]
    found = outcomes(
        tmp_path, *lines, {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}]}
    )
    assert found[0].what == "OpenAI chat" and Source(str(tmp_path / "t.jsonl"), "ShareGPT (1)", also=True) in found


KEYS = (
    "messages role content tool_calls id function name arguments tool_call_id tools parameters type text from value "
    "conversations steps source step_id message observation results schema_version traj task_id turn_idx requestor "
    "data lc kwargs input output request response choices body prompt completion sessionId uuid inputs outputs "
    "generations items"
).split()
WORDS = (
    "user assistant tool human ai gpt agent function_call function_call_output tool_use tool_result text reasoning "
    "<tool_call>{} ATIF-v1.7 observation constructor {} [] null"
).split()

LISTS = "messages conversations steps traj results request response input output inputs outputs generations".split()


@settings(max_examples=200, deadline=None)
@given(GENERATORS)
def test_no_object_makes_a_format_fail(rng):
    for _ in range(10):
        value = {rng.choice(KEYS): anything(rng, KEYS, WORDS) for _ in range(rng.randint(1, 5))}
        if rng.random() < 0.5:  # most formats hold a list of objects
            rows = [{rng.choice(KEYS): anything(rng, KEYS, WORDS, 6) for _ in range(4)} for _ in range(3)]
            value[rng.choice(LISTS)] = rows
        note(json.dumps(value))
        try:
            found = as_chat(value)
        except (Invalid, Unsupported):
            continue
        assert isinstance(found, Found)
        try:
            read_conversation(found.chat, NO_MAP)
        except Invalid as error:
            assert error.problems


def test_every_format_has_a_name_of_its_own():
    names = Counter(module.NAME for module in FORMATS)
    assert set(names.values()) == {1} and all(module.__doc__ for module in FORMATS)
