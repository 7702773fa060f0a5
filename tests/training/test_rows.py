"""Which tokens are labels and what they weigh; a verifier is trained on the very tokens it is asked with."""

import pytest
import torch
from toys import call, compact_tokenizer, episode, renderer, say

from specacts.answering.ask import Reading, judge
from specacts.answering.decode import Prefix
from specacts.answering.proposals import Proposed, on_policy
from specacts.answering.records import Candidate
from specacts.core.episodes import Episode, User, decisions
from specacts.training.judged import Judged
from specacts.training.rows import Branch, Row, Weights, branched, proposer_rows, reward_rows, verifier_rows

RENDERER = renderer(compact_tokenizer())
EPISODES = [episode("a", 1), episode("b", 3)]


def candidate(action, text: str | None = None, confidence: float = 0.42) -> Candidate:
    text = RENDERER.text(RENDERER.action_ids(action)) if text is None else text
    return Candidate(text=text, action=action, confidence=confidence, logprob=-1.0, tokens=3, seconds=0.0)


def proposals(*wrong: Candidate) -> dict:
    """The gold action twice and the given others, at every decision."""
    return {(e.id, d.index): [candidate(d.gold), candidate(d.gold), *wrong] for e in EPISODES for d in decisions(e)}


def rows_for(found: dict, level: str = "type", verdict_weight: float = 1.0, shows_confidence: bool = True):
    judged = labelled(found, level)
    rows, counts = verifier_rows(RENDERER, EPISODES, judged, verdict_weight, Weights(3.0, 1.0), shows_confidence)
    return list(rows), counts


def labelled(found: dict, level: str = "type") -> dict:
    gold = {(e.id, d.index): d.gold for e in EPISODES for d in decisions(e)}
    rows = [Proposed(episode=e, decision=d, gold=gold[e, d], candidates=tuple(c)) for (e, d), c in found.items()]
    return on_policy(rows, level)


def test_a_proposer_learns_every_action_and_nothing_else():
    rows = list(proposer_rows(RENDERER, EPISODES, Weights(3.0, 1.0)))
    windows = [w for e in EPISODES for w in RENDERER.windows(e)]
    assert [row.ids for row in rows] == [w.ids for w in windows]
    for row, window in zip(rows, windows, strict=True):
        expected = [0.0] * len(row.ids)
        for point in window.points:
            expected[point.start : point.end] = [3.0] + [1.0] * (point.end - point.start - 1)
        assert row.weights == expected and row.branches == []


def spoken(words: str, kind: str = "final_answer") -> Episode:
    return Episode(id="s", group="s", source="toy", tools=(), steps=(User(content="please"), say(kind, words)))


def test_words_are_learnt_with_a_weight_of_their_own():
    (row,) = proposer_rows(RENDERER, [spoken("all of it")], Weights(3.0, 0.25))
    silent, said = RENDERER.type_ids("final_answer"), RENDERER.content(" all of it")
    assert row.ids[-len(silent) - len(said) - 1 :] == [*silent, *said, RENDERER.stop_id]
    labels = [3.0] + [1.0] * (len(silent) - 1) + [0.25] * (len(said) + 1)
    assert row.weights == [0.0] * (len(row.ids) - len(labels)) + labels


def test_words_that_are_cut_teach_nobody_to_stop_there():
    (row,) = proposer_rows(RENDERER, [spoken("so much " * 40)], Weights(3.0, 0.25))
    most = RENDERER.limits.action_tokens
    assert row.ids[-1] == RENDERER.stop_id and row.weights[-1] == 0.0
    assert len([weight for weight in row.weights if weight]) == most - 1
    (window,) = RENDERER.windows(spoken("so much " * 40))
    assert RENDERER.parse(RENDERER.text(window.ids[window.points[0].start :])).type == "final_answer"


def test_without_a_weight_for_words_the_type_alone_is_learnt():
    (row,) = proposer_rows(RENDERER, [spoken("all of it")], Weights(3.0, 0.0))
    assert sum(row.weights) == 3.0 + len(RENDERER.type_ids("final_answer")) - 1


@pytest.mark.parametrize("judged", [verifier_rows, reward_rows])
def test_a_judge_learns_from_speaking_actions_without_their_words(judged):
    told = spoken("all of it")
    wrong = {("s", 0): [Judged(say("BLOCKED", "cannot").action, 0.5, False)]}
    more = (1.0, Weights(3.0, 0.25), True) if judged is verifier_rows else ()
    (row,), _ = judged(RENDERER, [told], wrong, *more)
    branch = RENDERER.type_ids("BLOCKED") + [RENDERER.stop_id]
    start = row.branches[-1][0]
    assert row.ids[start : start + len(branch)] == branch
    (window,) = RENDERER.windows(told)
    assert row.ids[: len(window.ids)] == window.ids  # what was said is there for what comes after it


def test_every_different_proposal_is_judged_once_on_a_branch_of_its_own():
    rows, _ = rows_for(proposals(candidate(say("BLOCKED", "no").action)))
    windows = [w for e in EPISODES for w in RENDERER.windows(e)]
    for row, window in zip(rows, windows, strict=True):
        assert row.ids[: len(window.ids)] == window.ids
        assert sorted({prefix for _, _, prefix in row.branches}) == sorted(p.start for p in window.points)
        assert len(row.branches) == 2 * len(window.points)  # the gold one was proposed twice
        assert [start for start, _, _ in row.branches][1:] == [end for _, end, _ in row.branches][:-1]
        for start, end, _ in row.branches:
            assert not any(row.weights[start : end - 1]) and row.weights[end - 1] > 0


class Listener:
    """Stands in for a session and remembers which branches it was to score."""

    def score(self, branches, ends_only):
        self.asked = {(prefix, tuple(ids)) for prefix, ids in branches}
        return [torch.zeros(1, len(RENDERER.tokenizer)) for _ in branches]


@pytest.mark.parametrize("shows_confidence", [True, False])
def test_a_verifier_is_asked_with_the_tokens_it_was_trained_on(shows_confidence):
    wrong = candidate(None, "gibberish <|im_end|>", confidence=0.0)
    found = proposals(wrong)
    rows, _ = rows_for(found, shows_confidence=shows_confidence)
    trained = {(prefix, tuple(row.ids[start : end - 1])) for row in rows for start, end, prefix in row.branches}
    asked = set()
    for e in EPISODES:
        for window in RENDERER.windows(e):
            listener = Listener()
            prefixes = [Prefix(0, point.start) for point in window.points]
            candidates = [found[e.id, point.decision] for point in window.points]
            judge(Reading([listener], prefixes, torch.zeros(0), [0.0]), RENDERER, candidates, shows_confidence)
            asked |= listener.asked
    assert trained == asked


def test_right_and_wrong_verdicts_weigh_the_same_in_all():
    rows, balance = rows_for(
        proposals(candidate(say("BLOCKED", "x").action), candidate(say("ask_clarification").action)), "type", 2.0
    )
    accept, reject = (RENDERER.verdict_ids(right)[0] for right in (True, False))
    total = {accept: 0.0, reject: 0.0}
    for row in rows:
        for _, end, _ in row.branches:
            total[row.ids[end - 1]] += row.weights[end - 1]
    assert total[accept] == pytest.approx(total[reject])
    assert total[accept] == pytest.approx(2.0 * (balance.accept + balance.reject) / 2)
    assert balance.reject > balance.accept


def test_nobody_learns_to_judge_malformed_proposals():
    rows, balance = rows_for({key: [candidate(None, "call {")] for key in proposals()})
    assert (balance.accept, balance.reject) == (0, 0)
    assert rows == list(proposer_rows(RENDERER, EPISODES, Weights(3.0, 1.0)))


def test_what_is_right_depends_on_the_level():
    other = candidate(call("send", "repair", to="x", text="y").action)
    found = {(e.id, d.index): [other] for e in EPISODES for d in decisions(e) if d.gold.type == "repair"}
    assert rows_for(found, "type")[1].accept == len(found)
    assert rows_for(found, "tool")[1].accept == 0


def test_a_decision_without_proposals_still_teaches_its_action():
    rows, balance = rows_for({})
    assert (balance.accept, balance.reject) == (0, 0)
    assert rows == list(proposer_rows(RENDERER, EPISODES, Weights(3.0, 1.0)))


def test_the_verifier_reads_the_confidence_as_one_digit():
    shown = [RENDERER.text(RENDERER.verdict_query_ids(c))[:1] for c in (0.0, 0.09, 0.42, 0.999, 1.0)]
    assert shown == ["0", "0", "4", "9", "9"]
    assert len(RENDERER.verdict_query_ids(None)) == len(RENDERER.verdict_query_ids(0.5)) - 1


def test_a_reward_model_learns_from_pairs_of_the_gold_action_and_a_wrong_one_at_the_same_place():
    wrong = candidate(say("BLOCKED", "no").action)
    made, counts = reward_rows(RENDERER, EPISODES, labelled(proposals(wrong)))
    rows = list(made)
    windows = [w for e in EPISODES for w in RENDERER.windows(e)]
    gold = {e.id: [d.gold for d in decisions(e)] for e in EPISODES}
    pairs = 0
    for row, window in zip(rows, windows, strict=True):
        assert row.ids[: len(window.ids)] == window.ids and not any(row.weights)
        ends = {end - 1: (start, end, prefix) for start, end, prefix in row.branches}
        for chosen, rejected in row.pairs:
            (start, end, prefix), (other, other_end, same) = ends[chosen], ends[rejected]
            (point,) = [p for p in window.points if p.start == prefix == same]
            assert row.ids[start:end] == RENDERER.proposal_ids(gold[window.episode][point.decision])
            assert row.ids[other:other_end] == RENDERER.proposal_ids(wrong.action)
            pairs += 1
    assert (
        pairs
        == counts.accept
        == counts.reject
        == sum(a.type != "BLOCKED" for actions in gold.values() for a in actions)
    )


def test_where_nothing_was_wrong_a_reward_model_learns_nothing():
    rows, counts = reward_rows(RENDERER, EPISODES, labelled(proposals()))
    assert list(rows) == [] and counts == (0, 0)


def few(most: int, *, verdict_weight: float = 1.0, wrong: int = 3) -> list[Row]:
    """A trunk of ten tokens with two labels and a decision at 3 and at 6, each with so many branches of four tokens."""
    trunk = Row(list(range(10)), [0.0] * 4 + [1.0] + [0.0] * 4 + [1.0], [])
    groups = [[Branch(prefix, [prefix] * 4, [0.0] * 3 + [verdict_weight])] for prefix in (3, 6) for _ in range(wrong)]
    return list(branched(trunk, groups, most))


def test_branches_that_are_too_many_for_one_row_follow_in_others_behind_the_same_context():
    (whole,) = few(24)
    rows = few(10)
    assert [len(row.branches) for row in rows] == [2, 2, 2] and len(whole.branches) == 6
    assert [len(row.ids) for row in rows] == [10 + 8, 6 + 8, 6 + 8]  # the trunk again, as far as it is needed

    def questions(*rows: Row) -> list[tuple[list[int], list[int]]]:
        return [(row.ids[:prefix], row.ids[start:end]) for row in rows for start, end, prefix in row.branches]

    assert questions(*rows) == questions(whole)
    assert rows[0].weights[:10] == whole.weights[:10] and not any(sum(row.weights[:6]) for row in rows[1:])
    assert sum(sum(row.weights) for row in rows) == sum(whole.weights)


def test_branches_that_are_compared_stay_in_one_row():
    groups = [[Branch(3, [n] * 4, [0.0] * 4) for n in range(3)] for _ in range(2)]
    rows = list(branched(Row(list(range(10)), [0.0] * 10, []), groups, 5))
    assert [len(row.branches) for row in rows] == [3, 3]  # more than there is room for, rather than apart


def test_no_row_of_a_judge_is_longer_than_a_window_and_as_many_branches():
    found = proposals(*(candidate(say("BLOCKED", f"no {n}").action, f"{n}") for n in range(12)))
    rows, _ = rows_for(found)
    assert max(len(row.ids) for row in rows) <= 2 * RENDERER.limits.max_tokens and len(rows) > len(EPISODES)
    made, counts = reward_rows(RENDERER, EPISODES, labelled(found))
    assert counts.reject == sum(len(row.pairs) for row in made)


def test_verdicts_without_a_weight_are_not_read():
    rows, counts = rows_for(proposals(), verdict_weight=0.0)
    assert not any(row.branches for row in rows) and counts.accept > 0
