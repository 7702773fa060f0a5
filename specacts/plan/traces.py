"""The conversations that a run would learn from and ask about, shared out as `split` does it.

    with tempfile.TemporaryDirectory() as folder:
        parts = shared_out(config, Path("."), Path(folder))
    parts["train"], parts["calibrate"]          # lists of episodes

Of your own traces, read as `ingest` reads them, and of BFCL: what `collect` made if it was made with the same settings,
else made again from BFCL's wheel (2 MB, kept for `fetch`). No model is needed for it.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from specacts.bfcl.tasks import collect
from specacts.config import Config
from specacts.core.episodes import Act, Episode, load_episodes
from specacts.core.errors import UserError
from specacts.core.stored import read_lock
from specacts.core.upkeep import SCRATCH
from specacts.core.words import OWN
from specacts.models.download import fetch_wheel
from specacts.recipe import has_verifier
from specacts.traces.ingest import ingest
from specacts.traces.split import outline, split_groups
from specacts.traces.stream import Place
from specacts.traces.tool_types import load_type_map

EPISODES = Path("data/episodes.jsonl")
TYPES = Path("configs/action_types/bfcl.yaml")


def shared_out(config: Config, root: Path, folder: Path) -> dict[str, list[Episode]]:
    """Episodes by split, in the order of `data/split`. folder: for files on the way.

    Raises UserError for traces that cannot be read or shared out.
    """
    episodes = bfcl(config, root, folder) if config.sources.bfcl else []
    episodes += own(config, folder) if config.sources.own else []
    outlines = [outline(episode, number) for number, episode in enumerate(episodes)]
    parts = split_groups(outlines, config.scale.split, config.seed, has_verifier(config.recipe))
    found = {name: [episodes[one.place] for one in part] for name, part in parts.items()}
    calls = Counter(
        step.action.tool
        for episode in found["train"]
        if episode.source == OWN
        for step in episode.steps
        if isinstance(step, Act) and step.action.tool
    )
    return {name: [_arranged(episode, calls) for episode in part] for name, part in found.items()}


def _arranged(episode: Episode, calls: Counter[str]) -> Episode:
    """With the tools of your own traces in the order that listings want: the most called first (stages/split.py)."""
    if episode.source != OWN:
        return episode
    return episode.model_copy(update={"tools": tuple(sorted(episode.tools, key=lambda tool: -calls[tool.name]))})


def bfcl(config: Config, root: Path, folder: Path) -> list[Episode]:
    """BFCL's tasks as episodes."""
    if collected(config, root):
        return load_episodes(root / EPISODES)
    where = f"configs/scale/{config.scale_name}.yaml: traces"
    parts = ("data", "eval_checker/multi_turn_eval/func_source_code")
    raw = fetch_wheel(config.scale.traces, folder / "bfcl", root / SCRATCH / "wheels", where, parts).path
    return collect(raw, config.scale.data, config.seed, root / TYPES).episodes


def collected(config: Config, root: Path) -> bool:
    """Whether `collect` ran here with this configuration's settings, by dvc.lock."""
    try:
        entry = read_lock(root).get("collect", {})
    except UserError:
        return False
    read = entry.get("params", {})
    scale: dict[str, Any] = next((values for file, values in read.items() if file.startswith("configs/scale/")), {})
    wanted = config.scale.data.model_dump(mode="json")
    same = scale.get("data") == wanted and read.get("params.yaml") == {"seed": config.seed, "sources.bfcl": True}
    return same and (root / EPISODES).is_file()


def own(config: Config, folder: Path) -> list[Episode]:
    """Your own conversations, as many as the scale uses."""
    sources = config.sources
    place = Place(sources.path, sources.files)
    types = load_type_map(Path(sources.types))
    (folder / "own").mkdir()
    ingest(place, types, sources, config.scale.own, config.seed, folder / "own")
    return load_episodes(folder / "own/episodes.jsonl")
