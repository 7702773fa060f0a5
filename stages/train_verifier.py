"""Train the verifier's LoRA adapter on the verify split, where the cheap model has proposed.

    python -m stages.train_verifier

Reads `data/split/verify.jsonl`, `data/proposals.jsonl` and the adapter that it starts from; a verifier that starts
without one learns the actions of `data/split/train.jsonl` too. Writes `models/verifier/` and
`metrics/train/verifier.json` with the loss curve in `verifier_loss.csv`, as `stages/train.py` does. Where the recipe
has no verifier, nothing is trained, and that is recorded. Ctrl-C and start again: it goes on from its latest
checkpoint.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from specacts.config import Config, load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import published_dir, write_text
from specacts.core.process import SCRATCH, stage
from specacts.recipe import has_verifier, shows_confidence
from specacts.training.launch import refuse_launcher
from specacts.training.results import FROZEN, VerdictCounts
from stages.train import DATA, MODELS, Lesson, fit, measured, record, renderer_of, training_seed, weights

if TYPE_CHECKING:
    from specacts.transcripts.render import Renderer

NO_VERIFIER = "The recipe has no verifier: its groups are for calibration.\n"


def main() -> None:
    config = load_config(Path("."))
    if not has_verifier(config.recipe):
        with published_dir(MODELS / "verifier") as folder:
            write_text(folder / "none.txt", NO_VERIFIER)
        record("verifier", FROZEN, [])
        return
    start = warm_start(config)
    lesson = verifier_lesson(config, renderer_of("verifier", config), start is None)
    result = fit("verifier", config, lesson.rows, start)
    record("verifier", measured(lesson, result), result.losses)


def verifier_lesson(config: Config, renderer: "Renderer", cold: bool) -> Lesson:
    """The verify split's episodes with right and wrong actions, as the recipe makes them.

    A verifier judges by how likely it finds a proposal, so it has to know how to act. The adapter that it starts from
    has learnt that on the train split. A `cold` one, which starts from none, learns those actions here, without
    verdicts: the cheap model has seen that split, and proposes better there than it does elsewhere. A reward model
    learns from pairs alone.
    """
    from specacts.answering.proposals import load_proposals, on_policy
    from specacts.core.episodes import load_episodes
    from specacts.traces.split import training_order
    from specacts.training.judged import synthetic
    from specacts.training.rows import reward_rows, verifier_rows

    recipe, level = config.recipe.verifier, config.acceptance.level
    episodes = training_order(load_episodes(DATA / "split" / "verify.jsonl"), training_seed(config))
    if recipe.negatives == "synthetic":
        judged = synthetic(episodes, level, config.seed)
    else:  # episodes without proposals teach their actions
        judged = on_policy(load_proposals(DATA / "proposals.jsonl"), level)
    if cold and recipe.objective == "verdict":
        episodes = training_order([*episodes, *load_episodes(DATA / "split" / "train.jsonl")], training_seed(config))
    if recipe.objective == "reward":
        rows, verdicts = reward_rows(renderer, episodes, judged)
    else:
        shown = shows_confidence(config.recipe)
        rows, verdicts = verifier_rows(renderer, episodes, judged, recipe.verdict_weight, weights(config), shown)
    return Lesson(rows, len(episodes), VerdictCounts(**verdicts._asdict()))


def warm_start(config: Config) -> Path | None:
    """The adapter that the recipe lets the verifier start from, where it was made for the same base."""
    source = config.recipe.verifier.warm_start
    if source == "none":
        return None
    theirs, ours = config.scale.role(source), config.scale.verifier
    if (theirs.base, theirs.layers) != (ours.base, ours.layers):
        print(f"note: the verifier's base or layers are not those of {source}; it learns to act by itself")
        return None
    return MODELS / source


if __name__ == "__main__":
    with one_line_errors():
        refuse_launcher()
        with stage("train-verifier", SCRATCH / "train" / "verifier"):
            main()
