"""How long a run takes: on a GPU by published throughput, on a CPU by what the latest run here measured.

    on_gpu(config, counted, shapes, GPUS["h100"])        # hours by stage, as ranges
    on_cpu(config, counted, shapes, measured(root))

On a GPU nothing of ours was measured. Trainings: LoRA tokens a second as Unsloth's on one H100 are published, at the
fast end; a third of them at the slow end, since our trainer has no kernels of its own. Other GPUs are that much
slower or faster as their makers say their dense bfloat16 arithmetic is. Questions: reading by arithmetic, writing by
how fast weights are read, both with room for what libraries add.
"""

import math
from pathlib import Path
from typing import NamedTuple

from specacts.config import Config
from specacts.core.errors import UserError
from specacts.core.files import read_json
from specacts.core.stored import read_lock
from specacts.core.words import ROLES, Role
from specacts.models.shapes import KNOWN, Shape
from specacts.plan.memory import BYTES
from specacts.plan.ranges import Range
from specacts.plan.tokens import Counted
from specacts.policies.table import RUN_LIVE
from specacts.recipe import is_recorded


class Gpu(NamedTuple):
    """A kind of GPU by its maker's data sheet: GiB, dense bfloat16 TFLOP/s, GB/s of memory."""

    name: str
    gib: int
    tflops: float
    bandwidth: float


GPUS = {
    "h100": Gpu("H100 SXM 80 GB", 80, 989, 3350),
    "h200": Gpu("H200 141 GB", 141, 989, 4800),
    "b200": Gpu("B200 180 GB", 180, 2250, 8000),
    "a100": Gpu("A100 SXM 80 GB", 80, 312, 2039),
    "a100-40": Gpu("A100 40 GB", 40, 312, 1555),
    "l40s": Gpu("L40S 48 GB", 48, 362, 864),
    "a10": Gpu("A10 24 GB", 24, 125, 600),
    "l4": Gpu("L4 24 GB", 24, 121, 300),
    "rtx-4090": Gpu("RTX 4090 24 GB", 24, 165, 1008),
    "rtx-3090": Gpu("RTX 3090 24 GB", 24, 71, 936),
}


def gpu_named(name: str | None, device: str) -> Gpu | None:
    """A kind of GPU; without a name an H100 where the scale's device is one, else none. UserError for unknown ones."""
    if name is None:
        return GPUS["h100"] if device == "cuda" else None
    if name not in GPUS:
        raise UserError(f"--gpu {name}: not known; choose from {', '.join(GPUS)}")
    return GPUS[name]


PUBLISHED = {"Qwen/Qwen3-1.7B": (20_800, 32_800), "Qwen/Qwen3-4B": (12_400, 15_900), "Qwen/Qwen3-8B": (8_900, 10_200)}
"""LoRA tokens a second on one H100 in bfloat16, as Surogate's benchmark page gives them: Unsloth's, and its own."""
SLOWEST = 1 / 3
"""Of Unsloth's figures, at the slow end."""
READING = (0.1, 0.5)
"""Shares of a GPU's arithmetic that reading a context reaches, at the slow and at the fast end."""
OVERHEAD = (0.010, 0.045)
"""Seconds a step of writing takes beside reading the weights, at the fast and at the slow end."""
SIDE_BY_SIDE = 16
"""Episodes that act live at a time (stages/live.py)."""
LIVE = (0.3, 1.5)
"""Steps that policies take live, as a share of the recorded ones: the default run's take 0.5 of them."""
OTHERS = Range(1 / 60, 5 / 60)
"""Hours of all stages without a model."""
SPREAD = (0.8, 1.5)
"""How far another run on the same machine may be from a measured one."""


def published(parameters: int) -> float:
    """Unsloth's tokens a second on one H100: between the published sizes in proportion, above them by arithmetic."""
    points = sorted((KNOWN[name].parameters, theirs) for name, (theirs, _) in PUBLISHED.items())
    if parameters >= points[-1][0]:
        return points[-1][1] * points[-1][0] / parameters
    pairs = list(zip(points, points[1:], strict=False))
    (size, rate), (larger, slower) = next((pair for pair in pairs if parameters <= pair[1][0]), pairs[-1])
    slope = math.log(slower / rate) / math.log(larger / size)
    return rate * (parameters / size) ** slope


def training_rate(shape: Shape, gpu: Gpu) -> Range:
    """Tokens a second of a LoRA training."""
    fast = published(shape.parameters) * gpu.tflops / GPUS["h100"].tflops
    return Range(fast * SLOWEST, fast)


def on_gpu(config: Config, counted: dict[Role, Counted], shapes: dict[Role, Shape], gpu: Gpu) -> dict[str, Range]:
    """Hours by what is done, of the roles whose shape is known."""
    found: dict[str, Range] = {}
    answers, live = Range(0, 0), Range(0, 0)
    for role, shape in shapes.items():
        one = counted[role]
        if one.training:
            rate = training_rate(shape, gpu)
            seen = one.training.seen
            found[f"train {role}"] = Range(seen.low / rate.high, seen.high / rate.low).times(1 / 3600)
        step = shape.parameters * BYTES[config.scale.dtype] / (gpu.bandwidth * 1e9)
        steps = Range(one.asked.steps.low * (step + OVERHEAD[0]), one.asked.steps.high * (step + OVERHEAD[1]))
        read = Range(one.asked.read + one.asked.judged.low, one.asked.read + one.asked.judged.high)
        rate = Range(*(share * gpu.tflops * 1e12 / (2 * shape.body) for share in READING))
        answers += (Range(read.low / rate.high, read.high / rate.low) + steps).times(1 / 3600)
        turns = live_steps(config)
        rounds = turns.times(1 / min(SIDE_BY_SIDE, config.scale.live.episodes) / 3600)
        written = one.asked.written.high / max(one.asked.decisions, 1)
        live += Range(rounds.low * written / 3 * (step + OVERHEAD[0]), rounds.high * written * (step + OVERHEAD[1]))
    return found | {"propose, answer": answers, "live": live, "other stages": OTHERS}


def live_steps(config: Config) -> Range:
    """Actions that policies take live: none of a recorded agent, and none in your own traces."""
    if is_recorded(config.recipe) or not config.sources.bfcl:
        return Range(0, 0)
    recorded = config.scale.live.episodes * 10 * (len(RUN_LIVE) + 1)  # a multi-turn episode of BFCL has ten decisions
    return Range(LIVE[0] * recorded, LIVE[1] * recorded)


# -- as measured ------------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """What the latest run measured. rates: training's tokens a second by role; answers: seconds for so many decisions.

    bodies: parameters without embeddings by role. written: tokens by role.
    """

    scale: str
    rates: dict[Role, float]
    bodies: dict[Role, int]
    answers: float
    decisions: int
    written: dict[Role, int]


def measured(root: Path) -> Measured | None:
    """What metrics/ has of a run on this kind of device; None where there is none, or it was on a GPU."""
    try:
        lock = read_lock(root).get("train@cheap", {}).get("params", {})
        name, scale = next((file, values) for file, values in lock.items() if file.startswith("configs/scale/"))
        roles = read_json(root / "metrics/assets.json")["roles"]
        trained = {role: read_json(root / f"metrics/train/{role}.json") for role in ROLES if role in roles}
        asked = read_json(root / "metrics/answer.json")
    except (UserError, StopIteration, KeyError):
        return None
    if scale.get("device") != "cpu":
        return None
    written = asked["generated_tokens"]
    return Measured(
        scale=Path(name).stem,
        rates={role: one["seen_tokens"] / one["seconds"] for role, one in trained.items() if one["seconds"]},
        bodies={role: roles[role]["parameters_without_embedding"] for role in trained},
        answers=asked["seconds"],
        decisions=sum(asked["decisions"].values()),
        written={role: written.get("middle" if role == "verifier" else role, 0) for role in trained},
    )


def on_cpu(config: Config, counted: dict[Role, Counted], shapes: dict[Role, Shape], run: Measured) -> dict[str, Range]:
    """Hours by what is done: as fast as the measured run, in proportion to the models' sizes."""
    found: dict[str, Range] = {}
    work = 0.0
    for role, shape in shapes.items():
        one = counted[role]
        near = run.rates.get(role) and run.bodies[role] == shape.body
        likeliest = run.rates[role] if near else max(r * run.bodies[n] for n, r in run.rates.items()) / shape.body
        if one.training:
            found[f"train {role}"] = _around(one.training.seen.times(1 / likeliest / 3600))
        work += shape.body * one.asked.written.low
    done = sum(run.bodies[role] * tokens for role, tokens in run.written.items())
    answers = run.answers * work / done / 3600
    steps = live_steps(config)
    live = steps.times(answers / max(1, min(one.asked.decisions for one in counted.values())))
    return found | {"propose, answer": _around(Range(answers, answers)), "live": live, "other stages": OTHERS}


def _around(hours: Range) -> Range:
    return Range(hours.low * SPREAD[0], hours.high * SPREAD[1])


def total(hours: dict[str, Range]) -> Range:
    return sum(hours.values(), Range(0, 0))
