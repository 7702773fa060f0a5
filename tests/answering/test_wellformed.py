"""What may be written is an action, and every action of the traces that fits its tool's schema may be written."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from toys import TOOLS, compact_tokenizer, episode, renderer

from specacts.answering.wellformed import Grammar, offered
from specacts.core.episodes import Action, Tool, decisions
from specacts.transcripts.parse import dump_arguments

RENDERER = renderer(compact_tokenizer())
CAT = Tool(
    name="cat",
    parameters={
        "type": "object",
        "properties": {
            "file_name": {"type": "string"},
            "lines": {"type": "integer"},
            "zoom": {"type": "number"},
            "mode": {"type": "string", "enum": ["raw", "html"]},
            "marks": {"type": "array", "items": {"type": "boolean"}},
            "options": {"type": "object", "properties": {"deep": {"type": ["integer", "null"]}}, "required": ["deep"]},
            "extra": {},
        },
        "required": ["file_name"],
    },
)
FREE = Tool(name="free form", parameters={})
GRAMMAR = Grammar.of(RENDERER, (CAT, FREE, *TOOLS))


def goes_on(text: str) -> bool:
    return GRAMMAR.after(GRAMMAR.start, text.encode()) is not None


def is_whole(text: str) -> bool:
    state = GRAMMAR.after(GRAMMAR.start, text.encode())
    return state is not None and GRAMMAR.ends(state)


@pytest.mark.parametrize(
    "text",
    [
        "done",
        "ask Which file?",
        "blocked",
        'read cat {"file_name":"a"}',
        'read cat {"lines":-3,"file_name":"ü \\\\ \\" \\u00e4 \\n"}',
        'fix cat {"file_name":"a","zoom":1.5e-3,"mode":"html","marks":[true,false],"options":{"deep":null}}',
        'check cat {"file_name":"a","extra":[{"x":[null,0.5,""]},{}]}',
        'search free\\u0020form {"a":{"b":[]},"c":false}',
        "call move {}",
    ],
)
def test_actions_may_be_written_and_are_read(text):
    assert is_whole(text) and RENDERER.parse(text) is not None
    assert all(goes_on(text[:n]) for n in range(len(text)))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("walk", 1),
        ("readcat", 4),
        ("doner", 4),
        ("read dog", 5),
        ("read cat  {", 9),
        ('read cat {"name"', 11),
        ('read cat {"lines":1.5', 19),
        ('read cat {"lines":01', 19),
        ('read cat {"lines":"1"', 18),
        ('read cat {"mode":"rich"', 19),
        ('read cat {"file_name":"a","file_name"', 27),
        ('read cat {"lines":1}', 19),
        ('read cat {"file_name":"a",}', 26),
        ('read cat {"file_name":"a"}}', 26),
        ('read cat {"file_name":"\n', 23),
        ('read cat {"file_name":"\\ud800', 26),
        ('read cat {"zoom":1e999', 21),
        ('read cat {"marks":[1', 19),
        ('read cat {"marks":[true,]', 24),
    ],
)
def test_what_is_no_action_is_stopped_at_the_byte_where_it_stops_being_one(text, at):
    assert goes_on(text[:at]) and not goes_on(text[: at + 1])


def test_every_action_of_an_episode_may_be_written_with_the_tools_on_offer_there():
    toy = episode()
    for decision in decisions(toy):
        grammar = Grammar.of(RENDERER, offered(toy, decision.step))
        text = RENDERER.text(RENDERER.action_ids(decision.gold))
        state = grammar.after(grammar.start, text.encode())
        assert state is not None and grammar.ends(state), text


def test_a_tool_is_on_offer_from_the_message_that_brings_it():
    toy = episode()
    steps = [decision.step for decision in decisions(toy)]
    assert [tool.name for tool in offered(toy, steps[0])] == ["move", "look"]
    assert [tool.name for tool in offered(toy, steps[-1])] == ["move", "look", "send"]


def test_without_tools_one_speaks():
    grammar = Grammar.of(RENDERER, ())
    assert grammar.after(grammar.start, b"call") is None and grammar.after(grammar.start, b"done") is not None


# As elsewhere; without a deadline, which a busy machine misses.
quick = hypothesis_settings(max_examples=60, deadline=None, derandomize=True, database=None)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(1e-90, 1e90) | st.floats(-9, -1e-9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@quick
@given(arguments=st.dictionaries(st.text(), VALUES, max_size=3))
def test_any_arguments_may_be_written_where_nothing_is_known_of_them(arguments):
    try:
        text = f"call free\\u0020form {dump_arguments(arguments)}"
        text.encode()
    except UnicodeEncodeError:
        return
    assert is_whole(text)


@quick
@given(cut=st.integers(0, 200), number=st.integers(0, 3))
def test_whatever_was_begun_can_be_ended_and_is_an_action_then(cut, number):
    texts = (
        'fix cat {"file_name":"aü","zoom":1.5e-3,"mode":"html","marks":[true,false],"options":{"deep":null}}',
        'read cat {"lines":-3,"file_name":"\\u00e4 \\n"}',
        'search free\\u0020form {"a":{"b":[1,{"c":"d"}]},"c":false}',
        "ask Which file, ü?",
    )
    begun = texts[number].encode()[:cut]
    state = GRAMMAR.after(GRAMMAR.start, begun)
    assert state is not None
    ended = begun + GRAMMAR.closing(state)
    after = GRAMMAR.after(GRAMMAR.start, ended)
    assert after is not None and GRAMMAR.ends(after)
    action = RENDERER.parse(ended.decode())  # what was begun with half a character too
    assert isinstance(action, Action) and json.dumps(action.arguments)
