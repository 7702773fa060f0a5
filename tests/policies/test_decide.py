"""What each policy does with recorded answers, and which calls it makes."""

import pytest
from factories import make_row, make_rows

from specacts.policies.decide import ALWAYS, JUDGING, NEVER, TIE, choices, policies, score

HALF = dict.fromkeys(JUDGING, 0.5)
ROW = make_row(
    gold="retrieval",
    cheap=("file_read", "retrieval", "BLOCKED"),
    strong="repair",
    verifier=(0.6, 0.8, 0.1),
    strong_verdict=(0.3, 0.9, 0.1),
)


def test_a_always_asks_strong_and_nobody_else():
    outcome = policies(HALF)["A"](ROW)
    assert (outcome.action, outcome.accepted, outcome.actor) == (ROW.strong.action, None, "strong")
    assert [call.role for call in outcome.calls] == ["strong"]


def test_b_takes_the_greedy_proposal_and_asks_nobody_else():
    outcome = policies(HALF)["B"](ROW)
    assert (outcome.action, outcome.accepted, outcome.actor) == (ROW.cheap[0].action, None, "cheap")
    assert [(call.role, call.answers) for call in outcome.calls] == [("cheap", 1)]


def test_c_lets_the_strong_model_judge_and_pays_for_it_again_on_rejection():
    outcome = policies(HALF)["C"](ROW)
    assert (outcome.action, outcome.accepted) == (ROW.strong.action, False)
    assert [(c.role, c.verdicts, c.answers) for c in outcome.calls] == [
        ("cheap", 0, 1),
        ("strong", 1, 0),
        ("strong", 0, 1),
    ]


def test_d_takes_the_greedy_proposal_where_the_verifier_accepts():
    outcome = policies(HALF)["D"](ROW)
    assert (outcome.action, outcome.accepted) == (ROW.cheap[0].action, True)
    assert [(c.role, c.verdicts, c.answers) for c in outcome.calls] == [("cheap", 0, 1), ("verifier", 1, 0)]


def test_e_takes_the_best_proposal_or_none():
    accepted, rejected = (policies(HALF | {"E": threshold})["E"](ROW) for threshold in (0.8, 0.81))
    assert (accepted.action, accepted.accepted) == (ROW.cheap[1].action, True)
    assert (rejected.action, rejected.accepted) == (ROW.strong.action, False)
    assert [(c.role, c.verdicts, c.answers) for c in accepted.calls] == [("cheap", 0, 3), ("verifier", 3, 0)]


def test_f_goes_by_the_cheap_models_own_confidence_and_asks_no_verifier():
    row = make_row(cheap=("repair",), verifier=(0.1,))  # the factory's confidence is 0.5
    accepted, rejected = (policies(HALF | {"F": threshold})["F"](row) for threshold in (0.5, 0.51))
    assert (accepted.action, accepted.accepted) == (row.cheap[0].action, True)
    assert (rejected.action, rejected.accepted) == (row.strong.action, False)
    assert [c.role for c in accepted.calls] == ["cheap"] and [c.role for c in rejected.calls] == ["cheap", "strong"]
    assert not any(call.verdicts for call in (*accepted.calls, *rejected.calls))


def test_a_score_at_the_threshold_is_accepted():
    assert policies(HALF)["D"](make_row(verifier=(0.5,))).accepted


def test_equal_scores_go_to_the_first_proposal():
    row = make_row(cheap=("BLOCKED", "repair"), verifier=(0.7, 0.7))
    assert policies(HALF)["E"](row).action == row.cheap[0].action


def test_malformed_proposals_can_be_accepted_and_are_no_action():
    outcome = policies(HALF)["D"](make_row(cheap=(None,), verifier=(0.9,)))
    assert outcome.accepted and outcome.action is None


def test_an_equal_candidate_is_read_once_but_is_a_verdict_of_its_own():
    row = make_row(cheap=("repair", "repair"), verifier=(0.7, 0.7))
    judging = policies(HALF)["E"](row.model_copy(update={"verifier": (row.verifier[0],) * 2})).calls[1]
    assert (judging.branches, judging.heads, judging.verdicts) == ((11,), 1, 2)


def test_e_chooses_among_its_picks_and_pays_for_those_alone():
    row = make_row(cheap=("BLOCKED", "repair", "repair", "verifier"), verifier=(0.9, 0.6, 0.6, 0.7), picks=(1, 2, 3))
    first = row.verifier[1]
    row = row.model_copy(update={"verifier": (row.verifier[0], first, first, row.verifier[3])})
    outcome = policies(HALF)["E"](row)
    assert outcome.action == row.cheap[3].action and score(row, "E") == 0.7
    made, judged = outcome.calls
    assert (made.answers, judged.verdicts, judged.branches) == (3, 3, (11, 11))
    assert policies(HALF)["D"](row).action == row.cheap[0].action


def test_a_proposer_as_judge_computes_a_distribution_for_each_token_it_reads():
    assert [policies(HALF)[name](ROW).calls[1].heads for name in ("C", "D")] == [10, 1]


def test_nobody_is_asked_about_malformed_proposals_alone():
    row = make_row(cheap=(None, None), verifier=(0.0, 0.0))
    unasked = tuple(v.model_copy(update={"tokens": 0, "heads": 0, "seconds": 0.0}) for v in row.verifier)
    row = row.model_copy(update={"verifier": unasked, "strong_verdict": unasked})
    row = row.model_copy(update={"combined": 0.1})
    for name in set(JUDGING) - {"G"}:
        assert [(c.role, c.answers) for c in policies(HALF)[name](row).calls[1:]] == [("strong", 1)]


@pytest.mark.parametrize("name", JUDGING)
def test_thresholds_split_exactly_by_score(name: str):
    for row in make_rows(10):
        assert JUDGING[name](score(row, name))(row).accepted
        assert not JUDGING[name](score(row, name) + 2 * TIE)(row).accepted


@pytest.mark.parametrize("name", JUDGING)
@pytest.mark.parametrize("saturated", [0.0, 1.0])
def test_both_sides_exist_even_for_saturated_scores(name: str, saturated: float):
    (choice,) = choices([make_row(verifier=(saturated,), strong_verdict=(saturated,))], name)
    assert (choice.accept.accepted, choice.reject.accepted) == (True, False)
    assert ALWAYS <= saturated < NEVER


def test_g_sends_the_decision_to_one_model_and_calls_no_other():
    row = make_row(cheap=("repair",), strong="BLOCKED", route=0.5)
    kept, sent = (policies(HALF | {"G": threshold})["G"](row) for threshold in (0.5, 0.51))
    assert (kept.action, kept.accepted, [c.role for c in kept.calls]) == (row.cheap[0].action, True, ["cheap"])
    assert (sent.action, sent.accepted, [c.role for c in sent.calls]) == (row.strong.action, False, ["strong"])


def test_h_goes_by_the_combined_score_and_pays_like_d():
    row = make_row(cheap=("repair",), verifier=(0.1,), combined=0.9)
    outcome = policies(HALF)["H"](row)
    assert (outcome.action, outcome.accepted) == (row.cheap[0].action, True)
    assert outcome.calls == policies(HALF | {"D": ALWAYS})["D"](row).calls


def test_a_score_that_is_not_there_is_no_score():
    with pytest.raises(TypeError):
        policies(HALF)["G"](make_row(route=None))


@pytest.mark.parametrize("name", ["C", "D", "E", "F", "H"])
def test_thresholds_by_type_look_at_what_is_proposed(name):
    by_type = {"file_read": 0.4, "retrieval": 0.9, "BLOCKED": 0.0}
    read = make_row(cheap=("file_read",), verifier=(0.5,), combined=0.5)
    search = make_row(cheap=("retrieval",), verifier=(0.5,), combined=0.5)
    assert JUDGING[name](by_type)(read).accepted and not JUDGING[name](by_type)(search).accepted


def test_with_thresholds_by_type_a_malformed_proposal_is_never_accepted():
    assert not JUDGING["D"](dict.fromkeys(("BLOCKED",), 0.0))(make_row(cheap=(None,), verifier=(0.9,))).accepted


@pytest.mark.parametrize("name", JUDGING)
def test_noise_of_batching_decides_nothing_at_the_threshold(name):
    """A score is the same within less than `TIE` however decisions are batched (tests/test_answering.py)."""
    for noise in (-TIE / 2, 0.0, TIE / 2):
        value = 0.5 * (1 + noise)
        row = make_row(verifier=(value,), route=value, combined=value)
        row = row.model_copy(update={"cheap": (row.cheap[0].model_copy(update={"confidence": value}),)})
        assert JUDGING[name](0.5)(row).accepted
        assert not JUDGING[name](0.5 * (1 + 4 * TIE))(row).accepted
