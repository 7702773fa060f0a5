"""Assets from outside, each pinned: a file in one wheel or several, a model on a hub at a revision, a local folder.

    asset = fetch_wheel(source, out, cache=Path(".work/wheels"), where="configs/scale/cpu.yaml: bases.smollm2")
    asset.path, asset.record         # the unpacked file or folder; what metrics/assets.json says of it

A wheel is only a container here: it is downloaded by pip, checked against its SHA-256 and unzipped. It is never
installed, nothing in it is run, and its dependencies are left alone. Downloads are kept, so the network is
needed once.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath
from typing import Generic, NamedTuple, TypeVar

from specacts.config import Folder, Hub, Wheel, Wheels
from specacts.core.errors import UserError
from specacts.core.files import NEW, sha256
from specacts.core.rooms import same_disk
from specacts.core.upkeep import SCRATCH
from specacts.models.results import FolderRecord, HubRecord, PartRecord, WheelRecord, WheelsRecord

HUB_FILES = ("model*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "LICENSE*", "NOTICE*")
NOT_HUB_FILES = ("*/*", "*.bin", "*.pt", "*.pth", "*.pkl", "*.py")  # no pickles, no code, no subfolders
LICENCE_FILE = re.compile(r"^[^/]+\.dist-info/(licenses/)?(LICEN[CS]E|NOTICE|COPYING)[^/]*$", re.IGNORECASE)
Origin = TypeVar("Origin", WheelRecord, WheelsRecord, HubRecord, FolderRecord)
PLACE = re.compile(r"https?://\S+|host='[^']*'|\b(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?\b|(?<![\w.])/\S+", re.IGNORECASE)


class Asset(NamedTuple, Generic[Origin]):
    """Where a fetched file or folder lies, and what is recorded about where it came from."""

    path: Path
    record: Origin
    licence_files: tuple[Path, ...] = ()


def fetch_wheel(source: Wheel, out: Path, cache: Path, where: str, parts: Sequence[str] = ()) -> Asset[WheelRecord]:
    """Unpack `source.path` of the wheel (or only `parts` of that folder) and its licence files under `out`.

    Files keep the paths they have in the wheel. Raises UserError, naming `where` the source is declared, if the
    wheel cannot be had, has another SHA-256, is unsafe to unpack, lacks a path, or the disk is too full.
    """
    wheel = download_wheel(source, cache, where)
    wanted = [f"{source.path}/{part}" for part in parts] or [source.path]
    with _opened(wheel, where) as archive:
        licences = [info.filename for info in archive.infolist() if LICENCE_FILE.match(info.filename)]
        _unpack(archive, [*_members(archive, wanted, where), *licences], out)
    return Asset(out / source.path, wheel_record(source, wheel), tuple(out / name for name in licences))


def download_wheel(source: Wheel, cache: Path, where: str) -> Path:
    """The wheel in the cache folder, downloaded if it is not there yet; its SHA-256 is checked either way."""
    kept = cache / f"{source.package}-{source.version}-{source.sha256}.whl"
    if kept.is_file():
        if sha256(kept) == source.sha256:
            return kept
        kept.unlink()  # damaged since: a fresh download is the cure
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(f"tmp*{NEW}"):  # of a killed run
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(suffix=NEW, dir=cache) as folder:
        got = pip_download(source.package, source.version, Path(folder), where)
        found = sha256(got)
        if found != source.sha256:
            raise UserError(
                f"{where}.sha256: {source.package}=={source.version} should have {source.sha256} but the downloaded "
                f"file has {found}; it was deleted. If you changed the version, put the new hash there; otherwise "
                "the package index serves another file than before: do not use it"
            )
        os.replace(got, kept)
    return kept


def pip_download(package: str, version: str, folder: Path, where: str) -> Path:
    """Let pip put the wheel of exactly this version into `folder`, without its dependencies and without building."""
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    options += ["--no-binary=:none:", "--dest", str(folder)]  # :none: undoes a no-binary setting of the user's
    command = [sys.executable, "-m", "pip", "download", *options, f"{package}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    raise UserError(
        f"{where}: pip could not download {package}=={version}; check name, version and network, which is "
        f"needed once: later runs use the kept copy (pip: {_last_line(done.stderr or done.stdout)})"
    )


def wheel_record(source: Wheel, wheel: Path) -> WheelRecord:
    """What metrics/assets.json says of a wheel; the licence is the one its metadata declares."""
    return WheelRecord(
        kind="wheel",
        package=source.package,
        version=source.version,
        path=source.path,
        sha256=source.sha256,
        licence=_declared_licence(wheel),
    )


def fetch_wheels(source: Wheels, out: Path, cache: Path, where: str) -> Asset[WheelsRecord]:
    """Join the pieces in the source's wheels to one file under `out`, in their order.

    Raises UserError as `fetch_wheel` does for each of them, and where the joined file has another SHA-256.
    """
    joined, digest = out / source.file, hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=out) as folder, joined.open("wb") as file:
        for number, wheel in enumerate(pieces(source)):
            piece = fetch_wheel(wheel, Path(folder) / str(number), cache, f"{where}.parts[{number}]").path
            with piece.open("rb") as packed:
                while block := packed.read(1 << 20):
                    digest.update(block)
                    file.write(block)
            piece.unlink()  # or the disk would hold everything twice
    if digest.hexdigest() != source.sha256:
        joined.unlink()
        raise UserError(
            f"{where}.sha256: the joined pieces should have {source.sha256} and have {digest.hexdigest()}; check that "
            "parts names every piece, in order"
        )
    return Asset(joined, wheels_record(source, cache, where))


def wheels_record(source: Wheels, cache: Path, where: str) -> WheelsRecord:
    """What metrics/assets.json says of the wheels, which are downloaded if they are not in the cache folder yet."""
    records = []
    for number, wheel in enumerate(pieces(source)):
        found = wheel_record(wheel, download_wheel(wheel, cache, f"{where}.parts[{number}]")).model_dump()
        records.append(PartRecord(**{name: value for name, value in found.items() if name != "kind"}))
    return WheelsRecord(
        kind="wheels",
        model=source.model,
        licence=source.licence,
        file=source.file,
        sha256=source.sha256,
        parts=tuple(records),
    )


def pieces(source: Wheels) -> list[Wheel]:
    """The wheels, in their order."""
    parts = ((part.package, part.sha256, part.path) for part in source.parts)
    return [Wheel(kind="wheel", version=source.version, package=p, sha256=s, path=path) for p, s, path in parts]


def hub_folder(root: Path) -> Path:
    """Where hub models are kept: the hub client's own cache if it is on the disk of `root`, else a folder of ours.

    From either, `models/base` can have hard links to them: they are there once.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    usual = Path(HF_HUB_CACHE)
    return usual if same_disk(usual, root) else root / SCRATCH / "hub"


def hub_mb(repos: Iterable[str], folder: Path) -> int:
    """How many MB of these models lie there, whole or in part."""
    blobs = (blob for repo in repos for blob in (folder / f"models--{repo.replace('/', '--')}" / "blobs").glob("*"))
    return sum(blob.stat().st_size for blob in blobs) // 1_000_000


def fetch_hub(source: Hub, where: str) -> Asset[HubRecord]:
    """Bring the revision's weights, configuration and tokenizer into `hub_folder`.

    The revision is resolved to a commit first and that commit is downloaded and recorded.
    """
    from huggingface_hub import HfApi, snapshot_download  # slow to import, and only this source needs it

    def download(commit: str | None) -> Path:
        wanted, unwanted = list(HUB_FILES), list(NOT_HUB_FILES)
        cache = hub_folder(Path("."))
        found = snapshot_download(
            source.repo, revision=commit, allow_patterns=wanted, ignore_patterns=unwanted, cache_dir=cache
        )
        return Path(found)

    try:
        info = HfApi().model_info(source.repo, revision=source.revision)
        folder = download(info.sha)
        if drop_damaged(folder):
            folder = download(info.sha)
    except Exception as error:  # HTTP, offline, gated, not found, bad name: many classes, one cure list
        raise UserError(
            f"{where}: could not fetch {source.repo!r} at revision {source.revision!r} from the model hub "
            f"({type(error).__name__}); check both names, the network, the free disk space, and for a gated model "
            "that you are logged in"
        ) from error
    licence = getattr(info.card_data, "license", None)
    record = HubRecord(kind="hub", repo=source.repo, revision=source.revision, commit=info.sha, licence=licence)
    return Asset(folder, record)


def drop_damaged(snapshot: Path) -> list[str]:
    """Remove files of the hub client's cache whose bytes are not those that they are named by; returns what they were.

    The client keeps a file under the SHA-256 that the hub says it has, small ones under Git's SHA-1, and links to it.
    """
    dropped = []
    for link in sorted(path for path in snapshot.iterdir() if path.is_symlink() and path.exists()):
        kept = link.resolve()
        if len(kept.name) == 64:
            whole = sha256(kept) == kept.name
        else:
            data = kept.read_bytes()
            found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            whole = len(kept.name) != 40 or found == kept.name
        if not whole:
            print(f"{link.name}: damaged in the hub client's cache; fetching it again", flush=True)
            kept.unlink()
            link.unlink()
            dropped.append(link.name)
    return dropped


def fetch_folder(source: Folder, where: str) -> Asset[FolderRecord]:
    """A local model folder; its configuration and weights are hashed, so that a changed one shows."""
    if not source.path.is_dir():
        raise UserError(f"{where}.path: {str(source.path)!r} is not a folder")
    files = sorted([*source.path.glob("*.json"), *source.path.glob("*.safetensors")])
    if odd := [path for path in files if not path.is_file()]:  # to read a pipe would never end
        raise UserError(f"{where}.path: {str(odd[0])!r} is not a file; remove it")
    if not files:
        raise UserError(f"{where}.path: {str(source.path)!r} holds no *.safetensors and *.json files")
    listing = "".join(f"{sha256(path)}  {path.name}\n" for path in files)
    # Only the name is recorded: the full path says more about a machine than about the model.
    digest = hashlib.sha256(listing.encode()).hexdigest()
    record = FolderRecord(kind="folder", name=source.path.resolve().name, sha256=digest, licence=None)
    return Asset(source.path, record)


def require_space(folder: Path, needed: int, what: str) -> None:
    """UserError unless the disk of `folder` has `needed` bytes free."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{what} needs {needed / 1e6:,.0f} MB of disk, but only {free / 1e6:,.0f} MB are free; make room"
        )


@contextmanager
def _opened(wheel: Path, where: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise UserError(f"{where}: {wheel.name} is not a readable wheel ({error})") from error


def _members(archive: zipfile.ZipFile, wanted: Sequence[str], where: str) -> list[str]:
    """The names of the files at or below the wanted paths; nothing of a wheel with an unsafe member is used."""
    unsafe = [info.filename for info in archive.infolist() if _is_unsafe(info)]
    if unsafe:
        raise UserError(f"{where}: the wheel holds {unsafe[0]!r}, which would be unpacked elsewhere; do not use it")
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    chosen = []
    for path in wanted:
        below = [name for name in names if name == path or name.startswith(path.rstrip("/") + "/")]
        if not below:
            raise UserError(f"{where}.path: {path!r} is not in the wheel; `unzip -l` shows what is")
        chosen += below
    return chosen


def _is_unsafe(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    elsewhere = path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename
    return elsewhere or stat.S_ISLNK(info.external_attr >> 16)


def _unpack(archive: zipfile.ZipFile, names: Sequence[str], out: Path) -> None:
    require_space(out, sum(archive.getinfo(name).file_size for name in names), f"unpacking into {out}")
    for name in names:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)


def _declared_licence(wheel: Path) -> str | None:
    """The metadata's licence expression, else its licence line, else its licence classifier."""
    with zipfile.ZipFile(wheel) as archive:
        name = next((n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)), None)
        headers = BytesHeaderParser().parsebytes(archive.read(name) if name else b"")
    line = headers.get("License-Expression") or headers.get("License")
    if line:
        return line.splitlines()[0].strip()
    classifiers = [c for c in headers.get_all("Classifier", []) if c.startswith("License ::")]
    return classifiers[0].split(" :: ")[-1] if classifiers else None


def _last_line(text: str) -> str:
    """pip's last word, without addresses and paths: those say where a machine gets its packages, not what failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    return PLACE.sub("...", lines[-1].removeprefix("ERROR: ")) if lines else "no message"
