"""Stage `answer`'s questions put to models here and on a completions server: how far answers differ, and how fast.

    vllm serve models/base/cheap --dtype float32 --enable-lora --max-lora-rank 16 --max-model-len 1088 \\
        --lora-modules cheap=models/cheap verifier=models/verifier                       # elsewhere
    python -m benchmarks.served_answers --url http://127.0.0.1:8000/v1 --most 60

Both answer the same decisions of the calibration split in the roles that share a base: proposals (greedy ones are
compared, sampled ones are other draws), confidences, verdicts, likelihoods of types and, once more, of whole calls, and
how likely they find the agent's words. The scores of proposals that are the same are compared.
"""

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from specacts.answering.records import Candidate
from specacts.answering.roles import Asking, Voice, asking, judgements, load_voice, read_batch
from specacts.config import CompletionsEngine, Config, load_config
from specacts.core.episodes import Episode, decisions, load_episodes
from specacts.core.errors import one_line_errors
from specacts.core.words import Role
from stages.answer import Rows, ask_all

ROLES: tuple[Role, ...] = ("cheap", "verifier")


class Unkept:
    """A journal that keeps nothing."""

    def get(self, name: str) -> None:
        return None

    def add(self, name: str, value: Any) -> Any:
        return value


class Answered(NamedTuple):
    """Rows of answers, likelihoods of whole calls by decision, and decisions a second, both roles together."""

    rows: Rows
    calls: list[float]
    pace: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="where the server's /completions and /models are")
    parser.add_argument("--most", type=int, default=60, help="most decisions (default: 60)")
    parser.add_argument("--concurrency", type=int, default=8, help="most requests under way (default: 8)")
    given = parser.parse_args()
    config = load_config(Path("."))
    episodes = chosen(load_episodes(Path("data/split/calibrate.jsonl")), given.most)
    models = {role: {"url": given.url, "name": role} for role in ROLES}
    settings = {"kind": "vllm", "concurrency": given.concurrency, "key_env": None, "models": models}
    engine = CompletionsEngine.model_validate(settings)
    there, here = (answered(with_engine(config, one), episodes) for one in (engine, "local"))
    for line in compared(here, there):
        print(line)


def chosen(episodes: list[Episode], most: int) -> list[Episode]:
    """The first episodes with so many decisions together."""
    found: list[Episode] = []
    for episode in episodes:
        if sum(len(decisions(e)) for e in [*found, episode]) <= most:
            found.append(episode)
    return found


def with_engine(config: Config, engine: Any) -> Config:
    return config.model_copy(update={"scale": config.scale.model_copy(update={"engine": engine})})


def answered(config: Config, episodes: list[Episode]) -> Answered:
    how = asking(config.recipe, config.acceptance, config.scale.answer)
    voices = {role: load_voice(Path("models"), role, config.scale, config.recipe) for role in ROLES}
    rows: Rows = {}
    started = time.perf_counter()
    for voice in voices.values():
        ask_all(voice, {"served": episodes}, rows, how, config.seed, Unkept())  # type: ignore[arg-type]
    pace = len(rows) / (time.perf_counter() - started)
    return Answered(rows, call_likelihoods(voices["verifier"], episodes, rows, how), pace)


def call_likelihoods(voice: Voice, episodes: list[Episode], rows: Rows, how: Asking) -> list[float]:
    """Of the greedy proposals of the first windows."""
    from specacts.answering.ask import batches

    found = []
    for window in islice((w for batch in batches(voice.renderer, episodes, 0) for w in batch), 3):
        proposed = [[Candidate.model_validate(rows[a.episode.id, a.point.decision]["cheap"][0])] for a in window]
        told = judgements(voice, read_batch(voice, [window]), proposed, how._replace(level="call"), "likelihood")
        found += [verdict.score for (verdict,) in told]
    return found


def compared(here: Answered, there: Answered) -> list[str]:
    """A table: what of it is the same, and by how much scores differ at most."""
    pairs = [(row, there.rows[key]) for key, row in here.rows.items()]
    alike = [(a, b) for a, b in pairs if a["cheap"][0]["text"] == b["cheap"][0]["text"]]

    def apart(*path: Any) -> str:
        return most([abs(at(a, path) - at(b, path)) for a, b in alike])

    words = [abs(a["heard"]["cheap"]["nll"] - b["heard"]["cheap"]["nll"]) for a, b in pairs if "heard" in a]
    acts = sum(a["middle"]["text"] == b["middle"]["text"] for a, b in pairs)
    calls = [abs(a - b) for a, b in zip(here.calls, there.calls, strict=True)]
    cells = [
        str(len(pairs)),
        f"{len(alike)}",
        f"{acts}",
        apart("cheap", 0, "confidence"),
        apart("verifier", 0, "score"),
        apart("verifier_likelihood", 0, "score"),
        most(calls),
        most(words),
        f"{here.pace:.2f}",
        f"{there.pace:.2f}",
    ]
    heads = ["decisions", "same proposal", "same action of the verifier's model", "confidences apart at most"]
    heads += ["verdicts", "likelihoods of types", "of calls", "words (nats)", "decisions/s here", "on the server"]
    return [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", f"| {' | '.join(cells)} |"]


def most(differences: list[float]) -> str:
    """The largest, or a dash where there is nothing to compare."""
    return f"{max(differences):.1e}" if differences else "–"


def at(row: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        row = row[key]
    return row


if __name__ == "__main__":
    with one_line_errors():
        main()
