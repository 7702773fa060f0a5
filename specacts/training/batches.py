"""What a model reads at a time: the rows of a step one behind the other, without padding and unseen by each other.

    packs(rows, most_tokens=8192)     # as many batches as the rows take; their losses add up to the step's

A batch is one sequence: input_ids, labels, weights, position_ids [1, T]; `rows`, how many rows the losses of the step
are averaged over; of several rows, or one with branches, their `parts` [P, 4] (attention.py); of a reward model `pairs`
[P, 2] of chosen and rejected positions.
"""

from itertools import accumulate
from typing import Any

import torch

from specacts.training.attention import parts_of

Batch = dict[str, Any]


def packs(rows: list[dict[str, Any]], most_tokens: int) -> list[Batch]:
    """The rows in order, in batches of at most so many tokens; a longer row is a batch of its own."""
    found: list[list[dict[str, Any]]] = []
    room = 0
    for row in rows:
        if len(row["ids"]) > room:
            found.append([])
            room = most_tokens
        found[-1].append(row)
        room -= len(row["ids"])
    return [collate(some) | {"rows": len(rows)} for some in found]


def collate(rows: list[dict[str, Any]]) -> Batch:
    """One batch of these rows. A single row without branches has no parts: plain causal attention."""
    offsets = list(accumulate((len(row["ids"]) for row in rows[:-1]), initial=0))
    ids = torch.tensor([[token for row in rows for token in row["ids"]]])
    # Nothing predicts a row's first token: what stands before it is another row's.
    weights = torch.tensor([[weight for row in rows for weight in [0.0, *row["weights"][1:]]]])
    batch = {"input_ids": ids, "labels": ids.masked_fill(weights == 0, -100), "weights": weights, "rows": len(rows)}
    batch["position_ids"] = torch.tensor([[p for row in rows for p in positions(len(row["ids"]), row["branches"])]])
    placed = list(zip(rows, offsets, strict=True))
    if len(rows) > 1 or rows[0]["branches"]:
        parts = [part for row, at in placed for part in parts_of(len(row["ids"]), row["branches"], at)]
        batch["parts"] = torch.tensor(parts)
    pairs = [(at + chosen, at + rejected) for row, at in placed for chosen, rejected in row["pairs"]]
    return batch | ({"pairs": torch.tensor(pairs)} if pairs else {})


def positions(length: int, branches: list[tuple[int, int, int]]) -> list[int]:
    """Position ids: a branch counts on from the prefix it leaves."""
    result = list(range(length))
    for start, end, prefix in branches:
        result[start:end] = range(prefix, prefix + end - start)
    return result
