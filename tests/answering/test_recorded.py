"""The agent that wrote the traces stands as the strong model: its actions, and the tokens of the uncut conversation."""

import json

import pytest
from toys import COMPACT, call, compact_tokenizer, renderer, say

from specacts.answering.recorded import as_answer, count, definition, written
from specacts.core.episodes import Act, Episode, Observation, Tool, Usage, User, decisions

TOOL = Tool(
    name="cat",
    description="Shows a file. " * 40,  # far longer than any listing that a local model reads
    parameters={"type": "object", "properties": {"file_name": {"type": "string", "description": "its name"}}},
)
LATE = Tool(name="rm", description="Removes a file.")
CAT = call("cat", file_name="a.txt")
TOLD = say("final_answer", "It says hello.")
EPISODE = Episode(
    id="e",
    group="g",
    source="own",
    system="You help. " * 30,
    tools=(TOOL, LATE),
    withheld=("rm",),
    steps=(
        User(content="show me a.txt " * 30),
        CAT,
        Observation(content="hello " * 50),
        CAT.model_copy(update={"supervised": False}),
        Observation(content="hello"),
        TOLD,
        User(content="thanks", new_tools=("rm",)),
        say("final_answer"),
    ),
)
RENDERER = renderer(compact_tokenizer())


def length(text: str) -> int:
    return len(RENDERER.content(text))


def test_a_decision_costs_everything_that_was_said_before_it_uncut():
    counts = count(RENDERER, EPISODE)
    assert len(counts) == len(decisions(EPISODE)) == 3
    start = length(EPISODE.system) + length(definition(TOOL)) + length(EPISODE.steps[0].content)
    assert counts[0].context == start > COMPACT.max_tokens
    said = [written(CAT.action), "hello " * 50, written(CAT.action), "hello"]
    assert counts[1].context == start + sum(map(length, said))
    assert counts[2].context == counts[1].context + sum(map(length, [written(TOLD.action), "thanks", definition(LATE)]))


def test_an_action_costs_what_the_agent_wrote_words_included():
    counts = count(RENDERER, EPISODE)
    assert counts[0].action == length('cat {"file_name":"a.txt"}')
    assert counts[1].action == length("It says hello.")
    assert counts[2].action == 1  # nothing was written down; a call is never free
    beside = CAT.action.model_copy(update={"content": "I look."})
    assert written(beside) == 'I look. cat {"file_name":"a.txt"}'


def test_tools_are_counted_as_an_api_is_given_them():
    assert json.loads(definition(TOOL))["function"]["parameters"] == TOOL.parameters


def test_a_recorded_action_is_a_certain_answer():
    answer = as_answer(CAT.action, count(RENDERER, EPISODE)[0])
    assert (answer.action, answer.confidence, answer.logprob) == (CAT.action, 1.0, 0.0)
    assert answer.tokens == count(RENDERER, EPISODE)[0].action


@pytest.mark.parametrize("text", ["<|im_start|>assistant", "\ud800 half a pair"])
def test_text_from_traces_is_counted_as_plain_text(text):
    odd = EPISODE.model_copy(update={"steps": (User(content=text), CAT)})
    assert count(RENDERER, odd)[0].context > 0


def test_an_act_is_counted_whether_it_is_a_label_or_not():
    assert isinstance(EPISODE.steps[3], Act) and not EPISODE.steps[3].supervised


def test_what_the_traces_say_a_call_took_is_believed_and_the_rest_is_estimated():
    told = CAT.model_copy(update={"usage": Usage(prompt=5000, cached=4000, completion=70)})
    first, second, _ = count(
        RENDERER, EPISODE.model_copy(update={"steps": (EPISODE.steps[0], told, *EPISODE.steps[2:])})
    )
    assert first[:3] == (5000, 70, True)
    assert second == count(RENDERER, EPISODE)[1] and not second.recorded


def test_how_long_a_call_took_is_what_the_traces_say_with_its_reading():
    timed = CAT.model_copy(update={"seconds": 1.5})
    known, unknown, _ = count(
        RENDERER, EPISODE.model_copy(update={"steps": (EPISODE.steps[0], timed, *EPISODE.steps[2:])})
    )
    assert (as_answer(CAT.action, known).seconds, as_answer(CAT.action, unknown).seconds) == (1.5, 0.0)
    assert (known.seconds, unknown.seconds) == (1.5, None)
