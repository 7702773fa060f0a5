"""All experiments beside each other, a column each: the figures and the settings in which they differ.

    python -m scripts.experiments        # or make experiments; those that started from the present commit

It is `dvc exp show --only-changed` turned on its side, without the files' hashes, and with a setting in one line,
whichever scale or recipe file it stands in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from specacts.core.errors import one_line_errors

ABOUT = ("Experiment", "rev", "typ", "Created", "parent", "State", "Executor")
CODE = ("params.yaml", "specacts", "stages")
"""What DVC shows hashes of besides paths with a slash."""
WORKSPACE, NO_RESULT = "workspace", "!"
"""DVC's names for what is not committed, and for a figure that cannot be read."""

Row = Mapping[str, Any]


def main() -> None:
    import dvc.api  # takes a second

    print(table(dvc.api.exp_show()))


def table(rows: Sequence[Row]) -> str:
    """rows: as `dvc.api.exp_show` gives them, one an experiment; those without results are left out.

    The workspace is left out too where it is as one of the others.
    """
    columns = {str(row["Experiment"] or row["rev"]): merged(row) for row in rows if NO_RESULT not in row.values()}
    others = [found for name, found in columns.items() if name != WORKSPACE]
    if columns.get(WORKSPACE) in others:
        del columns[WORKSPACE]
    keys = dict.fromkeys(key for found in columns.values() for key in found)
    lines = ([key, *(shown(found.get(key)) for found in columns.values())] for key in keys)
    differing = [line for line in lines if len(set(line[1:])) > 1]
    if not differing:
        return "nothing to compare; `dvc exp run -n NAME -S KEY=VALUE` makes another experiment"
    align = ("left", *["right"] * len(columns))
    return tabulate(differing, ["", *columns], tablefmt="simple", disable_numparse=True, colalign=align)


def merged(row: Row) -> dict[str, Any]:
    """Figures and settings by their own names. DVC puts a file's path before those that several files have."""
    found: dict[str, Any] = {}
    for column, value in row.items():
        path, _, name = column.rpartition(":")
        is_hash = "/" in name or (not path and name in CODE)
        if column not in ABOUT and not is_hash and found.get(name) is None:
            found[name] = value
    return found


def shown(value: Any) -> str:
    """At most 20 characters."""
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 20 else f"{text[:19]}…"


if __name__ == "__main__":
    with one_line_errors():
        main()
