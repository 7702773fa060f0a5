"""Examples in docstrings (`>>>`) give what they say."""

import doctest
from importlib import import_module

import pytest
from places import ROOT

SOURCES = sorted((ROOT / "specacts").rglob("*.py"))
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted and not found.failed
