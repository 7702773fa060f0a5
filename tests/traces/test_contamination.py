"""Text of training that stands in test: found word for word, by part, and counted right."""

import random
from collections.abc import Sequence

import pytest
from elsewhere import elsewhere
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from toys import call, say, tool

from specacts.core.episodes import Act, Action, Episode, Observation, User
from specacts.traces import contamination
from specacts.traces.contamination import N, overlaps, texts
from specacts.traces.results import Contamination, Overlap

thorough = hypothesis_settings(max_examples=75, deadline=None, derandomize=True, database=None)


def episode(*steps: User | Act | Observation, tools: tuple = ()) -> Episode:
    return Episode(id="e", group="g", source="toy", tools=tools, steps=steps)


def asks(*messages: str) -> Episode:
    return episode(*(User(content=message) for message in messages))


def words(count: int, start: int = 0) -> str:
    return " ".join(f"w{n}" for n in range(start, start + count))


def overlap(episodes: int, ngrams: int, shared: int) -> Overlap:
    return Overlap(episodes=episodes, ngrams=ngrams, shared=shared)


def brute(test: Sequence[Episode], train: Sequence[Episode], n: int) -> Contamination:
    """The same by sets of tuples of words."""

    def grams(one: Episode, part: contamination.Part) -> set[tuple[str, ...]]:
        split = [contamination._WORD.findall(text.casefold()) for text in texts(one, part)]
        return {tuple(text[k : k + n]) for text in split for k in range(len(text) - n + 1)}

    found = {}
    for part in ("user", "all"):
        tested = [grams(one, part) for one in test]
        trained = set().union(*(grams(one, part) for one in train))
        known = set().union(*tested)
        found[part] = overlap(sum(bool(one & trained) for one in tested), len(known), len(known & trained))
    return Contamination(ngram=n, **found)


def test_twelve_words_in_common_are_no_overlap_and_thirteen_are_one():
    assert N == 13
    test = [asks(words(30))]
    assert overlaps(test, [asks("before " + words(12, 5) + " after")]).user == overlap(0, 18, 0)
    assert overlaps(test, [asks("before " + words(13, 5) + " after")]).user == overlap(1, 18, 1)
    assert overlaps(test, [asks("before " + words(14, 5) + " after")]).user == overlap(1, 18, 2)


def test_case_and_punctuation_do_not_matter():
    found = overlaps([asks(words(13))], [asks(words(13).upper().replace(" ", ", "))])
    assert found.user == overlap(1, 1, 1)


def test_the_order_of_words_matters():
    turned = " ".join(reversed(words(13).split()))
    assert overlaps([asks(words(13))], [asks(turned)]).user == overlap(0, 1, 0)


def test_no_ngram_reaches_from_one_message_into_the_next():
    test, train = [asks(words(20))], [asks(words(8), words(12, 8)), asks(words(10)), asks(words(10, 10))]
    assert overlaps(test, train).all == overlap(0, 8, 0)
    assert overlaps(train, test).all == overlap(0, 0, 0)


def test_planted_text_is_found_and_counted():
    rng = random.Random(0)
    line = lambda: " ".join(rng.choices("abcdefghijklmnop", k=25))  # noqa: E731
    test = [asks(line(), line()) for _ in range(200)]
    train = [asks(line()) for _ in range(500)]
    assert overlaps(test, train).user.shared == 0
    for number in (3, 50, 199):
        train.insert(number, asks("so " + test[number].steps[1].content))
    assert overlaps(test, train).user == overlap(3, 200 * 2 * 13, 3 * 13)


def test_an_ngram_that_several_episodes_share_counts_once_and_every_episode_does():
    test = [asks(words(13)), asks(words(13), words(13)), asks(words(14)), asks(words(13, 50))]
    assert overlaps(test, [asks(words(13))] * 3).user == overlap(3, 3, 1)


def test_the_user_and_all_are_told_apart():
    said = episode(User(content="go"), Observation(content=words(13)))
    found = overlaps([asks(words(13))], [said])
    assert (found.user, found.all) == (overlap(0, 1, 0), overlap(1, 1, 1))
    found = overlaps([said], [asks(words(13))])
    assert (found.user, found.all) == (overlap(0, 0, 0), overlap(1, 1, 1))


def test_everything_but_the_definitions_of_tools_is_text():
    arguments = {"a": "one", "deep": [{"b": ["two", 3, None, True]}, "three"]}
    one = episode(
        User(content="please"),
        call("f", **arguments),
        Observation(content="seen"),
        say(content="done"),
        tools=(tool("f", "a"),),
    )
    assert list(texts(one, "user")) == ["please"]
    assert [text for text in texts(one, "other") if text] == ["one", "two", "three", "seen", "done"]
    assert [text for text in texts(one, "all") if text] == ["please", "one", "two", "three", "seen", "done"]


def test_arguments_nested_deeper_than_the_stack_are_read():
    nested: list = ["bottom"]
    for _ in range(100_000):
        nested = [nested]
    assert list(contamination._strings({"a": nested})) == ["bottom"]
    while nested and isinstance(nested[0], list):
        nested = nested[0]  # taken apart by hand: freeing it in one go may be deep, too


def test_nothing_has_nothing_in_common():
    empty = Contamination(ngram=N, user=overlap(0, 0, 0), all=overlap(0, 0, 0))
    assert overlaps([], []) == overlaps([], [asks(words(20))]) == overlaps([asks("")], [asks("")]) == empty
    assert overlaps([asks(words(13))], []).all == overlap(0, 1, 0)


def test_sources_are_read_once():
    found = overlaps(iter([asks(words(13))]), (asks(words(13, n)) for n in range(200)))
    assert found.all == overlap(1, 1, 1)


@thorough
@given(
    st.lists(st.lists(st.text("aB .é\n", max_size=30), min_size=1, max_size=4), max_size=5),
    st.lists(st.lists(st.text("Ab .É\n", max_size=30), min_size=1, max_size=4), max_size=5),
    st.integers(1, 4),
)
def test_the_counts_are_those_of_comparing_sets(test: list[list[str]], train: list[list[str]], n: int):
    made = [
        [episode(User(content=one[0]), *(Observation(content=text) for text in one[1:])) for one in part]
        for part in (test, train)
    ]
    assert overlaps(*made, n=n) == brute(*made, n)


def test_a_full_memory_for_words_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    rng = random.Random(1)
    made = [[asks(" ".join(rng.choices("abc", k=40) + ["x" * 50])) for _ in range(100)] for _ in range(2)]
    expected = brute(*made, 5)
    assert 0 < expected.all.shared < expected.all.ngrams
    monkeypatch.setattr(contamination, "_REMEMBERED", 2)
    assert overlaps(*made, n=5) == expected


def test_hostile_text_is_taken_in():
    surrogates = "".join(map(chr, range(0xD800, 0xE000)))
    texts = ["", "\0", surrogates, words(7) + surrogates + words(6), "🏳️‍🌈 " * 50, "\u202eمرحبا بالعالم\u202c " * 10]
    texts += ["y" * 1_000_000, "z " * 50_000]
    one = episode(*(User(content=text) for text in texts if text != surrogates), Observation(content=surrogates))
    found = overlaps([one], [one])
    assert found == brute([one], [one], N)
    assert found.all.episodes == 1


def test_hashes_are_the_same_in_every_process():
    code = (
        "from specacts.traces.contamination import _Words, _ngrams;"
        "print(_ngrams(['Ärger über Öl heute'], 3, _Words()).tolist())"
    )
    here = contamination._ngrams(["Ärger über Öl heute"], 3, contamination._Words()).tolist()
    assert elsewhere(code) == here
    assert len(set(here)) == 2


def test_a_fault_that_was_injected_is_text_as_well():
    fault = Act(action=Action(type="tool_call", tool="f", arguments={"q": words(13)}), supervised=False)
    assert overlaps([episode(fault)], [asks(words(13))]).all == overlap(1, 1, 1)
