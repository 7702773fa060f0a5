"""What the report says of other seeds: how far results lie apart that differ in the trainings' seed alone."""

from specacts.evaluation.seeds import Seeds
from specacts.report.wording import as_table, percent


def seeds_table(found: Seeds) -> str:
    """By policy: the accuracy with each seed, how far they lie apart, and over all of them."""
    rows = [
        [name, *(f"{value * 100:.1f} %" for value in one.accuracy), f"{one.spread * 100:.1f}", percent(one.over_seeds)]
        for name, one in found.policies.items()
    ]
    return as_table(rows, ["policy", *(f"seed {seed}" for seed in found.seeds), "spread", "over tasks and seeds"])
