"""What decides the FLOPs of a model's token, as recorded beside the answers (`data/answers/models.json`)."""

from pathlib import Path
from typing import NamedTuple

from specacts.core.errors import UserError
from specacts.core.files import read_json
from specacts.core.words import ROLES


class ModelSize(NamedTuple):
    """What decides the FLOPs of a token: body and head parameters, layers, width of attention (heads × head size)."""

    body: int
    head: int
    layers: int
    attention: int


def load_sizes(path: Path) -> dict[str, ModelSize]:
    """Read `models.json`: role to `ModelSize`; every role has to be in it."""
    values = read_json(path)
    for role in ROLES:
        found = values.get(role) if isinstance(values, dict) else None
        if not isinstance(found, dict) or set(found) != set(ModelSize._fields):
            raise UserError(f"{path}: {role}: needs {', '.join(ModelSize._fields)} (got {str(found)[:80]!r})")
    return {role: ModelSize(**values[role]) for role in ROLES}
