"""Ask every model about every calibrate and test decision, once, and record what it said.

    python -m stages.answer

Writes `data/answers/{calibrate,test}.jsonl` and `models.json` (what a token costs each model), all or nothing,
and `metrics/answer.json` (decisions a second, tokens, seconds). Everything after this stage runs without a model.
Interrupted, it goes on from the last batch of windows that was answered, or on a server (`engine` of the scale) from
the last decision.
"""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specacts.answering.records import Candidate, Told, metrics
from specacts.config import load_config
from specacts.core.episodes import Episode, decisions, load_episodes
from specacts.core.errors import one_line_errors
from specacts.core.files import published_dir, write_jsonl
from specacts.core.journal import Journal, journal
from specacts.core.process import stage
from specacts.core.results import save_table
from specacts.recipe import has_verifier, is_recorded, local_roles
from specacts.traces.split import spread

if TYPE_CHECKING:
    from specacts.answering.ask import Asked, Reading
    from specacts.answering.roles import Asking, Voice
    from specacts.answering.served import Contexts
    from specacts.transcripts.render import Renderer

MODELS, DATA, METRICS = Path("models"), Path("data"), Path("metrics/answer.json")
SPLITS = ("calibrate", "test")

Rows = dict[tuple[str, int], dict[str, Any]]
"""Rows of answers by episode and decision, filled role by role."""


def main() -> None:
    config = load_config(Path("."))
    # Imported here: torch takes seconds, and a wrong configuration should not have to wait for it.
    from specacts.answering.roles import asking, load_voice
    from specacts.models.measure import machine

    scale, started = config.scale, time.perf_counter()
    how = asking(config.recipe, config.acceptance, scale.answer)
    most = {"calibrate": scale.answer.calibrate_episodes, "test": scale.answer.test_episodes}
    episodes = {s: spread(load_episodes(DATA / "split" / f"{s}.jsonl"), most[s], config.seed) for s in SPLITS}
    rows: Rows = {}
    told: Told | None = None
    sizes = {}
    with journal("answer", machine(scale.device)) as kept:
        for role in local_roles(config.recipe):  # cheap first: the others judge its proposals
            voice = load_voice(MODELS, role, scale, config.recipe)
            sizes[role] = voice.size
            ask_all(voice, episodes, rows, how, config.seed, kept)
            if role == "cheap" and is_recorded(config.recipe):
                told = take_down(voice.renderer, [e for split in SPLITS for e in episodes[split]], rows)
            del voice
    if not has_verifier(config.recipe):
        for row in rows.values():
            row |= {"verifier": [], "verifier_likelihood": []}
    recorded = {split: of(episodes[split], rows) for split in SPLITS}
    with published_dir(DATA / "answers") as out:
        for split in SPLITS:
            write_jsonl(out / f"{split}.jsonl", recorded[split].values())
        save_table(out / "models.json", sizes)
    metrics(recorded, time.perf_counter() - started + kept.seconds, told).save(METRICS)
    kept.forget()


def of(episodes: list[Episode], rows: Rows) -> Rows:
    """The rows of these episodes' decisions, in order."""
    keys = [(episode.id, due.index) for episode in episodes for due in decisions(episode)]
    return {key: rows[key] for key in keys}


def ask_all(
    voice: "Voice", episodes: Mapping[str, list[Episode]], rows: Rows, how: "Asking", seed: int, kept: Journal
) -> None:
    """Add one role's answers to `rows`, batch by batch.

    episodes: by split. kept: the answers that an interrupted run has got already.
    """
    from tqdm import tqdm

    from specacts.answering.pieces import answered

    role, total = voice.role, sum(len(decisions(episode)) for chosen in episodes.values() for episode in chosen)
    parts = {f"answer {split}: {role}": chosen for split, chosen in episodes.items()}
    with tqdm(total=total, desc=f"answer: {role}", unit="decision") as progress:
        for asked, said in answered(voice, parts, seed, partial(ask_batch, voice, rows, how), kept):
            for a, (answer, words, seconds) in zip(asked, said, strict=True):
                row = rows.setdefault((a.episode.id, a.point.decision), facts(a))
                row |= answer
                if words:
                    row.setdefault("heard", {})[role] = words
                row["window"][role], row["context"][role] = a.window_number, a.point.start
                row["seconds_per_token"][role] = seconds
            progress.update(len(asked))


def ask_batch(
    voice: "Voice", rows: Rows, how: "Asking", batch: "list[list[Asked]]"
) -> list[tuple[dict[str, Any], dict[str, Any] | None, float]]:
    """One role's answer to each decision, how likely it finds the agent's words, and its seconds a context token."""
    from specacts.answering import served
    from specacts.answering.ask import Reading, hear
    from specacts.answering.pieces import flat
    from specacts.answering.roles import read_batch

    reading, asked = read_batch(voice, batch), flat(batch)
    answers = ask(voice, reading, asked, rows, how)
    if isinstance(reading, Reading):
        pace = [s for window, s in zip(batch, reading.seconds_per_token, strict=True) for _ in window]
    else:
        pace = [one.seconds_per_token for one in reading.each]
    if voice.role == "verifier":
        heard: list[Any] = [None] * len(answers)
    elif isinstance(reading, Reading):
        heard = hear(reading, [window[0].window for window in batch])
    else:
        heard = [served.hear(reading.model, a.window, a.point) for a in asked]
    words = [one.model_dump() if one else None for one in heard]
    return list(zip(answers, words, pace, strict=True))


def take_down(renderer: "Renderer", episodes: list[Episode], rows: Rows) -> Told:
    """Add the recorded actions of the agent that wrote the traces, as the strong model's answers.

    How long they took counts only where the traces say it of every one; reading the context is part of it.
    """
    from specacts.answering.recorded import as_answer, count

    taken = [
        (rows[episode.id, due.index], due.gold, counted)
        for episode in episodes
        for due, counted in zip(decisions(episode), count(renderer, episode), strict=True)
    ]
    told = Told(
        usage=sum(counted.recorded for *_, counted in taken),
        seconds=sum(counted.seconds is not None for *_, counted in taken),
    )
    for row, gold, counted in taken:
        row |= {"strong": dumped([as_answer(gold, counted)])[0], "strong_verdict": []}
        row["window"]["strong"], row["context"]["strong"] = 0, counted.context
        if counted.cached is not None:
            row["cached"] = {"strong": counted.cached}
        if told.seconds == len(taken):
            row["seconds_per_token"]["strong"] = 0.0
    return told


def facts(asked: "Asked") -> dict[str, Any]:
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


def ask(
    voice: "Voice", reading: "Reading | Contexts", asked: "list[Asked]", rows: Rows, how: "Asking"
) -> list[dict[str, Any]]:
    """One role's answers to a batch of decisions: the fields it adds to each row."""
    from specacts.answering.roles import judgements, proposals

    seeds, tools = [a.seed for a in asked], [a.tools for a in asked]
    if voice.role == "cheap":
        picks = list(how.picks)
        found = proposals(voice, reading, how, how.candidates, seeds, tools)
        return [{"cheap": dumped(candidates), "picks": picks} for candidates in found]
    proposed = [[Candidate.model_validate(c) for c in rows[a.episode.id, a.point.decision]["cheap"]] for a in asked]
    if voice.role == "strong":
        acts = proposals(voice, reading, how, 1, seeds, tools)
        verdicts = judgements(voice, reading, proposed, how, how.strong)
        return [{"strong": dumped(act)[0], "strong_verdict": dumped(v)} for act, v in zip(acts, verdicts, strict=True)]
    if how.verifier == "reward":
        return [
            {"verifier": dumped(verdicts), "verifier_likelihood": []}
            for verdicts in judgements(voice, reading, proposed, how, "reward")
        ]
    # Both are recorded, whichever of them policies go by: replaying with the other one then runs no model.
    said, likely = (judgements(voice, reading, proposed, how, score) for score in ("verdict", "likelihood"))
    acts = proposals(voice, reading, how, 1, seeds, tools)  # greedy: nothing is drawn from the seeds
    return [
        {"verifier": dumped(a), "verifier_likelihood": dumped(b), "middle": dumped(act)[0]}
        for a, b, act in zip(said, likely, acts, strict=True)
    ]


def dumped(values: list[Any]) -> list[dict[str, Any]]:
    return [value.model_dump(mode="json") for value in values]


if __name__ == "__main__":
    with one_line_errors(), stage("answer"):
        main()
