"""What of a module counts: its code, and nothing that is only said to people."""

import ast

import pytest
from places import ROOT

from specacts.core.fingerprints import essence, fingerprints

SOURCE = '''
"""What the module is."""

from pathlib import Path

LIMIT = 3
"""How many."""
TEMPLATE = """
First,

  then
"""


class Box:
    """Holds things."""

    size: int = 4


def work(path: Path, limit: int = LIMIT) -> str:
    """Do it."""
    # why
    if limit > 4:
        raise UserError(f"{path}: {limit} is too much", "ä")
    for line in tqdm(path.open(), "reading", total=limit):  # the progress
        print(f"now {line}", "ü", file=None)
    return f"{path}: done"
'''


def changed(old: str, new: str) -> str:
    assert old in SOURCE
    return SOURCE.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What the module is."""\n', ""),
        ('"""What the module is."""', '"""Line one.\n\nLine two, with an ümlaut.\n"""\n\n# And a comment.'),
        ('"""How many."""', "'''So many.'''"),
        ('"""Holds things."""', '"""Holds\n    nothing."""'),
        ('    """Do it."""\n', ""),
        ("    # why\n", "    # because of\n    # this\n\n"),
        ("  # the progress", ""),
        ("LIMIT = 3", "LIMIT = 3   # ä comment"),
        ("\n\n\n", "\n"),
        ("import Path\n", "import Path   \n"),
        ('f"{path}: {limit} is too much", "ä"', '"no"'),
        (
            'UserError(f"{path}: {limit} is too much", "ä")',
            'UserError(\n            "too much",  # said\n            str(path),\n        )',
        ),
        ('"reading"', 'f"reading {path}"'),
        ('"reading"', '"lesen: ü"'),
        ('print(f"now {line}", "ü", file=None)', 'print("-")'),
        ('print(f"now {line}", "ü", file=None)', 'print(f"{line!r}", tqdm("x"), "ü")'),
    ],
)
def test_what_is_only_said_does_not_count(old, new):
    ast.parse(changed(old, new))
    assert essence(changed(old, new)) == essence(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("size: int = 4", "size: int = 5"),
        ("size: int", "size: float"),
        ("limit: int = LIMIT", "limit: int = 3"),
        ("limit > 4", "limit >= 4"),
        ("    if limit > 4:", "    if True:"),
        ("raise UserError", "raise ValueError"),
        ("total=limit", "total=None"),
        ("path.open()", 'path.open("rb")'),
        ("First", "first"),
        ("First,\n\n  then", "First,\n  then"),
        ("First,\n", "First,  \n"),
        ("  then", "then"),
        ('f"{path}: done"', 'f"{path}: dŏne"'),
        ('f"{path}: done"', 'f"{path!r}: done"'),
        ('f"{path}: done"', '"""\n# no comment\n"""'),
        ("    return f", "        return f"),
        ("from pathlib import Path", "from pathlib import PurePath as Path"),
    ],
)
def test_what_the_code_does_and_writes_counts(old, new):
    ast.parse(changed(old, new))
    assert essence(changed(old, new)) != essence(SOURCE)


def test_a_hash_in_a_string_is_no_comment():
    assert essence("a = '# one'\n") != essence("a = '# two'\n")


def test_characters_that_only_str_splitlines_takes_for_ends_of_lines_move_nothing():
    source = b"a = 'x\\u2028y\\x0cz\\x1c'  # one\nb = 1  # two\n".decode("unicode_escape")
    assert essence(source) == "a = 'x\u2028y\x0cz\x1c'\nb = 1\n"


def test_a_comment_behind_other_letters_is_cut_where_it_stands():
    assert essence("a = 'äöü', 'дом', '🙂'  # ß\nb = 1\n") == "a = 'äöü', 'дом', '🙂'\nb = 1\n"
    assert essence('a = """ä\nö"""  # ß\n') == 'a = """ä\nö"""\n'


def test_a_module_has_one_hash_in_every_list():
    found = fingerprints(["stages.effects", "stages.route"], ROOT)
    both = set(found["stages.effects"]) & set(found["stages.route"])
    assert both and all(found["stages.effects"][path] == found["stages.route"][path] for path in both)
