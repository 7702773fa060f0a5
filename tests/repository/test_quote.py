"""What documents quote: rewritten from the working tree, checked against it or against the latest commit."""

import subprocess
from pathlib import Path

import pytest
from places import ROOT

from scripts import quote
from specacts.core.errors import UserError

REPORT = """\
# Question

**Yes.**

The strong model alone (A) is right.

Something else.

## What to do

Use this:

| risk | use |
|------|-----|
| 5    | F   |

## What it rests on

Of ten decisions.
"""
APPENDIX = """\
# Appendix

## What every policy does

| policy   | type | cost |
|----------|------|------|
| A strong |    1 |    2 |
| *a coin* |    3 |    4 |
"""


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository with a report and a README that quotes it, as the latest commit has them."""
    monkeypatch.setattr(quote, "ROOT", tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/report.md").write_text(REPORT)
    (tmp_path / "reports/appendix.md").write_text(APPENDIX)
    (tmp_path / "README.md").write_text("<!-- [[[cog print(quote.answer()) ]]] -->\n<!-- [[[end]]] -->\n")
    quote.main(check=False)
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "results")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_what_is_quoted_stands_behind_its_comment(repository):
    lines = (repository / "README.md").read_text().splitlines()
    assert lines[1:-1] == ["**Yes.**", "", "The strong model alone (A) is right."]


def test_a_run_that_changes_results_breaks_nothing(repository):
    (repository / "reports/report.md").write_text(REPORT.replace("Yes", "No"))
    quote.main(check=True)


def test_new_results_may_be_quoted_before_they_are_committed(repository):
    (repository / "reports/report.md").write_text(REPORT.replace("Yes", "No"))
    quote.main(check=False)
    assert "**No.**" in (repository / "README.md").read_text()
    quote.main(check=True)


def test_a_line_that_was_changed_by_hand_is_found(repository, capsys):
    readme = repository / "README.md"
    readme.write_text(readme.read_text().replace("Yes", "Certainly"))
    with pytest.raises(UserError, match="make docs"):
        quote.main(check=True)
    assert "-**Certainly.**" in capsys.readouterr().out


def test_tables_are_cut_to_the_columns_that_are_asked_for(repository):
    assert quote.policies("cost") == "| policy | cost |\n| --- | --- |\n| A strong | 2 |\n\nOf ten decisions."
    assert quote.advice().splitlines()[0] == "Use this:"


def test_what_a_middle_model_is_worth_is_quoted_without_its_table_and_nothing_where_it_cannot_act(repository):
    assert quote.middle() == ""
    appendix = repository / "reports/appendix.md"
    told = "### A judge, or a middle model that acts?\n\nIt can.\n\n- Thus.\n\nEach policy minus the cascade:\n\n| A\n"
    appendix.write_text(f"{APPENDIX}\n## Is the verifier worth its cost?\n\nNo.\n\n{told}\n### Its scores\n\nGood.\n")
    assert quote.middle() == "It can.\n\n- Thus."


def test_every_room_of_the_library_is_in_the_tree():
    rooms = {path.parent.name for path in (ROOT / "specacts").glob("*/__init__.py")}
    assert rooms <= {line.split("/")[0].strip() for line in quote.rooms()}
