"""A toy bundle: everything in its place and every hash right, with files that are no models.

models = make_bundle(tmp_path / "models", config)      # load_bundle(models) reads it
offer(risk=0.05)                                       # one with some fields changed
"""

from pathlib import Path
from typing import Any

from factories import PRICES, SIZES, UPSTREAM

from specacts.config import Config
from specacts.core.files import write_text
from specacts.core.words import ROLES, Role
from specacts.serving.bundle import FOLDER, POLICY, TYPES, Bundle, Offer, Part, Proof, hashes


def offer(**fields: Any) -> Offer:
    known: dict[str, Any] = {"policy": "F", "threshold": 0.5, "risk": 0.1, "watched": None, "taken": 0.8, "cost": 0.4}
    return Offer(**(known | fields))


def make_bundle(models: Path, config: Config, **fields: Any) -> Path:
    """Write a bundle below `models`, with bases and adapters unless they lie there already; gives `models` back.

    The strong model is used as it comes.
    """
    for role in ("cheap", "strong"):
        if not (models / "base" / role).exists():
            write_text(models / "base" / role / "config.json", "{}\n")
    if not (models / "cheap").exists():
        write_text(models / "cheap/adapter_config.json", "{}\n")
    write_text(models / FOLDER / TYPES, "ls: file_read\n")
    parts = {"cheap": part(models, "cheap", tuned=True), "strong": part(models, "strong", tuned=False)}
    bundle_of(config, files=hashes(models / FOLDER), **({"models": parts} | fields)).save(
        models / FOLDER / POLICY, exact=True
    )
    return models


def part(models: Path, role: Role, tuned: bool, **fields: Any) -> Part:
    """A model's files where they lie below `models`."""
    known: dict[str, Any] = {"base": f"../base/{role}", "base_files": hashes(models / "base" / role)}
    known |= {"adapter": f"../{role}" if tuned else None, "adapter_files": hashes(models / role) if tuned else {}}
    return Part(**(known | {"hub": None, "size": SIZES[role]} | fields))


def bundle_of(config: Config, **fields: Any) -> Bundle:
    """A bundle's values; without models, unless they are given."""
    counted = {"average_over": "decisions", "most_counted": 8, "groups": 80, "decisions": 400, "cost_model": "flops"}
    known: dict[str, Any] = {
        "made_by": "test",
        "source": "own",
        "tools": {},
        "characters": None,
        "redacts": False,
        "never_cheap": (),
        "offers": (offer(),),
        "default": 0,
        "proof": Proof(confidence=0.9, level="type", **counted),
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "render": {role: config.scale.rendering(role) for role in ROLES},
        "recipe": config.recipe,
        "score": "likelihood",
        "proposals": 3,
        "temperature": 0.8,
        "well_formed": False,
        "prices": PRICES,
        "upstream": UPSTREAM,
        "files": {},
        "models": {},
    }
    return Bundle(**(known | fields))
