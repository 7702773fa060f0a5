"""Around a stage's work: nothing damaged is read, nothing finished is lost, and nothing of killed runs is left.

    begin(root, "train@cheap")                   # before it: raises UserError where what it reads is damaged
    ended(root, "train@cheap", scratch)          # after it: what it wrote, until DVC has it
    mend(root)                                   # before a run: DVC's own files, as a full disk or a kill left them
    unsaved_stages(root)                         # stages that ended and that DVC could not save
    restore(root)                                # after a failed run: outputs that DVC cleared come back

Between a stage's last write and DVC's saving it, a kill or a full disk makes DVC forget that the stage ran. `ended`
keeps a note of what it read and wrote, by which `make repro` saves it first, and keeps its scratch folder until then.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from specacts.core.errors import UserError
from specacts.core.files import read_json, sweep, write_json, write_text
from specacts.core.stored import LOCK, Output, Stored, md5_of, parse_lock, side_by_side

SCRATCH = Path(".work")
"""Git- and DVC-ignored folder for locks, caches and training checkpoints."""
NOTES, LAST_LOCK = SCRATCH / "done", SCRATCH / LOCK
RWLOCK = Path(".dvc/tmp/rwlock")
CONFIGURATION = ("params.yaml", "configs")
SHOWN = 3


def begin(root: Path, stage: str) -> None:
    """What has to be so before a stage works: what it reads is whole, what was made before is saved.

    Raises `UserError` that names what is not, and what to do.
    """
    kept = Stored.at(root, exact=False)
    if stage not in kept.stages:
        return
    for path in kept.stages[stage].outs:
        sweep(root / path)
    _keep_lock(root)
    _forget(kept, stage)
    read = kept.read_by(stage)
    for output, files in zip(read, side_by_side(kept.differs, read), strict=True):
        if files:
            raise UserError(
                f"{shown(files)}: damaged, or changed since {output.stage} wrote it (dvc.lock has another hash); "
                "`specacts verify --repair` brings it back"
            )
    if kept.unsaved():  # by the usual place of the cache; DVC may know of another
        lacking = Stored.at(root).unsaved()
        if lacking:
            raise UserError(not_saved(kept.cache, lacking))


def not_saved(cache: Path, lacking: list[Output]) -> str:
    """What is to be done where the cache lacks what is here."""
    names = " ".join(sorted({output.stage for output in lacking}))
    return (
        f"{shown([output.path for output in lacking])}: made, but not in the DVC cache ({cache}), which had no room; "
        f"DVC would make it again. Make room there, then `dvc commit --force {names}` saves it (so does `make repro`)"
    )


def shown(names: list[str]) -> str:
    """The first names of many."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def ended(root: Path, stage: str, scratch: Path | None) -> None:
    """Note what a stage read and wrote. scratch: its folder that is of no use once DVC has what it wrote."""
    kept = Stored.at(root, exact=False)
    read, written = _inputs(kept, stage), _written(kept, stage)
    if read is not None and written is not None:
        about = {"inputs": read, "outs": written, "scratch": scratch and scratch.as_posix()}
        write_json(_note(root, stage), about)


def _note(root: Path, stage: str) -> Path:
    return root / NOTES / f"{stage}.json"


def _notes(root: Path) -> dict[str, Any]:
    found = {}
    for path in sorted((root / NOTES).glob("*.json")):
        try:
            found[path.stem] = read_json(path)
        except UserError:  # cut off: the stage runs again
            path.unlink(missing_ok=True)
    return found


def _inputs(kept: Stored, stage: str) -> dict[str, str] | None:
    """What a stage reads, by its hash, and all of the configuration; None where that cannot be told."""
    found = {output.path: output.md5 for output in kept.read_by(stage)}
    for dep in kept.stages[stage].deps:
        if "${" in dep and not dep.startswith("configs/"):
            return None  # your own traces: import is quick to repeat
        if "${" not in dep and (kept.root / dep).exists() and not any(dep.startswith(path) for path in found):
            found[dep] = md5_of(kept.root / dep)
    return found | {name: md5_of(kept.root / name) for name in CONFIGURATION if (kept.root / name).exists()}


def _written(kept: Stored, stage: str) -> dict[str, str] | None:
    paths = [kept.root / path for path in kept.stages[stage].outs]
    if not all(path.exists() for path in paths):
        return None
    return dict(zip(kept.stages[stage].outs, side_by_side(md5_of, paths), strict=True))


def _forget(kept: Stored, stage: str) -> None:
    """Drop the notes of what DVC has by now, scratch folders included, and this stage's, which begins again."""
    locked = _locked(kept)
    for name, note in _notes(kept.root).items():
        if locked.get(name) == note["outs"]:
            _note(kept.root, name).unlink(missing_ok=True)
            if note["scratch"]:
                shutil.rmtree(kept.root / note["scratch"], ignore_errors=True)
        elif name == stage:
            _note(kept.root, name).unlink(missing_ok=True)


def _locked(kept: Stored) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for output in kept.outputs:
        found.setdefault(output.stage, {})[output.path] = output.md5
    return found


def unsaved_stages(root: Path) -> list[str]:
    """Stages that ended, whose outputs are as they left them, that would read the same again, and that DVC lacks."""
    kept = Stored.at(root, exact=False)
    locked = _locked(kept)
    found = []
    for name, note in _notes(root).items():
        if name in kept.stages and locked.get(name) != note["outs"]:
            if _written(kept, name) == note["outs"] and _inputs(kept, name) == note["inputs"]:
                found.append(name)
    return found


def _keep_lock(root: Path) -> None:
    """A copy of dvc.lock, which DVC writes in place."""
    try:
        text = (root / LOCK).read_bytes()
    except FileNotFoundError:
        return
    copy = root / LAST_LOCK
    if parse_lock(text) is not None and not (copy.exists() and copy.read_bytes() == text):
        write_text(copy, text.decode("utf-8"))


def mend(root: Path, dry: bool = False) -> list[str]:
    """Repair what a full disk or a kill left of DVC's own files; returns a line for each. dry: only say it."""
    said = []
    rwlock, lock = root / RWLOCK, root / LOCK
    if rwlock.is_file() and not _is_json(rwlock):
        if not dry:
            rwlock.unlink()
        said.append(f"{RWLOCK}: cut off, as by a full disk{'' if dry else '; removed, DVC makes it again'}")
    if lock.is_file() and parse_lock(lock.read_bytes()) is None:
        said.append(f"{LOCK}: cut off, as by a full disk{'' if dry else f'; {_replaced(root, lock)}'}")
    return said


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _replaced(root: Path, lock: Path) -> str:
    copy = root / LAST_LOCK
    if copy.is_file() and parse_lock(copy.read_bytes()) is not None:
        os.replace(copy, lock)  # a rename needs no room
        return "put back as it was before the latest stage"
    done = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], cwd=root, capture_output=True)
    if done.returncode == 0 and parse_lock(done.stdout) is not None:
        lock.write_bytes(done.stdout)
        return "put back as Git's latest commit has it"
    lock.unlink()
    return "removed; what it named comes from DVC's run cache where that has it"


class Restored(NamedTuple):
    """Outputs that came back, and those of dvc.lock that are not to be had; each with its stage."""

    back: list[Output]
    gone: list[Output]


def restore(root: Path) -> Restored:
    """Bring back the outputs of dvc.lock that are missing: from the DVC cache, or from Git, by dvc.lock's hash alone.

    What is there stays as it is. A damaged object is not brought back.
    """
    kept = Stored.at(root)
    for output in kept.outputs:
        sweep(root / output.path)
    missing = [output for output in kept.outputs if not (root / output.path).exists()]
    back = [output for output in missing if kept.bring_back(output) or _from_git(root, output)]
    return Restored(back, [output for output in missing if output not in back])


def _from_git(root: Path, output: Output) -> bool:
    """From the latest commit, where that has just these bytes."""
    path = root / output.path
    listed = subprocess.run(["git", "ls-tree", "HEAD", "--", output.path], cwd=root, capture_output=True)
    if listed.returncode or not listed.stdout:
        return False
    subprocess.run(["git", "checkout", "--quiet", "HEAD", "--", output.path], cwd=root, capture_output=True)
    if path.exists() and md5_of(path) == output.md5:
        return True
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return False


def told(found: Restored) -> list[str]:
    """A line for what came back, and one for what did not."""
    said = []
    if found.back:
        said.append(f"restored as {LOCK} has them: {', '.join(output.path for output in found.back)}")
    if found.gone:
        stages = sorted({output.stage for output in found.gone})
        command = f"dvc repro {' '.join(stages)}" if len(stages) <= SHOWN else "make repro"
        paths = shown([output.path for output in found.gone])
        said.append(f"not in the DVC cache: {paths}; `{command}` makes them again")
    return said
