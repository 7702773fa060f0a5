"""Print the result table of the latest report and where the report is.

    python scripts/show.py

`make repro` ends with it.
"""

import sys
from pathlib import Path

REPORT, APPENDIX, PAGE = (Path("reports") / name for name in ("report.md", "appendix.md", "report.html"))
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
    if not APPENDIX.is_file():
        sys.exit(f"error: no {APPENDIX}; run `make repro`")
    where = f"The report: {REPORT} and {APPENDIX}, or both in one: {PAGE}"
    print("\n".join(["", *result_table(APPENDIX.read_text(encoding="utf-8")), "", where]))


if __name__ == "__main__":
    main()
