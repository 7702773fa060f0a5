"""A bundle of toys: two models that write actions and are not sure of them, and the decisions they are asked about.

folder = save_models(tmp_path)                     # models/, the bundle's own folder is inside
bundle = make_bundle(folder, config)
one = offer("F", 0.5)
due()                                              # a conversation at each of its decisions
"""

from functools import cache
from pathlib import Path
from typing import Any

import bundle_files
import torch
from bundle_files import bundle_of
from factories import SIZES
from toys import COMPACT, compact_tokenizer, episode, llama, renderer, save_base

from specacts.config import Config
from specacts.core.episodes import Episode, decisions
from specacts.policies.combine import VERIFIER_ALONE
from specacts.policies.router import Router
from specacts.serving.bundle import Bundle, Offer, Part

LIMITS = COMPACT.model_copy(update={"max_tokens": 1024})
WHOLE = episode(turns=2)
"""The conversation that all of these models have learnt something of."""


@cache
def due() -> list[Episode]:
    """A conversation at each of its decisions."""
    return [WHOLE.model_copy(update={"steps": WHOLE.steps[: one.step]}) for one in decisions(WHOLE)]


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
    return teach(llama(compact_tokenizer(), seed=seed), WHOLE, steps)


def teach(model: torch.nn.Module, whole: Episode, steps: int) -> torch.nn.Module:
    """The model, after so many steps on the actions of a conversation."""
    (window,) = renderer(compact_tokenizer(), max_tokens=LIMITS.max_tokens).windows(whole)
    wanted = torch.tensor([n - 1 for point in window.points for n in range(point.start, point.end)])
    ids = torch.tensor([window.ids])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(input_ids=ids).logits[0, wanted], ids[0, wanted + 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def make_bundle(folder: Path, config: Config, **changed: Any) -> Bundle:
    """The bundle of `save_models`."""
    files = {"base_files": {}, "adapter": None, "adapter_files": {}, "hub": None}
    parts = {role: Part(base=f"../base/{role}", size=SIZES[role], **files) for role in ("cheap", "verifier")}
    fields = {"offers": (offer("F", 0.5),), "render": dict.fromkeys(parts, LIMITS), "models": parts}
    fields |= {"files": {"router.json": "", "combination.json": ""}}
    return bundle_of(config, **(fields | changed)).at(folder)


def offer(policy: str, threshold: float | dict[str, float] | None) -> Offer:
    return bundle_files.offer(policy=policy, threshold=threshold, risk=None)
