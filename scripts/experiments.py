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

Row = Mapping[str, Any]


def main() -> None:
    import dvc.api  # takes a second

    print(table(dvc.api.exp_show()))


def table(rows: Sequence[Row]) -> str:
    """rows: as `dvc.api.exp_show` gives them, one an experiment."""
    names = [str(row["Experiment"] or row["rev"]) for row in rows]
    found = [merged(row) for row in rows]
    lines = [
        [key, *(shown(one.get(key)) for one in found)] for key in dict.fromkeys(key for one in found for key in one)
    ]
    differing = [line for line in lines if len(set(line[1:])) > 1]
    if not differing:
        return f"{', '.join(names)}: no figure and no setting differs; `dvc exp run -n NAME -S KEY=VALUE` makes another"
    align = ("left", *["right"] * len(names))
    return tabulate(differing, ["", *names], tablefmt="simple", disable_numparse=True, colalign=align)


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
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    with one_line_errors():
        main()
