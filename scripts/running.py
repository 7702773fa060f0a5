"""Experiments in temporary folders, and of which run their figures are.

failed = run_all({"verdict": Run("ablation-verdict", ["acceptance.score=verdict"], ["evaluate"])}, LOGS, jobs=2)
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import NamedTuple

from specacts.core.errors import UserError
from specacts.evaluation.ablation import Made


def jobs(text: str) -> int:
    """How many experiments at a time, from a command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def require_up_to_date(what: str) -> None:
    """Experiments are compared with the workspace's own run: it has to be whole."""
    changed = json.loads(run_dvc("status", "--json", capture=True))
    if changed:
        raise UserError(f"{what}: {', '.join(changed)} are not up to date; run `make repro` first")


class Run(NamedTuple):
    """An experiment: `dvc exp run --temp -n NAME -S SETTING … TARGET …`."""

    name: str
    settings: Sequence[str]
    targets: Sequence[str]


def run_all(runs: Mapping[str, Run], logs: Path, jobs: int) -> list[str]:
    """Run them, so many at a time, each with a log `<key>.log`; the keys of those that failed.

    Several at a time have one thread each.
    """
    logs.mkdir(parents=True, exist_ok=True)
    threads = 1 if jobs > 1 else None
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(lambda key: run(runs[key], logs / f"{key}.log", threads), runs)
        return [key for key, succeeded in zip(runs, done, strict=True) if not succeeded]


def run(wanted: Run, log: Path, threads: int | None) -> bool:
    """Run one, its output in the log; whether it succeeded."""
    name, settings, targets = wanted
    changes = [argument for setting in settings for argument in ("-S", setting)]
    # An earlier one of the name makes way; `exp run --force` would also run what did not change.
    subprocess.run([sys.executable, "-m", "dvc", "exp", "remove", "-q", name], stderr=subprocess.DEVNULL)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "exp", "run", "--temp", "-n", name, *changes, *targets]
    print(f"{name}: {' '.join(command[2:])}", flush=True)
    limited = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    with log.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | limited)
    print(f"{name}: {'done' if done.returncode == 0 else 'FAILED'} ({log})", flush=True)
    return done.returncode == 0


def made() -> Made:
    """Of which commit, day and processor this run is."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return Made(commit=done.stdout.strip(), date=date.today().isoformat(), machine=machine())


def machine() -> str:
    """The processor's model, and how many cores there are."""
    known = Path("/proc/cpuinfo")  # Linux alone has it, and there `platform` knows no model
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def run_dvc(*arguments: str, capture: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], stdout=subprocess.PIPE if capture else None, text=True
    )
    if done.returncode:
        raise UserError(f"dvc {' '.join(arguments)} failed")
    return done.stdout or ""
