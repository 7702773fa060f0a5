"""A hub's weights are on the disk once: in the hub client's cache, as an output, and in DVC's cache, which links."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from damage import flip
from places import ROOT
from toys import compact_tokenizer, llama, save_base

from specacts.core.files import sha256
from specacts.core.verify import examine, repair
from specacts.models.download import drop_damaged

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  fetch:
    cmd: python make.py
    deps: [make.py]
    outs: [{models/base: {persist: true}}]
"""
MAKE = """\
from pathlib import Path
from stages.fetch import publish_base
publish_base(Path("hub/snapshots/c"), None, Path("models/base"), "here", link=True)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A DVC repository whose cache links, and a model as the hub's client keeps it."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\nanalytics = false\nno_scm = true\n[cache]\ntype = hardlink,copy\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "make.py").write_text(MAKE)
    tokenizer, snapshot, blobs = compact_tokenizer(), tmp_path / "hub/snapshots/c", tmp_path / "hub/blobs"
    save_base(snapshot, tokenizer, llama(tokenizer))
    blobs.mkdir()
    kept = blobs / sha256(snapshot / "model.safetensors")
    (snapshot / "model.safetensors").rename(kept)
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{kept.name}")
    return tmp_path


def dvc(root: Path, *arguments: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path, "GIT_CEILING_DIRECTORIES": str(root)}
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, env=environment, check=True)


def test_one_copy_serves_the_hub_the_output_and_the_cache_and_its_damage_is_found_and_cured(root):
    def names() -> int:
        """Of the file in the hub client's cache."""
        return (root / "hub/snapshots/c/model.safetensors").stat().st_nlink

    dvc(root, "repro")
    output = root / "models/base/model.safetensors"
    assert output.samefile(root / "hub/snapshots/c/model.safetensors") and names() == 3
    assert examine(root).whole
    (root / "make.py").write_text(f"# changed\n{MAKE}")
    dvc(root, "repro")  # DVC parts the output from its cache before the stage, which links again
    assert output.samefile(root / "hub/snapshots/c/model.safetensors") and names() == 3
    for path in sorted((root / "models/base").iterdir()):
        path.unlink()
    dvc(root, "checkout", "--force")
    assert output.samefile(root / "hub/snapshots/c/model.safetensors") and examine(root).whole

    output.chmod(0o644)
    flip(output)
    found = examine(root)
    assert [files for _, files in found.outputs] == [["models/base/model.safetensors"]] and len(found.objects) == 1
    repair(root, found)
    assert drop_damaged(root / "hub/snapshots/c") == ["model.safetensors"]  # as fetch does, which then downloads it
