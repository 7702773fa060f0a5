"""When arguments of two calls are the same, by rule, whatever a log holds."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from specacts.core.comparison import (
    RULE_KINDS,
    Compared,
    Rule,
    canonical,
    compared,
    kinds_in,
    same_arguments,
    shared_words,
    words,
)

quick = hypothesis_settings(max_examples=60, deadline=None, derandomize=True, database=None)
HUGE = 10**400


def same(rule: Rule, proposed: object, recorded: object) -> bool:
    return same_arguments({"x": proposed}, {"x": recorded}, {"x": rule})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, 1),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (" a ", "a"),
        ({"b": [1.0, (2.0,)], "a": {"c": " x"}}, {"a": {"c": "x"}, "b": [1, [2]]}),
        (float("inf"), float("inf")),
    ],
)
def test_canonical_arguments(value, expected):
    result = canonical(value)
    assert result == expected and type(result) is type(expected)
    assert not isinstance(result, dict) or list(result) == sorted(result)


@pytest.mark.parametrize(
    ("proposed", "recorded", "expected"),
    [
        (101, 100, True),
        (99, 100.0, True),
        (102, 100, False),
        (1.01, 1.0, True),  # as floats they are a little more than a hundredth apart
        (1.0101, 1.0, False),
        (-101, -100, True),
        (-100, 100, False),
        (0, 0.0, True),
        (1e-9, 0, False),
        (0, 1e-9, False),
        (HUGE + 1, HUGE, True),
        (2 * HUGE, HUGE, False),
        (HUGE, 1.5, False),
        (1.5, HUGE, False),
        (float("inf"), 1.0, False),
        (float("inf"), float("inf"), True),
        (1e308, 1.7e308, False),
        (5e-324, 5e-324, True),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        ("100", 100, False),
        ("101", "100", False),
        (" a ", "a", True),
        (None, 0, False),
        ([1.0, 2.01], [1, 2], True),
        ([1, 2], [1, 2, 3], False),
        ([[1], [100]], [[1], [101]], True),
        ([], 0, False),
        ({"y": 101}, {"y": 100}, False),  # what lies inside has a path of its own
    ],
)
def test_numbers_may_differ_by_a_share_of_the_recorded_one(proposed, recorded, expected):
    assert same(Rule("number", 0.01), proposed, recorded) is expected


@pytest.mark.parametrize(
    ("proposed", "recorded", "expected"),
    [
        ("Cancelled and refunded A-1979.", "2025: A-1979 cancelled, refunded", True),
        ("Not yet.", "Done, thanks!", False),
        ("DONE", "done.", True),
        ("", "", True),
        ("", "a", False),
        ("a", "", False),
        ("?!", "...", False),  # nothing said, in other signs
        ("?!", " ?! ", True),
        ("\U0001f44d", "\U0001f44d", True),
        ("stra\u00dfe", "STRASSE", True),
        ("\uff21\uff22\uff23", "abc", True),  # full-width letters
        (
            "\u8ba2\u5355\u5df2\u53d6\u6d88",
            "\u8ba2\u5355\u5df2\u9000\u6b3e",
            True,
        ),  # three characters of five are shared
        ("\u8ba2\u5355", "\u9000\u6b3e", False),
        ("x" * 100_000, "y" * 100_000, False),
        ("\x00\u2028", "\x00", True),
        (3, "3", False),
        (["one two three"], ["one two four"], True),
        (["one two"], ["three four"], False),
        (["a"], "a", False),
        (None, None, True),
    ],
)
def test_texts_are_the_same_if_they_share_enough_words(proposed, recorded, expected):
    assert same(Rule("text", 0.6), proposed, recorded) is expected


def test_words_are_what_a_text_says():
    assert words("The  A-1979's total:\n\u20ac64.50!") == ["the", "a1979s", "total", "\u20ac6450"]
    assert words("\u30ab\u30cabc \u0e01\u0e34\u0e19") == ["\u30ab", "\u30ca", "bc", "\u0e01", "\u0e34", "\u0e19"]
    assert words(" .,; ") == []


def test_shared_words_are_twice_those_in_common_over_all():
    assert shared_words("a b c", "c b d") == pytest.approx(2 * 2 / 6)
    assert shared_words("a a b", "a b b") == pytest.approx(2 * 2 / 6)
    assert shared_words("a", "") == shared_words("", "") == 0


@pytest.mark.parametrize("value", [None, "x", {"a": [1]}, HUGE, True])
def test_an_ignored_argument_may_be_anything_or_missing(value):
    assert same(Rule("ignore"), value, "other")
    rules = {"x": Rule("ignore")}
    assert same_arguments({"x": value, "y": 1}, {"y": 1}, rules)
    assert same_arguments({"y": 1}, {"x": value, "y": 1}, rules)
    assert not same_arguments({"y": 1}, {"x": value, "y": 2}, rules)


@pytest.mark.parametrize("kind", ["exact", "number", "text"])
def test_every_other_argument_has_to_be_there(kind):
    rules = {"x": Rule(kind, 0.5)}
    assert not same_arguments({}, {"x": None}, rules) and not same_arguments({"x": None}, {}, rules)


def test_a_path_leads_into_objects_and_lists_of_them():
    rules = {"order.items.price": Rule("number", 0.01), "order.id": Rule("ignore"), "a.b": Rule("text", 0.5)}
    recorded = {"order": {"id": 1, "items": [{"sku": "A", "price": 10}, {"sku": "B", "price": 20.0}]}, "a.b": "one two"}
    near = {"order": {"items": [{"sku": "A", "price": 10.1}, {"sku": "B", "price": 19.9}]}, "a.b": "one three"}
    assert same_arguments(near, recorded, rules)
    assert not same_arguments({**near, "order": {"items": near["order"]["items"][:1]}}, recorded, rules)
    other = {"order": {"items": [{"sku": "C", "price": 10.1}, {"sku": "B", "price": 19.9}]}, "a.b": "one three"}
    assert not same_arguments(other, recorded, rules)


def test_what_no_rule_names_is_exact():
    assert same_arguments({"a": 1.0, "b": " x"}, {"b": "x", "a": 1}, {"c": Rule("ignore")})
    assert not same_arguments({"a": True}, {"a": 1}, {"c": Rule("ignore")})


def test_every_place_is_compared_with_its_rule():
    rules = {"t": Rule("text", 0.5), "n": Rule("number", 0.1), "i": Rule("ignore")}
    proposed, recorded = {"t": "a b", "n": 3, "i": 1, "e": [1, 2]}, {"t": "a c", "n": 2, "e": [1, 3], "i": 1}
    assert sorted(compared(proposed, recorded, rules)) == sorted(
        [
            Compared("text", True, False),
            Compared("number", False, False),
            Compared("ignore", True, True),
            Compared("exact", True, True),
            Compared("exact", False, False),
        ]
    )
    assert kinds_in(recorded, rules) == set(RULE_KINDS)
    assert kinds_in({"i": {"x": 1}}, rules) == {"ignore"} and kinds_in({}, rules) == set()
    assert kinds_in({"t": ["a"], "e": []}, rules) == {"text"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "", "."]), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(["a", "b", ""]), values, max_size=3)
some_rules = st.dictionaries(
    st.sampled_from(["a", "b", "", "a.b", "a.a", "..", "a."]),
    st.builds(Rule, st.sampled_from(RULE_KINDS), st.sampled_from([0.01, 0.5, 0.99])),
    max_size=4,
)


@quick
@given(objects, objects, some_rules)
def test_no_arguments_fail_and_rules_only_ever_let_more_through(a, b, rules):
    assert same_arguments(a, a, rules)
    assert same_arguments(a, b, {}) <= same_arguments(a, b, rules)
    assert same_arguments(a, b, rules) == all(one.same for one in compared(a, b, rules))
    assert {one.kind for one in compared(a, a, rules)} == kinds_in(a, rules)
