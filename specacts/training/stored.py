"""Rows in a file that is mapped into memory: written one by one, read by each process that trains.

    stored = store(rows, scratch / "rows.arrow")
    Dataset.from_file(str(stored.path))[0]      # a row as a dictionary

In memory a row's lists take 47 bytes a token, in the file 12, of which the system keeps what it has room for.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datasets import Features, List, Value
from datasets.arrow_writer import ArrowWriter

from specacts.core.errors import UserError
from specacts.training.rows import Row

FEATURES = Features(
    {
        "ids": List(Value("int32")),
        "weights": List(Value("float64")),
        "branches": List(List(Value("int32"))),
        "pairs": List(List(Value("int32"))),
    }
)
AT_ONCE = 32
"""So many rows are held in memory before they are written."""


class Stored(NamedTuple):
    """Rows on disk, and what a training has to know of them before it begins.

    row_weight: what a row supervises on average (`weight_of`). Losses are divided by this and not by what their own row
    holds, so that every decision weighs the same: a mean within each row lets a row of one decision weigh as much as
    one of ten.
    """

    path: Path
    lengths: list[int]
    supervised_tokens: int
    row_weight: float
    rewards: bool


def weight_of(row: Row) -> float:
    """What a row supervises: its weights' sum or, of a reward model's, its pairs."""
    return len(row.pairs) or sum(row.weights)


def store(rows: Iterable[Row], path: Path) -> Stored:
    """Write the rows, in their order. Raises `UserError` where there are none, or one supervises nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lengths, weights, supervised, rewards = [], [], 0, False
    with ArrowWriter(path=str(path), features=FEATURES, writer_batch_size=AT_ONCE) as writer:
        for number, row in enumerate(rows):
            if len(row.ids) != len(row.weights) or not (any(row.weights) or row.pairs):
                size = len(row.ids)
                raise UserError(f"training: row {number} has {size} tokens and no label; this is a renderer bug")
            writer.write(row._asdict())
            lengths.append(len(row.ids))
            weights.append(weight_of(row))
            supervised += sum(1 for w in row.weights if w) + 2 * len(row.pairs)
            rewards = rewards or bool(row.pairs)
        if lengths:
            writer.finalize()
    if not lengths:
        path.unlink(missing_ok=True)
        raise UserError(
            "training: no rows; the split is empty, or holds no wrong action for a reward model to learn from"
        )
    return Stored(path, lengths, supervised, sum(weights) / len(weights), rewards)
