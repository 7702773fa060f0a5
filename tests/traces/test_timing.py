"""How long a call took is read where its unit is known, never includes a human's typing, and is never guessed."""

import json
from collections import Counter

import pytest

from specacts.core.episodes import Act, Episode, load_episodes, save_episodes
from specacts.traces.formats.detect import as_chat
from specacts.traces.formats.openai_chat import read_conversation
from specacts.traces.timing import IMPOSSIBLE, NO_UNIT, moment, seconds_of, timed
from specacts.traces.tool_types import TypeMap


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ({"latency_ms": 812}, 0.812),
        ({"latencyMs": [812]}, 0.812),
        ({"durationSeconds": 1.5}, 1.5),
        ({"duration_ms": 812}, 0.812),
        ({"response_time_ms": 812}, 0.812),
        ({"response_time_in_ms": 812}, 0.812),
        ({"_response_ms": 812}, 0.812),
        ({"llm_latency_ms": 812}, 0.812),
        ({"request_duration_ms": 812}, 0.812),
        ({"generation_time_seconds": 1.25}, 1.25),
        ({"elapsed_s": 2}, 2.0),
        ({"latency": "812 ms"}, 0.812),
        ({"latency": "1.5s"}, 1.5),
        ({"metrics": {"latency_ms": 812}}, 0.812),
        ({"start_time": "2026-01-05T10:00:00.000000", "end_time": "2026-01-05T10:00:01.500000"}, 1.5),
        ({"startTime": "2026-01-05T10:00:00Z", "endTime": "2026-01-05T11:00:02+01:00"}, 2.0),
        ({"startTime": 1767607200.25, "endTime": 1767607201.5}, 1.25),
        ({"started_at": 1767607200250, "completed_at": 1767607201500}, 1.25),
        ({"latency": 5, "start_time": 1767607200, "end_time": 1767607202}, 2.0),
        ({"total_duration": 1_500_000_000, "eval_count": 3}, 1.5),
        ({"usage": {"prompt_time": 0.1, "completion_time": 0.4, "total_time": 0.5}}, 0.5),
    ],
)
def test_a_latency_counts_where_its_unit_is_known(value, seconds):
    assert seconds_of(value, Counter()) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "noted"),
    [
        ({"latency": 812}, NO_UNIT),
        ({"duration": 1.5}, NO_UNIT),
        ({"response_time": 1.5}, NO_UNIT),
        ({"latency_ms": -3}, IMPOSSIBLE),
        ({"latency_ms": 0}, IMPOSSIBLE),
        ({"latency_ms": 3_600_001}, IMPOSSIBLE),
        ({"request_time_ms": 1767607200000}, IMPOSSIBLE),  # a point in time
        ({"start_time": "2026-01-05T10:00:02", "end_time": "2026-01-05T10:00:01"}, IMPOSSIBLE),
        ({"time_to_first_token_ms": 120}, None),
        ({"first_token_latency_ms": 120}, None),
        ({"latency_ms": True}, None),
        ({"latency_ms": "fast"}, None),
        ({"latency_ms": 10**400}, None),
        ({"start_time": "yesterday", "end_time": "today"}, None),
        ({"start_time": 3, "end_time": 5}, None),
        ([1], None),
    ],
)
def test_what_has_no_unit_or_cannot_be_is_left_out_and_counted(value, noted):
    found = Counter()
    assert seconds_of(value, found) is None
    assert found == (Counter([noted]) if noted else Counter())


def test_points_in_time_are_read_in_every_common_form():
    assert {
        moment(value)
        for value in (
            *("2026-01-05T10:00:00Z", "2026-01-05 10:00:00", "2026-01-05T11:00:00+01:00", "2026-01-05 10:00:00 UTC"),
            *(1767607200, 1767607200.0, 1767607200000, 1767607200000000000, "1767607200"),
        )
    } == {1767607200.0}
    assert moment("noon") is moment(None) is moment(True) is moment({}) is moment(12) is None


# -- conversations ----------------------------------------------------------------------------------------------


def at(second: float, zone: str = "Z") -> str:
    return f"2026-01-05T10:{int(second) // 60:02d}:{second % 60:06.3f}{zone}"


CALL = {"id": "1", "type": "function", "function": {"name": "get_order", "arguments": '{"order": 7}'}}
OTHER = {"id": "2", "type": "function", "function": {"name": "get_order", "arguments": '{"order": 8}'}}


def seconds(value: object) -> list[float | None]:
    found = as_chat(value)
    episode = read_conversation(found.chat, TypeMap({}, {}), lambda value: value, {}).episode
    return [step.seconds for step in episode.steps if isinstance(step, Act)]


def test_a_span_goes_from_what_the_model_was_given_to_its_answer_and_holds_no_typing():
    messages = [
        {"role": "system", "content": "You help.", "timestamp": at(0)},
        {"role": "user", "content": "Where is it?", "timestamp": at(1)},
        {"role": "assistant", "tool_calls": [CALL, OTHER], "timestamp": at(4)},
        {"role": "tool", "tool_call_id": "2", "content": "lost", "timestamp": at(30)},
        {"role": "tool", "tool_call_id": "1", "content": "sent", "timestamp": at(20)},
        {"role": "assistant", "content": "One was sent.", "timestamp": at(32)},
        {"role": "user", "content": "And now?", "timestamp": at(500)},
        {"role": "assistant", "content": "Nothing.", "timestamp": at(500.5)},
    ]
    assert seconds({"messages": messages}) == [1.5, 1.5, 2.0, 0.5]  # calls of one breath share its three seconds


def test_an_answer_of_which_something_given_has_no_time_has_none_either():
    messages = [
        {"role": "user", "content": "Where is it?", "timestamp": at(1)},
        {"role": "assistant", "tool_calls": [CALL], "timestamp": at(3)},
        {"role": "tool", "tool_call_id": "1", "content": "sent"},
        {"role": "assistant", "content": "It was sent.", "timestamp": at(32)},
    ]
    assert seconds({"messages": messages}) == [2.0, None]


def test_what_was_said_on_the_way_to_a_call_took_its_time_too():
    messages = [
        {"role": "user", "content": "Where is it?", "timestamp": at(1)},
        {"role": "assistant", "content": "I look.", "timestamp": at(3)},
        {"role": "assistant", "tool_calls": [CALL], "timestamp": at(4)},
    ]
    assert seconds({"messages": messages}) == [3.0]


def test_messages_that_were_written_down_at_once_say_nothing_of_time():
    messages = [
        {"role": "user", "content": "Where is it?", "created_at": at(1)},
        {"role": "assistant", "content": "Sent.", "created_at": at(1)},
    ]
    found = as_chat({"messages": messages})
    assert "seconds" not in found.chat["messages"][1] and found.noted[IMPOSSIBLE] == 1


def test_a_conversation_without_times_is_passed_on_as_it_is():
    chat = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello"}]}
    assert timed(chat, Counter()) is chat


SENT = {"role": "assistant", "content": "Sent."}
ASKED = [{"role": "user", "content": "Where is it?"}]
ANSWER = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESPONSES = [{"type": "function_call", "call_id": "1", "name": "get_order", "arguments": "{}"}]
AI = {"type": "ai", "content": "Sent."}
RUN = {"inputs": {"messages": [{"type": "human", "content": "Where?"}]}, "start_time": at(1, ""), "end_time": at(3, "")}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"request": {"messages": ASKED}, "response": {"choices": [{"message": ANSWER}]}, "latency_ms": 812}, 0.812),
        ({"messages": ASKED, "response": {"choices": [{"message": ANSWER}], "_response_ms": 812}}, 0.812),
        ({"messages": ASKED, "response": {"choices": [{"message": ANSWER}]}, "response_time": 812}, None),
        (
            {"request": {"messages": ASKED, "timestamp": at(1)}}
            | {"response": {"choices": [{"message": ANSWER}], "timestamp": at(3)}},
            2.0,
        ),
        (
            {"input": ASKED, "output": SENT, "startTime": at(1), "endTime": at(2)},
            1,
        ),
        ({"request": {"model": "m", "input": ASKED}, "response": {"output": RESPONSES}, "duration_ms": 5}, 0.005),
        ({"input": "Where?", "output": RESPONSES, "created_at": 1767607200, "completed_at": 1767607202}, 2.0),
        ({"messages": ASKED + [SENT | {"latency_ms": 812}]}, 0.812),
        (RUN | {"run_type": "llm", "outputs": {"generations": [[{"message": AI}]]}}, 2.0),
        (RUN | {"run_type": "chain", "outputs": {"messages": [AI]}}, None),  # with what tools took
    ],
)
def test_rows_of_calls_say_how_long_they_took(value, expected):
    assert seconds(value) == [expected]


def test_a_row_that_holds_several_calls_says_nothing_of_one():
    answer = [
        ANSWER,
        {"role": "tool", "tool_call_id": "1", "content": "sent"},
        SENT,
    ]
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    row = {"request": {"messages": ASKED}, "response": {"messages": answer}, "latency_ms": 812, "usage": usage}
    assert seconds(row) == [None, None]


def test_a_session_of_claude_code_has_its_times():
    lines = [
        {"type": "user", "timestamp": at(1), "message": {"role": "user", "content": "List them."}},
        *(
            {
                "type": "assistant",
                "timestamp": at(second),
                "message": {"role": "assistant", "id": "m", "content": [block]},
            }
            for second, block in (
                (3, {"type": "text", "text": "I look."}),
                (4, {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls"}}),
            )
        ),
        {"type": "user", "timestamp": at(50)}
        | {"message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a.txt"}]}},
        {"type": "assistant", "timestamp": at(52), "message": {"role": "assistant", "id": "n", "content": "One file."}},
    ]
    assert seconds({"loglines": [line | {"sessionId": "s", "uuid": str(n)} for n, line in enumerate(lines)]}) == [3, 2]


def test_results_of_tau2_and_atif_have_theirs():
    simulation = {
        "task_id": "1",
        "messages": [
            {"role": "user", "content": "Where?", "turn_idx": 0, "timestamp": "2026-01-05T10:00:01.000000"},
            {"role": "assistant", "tool_calls": [{"id": "c", "name": "get_order", "arguments": {}}]}
            | {"timestamp": "2026-01-05T10:00:02.500000"},
            {"role": "tool", "id": "c", "content": "sent", "timestamp": "2026-01-05T10:00:09"},
            {"role": "assistant", "content": "Sent.", "generation_time_seconds": 0.7},
        ],
    }
    assert seconds(simulation) == [1.5, 0.7]
    steps = [
        {"step_id": 1, "source": "user", "message": "Where?", "timestamp": at(1)},
        {"step_id": 2, "source": "agent", "message": "Sent.", "timestamp": at(2), "metrics": {"latency_ms": 812}},
        {"step_id": 3, "source": "user", "message": "Where?", "timestamp": at(3)},
        {"step_id": 4, "source": "agent", "message": "Sent.", "timestamp": at(9)},
    ]
    assert seconds({"schema_version": "ATIF-v1.7", "steps": steps}) == [0.812, None]


def test_seconds_survive_a_file_and_take_no_room_where_there_are_none(tmp_path):
    path = tmp_path / "episodes.jsonl"
    given = {"messages": [*ASKED, {"role": "assistant", "content": "Sent.", "seconds": 0.8}]}
    with_seconds: Episode = read_conversation(given, TypeMap({}, {})).episode.model_copy(update={"id": "one"})
    del given["messages"][1]["seconds"]
    without = read_conversation(given, TypeMap({}, {})).episode.model_copy(update={"id": "other"})
    save_episodes(path, [with_seconds, without])
    assert load_episodes(path) == [with_seconds, without]
    assert ["seconds" in json.dumps(json.loads(line)) for line in path.read_text().splitlines()] == [True, False]
