"""How much memory a scale's models take where they are trained and asked: a range, from their shapes.

    needs = memory(config)           # None of a role whose base is not known (models/shapes.py)
    needs["strong"].low, needs["strong"].high        # GiB

What is counted of a training: weights, the adapter with its gradients and optimizer (float32), what the backward pass
keeps of each layer (or, with gradient checkpointing, of each layer's input and of one layer at a time), and the logits
of supervised tokens. The range is for what is not: the libraries' own memory, allocators, kernels. tests/plan compares
it with what the default run measured on a CPU; on a GPU nothing was measured.
"""

from specacts.config import Config, Scale
from specacts.core.words import Role
from specacts.models.shapes import Given, Shape, shape_of
from specacts.plan.ranges import Range
from specacts.recipe import freezes, local_roles

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
OPTIMIZED = 16
"""Bytes a trained parameter: itself, its gradient and Adam's two moments, in float32."""
OTHERS = {"cpu": (0.6, 1.2), "cuda": (0.8, 2.5)}
"""GiB that a process takes beside its model, least and most: libraries, the GPU's context, buffers of kernels."""
SUPERVISED = 0.3
"""Most of a transcript's tokens that are labels, as a share: the default run's is 0.24."""
BRANCHED = 1.6
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
    scale = config.scale
    gpu = scale.device == "cuda" if on_gpu is None else on_gpu
    shapes = {role: shape_of(scale, role, given) for role in local_roles(config.recipe)}
    return {role: _of_role(config, role, shape, gpu) for role, shape in shapes.items() if shape}


def _of_role(config: Config, role: Role, shape: Shape, gpu: bool) -> Range:
    asked = answering(shape, config.scale, gpu)
    return asked if freezes(config.recipe, role) else asked.over(training(config, role, shape, gpu))


def training(config: Config, role: Role, shape: Shape, gpu: bool) -> Range:
    """GiB of a role's LoRA training at the longest row."""
    scale, size = config.scale, BYTES[config.scale.dtype]
    fixed = shape.parameters * size
    fixed += shape.lora_parameters(config.lora.r, scale.role(role).train_layers) * OPTIMIZED
    longest = scale.render.max_tokens * (BRANCHED if role == "verifier" else 1)
    tokens = Range(scale.render.max_tokens, longest).times(config.train.batch_size)
    kept = tokens.times(activations(shape, size, scale.gradient_checkpointing))
    kept = Range(kept.low * SLACK[0], kept.high * SLACK[1])
    return Range(fixed / GIB, fixed / GIB) + kept.times(1 / GIB) + Range(*OTHERS["cuda" if gpu else "cpu"])


def activations(shape: Shape, size: int, checkpointing: bool) -> float:
    """Bytes a token of what the backward pass needs; size: bytes of a number.

    A layer keeps its two norms' inputs and outputs and what its linear modules read, queries, keys and values twice
    (before and after their rotation), and the gated product's parts. Of supervised tokens the head keeps logits, their
    softmax and its gradient, in float32.
    """
    layer = size * (6 * shape.hidden + 3 * shape.query + 4 * shape.key + 4.5 * shape.intermediate)
    layers = shape.layers * shape.hidden * size + layer if checkpointing else shape.layers * layer
    return layers + SUPERVISED * shape.vocabulary * 3 * 4


def answering(shape: Shape, scale: Scale, gpu: bool) -> Range:
    """GiB of a model that is asked: weights, and keys and values of one window, or of all that are read together."""
    size = BYTES[scale.dtype]
    window = scale.render.max_tokens * shape.layers * 2 * shape.key * size / GIB
    weights = shape.parameters * size / GIB
    return Range(weights + window, weights + TOGETHER * window) + Range(*OTHERS["cuda" if gpu else "cpu"])
