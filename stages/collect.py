"""Make episodes of BFCL's tasks: replay the multi-turn ones on their simulators, read the single-turn ones.

    python -m stages.collect

Reads `data/raw/bfcl/` (from fetch), `configs/action_types/bfcl.yaml` and the scale file's `data`. Writes
`data/episodes.jsonl`, in a fixed order and the same bytes for the same seed, and `metrics/collect.json`; nothing is in
them where `sources.bfcl` is false.
"""

from collections import Counter
from pathlib import Path

from tqdm import tqdm

from specacts.bfcl.results import CollectMetrics
from specacts.bfcl.tasks import Collected, collect, failing_gold
from specacts.config import load_config
from specacts.core.episodes import decisions, save_episodes
from specacts.core.errors import one_line_errors
from specacts.core.process import stage
from specacts.core.words import ACTION_TYPES

TRACES = Path("data/raw/bfcl")
TYPES = Path("configs/action_types/bfcl.yaml")
EPISODES = Path("data/episodes.jsonl")
METRICS = Path("metrics/collect.json")


def main() -> None:
    config = load_config(Path("."))
    collected = Collected([], {}, Counter())
    if config.sources.bfcl:
        raw, data = TRACES / config.scale.traces.path, config.scale.data
        collected = collect(raw, data, config.seed, TYPES, lambda tasks: tqdm(tasks, "replay", unit="task"))
    save_episodes(EPISODES, collected.episodes)
    summary(collected).save(METRICS)


def summary(collected: Collected) -> CollectMetrics:
    """What was made and what was left out; the action types in their fixed order."""
    by_source = Counter(episode.source for episode in collected.episodes)
    by_type = Counter(decision.gold.type for episode in collected.episodes for decision in decisions(episode))
    return CollectMetrics(
        episodes=len(collected.episodes),
        episodes_by_source=dict(sorted(by_source.items())),
        decisions=by_type.total(),
        decisions_by_type={name: by_type[name] for name in ACTION_TYPES},
        faults=collected.faults.total(),
        faults_by_kind=dict(sorted(collected.faults.items())),
        gold_calls_answered_with_an_error=sum(map(failing_gold, collected.episodes)),
        skipped_rows={name: dict(sorted(reasons.items())) for name, reasons in collected.skipped.items()},
    )


if __name__ == "__main__":
    with one_line_errors(), stage("collect"):
        main()
