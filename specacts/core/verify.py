"""Is everything whole? Outputs by their bytes against dvc.lock, the DVC cache and what is beside it by their names.

    found = examine(Path("."))
    for line in found.told(): print(line)
    repair(Path("."), found)

`specacts verify` and `make verify` print it. Every byte is read, on all cores.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import yaml

from specacts.core.files import sha256
from specacts.core.manifest import flaw
from specacts.core.stored import LOCK, Output, Stored, file_md5, side_by_side
from specacts.core.upkeep import SCRATCH, mend, restore, shown, told

HEX = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")
WHEEL = re.compile(r".*-([0-9a-f]{64})\.whl")
MISNAMED = "its bytes are not those of its name"


class Damage(NamedTuple):
    """A file or folder that is not what it should be, and whose it is."""

    path: Path
    why: str


class Found(NamedTuple):
    """What was examined. outputs: damaged ones with their files; objects and kept: what may go, as it is made again."""

    counted: dict[str, int]
    outputs: list[tuple[Output, list[str]]]
    missing: list[Output]
    unsaved: list[Output]
    objects: list[Damage]
    kept: list[Damage]
    unreadable: list[str]

    @property
    def whole(self) -> bool:
        return not (self.outputs or self.missing or self.unsaved or self.objects or self.kept or self.unreadable)

    def told(self) -> list[str]:
        """A line for each thing that is wrong, or that nothing is."""
        said = list(self.unreadable)
        for output, files in self.outputs:
            said.append(f"damaged: {shown(files)}: not as {LOCK} has it (stage {output.stage})")
        said += [f"damaged: {path}: {why}" for path, why in (*self.objects, *self.kept)]
        if self.missing:
            said.append(f"not here: {shown([output.path for output in self.missing])}")
        if self.unsaved:
            said.append(f"not in the DVC cache: {shown([output.path for output in self.unsaved])}")
        counted = ", ".join(f"{count:,} {what}" for what, count in self.counted.items())
        return [*said, f"{counted}: {'all whole' if self.whole else f'{len(said)} problems'}"]


def examine(root: Path) -> Found:
    """Read everything that is kept and compare it with its hash."""
    unreadable = [f"damaged: {line}" for line in mend(root, dry=True)]
    if unreadable:
        return Found({"outputs": 0}, [], [], [], [], [], unreadable)
    stored = Stored.at(root)
    here = [output for output in stored.outputs if (root / output.path).exists()]
    differing = zip(here, side_by_side(stored.differs, here), strict=True)
    damaged = [(output, files) for output, files in differing if files]
    bad = [output for output, _ in damaged]
    objects, odd = _objects(stored)
    kept = [path for folder in ("bases", "wheels") for path in sorted((root / SCRATCH / folder).glob("*"))]
    return Found(
        counted={"outputs": len(here), "objects of the DVC cache": objects, "converted bases and downloads": len(kept)},
        outputs=damaged,
        missing=[output for output in stored.outputs if output not in here],
        unsaved=[o for o in here if o.cached and o not in bad and stored.lacks(o.md5)],
        objects=odd,
        kept=_wrong(kept, _kept_flaw),
        unreadable=[],
    )


def _objects(stored: Stored) -> tuple[int, list[Damage]]:
    """How many objects and notes of runs the cache holds, and those that are not what they are named by."""
    places = {
        stored.cache / "files" / "md5": _object_flaw,
        stored.cache: _old_object_flaw,  # what DVC keeps of runs in its earlier way
        stored.cache / "runs": _run_flaw,
    }
    count, odd = 0, []
    for folder, test in places.items():
        paths = sorted(path for path in folder.glob("??/*") if folder.name == "runs" or path.is_file())
        paths = [run for path in paths for run in path.iterdir()] if folder.name == "runs" else paths
        count += len(paths)
        odd += _wrong(paths, test)
    return count, odd


def _wrong(paths: Iterable[Path], test: Callable[[Path], str | None]) -> list[Damage]:
    paths = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)  # the long ones first
    found = zip(paths, side_by_side(test, paths), strict=True)
    return sorted(Damage(path, why) for path, why in found if why)


def _object_flaw(path: Path) -> str | None:
    name = f"{path.parent.name}/{path.name}"
    if not HEX.fullmatch(name):
        return "left by a killed or failed run"
    return None if file_md5(path) == name.replace("/", "").removesuffix(".dir") else MISNAMED


def _old_object_flaw(path: Path) -> str | None:
    """Texts are named by their hash with line ends as in Unix."""
    why = _object_flaw(path)
    if why is None:
        return None
    unix = hashlib.md5(path.read_bytes().replace(b"\r\n", b"\n"), usedforsecurity=False).hexdigest()
    return None if unix == f"{path.parent.name}{path.name}".removesuffix(".dir") else why


def _run_flaw(path: Path) -> str | None:
    """A note of a run is named by the hash of what it says."""
    from dvc.utils import dict_sha256

    try:
        said = yaml.safe_load(path.read_bytes())
        return None if dict_sha256(said, exclude=["size", "nfiles"]) == path.name else "it does not say what it did"
    except Exception as error:  # whatever the reader stumbles over
        return f"not readable ({type(error).__name__})"


def _kept_flaw(path: Path) -> str | None:
    """Of a converted base its own list is asked, of a wheel its name."""
    if path.is_dir():
        return flaw(path)
    named = WHEEL.fullmatch(path.name)
    if not named:
        return "left by a killed or failed run"
    return None if sha256(path) == named[1] else MISNAMED


def repair(root: Path, found: Found) -> list[str]:
    """Remove what is damaged, bring back from the DVC cache what that holds whole, save what it lacks; lines for each.

    An output that differs goes in any case: where the cache has it, it comes back, else its stage has to run again.
    """
    said = mend(root)
    for path, _ in (*found.objects, *found.kept):
        _remove(path)
        said.append(f"removed {path}")
    for output, _ in found.outputs:
        _remove(root / output.path)
        said.append(f"removed {output.path}")
    stored = Stored.at(root)
    for output in stored.unsaved():
        stored.save(output)
        said.append(f"saved {output.path} in the DVC cache")
    return said + told(restore(root))


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
