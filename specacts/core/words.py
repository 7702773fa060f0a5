"""The words of the domain: roles, action types, levels of agreement, scores, and how actions are spelled."""

from typing import Literal, get_args

Role = Literal["cheap", "verifier", "strong"]
"""Models: the cheap one proposes, the verifier judges, the strong one proposes too and acts where nobody else may."""
ROLES: tuple[Role, ...] = get_args(Role)

ActionType = Literal[
    "tool_call",
    "retrieval",
    "file_read",
    "file_write",
    "repair",
    "verifier",
    "ask_clarification",
    "final_answer",
    "BLOCKED",
]
"""What an action does; `repair` is a call that puts a failed one right, `verifier` one that checks something."""
ACTION_TYPES: tuple[ActionType, ...] = get_args(ActionType)
SPEAKING: frozenset[ActionType] = frozenset({"ask_clarification", "final_answer", "BLOCKED"})
"""Action types that speak to the user; every other one calls a tool."""

Level = Literal["type", "tool", "call"]
"""How closely two actions agree: same type; same type and tool; same type, tool and arguments."""
LEVELS: tuple[Level, ...] = get_args(Level)

JudgeScore = Literal["likelihood", "verdict", "reward"]
"""What the verifier judges by: how likely it finds a proposal, its P(ACCEPT), or, of a reward model, the reward."""

Form = Literal["words", "lines", "natural"]
"""How actions are spelled in a transcript; specacts/transcripts/render.py shows each."""

OWN = "own"
"""The source of conversations that a user brought in; all others are BFCL's."""


def as_action_type(word: str) -> ActionType | None:
    """The action type of this name; None where there is none."""
    return next((name for name in ACTION_TYPES if name == word), None)
