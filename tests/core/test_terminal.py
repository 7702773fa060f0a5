"""Texts of others reach a terminal as text, and whatever it can show."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tqdm import tqdm

from specacts.core.terminal import guarded, one_line, printable


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain, ü, שלום and 👩‍👩‍👧", "plain, ü, שלום and 👩‍👩‍👧"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("c1 \x9b31m", r"c1 \x9b31m"),
        ("a\nerror: b\r\tc", r"a\nerror: b\r\tc"),
        ("a\u2028b\x85c", r"a\u2028b\x85c"),
        ("evil\u202egnp.exe", r"evil\u202egnp.exe"),
        ("no utf-8: \udcff", r"no utf-8: \udcff"),
    ],
)
def test_a_name_is_one_line_and_nothing_but_text(text, line):
    assert one_line(text) == line


def test_a_text_of_several_lines_keeps_them():
    assert printable("a\x1b[2Jb\r\n\tü\x9b") == "a\\x1b[2Jb\\r\n\tü\\x9b"


@contextmanager
def terminal() -> Iterator[list[io.BytesIO]]:
    """What reaches a terminal that knows ASCII alone, on stdout and stderr."""
    plain, reached = (sys.stdout, sys.stderr), [io.BytesIO(), io.BytesIO()]
    sys.stdout, sys.stderr = (io.TextIOWrapper(each, encoding="ascii", write_through=True) for each in reached)
    try:
        with guarded():
            yield reached
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.detach()
        sys.stdout, sys.stderr = plain


def test_what_is_printed_moves_no_cursor_and_always_encodes():
    with terminal() as (out, err):
        print("60 € \x1b[31m", "a\rb", sep="|")
        print("\x1b[Aover the line above", file=sys.stderr)
        sys.stderr.writelines(["x\x07"])
    assert out.getvalue() == b"60 ? \\x1b[31m|a\\rb\n"
    assert err.getvalue() == b"\\x1b[Aover the line above\nx\\x07"


def test_a_progress_bar_may_go_back_to_its_line():
    with terminal() as (_, err):
        for _ in tqdm(range(3), position=1, leave=False, mininterval=0):
            pass
    assert b"\r" in err.getvalue() and b"\x1b[A" in err.getvalue() and b"\\" not in err.getvalue()
