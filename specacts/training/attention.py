"""Who sees what where several sequences are read as one: rows that stand side by side, and branches.

    model.set_attn_implementation(BY_PARTS)
    model(**inputs, parts=[(0, 8, 0, 0), (8, 12, 0, 5)])    # ids[8:12] sees ids[0:5] and itself

A part (start, end, first, prefix) sees `ids[first:prefix]` and, causally, itself. Each is attended to on its own, so
that none needs a mask as large as the square of all tokens, and those without a prefix run on the kernel for plain
causal attention. Short sequences with branches are read under one mask, `mask_of`.
"""

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

Part = tuple[int, int, int, int]

BY_PARTS = "specacts_by_parts"
"""What transformers calls the attention below; without `parts` it is its own `sdpa`."""

MASKED = 2048
"""Up to so many tokens, sequences with branches are read under one mask: 4 MiB, and one call a layer."""


def parts_of(length: int, branches: list[tuple[int, int, int]], offset: int = 0) -> list[Part]:
    """A row's trunk and its branches, where the row begins at `offset`."""
    trunk = min((start for start, _, _ in branches), default=length)
    behind = [(offset + start, offset + end, offset, offset + prefix) for start, end, prefix in branches]
    return [(offset, offset + trunk, offset, offset), *behind]


def seen_as(parts: torch.Tensor, length: int) -> dict[str, Any]:
    """What a model is given beside its tokens to keep parts [P, 4] apart: a mask [1, 1, T, T], or the parts."""
    if length <= MASKED and (parts[:, 3] > parts[:, 2]).any():
        return {"attention_mask": mask_of(parts)[None, None]}
    return {"parts": [tuple(part) for part in parts.tolist()]}


def mask_of(parts: torch.Tensor) -> torch.Tensor:
    """Boolean attention mask [T, T] of parts [P, 4], made where they are; True may attend."""
    start, _, first, prefix = (own.repeat_interleave(parts[:, 1] - parts[:, 0])[:, None] for own in parts.unbind(1))
    token = torch.arange(len(start), device=parts.device)
    return ((token >= start) & (token <= token[:, None])) | ((token >= first) & (token < prefix))


def by_parts(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    parts: list[Part] | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention [1, T, heads, D] of query [1, heads, T, D], key and value [1, kv heads, T, D], as transformers asks."""
    if parts is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)

    def attend(part: Part, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        start, end, first, prefix = part
        own, mask = slice(start, end), None
        keys, values = key[:, :, own], value[:, :, own]
        if prefix > first:
            keys, values = (torch.cat([x[:, :, first:prefix], x[:, :, own]], dim=2) for x in (key, value))
            behind = torch.ones(end - start, keys.shape[2], dtype=torch.bool, device=key.device)
            mask = behind.tril(prefix - first)[None, None]
        return sdpa_attention_forward(module, query[:, :, own], keys, values, mask, **options)[0]

    # Every branch needs its prefix's keys and values once more. Those of all branches together would be many times what
    # the sequence itself takes, so they are not kept for the backward pass but put together again there.
    again = partial(checkpoint, attend, use_reentrant=False) if torch.is_grad_enabled() else attend
    found = [(again if part[3] > part[2] else attend)(part, query, key, value) for part in parts]
    return torch.cat(found, dim=1), None


AttentionInterface.register(BY_PARTS, by_parts)
