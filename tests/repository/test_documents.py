"""What README and docs name exists: files that they link to, and paths in their text."""

import re
from pathlib import Path

import pytest
from places import ROOT

DOCUMENTS = sorted(path for pattern in ("*.md", "docs/**/*.md", "[dm]*/README.md") for path in ROOT.glob(pattern))
OURS = r"`((?:specacts|stages|scripts|tests|benchmarks|examples|docs|configs)/[\w./-]+\.(?:py|md|sh|yaml|jsonl))`"
USERS = ("configs/action_types/mine.yaml", "configs/prices/mine.yaml")
"""What the documents tell their readers to write."""
RESULTS = {"reports", "metrics"}
"""What there is in these folders depends on what was run."""


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8")):
        path = (document.parent / target).resolve()
        assert path.exists() or path.relative_to(ROOT).parts[0] in RESULTS, target


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_paths_in_the_text_are_those_of_today(document):
    lost = {path for path in re.findall(OURS, document.read_text(encoding="utf-8")) if not (ROOT / path).exists()}
    assert lost <= set(USERS)
