"""Every policy is declared once, whole, and known by that letter to what decides and to what people read."""

import re
from typing import get_args

import pytest
from factories import make_case
from places import ROOT

from specacts.core.words import ROLES
from specacts.policies import decide
from specacts.policies.decide import ALWAYS, NEVER, act, score
from specacts.policies.table import (
    BASELINES,
    JUDGING,
    POLICIES,
    PROMISING,
    RUN_LIVE,
    SCORED,
    Policy,
    Score,
    coin_of,
)

CASE = make_case(cheap=("repair", "BLOCKED"), verifier=(0.5, 0.6))


def test_policies_are_letters_in_order_each_with_a_name_and_a_colour_of_its_own():
    assert list(POLICIES) == list("ABCDEFGHS")
    for field in ("title", "label", "colour"):
        assert len({getattr(policy, field) for policy in POLICIES.values()}) == len(POLICIES)
    assert all(re.fullmatch(r"#[0-9A-F]{6}", policy.colour) for policy in POLICIES.values())


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_policy_has_one_model_that_always_acts_or_one_score_that_decides(policy: Policy):
    assert (policy.always in ROLES) != (policy.score in get_args(Score))
    assert policy.judge in (None, "verifier", "strong")
    if policy.score == "judge":
        assert policy.judge
    if policy.always:
        assert not (policy.judge or policy.picks or policy.foresees or policy.sticks or policy.promises)
    if policy.picks:
        assert policy.judge  # somebody has to tell its proposals apart
    if policy.foresees:
        assert not (policy.judge or policy.picks)  # there is nothing to judge yet


def test_those_with_a_threshold_are_those_that_accept_and_reject():
    for letter in POLICIES:
        found = [act(letter, CASE, threshold).accepted for threshold in (ALWAYS, NEVER)]
        assert found == ([True, False] if letter in JUDGING else [None, None])


def test_a_policy_that_is_asked_nothing_needs_no_threshold_and_every_other_one_does():
    for letter in POLICIES:
        if letter in JUDGING:
            with pytest.raises(AssertionError, match=f"policy {letter} needs a threshold"):
                act(letter, CASE)
        else:
            assert act(letter, CASE) == act(letter, CASE, NEVER)


def test_scores_that_are_compared_are_of_the_greedy_proposal():
    """Another verdict on the second proposal changes no score of `SCORED`, and that of every other judging policy."""
    other = make_case(cheap=("repair", "BLOCKED"), verifier=(0.5, 0.9))
    assert [letter for letter in JUDGING if score(letter, other) == score(letter, CASE)] == list(SCORED)


def test_only_judging_policies_promise_and_what_runs_live_exists():
    assert set(PROMISING) <= set(JUDGING) and "H" not in PROMISING
    assert RUN_LIVE == ("A", "B", "D")


def test_every_judging_policy_has_its_coin_among_the_baselines_and_no_two_look_alike():
    assert [name for name in BASELINES if name.startswith(coin_of(""))] == [coin_of(letter) for letter in JUDGING]
    shown = [baseline for baseline in BASELINES.values() if baseline.shown]
    assert len({baseline.title for baseline in BASELINES.values()}) == len(BASELINES)
    assert len({baseline.label for baseline in shown} | {p.label for p in POLICIES.values()}) == len(shown) + len(
        POLICIES
    )
    assert len({baseline.marker for baseline in shown}) == len(shown)


def test_what_decides_says_what_each_letter_stands_for():
    assert re.findall(r"^    ([A-Z])  ", decide.__doc__ or "", flags=re.MULTILINE) == list(POLICIES)


DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_letter_that_people_read_is_a_policy(path):
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"\b[Pp]olic(?:y|ies) `?([A-Z])\b", text)
    rows = re.findall(r"^\| ([A-Z]) ", text, flags=re.MULTILINE)  # of tables by policy
    assert set(named) | set(rows) <= set(POLICIES)


def test_the_page_of_results_names_every_policy_as_the_table_does():
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([A-Z]) ([^|]+?) *\|", text, flags=re.MULTILINE))
    assert rows == {letter: policy.title for letter, policy in POLICIES.items()}
