"""Rows come back from their file as they were written, and what supervises nothing is refused."""

import pytest
from datasets import Dataset

from specacts.core.errors import UserError
from specacts.training.rows import Row
from specacts.training.stored import store, weight_of

PLAIN = Row([5, 80, 33, 7], [0.0, 0.3, 2.0, 1.0], [])
BRANCHED = Row([5, 80, 33], [0.0, 0.0, 1.0], [(2, 3, 1)])
PAIR = Row([5, 80, 33, 9], [0.0] * 4, [(2, 3, 1), (3, 4, 1)], [(2, 3)])
SILENT = Row([5, 80], [0.0, 0.0], [])


def test_rows_come_back_as_they_were(tmp_path):
    store(iter([PLAIN, BRANCHED, PAIR]), tmp_path / "made/rows.arrow")
    found = Dataset.from_file(str(tmp_path / "made/rows.arrow"))
    assert [row["ids"] for row in found] == [PLAIN.ids, BRANCHED.ids, PAIR.ids]
    assert [row["weights"] for row in found] == [PLAIN.weights, BRANCHED.weights, PAIR.weights]
    assert [row["branches"] for row in found] == [[], [[2, 3, 1]], [[2, 3, 1], [3, 4, 1]]]
    assert [row["pairs"] for row in found] == [[], [], [[2, 3]]]


def test_a_token_takes_twelve_bytes(tmp_path):
    stored = store((Row([n] * 2000, [0.5] * 2000, []) for n in range(40)), tmp_path / "rows.arrow")
    assert stored.path.stat().st_size / sum(stored.lengths) < 13


def test_what_a_training_has_to_know_is_counted(tmp_path):
    plain = store([PLAIN, BRANCHED], tmp_path / "plain.arrow")
    assert (plain.lengths, plain.supervised_tokens, plain.rewards) == ([4, 3], 4, False)
    assert plain.row_weight == (weight_of(PLAIN) + weight_of(BRANCHED)) / 2 == (3.3 + 1) / 2
    pairs = store([PAIR, PAIR._replace(pairs=[(2, 3)] * 3)], tmp_path / "pairs.arrow")
    assert (pairs.supervised_tokens, pairs.row_weight, pairs.rewards) == (8, 2, True)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([], "no rows; the split is empty"),
        ([SILENT], "row 0 has 2 tokens and no label"),
        ([PLAIN, Row(PLAIN.ids, [1.0], [])], "row 1 has 4 tokens"),
    ],
)
def test_data_without_labels_is_refused(bad, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        store(bad, tmp_path / "rows.arrow")
