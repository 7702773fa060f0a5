"""The plan of a run: tokens, hours, memory and disk, before anything is downloaded.

    made = plan(config, Path("."), "h100")
    print("\n".join(told(made))); as_json(made)

`specacts plan` prints it, and docs/gpu.md quotes it.
"""

import tempfile
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from specacts.config import Config
from specacts.core.rooms import MB, keeps_once
from specacts.core.words import Role
from specacts.models.shapes import Given, Shape, hub_weights
from specacts.plan.hours import GPUS, PUBLISHED, Gpu, Measured, gpu_named, measured, on_cpu, on_gpu, total
from specacts.plan.memory import largest, live, memory, shapes_of
from specacts.plan.ranges import Range
from specacts.plan.tokens import SAMPLE, Counted, counted
from specacts.plan.traces import shared_out
from specacts.recipe import local_roles

STAND_IN = 0.3
"""How far a stand-in's count may be off, as a share. It counts too few of SmolLM2's tokens, most so in short windows
(the scale smoke), and a tenth too many of Qwen's at most: on BFCL and the example conversations."""
UPSTREAM = (
    "The project that this one follows says of its own three, whose tokens are not known: about two hours on one A100."
)


class Plan(NamedTuple):
    """What is foretold. conversations: by split. hours, upstream: None where nothing is known to take them from.

    gpu, run: where the hours come from. memory: GiB by role. download: MB of a hub's models; disk: MB in all. a100:
    hours of the trainings there. live, largest: GiB of stage live, which loads all models, and of what takes most.
    """

    scale: str
    recipe: str
    sources: str
    conversations: dict[str, int]
    counted: dict[Role, Counted]
    shapes: dict[Role, Shape]
    gpu: Gpu | None
    run: Measured | None
    hours: dict[str, Range]
    a100: Range | None
    memory: dict[Role, Range]
    live: Range
    largest: Range
    download: int
    disk: int
    once: bool
    unknown: tuple[str, ...]


def plan(config: Config, root: Path, kind: str | None, given: Given = None) -> Plan:
    """kind: of GPU; None: an H100, or none where the scale runs on the CPU. given: config.json of bases not known here.

    Raises UserError for a kind that is not known, and for traces that cannot be read or shared out.
    """
    gpu = gpu_named(kind, config.scale.device)
    roles = local_roles(config.recipe)
    shapes = shapes_of(config, given)
    with tempfile.TemporaryDirectory() as folder:
        parts = shared_out(config, root, Path(folder))
    found = counted(config, parts, root)
    run = None if gpu else measured(root)
    hours = on_gpu(config, found, shapes, gpu) if gpu else on_cpu(config, found, shapes, run) if run else {}
    download = sum(hub_weights(config.scale, roles, given).values()) // MB
    once, disk = (root / ".dvc").is_dir() and keeps_once(root), config.scale.disk
    return Plan(
        scale=config.scale_name,
        recipe=config.recipe_name,
        sources=sources(config),
        conversations={name: len(part) for name, part in parts.items()},
        counted=found,
        shapes=shapes,
        gpu=gpu,
        run=run,
        hours=hours,
        a100=trainings(on_gpu(config, found, shapes, GPUS["a100"])) if gpu else None,
        memory=memory(config, given, on_gpu=gpu is not None),
        live=live(config, given, on_gpu=gpu is not None),
        largest=largest(config, given, on_gpu=gpu is not None),
        download=download,
        disk=download * (1 if once else 2) + disk.cache + disk.workspace + disk.scratch,
        once=once,
        unknown=tuple(sorted({config.scale.role(role).base for role in roles if role not in shapes})),
    )


def trainings(hours: dict[str, Range]) -> Range:
    return total({name: hour for name, hour in hours.items() if name.startswith("train ")})


def sources(config: Config) -> str:
    named = ["BFCL"] if config.sources.bfcl else []
    return " and ".join([*named, config.sources.path] if config.sources.own else named)


# -- shown ------------------------------------------------------------------------------------------------------


def told(made: Plan) -> list[str]:
    """On a screen."""
    from tabulate import tabulate

    split = ", ".join(f"{count:,} {name}" for name, count in made.conversations.items())
    lines = [f"Scale {made.scale}, recipe {made.recipe}, traces: {made.sources}", f"Conversations: {split}", ""]
    lines += [*tabulate(_rows(made), HEADS, colalign=("left", *["right"] * 6)).splitlines(), ""]
    paragraphs = [_counting(made), *_memory(made), *_hours(made), *_disk(made)]
    if made.unknown:
        paragraphs.append(f"Not known: {', '.join(made.unknown)}; --config NAME=config.json counts it too.")
    for paragraph in paragraphs:
        lines += paragraph if isinstance(paragraph, list) else [*textwrap.wrap(paragraph, WIDTH), ""]
    return lines[:-1]


WIDTH = 100
HEADS = ("", "parameters", "learns", "sees", "reads", "writes", "memory, GiB")


def _rows(made: Plan) -> list[list[str]]:
    rows = []
    for role, one in made.counted.items():
        shape, asked = made.shapes.get(role), one.asked
        learns = [_thousands(one.training.tokens), _thousands(one.training.seen)] if one.training else ["–", "–"]
        size = f"{shape.parameters / 1e9:.2f}B" if shape else "?"
        reads = _thousands(Range(asked.read, asked.read) + asked.judged)
        memory = made.memory[role].told(0 if made.gpu else 1) if role in made.memory else "?"
        rows.append([role, size, *learns, reads, _thousands(asked.written), memory])
    return rows


def _thousands(tokens: Range) -> str:
    return f"{tokens.times(1 / 1000).told()}k"


def _counting(made: Plan) -> str:
    """What the columns are, and by whom tokens were counted."""
    stood_in = [role for role, one in made.counted.items() if not one.exact]
    how = "each base's own tokenizer"
    if stood_in:
        how = f"a stand-in, up to {STAND_IN:.0%} off: the tokenizers of {', '.join(stood_in)} are not here yet"
    most = max(made.conversations.values())
    part = f" {SAMPLE} conversations of a split stand for all of them." if most > SAMPLE else ""
    return (
        f"Tokens: learns in an epoch, sees in the whole training, reads and writes when asked. Counted by {how}.{part}"
    )


def _memory(made: Plan) -> list[str]:
    """What the table does not say of memory."""
    together = made.live.told(0 if made.gpu else 1)
    return [f"Memory: of one model, trained or asked; stage live loads all: {together} GiB."] if made.live.high else []


def _hours(made: Plan) -> list[str | list[str]]:
    if not made.hours:
        return ["Hours: unknown, since no run was measured here yet (metrics/)."]
    together = total(made.hours)
    unit, times = ("Hours", 1) if together.high > 3 else ("Minutes", 60)
    if made.gpu:
        head = f"{unit} on one {made.gpu.name}, from published throughput; never measured by us:"
    else:
        head = (
            f"{unit} on this kind of machine, from what the latest run measured (scale {made.run and made.run.scale}):"
        )
    shown = made.hours | {"together": together}
    table = [
        f"  {name:<16} {took.times(times).told(1 if times == 1 else 0)}" for name, took in shown.items() if took.high
    ]
    said: list[str | list[str]] = [[head, *table, ""]]
    if made.gpu:
        if made.largest.low > made.gpu.gib:
            said.append(f"It is too small: at least {made.largest.low:.0f} GiB of memory are needed.")
        if made.a100 and made.a100.high > 1:
            said.append(f"The trainings alone on one A100: {made.a100.told(1)} hours by the same reckoning. {UPSTREAM}")
    return said


def _disk(made: Plan) -> list[str]:
    """How much disk, and what of it is downloaded."""
    if not made.download:
        return [f"Disk: {made.disk / 1000:,.1f} GB; nothing comes from a model hub."]
    twice = "kept twice; once after `dvc config --local cache.type hardlink,copy`"
    how = "kept once: DVC's cache links" if made.once else twice
    return [f"Disk: {made.disk / 1000:,.0f} GB. {made.download / 1000:,.1f} GB come from a model hub ({how})."]


def as_json(made: Plan) -> dict[str, Any]:
    """All of it; ranges are [low, high]."""
    return {
        "scale": made.scale,
        "recipe": made.recipe,
        "sources": made.sources,
        "conversations": made.conversations,
        "roles": {role: _role_json(made, role, one) for role, one in made.counted.items()},
        "live_memory_gib": list(made.live),
        "gpu": made.gpu and made.gpu.name,
        "measured": made.run and made.run.scale,
        "hours": {name: list(took) for name, took in made.hours.items()} | {"together": list(total(made.hours))},
        "a100_trainings_hours": made.a100 and list(made.a100),
        "download_mb": made.download,
        "disk_mb": made.disk,
        "unknown_bases": list(made.unknown),
        "published": {name: {"unsloth": a, "surogate": b} for name, (a, b) in PUBLISHED.items()} if made.gpu else None,
    }


def _role_json(made: Plan, role: Role, one: Counted) -> dict[str, Any]:
    shape, training, asked = made.shapes.get(role), one.training, one.asked
    return {
        "parameters": shape and shape.parameters,
        "exact": one.exact,
        "training": training
        and {
            "rows": training.rows,
            "steps": training.steps,
            "tokens": list(training.tokens),
            "seen_tokens": list(training.seen),
        },
        "asked": {
            "decisions": asked.decisions,
            "read": asked.read,
            "judged": list(asked.judged),
            "written": list(asked.written),
        },
        "memory_gib": list(made.memory[role]) if role in made.memory else None,
    }
