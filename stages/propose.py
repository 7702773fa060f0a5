"""Let the cheap model propose on the verify split: the verifier is to learn from its real mistakes.

    python -m stages.propose

Writes `data/proposals.jsonl` (a greedy and N-1 sampled proposals a decision, labelled against gold) and
`metrics/propose.json`. Nothing where the verify split is empty, since nobody learns from it. Interrupted, it goes on
from the last batch of windows, or on a server (`engine` of the scale) from the last decision.
"""

from pathlib import Path
from typing import Any

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

    from specacts.answering.pieces import Batch, answered, flat
    from specacts.answering.roles import asking, load_voice, proposals, read_batch

    scale = config.scale
    voice = load_voice(MODELS, "cheap", scale, config.recipe)
    how = asking(config.recipe, config.acceptance, scale.answer)

    def ask(batch: Batch) -> list[Any]:
        seeds, tools = [a.seed for a in flat(batch)], [a.tools for a in flat(batch)]
        said = proposals(voice, read_batch(voice, batch), how, how.proposals, seeds, tools, speaks=False)
        return [[one.model_dump(mode="json") for one in candidates] for candidates in said]

    rows = []
    with tqdm(total=sum(len(decisions(e)) for e in episodes), desc="propose", unit="decision") as progress:
        for asked, found in answered(voice, {"": episodes}, config.seed, ask, kept):
            rows += [
                Proposed(episode=a.episode.id, decision=a.point.decision, gold=a.gold, candidates=tuple(candidates))
                for a, candidates in zip(asked, found, strict=True)
            ]
            progress.update(len(asked))
    return rows


if __name__ == "__main__":
    with one_line_errors(), stage("propose"):
        main()
