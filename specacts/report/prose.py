"""The report's prose: Markdown templates (Jinja) beside this module, which hold the words; the numbers are given.

    render("live", live=facts.live, rows=rows)      # templates/live.md.jinja
    render("limits", recorded=True, speed=4.0, timed=False)      # templates/recorded/limits.md.jinja

Where the strong model is the agent that wrote the traces, many sections are told otherwise: an edition of their own
lies in `templates/recorded/`. The others are given `recorded`, and differ in a few words.

In a template an indented line goes on with the line before it, unless a block begins there: paragraphs are wrapped
there, and one line in the report. Jinja drops the line break behind a block: one that ends a paragraph is followed by
two blank lines, of which one remains. A name that a template is not given is an error, not an empty place.
"""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension

from specacts.report import wording

FILTERS = (
    "shown",
    "share",
    "percent",
    "percent_to",
    "points",
    "interval",
    "ratio",
    "listed",
    "risk_points",
    "risk_share",
)
CONTINUED = re.compile(r"\n +(?!\s|\{%)")


class Wrapped(Extension):
    """Joins the lines of a wrapped paragraph."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return CONTINUED.sub(" ", source)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        extensions=[Wrapped],
        undefined=StrictUndefined,
        autoescape=False,  # it is Markdown; values are put in as they are, and never read as templates
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name: getattr(wording, name) for name in FILTERS} | {"table": wording.as_table}
    made.globals |= {"LEVELS": wording.LEVELS, "COSTS": wording.COSTS}
    return made


ENVIRONMENT = _environment()


def render(name: str, recorded: bool = False, **values: Any) -> str:
    """The template of this name, filled; without a line break at its end. recorded: its edition for that, if any."""
    editions = [f"recorded/{name}.md.jinja"] if recorded else []
    template = ENVIRONMENT.select_template([*editions, f"{name}.md.jinja"])
    return template.render(values, recorded=recorded).rstrip("\n")
