"""Refuse a wrong configuration before anything else runs.

    python -m stages.check

DVC clears a stage's outputs before it runs the stage. This one comes first, so that a typo in a configuration file
costs nothing. Writes `data/checked.txt`, always the same: what follows never runs again because of it.
"""

from pathlib import Path

from specacts.config import load_config
from specacts.errors import one_line_errors
from specacts.files import write_text


def main() -> None:
    load_config(Path("."))
    write_text(Path("data/checked.txt"), "the configuration is valid\n")


if __name__ == "__main__":
    with one_line_errors():
        main()
