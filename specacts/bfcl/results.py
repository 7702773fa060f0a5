"""What collect leaves in `metrics/collect.json`."""

from specacts.core.results import Result
from specacts.core.words import ActionType


class CollectMetrics(Result):
    """What was made of BFCL's tasks, and what was left out; skipped rows by category and reason."""

    episodes: int
    episodes_by_source: dict[str, int]
    decisions: int
    decisions_by_type: dict[ActionType, int]
    faults: int
    faults_by_kind: dict[str, int]
    gold_calls_answered_with_an_error: int
    skipped_rows: dict[str, dict[str, int]]
