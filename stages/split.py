"""Share the episodes out into train, verify, calibrate and test, by group.

    python -m stages.split

Reads `data/episodes.jsonl` (from collect) and the scale file's `split`. Writes `data/split/<split>.jsonl`, all four
or none, and `metrics/data.json`: what each split holds.
"""

import sys
from pathlib import Path

from specacts.config import load_config
from specacts.episodes import load_episodes, save_episodes
from specacts.errors import one_line_errors
from specacts.files import published_dir, write_json
from specacts.process import stage
from specacts.split import missing_types, split_groups, summary

EPISODES = Path("data/episodes.jsonl")
SPLIT = Path("data/split")
METRICS = Path("metrics/data.json")


def main() -> None:
    config = load_config(Path("."))
    parts = split_groups(load_episodes(EPISODES), config.scale.split, config.seed)
    with published_dir(SPLIT) as out:
        for name, episodes in parts.items():
            save_episodes(out / f"{name}.jsonl", episodes)
    write_json(METRICS, summary(parts))
    for name, types in missing_types(parts).items():
        if types:
            print(f"note: the {name} split holds no {', '.join(types)}; nothing can be said of them", file=sys.stderr)


if __name__ == "__main__":
    with one_line_errors(), stage("split"):
        main()
