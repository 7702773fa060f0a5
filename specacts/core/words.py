"""The words of the domain: roles, action types, levels of agreement, scores, and how actions are spelled."""

from typing import Literal, get_args

Role = Literal["cheap", "verifier", "strong"]
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
ACTION_TYPES: tuple[ActionType, ...] = get_args(ActionType)
SPEAKING: frozenset[ActionType] = frozenset({"ask_clarification", "final_answer", "BLOCKED"})
"""Action types that speak to the user; every other one calls a tool."""

Level = Literal["type", "tool", "call"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""How closely two actions agree: same type; same type and tool; same type, tool and canonical arguments."""

JudgeScore = Literal["likelihood", "verdict", "reward"]
"""What of the verifier's decides: how likely it finds a proposal, its P(ACCEPT), or a reward model's reward."""

Form = Literal["words", "lines", "natural"]
"""How actions are spelled in a transcript (transcripts/render.py)."""
