"""Write what docs/v2-v3.md shows of two experiments.

    python -m scripts.compare v2 v3      # docs/v2-v3-diff.md and docs/figures/{v2,v3}-{frontier,confusion}.png

The diff is all that `dvc metrics diff --md v2 v3` says. Fails where a key of one experiment is missing in the other.
"""

import subprocess
import sys
from pathlib import Path

import dvc.api
from dvc.exceptions import DvcException

from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import write_text

DOCS = Path("docs")
FIGURES = ("frontier", "confusion")


def main(old: str, new: str) -> None:
    command = ["dvc", "metrics", "diff", "--md", old, new]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
    lacking = [line for line in done.stdout.splitlines() if "-" in [cell.strip() for cell in line.split("|")]]
    if lacking:
        raise UserError(f"{' '.join(command)}: {len(lacking)} keys are in one experiment only, first: {lacking[0]}")
    title = f"# `{' '.join(command)}`\n\nWritten by `python -m scripts.compare {old} {new}`.\n\n"
    write_text(DOCS / "v2-v3-diff.md", title + done.stdout.strip() + "\n")
    for name in (old, new):
        for figure in FIGURES:
            target = DOCS / "figures" / f"{name}-{figure}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.write_bytes(dvc.api.read(f"reports/figures/{figure}.png", rev=name, mode="rb"))
            except DvcException as error:
                raise UserError(f"{name}: reports/figures/{figure}.png: {error}") from error


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) != 3:
            raise UserError("usage: python -m scripts.compare OLD NEW (two experiments)")
        main(*sys.argv[1:])
