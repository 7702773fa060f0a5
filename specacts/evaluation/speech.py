"""Words: how likely the proposers find what the agent said, and how long what is said is, theirs and its own.

    speech(cases, weights)["cheap"].nll.value         # nats a token; e to that power is the perplexity

Policies are judged by types, so this decides nothing. It tells whether what the cheap model says where it is taken is
worth reading; that it is longer or shorter is in every cost.
"""

from collections.abc import Sequence

import numpy as np

from specacts.answering.records import Answers, Candidate
from specacts.core.words import Role
from specacts.evaluation.results import Speech
from specacts.evaluation.stats import ratio


def speech(rows: Sequence[Answers], weights: np.ndarray) -> dict[Role, Speech]:
    """By proposer that was asked what it thinks of the agent's words; empty where the agent said none."""
    asked: list[Role] = ["cheap", "strong"]
    return {role: _speech(rows, role, weights) for role in asked if any(role in row.heard for row in rows)}


def _speech(rows: Sequence[Answers], role: Role, weights: np.ndarray) -> Speech:
    heard = [row.heard.get(role) for row in rows]
    tokens = np.array([one.tokens if one else 0 for one in heard])
    spoken = [_proposal(row, role).words for row in rows]
    said = np.array([one is not None for one in spoken])
    length = [one.tokens + 1 if one else 0 for one in spoken]  # the first stands with the proposal
    there = tokens > 0
    return Speech(
        decisions=int(there.sum()),
        nll=ratio([one.nll if one else 0.0 for one in heard], tokens, weights),
        recorded_tokens=ratio(tokens, there, weights),
        said=int(said.sum()),
        said_tokens=ratio(length, said, weights),
        cut=sum(one is not None and not one.whole for one in spoken),
    )


def _proposal(row: Answers, role: Role) -> Candidate:
    return row.strong if role == "strong" else row.cheap[0]
