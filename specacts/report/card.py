"""The model card of an adapter: what it is, how it was made, what it is not good for.

    text = model_card("cheap", config, trained)

The same training gives the same bytes: timings and memory are left to `metrics/train/<role>.json`, accuracies to
`metrics/eval.json`, which is made later. The words are in `templates/card.md.jinja`.
"""

from huggingface_hub import ModelCard, ModelCardData

from specacts.config import Config, Hub, Source
from specacts.core.words import Role
from specacts.models.hub import known
from specacts.recipe import freezes, training_form
from specacts.report.facts import Trained
from specacts.report.prose import render

ORDER = ["library_name", "pipeline_tag", "language", "base_model", "license", "tags"]


def model_card(role: Role, config: Config, trained: Trained) -> str:
    """A role's card as Markdown with front matter; of a model that the recipe leaves frozen it says just that."""
    source = config.scale.bases[config.scale.role(role).base]
    form = training_form(config.recipe)
    text = render(
        "card",
        metadata=_metadata(role, source).to_yaml(original_order=ORDER),
        role=role,
        frozen=freezes(config.recipe, role),
        config=config,
        source=source,
        known=known(source),
        layers=config.scale.role(role).layers,
        trained=trained.measured,
        rows=_training_rows(role, config, trained),
        form=form,
        template="chat" if form != "words" or config.scale.rendering(role).frames == "chat" else "compact",
    )
    return str(ModelCard(text)) + "\n"


def _metadata(role: Role, source: Source) -> ModelCardData:
    base, licence = known(source) or (source.repo if isinstance(source, Hub) else None, None)
    return ModelCardData(
        library_name="peft",
        pipeline_tag="text-generation",
        language=["en"],
        base_model=base,
        license=licence,
        tags=["lora", "agents", "tool-use", "specacts", role],
    )


def _training_rows(role: Role, config: Config, trained: Trained) -> list[tuple[str, str]]:
    """Settings, and what of a training's measurements repeats exactly when the training is repeated."""
    scale, lora, found, losses = config.scale.role(role), config.lora, trained.measured, trained.losses
    modules = lora.target_modules if isinstance(lora.target_modules, str) else ", ".join(lora.target_modules)
    return [
        ("scale, recipe, seed", f"{config.scale_name}, {config.recipe_name}, {config.seed}"),
        ("LoRA", f"r {lora.r}, alpha {lora.alpha}, dropout {lora.dropout:g}, {modules}"),
        ("learning rate, epochs", f"{scale.learning_rate:g}, {scale.epochs:g}"),
        ("batch size", str(config.train.batch_size)),
        ("steps", f"{found.steps:,}"),
        ("rows", f"{found.rows:,}"),
        ("seen tokens", f"{found.seen_tokens:,}"),
        ("supervised tokens", f"{found.supervised_tokens:,}"),
        ("trainable parameters", f"{found.trainable_parameters:,}"),
        *([("first loss", f"{losses.first:.4f}"), ("final loss", f"{losses.final:.4f}")] if losses else []),
    ]
