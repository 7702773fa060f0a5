"""Refuse a wrong configuration before anything else runs.

    python -m stages.check

DVC clears a stage's outputs before it runs the stage. This one comes first, so that a typo in a configuration file, a
python without the project's packages, a GPU that is not there or too small, too little memory, or a disk without room
for the run (the scale file's `disk`, and what it takes from a model hub) costs nothing. Writes `data/checked.txt`,
always the same, and `data/local_roles.txt`, the roles whose models run here (all but a recorded strong model, and a
verifier that the recipe does without): what follows hardly ever runs again because of them.
"""

import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from specacts.core.errors import UserError, one_line_errors

if TYPE_CHECKING:
    from specacts.config import Config


def main() -> None:
    if find_spec("trl") is None:  # DVC runs stages with the first `python` on the path
        raise UserError(
            f"{sys.executable} lacks the project's packages; run `make setup`, then put .venv/bin first on the path "
            "(`. .venv/bin/activate`)"
        )
    from specacts.config import load_config
    from specacts.core.files import write_text
    from specacts.recipe import local_roles
    from specacts.traces.stream import require_readable

    config = load_config(Path("."))
    sources = config.sources
    for field in ("path", "types"):  # DVC wants them even where `own` is false
        path = getattr(sources, field)
        if not Path(path).exists():
            hint = "; an experiment sees only what Git knows: " + shlex.join(["git", "add", path])
            is_experiment = "DVC_EXP_NAME" in os.environ
            raise UserError(
                f"params.yaml: sources.{field}: {path!r}: no such file or folder{hint if is_experiment else ''}"
            )
        require_readable(Path(path))
    require_device(config)
    if Path("dvc.yaml").is_file():
        require_room(config)
    write_text(Path("data/local_roles.txt"), "".join(f"{role}\n" for role in local_roles(config.recipe)))
    write_text(Path("data/checked.txt"), "the configuration is valid\n")


def require_device(config: "Config") -> None:
    """Raises UserError where the scale's device is not here, cannot compute in its dtype, or has too little memory."""
    from specacts.plan.memory import largest

    scale, where = config.scale, f"configs/scale/{config.scale_name}.yaml"
    # torch takes seconds to import: only a scale for a GPU has to wait for it
    if scale.device == "cuda" or (scale.device == "auto" and shutil.which("nvidia-smi")):
        from specacts.models.device import gpu, require

        found = gpu()
        if scale.device == "cuda" or not isinstance(found, str):
            require(found, scale.dtype, largest(config, on_gpu=True).low, where)
            print(f"GPU: {found.told() if not isinstance(found, str) else found}")
            return
    from specacts.models.device import require_ram

    require_ram(largest(config, on_gpu=False).low, where)


def require_room(config: "Config") -> None:
    """Raises UserError where there is no room for the run; says where a model hub's bases will be there twice."""
    from specacts.core.rooms import MB, Downloads, Needs, keeps_once, require
    from specacts.models.shapes import hub_weights
    from specacts.recipe import local_roles

    root, disk = Path("."), config.scale.disk
    weights = hub_weights(config.scale, local_roles(config.recipe))
    hub = sum(weights.values()) // MB
    if not hub:
        require(root, config.scale_name, Needs(disk.cache, disk.workspace, disk.scratch))
        return
    from specacts.models.download import hub_folder, hub_mb

    folder, once = hub_folder(root), keeps_once(root)
    needs = Needs(disk.cache + (0 if once else hub), disk.workspace, disk.scratch, hub)
    if not once:
        print(f"note: the bases are {hub:,} MB, and DVC's cache will hold a copy of them; to keep them once: {LINK}")
    require(root, config.scale_name, needs, Downloads(folder, hub_mb(weights, folder)))


LINK = "dvc config --local cache.type hardlink,copy"

if __name__ == "__main__":
    with one_line_errors():
        main()
