"""How large models are, from their configuration alone: known before a byte of their weights is downloaded.

    shape = shape_of(config.scale, "strong")              # None: neither known here nor in a folder
    shape.parameters, shape.body, shape.lora_parameters(16)

Of Llama's kind: Llama, Qwen2, Qwen3, SmolLM2. Biases and the norms of queries and keys are left out: less than a
thousandth. The figures of known models are those of the config.json that their makers publish.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from specacts.config import Folder, Hub, Scale
from specacts.core.errors import UserError
from specacts.core.words import Role
from specacts.models.hub import known


class Shape(NamedTuple):
    """The numbers of a config.json that decide size and speed; tied: one matrix for input and output."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool

    @property
    def query(self) -> int:
        """Width of queries, and of what attention gives."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Width of keys, and of values."""
        return self.kv_heads * self.head_dim

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """A layer's linear modules: inputs and outputs."""
        attention = ((self.hidden, self.query), (self.hidden, self.key), (self.hidden, self.key))
        feed_forward = ((self.hidden, self.intermediate), (self.hidden, self.intermediate))
        return (*attention, (self.query, self.hidden), *feed_forward, (self.intermediate, self.hidden))

    @property
    def body(self) -> int:
        """Parameters outside of the embedding and the head."""
        return self.layers * (sum(i * o for i, o in self.linears) + 2 * self.hidden) + self.hidden

    @property
    def head(self) -> int:
        """Parameters of the output matrix."""
        return self.hidden * self.vocabulary

    @property
    def parameters(self) -> int:
        """All of them; tied matrices count once."""
        return self.body + self.head * (1 if self.tied else 2)

    def lora_parameters(self, r: int, layers: int | None = None) -> int:
        """Of an adapter on all linear modules, of the last so many layers or of all."""
        return r * sum(i + o for i, o in self.linears) * min(layers or self.layers, self.layers)


KNOWN = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Shape(576, 1536, 30, 9, 3, 64, 49152, True),
    "HuggingFaceTB/SmolLM2-360M-Instruct": Shape(960, 2560, 32, 15, 5, 64, 49152, True),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": Shape(2048, 8192, 24, 32, 32, 64, 49152, True),
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": Shape(896, 4864, 24, 14, 2, 64, 151936, True),
    "Qwen/Qwen3-0.6B": Shape(1024, 3072, 28, 16, 8, 128, 151936, True),
    "Qwen/Qwen3-1.7B": Shape(2048, 6144, 28, 16, 8, 128, 151936, True),
    "Qwen/Qwen3-4B": Shape(2560, 9728, 36, 32, 8, 128, 151936, True),
    "Qwen/Qwen3-8B": Shape(4096, 12288, 36, 32, 8, 128, 151936, False),
    "Qwen/Qwen3-14B": Shape(5120, 17408, 40, 40, 8, 128, 151936, False),
    "Qwen/Qwen3-32B": Shape(5120, 25600, 64, 64, 8, 128, 151936, False),
}
"""By the name on a model hub."""
Given = dict[str, Path] | None
"""By a base's name in the scale file: a config.json, or the folder that holds it."""


def shape_of(scale: Scale, role: Role, given: Given = None) -> Shape | None:
    """A role's model, with the layers that the scale keeps of its base; None where that is not known."""
    wanted = scale.role(role)
    shape = base_shape(scale, wanted.base, given)
    return shape._replace(layers=len(wanted.layers)) if shape and wanted.layers else shape


def base_shape(scale: Scale, name: str, given: Given = None) -> Shape | None:
    """A base by its name in the scale file; UserError for a config.json that is not of Llama's kind."""
    source = scale.bases[name]
    path = (given or {}).get(name) or (source.path if isinstance(source, Folder) else None)
    if path:
        return read_shape(path)
    hub = (source.repo, "") if isinstance(source, Hub) else known(source)
    return KNOWN.get(hub[0]) if hub else None


def hub_weights(scale: Scale, roles: Iterable[Role], given: Given = None) -> dict[str, int]:
    """Bytes of the weights that a model hub has of these roles' bases, by repository: two a parameter.

    Of tied matrices hubs often hold both. Bases that are not known are left out.
    """
    names = {scale.role(role).base for role in roles}
    shapes = {source.repo: base_shape(scale, n, given) for n in names if isinstance(source := scale.bases[n], Hub)}
    return {repo: 2 * (shape.body + 2 * shape.head) for repo, shape in sorted(shapes.items()) if shape}


def read_shape(path: Path) -> Shape:
    """The shape that a config.json, or that of a model's folder, tells."""
    path = path / "config.json" if path.is_dir() else path
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        heads = values["num_attention_heads"]
        return Shape(
            hidden=values["hidden_size"],
            intermediate=values["intermediate_size"],
            layers=values["num_hidden_layers"],
            heads=heads,
            kv_heads=values.get("num_key_value_heads", heads),
            head_dim=values.get("head_dim") or values["hidden_size"] // heads,
            vocabulary=values["vocab_size"],
            tied=values.get("tie_word_embeddings", True),
        )
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; the model's config.json is needed") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the config.json of a model of Llama's kind ({error!r})") from error
