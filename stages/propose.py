"""Let the cheap model propose on the verify split: the verifier is to learn from its real mistakes.

    python -m stages.propose

Writes `data/proposals.jsonl` (a greedy and N-1 sampled proposals a decision, labelled against gold) and
`metrics/propose.json`.
"""

from pathlib import Path

from specacts.config import load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import write_json
from specacts.core.process import stage
from specacts.recipe import asking_form

MODELS, DATA = Path("models"), Path("data")


def main() -> None:
    config = load_config(Path("."))
    from tqdm import tqdm

    from specacts.answering.ask import batches, propose, read
    from specacts.answering.proposals import Proposed, save_proposals, summary
    from specacts.core.episodes import decisions, load_episodes
    from specacts.models.load import load_model
    from specacts.traces.split import spread
    from specacts.transcripts.render import load_renderer

    scale = config.scale
    renderer = load_renderer(MODELS / "base" / "cheap", scale.render, asking_form(config.recipe, "cheap"))
    model = load_model(MODELS / "base" / "cheap", MODELS / "cheap", scale.device, scale.dtype)
    episodes = spread(load_episodes(DATA / "split" / "verify.jsonl"), scale.answer.verify_episodes, config.seed)
    rows = []
    with tqdm(total=sum(len(decisions(e)) for e in episodes), desc="propose", unit="decision") as progress:
        for batch in batches(renderer, episodes, config.seed):
            asked = [a for window in batch for a in window]
            reading = read(model, [window[0].window for window in batch])
            found = propose(
                reading, renderer, scale.answer.proposals, scale.answer.temperature, [a.seed for a in asked]
            )
            rows += [
                Proposed(episode=a.episode.id, decision=a.point.decision, gold=a.gold, candidates=tuple(candidates))
                for a, candidates in zip(asked, found, strict=True)
            ]
            progress.update(len(asked))
    save_proposals(DATA / "proposals.jsonl", rows)
    write_json(Path("metrics/propose.json"), summary(rows))


if __name__ == "__main__":
    with one_line_errors(), stage("propose"):
        main()
