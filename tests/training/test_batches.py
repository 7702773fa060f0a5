"""Rows of a step are read one behind the other, and stay what they are alone."""

import torch

from specacts.training.batches import collate, packs, positions
from specacts.training.rows import Row

A = Row([1, 2, 3], [0.0, 0.0, 1.0], [])
B = Row([4, 5, 6, 7, 8], [0.0, 1.0, 0.0, 0.0, 2.0], [(3, 5, 1)])


def lengths(batches) -> list[int]:
    return [batch["input_ids"].shape[1] for batch in batches]


def test_positions_of_a_branch_go_on_from_its_prefix():
    assert positions(8, [(4, 6, 2), (6, 8, 4)]) == [0, 1, 2, 3, 2, 3, 4, 5]


def test_rows_stand_one_behind_the_other_without_padding():
    batch = collate([A._asdict(), B._asdict()])
    assert batch["input_ids"].tolist() == [[*A.ids, *B.ids]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 1, 2]]
    assert batch["weights"].tolist() == [[*A.weights, *B.weights]]
    assert batch["labels"].tolist() == [[-100, -100, 3, -100, 5, -100, -100, 8]]
    assert batch["parts"].tolist() == [[0, 3, 0, 0], [3, 6, 3, 3], [6, 8, 3, 4]]


def test_a_single_row_without_branches_needs_nothing_but_plain_causal_attention():
    assert not {"parts", "attention_mask"} & collate([A._asdict()]).keys()


def test_no_row_learns_to_foretell_the_first_token_of_the_next():
    batch = collate([A._asdict(), A._replace(weights=[1.0, 0.0, 1.0])._asdict()])
    assert batch["weights"].tolist() == [[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]]


def test_pairs_are_places_in_the_batch():
    pair = B._replace(weights=[0.0] * 5, branches=[(3, 4, 1), (4, 5, 1)], pairs=[(3, 4)])
    assert collate([A._asdict(), pair._asdict()])["pairs"].tolist() == [[6, 7]]


def test_rows_are_read_together_as_far_as_there_is_room():
    rows = [row._asdict() for row in (A, A, B, A)]
    assert lengths(packs(rows, 100)) == [14]
    assert lengths(packs(rows, 8)) == [6, 8]
    assert lengths(packs(rows, 4)) == [3, 3, 5, 3]  # a longer row is read alone
    assert all(batch["rows"] == 4 for batch in packs(rows, 8))  # each loss is a share of the step's
    assert torch.equal(packs(rows, 8)[1]["input_ids"], torch.tensor([[*B.ids, *A.ids]]))
