"""Let the cheap model propose on the verify split: the verifier is to learn from its real mistakes.

    python -m stages.propose

Writes `data/proposals.jsonl` (a greedy and N-1 sampled proposals a decision, labelled against gold) and
`metrics/propose.json`.
"""

from pathlib import Path

from specacts.config import load_config
from specacts.errors import one_line_errors
from specacts.files import write_json
from specacts.process import stage

MODELS, DATA = Path("models"), Path("data")


def main() -> None:
    config = load_config(Path("."))
    from tqdm import tqdm

    from specacts.answering import propose, read, window_seed
    from specacts.episodes import decisions, load_episodes
    from specacts.infer import load_model
    from specacts.proposals import Proposed, save_proposals, summary
    from specacts.render import load_renderer
    from specacts.split import spread

    scale = config.scale
    renderer = load_renderer(MODELS / "base" / "cheap", scale.render)
    model = load_model(MODELS / "base" / "cheap", MODELS / "cheap", scale.device, scale.dtype)
    episodes = spread(load_episodes(DATA / "split" / "verify.jsonl"), scale.answer.verify_episodes, config.seed)
    rows = []
    for episode in tqdm(episodes, desc="propose", unit="episode"):
        due = decisions(episode)
        for number, window in enumerate(renderer.windows(episode)):
            seed = window_seed(config.seed, episode.id, number)
            answers = propose(
                read(model, window), window, renderer, scale.answer.proposals, scale.answer.temperature, seed
            )
            for point, candidates in zip(window.points, answers, strict=True):
                gold = due[point.decision].gold
                rows.append(
                    Proposed(episode=episode.id, decision=point.decision, gold=gold, candidates=tuple(candidates))
                )
    save_proposals(DATA / "proposals.jsonl", rows)
    write_json(Path("metrics/propose.json"), summary(rows))


if __name__ == "__main__":
    with one_line_errors(), stage("propose"):
        main()
