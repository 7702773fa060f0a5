"""Is this GPU as it should be? A few minutes of real training and answering, measured against what is foretold.

    python -m scripts.gpu_smoke                   # with the base of the scale gpu-smoke, from the model hub (1.5 GB)
    python -m scripts.gpu_smoke --base FOLDER     # with a model's folder that is here

The first lines say what was found: GPU, memory, bfloat16, driver. Then a LoRA adapter is trained on the example
conversations through the code that the stages use, and asked. What is asserted: that the adapter computes in the
scale's dtype, that memory stays within what `specacts plan` foretells, that training is no slower than half of the
plan's slow end (of GPUs that the plan knows), that a transcript gives the same probabilities whether it is read whole
or token by token, within what its dtype allows, and that the loss is finite. Exit code 1 where anything is not so.
"""

import argparse
import contextlib
import math
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from specacts.config import Config, load_config
from specacts.core.episodes import Episode
from specacts.core.errors import UserError, one_line_errors
from specacts.core.process import SCRATCH
from specacts.core.words import Role
from specacts.models.device import Gpu, gpu, require
from specacts.models.shapes import read_shape
from specacts.plan.hours import GPUS, training_rate
from specacts.plan.memory import answering, training
from specacts.plan.ranges import Range
from specacts.plan.traces import own

SCALE = "gpu-smoke"
ROLE: Role = "strong"
EXAMPLE, TYPES = "examples/helpdesk.jsonl", "configs/action_types/helpdesk.yaml"
ROWS = 60
"""Conversations that are learnt from: a minute's work for a GPU of the last years."""
COMPARED = 400
"""Tokens of a transcript that are read one by one."""


class Seen(NamedTuple):
    """What was measured. dtypes: those in which adapters computed; apart: the largest difference of a probability."""

    dtypes: frozenset[str]
    memory: float
    tokens_per_second: float
    seconds: float
    apart: float
    losses: tuple[float, float]


class Check(NamedTuple):
    """Something that is asserted, whether it holds, and the figures."""

    name: str
    holds: bool
    figures: str

    def told(self) -> str:
        return f"{'ok   ' if self.holds else 'WRONG'} {self.name:<18} {self.figures}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="a model's folder (default: the base of the scale gpu-smoke)")
    given = parser.parse_args()
    config = load_config(Path("."), SCALE)
    found = gpu()
    where = f"configs/scale/{SCALE}.yaml"
    if isinstance(found, str):
        raise UserError(f"no GPU to try: {found}")
    print(f"GPU: {found.told()}", flush=True)
    require(found, config.scale.dtype, 0.0, where)
    base = given.base or fetched(config, where)
    expected = foretold(config, base)
    require(found, config.scale.dtype, expected.low, where)
    with tempfile.TemporaryDirectory() as folder:
        episodes = own(example(config), Path(folder))[:ROWS]
    checks = judged(measure(config, base.resolve(), episodes), config.scale.dtype, expected, slowest(found, base))
    print("\n".join(check.told() for check in checks))
    if not all(check.holds for check in checks):
        raise UserError("this GPU, or what is installed for it, is not as it should be (docs/gpu.md)")
    print(f"all as it should be; every stage on it: dvc exp run --temp -n {SCALE} -S scale={SCALE}")


def fetched(config: Config, where: str) -> Path:
    """The scale's base, from the model hub."""
    from stages.fetch import fetch_base

    name = config.scale.role(ROLE).base
    return fetch_base(config.scale.bases[name], f"{where}: bases.{name}")[0]


def example(config: Config) -> Config:
    """The configuration with the example conversations for traces."""
    named = {"bfcl": False, "own": True, "path": EXAMPLE, "files": (), "types": TYPES}
    return config.model_copy(update={"sources": config.sources.model_copy(update=named)})


def foretold(config: Config, base: Path) -> Range:
    """GiB of memory that the plan expects of training and asking this base."""
    shape, on_gpu = read_shape(base), config.scale.device != "cpu"
    return training(config, ROLE, shape, on_gpu).over(answering(shape, config.scale, on_gpu))


def slowest(found: Gpu, base: Path) -> float | None:
    """Tokens a second that training has to reach: half of the plan's slow end; None on a GPU that it does not know.

    Nor does it know a part of one (MIG), or a laptop's.
    """
    words = set(re.split(r"[^A-Z0-9]+", found.name.upper()))
    if words & {"MIG", "LAPTOP"}:
        return None
    kind = next((kind for name, kind in GPUS.items() if words.issuperset(name.upper().split("-"))), None)
    return training_rate(read_shape(base), kind).low / 2 if kind else None


def measure(config: Config, base: Path, episodes: list[Episode]) -> Seen:
    """Train on the episodes, then ask, in a folder that is laid out as the stages'."""
    from specacts.answering.roles import load_voice
    from specacts.answering.session import Session
    from specacts.training.rows import proposer_rows
    from stages.train import fit, renderer_of, weights

    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder, contextlib.chdir(folder):
        Path("models/base").mkdir(parents=True)
        Path("models/base", ROLE).symlink_to(base)
        renderer = renderer_of(ROLE, config)
        print(f"training on {len(episodes)} conversations", flush=True)
        with adapters_dtypes() as dtypes:
            result = fit(ROLE, config, list(proposer_rows(renderer, episodes, weights(config))))
        voice = load_voice(Path("models"), ROLE, config.scale, config.recipe)
        ids = renderer.windows(episodes[0])[0].ids[:COMPARED]
        whole, parts = Session(voice.model), Session(voice.model)
        at_once = whole.extend(ids, list(range(len(ids)))).exp()
        steps = [parts.extend([token], [place]).exp() for place, token in enumerate(ids)]
        apart = max((at_once[place] - one[0]).abs().max().item() for place, one in enumerate(steps))
    ends = (result.first_loss, result.final_loss)
    return Seen(frozenset(dtypes), result.peak_memory_gib, result.tokens_per_second, result.seconds, apart, ends)


@contextlib.contextmanager
def adapters_dtypes() -> Iterator[set[str]]:
    """The dtypes of what adapters' modules give while this is open: float32 shows a forward outside of autocast."""
    import torch
    from torch.nn.modules.module import register_module_forward_hook

    seen: set[str] = set()

    def look(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, torch.nn.Linear) and module.weight.requires_grad:
            seen.add(str(output.dtype).removeprefix("torch."))

    hook = register_module_forward_hook(look)
    try:
        yield seen
    finally:
        hook.remove()


def judged(seen: Seen, dtype: str, memory: Range, slowest: float | None) -> list[Check]:
    """What was measured beside what it should be. slowest: tokens a second; None: not known of this GPU."""
    from specacts.answering.session import NOISE  # imports torch, which takes seconds

    first, last = seen.losses
    rate = f"{seen.tokens_per_second:,.0f} tokens/s in {seen.seconds:.0f} s"
    floor = f"at least {slowest:,.0f}" if slowest else "the plan does not know this GPU"
    allowed = NOISE[dtype]
    return [
        Check("adapters compute", seen.dtypes == {dtype}, f"in {', '.join(sorted(seen.dtypes))}; wanted: {dtype}"),
        Check("peak memory", seen.memory <= memory.high, f"{seen.memory:.1f} GiB; foretold: {memory.told(1)}"),
        Check("training", slowest is None or seen.tokens_per_second >= slowest, f"{rate}; wanted: {floor}"),
        Check("probabilities", seen.apart <= allowed, f"apart by {seen.apart:.1e}; allowed: {allowed:g}"),
        Check("loss", math.isfinite(first) and math.isfinite(last), f"from {first:.3f} to {last:.3f}"),
    ]


if __name__ == "__main__":
    with one_line_errors():
        main()
