"""Ask every model about every calibrate and test decision, once, and record what it said.

    python -m stages.answer

Writes `data/answers/{calibrate,test}.jsonl` and `models.json` (what a token costs each model), all or nothing,
and `metrics/answer.json` (decisions a second, tokens, seconds). Everything after this stage runs without a model.
"""

import time
from pathlib import Path
from typing import Any

from specacts.config import Config, load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import published_dir, write_json, write_jsonl
from specacts.core.process import stage
from specacts.core.words import ROLES, Role
from specacts.recipe import asking_form, freezes, gives_rewards, shows_confidence

MODELS, DATA = Path("models"), Path("data")
SPLITS = ("calibrate", "test")


def main() -> None:
    config = load_config(Path("."))
    from specacts.core.episodes import load_episodes
    from specacts.models.load import load_model, model_size
    from specacts.traces.split import spread
    from specacts.transcripts.render import load_renderer

    scale = config.scale
    started = time.perf_counter()
    most = {"calibrate": scale.answer.calibrate_episodes, "test": scale.answer.test_episodes}
    episodes = {
        split: spread(load_episodes(DATA / "split" / f"{split}.jsonl"), most[split], config.seed) for split in SPLITS
    }
    sizes, recorded = {}, {split: {} for split in SPLITS}
    for role in ROLES:  # cheap first: the others judge its proposals
        base = MODELS / "base" / role
        renderer = load_renderer(base, scale.render, asking_form(config.recipe, role))
        adapter = None if freezes(config.recipe, role) else MODELS / role
        rewards = gives_rewards(config.recipe, role)
        model = load_model(base, adapter, scale.device, scale.dtype, rewards)
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

    from specacts.answering.ask import batches, read
    from specacts.core.episodes import decisions

    total = sum(len(decisions(episode)) for episode in episodes)
    with tqdm(total=total, desc=f"answer {split}: {role}", unit="decision") as progress:
        for batch in batches(renderer, episodes, config.seed):
            reading = read(model, [window[0].window for window in batch])
            asked = [a for window in batch for a in window]
            answers = ask(role, reading, renderer, asked, rows, config)
            pace = [s for window, s in zip(batch, reading.seconds_per_token, strict=True) for _ in window]
            for a, answer, seconds in zip(asked, answers, pace, strict=True):
                row = rows.setdefault((a.episode.id, a.point.decision), facts(a))
                row |= answer
                row["window"][role], row["context"][role] = a.window_number, a.point.start
                row["seconds_per_token"][role] = seconds
            progress.update(len(asked))


def facts(asked: Any) -> dict[str, Any]:
    """What a row of answers says about its decision; the dictionaries are filled role by role."""
    return {
        "episode": asked.episode.id,
        "group": asked.episode.group,
        "source": asked.episode.source,
        "decision": asked.point.decision,
        "window": {},
        "context": {},
        "gold": asked.gold.model_dump(mode="json"),
        "seconds_per_token": {},
    }


def ask(role: Role, reading: Any, renderer: Any, asked: list, rows: dict, config: Config) -> list[dict[str, Any]]:
    """One role's answers to a batch of decisions: the fields it adds to each row."""
    from specacts.answering.ask import propose
    from specacts.answering.records import Candidate

    answer, seeds = config.scale.answer, [a.seed for a in asked]
    if role == "cheap":
        greedy = int(config.recipe.picks.among == "sampled")  # then the greedy proposal comes beside E's N
        found = propose(reading, renderer, answer.proposals + greedy, answer.temperature, seeds)
        picks = list(range(greedy, greedy + answer.proposals))
        return [{"cheap": dumped(candidates), "picks": picks} for candidates in found]
    proposed = [[Candidate.model_validate(c) for c in rows[a.episode.id, a.point.decision]["cheap"]] for a in asked]
    if role == "verifier":
        return verify(reading, renderer, proposed, config)
    acts = propose(reading, renderer, 1, answer.temperature, seeds)
    verdicts = strong_verdicts(reading, renderer, proposed, config)
    return [{"strong": dumped(act)[0], "strong_verdict": dumped(v)} for act, v in zip(acts, verdicts, strict=True)]


def verify(reading: Any, renderer: Any, proposed: list, config: Config) -> list[dict[str, Any]]:
    """The trained verifier's answers: what it says when asked, and how likely it finds the proposals itself."""
    from specacts.answering.ask import judge, likelihood, reward

    if gives_rewards(config.recipe, "verifier"):
        return [{"verifier": dumped(v), "verifier_likelihood": []} for v in reward(reading, renderer, proposed)]
    said = judge(reading, renderer, proposed, shows_confidence(config.recipe))
    likely = likelihood(reading, renderer, proposed, config.acceptance.level)
    return [{"verifier": dumped(a), "verifier_likelihood": dumped(b)} for a, b in zip(said, likely, strict=True)]


def strong_verdicts(reading: Any, renderer: Any, proposed: list, config: Config) -> list:
    """The strong model's judgement: how likely it finds a proposal; a frozen one is asked in words, like upstream's."""
    from specacts.answering.ask import judge, likelihood

    if freezes(config.recipe, "strong"):
        return judge(reading, renderer, proposed, shows_confidence=False)
    return likelihood(reading, renderer, proposed, config.acceptance.level)


def dumped(values: list) -> list[dict[str, Any]]:
    return [value.model_dump(mode="json") for value in values]


def summary(recorded: dict[str, dict], seconds: float) -> dict[str, Any]:
    """Counts and speed of the recording."""
    counts = {split: len(rows) for split, rows in recorded.items()}
    everything = [row for rows in recorded.values() for row in rows.values()]
    return {
        "decisions": counts,
        "seconds": seconds,
        "decisions_per_second": len(everything) / seconds,
        "context_tokens": {role: sum(row["context"][role] for row in everything) for role in ROLES},
        "generated_tokens": {
            "cheap": sum(c["tokens"] for row in everything for c in row["cheap"]),
            "strong": sum(row["strong"]["tokens"] for row in everything),
        },
        "judged_tokens": {
            judge: sum(v["tokens"] for row in everything for n, v in enumerate(row[field]) if v["shared"] == n)
            for judge, field in (("verifier", "verifier"), ("strong", "strong_verdict"))
        },
    }


if __name__ == "__main__":
    with one_line_errors(), stage("answer"):
        main()
