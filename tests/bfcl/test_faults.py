"""Wrong variants of right calls."""

import random
from collections import Counter

import pytest

from specacts.bfcl.faults import Call, misspelt, other_values, wrong_variants
from specacts.core.episodes import Tool

TOOL = Tool(name="move", parameters={"required": ["source", "count"]})
CALL = Call("move", {"source": "report.pdf", "count": 3, "force": True})


def variants(seed: int) -> list[tuple[str, Call]]:
    return [tuple(fault) for fault in wrong_variants(CALL, TOOL, random.Random(seed))]


def test_every_kind_of_fault_is_offered_and_none_is_the_right_call():
    for seed in range(50):
        found = variants(seed)
        assert {kind for kind, _ in found} == {"missing_argument", "unknown_tool", "wrong_argument", "wrong_value"}
        assert CALL not in [call for _, call in found]


def test_each_kind_is_wrong_in_its_own_way():
    for kind, wrong in variants(3):
        same_tool, same_names = wrong.tool == CALL.tool, wrong.arguments.keys() == CALL.arguments.keys()
        if kind == "unknown_tool":
            assert not same_tool and wrong.arguments == CALL.arguments
        elif kind == "wrong_value":
            assert same_tool and same_names
        elif kind == "missing_argument":
            assert same_tool and len(wrong.arguments) == 2 and "force" in wrong.arguments
        else:
            assert same_tool and not same_names and len(wrong.arguments) == 3


def test_the_same_seed_gives_the_same_faults_and_wrong_values_often_come_first():
    assert variants(5) == variants(5)
    first = Counter(variants(seed)[0][0] for seed in range(400))
    assert first["wrong_value"] > 200 and min(first.values()) > 20


def test_a_call_without_arguments_can_still_be_misnamed():
    faults = list(wrong_variants(Call("ls", {}), Tool(name="ls"), random.Random(0)))
    assert [fault.kind for fault in faults] == ["unknown_tool"]


@pytest.mark.parametrize("text", ["a", "ab", "aaa", "report.pdf", "7", "2024-01-01", "ü"])
def test_a_misspelling_is_never_the_right_spelling(text):
    for seed in range(50):
        wrong = misspelt(text, random.Random(seed))
        assert wrong and (wrong != text)


@pytest.mark.parametrize("value", [True, None, "", [1], {"a": 1}])
def test_some_values_have_no_plausible_wrong_one(value):
    assert other_values(value, random.Random(0)) == []
