"""What a kill at the worst moment costs each stage that asks models: where it begins again, and where it goes on.

    python -m benchmarks.time_lost                     # here, where `dvc repro` has run; outputs are put back
    python -m benchmarks.time_lost --stages answer

Each stage runs undisturbed; then it is killed (SIGKILL) just before its last piece is kept, and run again. Lost is what
both together take more than the undisturbed run. A stage that began again would lose all until the kill. The outputs
must be the same bytes as the undisturbed run's but for measured seconds; else this fails.
"""

import argparse
import json
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

OUTPUTS = {
    "propose": ("data/proposals.jsonl", "metrics/propose.json"),
    "answer": ("data/answers", "metrics/answer.json"),
    "live": ("data/live.jsonl", "metrics/live.json"),
}


class Run(NamedTuple):
    """A stage's run: its seconds, and how many lines it kept."""

    seconds: float
    kept: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=OUTPUTS, default=list(OUTPUTS), help="default: all")
    rows, most = [], 0.0
    for stage in parser.parse_args().stages:
        missing = [name for name in OUTPUTS[stage] if not Path(name).exists()]
        if missing:
            raise UserError(f"{missing[0]}: not here; run `dvc repro` first")
        with tempfile.TemporaryDirectory() as folder:
            put(Path("."), Path(folder), OUTPUTS[stage])
            try:
                rows.append(measured(stage))
            finally:
                clear(stage)
                put(Path(folder), Path("."), OUTPUTS[stage])
        most = max(most, rows[-1][-1] / rows[-1][-2])
    print(tabulate(rows, ["stage", "undisturbed, s", "pieces", "lost if begun again, s", "lost, s"], floatfmt=".1f"))
    print(f"ratio of the time lost: {most:.3f} at most")


def measured(stage: str) -> tuple[str, float, int, float, float]:
    """A line of the table."""
    whole = run(stage)
    expected = {name: timeless(name) for name in files(stage)}
    clear(stage)
    killed = run(stage, kill_after=whole.kept - 1)
    if any(Path(name).exists() for name in OUTPUTS[stage]):
        raise UserError(f"{stage}: published something though it was killed")
    resumed = run(stage)
    found = {name: timeless(name) for name in files(stage)}
    differing = [name for name in expected | found if expected.get(name) != found.get(name)]
    if differing:
        raise UserError(f"{stage}: {differing[0]} differs from the undisturbed run's")
    return stage, whole.seconds, whole.kept, killed.seconds, killed.seconds + resumed.seconds - whole.seconds


def run(stage: str, kill_after: int | None = None) -> Run:
    """Run a stage to its end, or until it has kept so many lines."""
    started, most, folder = time.perf_counter(), 0, JOURNALS / stage
    with subprocess.Popen([sys.executable, "-m", f"stages.{stage}"], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, *(lines(path) for path in folder.glob("*.jsonl")), 0)
            if kill_after is not None and most >= kill_after:
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.01)
    if process.returncode not in (0, -signal.SIGKILL) or (kill_after is None and process.returncode):
        raise UserError(f"{stage}: ended with {process.returncode}; `python -m stages.{stage}` says why")
    return Run(time.perf_counter() - started, most)


def lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:  # the stage has published
        return 0


def files(stage: str) -> list[str]:
    """The stage's output files that are there."""
    paths = [path for name in OUTPUTS[stage] for path in (Path(name), *Path(name).rglob("*")) if path.is_file()]
    return sorted(map(str, paths))


def timeless(name: str) -> list[Any]:
    """A file's JSON values without what was measured in seconds."""
    text = Path(name).read_text(encoding="utf-8")
    values = map(json.loads, text.splitlines()) if name.endswith(".jsonl") else [json.loads(text)]
    return [without_seconds(value) for value in values]


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if "second" not in key}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def put(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy files and folders, times included."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target / name)


def clear(stage: str) -> None:
    """Without the stage's outputs, as DVC runs it, and without what it has kept."""
    for name in OUTPUTS[stage]:
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)
    shutil.rmtree(JOURNALS / stage, ignore_errors=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
