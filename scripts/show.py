"""Print the result table of the latest report and where the report is.

    python scripts/show.py

`make repro` ends with it.
"""

from pathlib import Path

from specacts.core.errors import UserError, one_line_errors

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
        raise UserError(f"no {APPENDIX}; run `make repro`")
    where = f"The report: {REPORT} and {APPENDIX}, or both in one: {PAGE}"
    print("\n".join(["", *result_table(APPENDIX.read_text(encoding="utf-8")), "", where]))


if __name__ == "__main__":
    with one_line_errors():
        main()
