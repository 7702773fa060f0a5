"""Refuse a wrong configuration before anything else runs.

    python -m stages.check

DVC clears a stage's outputs before it runs the stage. This one comes first, so that a typo in a configuration file, or
a python without the project's packages, or a disk without room for the
run (the scale file's `disk`), costs nothing. Writes `data/checked.txt`, always the same, and
`data/local_roles.txt`, the roles whose models run here (all but a recorded strong model, and a
verifier that the recipe does without): what follows hardly ever runs
again because of them.
"""

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from specacts.core.errors import UserError, one_line_errors


def main() -> None:
    if find_spec("trl") is None:  # DVC runs stages with the first `python` on the path
        raise UserError(
            f"{sys.executable} lacks the project's packages; run `make setup`, then put .venv/bin first on the path "
            "(`. .venv/bin/activate`)"
        )
    from specacts.config import load_config
    from specacts.core.files import write_text
    from specacts.core.rooms import Needs, require
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
    if Path("dvc.yaml").is_file():
        disk = config.scale.disk
        require(Path("."), config.scale_name, Needs(disk.cache, disk.workspace, disk.scratch))
    write_text(Path("data/local_roles.txt"), "".join(f"{role}\n" for role in local_roles(config.recipe)))
    write_text(Path("data/checked.txt"), "the configuration is valid\n")


if __name__ == "__main__":
    with one_line_errors():
        main()
