"""`dvc repro` with care around it: what the last run left is mended and saved first, and a failed one is cleaned up.

    python -m scripts.repro
    python -m scripts.repro train@cheap      # and whatever else `dvc repro` takes

`make repro` runs it. Ends with DVC's exit code; with 130 or 143 where it was stopped, when DVC and all that it started
have ended and what DVC had cleared is back; with 1 where DVC could not save everything. Also works where there is no
Git, as in an unpacked archive: DVC is told so for this run alone.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from specacts.core.errors import UserError, one_line_errors
from specacts.core.process import die_with_parent
from specacts.core.stored import Stored
from specacts.core.upkeep import mend, not_saved, restore, told, unsaved_stages

ROOT = Path(".")
GRACE = 5.0
"""Seconds that DVC and the stage have to end by themselves after Ctrl-C, which reaches them too."""
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(options: Sequence[str]) -> int:
    environment = os.environ | without_git()
    for line in mend(ROOT):
        print(line, flush=True)
    # DVC reads your traces before it runs anything that could refuse them: a pipe among them would hold it up for ever.
    if Path("params.yaml").is_file() and subprocess.run([sys.executable, "-m", "stages.check"]).returncode:
        return 1
    save(environment)
    there = {output.path for output in Stored.at(ROOT, exact=False).outputs if Path(output.path).exists()}
    code = run(options, environment)
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


def run(options: Sequence[str], environment: Mapping[str, str]) -> int:
    """`dvc repro`; its exit code, or 128 and the signal that stopped it."""
    stopped: list[int] = []
    for number in STOPS:
        signal.signal(number, lambda number, _: stopped.append(number))
    prepare = die_with_parent if sys.platform == "linux" else None
    command = [sys.executable, "-m", "dvc", "repro", *options]
    process = subprocess.Popen(command, env=environment, preexec_fn=prepare)
    while True:
        try:
            code = process.wait(0.2)
        except subprocess.TimeoutExpired:
            if stopped:
                end(process.pid, GRACE if stopped[0] == signal.SIGINT else 0)
                process.wait()
            continue
        break
    return 128 + stopped[0] if stopped else code


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
