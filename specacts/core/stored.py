"""What DVC keeps of the pipeline, by its bytes: outputs, what dvc.lock says of them, and the cache.

    kept = Stored.at(Path("."))
    kept.differs(output)             # which files are not as dvc.lock has them
    kept.lacks(output.md5)           # which objects the cache does not hold
    kept.save(output)                # put an output that is whole into the cache
    kept.bring_back(output)          # the other way, where the output is missing; checked on the way

DVC believes what it hashed once: a byte that changed since, in an output or in its cache, goes unnoticed and is handed
on. Everything here reads the bytes.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from specacts.core.errors import UserError

LOCK, PIPELINE = "dvc.lock", "dvc.yaml"
IGNORED = ("__pycache__",)
"""Of a folder, what .dvcignore leaves out."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of YAML: libyaml's, where PyYAML is built with it, which is ten times as fast."""


class Output(NamedTuple):
    """An output as dvc.lock has it: who makes it, where, its MD5 (of a folder's listing: `.dir` behind it)."""

    stage: str
    path: str
    md5: str
    cached: bool


class Stage(NamedTuple):
    """What dvc.yaml says of a stage: what it reads, and what it writes, with whether DVC's cache keeps that."""

    deps: tuple[str, ...]
    outs: dict[str, bool]


class Stored(NamedTuple):
    """A repository's stages, the outputs that its dvc.lock names, and its cache."""

    root: Path
    stages: dict[str, Stage]
    outputs: tuple[Output, ...]
    cache: Path

    @classmethod
    def at(cls, root: Path, exact: bool = True) -> "Stored":
        """Read dvc.yaml and dvc.lock. exact: ask DVC where its cache is, which takes a moment; else the usual places.

        Raises `UserError` where a file cannot be read.
        """
        stages = read_stages(root)
        outputs = tuple(
            Output(stage, out["path"], out["md5"], stages[stage].outs[out["path"]])
            for stage, entry in read_lock(root).items()
            for out in entry.get("outs", ())
            if stage in stages and out["path"] in stages[stage].outs
        )
        return cls(root, stages, outputs, cache_folder(root) if exact else usual_cache(root))

    def object(self, md5: str) -> Path:
        """Where the cache keeps an object."""
        return self.cache / "files" / "md5" / md5[:2] / md5[2:]

    def entries(self, md5: str) -> dict[str, str] | None:
        """A folder's files and their MD5, as its object lists them; None where the cache has no whole such object."""
        try:
            listing = self.object(md5).read_bytes()
        except OSError:
            return None
        if hashlib.md5(listing, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(listing)}

    def lacks(self, md5: str) -> list[str]:
        """The objects that the cache does not hold of an output, its own first; only whether they are there counts."""
        if not self.object(md5).is_file():
            return [md5]
        if not md5.endswith(".dir"):
            return []
        entries = self.entries(md5)
        if entries is None:
            return [md5]
        return sorted({oid for oid in entries.values() if not self.object(oid).is_file()})

    def differs(self, output: Output) -> list[str]:
        """The files of an output that is there which are not as dvc.lock has them; empty where it is whole."""
        path = self.root / output.path
        if not output.md5.endswith(".dir"):
            return [] if path.is_file() and file_md5(path) == output.md5 else [output.path]
        found = listing_of(path) if path.is_dir() else {}
        if listing_md5(found) == output.md5:
            return []
        expected = self.entries(output.md5)
        if expected is None:
            return [output.path]
        names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        return [f"{output.path}/{name}" for name in names]

    def unsaved(self) -> list[Output]:
        """Outputs that are here as dvc.lock has them, and not in the cache: DVC would clear and make them again."""
        lacking = (output for output in self.outputs if output.cached and self.lacks(output.md5))
        return [output for output in lacking if (self.root / output.path).exists() and not self.differs(output)]

    def read_by(self, stage: str) -> list[Output]:
        """The outputs of other stages that a stage reads, or of which it reads a part."""
        deps = self.stages[stage].deps
        return [
            output
            for output in self.outputs
            if output.stage != stage and any(_holds(dep, output.path) or _holds(output.path, dep) for dep in deps)
        ]

    def save(self, output: Output) -> None:
        """Put what the cache lacks of a whole output into it. Raises OSError where that cannot be written."""
        path = self.root / output.path
        if not output.md5.endswith(".dir"):
            self._keep(output.md5, lambda to: shutil.copyfile(path, to))
            return
        found = listing_of(path)
        for name, md5 in found.items():
            self._keep(md5, lambda to, name=name: shutil.copyfile(path / name, to))  # type: ignore[misc]
        self._keep(output.md5, lambda to: to.write_bytes(listing_bytes(found)))

    def _keep(self, md5: str, write: Callable[[Path], Any]) -> None:
        place = self.object(md5)
        if place.is_file():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with _beside(place) as work:
            write(work)
            if file_md5(work) != md5.removesuffix(".dir"):
                raise UserError(f"{place}: what was to be saved changed on the way; run again")
            work.chmod(0o444)
            os.replace(work, place)

    def bring_back(self, output: Output) -> bool:
        """Make a missing output from the cache; False where the cache has not all of it, or a damaged object."""
        path = self.root / output.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path) as work:
            if output.md5.endswith(".dir"):
                files = self.entries(output.md5)
                if files is None:
                    return False
                work.mkdir()
            else:
                files = {"": output.md5}
            for name, md5 in files.items():
                target = work / name if name else work
                target.parent.mkdir(parents=True, exist_ok=True)
                if not self.object(md5).is_file():
                    return False
                shutil.copyfile(self.object(md5), target)
                if file_md5(target) != md5:
                    return False
            os.replace(work, path)
        return True


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


class _beside:
    """A name beside a path, for something that is to take its place; nothing of it is left."""

    def __init__(self, path: Path):
        self.folder, self.name = path.parent, path.name

    def __enter__(self) -> Path:
        self.holder = Path(tempfile.mkdtemp(prefix=f".{self.name}.", suffix=".new", dir=self.folder))
        self.holder.chmod(0o755)
        return self.holder / self.name

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.holder, ignore_errors=True)


PATIENCE = 3.0
"""Seconds that a dvc.lock that is not whole may take to become so."""


def read_lock(root: Path) -> dict[str, Any]:
    """The stages of dvc.lock; none where there is no such file. Raises `UserError` where it was cut off."""
    path = root / LOCK
    if not path.exists():
        return {}
    found, until = parse_lock(path.read_bytes()), time.monotonic() + PATIENCE
    while found is None and time.monotonic() < until:  # another DVC may be in the middle of writing it
        time.sleep(0.1)
        found = parse_lock(path.read_bytes()) if path.exists() else {}
    if found is None:
        raise UserError(
            f"{path}: it is cut off or damaged, for example by a full disk; `specacts verify --repair` fixes it"
        )
    return found


def parse_lock(text: bytes) -> dict[str, Any] | None:
    """The stages in a dvc.lock; None where it is not whole: what DVC writes ends in a line and in a stage's command."""
    if not text.endswith(b"\n"):
        return None
    try:
        found = yaml.load(text, LOADER)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    stages = found.get("stages") if isinstance(found, dict) else None
    whole = isinstance(stages, dict) and all(isinstance(entry, dict) and "cmd" in entry for entry in stages.values())
    return stages if whole else None


def read_stages(root: Path) -> dict[str, Stage]:
    """The stages of dvc.yaml by the names DVC gives them. What is named by a parameter keeps its `${...}`."""
    try:
        found = yaml.load((root / PIPELINE).read_text(encoding="utf-8"), LOADER)
    except FileNotFoundError as error:
        raise UserError(f"{root / PIPELINE}: no such file; run this in the repository's root folder") from error
    result = {}
    for name, stage in found["stages"].items():
        for key in stage.get("foreach", [None]):
            result[name if key is None else f"{name}@{key}"] = _stage(stage.get("do", stage), key or "")
    return result


def _stage(body: dict[str, Any], key: str) -> Stage:
    outs = {}
    for kind in ("outs", "metrics", "plots"):
        for entry in body.get(kind, ()):
            path, about = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            outs[path.replace("${key}", key)] = (about or {}).get("cache", True)
    return Stage(tuple(dep.replace("${key}", key) for dep in body.get("deps", ())), outs)


def usual_cache(root: Path) -> Path:
    """Where the cache is by the repository's own configuration."""
    for name in ("config.local", "config"):
        config = ConfigParser()
        try:
            config.read(root / ".dvc" / name)
        except ConfigError:
            continue
        if config.has_option("cache", "dir"):
            return root / ".dvc" / config["cache"]["dir"]
    return root / ".dvc" / "cache"


def cache_folder(root: Path) -> Path:
    """Where DVC says that its cache is: a user's own configuration of all repositories may name it too."""
    from dvc.config import Config  # half a second

    named = Config(str((root / ".dvc").resolve()), validate=False).get("cache", {}).get("dir")
    return Path(named) if named else root / ".dvc" / "cache"


def file_md5(path: Path) -> str:
    """MD5, which DVC goes by; a chance flip of bits is what it is to show, not an attack."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def side_by_side(function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    """`function` of each value; hashes are made on all cores at once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, values))


def listing_of(folder: Path) -> dict[str, str]:
    """Every file of a folder with its MD5."""
    names = sorted(_files(folder))
    return dict(zip(names, side_by_side(lambda name: file_md5(folder / name), names), strict=True))


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".pyc" and not set(path.parts) & set(IGNORED):
            yield path.relative_to(folder).as_posix()


def listing_bytes(files: dict[str, str]) -> bytes:
    """The object by which DVC keeps a folder."""
    return json.dumps([{"md5": files[name], "relpath": name} for name in sorted(files)]).encode()


def listing_md5(files: dict[str, str]) -> str:
    """The folder's own MD5, as dvc.lock has it."""
    return f"{hashlib.md5(listing_bytes(files), usedforsecurity=False).hexdigest()}.dir"


def md5_of(path: Path) -> str:
    """The MD5 of a file or folder, as dvc.lock would have it."""
    return listing_md5(listing_of(path)) if path.is_dir() else file_md5(path)
