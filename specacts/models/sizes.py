"""What decides the FLOPs of a model's token, as recorded beside the answers.

    sizes = load_sizes(Path("data/answers/models.json"))
    sizes["cheap"].layers

`measure.py` takes them from loaded models; this module needs no torch.
"""

from pathlib import Path

from specacts.core.files import read_json
from specacts.core.results import Result, load_table
from specacts.core.words import ROLES, Role


class ModelSize(Result):
    """Body and head parameters, layers, width of attention (heads × head size)."""

    body: int
    head: int
    layers: int
    attention: int


def load_sizes(path: Path) -> dict[Role, ModelSize]:
    """By role, of the models that run here: the cheap one, and verifier and strong one where they do."""
    names = tuple(role for role in ROLES if role == "cheap" or role in read_json(path))
    return load_table(path, ModelSize, names)
