"""Branches off one cache answer as fresh runs without any cache do."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from toys import compact_tokenizer, llama, qwen3, qwen3_tokenizer, rows_equal, save_base

from specacts.infer import Prefix, Session, branch_mask, device_of, load_model, model_size

TRUNK = [3, 17, 44, 5, 201, 90, 17, 33, 8, 120, 121, 60]
BRANCHES = [(3, [10, 11, 12]), (7, [20]), (7, [21, 22, 10, 5]), (12, [30, 31]), (1, [9, 9])]
OFF_TRUNK = [(Prefix(0, end), ids) for end, ids in BRANCHES]


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def model(request, tmp_path_factory):
    if request.param == "llama":
        return llama(compact_tokenizer())
    return qwen3(qwen3_tokenizer(tmp_path_factory.mktemp("qwen3")))


@torch.inference_mode()
def fresh(model, ids: list[int]) -> torch.Tensor:
    """Log-probabilities [len(ids), V] after every token, from one forward pass without a cache."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return torch.log_softmax(logits.float(), dim=-1)


def at(*ends: int) -> list[Prefix]:
    return [Prefix(0, end) for end in ends]


def reading(model, ids: list[int] = TRUNK) -> Session:
    session = Session(model)
    session.extend(ids, [len(ids) - 1])
    return session


def greedy(model, prefix: list[int], stop: int, limit: int) -> tuple[list[int], list[float]]:
    """The reference decoder: everything from scratch for every token."""
    ids, logprobs = [], []
    while len(ids) < limit and stop not in ids:
        after = fresh(model, prefix + ids)[-1]
        ids.append(int(after.argmax()))
        logprobs.append(after[ids[-1]].item())
    return ids, logprobs


def test_reading_a_trunk_in_parts_equals_reading_it_at_once(model):
    session, expected = Session(model), fresh(model, TRUNK)
    first = session.extend(TRUNK[:5], [0, 4])
    second = session.extend(TRUNK[5:], [5, 8, 11])
    assert rows_equal(torch.cat([first, second]), expected[[0, 4, 5, 8, 11]])


def test_every_branch_scores_as_its_own_sequence(model):
    for (prefix, ids), scores in zip(BRANCHES, reading(model).score(OFF_TRUNK), strict=True):
        assert rows_equal(scores, fresh(model, TRUNK[:prefix] + ids)[prefix:])


def test_the_ends_alone_are_the_ends_of_the_whole_scores(model):
    session = reading(model)
    whole, ends = session.score(OFF_TRUNK), session.score(OFF_TRUNK, ends_only=True)
    for rows, end in zip(whole, ends, strict=True):
        assert rows_equal(end, rows[-1:])


def test_scoring_and_generating_leave_the_trunk_as_it_was(model):
    session = reading(model)
    before = session.score(OFF_TRUNK)
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in (3, 7)])
    session.generate(at(3, 7), first, stop=-1, limit=5)
    for a, b in zip(before, session.score(OFF_TRUNK), strict=True):
        assert torch.equal(a, b)
    assert rows_equal(session.extend([40, 41], [12, 13]), fresh(model, [*TRUNK, 40, 41])[12:])


def test_greedy_decoding_side_by_side_equals_decoding_from_scratch(model):
    prefixes = [3, 7, 12, 7]
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in prefixes])
    stop = greedy(model, TRUNK[:7], -1, 4)[0][2]  # so that some rows stop early and others go on
    found = reading(model).generate(at(*prefixes), first, stop, limit=9)
    assert len({len(row.ids) for row in found}) > 1
    for prefix, row in zip(prefixes, found, strict=True):
        ids, logprobs = greedy(model, TRUNK[:prefix], stop, 9)
        assert row.ids == ids
        assert row.logprobs == pytest.approx(logprobs, abs=1e-5)
        assert rows_equal(row.first_logprobs, fresh(model, TRUNK[:prefix])[-1])


def test_decoding_side_by_side_equals_decoding_one_at_a_time(model):
    session, prefixes = reading(model), [3, 7, 12]
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in prefixes])
    together = session.generate(at(*prefixes), first, stop=-1, limit=6)
    for n, prefix in enumerate(prefixes):
        (alone,) = session.generate(at(prefix), first[n : n + 1], stop=-1, limit=6)
        assert alone.ids == together[n].ids
        assert alone.logprobs == pytest.approx(together[n].logprobs, abs=1e-5)


def test_a_row_ends_with_the_stop_token_or_at_the_limit(model):
    session = reading(model)
    first = fresh(model, TRUNK)[-1:]
    stop = int(first.argmax())
    assert session.generate(at(12), first, stop, limit=6)[0].ids == [stop]
    assert len(session.generate(at(12), first, stop=-1, limit=1)[0].ids) == 1
    assert len(session.generate(at(12), first, stop=-1, limit=6)[0].ids) == 6


def test_samples_repeat_with_their_seed_and_report_the_models_own_probabilities(model):
    session = reading(model)
    first = fresh(model, TRUNK[:7])[-1:].repeat(8, 1)
    samples = [
        session.generate(
            at(*[7] * 8), first, -1, 4, [2.0] * 8, [torch.Generator().manual_seed(s + n) for n in range(8)]
        )
        for s in (0, 0, 100)
    ]
    assert [row.ids for row in samples[0]] == [row.ids for row in samples[1]] != [row.ids for row in samples[2]]
    assert len({tuple(row.ids) for row in samples[0]}) > 1
    for row in samples[0]:
        expected = fresh(model, TRUNK[:7] + row.ids)[6:-1]
        assert row.logprobs == pytest.approx([expected[n, t].item() for n, t in enumerate(row.ids)], abs=1e-5)


@pytest.mark.parametrize("length", [12, 11, 5, 1])
def test_going_on_after_a_cut_equals_a_fresh_run(model, length):
    session = reading(model)
    session.cut(length)
    more = [50, 51, 52]
    found = session.extend(more, [length, length + 1, length + 2])
    assert rows_equal(found, fresh(model, TRUNK[:length] + more)[length:])
    assert rows_equal(
        session.score([(Prefix(0, length + 2), [7])])[0], fresh(model, [*TRUNK[:length], *more[:2], 7])[-1:]
    )


def test_an_agent_at_work_may_cut_to_the_start(model):
    session = reading(model)
    session.cut(0)
    assert rows_equal(session.extend(TRUNK, [11]), fresh(model, TRUNK)[-1:])


def test_the_training_mask_and_the_cache_agree_about_branches(model):
    """One forward pass with `branch_mask`, as in training, equals the branches scored off the cache."""
    ids, place, spans = list(TRUNK), list(range(len(TRUNK))), []
    for prefix, branch in BRANCHES:
        spans.append((len(ids), len(ids) + len(branch), prefix))
        ids, place = ids + branch, place + list(range(prefix, prefix + len(branch)))
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([ids]),
            position_ids=torch.tensor([place]),
            attention_mask=branch_mask(len(ids), spans)[None, None],
            use_cache=False,
        ).logits[0]
    trained = torch.log_softmax(logits, dim=-1)
    for (start, end, _), scores in zip(spans, reading(model).score(OFF_TRUNK), strict=True):
        assert rows_equal(trained[start:end], scores)
    assert rows_equal(trained[: len(TRUNK)], fresh(model, TRUNK))


def test_a_branch_sees_its_prefix_and_itself():
    mask = branch_mask(7, [(4, 6, 2), (6, 7, 4)])
    assert mask[4].tolist() == [True, True, False, False, True, False, False]
    assert mask[5].tolist() == [True, True, False, False, True, True, False]
    assert mask[6].tolist() == [True, True, True, True, False, False, True]
    assert torch.equal(mask[:4, :4], torch.ones(4, 4, dtype=torch.bool).tril())


def test_the_model_size_is_counted_from_the_weights(model):
    size, config = model_size(model), model.config
    total = sum(p.numel() for p in model.parameters())  # tied: the embedding is the head
    assert size.body + size.head == total
    assert size.head == config.vocab_size * config.hidden_size
    assert size.layers == 2
    assert size.attention == 4 * (getattr(config, "head_dim", None) or 8)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_loaded_model_has_its_adapter_merged_and_its_dtype(tmp_path, dtype):
    tokenizer = compact_tokenizer()
    base = save_base(tmp_path / "base", tokenizer, llama(tokenizer))
    adapted = get_peft_model(llama(tokenizer), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    loaded = load_model(base, tmp_path / "adapter", "cpu", dtype)
    assert loaded.dtype == getattr(torch, dtype)
    assert not any("lora" in name for name, _ in loaded.named_parameters())
    with torch.inference_mode():
        expected = torch.log_softmax(adapted.eval()(input_ids=torch.tensor([TRUNK])).logits[0], dim=-1)
    assert rows_equal(fresh(loaded, TRUNK), expected, 1e-5 if dtype == "float32" else 0.5)
    assert not rows_equal(fresh(load_model(base, None, "cpu", "float32"), TRUNK), expected, 1e-2)


def test_auto_is_some_device():
    assert device_of("auto").type in ("cpu", "cuda")
    assert device_of("cpu").type == "cpu"


def test_joined_trunks_answer_as_each_alone(model):
    other = [70, 3, 3, 41, 99, 12, 5]
    joined = Session.join([reading(model), reading(model, other)])
    trunks = {Prefix(0, 7): TRUNK[:7], Prefix(12, 12 + 4): other[:4], Prefix(12, 12 + 7): other}
    first = torch.stack([fresh(model, trunk)[-1] for trunk in trunks.values()])
    for trunk, row in zip(trunks.values(), joined.generate(list(trunks), first, -1, 6), strict=True):
        assert row.ids == greedy(model, trunk, -1, 6)[0]
    for (prefix, trunk), scores in zip(trunks.items(), joined.score([(p, [10, 11, 12]) for p in trunks]), strict=True):
        assert rows_equal(scores, fresh(model, [*trunk, 10, 11, 12])[len(trunk) :]), prefix


def test_a_sample_does_not_depend_on_its_neighbours(model):
    session = reading(model)
    first = torch.stack([fresh(model, TRUNK[:p])[-1] for p in (3, 7)])
    seeded = [torch.Generator().manual_seed(s) for s in (1, 2)]
    together = session.generate(at(3, 7), first, -1, 5, [2.0, 2.0], seeded)
    (alone,) = session.generate(at(7), first[1:], -1, 5, [2.0], [torch.Generator().manual_seed(2)])
    assert alone.ids == together[1].ids


def test_rows_that_say_the_same_are_computed_once(model, monkeypatch):
    session = reading(model)
    first = fresh(model, TRUNK[:7])[-1:].repeat(3, 1)
    widths, step = [], Session._branch_step
    monkeypatch.setattr(
        Session, "_branch_step", lambda self, ids, *rest: widths.append(len(ids)) or step(self, ids, *rest)
    )
    seeded = [None, None, torch.Generator().manual_seed(3)]
    alike, same, other = session.generate(at(7, 7, 7), first, -1, 6, [0.0, 0.0, 5.0], seeded)
    assert (alike.ids, alike.logprobs) == (same.ids, same.logprobs)
    assert other.ids != alike.ids
    assert widths[0] in (1, 2)
    assert widths[-1] == 2
    for row in (alike, other):
        expected = fresh(model, TRUNK[:7] + row.ids)[6:-1]
        assert row.logprobs == pytest.approx([expected[n, t].item() for n, t in enumerate(row.ids)], abs=1e-5)
