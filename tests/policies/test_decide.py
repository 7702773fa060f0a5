"""What each policy does with recorded answers, and which calls it makes."""

import math
from dataclasses import replace

import pytest
from factories import candidate, case_of, edited, make_case, make_cases

from specacts.answering.records import Words
from specacts.policies.cases import Case
from specacts.policies.decide import ALWAYS, NEVER, TIE, act, score
from specacts.policies.table import JUDGING, POLICIES

CASE = make_case(
    gold="retrieval",
    cheap=("file_read", "retrieval", "BLOCKED"),
    strong="repair",
    verifier=(0.6, 0.8, 0.1),
    strong_verdict=(0.3, 0.9, 0.1),
)


def test_a_always_asks_strong_and_nobody_else():
    outcome = act("A", CASE)
    assert (outcome.action, outcome.accepted, outcome.actor) == (CASE.strong.action, None, "strong")
    assert [call.role for call in outcome.calls] == ["strong"]


def test_b_takes_the_greedy_proposal_and_asks_nobody_else():
    outcome = act("B", CASE)
    assert (outcome.action, outcome.accepted, outcome.actor) == (CASE.cheap[0].action, None, "cheap")
    assert [(call.role, call.answers) for call in outcome.calls] == [("cheap", 1)]


def test_c_lets_the_strong_model_judge_and_pays_for_it_again_on_rejection():
    outcome = act("C", CASE, 0.5)
    assert (outcome.action, outcome.accepted) == (CASE.strong.action, False)
    assert [(c.role, c.verdicts, c.answers) for c in outcome.calls] == [
        ("cheap", 0, 1),
        ("strong", 1, 0),
        ("strong", 0, 1),
    ]


def test_d_takes_the_greedy_proposal_where_the_verifier_accepts():
    outcome = act("D", CASE, 0.5)
    assert (outcome.action, outcome.accepted) == (CASE.cheap[0].action, True)
    assert [(c.role, c.verdicts, c.answers) for c in outcome.calls] == [("cheap", 0, 1), ("verifier", 1, 0)]


def test_e_takes_the_best_proposal_or_none():
    accepted, rejected = (act("E", CASE, threshold) for threshold in (0.8, 0.81))
    assert (accepted.action, accepted.accepted) == (CASE.cheap[1].action, True)
    assert (rejected.action, rejected.accepted) == (CASE.strong.action, False)
    assert [(c.role, c.verdicts, c.answers) for c in accepted.calls] == [("cheap", 0, 3), ("verifier", 3, 0)]


def test_f_goes_by_the_cheap_models_own_confidence_and_asks_no_verifier():
    case = make_case(cheap=("repair",), verifier=(0.1,))  # the factory's confidence is 0.5
    accepted, rejected = (act("F", case, threshold) for threshold in (0.5, 0.51))
    assert (accepted.action, accepted.accepted) == (case.cheap[0].action, True)
    assert (rejected.action, rejected.accepted) == (case.strong.action, False)
    assert [c.role for c in accepted.calls] == ["cheap"] and [c.role for c in rejected.calls] == ["cheap", "strong"]
    assert not any(call.verdicts for call in (*accepted.calls, *rejected.calls))


def test_a_score_at_the_threshold_is_accepted():
    assert act("D", make_case(verifier=(0.5,)), 0.5).accepted


def test_equal_scores_go_to_the_first_proposal():
    case = make_case(cheap=("BLOCKED", "repair"), verifier=(0.7, 0.7))
    assert act("E", case, 0.5).action == case.cheap[0].action


def test_malformed_proposals_can_be_accepted_and_are_no_action():
    outcome = act("D", make_case(cheap=(None,), verifier=(0.9,)), 0.5)
    assert outcome.accepted and outcome.action is None


def test_an_equal_candidate_is_read_once_but_is_a_verdict_of_its_own():
    case = make_case(cheap=("repair", "repair"), verifier=(0.7, 0.7))
    judging = act("E", edited(case, verifier=(case.verdicts[0],) * 2), 0.5).calls[1]
    assert (judging.branches, judging.heads, judging.verdicts) == ((11,), 1, 2)


def test_e_chooses_among_its_picks_and_pays_for_those_alone():
    case = make_case(cheap=("BLOCKED", "repair", "repair", "verifier"), verifier=(0.9, 0.6, 0.6, 0.7), picks=(1, 2, 3))
    first = case.verdicts[1]
    case = edited(case, verifier=(case.verdicts[0], first, first, case.verdicts[3]))
    outcome = act("E", case, 0.5)
    assert outcome.action == case.cheap[3].action and score("E", case) == 0.7
    made, judged = outcome.calls
    assert (made.answers, judged.verdicts, judged.branches) == (3, 3, (11, 11))
    assert act("D", case, 0.5).action == case.cheap[0].action


def test_a_proposer_as_judge_computes_a_distribution_for_each_token_it_reads():
    assert [act(name, CASE, 0.5).calls[1].heads for name in ("C", "D")] == [10, 1]


def test_nobody_is_asked_about_malformed_proposals_alone():
    case = make_case(cheap=(None, None), verifier=(0.0, 0.0), combined=0.1)
    unasked = tuple(v.model_copy(update={"tokens": 0, "heads": 0, "seconds": 0.0}) for v in case.verdicts)
    case = edited(case, verifier=unasked, strong_verdict=unasked)
    for name in set(JUDGING) - {"G"}:
        assert [(c.role, c.answers) for c in act(name, case, 0.5).calls[1:]] == [("strong", 1)]


@pytest.mark.parametrize("name", JUDGING)
def test_thresholds_split_exactly_by_score(name: str):
    for case in make_cases(10):
        value = case.sides[name].score
        assert act(name, case, value).accepted
        assert not act(name, case, value + 2 * TIE).accepted


@pytest.mark.parametrize("name", JUDGING)
@pytest.mark.parametrize("saturated", [0.0, 1.0])
def test_both_sides_exist_even_for_saturated_scores(name: str, saturated: float):
    side = make_case(verifier=(saturated,), strong_verdict=(saturated,)).sides[name]
    assert (side.accept.accepted, side.reject.accepted) == (True, False)
    assert ALWAYS <= saturated < NEVER


def test_g_sends_the_decision_to_one_model_and_calls_no_other():
    case = make_case(cheap=("repair",), strong="BLOCKED", route=0.5)
    kept, sent = (act("G", case, threshold) for threshold in (0.5, 0.51))
    assert (kept.action, kept.accepted, [c.role for c in kept.calls]) == (case.cheap[0].action, True, ["cheap"])
    assert (sent.action, sent.accepted, [c.role for c in sent.calls]) == (case.strong.action, False, ["strong"])


def test_h_goes_by_the_combined_score_and_pays_like_d():
    case = make_case(cheap=("repair",), verifier=(0.1,), combined=0.9)
    outcome = act("H", case, 0.5)
    assert (outcome.action, outcome.accepted) == (case.cheap[0].action, True)
    assert outcome.calls == act("D", case, ALWAYS).calls


def turn(*confidences: float) -> list[Case]:
    """A user's turn of decisions at which the cheap model is so sure, and wrong."""
    cases: list[Case] = []
    for n, value in enumerate(confidences):
        case = make_case(context=100 + 30 * n, cheap=("repair",), decision=n)
        sure = case.row.model_copy(update={"cheap": (case.cheap[0].model_copy(update={"confidence": value}),)})
        cases.append(replace(case_of(sure), earlier=tuple(cases)))
    return cases


def test_s_lets_the_strong_model_stay_until_the_turn_is_over_and_asks_nobody_else():
    outcomes = [act("S", case, 0.5) for case in turn(0.9, 0.4, 0.9)]
    assert [[call.role for call in outcome.calls] for outcome in outcomes] == [
        ["cheap"],
        ["cheap", "strong"],
        ["strong"],
    ]
    assert [(o.actor, o.accepted) for o in outcomes] == [("cheap", True), ("strong", False), ("strong", False)]
    assert outcomes[2] == act("A", turn(0.9, 0.4, 0.9)[2])._replace(accepted=False)


def test_s_is_f_until_something_is_rejected():
    for case in turn(0.9, 0.8, 0.4):
        assert act("S", case, 0.5) == act("F", case, 0.5)


def test_where_a_policy_sticks_the_lowest_score_of_the_turn_so_far_decides():
    sides = [case.sides["S"] for case in turn(0.9, 0.4, 0.6, 0.3)]
    assert [side.score for side in sides] == [0.9, 0.4, 0.4, 0.3]
    assert [side.before for side in sides] == [math.inf, 0.9, 0.4, 0.4]
    assert sides[2].not_accepted(0.5) == sides[2].behind and sides[3].not_accepted(0.35) == sides[3].reject


def test_another_sticky_policy_is_one_more_line(monkeypatch):
    monkeypatch.setitem(POLICIES, "T", POLICIES["D"]._replace(sticks=True))
    cases = turn(0.9, 0.9)
    doubtful = replace(cases[0], verdicts=(cases[0].verdicts[0].model_copy(update={"score": 0.1}),))
    stuck = act("T", replace(cases[1], earlier=(doubtful,)), 0.5)
    assert [call.role for call in stuck.calls] == ["strong"] and act("T", cases[1], 0.5).accepted


def test_a_score_that_is_not_there_is_no_score():
    with pytest.raises(TypeError):
        act("G", make_case(route=None), 0.5)


@pytest.mark.parametrize("name", ["C", "D", "E", "F", "H"])
def test_thresholds_by_type_look_at_what_is_proposed(name):
    by_type = {"file_read": 0.4, "retrieval": 0.9, "BLOCKED": 0.0}
    read = make_case(cheap=("file_read",), verifier=(0.5,), combined=0.5)
    search = make_case(cheap=("retrieval",), verifier=(0.5,), combined=0.5)
    assert act(name, read, by_type).accepted and not act(name, search, by_type).accepted


def test_of_several_proposals_the_threshold_is_that_of_the_best_ones_type():
    case = make_case(cheap=("file_read", "retrieval"), verifier=(0.5, 0.6))
    assert not act("E", case, {"file_read": 0.0, "retrieval": 0.9}).accepted
    assert act("E", case, {"file_read": 0.9, "retrieval": 0.0}).accepted


def test_with_thresholds_by_type_a_malformed_proposal_is_never_accepted():
    assert not act("D", make_case(cheap=(None,), verifier=(0.9,)), dict.fromkeys(("BLOCKED",), 0.0)).accepted


def test_with_thresholds_by_type_a_policy_that_sticks_accepts_nothing_for_nobody_may_propose():
    assert not act("S", turn(0.9)[0], dict.fromkeys(("repair",), 0.0)).accepted


def test_with_thresholds_by_type_a_router_accepts_nothing_for_it_sees_no_type():
    outcome = act("G", make_case(route=0.9), dict.fromkeys(("final_answer",), 0.0))
    assert not outcome.accepted and [call.role for call in outcome.calls] == ["strong"]


@pytest.mark.parametrize("name", JUDGING)
def test_noise_of_batching_decides_nothing_at_the_threshold(name):
    """A score is the same within less than `TIE` however decisions are batched (tests/answering/test_ask.py)."""
    for noise in (-TIE / 2, 0.0, TIE / 2):
        value = 0.5 * (1 + noise)
        case = make_case(verifier=(value,), route=value, combined=value)
        sure = (case.cheap[0].model_copy(update={"confidence": value}),)
        case = edited(case, cheap=sure)
        assert act(name, case, 0.5).accepted
        assert not act(name, case, 0.5 * (1 + 4 * TIE)).accepted


# -- words ----------------------------------------------------------------------------------------------------


def speaking(tokens: int) -> dict:
    return {"tokens": 2, "seconds": 0.5, "words": Words(text="it was sent", whole=True, tokens=tokens, seconds=1.5)}


TOLD = make_case(
    gold="final_answer", cheap=("final_answer", "final_answer"), strong="final_answer", verifier=(0.3, 0.6)
)
TOLD = replace(
    TOLD,
    row=TOLD.row.model_copy(
        update={
            "cheap": tuple(candidate(c.action, **speaking(n)) for n, c in zip((10, 20), TOLD.cheap, strict=True)),
            "strong": candidate(TOLD.strong.action, **speaking(40)),
        }
    ),
)


def generated(outcome, role: str) -> list[tuple[int, ...]]:
    return [call.branches for call in outcome.calls if call.role == role and call.answers]


def test_whoever_speaks_pays_for_the_words_and_nobody_else():
    assert generated(act("A", TOLD), "strong") == [(42,)]
    assert generated(act("B", TOLD), "cheap") == [(12,)]
    accepted, rejected = act("D", TOLD, ALWAYS), act("D", TOLD, NEVER)
    assert generated(accepted, "cheap") == [(12,)] and not generated(accepted, "strong")
    assert generated(rejected, "cheap") == [(2,)] and generated(rejected, "strong") == [(42,)]
    assert accepted.tokens == 12 and accepted.words == "it was sent"


def test_of_several_proposals_the_one_that_is_taken_goes_on_to_speak():
    assert generated(act("E", TOLD, ALWAYS), "cheap") == [(2, 22)]
    assert generated(act("E", TOLD, NEVER), "cheap") == [(2, 2)]


def test_words_take_the_seconds_of_whoever_speaks():
    assert act("B", TOLD).calls[0].seconds == 2.0
    assert act("D", TOLD, NEVER).calls[0].seconds == 0.5
