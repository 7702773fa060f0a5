"""What a promise lacks: groups of the calibration split, and roughly how many more logs they mean.

for one in missing(facts):
    one.risk, one.needed, one.groups, one.conversations
"""

from math import ceil, log10
from typing import NamedTuple

from specacts.report.facts import Facts


class Missing(NamedTuple):
    """A risk that the calibration split is too small for, even if nothing is ever lost.

    needed: calibration groups that it takes. groups, conversations: how many more of the logs, roughly; none where the
    split holds enough and the scale only asks about too few of them.
    """

    risk: str
    needed: int
    groups: int
    conversations: int


def missing(facts: Facts) -> list[Missing]:
    """One a risk of the menu that lacks groups, the smallest risk first."""
    split, everything = facts.data.calibrate, facts.data.total
    found = []
    for risk, needed in facts.calibration.groups_needed.items():
        if needed > facts.calibration.groups:
            factor = max(0.0, needed / max(1, split.groups) - 1)
            groups, conversations = factor * everything.groups, factor * everything.episodes
            found.append(Missing(risk, needed, roughly(groups), roughly(conversations)))
    return found


def roughly(number: float) -> int:
    """Rounded up to two figures."""
    if number <= 0:
        return 0
    step = 10 ** max(0, ceil(log10(number)) - 2)
    return ceil(round(number / step, 9)) * step
