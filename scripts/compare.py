"""Write the figures that docs/v2-v3.md shows: cost against accuracy, of two experiments.

    python -m scripts.compare v2 v3      # docs/figures/{v2,v3}-frontier.png

For their numbers: dvc metrics diff v2 v3.
"""

import sys
from pathlib import Path

import dvc.api
from dvc.exceptions import DvcException

from specacts.core.errors import UserError, one_line_errors

TARGET = Path("docs/figures")
FIGURE = "reports/figures/frontier.png"


def main(old: str, new: str) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in (old, new):
        (TARGET / f"{name}-frontier.png").write_bytes(drawn(name))
    print(f"wrote {TARGET}; the numbers: dvc metrics diff {old} {new}")


def drawn(experiment: str) -> bytes:
    """The figure of an experiment's report, as a PNG file's bytes."""
    try:
        return dvc.api.read(FIGURE, rev=experiment, mode="rb")
    except DvcException as error:
        raise UserError(f"{experiment}: {FIGURE}: {error}") from error


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) != 3:
            raise UserError("usage: python -m scripts.compare OLD NEW (two experiments)")
        main(*sys.argv[1:])
