"""What a promise lacks: groups of the calibration split, and roughly how many more logs they mean.

for one in missing(facts):
    one.risk, one.needed, one.groups, one.conversations
"""

from typing import NamedTuple

from specacts.policies.needs import more
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
            found.append(Missing(risk, needed, *more(needed, split.groups, everything.groups, everything.episodes)))
    return found
