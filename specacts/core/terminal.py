"""What may reach a terminal: texts of others, such as file names and values in traces, do nothing but stand there.

    print(one_line(f"{path}:7: role: {value!r}"))     # a name or a value in a line: it cannot end the line
    print(printable(transcript))                      # several lines, as they are
    with guarded(): ...                               # whatever is printed inside moves no cursor, and always encodes

`one_line_errors` (errors.py) guards every command, so that a text that nobody thought of can at worst look odd.
"""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
"""All but line breaks and tabs."""
OTHERS = r"\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""What ends a line in some places, turns the order of characters around, or is no character."""
ACTS, ACTS_OR_BREAKS = re.compile(f"[{CONTROLS}{OTHERS}]"), re.compile(rf"[\t\n{CONTROLS}{OTHERS}]")
MOVES = re.compile(r"\n*(?:\x1b\[A)*")
"""What a progress bar writes to get to the line of another one."""


def one_line(text: str) -> str:
    """The text in one line: what is no plain character stands as its escape, as Python writes it.

    >>> one_line("a\\x1b[2Jb\\nerror: c")
    'a\\\\x1b[2Jb\\\\nerror: c'
    """
    return ACTS_OR_BREAKS.sub(_escape, text)


def printable(text: str) -> str:
    """The same for a text of several lines: line breaks and tabs stay."""
    return ACTS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


@contextmanager
def guarded() -> Iterator[None]:
    """Let nothing through to stdout and stderr that a terminal would act on; what their encoding lacks is a `?`."""
    plain = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _Guard(s)) if isinstance(s, io.TextIOWrapper) else s for s in plain)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = plain


class _Guard:
    """A stream of text in front of another one; but for what is written it is that one."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        stream.reconfigure(errors="replace")
        self.stream = stream

    def write(self, text: str) -> int:
        begins = len(text) if MOVES.fullmatch(text) else text.startswith("\r")
        self.stream.write(text[:begins] + printable(text[begins:]))
        return len(text)

    def writelines(self, texts: list[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
