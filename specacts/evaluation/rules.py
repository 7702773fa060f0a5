"""What the rules for comparing arguments (core/comparison.py) decided at the cheap model's greedy proposals.

found = decided(rows)       # by kind of rule, or None where no tool has any
"""

from collections.abc import Sequence

from specacts.answering.records import Answers
from specacts.core.comparison import RULE_KINDS, Compared, RuleKind, compared, kinds_in
from specacts.core.episodes import agrees
from specacts.evaluation.results import Ruled


def decided(rows: Sequence[Answers]) -> dict[RuleKind, Ruled] | None:
    """How many decisions the rules of each kind decided; None where all arguments are compared exactly."""
    if not any(row.gold.compare for row in rows):
        return None
    places = [_places(row) for row in rows]
    held = [
        kinds_in(row.gold.arguments, row.gold.compare) | {one.kind for one in found or ()}
        for row, found in zip(rows, places, strict=True)
    ]
    return {kind: _ruled(kind, held, places) for kind in RULE_KINDS if any(kind in kinds for kinds in held)}


def _ruled(kind: RuleKind, held: list[set[RuleKind]], places: list[list[Compared] | None]) -> Ruled:
    own = [found for kinds, found in zip(held, places, strict=True) if kind in kinds]
    reached = [found for found in own if found is not None]
    failing = [{one.kind for one in found if not one.same} for found in reached]
    bent = [any(one.kind == kind and not one.equal for one in found) for found in reached]
    return Ruled(
        decisions=len(own),
        compared=len(reached),
        same=sum(by_rule and not wrong for by_rule, wrong in zip(bent, failing, strict=True)),
        refused=sum(wrong == {kind} for wrong in failing),
    )


def _places(row: Answers) -> list[Compared] | None:
    """The places at which the proposal's arguments can differ; None where its type or tool does."""
    action = row.cheap[0].action
    if action is None or not agrees(action, row.gold, "tool"):
        return None
    return list(compared(action.arguments, row.gold.arguments, row.gold.compare))
