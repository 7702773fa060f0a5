"""Inference on transcripts: read a trunk once, then answer and judge every decision as branches off its cache.

    session = Session(model)
    session.extend(window.ids)                             # one forward pass: the trunk's keys and values
    session.generate([Prefix(0, point.start) ...], ...)    # an action at every decision, decoded side by side
    session.score([(Prefix(0, point.start), ids) ...])     # log-probabilities of given continuations
    session.cut(length)                                    # an agent at work: back to a prefix, then go on

Branches share the trunk's cache: each new token sees its own prefix and its own branch and nothing else (tree
attention), so the cost of a decision is its own tokens, not its context. Numbers equal a run without any cache
to within floating-point noise (tests/test_infer.py).
"""

from pathlib import Path
from typing import NamedTuple

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, DynamicCache

from specacts.answers import ModelSize

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device_of(name: str) -> torch.device:
    """`auto` is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def load_model(base: Path, adapter: Path | None, device: str, dtype: str) -> torch.nn.Module:
    """A base model with its adapter merged in, for inference; safetensors only, no remote code."""
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=DTYPES[dtype], trust_remote_code=False, use_safetensors=True, attn_implementation="sdpa"
    )
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return model.to(device_of(device)).eval()


def model_size(model: torch.nn.Module) -> ModelSize:
    """What decides a token's FLOPs: parameters outside the embedding, the head's, layers, attention width."""
    config = model.config
    embedding = model.get_input_embeddings().weight
    body = sum(p.numel() for p in model.model.parameters()) - embedding.numel()
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * head_dim
    return ModelSize(body, model.lm_head.weight.numel(), config.num_hidden_layers, width)


def branch_mask(length: int, branches: list[tuple[int, int, int]]) -> torch.Tensor:
    """Boolean attention mask [length, length]; True may attend. Branch (start, end, prefix) sees prefix and itself."""
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    for start, end, prefix in branches:
        mask[start:end, prefix:start] = False
    return mask


class Prefix(NamedTuple):
    """The trunk tokens a branch sees: `cache[start:end]`. A single trunk starts at 0, joined ones behind each other."""

    start: int
    end: int


class Generated(NamedTuple):
    """One decoded continuation: its tokens (the stop token included if reached) and their log-probabilities."""

    ids: list[int]
    logprobs: list[float]
    first_logprobs: torch.Tensor  # [V] log-probabilities of the first token


class Session:
    """A model and the cache of one trunk, or of several joined."""

    def __init__(self, model: torch.nn.Module):
        self.model = model
        self.device = next(model.parameters()).device
        self.cache = DynamicCache(config=model.config)
        self.length = 0

    @classmethod
    def join(cls, sessions: list["Session"]) -> "Session":
        """One session over several trunks of one model; the i-th starts behind the lengths of those before it.

        Branches off all of them are then decoded side by side: decoding reads every weight once a step, so many
        rows cost little more than one. A joined session cannot be extended.
        """
        joined = cls(sessions[0].model)
        for layer in range(len(sessions[0].cache.layers)):
            keys = torch.cat([s.cache.layers[layer].keys for s in sessions], dim=-2)
            values = torch.cat([s.cache.layers[layer].values for s in sessions], dim=-2)
            joined.cache.update(keys, values, layer)
        joined.length = sum(s.length for s in sessions)
        return joined

    @torch.inference_mode()
    def extend(self, ids: list[int], keep: list[int]) -> torch.Tensor:
        """Append tokens to the trunk; returns log-probabilities [len(keep), V] after the kept trunk positions.

        keep: absolute positions; row i is the distribution of the token that follows `trunk[: keep[i] + 1]`.
        """
        wanted = torch.tensor([k - self.length for k in keep], device=self.device)
        logits = self.model(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.arange(self.length, self.length + len(ids), device=self.device)[None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=wanted,
        ).logits[0]
        self.length += len(ids)
        return torch.log_softmax(logits.float(), dim=-1)

    def cut(self, length: int) -> None:
        """Forget everything behind the first `length` trunk tokens."""
        surplus = self.cache.get_seq_length() - length
        if surplus:
            self.cache.crop(-surplus)  # transformers 5 takes the number of tokens to remove, as a negative
        self.length = length

    @torch.inference_mode()
    def _branch_step(self, ids: list[int], place: list[int], mask: torch.Tensor, keep: list[int]) -> torch.Tensor:
        """One forward pass of branch tokens behind the trunk; mask [len(ids), cached + len(ids)], True may attend."""
        logits = self.model(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.tensor([place], device=self.device),
            attention_mask=mask[None, None].to(self.device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=torch.tensor(keep, device=self.device),
        ).logits[0]
        return torch.log_softmax(logits.float(), dim=-1)

    def score(self, branches: list[tuple[Prefix, list[int]]], ends_only: bool = False) -> list[torch.Tensor]:
        """Log-probabilities after every token of each branch (`ends_only`: after its last): [len(ids) or 1, V] each.

        Row j of a result is the distribution of the token that follows `ids[: j + 1]`. The trunk is left as it was.
        """
        ids = [token for _, branch in branches for token in branch]
        mask = torch.zeros(len(ids), self.length + len(ids), dtype=torch.bool)
        place, at = [], 0
        for prefix, branch in branches:
            size = len(branch)
            mask[at : at + size, prefix.start : prefix.end] = True
            own = slice(self.length + at, self.length + at + size)
            mask[at : at + size, own] = torch.ones(size, size, dtype=torch.bool).tril()
            first = prefix.end - prefix.start
            place += range(first, first + size)
            at += size
        sizes = [len(branch) for _, branch in branches]
        ends = [sum(sizes[: n + 1]) - 1 for n in range(len(sizes))]
        result = self._branch_step(ids, place, mask, ends if ends_only else list(range(len(ids))))
        self.cut(self.length)
        return list(result.split(1 if ends_only else sizes))

    def generate(
        self,
        prefixes: list[Prefix],
        first: torch.Tensor,
        stop: int,
        limit: int,
        temperatures: list[float] | None = None,
        generators: list[torch.Generator | None] | None = None,
    ) -> list[Generated]:
        """Decode a continuation of each prefix, side by side, until `stop` or `limit` tokens.

        first: [len(prefixes), V] log-probabilities of the first tokens (from `extend`). A row whose temperature is 0
        is greedy; the others draw from their own generator, so that no sample depends on its neighbours. Rows of one
        prefix that have said the same so far are computed once. Log-probabilities are always the model's own, at
        temperature 1. The trunk is left as it was.
        """
        rows = len(prefixes)
        temperatures = temperatures or [0.0] * rows
        generators = generators or [None] * rows
        tokens: list[list[int]] = [[] for _ in range(rows)]
        logprobs: list[list[float]] = [[] for _ in range(rows)]
        slots: list[list[int]] = [[] for _ in range(rows)]  # cache positions of each row's own tokens
        active, latest, cached = list(range(rows)), first, self.length
        line = active  # where in `latest` each active row stands
        for step in range(limit):
            greedy = latest.argmax(dim=-1).tolist()
            for n, row in zip(line, active, strict=True):
                hot = temperatures[row] > 0
                token = _sample(latest[n], temperatures[row], generators[row]) if hot else greedy[n]
                tokens[row].append(token)
                logprobs[row].append(latest[n, token].item())
            active = [row for row in active if tokens[row][-1] != stop]
            if not active or step == limit - 1:
                break
            paths = [(prefixes[row], tuple(tokens[row])) for row in active]
            number = {path: n for n, path in enumerate(dict.fromkeys(paths))}
            line = [number[path] for path in paths]
            mask = torch.zeros(len(number), cached + len(number), dtype=torch.bool)
            for n, row in zip(line, active, strict=True):
                slots[row].append(cached + n)
                mask[n, prefixes[row].start : prefixes[row].end] = True
                mask[n, slots[row]] = True
            place = [prefix.end - prefix.start + len(said) - 1 for prefix, said in number]
            latest = self._branch_step([said[-1] for _, said in number], place, mask, list(range(len(number))))
            cached += len(number)
        self.cut(self.length)
        return [Generated(t, p, f) for t, p, f in zip(tokens, logprobs, first, strict=True)]


def _sample(logprobs: torch.Tensor, temperature: float, generator: torch.Generator | None) -> int:
    return int(torch.multinomial((logprobs / temperature).softmax(dim=-1), 1, generator=generator))
