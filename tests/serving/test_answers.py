"""Actions as the API says them, and what upstream's bytes say."""

import gzip
import json

import pytest
from agents import ACTIONS
from upstreams import USAGE, calls

from specacts.serving.answers import Used, completion, heard, in_chunks, message_of

USED = Used(12, 8, 3)
WORDS = "Größe 7 — done.\n\nBye 👋"


@pytest.fixture(scope="module")
def client():
    """The types of OpenAI's client; imported here, because only one process of a test run needs them."""
    from openai.types import chat

    return chat


def whole(message):
    return completion(message, "big", USED, "specacts-0")


@pytest.mark.parametrize("action", [*ACTIONS, ACTIONS[1].model_copy(update={"arguments": {"why": WORDS}})])
def test_an_answer_is_a_completion_as_the_clients_own_types_have_it(client, action):
    found = whole(message_of(action, WORDS))
    read = client.ChatCompletion.model_validate(found, strict=True)
    (choice,) = read.choices
    assert (read.usage.prompt_tokens, read.usage.completion_tokens, read.usage.total_tokens) == (12, 3, 15)
    assert read.usage.prompt_tokens_details.cached_tokens == 8
    if action.tool:
        (call,) = choice.message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == (action.tool, action.arguments)
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        assert call.id.startswith(f"call_{action.type}_") and len(call.id) <= 40
    else:
        assert (choice.finish_reason, choice.message.content) == ("stop", WORDS)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("with_usage", [False, True])
def test_its_stream_says_the_same(client, action, with_usage):
    one = whole(message_of(action, WORDS))
    stream = b"".join(in_chunks(one, with_usage))
    events = [line[6:] for line in stream.decode().split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [client.ChatCompletionChunk.model_validate_json(event, strict=True) for event in events[:-1]]
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [with_usage]
    found = heard(stream, "text/event-stream")
    assert found.message["content"] == one["choices"][0]["message"]["content"]
    assert found.message.get("tool_calls") == one["choices"][0]["message"].get("tool_calls")
    assert found.usage == (USED if with_usage else None)


def test_an_action_without_words_says_what_it_is():
    assert message_of(ACTIONS[2], "")["content"] == "Done."


def test_ids_of_calls_are_never_the_same():
    assert len({message_of(ACTIONS[0], "")["tool_calls"][0]["id"] for _ in range(100)}) == 100


def test_upstreams_answer_is_read():
    body = json.dumps({"choices": [{"message": calls("look"), "finish_reason": "tool_calls"}], "usage": USAGE}).encode()
    for sent, encoding in ((body, ""), (gzip.compress(body), "gzip")):
        found = heard(sent, "application/json", encoding)
        assert found.message == calls("look") and found.usage == Used(100, 0, 7)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"<html>", "text/html"),
        (b"[" * 100_000, "application/json"),
        (b'{"choices": []}', "application/json"),
        (b'{"choices": [{"message": null}]}', "application/json"),
        (b'{"choices": "x"}', "application/json"),
        (b'data: {"choices": [{"index": 0, "delta": {"content": "half"}}]}\n\n', "text/event-stream"),
        (b"data: nonsense\n\n", "text/event-stream"),
        (b"\xff\xfe", "application/json"),
    ],
)
def test_what_is_no_whole_answer_is_none(body, kind):
    assert heard(body, kind) is None


def test_an_answer_in_another_encoding_is_not_looked_into():
    assert heard(b"{}", "application/json", "br") is None
    assert heard(b"no gzip", "application/json", "gzip") is None


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7"}, {"prompt_tokens": 7, "completion_tokens": -1}, 5])
def test_tokens_that_are_not_said_are_not_guessed(usage):
    body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
    assert heard(body, "application/json").usage is None
