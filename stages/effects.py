"""Execute what the models proposed, to see which calls do the same as the gold call though they read otherwise.

    python -m stages.effects

Reads `data/answers/test.jsonl`, `data/split/test.jsonl` and the traces; writes `data/effects.jsonl`, one line a test
decision, and `metrics/effects.json`. No model runs; the simulators do.
"""

from pathlib import Path

from tqdm import tqdm

from specacts.answering.effects import summary
from specacts.answering.records import load_answers
from specacts.answering.simulated import same_effects
from specacts.config import load_config
from specacts.core.episodes import load_episodes
from specacts.core.errors import one_line_errors
from specacts.core.files import write_jsonl
from specacts.core.process import stage

DATA = Path("data")


def main() -> None:
    config = load_config(Path("."))
    rows = load_answers(DATA / "answers/test.jsonl")
    episodes = load_episodes(DATA / "split/test.jsonl")
    raw = DATA / "raw/bfcl" / config.scale.traces.path
    trying = same_effects(episodes, rows, raw, config.scale.data.simulator_timeout)
    found = list(tqdm(trying, "execute", total=len(rows), unit="decision"))
    write_jsonl(DATA / "effects.jsonl", (same.model_dump(mode="json") for same in found))
    summary(rows, found).save(Path("metrics/effects.json"))


if __name__ == "__main__":
    with one_line_errors(), stage("effects"):
        main()
