"""The report as one HTML page: whole by itself, and nothing in it is code."""

import re
from pathlib import Path

from toy_facts import make_facts

from specacts.report.page import page
from specacts.report.report import report

PIXEL = bytes.fromhex("89504e470d0a1a0a")


def test_a_page_holds_its_pictures_and_asks_for_nothing_from_elsewhere(tmp_path: Path):
    text = report(make_facts())
    names = re.findall(r"!\[[^]]*\]\((figures/[^)]+)\)", text)
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PIXEL)
    found = page(text, tmp_path)
    assert found.count('src="data:image/png;base64,iVBORw0KGgo="') == len(names) > 4
    assert not re.search(r"<script|<link|@import|(src|srcset)=[\"\'](?!data:)", found)
    assert found.count("<table>") == len(re.findall(r"^\|[ :|-]+\|$", text, re.MULTILINE))


def test_what_a_trace_says_is_text_on_the_page(tmp_path: Path):
    found = page("# A & B\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://z/y.png)\n", tmp_path)
    assert "<title>A &amp; B</title>" in found and "<script>" not in found and 'href="javascript' not in found


def test_a_picture_that_is_not_there_breaks_nothing(tmp_path: Path):
    assert 'src="gone.png"' in page("![a](figures/gone.png)\n", tmp_path)
