"""The agent that wrote the traces stands as the strong model: its actions, and the tokens of the uncut conversation."""

import json
from typing import Any

import pytest
from toys import COMPACT, call, compact_tokenizer, renderer, say

from specacts.answering.recorded import as_answer, count, definition, written
from specacts.core.episodes import Act, Episode, Observation, Tool, Usage, User, decisions
from stages.answer import take_down

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


def with_usage(act: Act, prompt: int, cached: int, **more: Any) -> Act:
    return act.model_copy(update={"usage": Usage(prompt=prompt, cached=cached, completion=9), **more})


def test_what_the_provider_had_cached_is_what_the_logs_say_and_unknown_where_they_say_nothing():
    steps = (EPISODE.steps[0], with_usage(CAT, 900, 512), CAT, with_usage(CAT, 1000, 0))
    counts = count(RENDERER, EPISODE.model_copy(update={"steps": steps}))
    assert [one.cached for one in counts] == [512, None, 0] and [one.recorded for one in counts] == [True, False, True]


def test_a_call_that_decided_several_actions_read_its_prompt_once():
    steps = (EPISODE.steps[0], with_usage(CAT, 900, 512), with_usage(CAT, 900, 512, parallel=True))
    assert [one.cached for one in count(RENDERER, EPISODE.model_copy(update={"steps": steps}))] == [512, 900]


def test_a_row_of_answers_says_what_was_cached_only_where_the_logs_do():
    steps = (EPISODE.steps[0], with_usage(CAT, 900, 512), CAT)
    episode = EPISODE.model_copy(update={"steps": steps})
    rows = {(episode.id, n): {"window": {}, "context": {}, "seconds_per_token": {}} for n in range(2)}
    assert take_down(RENDERER, [episode], rows).usage == 1
    assert rows["e", 0]["cached"] == {"strong": 512} and "cached" not in rows["e", 1]


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
    assert first == (5000, 70, 4000, None)
    assert second == count(RENDERER, EPISODE)[1] and not second.recorded


def test_how_long_a_call_took_is_what_the_traces_say_with_its_reading():
    timed = CAT.model_copy(update={"seconds": 1.5})
    known, unknown, _ = count(
        RENDERER, EPISODE.model_copy(update={"steps": (EPISODE.steps[0], timed, *EPISODE.steps[2:])})
    )
    assert (as_answer(CAT.action, known).seconds, as_answer(CAT.action, unknown).seconds) == (1.5, 0.0)
    assert (known.seconds, unknown.seconds) == (1.5, None)
