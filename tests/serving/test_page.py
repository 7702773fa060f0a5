"""The page: what it says in each state, and that it needs nothing from elsewhere."""

import math
import re
from html.parser import HTMLParser

import pytest

from specacts.config import Price
from specacts.core.results import Estimate
from specacts.serving.journal import Counts
from specacts.serving.page import LAST, Last, Shown, page, scale, spent
from specacts.serving.watch import Status

NOW = 1_764_154_800.0
NOTHING = Status(0, 0, 0, 0, 0, 0, 0, 0, Estimate(math.nan, 0, 1), 0.1, 0.0, math.log(10), None)
FRESH = Shown("F", "enforce", 1.0, NOW - 60, NOW, 0, 0, 0, 0, 0, 0.0, "USD", NOTHING, [], None)
BUSY = NOTHING._replace(
    decisions=900, accepted=400, audited=80, differing=5, conversations=50, open=3, estimate=Estimate(0.06, 0.04, 0.09)
)
STOPPED = BUSY._replace(estimate=Estimate(0.2, 0.12, 0.3), evidence=3.0, stopped=NOW - 3600)


class Elements(HTMLParser):
    """Which elements there are, with their attributes; whether every one is closed."""

    EMPTY = ("meta",)

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def text(shown):
    """What a person reads."""
    body = page(shown).partition("<body")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.mark.parametrize("watch", [None, NOTHING, BUSY, BUSY._replace(limit=None), STOPPED])
@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_it_is_whole_html_without_a_script_or_anything_from_elsewhere(watch, mode):
    last = [Last(NOW, "tool_call", "cheap", 0.9, 0.8, "accepted"), Last(NOW, None, "upstream", None, None, None)]
    shown = FRESH._replace(watch=watch, mode=mode, saved=None, last=last, journal=Counts(5, 1, 0, 0, 0))
    elements = Elements(page(shown))
    assert not elements.open
    assert not {"script", "link", "img", "iframe", "form"} & {tag for tag, _ in elements.found}
    assert not [name for _, attributes in elements.found for name in attributes if name in ("src", "href", "onclick")]
    assert "url(" not in page(shown) and "@import" not in page(shown)


def test_before_anything_happened():
    said = text(FRESH)
    assert "No conversation has ended yet" in said and "None yet" in said and "nan" not in said


def test_observing_says_that_upstream_acts():
    said = text(FRESH._replace(mode="observe", decisions=10, taken=4, saved=None, watch=BUSY))
    assert "Observing: upstream takes every action" in said and "40 %" in said and "while it only observes" in said


def test_enforcing_shows_the_share_the_money_and_the_loss_against_the_promise():
    said = text(FRESH._replace(share=0.1, decisions=200, taken=100, saved=12.345, watch=BUSY))
    for part in ("in 10 % of conversations", "50 %", "12.35 USD", "6.0 %", "Between 4.0 % and 9.0 %", "at most 10 %"):
        assert part in said


def test_a_stop_is_the_first_thing_that_is_said():
    made = page(FRESH._replace(watch=STOPPED))
    assert '<body class="stopped">' in made and "<title>specacts serve – stopped</title>" in made
    assert "Stopped since 2025-11-26 10:00 UTC" in made and "--trust-again" in made


def test_a_policy_without_a_promise_has_no_line_and_no_bet():
    made = page(FRESH._replace(watch=BUSY._replace(limit=None)))
    assert "Nothing is promised" in made and "Evidence" not in made and "This policy has no promise" in made


def test_words_from_outside_cannot_become_markup():
    made = page(FRESH._replace(last=[Last(NOW, "<b>", "cheap", math.nan, {"tool_call": 0.5}, "<script>")]))
    assert "<script" not in made and "<b>" not in made


def test_only_the_latest_decisions_are_listed():
    last = [Last(NOW - n, "tool_call", "cheap", 0.9, 0.8, "accepted") for n in range(LAST + 30)]
    assert page(FRESH._replace(last=last)).count("<tr><td>") == LAST


@pytest.mark.parametrize("estimate", [(0, 0, 0.004), (0.06, 0.01, 0.3), (1, 0.9, 1)])
@pytest.mark.parametrize("limit", [None, 0.01, 0.1, 0.95])
def test_everything_lies_on_the_line(estimate, limit):
    drawn = scale(BUSY._replace(estimate=Estimate(*estimate), limit=limit))
    assert 0 <= drawn.low <= drawn.value <= drawn.high <= 100
    assert limit is None or 0 < drawn.limit <= 100


def test_money_is_counted_by_a_million_tokens():
    assert spent(Price(input=1, cached_input=0.1, output=4), 1e6, 2e6, 5e5) == pytest.approx(3.2)


def test_where_all_audits_said_nothing_that_is_what_stands_there():
    silent = BUSY._replace(differing=0, unknown=80, estimate=Estimate(math.nan, 0.0, 1.0))
    text = page(FRESH._replace(watch=silent))
    assert "In no audit of the conversations that have ended" in text and "No conversation has ended" not in text
    assert "in 80 upstream failed" in text
    assert "No conversation has ended yet" in page(FRESH)
