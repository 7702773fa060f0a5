"""What a model call took is read under every name that providers give it, and never guessed."""

import json
from collections import Counter

import pytest

from specacts.core.episodes import Act, Episode, Usage, load_episodes, save_episodes
from specacts.traces.formats.openai_chat import decode, read_conversation
from specacts.traces.tool_types import TypeMap
from specacts.traces.usage import usage_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"prompt_tokens": 1200, "completion_tokens": 40}, (1200, 0, 40)),
        ({"prompt_tokens": 12, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}, (12, 8, 4)),
        ({"prompt_tokens": 12, "completion_tokens": 4, "prompt_tokens_details": None}, (12, 0, 4)),
        ({"input_tokens": 12, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 3}}, (12, 3, 4)),
        # Anthropic's input leaves out what came from the cache, and what went there
        ({"input_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7, "output_tokens": 4},)
        + ((102, 90, 4),),
        ({"input_tokens": 12, "output_tokens": 4, "input_token_details": {"cache_read": 3}}, (12, 3, 4)),
        ({"promptTokenCount": 12, "candidatesTokenCount": 4, "cachedContentTokenCount": 2}, (12, 2, 4)),
        ({"prompt_tokens": 12.0, "completion_tokens": 4.0}, (12, 0, 4)),  # as tables export whole numbers
        ({"prompt_tokens": 12, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 99}}, (12, 12, 4)),
    ],
)
def test_counts_are_read_under_their_names(value, expected):
    assert usage_of(value) == Usage(**dict(zip(("prompt", "cached", "completion"), expected, strict=True)))


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        "1200 tokens",
        [1200, 40],
        {"prompt_tokens": 1200},
        {"prompt_tokens": True, "completion_tokens": 4},
        {"prompt_tokens": -1, "completion_tokens": 4},
        {"prompt_tokens": 1.5, "completion_tokens": 4},
        {"prompt_tokens": float("inf"), "completion_tokens": 4},
        {"prompt_tokens": float("nan"), "completion_tokens": 4},
        {"prompt_tokens": "1200", "completion_tokens": 4},
    ],
)
def test_what_is_no_count_is_not_known(value):
    assert usage_of(value) is None


CALL = {"id": "1", "type": "function", "function": {"name": "get_order", "arguments": '{"order": 7}'}}
OTHER = {"id": "2", "type": "function", "function": {"name": "get_order", "arguments": '{"order": 8}'}}
USAGE = {"prompt_tokens": 100, "completion_tokens": 9}


def episode(*messages: dict) -> Episode:
    given = {"messages": [{"role": "user", "content": "Where are they?"}, *messages]}
    return read_conversation(decode(json.dumps(given)), TypeMap({}, {}), lambda value: value, {}).episode


def acts(found: Episode) -> list[Act]:
    return [step for step in found.steps if isinstance(step, Act)]


def test_an_action_holds_what_its_call_took_and_others_hold_nothing():
    found = episode(
        {"role": "assistant", "tool_calls": [CALL], "usage": USAGE},
        {"role": "tool", "tool_call_id": "1", "content": "sent"},
        {"role": "assistant", "content": "It was sent."},
    )
    assert [act.usage for act in acts(found)] == [Usage(prompt=100, cached=0, completion=9), None]


def test_calls_of_one_breath_share_what_was_written_and_each_read_the_prompt():
    found = episode({"role": "assistant", "tool_calls": [CALL, OTHER], "usage": USAGE})
    assert [act.usage for act in acts(found)] == [Usage(prompt=100, cached=0, completion=5)] * 2


def test_usage_survives_a_file_and_takes_no_room_where_there_is_none(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with_usage = episode({"role": "assistant", "content": "Sent.", "usage": USAGE})
    without = episode({"role": "assistant", "content": "Sent."}).model_copy(update={"id": "other"})
    save_episodes(path, [with_usage, without])
    assert load_episodes(path) == [with_usage, without]
    counts = Counter("usage" in line for line in path.read_text(encoding="utf-8").splitlines())
    assert counts == {True: 1, False: 1}
