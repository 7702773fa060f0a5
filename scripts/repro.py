"""`dvc repro` with care around it: what the last run left is mended and saved first, and a failed one is cleaned up.

    python -m scripts.repro
    python -m scripts.repro train@cheap      # and whatever else `dvc repro` takes

`make repro` runs it. Ends with DVC's exit code; with 130 or 143 where it was stopped, when DVC and all that it started
have ended and what DVC had cleared is back; with 1 where DVC could not save everything. Also works where there is no
Git, as in an unpacked archive: DVC is told so for this run alone.

DVC runs one stage at a time. The trainings of the two proposers do not need each other, and a small model gains little
from a second core: where both are due, each runs in a DVC of its own, with half of the cores, and so does `propose`,
which needs the cheap model alone.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from specacts.config import load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.process import die_with_parent
from specacts.core.stored import Stored
from specacts.core.upkeep import mend, not_saved, restore, told, unsaved_stages
from specacts.models.device import GIB, free_ram
from specacts.plan.memory import memory
from specacts.recipe import freezes, is_recorded

ROOT = Path(".")
LINUX = sys.platform == "linux"
GRACE = 5.0
"""Seconds that DVC and the stage have to end by themselves after Ctrl-C, which reaches them too."""
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TRAININGS = ("train@cheap", "train@strong")
BESIDE = {"train@cheap": ("propose",)}
"""What runs behind one of them, while the other one, which takes longer, still does."""
BEFORE = ("fetch", "modules", "split")
"""What the trainings read, with all that comes before."""
QUICK = {"check", "modules"}
"""Due after every edit, and as a rule without anything that follows."""
stopped: list[int] = []
"""The signals that came."""


def main(options: Sequence[str]) -> int:
    environment = os.environ | without_git()
    for line in mend(ROOT):
        print(line, flush=True)
    # DVC reads your traces before it runs anything that could refuse them: a pipe among them would hold it up for ever.
    if Path("params.yaml").is_file() and subprocess.run([sys.executable, "-m", "stages.check"]).returncode:
        return 1
    save(environment)
    there = {output.path for output in Stored.at(ROOT, exact=False).outputs if Path(output.path).exists()}
    for number in STOPS:
        signal.signal(number, lambda number, _: stopped.append(number))
    code = (0 if options else train_side_by_side(environment)) or run((repro(*options), environment))
    if code:
        for line in mend(ROOT):
            print(line, file=sys.stderr)
        found = restore(ROOT)
        for line in told(found._replace(gone=[output for output in found.gone if output.path in there])):
            print(line, file=sys.stderr)
        for stage in unsaved_stages(ROOT):
            print(
                f"{stage} ended, and DVC did not save what it made, which is still there: `make repro` saves it and "
                f"goes on (by hand: `dvc commit --force {stage}`); if the disk of DVC's cache is full, make room first",
                file=sys.stderr,
            )
    stored = Stored.at(ROOT)
    lacking = stored.unsaved()
    if lacking:
        print(f"error: {not_saved(stored.cache, lacking)}", file=sys.stderr)
    return code or int(bool(lacking))


def without_git() -> Mapping[str, str]:
    """What to add to DVC's environment: nothing where Git works."""
    if subprocess.run(["git", "rev-parse", "--git-dir"], capture_output=True).returncode == 0:
        local = Path(".dvc/config.local")
        if local.is_file() and "no_scm" in local.read_text(encoding="utf-8"):  # earlier versions of this left it there
            dvc("config", "--quiet", "--local", "--unset", "core.no_scm")
        return {}
    from dvc.dirs import global_config_dir

    theirs, ours = Path(global_config_dir()) / "config", Path(".work/without_git")
    ours.mkdir(parents=True, exist_ok=True)
    (ours / "config").write_bytes(theirs.read_bytes() if theirs.is_file() else b"")
    added = {"DVC_GLOBAL_CONFIG_DIR": str(ours.resolve())}
    dvc("config", "--quiet", "--global", "core.no_scm", "true", environment=os.environ | added)
    return added


def dvc(*arguments: str, environment: Mapping[str, str] | None = None) -> int:
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], env=environment).returncode


def save(environment: Mapping[str, str]) -> None:
    """What the last run made and DVC could not save: otherwise DVC clears it and makes it again."""
    stored = Stored.at(ROOT, exact=False)
    if stored.unsaved():
        stored = Stored.at(ROOT)
        for output in stored.unsaved():
            stored.save(output)
            print(f"saved in the DVC cache: {output.path}", flush=True)
    for stage in unsaved_stages(ROOT):
        print(f"{stage} ended in the last run, before DVC could save what it made: saving that", flush=True)
        if dvc("commit", "--quiet", "--force", stage, environment=environment):
            raise UserError(f"{stage}: DVC could not save what it made, which is still there; make room and run again")


def train_side_by_side(environment: Mapping[str, str]) -> int:
    """Run both trainings at once where both are due and there is room for them; 0 also where not."""
    share = cores(environment) // 2
    if not share or not due(environment) - QUICK or not room():
        return 0
    code = run((repro(*BEFORE), environment))
    if code or not set(TRAININGS) <= due(environment):
        return code
    print(f"{' and '.join(TRAININGS)} run at the same time, with {share} of {2 * share} cores each", flush=True)
    both = []
    for line, stage in enumerate(TRAININGS):
        own = {**environment, "OMP_NUM_THREADS": str(share), "TQDM_DESC": stage}
        if sys.stderr.isatty():
            own["TQDM_POSITION"] = str(line)
        # Alone: DVC would lock what the stages before it write, which the other training reads.
        both.append((repro("--single-item", stage, *BESIDE.get(stage, ()), first=("--wait-for-lock",)), own))
    return run(*both)


def cores(environment: Mapping[str, str]) -> int:
    """How many threads torch would use."""
    asked = environment.get("OMP_NUM_THREADS", "")
    there = min(psutil.cpu_count(logical=False) or 1, len(psutil.Process().cpu_affinity()) if LINUX else 2**10)
    return int(asked) if asked.isdecimal() else there


def due(environment: Mapping[str, str]) -> set[str]:
    """The stages up to the trainings that DVC would run now."""
    command = [sys.executable, "-m", "dvc", "status", "--json", "--with-deps", *TRAININGS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    try:
        return set(json.loads(done.stdout)) if not done.returncode else set()
    except ValueError:  # what is wrong `dvc repro` says
        return set()


def room() -> bool:
    """Whether two models are to be trained, on the CPU, and fit in memory together."""
    config = load_config(ROOT)
    if config.scale.device != "cpu" or is_recorded(config.recipe) or freezes(config.recipe, "strong"):
        return False
    needed = memory(config, on_gpu=False)
    if not {"cheap", "strong"} <= needed.keys():  # nothing is known of a base
        return False
    return (needed["cheap"].high + needed["strong"].high) * GIB < free_ram()


def repro(*options: str, first: Sequence[str] = ()) -> list[str]:
    return [sys.executable, "-m", "dvc", *first, "repro", *options]


def run(*commands: tuple[Sequence[str], Mapping[str, str]]) -> int:
    """Run commands at the same time, each in its environment; 0, or the first other exit code: then all are ended.

    128 and the signal's number where one stopped them.
    """
    if stopped:
        return 128 + stopped[0]
    prepare = die_with_parent if LINUX else None
    running = [subprocess.Popen(command, env=own, preexec_fn=prepare) for command, own in commands]
    while None in (codes := [process.poll() for process in running]) and not any(codes):
        if stopped:
            break
        try:
            running[codes.index(None)].wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    for process in running:
        if process.returncode is None:
            end(process.pid, GRACE if stopped[:1] == [signal.SIGINT] else 0)
            process.wait()
    return 128 + stopped[0] if stopped else next((code for code in codes if code), 0)


def end(pid: int, grace: float) -> None:
    """End a process and all that it started: let them end by themselves, then ask, then insist."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    _, family = psutil.wait_procs(family, grace)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for member in family:
            try:
                ask(member)
            except psutil.NoSuchProcess:
                continue
        _, family = psutil.wait_procs(family, 10)


if __name__ == "__main__":
    with one_line_errors():
        sys.exit(main(sys.argv[1:]))
