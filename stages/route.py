"""Fit the router on the verify split and ask it about every calibrate and test decision.

    python -m stages.route

Reads `data/proposals.jsonl` (whether the cheap model's greedy proposals were right) and the splits; writes
`data/router.json`, `data/routes.jsonl` (where it also stands which turn a decision is in) and `metrics/route.json`. No
model runs; no label of calibrate or test is read. Where nothing was proposed there is no router, and nothing measured.
"""

from pathlib import Path

from specacts.answering.proposals import load_proposals
from specacts.config import load_config
from specacts.core.episodes import agrees, decisions, load_episodes
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import write_json, write_jsonl
from specacts.core.process import stage
from specacts.core.words import Level
from specacts.policies.router import NO_ROUTER, Example, RouteMetrics, features, fit, routes

DATA = Path("data")


def main() -> None:
    config = load_config(Path("."))
    examples = load_examples(config.acceptance.level)
    asked = [e for split in ("calibrate", "test") for e in load_episodes(DATA / f"split/{split}.jsonl")]
    if not examples:
        write_json(DATA / "router.json", {})
        write_jsonl(DATA / "routes.jsonl", routes(None, asked))
        NO_ROUTER.save(Path("metrics/route.json"))
        return
    found = fit(examples, config.seed)
    found.router.save(DATA / "router.json", exact=True)
    write_jsonl(DATA / "routes.jsonl", routes(found.router, asked))
    RouteMetrics(
        decisions=len(examples),
        groups=len({example.group for example in examples}),
        base_rate=sum(example.right for example in examples) / len(examples),
        auroc=found.auroc,
        log_loss=found.log_loss,
        strength=found.strength,
    ).save(Path("metrics/route.json"))


def load_examples(level: Level) -> list[Example]:
    """The verify split's decisions, as far as the cheap model proposed there."""
    episodes = {episode.id: episode for episode in load_episodes(DATA / "split/verify.jsonl")}
    examples = []
    for row in load_proposals(DATA / "proposals.jsonl"):
        if row.episode not in episodes:
            raise UserError(f"data/proposals.jsonl: {row.episode} is not in the verify split; run `dvc repro propose`")
        episode = episodes[row.episode]
        due = decisions(episode)[row.decision]
        right = agrees(row.candidates[0].action, row.gold, level)
        examples.append(Example(features(episode, due.step), right, episode.group))
    return examples


if __name__ == "__main__":
    with one_line_errors(), stage("route"):
        main()
