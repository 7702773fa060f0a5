"""Train one role's LoRA adapter.

    python -m stages.train cheap
    python -m stages.train strong
    python -m stages.train verifier     # needs data/proposals.jsonl

Writes `models/<role>/` (safetensors adapter and model card) and `metrics/train/<role>.json` with the loss curve
in `<role>_loss.csv` beside it. Ctrl-C and start again: it goes on from its latest checkpoint.
"""

import sys
from pathlib import Path

from specacts.config import ROLES, Config, Role, load_config
from specacts.errors import UserError, one_line_errors
from specacts.files import write_json, write_text
from specacts.process import SCRATCH, stage

MODELS, DATA, METRICS = Path("models"), Path("data"), Path("metrics/train")


def main(role: Role) -> None:
    config = load_config(Path("."))
    # Imported here: torch takes seconds, and a wrong configuration should not have to wait for it.
    from specacts.card import model_card
    from specacts.render import load_renderer
    from specacts.train import Settings, train

    base = MODELS / "base" / role
    renderer = load_renderer(base, config.scale.render)
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
    measured = {**result._asdict(), **facts}
    losses = measured.pop("losses")
    write_text(MODELS / role / "README.md", model_card(role, config, measured))
    write_json(METRICS / f"{role}.json", measured)
    lines = [f"{step},{loss:.4f},{rate:.6g}" for step, loss, rate in losses]
    write_text(METRICS / f"{role}_loss.csv", "\n".join(["step,loss,learning_rate", *lines]) + "\n")


def warm_start(role: Role, config: Config) -> Path | None:
    """The adapter a training starts from: for the verifier the recipe's, where it was made for the same base."""
    source = config.recipe.warm_start
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
    from specacts.rows import proposer_rows, training_order

    episodes = training_order(load_episodes(DATA / "split" / "train.jsonl"), config.seed)
    return proposer_rows(renderer, episodes, config.train.type_weight), {"episodes": len(episodes)}


def verifier_data(config: Config, renderer) -> tuple[list, dict]:
    """Rows for the verifier: the verify split's episodes with the cheap model's own proposals."""
    from specacts.episodes import load_episodes
    from specacts.proposals import load_proposals
    from specacts.rows import training_order, verifier_rows

    rows = load_proposals(DATA / "proposals.jsonl")
    proposals = {(row.episode, row.decision): list(row.candidates) for row in rows}
    episodes = load_episodes(DATA / "split" / "verify.jsonl")  # those without proposals teach their actions
    rows, balance = verifier_rows(
        renderer,
        training_order(episodes, config.seed),
        proposals,
        config.acceptance.level,
        config.recipe.verdict_weight,
        config.train.type_weight,
        config.recipe.shows_confidence,
    )
    return rows, {"episodes": len(episodes), "verdicts": balance._asdict()}


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) != 2 or sys.argv[1] not in ROLES:
            raise UserError(f"usage: python -m stages.train {'|'.join(ROLES)}")
        with stage(f"train-{sys.argv[1]}"):
            main(sys.argv[1])
