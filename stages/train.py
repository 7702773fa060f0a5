"""Train a proposer's LoRA adapter on the train split.

    python -m stages.train cheap
    python -m stages.train strong       # with recipe key strong: frozen or recorded: nothing is trained

Writes `models/<role>/` (a safetensors adapter) and `metrics/train/<role>.json` with the loss curve in
`<role>_loss.csv` beside it. Of a frozen model there is no adapter, counts are zero and the curve is empty. Ctrl-C and
start again: it goes on from its latest checkpoint. The verifier has a stage of its own (`stages/train_verifier.py`).
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from specacts.config import Config, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import published_dir, write_text
from specacts.core.process import SCRATCH, stage
from specacts.core.words import Role
from specacts.recipe import freezes, is_recorded, training_form
from specacts.training.launch import refuse_launcher
from specacts.training.results import FROZEN, TrainMetrics, VerdictCounts

if TYPE_CHECKING:
    from specacts.training.rows import Row, Weights
    from specacts.training.train import TrainResult
    from specacts.transcripts.render import Renderer

MODELS, DATA, METRICS = Path("models"), Path("data"), Path("metrics/train")
PROPOSERS: tuple[Role, ...] = ("cheap", "strong")
NO_ADAPTER = "The recipe uses this model as it comes, zero-shot and in its own chat template: there is no adapter.\n"

RECORDED = "The strong model is the agent that wrote the traces: nothing is trained in its place.\n"


class Lesson(NamedTuple):
    """What a training learns from: its rows, how many episodes they came from, and of a verifier its verdicts."""

    rows: "Iterable[Row]"
    episodes: int
    verdicts: VerdictCounts | None = None


def main(role: Role) -> None:
    config = load_config(Path("."))
    why = untrained(config, role)
    if why:
        with published_dir(MODELS / role) as folder:  # whatever adapter stood there is none of this recipe's
            write_text(folder / f"{config.recipe.strong}.txt", why)
        record(role, FROZEN, [])
        return
    lesson = proposer_lesson(config, renderer_of(role, config))
    result = fit(role, config, lesson.rows)
    record(role, measured(lesson, result), result.losses)


def untrained(config: Config, role: Role) -> str:
    """Why a role has no adapter, in a sentence for its folder; empty if it is to be trained."""
    if role == "strong" and is_recorded(config.recipe):
        return RECORDED
    return NO_ADAPTER if freezes(config.recipe, role) else ""


def proposer_lesson(config: Config, renderer: "Renderer") -> Lesson:
    """The train split's episodes: their actions."""
    from specacts.core.episodes import load_episodes
    from specacts.traces.split import training_order
    from specacts.training.rows import proposer_rows

    episodes = training_order(load_episodes(DATA / "split" / "train.jsonl"), training_seed(config))
    return Lesson(proposer_rows(renderer, episodes, weights(config)), len(episodes))


def training_seed(config: Config) -> int:
    """Decides a training's order and first weights. With one of its own the same data can be learnt once more."""
    return config.seed if config.train.seed is None else config.train.seed


def weights(config: Config) -> "Weights":
    """What types and words weigh in a training."""
    from specacts.training.rows import Weights

    return Weights(config.train.type_weight, config.train.words_weight)


def renderer_of(role: Role, config: Config) -> "Renderer":
    """The renderer of a role's base, in the form that it is trained in."""
    # Imported here: torch takes seconds, and a wrong configuration should not have to wait for it.
    from specacts.transcripts.render import load_renderer

    return load_renderer(MODELS / "base" / role, config.scale.rendering(role), training_form(config.recipe))


def fit(role: Role, config: Config, rows: "Iterable[Row]", warm_start: Path | None = None) -> "TrainResult":
    """Train on the rows, from scratch or from an adapter, and publish `models/<role>/`; on all GPUs that can share."""
    from specacts.models.load import devices
    from specacts.training.job import Settings
    from specacts.training.launch import processes
    from specacts.training.train import train

    scale, found = config.scale.role(role), devices(config.scale.device)
    count = processes(found, config.train.batch_size)
    if count < found:
        print(f"note: {count} of {found} GPUs: so many share out train.batch_size = {config.train.batch_size} evenly")
    settings = Settings(
        seed=training_seed(config),
        lora=config.lora,
        train=config.train,
        learning_rate=scale.learning_rate,
        epochs=scale.epochs,
        device=config.scale.device,
        dtype=config.scale.dtype,
        gradient_checkpointing=config.scale.gradient_checkpointing,
        most_tokens=config.scale.render.max_tokens,
        train_layers=scale.train_layers,
        least_tokens=scale.least_tokens,
        processes=count,
    )
    return train(MODELS / "base" / role, rows, MODELS / role, SCRATCH / "train" / role, settings, warm_start)


def measured(lesson: Lesson, result: "TrainResult") -> TrainMetrics:
    """What is recorded of a training."""
    return TrainMetrics(
        steps=result.steps,
        rows=result.rows,
        episodes=lesson.episodes,
        tokens=result.tokens,
        supervised_tokens=result.supervised_tokens,
        seen_tokens=result.seen_tokens,
        trainable_parameters=result.trainable_parameters,
        seconds=result.seconds,
        peak_memory_gib=result.peak_memory_gib,
        verdicts=lesson.verdicts,
    )


def record(role: Role, found: TrainMetrics, losses: list[tuple[int, float, float]]) -> None:
    """Write what was measured, and the loss curve."""
    found.save(METRICS / f"{role}.json")
    lines = [f"{step},{loss:.4f},{rate:.6g}" for step, loss, rate in losses]
    write_text(METRICS / f"{role}_loss.csv", "\n".join(["step,loss,learning_rate", *lines]) + "\n")


if __name__ == "__main__":
    with one_line_errors():
        asked = next((role for role in PROPOSERS if sys.argv[1:] == [role]), None)
        if asked is None:
            raise UserError(f"usage: python -m stages.train {'|'.join(PROPOSERS)}")
        refuse_launcher()
        with stage(f"train@{asked}", SCRATCH / "train" / asked):
            main(asked)
