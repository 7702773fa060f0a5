"""The plans that docs/gpu.md quotes: what `specacts plan` prints of scales for GPUs, and the hours on each kind of GPU.

    python -m scripts.plans                  # writes docs/plans.json (`make plans`); a minute a scale
    python -m scripts.plans --scale smoke --out FILE

Run it again when a scale for a GPU, or what is foretold of it, has changed.
"""

import argparse
from pathlib import Path
from typing import Any

from specacts.config import load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import write_json
from specacts.plan.hours import GPUS, Gpu, on_gpu, total
from specacts.plan.plan import Plan, plan, told, trainings

SCALES = ("qwen3", "gpu-smoke")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", action="append", help=f"default: {' and '.join(SCALES)}")
    parser.add_argument("--out", type=Path, default=Path("docs/plans.json"))
    given = parser.parse_args()
    write_json(given.out, {scale: planned(scale) for scale in given.scale or SCALES})


def planned(scale: str) -> dict[str, Any]:
    """What is printed of a scale, and how long it takes on every kind of GPU."""
    config = load_config(Path("."), scale)
    made = plan(config, Path("."), "h100")
    rows = []
    for kind in GPUS.values():
        hours = on_gpu(config, made.counted, made.shapes, kind)
        times = {"trainings": trainings(hours).told(1), "all": total(hours).told(1)}
        rows.append({"gpu": kind.name, "fits": fits(made, kind), **times})
    return {"screen": told(made), "gpus": rows}


def fits(made: Plan, kind: Gpu) -> str:
    """Whether what takes most does, which needs from so many GiB to so many."""
    return "yes" if made.largest.high <= kind.gib else "perhaps" if made.largest.low <= kind.gib else "no"


if __name__ == "__main__":
    with one_line_errors():
        main()
