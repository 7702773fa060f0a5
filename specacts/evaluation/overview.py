"""What experiments are compared by at a glance: the only file that `dvc metrics diff` and `dvc exp show` print.

    overview(evaluation, promise, calibrate_groups, "flops_no_cache").save(Path("metrics/overview.json"))

A few figures without their intervals; `make compare` has those, of differences on the same decisions. DVC sorts what it
prints by name, so the names are such that they read in this order.
"""

from math import isfinite

from specacts.core.results import Result
from specacts.evaluation.results import Evaluation
from specacts.policies.results import Promise
from specacts.policies.table import POLICIES

RISKS = ("0.05", "0.1")
"""The promises that are shown: to lose at most 5 and 10 points."""


class Size(Result):
    """How much the figures rest on."""

    calibrate_groups: int
    test_decisions: int
    test_groups: int


class Overview(Result):
    """`metrics/overview.json`, by policy where there is one; what an experiment does not have is left out.

    accuracy: at the acceptance level [0, 1]. cost: relative to A's, whose 1 is left out. from_cheap: share of actions
    that the cheap model takes, where that is decided. judges_auroc: how well a policy's score tells right proposals
    from wrong ones. saved: share of A's cost that the cheapest policy saves which is promised to lose at most so many
    points; 0 where nothing can be promised.
    """

    accuracy: dict[str, float]
    cost: dict[str, float]
    from_cheap: dict[str, float]
    judges_auroc: dict[str, float]
    saved: dict[str, float]
    size: Size


def overview(evaluation: Evaluation, promise: Promise, calibrate_groups: int, cost_model: str) -> Overview:
    """The figures of `evaluation` that fit on one screen, its costs by one cost model."""
    policies = evaluation.policies
    aurocs = {name: score.auroc.value for name, score in evaluation.scores.items() if not POLICIES[name].sticks}
    return Overview(
        accuracy={name: own.accuracy(evaluation.level).value for name, own in policies.items()},
        cost={name: own.cost[cost_model].value for name, own in policies.items() if name != "A"},
        from_cheap={
            name: own.accept_rate.value for name, own in policies.items() if own.accept_rate and POLICIES[name].score
        },
        judges_auroc={name: auroc for name, auroc in aurocs.items() if isfinite(auroc)},
        saved={f"at_{float(risk) * 100:02.0f}_points": saved(evaluation, promise, risk, cost_model) for risk in RISKS},
        size=Size(
            calibrate_groups=calibrate_groups, test_decisions=evaluation.decisions, test_groups=evaluation.groups
        ),
    )


def saved(evaluation: Evaluation, promise: Promise, risk: str, cost_model: str) -> float:
    """What the cheapest promised policy at a risk of the menu saved on test, of A's cost; 0 where it is A itself."""
    name = promise.cheapest[risk]
    return 0.0 if name == "A" else 1 - evaluation.guaranteed[name][risk].cost[cost_model].value
