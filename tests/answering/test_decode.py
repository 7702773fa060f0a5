"""Continuations decoded side by side are what decoding each from scratch gives."""

import pytest
import torch
from toys import TRUNK, fresh, reading, rows_equal

from specacts.answering.decode import Prefix, generate
from specacts.answering.guide import sample


def greedy(model, prefix: list[int], stop: int, limit: int) -> tuple[list[int], list[float]]:
    """The reference decoder: everything from scratch for every token."""
    ids, logprobs = [], []
    while len(ids) < limit and stop not in ids:
        after = fresh(model, prefix + ids)[-1]
        ids.append(int(after.argmax()))
        logprobs.append(after[ids[-1]].item())
    return ids, logprobs


def at(*ends: int) -> list[Prefix]:
    return [Prefix(0, end) for end in ends]


def test_greedy_decoding_side_by_side_equals_decoding_from_scratch(model):
    prefixes = [3, 7, 12, 7]
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in prefixes])
    stop = greedy(model, TRUNK[:7], -1, 4)[0][2]  # so that some rows stop early and others go on
    found = generate([reading(model)], at(*prefixes), first, stop, limit=9)
    assert len({len(row.ids) for row in found}) > 1
    for prefix, row in zip(prefixes, found, strict=True):
        ids, logprobs = greedy(model, TRUNK[:prefix], stop, 9)
        assert row.ids == ids
        assert row.logprobs == pytest.approx(logprobs, abs=1e-5)
        assert rows_equal(row.first_logprobs, fresh(model, TRUNK[:prefix])[-1])


def test_decoding_side_by_side_equals_decoding_one_at_a_time(model):
    session, prefixes = reading(model), [3, 7, 12]
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in prefixes])
    together = generate([session], at(*prefixes), first, stop=-1, limit=6)
    for n, prefix in enumerate(prefixes):
        (alone,) = generate([session], at(prefix), first[n : n + 1], stop=-1, limit=6)
        assert alone.ids == together[n].ids
        assert alone.logprobs == pytest.approx(together[n].logprobs, abs=1e-5)


def test_a_row_ends_with_the_stop_token_or_at_the_limit(model):
    session = reading(model)
    first = fresh(model, TRUNK)[-1:]
    stop = int(first.argmax())
    assert generate([session], at(12), first, stop, limit=6)[0].ids == [stop]
    assert len(generate([session], at(12), first, stop=-1, limit=1)[0].ids) == 1
    assert len(generate([session], at(12), first, stop=-1, limit=6)[0].ids) == 6


def test_samples_repeat_with_their_seed_and_report_the_models_own_probabilities(model):
    session = reading(model)
    first = fresh(model, TRUNK[:7])[-1:].repeat(8, 1)
    samples = [
        generate(
            [session], at(*[7] * 8), first, -1, 4, [2.0] * 8, [torch.Generator().manual_seed(s + n) for n in range(8)]
        )
        for s in (0, 0, 100)
    ]
    assert [row.ids for row in samples[0]] == [row.ids for row in samples[1]] != [row.ids for row in samples[2]]
    assert len({tuple(row.ids) for row in samples[0]}) > 1
    for row in samples[0]:
        expected = fresh(model, TRUNK[:7] + row.ids)[6:-1]
        assert row.logprobs == pytest.approx([expected[n, t].item() for n, t in enumerate(row.ids)], abs=1e-5)


def test_a_sample_does_not_depend_on_its_neighbours(model):
    session = reading(model)
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in (3, 7)])
    seeded = [torch.Generator().manual_seed(s) for s in (1, 2)]
    together = generate([session], at(3, 7), first, -1, 5, [2.0, 2.0], seeded)
    (alone,) = generate([session], at(7), first[1:], -1, 5, [2.0], [torch.Generator().manual_seed(2)])
    assert alone.ids == together[1].ids


def test_rows_that_say_the_same_are_computed_once(model):
    session = reading(model)
    first = fresh(model, TRUNK[:7])[-1:].repeat(3, 1)
    widths = []
    hook = model.lm_head.register_forward_pre_hook(lambda _, inputs: widths.append(len(inputs[0])))
    seeded = [None, None, torch.Generator().manual_seed(3)]
    alike, same, other = generate([session], at(7, 7, 7), first, -1, 6, [0.0, 0.0, 5.0], seeded)
    hook.remove()
    assert (alike.ids, alike.logprobs) == (same.ids, same.logprobs)
    assert other.ids != alike.ids
    assert widths[0] in (1, 2)
    assert widths[-1] == 2
    for row in (alike, other):
        expected = fresh(model, TRUNK[:7] + row.ids)[6:-1]
        assert row.logprobs == pytest.approx([expected[n, t].item() for n, t in enumerate(row.ids)], abs=1e-5)


def test_many_trunks_answer_as_each_alone(model):
    other = [70, 3, 3, 41, 99, 12, 5]
    sessions = [reading(model), reading(model, [9]), reading(model, other), reading(model, other[:1])]
    trunks = {Prefix(2, 4): other[:4], Prefix(0, 7): TRUNK[:7], Prefix(3, 1): other[:1], Prefix(2, 7): other}
    first = torch.stack([fresh(model, trunk)[-1] for trunk in trunks.values()])
    for trunk, row in zip(trunks.values(), generate(sessions, list(trunks), first, -1, 6), strict=True):
        assert row.ids == greedy(model, trunk, -1, 6)[0]


def test_decoding_leaves_trunks_and_model_as_they_were(model):
    session, usual = reading(model), model.config._attn_implementation
    before = session.score([(3, [10, 11]), (7, [20])])
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in (3, 7)])
    generate([session], at(3, 7), first, stop=-1, limit=5)
    assert model.config._attn_implementation == usual
    for a, b in zip(before, session.score([(3, [10, 11]), (7, [20])]), strict=True):
        assert torch.equal(a, b)
    assert rows_equal(session.extend([40, 41], [12, 13]), fresh(model, [*TRUNK, 40, 41])[12:])


def test_samples_follow_the_distribution():
    logprobs = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    drawn = [sample(logprobs, 1.0, torch.Generator().manual_seed(n)) for n in range(2000)]
    assert [drawn.count(n) / 2000 for n in range(4)] == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.04)
    cold = [sample(logprobs, 0.5, torch.Generator().manual_seed(n)) for n in range(2000)]
    assert cold.count(0) / 2000 == pytest.approx(0.25 / (0.25 + 0.0625 + 2 * 0.015625), abs=0.04)


def test_a_token_without_any_probability_is_never_drawn():
    logprobs = torch.tensor([-torch.inf, 0.0, -torch.inf])
    assert {sample(logprobs, 1.0, torch.Generator().manual_seed(n)) for n in range(200)} == {1}
