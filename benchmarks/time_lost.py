"""What a kill at the worst moment costs each long stage: where it would begin again, and where it goes on.

    python -m benchmarks.time_lost                     # here, where `dvc repro` has run; outputs are put back
    python -m benchmarks.time_lost --stages answer

Each stage runs undisturbed; then it is killed (SIGKILL) where most is lost, just before the next checkpoint of a
training or the last piece of answers is kept, and run again. Lost is what both together take more than the undisturbed
run. A stage that began again would lose all until the kill. The outputs must be the same bytes as the undisturbed run's
but for what was measured; else this fails.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from specacts.core.errors import UserError, one_line_errors
from specacts.core.journal import JOURNALS
from specacts.core.process import SCRATCH

MEASURED = re.compile("second|memory")


class Stage(NamedTuple):
    """A stage: its command, what it writes, and the folder where it keeps what an interrupted run has done.

    asks: whether it keeps pieces of answers, the last of which is under way when all but one are there. Others keep
    checkpoints, which are of no use when their folder appears.
    """

    command: tuple[str, ...]
    outputs: tuple[str, ...]
    folder: Path
    asks: bool


def training(role: str, module: str, *arguments: str) -> Stage:
    outputs = (f"models/{role}", f"metrics/train/{role}.json", f"metrics/train/{role}_loss.csv")
    return Stage((f"stages.{module}", *arguments), outputs, SCRATCH / "train" / role, False)


def asking(name: str, output: str) -> Stage:
    return Stage((f"stages.{name}",), (output, f"metrics/{name}.json"), JOURNALS / name, True)


STAGES = {
    "train@cheap": training("cheap", "train", "cheap"),
    "train@strong": training("strong", "train", "strong"),
    "propose": asking("propose", "data/proposals.jsonl"),
    "train-verifier": training("verifier", "train_verifier"),
    "answer": asking("answer", "data/answers"),
    "live": asking("live", "data/live.jsonl"),
}


class Run(NamedTuple):
    """A stage's run: its seconds, and where it kept something: checkpoints' steps, or numbers of lines; 0 first."""

    seconds: float
    kept: list[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    rows, most = [], 0.0
    for name in parser.parse_args().stages:
        stage = STAGES[name]
        missing = [path for path in stage.outputs if not Path(path).exists()]
        if missing:
            raise UserError(f"{missing[0]}: not here; run `dvc repro` first")
        with tempfile.TemporaryDirectory() as folder:
            put(Path("."), Path(folder), stage.outputs)
            try:
                rows.append((name, *measured(stage)))
            finally:
                clear(stage)
                put(Path(folder), Path("."), stage.outputs)
        most = max(most, rows[-1][-1] / rows[-1][-2])
    columns = ["stage", "undisturbed, s", "lost if begun again, s", "lost, s"]
    print(tabulate(rows, columns, tablefmt="github", floatfmt=".1f"))
    print(f"ratio of the time lost: {most:.3f} at most")


def measured(stage: Stage) -> tuple[float, float, float]:
    """Seconds undisturbed, until the kill, and lost."""
    whole = run(stage)
    expected = {name: unmeasured(name) for name in files(stage)}
    clear(stage)
    # Most is lost just before the end of the longest stretch without a checkpoint; pieces are of one size.
    stretches = list(zip(whole.kept[1:], whole.kept, strict=False))
    worst = max(stretches, key=lambda stretch: (stretch[0] - stretch[1], stretch[0]))[0] if stretches else 0
    almost = whole.kept[-1] - 1 if stage.asks else worst
    killed = run(stage, kill_at=almost, earliest=0 if almost else whole.seconds * 2 / 3)
    if any(Path(name).exists() for name in stage.outputs):
        raise UserError(f"{stage.command[0]}: published something though it was killed")
    resumed = run(stage)
    found = {name: unmeasured(name) for name in files(stage)}
    differing = [name for name in expected | found if expected.get(name) != found.get(name)]
    if differing:
        raise UserError(f"{stage.command[0]}: {differing[0]} differs from the undisturbed run's")
    return whole.seconds, killed.seconds, killed.seconds + resumed.seconds - whole.seconds


def run(stage: Stage, kill_at: int | None = None, earliest: float = 0) -> Run:
    """Run a stage to its end, or until it has got so far; of a single piece that is told by the time."""
    started, kept = time.perf_counter(), {0}
    command = [sys.executable, "-m", *stage.command]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            kept.add(reached(stage.folder))
            if kill_at is not None and max(kept) >= kill_at and time.perf_counter() - started >= earliest:
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.01)
    if process.returncode not in (0, -signal.SIGKILL) or (kill_at is None and process.returncode):
        raise UserError(f"{stage.command[0]}: ended with {process.returncode}; `python -m {stage.command[0]}` says why")
    return Run(time.perf_counter() - started, sorted(kept))


def reached(folder: Path) -> int:
    """The latest checkpoint's step, or how many lines of answers there are."""
    checkpoints = [int(path.name.rpartition("-")[2]) for path in folder.glob("*/checkpoint-*")]
    return max([*checkpoints, *(lines(path) for path in folder.glob("*.jsonl"))], default=0)


def lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:  # the stage has published
        return 0


def files(stage: Stage) -> list[str]:
    """The stage's output files that are there."""
    paths = [path for name in stage.outputs for path in (Path(name), *Path(name).rglob("*")) if path.is_file()]
    return sorted(map(str, paths))


def unmeasured(name: str) -> Any:
    """A file without what was measured while it was made: seconds and memory."""
    content = Path(name).read_bytes()
    if not name.endswith((".json", ".jsonl")):
        return content
    return [without_measures(json.loads(text)) for text in (content.splitlines() if name.endswith("l") else [content])]


def without_measures(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_measures(item) for key, item in value.items() if not MEASURED.search(key)}
    return [without_measures(item) for item in value] if isinstance(value, list) else value


def put(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy files and folders, times included."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target / name)


def clear(stage: Stage) -> None:
    """Without the stage's outputs, as DVC runs it, and without what it has kept."""
    for name in stage.outputs:
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)
    shutil.rmtree(stage.folder, ignore_errors=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
