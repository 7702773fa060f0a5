"""Kills at random moments, damage at random places and full disks, in a copy of a finished smoke run.

    python tests/chaos.py WORKSPACE --kills 40 --damages 30 --disks 3       # WORKSPACE: a repository after `make repro`
    python tests/chaos.py WORKSPACE --kills 40 --minutes 7                  # go on where the last call stopped

Every trial has its number as seed. After each kill `make repro` has to end in the same bytes; each damage has to be
noticed, or to change nothing, and its cure to work. What was found is added to docs/reliability.json, which
docs/reliability.md tells. Full disks are small file systems in memory: root only.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs/reliability.json"
STAGES = (
    "modules", "fetch", "collect", "split", "train@cheap", "train@strong", "propose", "train-verifier", "answer",
    "effects", "route", "calibrate", "evaluate", "live", "bundle", "report",
)  # fmt: skip
OUTPUTS = ("data", "models", "metrics", "reports")
TIMES = re.compile(r"second|memory")
"""Names of fields that say how long something took: no two runs agree in them."""
KILLS = ("everything is killed", "DVC is killed", "the stage is killed", "DVC is terminated", "Ctrl-C")
HARMS = ("one bit", "the second half is gone", "a block of zeros")


class Workspace:
    """A finished run to do harm to."""

    def __init__(self, path: Path):
        self.path = path
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {"PATH": tools, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}
        self.environment = os.environ | ours | {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.reference = self.state()

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        """Run a Python module; stdout and stderr together."""
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = self.environment | environment
        return subprocess.run([sys.executable, "-m", *command], cwd=self.path, env=environment, **both)

    def stage(self, name: str) -> subprocess.CompletedProcess:
        return self.run("dvc", "repro", "--single-item", "--force", name)

    def repro(self, *targets: str) -> subprocess.CompletedProcess:
        return self.run("scripts.repro", *targets)

    def verify(self, *options: str) -> subprocess.CompletedProcess:
        return self.run("specacts", "verify", *options)

    def state(self) -> dict[str, str]:
        """Every output with its hash, times left out."""
        files = sorted(path for folder in OUTPUTS for path in (self.path / folder).rglob("*") if path.is_file())
        with ThreadPoolExecutor() as pool:
            digests = pool.map(lambda path: sha256(_timeless(path)).hexdigest(), files)
            return {path.relative_to(self.path).as_posix(): digest for path, digest in zip(files, digests, strict=True)}

    def differs(self, timed: Sequence[str]) -> list[str]:
        """Outputs that are not as before the trial, but for those that tell times; the next trial starts here."""
        before, self.reference = self.reference, self.state()
        names = {*before, *self.reference} - set(timed)
        return sorted(name for name in names if before.get(name) != self.reference.get(name))


def _timeless(path: Path) -> bytes:
    """A file's bytes; of JSON, without what says how long something took."""
    data = path.read_bytes()
    if path.suffix not in (".json", ".jsonl") or b"second" not in data:
        return data
    try:
        rows = [json.loads(data)]
    except ValueError:
        rows = [json.loads(row) for row in data.splitlines()]
    return json.dumps([_without_times(row) for row in rows]).encode()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if not TIMES.search(key)}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


# -- kills --------------------------------------------------------------------------------------------------


def measure(workspace: Workspace, undisturbed: dict[str, Any], stage: str) -> None:
    """Add how long a stage takes undisturbed, and which outputs differ when it makes them again: they tell times."""
    started = time.monotonic()
    done = workspace.stage(stage)
    assert done.returncode == 0, done.stdout[-3000:]
    undisturbed["seconds"][stage] = round(time.monotonic() - started, 1)
    undisturbed["timed"] = sorted({*undisturbed["timed"], *workspace.differs(())})


def kill(workspace: Workspace, number: int, undisturbed: dict[str, Any]) -> dict[str, Any]:
    """Kill a stage at a random moment, or just as it ends; run again; compare."""
    dice = random.Random(f"kill {number}")
    stage = dice.choice(list(undisturbed["seconds"]))
    how = dice.choice(KILLS)
    as_it_ends = dice.random() < 0.25
    forget(workspace, stage)
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]
    with (workspace.path / ".work/chaos.log").open("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=workspace.path,
            env=workspace.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        started = time.monotonic()
        if as_it_ends:
            note = workspace.path / f".work/done/{stage}.json"
            note.unlink(missing_ok=True)
            while not note.exists() and process.poll() is None:
                time.sleep(0.002)
        else:
            _wait(process, dice.uniform(1, undisturbed["seconds"][stage]))
        after = time.monotonic() - started
        was_running = process.poll() is None
        _stop(process.pid, how)
        process.wait()
        _gone(process.pid)
    again = workspace.repro()
    differ = workspace.differs(undisturbed["timed"])
    same = again.returncode == 0 and not differ
    return {
        "number": number,
        "stage": stage,
        "how": how,
        "moment": "as it ends" if as_it_ends else f"{after:.1f} s",
        "running": was_running,
        "exit": again.returncode,
        "ran again": f"Running stage '{stage}'" in again.stdout,
        "same bytes": same,
        **({} if same else {"said": again.stdout[-1500:], "differ": differ}),
    }


def forget(workspace: Workspace, stage: str) -> None:
    """Let nobody know of a stage's runs, so that its outputs are not to be had but by running it."""
    lock = workspace.path / "dvc.lock"
    found = yaml.safe_load(lock.read_text())
    del found["stages"][stage]
    lock.write_text(yaml.safe_dump(found, sort_keys=False))
    for known in (".dvc/cache/runs", ".work/done"):
        shutil.rmtree(workspace.path / known, ignore_errors=True)


def _wait(process: subprocess.Popen, seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def _stop(pid: int, how: str) -> None:
    """The process leads a session of its own."""
    try:
        if how == "everything is killed":
            os.killpg(pid, signal.SIGKILL)
        elif how == "Ctrl-C":
            os.killpg(pid, signal.SIGINT)
        elif how == "the stage is killed":
            for child in psutil.Process(pid).children(recursive=True):
                child.kill()
        else:
            os.kill(pid, signal.SIGKILL if how == "DVC is killed" else signal.SIGTERM)
    except (ProcessLookupError, psutil.NoSuchProcess):
        pass


def _gone(session: int) -> None:
    """Wait until nobody of a process group is left. A stage dies with its parent, unless it was only just starting."""
    for _ in range(6000):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a stage outlived DVC by five minutes")


# -- damages ------------------------------------------------------------------------------------------------


def damage(path: Path, how: str, dice: random.Random) -> None:
    """Do harm to a file as a disk might; its times, and where it can its size, stay."""
    about = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    at = dice.randrange(len(data))
    if how == "one bit":
        data[at] ^= 1 << dice.randrange(8)
    elif how == "the second half is gone":
        del data[len(data) // 2 :]
    else:
        end = min(at + 4096, len(data))
        data[at:end] = bytes(end - at) if any(data[at:end]) else b"\1" * (end - at)
    path.write_bytes(data)
    path.chmod(about.st_mode)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def pick(workspace: Workspace, patterns: tuple[str, ...], dice: random.Random) -> Path:
    found = sorted(path for pattern in patterns for path in workspace.path.glob(pattern) if path.is_file())
    return dice.choice([path for path in found if path.stat().st_size])


PLACES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "checkpoint": ((".work/train/cheap/*/checkpoint-*/*",), "train@cheap"),
    "cache": ((".dvc/cache/files/md5/*/*", ".dvc/cache/runs/*/*/*"), None),
    "base": ((".work/bases/*/*", "models/base/cheap/*"), "propose"),
    "answers": (("data/answers/*",), "calibrate"),
    "proposals": (("data/proposals.jsonl",), "route"),
    "wheel": ((".work/wheels/*.whl",), None),
}
"""What is damaged: where it lies, and the stage that reads it next; what only DVC or `fetch` reads is for verify."""


def harm(workspace: Workspace, number: int, undisturbed: dict[str, Any], quick: bool = False) -> dict[str, Any]:
    """Damage something, let who reads it next read it, cure it as is said there, and compare.

    quick: only `specacts verify` looks for it.
    """
    dice = random.Random(f"damage {number}")
    kind = sorted(PLACES)[number % len(PLACES)]
    patterns, reader = PLACES[kind]
    if kind == "checkpoint":
        interrupted(workspace)
    path, how = pick(workspace, patterns, dice), dice.choice(HARMS)
    name = path.relative_to(workspace.path).as_posix()
    saved = path.read_bytes() if kind == "wheel" else b""
    damage(path, how, dice)
    noticed = []
    if reader and not quick and not name.startswith(".work/bases"):
        said = workspace.stage(reader).stdout
        if "is not used: " in said or "damaged" in said:
            noticed.append(f"stage {reader}")
    if kind != "checkpoint":
        if "damaged: " in workspace.verify("--repair").stdout:
            noticed.append("verify")
        if saved:  # it would be downloaded again
            path.write_bytes(saved)
    again = workspace.repro()
    differ = workspace.differs(undisturbed["timed"])
    same = again.returncode == 0 and not differ
    return {
        "number": number,
        "what": kind,
        "file": re.sub(r"[0-9a-f]{16,}", "…", name),
        "how": how,
        "noticed by": noticed,
        "same bytes": same,
        "silent": not noticed and not same,
        **({} if same else {"said": again.stdout[-1500:], "differ": differ}),
    }


def interrupted(workspace: Workspace) -> None:
    """Kill a training once it has a checkpoint."""
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", "--force", "train@cheap"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(command, cwd=workspace.path, env=workspace.environment, **quiet)
    while not any((workspace.path / ".work/train/cheap").glob("*/checkpoint-*/SHA256SUMS")):
        assert process.poll() is None, "the training ended without a checkpoint"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _gone(process.pid)


# -- full disks ---------------------------------------------------------------------------------------------

DISKS = ("cache", "scratch", "workspace")


def full(workspace: Workspace, number: int, undisturbed: dict[str, Any]) -> dict[str, Any]:
    """Let a disk fill up while another adapter is trained, make room, run again; then back to what was."""
    which = DISKS[number % len(DISKS)]
    place = workspace.path / {"cache": ".dvc/cache", "scratch": ".work/train", "workspace": "models"}[which]
    before, params = workspace.reference, workspace.path / "params.yaml"
    settings = params.read_text()
    params.write_text(settings.replace("  r: 16", "  r: 8"))
    shutil.rmtree(workspace.path / ".dvc/cache/runs", ignore_errors=True)
    try:
        with disk_of_its_own(place) as leave:
            code, said = filled_up(workspace, lambda: leave(100_000))
            state = workspace.state()
            leave(512 << 20)
            cured = workspace.repro("train@cheap")
    finally:
        params.write_text(settings)
    own = ("models/cheap/", "metrics/train/cheap")
    whole = all(state.get(name) == digest for name, digest in before.items() if not name.startswith(own))
    again = workspace.repro()
    differ = workspace.differs(undisturbed["timed"])
    lines = re.findall(r"error: .*|[\w@-]+ ended, and DVC did not save.*", said)
    return {
        "number": number,
        "disk": which,
        "exit": code,
        "said": [line.replace(str(workspace.path), "…") for line in lines],
        "traceback": "Traceback" in said,
        "old outputs whole": whole,
        "trained again": "Running stage 'train@cheap'" in cured.stdout,
        "cured": cured.returncode == 0 and again.returncode == 0 and not differ,
        **({"log": said[-1500:] + cured.stdout[-1500:], "differ": differ} if differ or not lines else {}),
    }


def filled_up(workspace: Workspace, fill: Callable[[], Any]) -> tuple[int, str]:
    """Train, and fill the disk once the training has begun; the exit code, and what was said."""
    command = [sys.executable, "-m", "scripts.repro", "train@cheap"]
    log = workspace.path / ".work/chaos.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=workspace.path, env=workspace.environment, stdout=file, stderr=subprocess.STDOUT
        )
        while "Running stage 'train@cheap'" not in log.read_text() and process.poll() is None:
            time.sleep(0.05)
        fill()
        process.wait()
    return process.returncode, log.read_text()


@contextmanager
def disk_of_its_own(place: Path) -> Iterator[Callable[[int], Any]]:
    """Put a folder on a file system of its own in memory; gives what leaves so many bytes free there."""
    aside = place.with_name(f"{place.name}.aside")
    place.mkdir(parents=True, exist_ok=True)
    os.replace(place, aside)
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8g", "tmpfs", place], check=True)
    shutil.copytree(aside, place, dirs_exist_ok=True)

    def leave(room: int) -> None:
        size = shutil.disk_usage(place).used + room
        subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)

    try:
        yield leave
    finally:
        shutil.rmtree(aside)
        shutil.copytree(place, aside)
        subprocess.run(["umount", place], check=True)
        place.rmdir()
        os.replace(aside, place)


# -- all of it ----------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="a repository after `make repro`; it is worked in")
    for name in ("kills", "damages", "disks"):
        parser.add_argument(f"--{name}", type=int, default=0, help="trials there are to be in all")
    parser.add_argument("--stages", nargs="+", default=STAGES, help="which are killed (default: all)")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no trial after so long")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    workspace, end = Workspace(options.workspace.resolve()), time.monotonic() + 60 * options.minutes
    result = json.loads(options.result.read_text()) if options.result.is_file() else {}
    result = {"undisturbed": {"seconds": {}, "timed": []}, "kills": [], "damages": [], "disks": []} | result
    for stage in options.stages:
        if stage not in result["undisturbed"]["seconds"] and time.monotonic() < end:
            measure(workspace, result["undisturbed"], stage)
            written(options.result, result)
    trials = {"kills": (kill, options.kills), "damages": (harm, options.damages), "disks": (full, options.disks)}
    while time.monotonic() < end:
        due = [name for name, (_, count) in trials.items() if len(result[name]) < count]
        if not due:
            break
        for name in due:
            found = trials[name][0](workspace, len(result[name]), result["undisturbed"])
            print(json.dumps(found), flush=True)
            result[name].append(found)
            written(options.result, result)


def written(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
