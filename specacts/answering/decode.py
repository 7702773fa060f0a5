"""Decode continuations of many trunks side by side: a proposal at every decision of several windows at once.

    generate([session, other, ...], [Prefix(0, point.start), ...], first, stop, limit)

Decoding reads every weight once a step, however many rows take the step, so rows are nearly free until there are
hundreds. They are one flat sequence to the model's linear layers. Attention is computed here, in two parts under one
softmax: over the trunk that a row shares with others, where its keys lie, uncopied, and over the row's own tokens
(as in bifurcated attention, arXiv 2403.08845). It plugs into any decoder that takes its attention from transformers'
`AttentionInterface`, which Llama and Qwen3 do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import torch
from transformers import AttentionInterface

from specacts.answering.guide import Guide, Preferred, sample
from specacts.answering.session import Session, logits

ATTENTION = "specacts_branches"


class Prefix(NamedTuple):
    """What a continuation sees: the first `end` tokens of trunk number `trunk`."""

    trunk: int
    end: int


class Generated(NamedTuple):
    """One decoded continuation: its tokens (the stop token included if reached) and their log-probabilities."""

    ids: list[int]
    logprobs: list[float]
    first_logprobs: torch.Tensor  # [V] log-probabilities of the first token


class _Node(NamedTuple):
    """Something said so far, by one row or by several alike."""

    prefix: Prefix
    said: tuple[int, ...]


@torch.inference_mode()
def generate(
    sessions: list[Session],
    prefixes: list[Prefix],
    first: torch.Tensor,
    stop: int,
    limit: int,
    temperatures: list[float] | None = None,
    generators: list[torch.Generator | None] | None = None,
    brief: Sequence[tuple[int, ...]] = (),
    guides: Sequence[Guide] = (),
) -> list[Generated]:
    """Decode a continuation of each prefix until `stop` or `limit` tokens.

    brief: beginnings that say all that is wanted; one token more, which shows whether anything follows, is the last.
    guides: one a row, which keep it to what an action may be; rows alike in prefix and tokens have guides alike.

    first: [len(prefixes), V] log-probabilities of the first tokens (from `Session.extend`). A row whose temperature
    is 0 is greedy; the others draw from their own generator, so that no sample depends on its neighbours. Rows that
    have said the same so far are computed once. Log-probabilities are always the model's own, at temperature 1. The
    sessions' trunks are left as they were.
    """
    rows = len(prefixes)
    temperatures = temperatures or [0.0] * rows
    generators = generators or [None] * rows
    tokens: list[list[int]] = [[] for _ in range(rows)]
    logprobs: list[list[float]] = [[] for _ in range(rows)]
    model, branches = sessions[0].model, _Branches(sessions)
    active = sorted(range(rows), key=lambda row: prefixes[row].trunk)
    latest, line = first, active  # line: where in `latest` each active row stands
    with _attention(model):
        for step in range(limit):
            greedy = latest.argmax(dim=-1).tolist()
            parents: dict[_Node, int] = {}
            following: list[int] = []
            for n, row in zip(line, active, strict=True):
                if guides:
                    token = guides[row].take(Preferred(latest[n], temperatures[row], generators[row]))
                else:
                    hot = temperatures[row] > 0
                    token = sample(latest[n], temperatures[row], generators[row]) if hot else greedy[n]
                tokens[row].append(token)
                logprobs[row].append(latest[n, token].item())
                if token != stop and tuple(tokens[row][:-1]) not in brief:
                    parents.setdefault(_Node(prefixes[row], tuple(tokens[row])), n)
                    following.append(row)
            active = following
            if not active or step == limit - 1:
                break
            nodes = list(parents)
            number = {node: n for n, node in enumerate(nodes)}
            line = [number[_Node(prefixes[row], tuple(tokens[row]))] for row in active]
            branches.take([node.prefix for node in nodes], list(parents.values()))
            hidden = model.model(
                input_ids=torch.tensor([[node.said[-1] for node in nodes]], device=first.device),
                position_ids=torch.tensor([[n.prefix.end + len(n.said) - 1 for n in nodes]], device=first.device),
                use_cache=False,
                branches=branches,
            ).last_hidden_state[0]
            latest = torch.log_softmax(logits(model, hidden), dim=-1)
    return [Generated(t, p, f) for t, p, f in zip(tokens, logprobs, first, strict=True)]


class _Branches:
    """The trunks' keys and values, and those that the rows being decoded have of their own.

    Of a layer, a trunk has [kv heads, length, head size]; the rows have [rows, kv heads, steps, head size].
    """

    def __init__(self, sessions: list[Session]):
        self.trunks = [[(layer.keys[0], layer.values[0]) for layer in session.cache.layers] for session in sessions]
        self.own: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def take(self, prefixes: list[Prefix], parents: list[int]) -> None:
        """Say which rows come next, those of one trunk together, and which of the latest rows each goes on from."""
        self.spans = list(self._spans(prefixes))
        self.own = {n: (keys[parents], values[parents]) for n, (keys, values) in self.own.items()}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Attention of one new token a row: query [1, heads, rows, head size] to [1, rows, heads, head size].

        Scores are float32 whatever the model's own precision, as in the kernels that read trunks.
        """
        _, heads, rows, size = query.shape
        shared = key.shape[1]  # heads with keys of their own; heads / shared queries use each
        query = (query[0].float() * scaling).view(shared, heads // shared, rows, size).permute(2, 0, 1, 3)
        keys, values = (part[0].transpose(0, 1).unsqueeze(2) for part in (key, value))
        if layer in self.own:
            keys, values = (torch.cat(p, dim=2) for p in zip(self.own[layer], (keys, values), strict=True))
        self.own[layer] = keys, values
        scores = query @ keys.float().transpose(-1, -2)
        result = torch.empty_like(query, dtype=value.dtype)
        for trunk, start, end, length, hidden in self.spans:
            trunk_keys, trunk_values = (part[:, :length] for part in self.trunks[trunk][layer])
            mine = query[start:end].transpose(0, 1)  # [shared, rows, heads / shared, size]
            seen = (mine.flatten(1, 2) @ trunk_keys.float().transpose(-1, -2)).view(*mine.shape[:3], length)
            seen = seen.transpose(0, 1).masked_fill(hidden, -torch.inf)
            weights = torch.cat([seen, scores[start:end]], dim=-1).softmax(dim=-1).to(value.dtype)
            context = weights[..., :length].transpose(0, 1).flatten(1, 2) @ trunk_values
            result[start:end] = context.view_as(mine).transpose(0, 1) + weights[..., length:] @ values[start:end]
        return result.reshape(1, rows, heads, size)

    def _spans(self, prefixes: list[Prefix]) -> Iterator[tuple[int, int, int, int, torch.Tensor]]:
        """Trunk, its first row and the one behind its last, the tokens any of them sees, and what each does not."""
        start = 0
        for trunk, group in groupby(prefixes, key=lambda prefix: prefix.trunk):
            seen = torch.tensor([prefix.end for prefix in group])
            length = int(seen.max())
            hidden = torch.arange(length) >= seen[:, None]
            yield trunk, start, start + len(seen), length, hidden[:, None, None].to(self.trunks[trunk][0][0].device)
            start += len(seen)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    branches: _Branches,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer. The mask that it makes of the flat sequence means nothing here."""
    return branches.attend(module.layer_idx, query, key, value, scaling), None


AttentionInterface.register(ATTENTION, _attend)


@contextmanager
def _attention(model: torch.nn.Module) -> Iterator[None]:
    """Let the model attend by `_attend`."""
    usual = model.config._attn_implementation
    model.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)
