"""Proposals on disk: read back as written, labelled at three levels, counted."""

import json

import pytest
from toys import call, say

from specacts.answering.proposals import Proposed, Quality, load_proposals, save_proposals, summary
from specacts.answering.records import Candidate
from specacts.core.errors import UserError


def candidate(action) -> Candidate:
    return Candidate(text="t", action=action, confidence=0.5, logprob=-1.5, tokens=2, seconds=0.1)


GOLD = call("move", "file_write", source="a").action
ROWS = [
    Proposed(episode="e", decision=0, gold=GOLD, candidates=(candidate(GOLD), candidate(None))),
    Proposed(
        episode="f",
        decision=3,
        gold=GOLD,
        candidates=(candidate(call("move", "file_write", source="é").action), candidate(say("BLOCKED").action)),
    ),
]


def test_proposals_are_read_back_as_written_but_for_the_seconds_they_took(tmp_path):
    save_proposals(tmp_path / "p.jsonl", ROWS)
    untimed = [
        row.model_copy(update={"candidates": tuple(c.model_copy(update={"seconds": 0.0}) for c in row.candidates)})
        for row in ROWS
    ]
    assert load_proposals(tmp_path / "p.jsonl") == untimed


def test_each_line_says_which_candidates_are_right(tmp_path):
    save_proposals(tmp_path / "p.jsonl", ROWS)
    right = [json.loads(line)["right"] for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert right == [
        {"type": [True, False], "tool": [True, False], "call": [True, False]},
        {"type": [True, False], "tool": [True, False], "call": [False, False]},
    ]


def test_a_wrong_line_is_named(tmp_path):
    save_proposals(tmp_path / "p.jsonl", ROWS)
    text = (tmp_path / "p.jsonl").read_text().splitlines()
    (tmp_path / "p.jsonl").write_text(text[0] + "\n" + text[1].replace('"decision":3', '"decision":"x"') + "\n")
    with pytest.raises(UserError, match=r"p\.jsonl:2: decision: "):
        load_proposals(tmp_path / "p.jsonl")


def test_the_summary_tells_greedy_from_sampled():
    found = summary(ROWS)
    assert (found.decisions, found.episodes) == (2, 2)
    assert found.greedy == Quality(proposals=2, type_accuracy=1.0, tool_accuracy=1.0, call_accuracy=0.5, malformed=0.0)
    assert found.sampled.malformed == 0.5 and found.sampled.type_accuracy == 0.0


def test_one_proposal_a_decision_leaves_nothing_sampled():
    found = summary([row.model_copy(update={"candidates": row.candidates[:1]}) for row in ROWS])
    assert found.sampled.proposals == 0 and found.sampled.type_accuracy == 0.0
