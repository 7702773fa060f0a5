"""Ask every model about every calibrate and test decision, once, and record what it said.

    python -m stages.answer

Writes `data/answers/{calibrate,test}.jsonl` and `models.json` (what a token costs each model), all or nothing,
and `metrics/answer.json` (decisions a second, tokens, seconds). Everything after this stage runs without a model.
"""

import time
from pathlib import Path
from typing import Any

from specacts.config import ROLES, Config, Role, load_config
from specacts.errors import one_line_errors
from specacts.files import published_dir, write_json, write_jsonl
from specacts.process import stage

MODELS, DATA = Path("models"), Path("data")
SPLITS = ("calibrate", "test")


def main() -> None:
    config = load_config(Path("."))
    from specacts.episodes import load_episodes
    from specacts.infer import load_model, model_size
    from specacts.render import load_renderer
    from specacts.split import spread

    scale = config.scale
    started = time.perf_counter()
    episodes = {
        split: spread(load_episodes(DATA / "split" / f"{split}.jsonl"), scale.answer.episodes, config.seed)
        for split in SPLITS
    }
    sizes, recorded = {}, {split: {} for split in SPLITS}
    for role in ROLES:  # cheap first: the others judge its proposals
        base = MODELS / "base" / role
        renderer = load_renderer(base, scale.render)
        model = load_model(base, MODELS / role, scale.device, scale.dtype)
        sizes[role] = model_size(model)._asdict()
        for split in SPLITS:
            ask_all(role, model, renderer, episodes[split], recorded[split], config, split)
        del model
    with published_dir(DATA / "answers") as out:
        for split in SPLITS:
            write_jsonl(out / f"{split}.jsonl", recorded[split].values())
        write_json(out / "models.json", sizes)
    write_json(Path("metrics/answer.json"), summary(recorded, time.perf_counter() - started))


def ask_all(
    role: Role, model: Any, renderer: Any, episodes: list, rows: dict[tuple[str, int], dict], config: Config, split: str
) -> None:
    """Add one role's answers to `rows`, keyed by (episode, decision)."""
    from tqdm import tqdm

    from specacts.answering import judge, likelihood, propose, read, window_seed
    from specacts.answers import Candidate
    from specacts.episodes import decisions

    answer = config.scale.answer
    for episode in tqdm(episodes, desc=f"answer {split}: {role}", unit="episode"):
        due = decisions(episode)
        for number, window in enumerate(renderer.windows(episode)):
            seed = window_seed(config.seed, episode.id, number)
            reading = read(model, window)
            keys = [(episode.id, point.decision) for point in window.points]
            if role == "cheap":
                found = propose(reading, window, renderer, answer.proposals, answer.temperature, seed)
                for key, point, candidates in zip(keys, window.points, found, strict=True):
                    rows[key] = {
                        "episode": episode.id,
                        "group": episode.group,
                        "source": episode.source,
                        "decision": point.decision,
                        "window": number,
                        "context": point.start,
                        "gold": due[point.decision].gold.model_dump(mode="json"),
                        "cheap": [c.model_dump(mode="json") for c in candidates],
                        "seconds_per_token": {},
                    }
            else:
                candidates = [[Candidate.model_validate(c) for c in rows[key]["cheap"]] for key in keys]
                if role == "verifier":
                    verdicts = judge(reading, window, renderer, candidates, config.recipe.shows_confidence)
                else:
                    acts = propose(reading, window, renderer, 1, answer.temperature, seed)
                    for key, act in zip(keys, acts, strict=True):
                        rows[key]["strong"] = act[0].model_dump(mode="json")
                    verdicts = likelihood(reading, window, renderer, candidates, config.acceptance.level)
                field = {"verifier": "verifier", "strong": "strong_verdict"}[role]
                for key, row in zip(keys, verdicts, strict=True):
                    rows[key][field] = [v.model_dump(mode="json") for v in row]
            for key in keys:
                rows[key]["seconds_per_token"][role] = reading.seconds_per_token


def summary(recorded: dict[str, dict], seconds: float) -> dict[str, Any]:
    """Counts and speed of the recording."""
    counts = {split: len(rows) for split, rows in recorded.items()}
    everything = [row for rows in recorded.values() for row in rows.values()]
    return {
        "decisions": counts,
        "seconds": seconds,
        "decisions_per_second": len(everything) / seconds,
        "context_tokens": sum(row["context"] for row in everything),
        "generated_tokens": {
            "cheap": sum(c["tokens"] for row in everything for c in row["cheap"]),
            "strong": sum(row["strong"]["tokens"] for row in everything),
        },
        "judged_tokens": {
            "verifier": sum(v["tokens"] for row in everything for v in row["verifier"]),
            "strong": sum(v["tokens"] for row in everything for v in row["strong_verdict"]),
        },
    }


if __name__ == "__main__":
    with one_line_errors(), stage("answer"):
        main()
