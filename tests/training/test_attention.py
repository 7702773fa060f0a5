"""Rows that are read as one sequence do not see each other, with a mask and without."""

import pytest
import torch
from toys import compact_tokenizer, llama, qwen3, qwen3_tokenizer

from specacts.training.attention import BY_PARTS, MASKED, mask_of, parts_of, seen_as


def placed() -> torch.Tensor:
    """Three rows, of 6, 9 and 3 tokens, the second with two branches."""
    return torch.tensor([*parts_of(6, []), *parts_of(9, [(4, 6, 2), (6, 9, 4)], 6), *parts_of(3, [], 15)])


def test_a_branch_sees_its_prefix_and_itself_and_nothing_of_another_row():
    mask = mask_of(placed())
    seen = {row: mask[row].nonzero().flatten().tolist() for row in range(18)}
    assert seen[5] == [0, 1, 2, 3, 4, 5]
    assert seen[8] == [6, 7, 8]
    assert seen[11] == [6, 7, 10, 11]
    assert seen[14] == [6, 7, 8, 9, 12, 13, 14]
    assert seen[15] == [15] and seen[17] == [15, 16, 17]


def test_the_mask_of_one_row_without_branches_is_causal():
    assert torch.equal(mask_of(torch.tensor(parts_of(5, []))), torch.ones(5, 5, dtype=torch.bool).tril())


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_attention_by_parts_is_attention_under_the_mask(family, tmp_path):
    model = llama(compact_tokenizer()) if family == "llama" else qwen3(qwen3_tokenizer(tmp_path))
    model.set_attn_implementation(BY_PARTS)
    ids = torch.randint(0, 100, (1, 18), generator=torch.Generator().manual_seed(0))
    place = torch.tensor([[*range(6), *range(4), 2, 3, 4, 5, 6, *range(3)]])

    def read(**how) -> torch.Tensor:
        with torch.no_grad():
            return model.model(input_ids=ids, position_ids=place, use_cache=False, **how).last_hidden_state

    masked = read(attention_mask=mask_of(placed())[None, None])
    assert torch.allclose(read(parts=placed().tolist()), masked, atol=1e-5)
    assert not torch.allclose(read(parts=[(0, 18, 0, 0)]), masked, atol=1e-2)


def kept(model, how: dict, length: int) -> tuple[int, list[torch.Tensor]]:
    """Bytes that are kept for the backward pass, and the gradients that it gives."""
    held: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model.zero_grad()
    ids = torch.randint(0, 100, (1, length), generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.model(input_ids=ids, use_cache=False, **how).last_hidden_state
    hidden.square().sum().backward()
    return sum(held.values()), [weight.grad.clone() for weight in model.model.layers.parameters()]


def test_branches_cost_no_memory_for_their_prefixes_and_give_the_gradients_of_the_mask():
    model = llama(compact_tokenizer())
    model.set_attn_implementation(BY_PARTS)
    branches = [(200 + 2 * n, 202 + 2 * n, 200) for n in range(50)]
    parts = parts_of(300, branches)
    _, expected = kept(model, {"attention_mask": mask_of(torch.tensor(parts))[None, None]}, 300)
    alone, _ = kept(model, {"parts": parts_of(300, [])}, 300)
    found, gradients = kept(model, {"parts": parts}, 300)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(gradients, expected, strict=True))
    assert found < 1.1 * alone


def test_only_short_sequences_with_branches_get_a_mask():
    assert seen_as(placed(), 18).keys() == {"attention_mask"}
    assert seen_as(placed(), MASKED + 1)["parts"][0] == (0, 6, 0, 0)
    assert seen_as(torch.tensor([*parts_of(6, []), *parts_of(3, [], 6)]), 9).keys() == {"parts"}
