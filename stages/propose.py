"""Let the cheap model propose on the verify split: the verifier is to learn from its real mistakes.

    python -m stages.propose

Writes `data/proposals.jsonl` (a greedy and N-1 sampled proposals a decision, labelled against gold) and
`metrics/propose.json`. Nothing where the verify split is empty, since nobody learns from it. Interrupted, it goes on
from the last batch of windows.
"""

from pathlib import Path

from specacts.answering.proposals import Proposed, save_proposals, summary
from specacts.config import Config, load_config
from specacts.core.episodes import Episode, decisions, load_episodes
from specacts.core.errors import one_line_errors
from specacts.core.journal import Journal, journal
from specacts.core.process import stage
from specacts.traces.split import spread

MODELS, DATA = Path("models"), Path("data")


def main() -> None:
    config = load_config(Path("."))
    episodes = spread(load_episodes(DATA / "split" / "verify.jsonl"), config.scale.answer.verify_episodes, config.seed)
    if episodes:
        from specacts.models.measure import machine

        with journal("propose", machine(config.scale.device)) as kept:
            rows = proposed(config, episodes, kept)
    else:
        rows, kept = [], None
    save_proposals(DATA / "proposals.jsonl", rows)
    summary(rows).save(Path("metrics/propose.json"))
    if kept:
        kept.forget()


def proposed(config: Config, episodes: list[Episode], kept: Journal) -> list[Proposed]:
    """What the cheap model proposes at every decision; kept: what an interrupted run has got of it already."""
    # Imported here: torch takes seconds, and a wrong configuration should not have to wait for it.
    from tqdm import tqdm

    from specacts.answering.ask import batches, read
    from specacts.answering.roles import asking, load_voice, proposals

    scale = config.scale
    voice = load_voice(MODELS, "cheap", scale, config.recipe)
    how = asking(config.recipe, config.acceptance, scale.answer)
    rows = []
    with tqdm(total=sum(len(decisions(e)) for e in episodes), desc="propose", unit="decision") as progress:
        for number, batch in enumerate(batches(voice.renderer, episodes, config.seed)):
            asked = [a for window in batch for a in window]
            found = kept.get(str(number))
            if found is None:
                reading = read(voice.model, [window[0].window for window in batch])
                seeds, tools = [a.seed for a in asked], [a.tools for a in asked]
                said = proposals(voice, reading, how, how.proposals, seeds, tools, speaks=False)
                found = kept.add(
                    str(number), [[one.model_dump(mode="json") for one in candidates] for candidates in said]
                )
            rows += [
                Proposed(episode=a.episode.id, decision=a.point.decision, gold=a.gold, candidates=tuple(candidates))
                for a, candidates in zip(asked, found, strict=True)
            ]
            progress.update(len(asked))
    return rows


if __name__ == "__main__":
    with one_line_errors(), stage("propose"):
        main()
