"""A case is its record, untouched, with what is made of it; and nobody is asked whom a policy can do without."""

from typing import Any

import pytest
from factories import case_of, make_case, make_cases, make_row, make_rows, recorded

from specacts.core.words import JudgeScore
from specacts.policies.cases import Case, Route, compared, greedy_right, judging, scored, signals, verdicts_of
from specacts.policies.cases import make_cases as cases_of
from specacts.policies.combine import Signals
from specacts.policies.decide import ALWAYS, NEVER, act, score
from specacts.policies.table import JUDGING, POLICIES


@pytest.mark.parametrize("name", JUDGING)
def test_the_sides_are_what_the_policy_does_where_it_accepts_everything_and_nothing(name: str):
    for case in make_cases(8):
        side = case.sides[name]
        assert (side.accept, side.not_accepted(NEVER)) == (act(name, case, ALWAYS), act(name, case, NEVER))
        own = [score(name, one) for one in (*case.earlier, case)]
        assert side.score == (min(own) if POLICIES[name].sticks else own[-1])


@pytest.mark.parametrize("name", JUDGING)
def test_at_any_threshold_a_policy_takes_one_of_its_sides(name: str):
    for case in make_cases(4):
        for threshold in (0.3, 0.5, 0.7):
            outcome = act(name, case, threshold)
            side = case.sides[name]
            assert outcome == (side.accept if outcome.accepted else side.not_accepted(threshold))
            assert outcome.accepted == (side.score >= threshold)


def test_sides_are_made_once():
    case = make_case()
    assert case.sides is case.sides and tuple(case.sides) == JUDGING


@pytest.mark.parametrize("judge", ["verdict", "reward", "likelihood"])
def test_the_record_stands_beside_what_is_made_of_it_and_stays_as_it_was(judge: JudgeScore):
    rows = make_rows(6)
    before = [row.model_dump_json() for row in rows]
    made = cases_of(rows, judge, [Route(0.25, 1)] * len(rows), [0.75] * len(rows))
    assert all(case.sides and case.row is row for case, row in zip(made, rows, strict=True))
    assert [row.model_dump_json() for row in rows] == before
    for case in made:
        assert (case.route, case.combined) == (0.25, 0.75)
        assert case.verdicts is (case.row.verifier_likelihood if judge == "likelihood" else case.row.verifier)
        assert (case.cheap, case.picks) == (case.row.cheap, case.row.picks)
        assert (case.strong, case.strong_verdict) == (case.row.strong, case.row.strong_verdict)


def test_policies_go_by_the_score_that_was_asked_for():
    rows = make_rows(4)
    assert [verdicts_of(row, "verdict") for row in rows] == [row.verifier for row in rows]
    assert [verdicts_of(row, "reward") for row in rows] == [row.verifier for row in rows]
    assert [verdicts_of(row, "likelihood") for row in rows] == [row.verifier_likelihood for row in rows]
    row = make_row(verifier=(0.8,))  # the toy's likelihood is half as much
    (case,) = cases_of([row], "likelihood", [Route(0.5, 1)], [0.5])
    assert case.sides["D"].score == 0.4 and not act("D", case, 0.5).accepted
    assert act("D", case_of(case.row), 0.5).accepted


def test_each_row_needs_a_route_and_a_combined_score():
    with pytest.raises(ValueError):
        cases_of(make_rows(2), "verdict", [Route(0.5, 1)], [0.5])


def test_a_decision_knows_those_before_it_in_its_turn_and_no_others():
    turns = [("a", 1), ("a", 1), ("a", 1), ("a", 2), ("b", 2), ("b", 2)]
    rows = [make_row(episode=episode, decision=n) for n, (episode, _) in enumerate(turns)]
    made = cases_of(rows, "verdict", [Route(0.5, turn) for _, turn in turns], [0.5] * len(rows))
    assert [[case.row.decision for case in one.earlier] for one in made] == [[], [0], [0, 1], [], [], [4]]


def test_what_is_known_of_a_proposal_is_the_judges_score_its_confidence_and_the_route():
    row = make_row(cheap=("repair", "BLOCKED"), verifier=(0.8, 0.2))
    assert signals([row], "verdict", [Route(0.7, 1)]) == [Signals(verifier=0.8, confidence=0.5, route=0.7)]
    assert signals([row], "likelihood", [Route(0.7, 1)]) == [Signals(verifier=0.4, confidence=0.5, route=0.7)]


def test_right_is_the_greedy_proposal_that_agrees_with_gold():
    rows = [
        make_row(),
        make_row(cheap=("BLOCKED", "final_answer"), verifier=(0.5, 0.5)),  # only the second one agrees
        make_row(cheap=(None,)),
    ]
    assert greedy_right(rows, "type") == [True, False, False]


class Guarded:
    """A view of a case; raises where something is read that is not in `allowed`."""

    def __init__(self, case: Case, *allowed: str):
        self.case, self.allowed = case, allowed

    def __getattr__(self, field: str) -> Any:
        assert field in self.allowed, f"reads {field}"
        return getattr(self.case, field)


READS = {
    "A": ("strong",),
    "B": ("cheap",),
    "C": ("cheap", "strong_verdict"),
    "D": ("cheap", "verdicts"),
    "E": ("cheap", "picks", "verdicts"),
    "F": ("cheap",),
    "G": ("route", "cheap"),
    "H": ("cheap", "verdicts", "combined"),
    "S": ("cheap", "earlier"),
}
"""All that a policy reads where it does not reject. Of the judging ones none reads what the strong model would do."""


@pytest.mark.parametrize("name", READS)
def test_nothing_of_the_strong_model_is_read_where_a_policy_accepts(name: str):
    for case in make_cases(4):
        assert act(name, Guarded(case, *READS[name]), ALWAYS) == act(name, case, ALWAYS)


@pytest.mark.parametrize("name", JUDGING)
def test_where_it_rejects_it_reads_the_strong_models_action_besides(name: str):
    needed = ("route",) if name == "G" else READS[name]  # a router that rejects asks no cheap model
    for case in make_cases(4):
        assert act(name, Guarded(case, *needed, "strong"), NEVER) == act(name, case, NEVER)


@pytest.mark.parametrize("name", JUDGING)
def test_thresholds_by_type_ask_nobody_else(name: str):
    (by_type, never), case = (dict.fromkeys(("final_answer",), value) for value in (ALWAYS, NEVER)), make_case()
    if not POLICIES[name].one_threshold:  # who sees no type at some decisions rejects
        assert act(name, Guarded(case, *READS[name]), by_type).accepted
    needed = ("route",) if name == "G" else READS[name]
    assert not act(name, Guarded(case, *needed, "strong"), never).accepted


def test_where_the_strong_model_is_recorded_nobody_replays_a_policy_in_which_it_judges():
    cases = recorded(make_cases(12, seed=4))
    assert judging(cases) == tuple("DEFGHS") and compared(cases) == tuple("ABDEFGHS")
    assert scored(cases) == tuple("DFGHS")
    assert all(set(case.sides) == set("DEFGHS") for case in cases)
    assert all(act("A", case).action == case.row.gold for case in cases)


def test_where_it_was_asked_all_policies_are_replayed():
    assert compared(make_cases(2)) == tuple(POLICIES)
