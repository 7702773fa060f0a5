"""Share the episodes out into train, verify, calibrate and test, by group.

    python -m stages.split

Reads `data/episodes.jsonl` (from collect), `data/own/episodes.jsonl` (from ingest), of the scale file `split` and
`answer.calibrate_episodes` (how many decisions a promise counts hangs on it: specacts/traces/sizes.py), and which roles
run here (check's `data/local_roles.txt`: without a verifier its groups are for calibration). Writes
`data/split/<split>.jsonl`, all four or none, and `metrics/data.json`: what each split holds, and how much of test's
text occurs in train (BFCL's own standing message apart). Prints how many groups promises take. Episodes go from file to
file one by one, however many there are.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from specacts.bfcl.tasks import without_standing
from specacts.config import load_config
from specacts.core.episodes import Episode
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import compact_json, line_starts, published_dir, read_models
from specacts.core.process import stage
from specacts.policies.bet import weights
from specacts.policies.needs import Option, outlook, table
from specacts.traces.contamination import overlaps
from specacts.traces.results import DataMetrics, counted
from specacts.traces.sizes import asked, most_counted
from specacts.traces.split import Outline, missing_types, outline, split_groups

OWN_EPISODES = Path("data/own/episodes.jsonl")
SOURCES = (Path("data/episodes.jsonl"), OWN_EPISODES)
SPLIT = Path("data/split")
METRICS = Path("metrics/data.json")
LOCAL = Path("data/local_roles.txt")  # from check: another recipe that leaves it as it is shares nothing out again


def main() -> None:
    config = load_config(Path("."))
    with_verifier = "verifier" in LOCAL.read_text(encoding="utf-8").split()
    parts = split_groups(list(outlines(SOURCES)), config.scale.split, config.seed, with_verifier)
    calls, conversations = calls_in(parts["train"]), config.scale.answer.calibrate_episodes
    with published_dir(SPLIT) as out:
        for name, part in parts.items():
            copy(part, out / f"{name}.jsonl", calls, with_rules=name != "train")
        said = {name: map(without_standing, episodes(out / f"{name}.jsonl")) for name in ("test", "train")}
        shared = overlaps(said["test"], said["train"])
    found = DataMetrics(
        train=counted(parts["train"]),
        verify=counted(parts["verify"]),
        calibrate=counted(parts["calibrate"]),
        test=counted(parts["test"]),
        total=counted([episode for part in parts.values() for episode in part]),
        most_counted=most_counted(parts["train"], parts["calibrate"], conversations, config.seed),
        contamination=shared,
    )
    found.save(METRICS)
    print(prospects(parts, found, conversations, config.seed))
    for name, types in missing_types(parts).items():
        if types:
            print(
                f"note: the {name} split holds no {', '.join(types)}; nothing can be said about them", file=sys.stderr
            )


CONFIDENCE = 0.9
"""Of what is printed, whatever `acceptance` says: another confidence must not share episodes out again."""


def prospects(parts: dict[str, list[Outline]], found: DataMetrics, conversations: int, seed: int) -> str:
    """How many calibration groups are asked about, with a verifier and without one, and how many promises take."""
    here = weights(asked(parts["calibrate"], conversations, seed), found.most_counted)
    options = [Option("here, three policies together", here, 3), Option("here, one policy", here, 1)]
    if found.verify.groups:
        more = asked(parts["calibrate"] + parts["verify"], conversations, seed)
        options.append(Option("one policy, no verifier", weights(more, found.most_counted), 1))
    total = found.total
    said = [outlook(option, CONFIDENCE, total.groups, total.episodes) for option in options]
    return "\n".join([table(options, CONFIDENCE), *said])


def outlines(paths: Sequence[Path]) -> Iterator[Outline]:
    """Every episode's outline; its place is its file and where its line begins there."""
    seen: dict[str, Path] = {}
    for path in paths:
        starts = line_starts(path)
        for number, episode in read_models(path, Episode):
            if seen.setdefault(episode.id, path) != path:
                raise UserError(f"{path}:{number}: id: {episode.id!r} is also in {seen[episode.id]}; rename it")
            yield outline(episode, (path, starts[number - 1]))


def copy(part: Sequence[Outline], target: Path, calls: Counter[str], with_rules: bool = True) -> None:
    """Write the lines of the episodes, in the order of the part.

    calls: how often tools are called; of your own traces the most called are offered first, because a listing that is
    too long for a model says most of the first. with_rules: whether with those for comparing arguments. Proposers do
    not learn by them, and another rule is not to train them again.
    """
    with target.open("wb") as file:
        for path, line in lines(part):
            file.write(arranged(line, calls, with_rules) if path == OWN_EPISODES else line)


def lines(part: Sequence[Outline]) -> Iterator[tuple[Path, bytes]]:
    """The file and the line of each episode."""
    with ExitStack() as stack:
        sources = {path: stack.enter_context(path.open("rb")) for path in {found.place[0] for found in part}}
        for found in part:
            path, start = found.place
            sources[path].seek(start)
            yield path, sources[path].readline()


def calls_in(part: Sequence[Outline]) -> Counter[str]:
    """How often each tool is called in the part's episodes of your own traces."""
    found: Counter[str] = Counter()
    for path, line in lines(part):
        if path == OWN_EPISODES:
            found.update(tool for step in json.loads(line)["steps"] if (tool := step.get("action", {}).get("tool")))
    return found


def arranged(line: bytes, calls: Counter[str], with_rules: bool) -> bytes:
    """The line of an episode with its tools in the order that listings want."""
    values = json.loads(line)
    values["tools"].sort(key=lambda tool: -calls[tool["name"]])
    if not with_rules:
        for step in values["steps"]:
            step.get("action", {}).pop("compare", None)
    return (compact_json(values) + "\n").encode()


def episodes(path: Path) -> Iterator[Episode]:
    return (episode for _, episode in read_models(path, Episode))


if __name__ == "__main__":
    with one_line_errors(), stage("split"):
        main()
