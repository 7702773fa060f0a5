"""Where the repository is, and the configuration that tests work with.

`tests/configuration/` holds the shipped defaults as they once were. Tests never read the repository's own `params.yaml`
and configs, which people edit, nor what a run writes: so they pass whatever somebody varies. Where a setting is added
or goes, it does so there too.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIGURATION = ROOT / "tests/configuration"


def copy_configuration(folder: Path) -> Path:
    """Make `folder` a place with params.yaml and configs, as the commands and stages look for them."""
    shutil.copytree(CONFIGURATION, folder, dirs_exist_ok=True)
    types = Path("configs/action_types")
    (folder / types).mkdir(exist_ok=True)
    for name in ("bfcl.yaml", "helpdesk.yaml"):  # a user has others, of their own tools
        shutil.copy(ROOT / types / name, folder / types)
    return folder
