"""Templates hold the words: wrapped lines become paragraphs, what is missing is an error, values are never read."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from specacts.core.results import Estimate
from specacts.report import prose
from specacts.report.prose import ENVIRONMENT, render
from specacts.report.wording import interval, percent, points, ratio, share, side, signed

TEMPLATES = Path(prose.__file__).parent / "templates"


def filled(source: str, **values: object) -> str:
    return ENVIRONMENT.from_string(source).render(values)


def test_an_indented_line_goes_on_with_the_one_before_it():
    assert filled("One\n  two\n  {{ three }},\n    four.\n\n- five\n- six\n  seven\n", three=3) == (
        "One two 3, four.\n\n- five\n- six seven"
    )


def test_an_indented_block_begins_a_line_of_its_own():
    assert filled("one\n  {% if yes %}\ntwo\n  {% endif %}\nthree", yes=True) == "one\ntwo\nthree"


def test_a_value_is_put_in_as_it_is():
    value = "{{ 1 + 1 }} {% if %} {# #} <b>&\n  next"
    assert filled("{{ value }}", value=value) == value


def test_a_name_that_is_not_given_is_an_error():
    with pytest.raises(UndefinedError, match="'live' is undefined"):
        render("live")


def test_a_recorded_agent_has_editions_of_its_own_and_shares_the_others():
    known = {"timed": False, "with_usage": 0, "decisions": 9, "speed": 4.0}
    assert render("limits", recorded=True, **known).startswith("- Your agent is right by definition")
    assert render("limits", speed=4.0).startswith("- Unless stated otherwise, contexts are")
    assert render("training", recorded=True, rows=[], verdicts=None) == "No training was recorded."


@pytest.mark.parametrize("name", sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.jinja")))
def test_every_template_can_be_read_and_is_wrapped(name: str):
    path = TEMPLATES / name
    ENVIRONMENT.get_template(name)
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120


def test_numbers_look_as_documented():
    assert percent(Estimate(0.612, 0.57, 0.65)) == "61.2 % (57–65)"
    assert points(Estimate(0.012, -0.008, 0.031)) == signed(Estimate(0.012, -0.008, 0.031)) == "+1.2 (-0.8 to +3.1)"
    assert signed(Estimate(0.012, 0.008, 0.031)) == "**+1.2 (+0.8 to +3.1)**"
    assert interval(Estimate(0.812, 0.79, 0.833)) == "0.812 (0.790 to 0.833)"
    assert share(0.61) == share(Estimate(0.61, 0.5, 0.7)) == "61 %" and share(None) == "–"
    assert ratio(Estimate(1.0, 1.001, 1.002)) == "1.00" and ratio(Estimate(1.0, 0.9, 1.1)) == "1.00 (0.90–1.10)"


def test_an_interval_that_touches_a_value_lies_around_it():
    assert [side(Estimate(0.5, *ends), 0.5) for ends in ((0.5, 0.6), (0.4, 0.5))] == ["within", "within"]
    assert [side(Estimate(0.5, *ends), 0.5) for ends in ((0.6, 0.7), (0.3, 0.4))] == ["above", "below"]
