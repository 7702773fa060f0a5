"""Keep this workspace's results beside those of the default run, to which `metrics/` and `reports/` belong.

    python -m scripts.keep laptop                       # as docs/results/laptop
    python -m scripts.keep laptop --into ../specacts    # in another clone

Keeps the report, its appendix and pictures, the metrics, and in `made.json` of which commit, day and processor they
are. Documents quote them: `quote.policies(..., of="laptop")`.
"""

import argparse
import re
import shutil
from pathlib import Path

from scripts.running import made, require_up_to_date
from specacts.config import load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import published_dir, write_text
from specacts.evaluation.results import Evaluation
from stages.report import seeds_of

PAGES = ("report.md", "appendix.md")
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the folder in docs/results")
    parser.add_argument("--into", type=Path, default=Path("."), help="the clone that keeps them (default: this one)")
    options = parser.parse_args()
    if not NAME.fullmatch(options.name):
        raise UserError(f"keep: {options.name!r} is not a name of small letters, digits and dashes")
    if not (options.into / "docs").is_dir():
        raise UserError(f"keep: {options.into} has no docs/: it is no clone of this repository")
    require_up_to_date("keep")
    keep(options.into / "docs/results" / options.name)


def keep(out: Path) -> None:
    """Copy this workspace's results into a folder, which makes way if it is there."""
    seeds = seeds_of(Evaluation.load(Path("metrics/eval.json")), load_config(Path(".")))
    others = () if seeds else ("seeds.json",)  # of another run, which its own report does not tell either
    with published_dir(out) as folder:
        for page in PAGES:
            text = Path("reports", page).read_text(encoding="utf-8")
            write_text(folder / page, text.replace("](../docs/", "](../../"))
        shutil.copytree("reports/figures", folder / "figures")
        shutil.copytree("metrics", folder / "metrics", ignore=shutil.ignore_patterns(*others))
        made().save(folder / "made.json")
    print(f"kept in {out}")


if __name__ == "__main__":
    with one_line_errors():
        main()
