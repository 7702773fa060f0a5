"""What a promise lacks: groups of the calibration split, and roughly how many more logs they mean; or no verifier.

for one in missing(facts):
    one.risk, one.needed, one.groups, one.conversations
"""

from typing import NamedTuple

import numpy as np

from specacts.policies.needs import Option, more, reachable
from specacts.policies.table import unverified
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


class Without(NamedTuple):
    """The smallest risk that could be promised without a verifier, with how many groups, for which policies alone."""

    risk: str
    groups: int
    policies: tuple[str, ...]


def without_a_verifier(facts: Facts) -> Without | None:
    """What its groups would bring as groups for calibration; None where that allows no smaller risk than there is."""
    calibration, split = facts.calibration, facts.data
    if not facts.verified or split.calibrate.groups > calibration.groups:  # the scale asks about too few as it is
        return None
    alone = unverified(calibration.guaranteed)
    groups = calibration.groups + split.verify.groups
    now = [float(risk) for risk, needed in calibration.groups_needed.items() if needed <= calibration.groups]
    then = reachable(Option("", np.full(groups, calibration.mean_weight), len(alone)), calibration.confidence)
    better = then and float(then[0]) < min(now, default=1.0)
    return Without(then[0], groups, alone) if better else None


def missing(facts: Facts) -> list[Missing]:
    """One a risk of the menu that lacks groups, the smallest risk first."""
    split, everything = facts.data.calibrate, facts.data.total
    found = []
    for risk, needed in facts.calibration.groups_needed.items():
        if needed > facts.calibration.groups:
            found.append(Missing(risk, needed, *more(needed, split.groups, everything.groups, everything.episodes)))
    return found
