"""Branches off one cache answer as fresh runs without any cache do."""

import math

import pytest
import torch
from toys import TRUNK, fresh, qwen3, qwen3_tokenizer, reading, rows_equal

from specacts.answering.decode import Prefix, generate
from specacts.answering.session import NOISE, Session, logits
from specacts.training.attention import mask_of, parts_of

BRANCHES = [(3, [10, 11, 12]), (7, [20]), (7, [21, 22, 10, 5]), (12, [30, 31]), (1, [9, 9])]


def test_reading_a_trunk_in_parts_equals_reading_it_at_once(model):
    session, expected = Session(model), fresh(model, TRUNK)
    first = session.extend(TRUNK[:5], [0, 4])
    second = session.extend(TRUNK[5:], [5, 8, 11])
    assert rows_equal(torch.cat([first, second]), expected[[0, 4, 5, 8, 11]])


def test_every_branch_scores_as_its_own_sequence(model):
    for (prefix, ids), scores in zip(BRANCHES, reading(model).score(BRANCHES), strict=True):
        assert rows_equal(scores, fresh(model, TRUNK[:prefix] + ids)[prefix:])


def test_the_ends_alone_are_the_ends_of_the_whole_scores(model):
    session = reading(model)
    whole, ends = session.score(BRANCHES), session.score(BRANCHES, ends_only=True)
    for rows, end in zip(whole, ends, strict=True):
        assert rows_equal(end, rows[-1:])


def test_scoring_leaves_the_trunk_as_it_was(model):
    session = reading(model)
    before = session.score(BRANCHES)
    for a, b in zip(before, session.score(BRANCHES), strict=True):
        assert torch.equal(a, b)
    assert rows_equal(session.extend([40, 41], [12, 13]), fresh(model, [*TRUNK, 40, 41])[12:])


@pytest.mark.parametrize("length", [12, 11, 5, 1])
def test_going_on_after_a_cut_equals_a_fresh_run(model, length):
    session = reading(model)
    session.cut(length)
    more = [50, 51, 52]
    found = session.extend(more, [length, length + 1, length + 2])
    assert rows_equal(found, fresh(model, TRUNK[:length] + more)[length:])
    assert rows_equal(session.score([(length + 2, [7])])[0], fresh(model, [*TRUNK[:length], *more[:2], 7])[-1:])


def test_an_agent_at_work_may_cut_to_the_start(model):
    session = reading(model)
    session.cut(0)
    assert rows_equal(session.extend(TRUNK, [11]), fresh(model, TRUNK)[-1:])


def test_the_training_mask_and_the_cache_agree_about_branches(model):
    """One forward pass with `mask_of`, as in training, equals the branches scored off the cache."""
    ids, place, spans = list(TRUNK), list(range(len(TRUNK))), []
    for prefix, branch in BRANCHES:
        spans.append((len(ids), len(ids) + len(branch), prefix))
        ids, place = ids + branch, place + list(range(prefix, prefix + len(branch)))
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([ids]),
            position_ids=torch.tensor([place]),
            attention_mask=mask_of(torch.tensor(parts_of(len(ids), spans)))[None, None],
            use_cache=False,
        ).logits[0]
    trained = torch.log_softmax(logits, dim=-1)
    for (start, end, _), scores in zip(spans, reading(model).score(BRANCHES), strict=True):
        assert rows_equal(trained[start:end], scores)
    assert rows_equal(trained[: len(TRUNK)], fresh(model, TRUNK))


# -- other precisions -----------------------------------------------------------------------------------------

IDS = [(7 * n * n + 3 * n) % 300 for n in range(24)]


@pytest.fixture(scope="module")
def sharp(tmp_path_factory):
    """A random Qwen3 whose distributions are as sharp as a trained one's, in either precision."""
    tokenizer = qwen3_tokenizer(tmp_path_factory.mktemp("sharp"))

    def made(dtype: str):
        found = qwen3(tokenizer)
        with torch.no_grad():
            found.model.norm.weight *= 4
        return found.to(getattr(torch, dtype))

    return made


def test_a_head_in_bfloat16_does_not_round_its_logits(sharp):
    model = sharp("bfloat16")
    hidden = 8 * torch.randn(5, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = hidden.double() @ model.lm_head.weight.double().T
    assert torch.allclose(logits(model, hidden).double(), exact, atol=1e-4)
    assert (model.lm_head(hidden).double() - exact).abs().max() > 0.05  # what it would be else


@pytest.mark.parametrize("dtype", NOISE)
def test_how_much_is_read_at_once_changes_a_probability_by_no_more_than_is_said(sharp, dtype):
    model = sharp(dtype)
    session, parts = Session(model), Session(model)
    whole = session.extend(IDS, list(range(len(IDS)))).exp()
    steps = torch.cat([parts.extend([token], [n]) for n, token in enumerate(IDS)]).exp()
    assert (whole - steps).abs().max() < NOISE[dtype]
    (branch,) = session.score([(8, IDS[8:])])
    assert (whole[8:] - branch.exp()).abs().max() < NOISE[dtype]
    (made,) = generate([session], [Prefix(0, len(IDS))], whole[-1:].log(), stop=-1, limit=6)
    again = Session(model).extend([*IDS, *made.ids], list(range(len(IDS) - 1, len(IDS) + 5))).exp()
    for row, token, value in zip(again, made.ids, made.logprobs, strict=True):
        assert abs(row[token].item() - math.exp(value)) < NOISE[dtype]
