"""Every recorded answer is what the model says of that decision asked on its own, from scratch."""

import math

import pytest
import torch
from toys import (
    CHAT,
    call,
    compact_tokenizer,
    episode,
    fresh,
    llama,
    qwen3,
    qwen3_tokenizer,
    renderer,
    reward_model,
    say,
)

from specacts.answering.ask import candidate as candidate_of
from specacts.answering.ask import confidence, hear, judge, likelihood, propose, read, reward, type_probability
from specacts.answering.decode import Generated
from specacts.answering.records import Candidate, Words
from specacts.core.episodes import Episode, User
from specacts.core.words import ACTION_TYPES
from specacts.policies.decide import TIE
from specacts.transcripts.render import Renderer, Window

TOKENIZER = compact_tokenizer()
RENDERER = renderer(TOKENIZER, max_tokens=400, action_tokens=12)
WINDOW = RENDERER.windows(episode("a", 2))[0]


@pytest.fixture(scope="module")
def model():
    return llama(TOKENIZER)


def seeds(start: int) -> list[int]:
    return [start + 1000 * n for n in range(len(WINDOW.points))]


def made(action, text: str = "") -> Candidate:
    text = text or RENDERER.text(RENDERER.action_ids(action))
    return Candidate(text=text, action=action, confidence=0.7, logprob=-1.0, tokens=1, seconds=0.0)


CHOICES = [
    [made(say("BLOCKED", "no").action), made(call("f", "repair", x=1).action), made(say("BLOCKED", "no").action)]
    for _ in WINDOW.points
]
CHOICES[0][1] = made(None, "neither this <|im_end|> nor that")


def test_the_greedy_proposal_is_the_models_likeliest_text(model):
    for point, (candidate,) in zip(
        WINDOW.points, propose(read(model, [WINDOW]), RENDERER, 1, 0.8, seeds(0)), strict=True
    ):
        ids: list[int] = []
        total = 0.0
        while len(ids) < 12 and RENDERER.stop_id not in ids:
            after = fresh(model, WINDOW.ids[: point.start] + ids)[-1]
            ids.append(int(after.argmax()))
            total += after[ids[-1]].item()
        assert candidate.text == RENDERER.text(ids) and candidate.tokens == len(ids)
        assert candidate.logprob == pytest.approx(total, abs=1e-4)


def test_how_many_are_sampled_changes_no_greedy_proposal(model):
    alone = propose(read(model, [WINDOW]), RENDERER, 1, 0.8, seeds(0))
    among = propose(read(model, [WINDOW]), RENDERER, 3, 0.8, seeds(0))
    assert [row[0].text for row in among] == [row[0].text for row in alone]
    assert all(len(row) == 3 for row in among)


def test_samples_repeat_with_the_seed(model):
    texts = [
        [[c.text for c in row] for row in propose(read(model, [WINDOW]), RENDERER, 3, 2.0, seeds(seed))]
        for seed in (5, 5, 6)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_text_that_never_stops_is_no_action(model):
    for row in propose(read(model, [WINDOW]), RENDERER, 3, 2.0, seeds(0)):
        for candidate in row:
            assert candidate.tokens <= 12
            if candidate.action is None:
                assert candidate.confidence == 0.0
            else:
                assert RENDERER.parse(candidate.text) == candidate.action and 0 < candidate.confidence <= 1


# -- words ----------------------------------------------------------------------------------------------------


def spoken(ids: list[int], renderer: Renderer = RENDERER) -> Candidate:
    """What becomes of these generated tokens, each of probability 1/e and taking a second."""
    return candidate_of(
        Generated(ids, [-1.0] * len(ids), torch.zeros(renderer.tokenizer.vocab_size + 64)), renderer, 1.0
    )


SAYS = RENDERER.type_ids("final_answer")
WORDS = RENDERER.content(" it was sent")


def test_a_speaking_proposal_is_its_type_and_its_words_stand_apart():
    found = spoken([*SAYS, *WORDS, RENDERER.stop_id])
    assert (found.text, found.action) == (RENDERER.text(SAYS), say("final_answer").action)
    assert found.tokens == found.seconds == -found.logprob == len(SAYS) + 1
    assert found.words == Words(text="it was sent", whole=True, tokens=len(WORDS), seconds=len(WORDS))
    assert found.taken_tokens == found.taken_seconds == len(SAYS) + len(WORDS) + 1


def test_words_that_do_not_end_are_no_malformed_action():
    found = spoken([*SAYS, *WORDS])
    assert found.action == say("final_answer").action and found.words and not found.words.whole


def test_what_says_nothing_is_what_it_was_before_there_were_words():
    found = spoken([*SAYS, RENDERER.stop_id])
    assert (found.action, found.tokens, found.words) == (say("final_answer").action, len(SAYS) + 1, None)
    assert "words" not in found.model_dump()


def test_a_type_that_runs_on_into_another_word_is_malformed():
    assert spoken([*SAYS, *RENDERER.content("ness"), RENDERER.stop_id]).action is None


def test_where_nobody_takes_a_proposal_its_words_are_not_generated(model, monkeypatch):
    """The model is made to go on for ever, and the types cost as much as they do elsewhere."""
    never = Renderer.load(RENDERER.tokenizer, RENDERER.limits)
    monkeypatch.setattr(Renderer, "type_ids", lambda self, kind: [])  # every first token speaks
    for row in propose(read(model, [WINDOW]), never, 3, 2.0, seeds(0), speaks=False):
        assert all(candidate.tokens == 1 for candidate in row)


def test_the_likelihood_of_words_is_that_of_each_token_behind_the_type(model):
    told = Episode(
        id="s",
        group="s",
        source="toy",
        tools=(),
        steps=(User(content="a"), say("final_answer", "it is"), User(content="b"), call("f"), User(content="c"))
        + (say("ask_clarification", "so " * 40),),
    )
    (window,) = RENDERER.windows(told)
    heard = hear(read(model, [window]), [window])
    assert heard[1] is None
    for point, one in ((window.points[0], heard[0]), (window.points[2], heard[2])):
        after = fresh(model, window.ids)
        end = point.end if point.whole else point.end - 1
        expected = -sum(after[n - 1, window.ids[n]].item() for n in range(point.said, end))
        assert one.nll == pytest.approx(expected, rel=1e-4) and one.tokens == end - point.said
    assert window.points[0].whole and not window.points[2].whole


def well_formed(choices: list[Candidate], row: list) -> list[tuple]:
    return [(c, v) for c, v in zip(choices, row, strict=True) if c.action is not None]


@pytest.mark.parametrize("shows_confidence", [True, False])
def test_a_verdict_is_the_verifiers_answer_to_the_question_alone(model, shows_confidence):
    accept, reject = (RENDERER.verdict_ids(right)[0] for right in (True, False))
    verdicts = judge(read(model, [WINDOW]), RENDERER, CHOICES, shows_confidence)
    for point, choices, row in zip(WINDOW.points, CHOICES, verdicts, strict=True):
        for candidate, verdict in well_formed(choices, row):
            question = RENDERER.verdict_query_ids(0.7 if shows_confidence else None)
            asked = RENDERER.proposal_ids(candidate.action) + question
            after = fresh(model, WINDOW.ids[: point.start] + asked)[-1]
            expected = 1 / (1 + math.exp(after[reject].item() - after[accept].item()))
            assert verdict.score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("level", ["type", "tool", "call"])
def test_a_likelihood_is_the_probability_of_the_first_word_or_of_a_whole_call(model, level):
    verdicts = likelihood(read(model, [WINDOW]), RENDERER, CHOICES, level)
    for point, choices, row in zip(WINDOW.points, CHOICES, verdicts, strict=True):
        for candidate, verdict in well_formed(choices, row):
            ids = RENDERER.action_ids(candidate.action)
            after = fresh(model, WINDOW.ids[: point.start] + ids)[point.start - 1 : -1]
            each = [after[n, token].item() for n, token in enumerate(ids)]
            typed = level == "type" or candidate.action.tool is None
            assert verdict.score == pytest.approx(math.exp(each[0] if typed else sum(each)), rel=1e-3)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """A renderer whose actions open with several tokens, and a model for it."""
    tokenizer = qwen3_tokenizer(tmp_path_factory.mktemp("qwen3"))
    made = Renderer.load(tokenizer, CHAT.model_copy(update={"max_tokens": 2_600, "action_tokens": 20}), "natural")
    return made, qwen3(tokenizer)


def test_where_several_tokens_say_the_type_its_likelihood_is_theirs(lines):
    renderer, model = lines
    window = renderer.windows(episode("a", 1))[0]
    choices = [[made(say("BLOCKED").action, "x"), made(say("final_answer").action, "y")] for _ in window.points]
    for point, row in zip(window.points, likelihood(read(model, [window]), renderer, choices, "type"), strict=True):
        for candidate, verdict in zip(choices[0], row, strict=True):
            ids = renderer.opening_ids(candidate.action)
            after = fresh(model, window.ids[: point.start] + ids)[point.start - 1 : -1]
            expected = math.exp(sum(after[n, token].item() for n, token in enumerate(ids)))
            assert verdict.score == pytest.approx(expected, rel=1e-3) and verdict.tokens == len(ids)


def test_a_free_replys_confidence_is_that_of_its_opening(lines):
    renderer, _ = lines
    action = say("BLOCKED").action
    opening = renderer.opening_ids(action)
    logprobs = [-0.1 * (n + 1) for n in range(len(opening) + 2)]
    spoken = Generated([*opening, 7, 8], logprobs, torch.zeros(1))
    assert confidence(spoken, renderer, action) == pytest.approx(math.exp(sum(logprobs[: len(opening)])))
    free = Generated([9, *opening, 7], logprobs, torch.zeros(1))
    assert confidence(free, renderer, action) == pytest.approx(math.exp(logprobs[0]))


def test_a_reward_is_that_of_the_action_at_the_end_of_its_context(model):
    rewards = reward_model(TOKENIZER)
    verdicts = reward(read(rewards, [WINDOW]), RENDERER, CHOICES)
    for point, choices, row in zip(WINDOW.points, CHOICES, verdicts, strict=True):
        for candidate, verdict in well_formed(choices, row):
            ids = WINDOW.ids[: point.start] + RENDERER.proposal_ids(candidate.action)
            with torch.no_grad():
                expected = torch.sigmoid(rewards(torch.tensor([ids])).logits).item()
            assert verdict.score == pytest.approx(expected, abs=1e-5) and verdict.heads == 1


def test_an_equal_candidate_shares_the_firsts_verdict(model):
    for row in judge(read(model, [WINDOW]), RENDERER, CHOICES, True)[1:]:
        assert all(v.tokens > 0 and v.heads == 1 for v in row)
        assert row[2] == row[0] and [v.shared for v in row] == [0, 1, 0]


def test_one_distribution_tells_the_likelihood_of_every_type(model):
    for row in likelihood(read(model, [WINDOW]), RENDERER, CHOICES, "type"):
        asked = [v for v in row if v.heads]
        assert asked and len({v.shared for v in asked}) == 1 and all((v.heads, v.tokens) == (1, 0) for v in asked)


def test_the_likelihood_of_an_action_takes_a_distribution_for_each_of_its_tokens(model):
    for row in likelihood(read(model, [WINDOW]), RENDERER, CHOICES, "call")[1:]:
        assert all(v.heads == v.tokens > 0 for v in row) and row[2].shared == 0


def test_nobody_judges_a_malformed_candidate(model):
    reading = read(model, [WINDOW])
    for rows in (judge(reading, RENDERER, CHOICES, True), likelihood(reading, RENDERER, CHOICES, "call")):
        assert (rows[0][1].score, rows[0][1].tokens, rows[0][1].heads) == (0.0, 0, 0)
    nothing = [[made(None, "no action")] for _ in WINDOW.points]
    assert {v.score for row in judge(reading, RENDERER, nothing, True) for v in row} == {0.0}


def test_the_last_label_is_never_read(model):
    assert read(model, [WINDOW]).sessions[0].length == WINDOW.points[-1].start


def test_the_nine_types_share_the_whole_probability(model):
    logprobs = fresh(model, WINDOW.ids)[-1]
    shares = [type_probability(logprobs, RENDERER, action_type) for action_type in ACTION_TYPES]
    assert sum(shares) == pytest.approx(1) and min(shares) > 0


def alike(a: float, b: float) -> bool:
    return abs(a - b) <= min(1e-6, TIE / 2 * min(b, 1 - b))


def one_at_a_time(window: Window) -> list[Window]:
    """The window once for each of its decisions, with no other beside it."""
    return [window._replace(points=[point]) for point in window.points]


def test_scores_are_the_same_one_decision_at_a_time_and_side_by_side(model):
    """To within 1e-6, and relatively to within less than what a threshold overlooks (policies.TIE)."""
    windows = [RENDERER.windows(episode(name, turns))[0] for name, turns in (("a", 2), ("b", 3), ("c", 1))]
    points = [point for window in windows for point in window.points]
    candidates = [[made(say("BLOCKED", "no").action), made(say("final_answer").action)] for _ in points]
    beside = read(model, windows)
    alone = [read(model, [window]) for whole in windows for window in one_at_a_time(whole)]
    for judged in (
        lambda reading, row: judge(reading, RENDERER, row, True),
        lambda reading, row: likelihood(reading, RENDERER, row, "type"),
        lambda reading, row: likelihood(reading, RENDERER, row, "call"),
    ):
        together = judged(beside, candidates)
        for row, reading, expected in zip(candidates, alone, together, strict=True):
            (found,) = judged(reading, [row])
            assert all(alike(a.score, b.score) for a, b in zip(found, expected, strict=True))
    together = propose(beside, RENDERER, 1, 0.8, list(range(len(points))))
    for number, (reading, (expected,)) in enumerate(zip(alone, together, strict=True)):
        ((found,),) = propose(reading, RENDERER, 1, 0.8, [number])
        assert found.text == expected.text
        assert alike(found.confidence, expected.confidence)
