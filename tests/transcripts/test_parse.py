"""Text is read back as an action, or is malformed; nothing raises."""

import pytest
from toys import COMPACT, compact_tokenizer

from specacts.transcripts.render import Renderer

MALFORMED = ["x", "", "f", "f {", "f {}}", "f []", "f 1", 'f {"a":NaN}', 'f {"a":-Infinity}', 'f {"a":1e999}', " {}"]


@pytest.mark.parametrize("rest", [*MALFORMED, "f " + "[" * 50_000, 'f {"a":' + "9" * 5_000 + "}"])
def test_a_malformed_call_is_no_action(rest):
    renderer = Renderer.load(compact_tokenizer(), COMPACT)
    assert renderer.parse(f"call {rest}") is None


@pytest.mark.parametrize("rest", [r"\ud800 {}", r'f {"a":"\ud800"}', r'f {"\udfff":1}', r'f {"a":[{"b":"\ud83d"}]}'])
def test_half_a_surrogate_pair_is_malformed_because_no_file_can_hold_it(rest):
    renderer = Renderer.load(compact_tokenizer(), COMPACT)
    assert renderer.parse(f"call {rest}") is None
    assert renderer.parse('call f {"a":"\\ud83d\\ude00"}').arguments == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    "text", ["", " call f {}", "Call f {}", "run f {}", "callf {}", "done{}", "donee", "call", "7"]
)
def test_what_does_not_begin_with_an_action_word_is_no_action(text):
    assert Renderer.load(compact_tokenizer(), COMPACT).parse(text) is None


@pytest.mark.parametrize("word", ["done", "ask", "blocked"])
def test_a_speaking_action_may_say_nothing(word):
    assert Renderer.load(compact_tokenizer(), COMPACT).parse(word).content == ""
