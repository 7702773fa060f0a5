"""What promises take: groups for calibration, known before anything is trained; and what more logs would bring.

    there = weights([1, 12, 7, 15], most=11)                               # bet.py
    needed(policies=3, confidence=0.9, there=there)["0.05"]                # so many groups like these
    print(table([Option("with a verifier", there, 3), Option("without one", there, 1)], confidence=0.9))

Even where nothing is ever lost a promise takes so many groups (bet.py), whatever the models can do.
"""

from collections.abc import Sequence
from math import ceil, log10
from typing import NamedTuple

import numpy as np

from specacts.policies.bet import groups_needed

RISKS = (0.05, 0.1, 0.15, 0.2)
"""Losses of accuracy to the strong model that the menu offers."""


class Option(NamedTuple):
    """A way to share out the groups: what it is, what each weighs that is for calibration, how many policies together.

    weights: of the groups, as `bet.weights` makes them.
    """

    label: str
    weights: np.ndarray
    policies: int

    @property
    def groups(self) -> int:
        return len(self.weights)


class More(NamedTuple):
    """How many more logs it takes, roughly."""

    groups: int
    conversations: int


def needed(policies: int, confidence: float, there: np.ndarray) -> dict[str, int]:
    """The groups that each risk of `RISKS` takes, for so many policies together (Bonferroni).

    there: weights of groups like those that are needed.
    """
    return {f"{risk:g}": groups_needed(risk, (1 - confidence) / policies, there) for risk in RISKS}


def needed_by(option: Option, confidence: float) -> dict[str, int]:
    """The groups like its own that each risk takes."""
    return needed(option.policies, confidence, option.weights)


def reachable(option: Option, confidence: float) -> list[str]:
    """The risks that there are groups enough for, the smallest first."""
    return [risk for risk, count in needed_by(option, confidence).items() if count <= option.groups]


def more(wanted: int, there: int, groups: int, conversations: int) -> More:
    """What it takes to have `wanted` groups where `there` are, of so many groups and conversations of logs."""
    factor = max(0.0, wanted / max(1, there) - 1)
    return More(roughly(factor * groups), roughly(factor * conversations))


def roughly(number: float) -> int:
    """Rounded up to two figures."""
    if number <= 0:
        return 0
    step = 10 ** max(0, ceil(log10(number)) - 2)
    return ceil(round(number / step, 9)) * step


def table(options: Sequence[Option], confidence: float) -> str:
    """The groups that each option has and each risk takes, as lines of text; `*` where there are enough."""
    rows = [["", "groups", *(f"risk {percent(risk)}" for risk in RISKS)]]
    for option in options:
        takes = needed_by(option, confidence).values()
        rows.append([option.label, str(option.groups), *(f"{n}{'*' if n <= option.groups else ' '}" for n in takes)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    sure = f"with {percent(confidence)} confidence"
    says = f"Groups for calibration, and how many a promise needs {sure} if nothing is ever lost (*: enough):"
    return "\n".join([says, *lines])


def outlook(option: Option, confidence: float, groups: int, conversations: int) -> str:
    """Which promises there are groups enough for, and what the next smaller risk takes, in a line."""
    found, takes = reachable(option, confidence), needed_by(option, confidence)
    said = [f"enough groups for a risk of {percent(found[0])} or more" if found else "too few groups for any promise"]
    missing = [risk for risk in takes if risk not in found]
    if missing:
        lacks = more(takes[missing[-1]], option.groups, groups, conversations)
        said.append(f"{percent(missing[-1])} needs roughly {lacks.conversations:,} more conversations")
    return f"{option.label}: {'; '.join(said)}"


def percent(part: str | float) -> str:
    return f"{float(part) * 100:g} %"
