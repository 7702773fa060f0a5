"""Print the result table of the latest report and where the report is.

    python scripts/show.py

`make repro` ends with it.
"""

import sys
from pathlib import Path

REPORT = Path("reports/report.md")
TITLE = "## What every policy does"


def result_table(text: str) -> list[str]:
    """The lines of the first Markdown table behind `TITLE`."""
    table: list[str] = []
    for line in text.partition(TITLE)[2].splitlines():
        if line.startswith("|"):
            table.append(line)
        elif table:
            break
    return table


def main() -> None:
    if not REPORT.is_file():
        sys.exit(f"error: no {REPORT}; run `make repro`")
    print("\n".join(["", *result_table(REPORT.read_text(encoding="utf-8")), "", f"The report: {REPORT}"]))


if __name__ == "__main__":
    main()
