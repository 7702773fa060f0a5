"""Bring in your own conversations as episodes.

    python -m stages.ingest

Reads the files that `sources` in params.yaml names, the file that maps tool names to action types, and the scale
file's `own`. Writes `data/own/`: `episodes.jsonl`, `rejects.jsonl` (lines that are no conversations, with the reasons)
and `undecided.jsonl` (texts whose action type cannot be told), and `metrics/ingest.json`. All or nothing is written;
without `sources.own` all of it is empty.
"""

from pathlib import Path

from tqdm import tqdm

from specacts.config import load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import published_dir
from specacts.core.process import stage
from specacts.traces.ingest import ingest, metrics
from specacts.traces.stream import Place, find_files, size
from specacts.traces.tool_types import load_type_map

OWN = Path("data/own")
METRICS = Path("metrics/ingest.json")


def main() -> None:
    config = load_config(Path("."))
    sources = config.sources
    with published_dir(OWN) as out:
        if sources.own:
            place = Place(sources.path, sources.files)
            types = load_type_map(Path(sources.types))
            with tqdm(desc="read", total=size(find_files(place)), unit="B", unit_scale=True) as progress:
                found = ingest(place, types, sources, config.scale.own, config.seed, out, progress.update)
        else:
            found = metrics()
            for name in ("episodes", "rejects", "undecided"):
                (out / f"{name}.jsonl").touch()
    found.save(METRICS)


if __name__ == "__main__":
    with one_line_errors(), stage("ingest"):
        main()
