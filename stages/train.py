"""Train one role's LoRA adapter.

    python -m stages.train cheap
    python -m stages.train strong       # with recipe key strong: frozen, nothing is trained, and that is recorded
    python -m stages.train verifier     # needs data/proposals.jsonl

Writes `models/<role>/` (safetensors adapter and model card) and `metrics/train/<role>.json` with the loss curve
in `<role>_loss.csv` beside it. A frozen model gets a card, counts of zero and an empty curve. Ctrl-C and start again:
it goes on from its latest checkpoint.
"""

import sys
from pathlib import Path
from typing import Any

from specacts.config import ROLES, Config, Role, load_config
from specacts.errors import UserError, one_line_errors
from specacts.files import published_dir, write_json, write_text
from specacts.process import SCRATCH, stage

MODELS, DATA, METRICS = Path("models"), Path("data"), Path("metrics/train")
RECORDED = ("steps", "rows", "episodes", "tokens", "supervised_tokens", "seen_tokens", "trainable_parameters")
RECORDED += ("seconds", "peak_memory_gib", "verdicts")
"""What `metrics/train/<role>.json` holds: what can be said of a training that took no step too. Losses: the curve."""


def main(role: Role) -> None:
    config = load_config(Path("."))
    from specacts.card import frozen_card, model_card

    if config.recipe.freezes(role):
        measured, losses = dict.fromkeys(RECORDED, 0) | {"verdicts": None}, []
        with published_dir(MODELS / role) as folder:  # whatever adapter stood there is none of this recipe's
            write_text(folder / "README.md", frozen_card(role, config))
    else:
        measured, losses = trained(role, config)
        write_text(MODELS / role / "README.md", model_card(role, config, measured))
    write_json(METRICS / f"{role}.json", {key: measured[key] for key in RECORDED if measured.get(key) is not None})
    lines = [f"{step},{loss:.4f},{rate:.6g}" for step, loss, rate in losses]
    write_text(METRICS / f"{role}_loss.csv", "\n".join(["step,loss,learning_rate", *lines]) + "\n")


def trained(role: Role, config: Config) -> tuple[dict[str, Any], list]:
    """Train and publish an adapter; what was measured, and the losses."""
    # Imported here: torch takes seconds, and a wrong configuration should not have to wait for it.
    from specacts.render import load_renderer
    from specacts.train import Settings, train

    base = MODELS / "base" / role
    renderer = load_renderer(base, config.scale.render, config.recipe.training_form)
    rows, facts = verifier_data(config, renderer) if role == "verifier" else proposer_data(config, renderer)
    scale = config.scale.role(role)
    settings = Settings(
        seed=config.seed,
        lora=config.lora,
        train=config.train,
        learning_rate=scale.learning_rate,
        epochs=scale.epochs,
        device=config.scale.device,
        dtype=config.scale.dtype,
        gradient_checkpointing=config.scale.gradient_checkpointing,
        train_layers=scale.train_layers,
    )
    result = train(base, rows, MODELS / role, SCRATCH / "train" / role, settings, warm_start(role, config))
    return {**result._asdict(), **facts}, result.losses


def warm_start(role: Role, config: Config) -> Path | None:
    """The adapter a training starts from: for the verifier the recipe's, where it was made for the same base."""
    source = config.recipe.verifier.warm_start
    if role != "verifier" or source == "none":
        return None
    theirs, ours = config.scale.role(source), config.scale.verifier
    if (theirs.base, theirs.layers) != (ours.base, ours.layers):
        print(f"note: the verifier's base or layers are not those of {source}; it starts without an adapter")
        return None
    return MODELS / source


def proposer_data(config: Config, renderer) -> tuple[list, dict]:
    """Rows for a proposer: the train split's episodes."""
    from specacts.episodes import load_episodes
    from specacts.rows import proposer_rows
    from specacts.split import training_order

    episodes = training_order(load_episodes(DATA / "split" / "train.jsonl"), config.seed)
    return proposer_rows(renderer, episodes, config.train.type_weight), {"episodes": len(episodes)}


def verifier_data(config: Config, renderer) -> tuple[list, dict]:
    """Rows for the verifier: the verify split's episodes with right and wrong actions, as the recipe makes them."""
    from specacts.episodes import load_episodes
    from specacts.proposals import load_proposals
    from specacts.rows import on_policy, reward_rows, synthetic, verifier_rows
    from specacts.split import training_order

    recipe, level = config.recipe.verifier, config.acceptance.level
    episodes = training_order(load_episodes(DATA / "split" / "verify.jsonl"), config.seed)
    if recipe.negatives == "synthetic":
        judged = synthetic(episodes, level, config.seed)
    else:  # episodes without proposals teach their actions
        judged = on_policy(load_proposals(DATA / "proposals.jsonl"), level)
    if recipe.objective == "reward":
        rows, verdicts = reward_rows(renderer, episodes, judged)
    else:
        shown = config.recipe.shows_confidence
        weights = recipe.verdict_weight, config.train.type_weight
        rows, verdicts = verifier_rows(renderer, episodes, judged, *weights, shown)
    return rows, {"episodes": len(episodes), "verdicts": verdicts._asdict()}


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) != 2 or sys.argv[1] not in ROLES:
            raise UserError(f"usage: python -m stages.train {'|'.join(ROLES)}")
        with stage(f"train-{sys.argv[1]}"):
            main(sys.argv[1])
