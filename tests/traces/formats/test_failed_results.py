"""Where a log says whether a call failed, that decides what is a repair; else the text of the result does."""

import json
from typing import Any

import pytest

from specacts.core.episodes import Act
from specacts.traces.formats.detect import as_chat
from specacts.traces.formats.openai_chat import read_conversation
from specacts.traces.tool_types import TypeMap

USER = {"role": "user", "content": "Where is it?"}
ASKED = {"from": "human", "value": "Where is it?"}


def types(value: Any) -> list[str]:
    """What each of two calls is; in brackets what is context."""
    episode = read_conversation(as_chat(value).chat, TypeMap({}, {})).episode
    acts = [step for step in episode.steps if isinstance(step, Act) and step.action.tool]
    return [act.action.type if act.supervised else f"({act.action.type})" for act in acts]


def chat(**result: Any) -> Any:
    messages: list[Any] = [USER]
    for number, told in enumerate((result, {"content": "sent"})):
        function = {"name": "get_order", "arguments": json.dumps({"order": number})}
        messages.append({"role": "assistant", "tool_calls": [{"id": f"c{number}", "function": function}]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", **told})
    return {"messages": messages}


def exchange(**result: Any) -> Any:
    *before, call, _ = chat(**result)["messages"]
    return {"request": {"messages": before}, "response": {"choices": [{"message": call}]}}


def bundled(**result: Any) -> Any:
    whole = chat(content="")
    whole["messages"][2] = {"role": "tool", "content": [{"tool_call_id": "c0", **result}]}
    return whole


def anthropic(**result: Any) -> Any:
    messages: list[Any] = [USER]
    for number, told in enumerate((result, {"content": "sent"})):
        call = {"type": "tool_use", "id": f"c{number}", "name": "get_order", "input": {"order": number}}
        messages.append({"role": "assistant", "content": [call]})
        messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"c{number}", **told}]})
    return {"messages": messages}


def claude_code(**result: Any) -> Any:
    lines = [{"type": message["role"], "message": message} for message in anthropic(**result)["messages"]]
    return {"loglines": [{**line, "sessionId": "s", "uuid": str(n)} for n, line in enumerate(lines)]}


def responses(**result: Any) -> Any:
    items: list[Any] = [USER]
    for number, told in enumerate((result, {"output": "sent"})):
        arguments = json.dumps({"order": number})
        items.append({"type": "function_call", "call_id": f"c{number}", "name": "get_order", "arguments": arguments})
        items.append({"type": "function_call_output", "call_id": f"c{number}", **told})
    return {"input": items}


def langchain(**result: Any) -> Any:
    messages: list[Any] = [{"type": "human", "content": "Where is it?"}]
    for number, told in enumerate((result, {"content": "sent"})):
        call = {"id": f"c{number}", "name": "get_order", "args": {"order": number}}
        messages.append({"type": "ai", "content": "", "tool_calls": [call]})
        messages.append({"type": "tool", "tool_call_id": f"c{number}", **told})
    return {"messages": messages}


def atif(**result: Any) -> Any:
    steps: list[Any] = [{"step_id": 1, "source": "user", "message": "Where is it?"}]
    for number, told in enumerate((result, {"content": "sent"})):
        call = {"tool_call_id": f"c{number}", "function_name": "get_order", "arguments": {"order": number}}
        observation = {"results": [{"source_call_id": f"c{number}", **told}]}
        step = {"step_id": number + 2, "source": "agent", "message": "", "tool_calls": [call]}
        steps.append({**step, "observation": observation})
    return {"schema_version": "ATIF-v1.7", "steps": steps}


def tau2(**result: Any) -> Any:
    messages: list[Any] = [{**USER, "turn_idx": 0}]
    for number, told in enumerate((result, {"content": "sent"})):
        call = {"id": f"c{number}", "name": "get_order", "arguments": {"order": number}}
        messages.append({"role": "assistant", "tool_calls": [call]})
        messages.append({"role": "tool", "id": f"c{number}", "requestor": "assistant", **told})
    return {"task_id": "1", "messages": messages}


def sharegpt(**result: Any) -> Any:
    turns: list[Any] = [ASKED]
    for number, told in enumerate((result, {"value": "sent"})):
        call = json.dumps({"name": "get_order", "arguments": {"order": number}})
        turns += [{"from": "function_call", "value": call}, {"from": "observation", **told}]
    return {"conversations": turns}


@pytest.mark.parametrize(
    "value",
    [
        chat(content="hm", is_error=True),
        chat(content="hm", status="error"),
        chat(content="hm", error="timeout"),
        chat(content={"content": [{"type": "text", "text": "hm"}], "isError": True}),  # as MCP has it
        chat(content="Error: no such order"),
        exchange(content="hm", is_error=True),
        bundled(content="hm", is_error=True),
        anthropic(content="hm", is_error=True),
        claude_code(content="hm", is_error=True),
        responses(output="hm", status="incomplete"),
        langchain(content="hm", status="error"),
        langchain(content="Error: no such order", status="success"),  # which is what LangChain says of every result
        atif(content="hm", extra={"is_error": True}),
        atif(content="hm", extra={"status": "error"}),
        tau2(content="hm", error=True),
        sharegpt(value='{"error": "no such order"}'),
    ],
)
def test_a_call_that_failed_is_put_right_by_a_repair(value: Any):
    assert types(value) == ["(retrieval)", "repair"]


@pytest.mark.parametrize(
    "value",
    [
        chat(content="Error: is the first word of the log", is_error=False),
        bundled(content="Error: is the first word of the log", is_error=False),
        anthropic(content="Error: is the first word of the log", is_error=False),
        claude_code(content="Error: is the first word of the log", is_error=False),
        tau2(content="Error: is the first word of the log", error=False),
    ],
)
def test_a_call_that_the_log_says_went_well_did_whatever_its_result_reads_like(value: Any):
    assert types(value) == ["retrieval", "retrieval"]
