"""A bundle of toys: two models that write actions and are not sure of them, and the decisions they are asked about.

folder = save_models(tmp_path)                     # models/, the bundle's own folder is inside
bundle = make_bundle(folder, config.recipe)
one = offer("F", 0.5)
due()                                              # a conversation at each of its decisions
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from factories import PRICES, SIZES, UPSTREAM
from toys import COMPACT, compact_tokenizer, episode, llama, renderer, save_base

from specacts.config import Recipe
from specacts.core.episodes import Episode, decisions
from specacts.core.words import Role
from specacts.policies.combine import VERIFIER_ALONE
from specacts.policies.router import Router
from specacts.serving.bundle import Bundle, Offer, Part, Proof

LIMITS = COMPACT.model_copy(update={"max_tokens": 1024})


@cache
def due() -> list[Episode]:
    """A conversation at each of its decisions."""
    whole = episode()
    return [whole.model_copy(update={"steps": whole.steps[: one.step]}) for one in decisions(whole)]


def save_models(root: Path) -> Path:
    """Models, and what policies G and H read; returns the bundle's own folder."""
    for role, seed in (("cheap", 0), ("verifier", 1)):
        save_base(root / "base" / role, compact_tokenizer(), taught(seed, steps=20))
    (root / "policy").mkdir()
    Router(weights={}, intercept=0.0).save(root / "policy/router.json")
    VERIFIER_ALONE.save(root / "policy/combination.json")
    return root / "policy"


@cache
def taught(seed: int, steps: int) -> torch.nn.Module:
    """A toy that has learnt a little of the toy conversation: enough to write actions, not to be sure of them."""
    model, asks = llama(compact_tokenizer(), seed=seed), renderer(compact_tokenizer(), max_tokens=LIMITS.max_tokens)
    (window,) = asks.windows(episode())
    wanted = torch.tensor([n - 1 for point in window.points for n in range(point.start, point.end)])
    ids = torch.tensor([window.ids])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(input_ids=ids).logits[0, wanted], ids[0, wanted + 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def make_bundle(folder: Path, recipe: Recipe, **changed: Any) -> Bundle:
    """The bundle of `save_models`."""

    def part(role: Role) -> Part:
        base = f"../base/{role}"
        return Part(base=base, base_files={}, adapter=None, adapter_files={}, hub=None, size=SIZES[role])

    counted = {"average_over": "decisions", "most_counted": 8, "groups": 80, "decisions": 400, "cost_model": "flops"}
    values: dict[str, Any] = {
        "made_by": "test",
        "source": "own",
        "tools": {},
        "characters": None,
        "redacts": False,
        "never_cheap": (),
        "offers": (offer("F", 0.5),),
        "default": 0,
        "proof": Proof(confidence=0.9, level="type", **counted),
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "render": dict.fromkeys(("cheap", "verifier"), LIMITS),
        "recipe": recipe,
        "score": "likelihood",
        "proposals": 3,
        "temperature": 0.8,
        "well_formed": False,
        "prices": PRICES,
        "upstream": UPSTREAM,
        "files": {"router.json": "", "combination.json": ""},
        "models": {role: part(role) for role in ("cheap", "verifier")},
    }
    return Bundle(**{**values, **changed}).at(folder)


def offer(policy: str, threshold: float | dict[str, float] | None) -> Offer:
    return Offer(policy=policy, threshold=threshold, risk=None, watched=None, taken=0.5, cost=0.5)
