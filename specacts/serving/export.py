"""A bundle as a folder that runs elsewhere, with nothing of this repository in it.

    export(load_bundle(Path("models/policy")), Path("support-policy"), merged=False)

    policy/              the bundle: load_bundle(Path("support-policy")) reads it, wherever the folder lies
    cheap/ ...           adapters, as PEFT writes them, each naming its base
    base/cheap/ ...      the bases
    merged/cheap/ ...    on request: each model with its adapter merged in
    README.md            what all of this is, with the metadata that a model hub reads

Files are copied, never linked, and all of them can be read by everybody; weights are safetensors, and nothing is a
pickle. A base that is a hub's own, with all of its layers, is named so; any other by its place in the folder, which is
found where the folder is the working directory.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

from specacts.core.errors import UserError
from specacts.core.files import published_dir, read_json, write_exact_json, write_text
from specacts.core.words import Role
from specacts.policies.table import POLICIES
from specacts.recipe import gives_rewards
from specacts.serving.bundle import FOLDER, POLICY, Bundle, Part, hashes

CONFIG, CARD, MERGED = "adapter_config.json", "README.md", "merged"
WEIGHTS = ".safetensors"
PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
"""Kinds of files that run code when they are read; serving needs none."""
ORDER = ["library_name", "pipeline_tag", "base_model", "license", "tags"]


def export(bundle: Bundle, target: Path, merged: bool) -> None:
    """Write a bundle that `load_bundle` has checked to `target`, in one step; merged: with merged models too.

    Raises `UserError` where the target is there and holds something.
    """
    target = target.resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target}: already exists and is not an empty folder; choose another one with -o")
    with published_dir(target) as out:
        parts = {role: _copied(bundle, role, out) for role in bundle.models}
        for name in bundle.files:
            _copy(bundle.folder / name, out / FOLDER / name)
        moved = bundle.model_copy(update={"models": parts})
        if merged:
            for role in parts:
                _merge(bundle, role, out / MERGED / role)
        write_text(out / CARD, card(moved, merged))
        moved.save(out / FOLDER / POLICY, exact=True)
        for path in out.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


def _copied(bundle: Bundle, role: Role, out: Path) -> Part:
    """Copy a model's base and adapter; the part as it is there."""
    part, base, adapter = bundle.models[role], f"base/{role}", bundle.adapter(role)
    for name in _wanted(part.base_files):
        _copy(bundle.base(role) / name, out / base / name)
    files: dict[str, str] = {}
    if adapter is not None:
        for name in _wanted(part.adapter_files):
            _copy(adapter / name, out / role / name)
        named = {"base_model_name_or_path": part.hub or base, "revision": part.commit}
        write_exact_json(out / role / CONFIG, read_json(adapter / CONFIG) | named)
        write_text(out / role / CARD, adapter_card(bundle, role))
        files = hashes(out / role)
    places = {"base": f"../{base}", "adapter": f"../{role}" if adapter else None}
    return part.model_copy(update={**places, "base_files": hashes(out / base), "adapter_files": files})


def _wanted(files: Mapping[str, str]) -> list[str]:
    return [name for name in files if Path(name).suffix not in PICKLES and name != CARD]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _merge(bundle: Bundle, role: Role, target: Path) -> None:
    """A role's model with its adapter merged in, and its tokenizer."""
    from specacts.models.load import load_model  # imported here: torch takes seconds

    model = load_model(bundle.base(role), bundle.adapter(role), "cpu", bundle.dtype, gives_rewards(bundle.recipe, role))
    target.mkdir(parents=True)
    model.save_pretrained(target)
    for name in _wanted(bundle.models[role].base_files):
        if not name.endswith(WEIGHTS) and not name.endswith(f"{WEIGHTS}.index.json") and not (target / name).exists():
            _copy(bundle.base(role) / name, target / name)


def card(bundle: Bundle, merged: bool) -> str:
    """The folder's model card."""
    roles = list(bundle.models)
    values = {
        "metadata": _metadata(bundle.models["cheap"], roles),
        "bundle": bundle,
        "policies": POLICIES,
        "merged": merged,
        "classes": {role: _class(bundle, role) for role in roles},
    }
    return _card("export", values)


def adapter_card(bundle: Bundle, role: Role) -> str:
    """An adapter's own model card."""
    part = bundle.models[role]
    values = {"metadata": _metadata(part, [role]), "role": role, "part": part, "bundle": bundle}
    return _card("adapter", {**values, "name": _class(bundle, role), "base": part.hub or f"base/{role}"})


def _class(bundle: Bundle, role: Role) -> str:
    """PEFT's class that loads a role's adapter and base together."""
    rewards = gives_rewards(bundle.recipe, role)
    return "AutoPeftModelForSequenceClassification" if rewards else "AutoPeftModelForCausalLM"


def _metadata(part: Part, roles: list[Role]) -> str:
    return ModelCardData(
        library_name="peft",
        pipeline_tag="text-generation",
        base_model=part.hub or part.origin,
        license=part.licence,
        tags=["lora", "agents", "tool-use", "specacts", *roles],
    ).to_yaml(original_order=ORDER)


def _card(name: str, values: dict[str, Any]) -> str:
    made = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    source = (Path(__file__).parent / f"templates/{name}.md.jinja").read_text(encoding="utf-8")
    return str(ModelCard(made.from_string(source).render(values))).rstrip("\n") + "\n"
