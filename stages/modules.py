"""Write down which of our modules decide each stage's bytes, so that nothing else makes a stage run again.

    python -m stages.modules

Writes `data/modules/<stage>.txt`: the modules that the stage imports, each with a hash of what in it can matter
(`specacts/core/fingerprints.py`). Every stage depends on its own list: a comment or a reworded error reruns nothing;
nor does code that asks servers, where all models run here (`engine: local`).
"""

from pathlib import Path

from specacts.config import load_config
from specacts.core.errors import one_line_errors
from specacts.core.files import published_dir, write_text
from specacts.core.fingerprints import fingerprints
from specacts.core.process import stage

STAGES, LISTS = Path("stages"), Path("data/modules")


def main() -> None:
    served = load_config(Path(".")).scale.engine != "local"
    modules = [f"stages.{path.stem}" for path in sorted(STAGES.glob("[!_]*.py"))]
    with published_dir(LISTS) as out:
        for module, found in fingerprints(modules, Path("."), served).items():
            lines = (f"{digest}  {path}\n" for path, digest in found.items())
            write_text(out / f"{module.removeprefix('stages.')}.txt", "".join(lines))


if __name__ == "__main__":
    with one_line_errors(), stage("modules"):
        main()
