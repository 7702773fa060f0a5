"""Inputs of every kind that people have, and what becomes of each. `tests/traces/test_cases.py` holds the reader to it.

python tests/cases.py > docs/formats.md      # the table, from what the reader really does
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from specacts.core.episodes import Act
from specacts.traces.formats.openai_chat import Conversation
from specacts.traces.reader import Continued, Reader, Reject, Source
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

CASES = Path(__file__).parent / "cases"
SHARED = Path(__file__).parent.parent.parent / "shared/cases"
"""Inputs that others collected, with a page that says the right outcome of each; not part of the repository."""
SHORT = {"final_answer": "answer", "ask_clarification": "question", "retrieval": "look-up", "tool_call": "call"}
EXPECTED = json.loads((CASES / "expected.json").read_text(encoding="utf-8"))
"""By input: its shape in words, and its outcome; of the shared ones the outcome alone."""


class Outcome(NamedTuple):
    """What the reader makes of a file: its format, the actions of every conversation, and what is said of others."""

    format: str
    read: str
    said: list[str]
    notes: list[str]


def outcome(path: Path) -> Outcome:
    found = list(Reader(TypeMap({}, {}), keep_secrets=False).read(Place(str(path), ())))
    good = [one for one in found if isinstance(one, Conversation)]
    notes = {what: None for one in good for what, count in one.normalised.items() if count}
    return Outcome(
        format=next((one.what for one in found if isinstance(one, Source)), ""),
        read=" / ".join(actions(one) for one in good),
        said=[line for one in found if isinstance(one, Reject) for line in one.printed()],
        notes=[
            *notes,
            *(["rows that a later row continues"] if any(isinstance(o, Continued) for o in found) else []),
        ],
    )


def actions(found: Conversation) -> str:
    """The agent's actions in order; in brackets what is context."""
    acts = [step for step in found.episode.steps if isinstance(step, Act)]
    names = [SHORT.get(act.action.type, act.action.type) for act in acts]
    return ", ".join(name if act.supervised else f"({name})" for name, act in zip(names, acts, strict=True))


def observed(path: Path) -> str:
    """The outcome in a line, as `expected.json` states it."""
    found = outcome(path)
    fields = [line.removeprefix(str(path)).removeprefix(":") for line in found.said]
    refused = [
        f"refused: {field.split(':')[0].strip()}" if field[:1].isdigit() else f"named: {name(field)}"
        for field in fields
    ]
    return "; ".join([*([found.read] if found.read else []), *refused]) or "nothing"


def name(line: str) -> str:
    return line.removeprefix(" (file): ").split(": not read")[0].split(",")[0]


def table() -> str:
    """Every input with its shape, its expected and its observed outcome, as Markdown."""
    rows = ["| input | shape | expected | observed | what is said or changed |", "|---|---|---|---|---|"]
    for file, (shape, expected) in EXPECTED["own"].items():
        found = outcome(CASES / file)
        said = [f"``{line.replace(f'{CASES}/', '')}``" for line in found.said]
        text = "; ".join([*said, *found.notes]).replace("|", "\\|")
        rows.append(f"| `{file}` | {shape} | {expected} | {observed(CASES / file)} | {text} |")
    return "\n".join(rows)


HEAD = """# Formats

This page shows which formats of conversations can be read, and what becomes of each kind of input. It is written by
`python tests/cases.py` from what the code really does with the files in `tests/cases/`, and
`tests/traces/test_cases.py` checks both.

The outcome lists the agent's actions in order, with a slash between conversations: *look-up* (`retrieval`), *call*
(`tool_call`), *answer* (`final_answer`), *question* (`ask_clarification`) and the other action types. Actions in
brackets are only context and never learnt. *Refused* means that this line is reported with its field, and all others
are used. *Named* means that one line says what the file is and how to convert it.

"""


def page() -> str:
    return HEAD + table() + "\n"


if __name__ == "__main__":
    print(page(), end="")
