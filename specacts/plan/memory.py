"""How much memory a scale's models take where they are trained and asked: a range, from their shapes.

    needs = memory(config)           # None of a role whose base is not known (models/shapes.py)
    needs["strong"].low, needs["strong"].high        # GiB

What is counted of a training: weights, the adapter with its gradients and optimizer (float32), what the backward pass
keeps of each layer (or, with gradient checkpointing, of each layer's input and of one layer at a time), and the logits
of supervised tokens. The range is for what is not: the libraries' own memory, allocators, kernels. tests/plan compares
it with what the default run measured on a CPU; on a GPU nothing was measured.
"""

import functools

from specacts.config import Config, Scale
from specacts.core.words import Role
from specacts.models.shapes import Given, Shape, shape_of
from specacts.plan.ranges import Range
from specacts.recipe import freezes, is_recorded, local_roles

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
OPTIMIZED = 16
"""Bytes a trained parameter: itself, its gradient and Adam's two moments, in float32."""
OTHERS = {"cpu": (0.6, 1.2), "cuda": (0.8, 2.5)}
"""GiB that a process takes beside its model, least and most: libraries, the GPU's context, buffers of kernels."""
SUPERVISED = (0.05, 0.3)
"""The share of a transcript's tokens that are labels: 0.06 in a chat template, 0.24 in the compact one (BFCL)."""
BRANCHED = 2.0
"""So many times a window's tokens has a verifier's row at most, with the proposals that it judges: the default run's
longest is 1.5 times."""
TOGETHER = 8
"""So many windows are read together (specacts/answering/ask.py: batches)."""
SLACK = (0.8, 1.5)
"""Activations are at least and at most so many times what is counted: kernels keep more or less than the formula."""


def memory(config: Config, given: Given = None, on_gpu: bool | None = None) -> dict[Role, Range]:
    """GiB by role that runs here and whose base is known: what its training takes, or its answers if those take more.

    on_gpu: whether it runs on one, where the scale leaves that open (`device: auto`).
    """
    gpu = config.scale.device == "cuda" if on_gpu is None else on_gpu
    return {role: _of_role(config, role, shape, gpu) for role, shape in shapes_of(config, given).items()}


def largest(config: Config, given: Given = None, on_gpu: bool | None = None) -> Range:
    """GiB of what takes most: a training, answers, or where it acts live all models together."""
    needs = [*memory(config, given, on_gpu).values(), live(config, given, on_gpu)]
    return functools.reduce(Range.over, needs)


def live(config: Config, given: Given = None, on_gpu: bool | None = None) -> Range:
    """GiB of stage `live`, which loads all models at once but those on servers; nothing where it does not run.

    As many agents act side by side as there is memory for (specacts/live/room.py): here one, or four.
    """
    if is_recorded(config.recipe) or not config.sources.bfcl:
        return Range(0, 0)
    gpu, size = config.scale.device == "cuda" if on_gpu is None else on_gpu, BYTES[config.scale.dtype]
    shapes = [shape for role, shape in shapes_of(config, given).items() if role not in on_servers(config)]
    weights = sum(loaded(shape, size) for shape in shapes)
    caches = sum(config.scale.render.max_tokens * cached(shape, size) for shape in shapes)
    return Range(weights + caches, weights + 4 * caches).times(1 / GIB) + others(gpu)


def shapes_of(config: Config, given: Given) -> dict[Role, Shape]:
    """Of the roles that run here and whose base is known."""
    found = {role: shape_of(config.scale, role, given) for role in local_roles(config.recipe)}
    return {role: shape for role, shape in found.items() if shape}


def on_servers(config: Config) -> set[Role]:
    """The roles whose models answer elsewhere: what servers take is theirs."""
    return set() if config.scale.engine == "local" else set(config.scale.engine.models)


def _of_role(config: Config, role: Role, shape: Shape, gpu: bool) -> Range:
    asked = Range(0, 0) if role in on_servers(config) else answering(shape, config.scale, gpu)
    return asked if freezes(config.recipe, role) else asked.over(training(config, role, shape, gpu))


def training(config: Config, role: Role, shape: Shape, gpu: bool) -> Range:
    """GiB of a role's LoRA training: rows are read up to `max_tokens` at a time, and one that is longer by itself."""
    scale, size = config.scale, BYTES[config.scale.dtype]
    fixed = shape.parameters * size
    fixed += shape.lora_parameters(config.lora.r, scale.role(role).train_layers) * OPTIMIZED
    longest = scale.render.max_tokens * (BRANCHED if role == "verifier" else 1)
    each = [activations(shape, size, scale.gradient_checkpointing, share) for share in SUPERVISED]
    kept = Range(SLACK[0] * scale.render.max_tokens * each[0], SLACK[1] * longest * each[1])
    return (Range(fixed, fixed) + kept).times(1 / GIB) + others(gpu)


def activations(shape: Shape, size: int, checkpointing: bool, supervised: float) -> float:
    """Bytes a token of what the backward pass needs. size: bytes of a number; supervised: share of tokens with a label.

    A layer keeps its two norms' inputs and outputs and what its linear modules read, queries, keys and values twice
    (before and after their rotation), and the gated product's parts. Of supervised tokens the head keeps logits, their
    softmax and its gradient, in float32.
    """
    layer = size * (6 * shape.hidden + 3 * shape.query + 4 * shape.key + 4.5 * shape.intermediate)
    layers = shape.layers * shape.hidden * size + layer if checkpointing else shape.layers * layer
    return layers + supervised * shape.vocabulary * 3 * 4


def answering(shape: Shape, scale: Scale, gpu: bool) -> Range:
    """GiB of a model that is asked: weights, and keys and values of one window, or of all that are read together."""
    size = BYTES[scale.dtype]
    weights, window = loaded(shape, size), scale.render.max_tokens * cached(shape, size)
    return Range(weights + window, weights + TOGETHER * window).times(1 / GIB) + others(gpu)


def loaded(shape: Shape, size: int) -> int:
    """Bytes of a model that is asked; with a head in float32 beside that of bfloat16 (answering/session.py)."""
    return shape.parameters * size + (4 * shape.head if size < 4 else 0)


def cached(shape: Shape, size: int) -> int:
    """Bytes of a token's keys and values."""
    return shape.layers * 2 * shape.key * size


def others(gpu: bool) -> Range:
    return Range(*OTHERS["cuda" if gpu else "cpu"])
