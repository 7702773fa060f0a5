"""Is there room for a run, where DVC's cache, the outputs and the scratch files go?

    require(Path("."), "cpu", Needs(cache=900, workspace=1100, scratch=900))     # MB; UserError where there is not
    keeps_once(Path("."))        # whether DVC's cache links to files, or copies them

A full DVC cache costs what could not be saved in it, so this is asked before anything runs.
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from specacts.core.errors import UserError
from specacts.core.stored import Stored, cache_folder, read_lock
from specacts.core.upkeep import SCRATCH

MB = 1_000_000


class Needs(NamedTuple):
    """What a run from nothing writes, in MB: to DVC's cache, to the workspace's outputs, to the scratch folder.

    hub: to the files of a model hub; what of them DVC copies into its cache is in `cache`.
    """

    cache: int
    workspace: int
    scratch: int
    hub: int = 0


class Downloads(NamedTuple):
    """Where a model hub's files are kept, and how many MB of those that are needed are there."""

    folder: Path
    there: int


def require(root: Path, scale: str, needs: Needs, downloads: Downloads | None = None) -> None:
    """`UserError` where a disk has less room than the scale's run still takes there, with which places it holds."""
    stored = Stored.at(root)
    there = present(stored, scale)
    places = {"cache": stored.cache, "workspace": root, "scratch": root / SCRATCH}
    if downloads:
        places["hub"] = downloads.folder
        there = there._replace(hub=downloads.there)
    disks: dict[int, list[str]] = {}
    for name, place in places.items():
        disks.setdefault(os.stat(existing(place)).st_dev, []).append(name)
    for names in disks.values():
        due = sum(max(0, getattr(needs, name) - getattr(there, name)) for name in names)
        free = shutil.disk_usage(existing(places[names[0]])).free // MB
        if free < due:
            where = ", ".join(f"{name} ({places[name].absolute()})" for name in names)
            raise UserError(
                f"configs/scale/{scale}.yaml: disk: a run still needs about {due:,} MB for {where}, but only "
                f"{free:,} MB are free there; make room, or move DVC's cache to another disk: `dvc cache dir PLACE`"
            )


def keeps_once(root: Path) -> bool:
    """Whether DVC's cache has hard links to outputs and no copies of them (`cache.type`), which takes one disk.

    A disk on which copies share their blocks (reflinks) needs no links; that is not looked for.
    """
    from dvc.config import Config  # half a second

    types = Config(str((root / ".dvc").resolve()), validate=False).get("cache", {}).get("type", "")
    first = (types if isinstance(types, list) else types.split(","))[0].strip()
    return first == "hardlink" and same_disk(cache_folder(root), root)


def same_disk(one: Path, other: Path) -> bool:
    """Whether files of one folder can have hard links in the other, wherever they are to be made."""
    return os.stat(existing(one)).st_dev == os.stat(existing(other)).st_dev


def existing(path: Path) -> Path:
    """The path, or the nearest folder above that is there."""
    return path if path.exists() else existing(path.absolute().parent)


def present(stored: Stored, scale: str) -> Needs:
    """How much of it is there already, in MB; nothing of another scale's run."""
    if f"configs/scale/{scale}.yaml" not in read_lock(stored.root).get("fetch", {}).get("params", {}):
        return Needs(0, 0, 0)
    kept = {output.md5: output for output in stored.outputs if output.cached and not stored.lacks(output.md5)}
    cache = sum(_bytes(stored.root / output.path) for output in kept.values())
    workspace = sum(_bytes(stored.root / output.path) for output in stored.outputs)
    return Needs(cache // MB, workspace // MB, _bytes(stored.root / SCRATCH) // MB)


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
