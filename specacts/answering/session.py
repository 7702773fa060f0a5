"""Inference on transcripts: read a trunk once, then judge every decision as branches off its cache.

    session = Session(model)
    session.extend(window.ids, [...])        # one forward pass: the trunk's keys and values
    session.score([(point.start, ids) ...])  # log-probabilities of given continuations
    session.rewards([(point.start, ids) ...])  # a reward model's scalars for them
    session.cut(length)                      # an agent at work: back to a prefix, then go on

Branches share the trunk's cache: each new token sees its own prefix and its own branch and nothing else (tree
attention), so the cost of a decision is its own tokens, not its context. Numbers equal a run without any cache
to within floating-point noise (`NOISE`). `decode.py` generates continuations of many trunks at once.
"""

from itertools import accumulate
from weakref import WeakKeyDictionary

import torch
from transformers import DynamicCache

from specacts.models.load import head_of

NOISE = {"float32": 1e-5, "bfloat16": 0.08}
"""By how much a probability differs at most where a transcript is read whole, in parts, or beside others, by the
precision of the model (tests/answering/test_session.py). float32 is what `policies.decide.TIE` rests on. In bfloat16
what layers hand on has eight bits, so a score this near a threshold may turn out on either side of it from one reading
to the next; promises are no less true for that, because calibration and test scores are as noisy as live ones."""

_heads: WeakKeyDictionary[torch.nn.Module, torch.Tensor] = WeakKeyDictionary()
"""Weights of heads in float32, of models that have them in another precision."""


def logits(model: torch.nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """What comes after the last layer [tokens, V or 1], in float32 whatever the model's own precision.

    In bfloat16 a logit of 20 would be rounded to a multiple of 0.125. The head's weights are converted once and kept.
    """
    head = head_of(model)
    if head.weight.dtype == torch.float32:
        return head(hidden)
    if head not in _heads:
        _heads[head] = head.weight.detach().float()
    return torch.nn.functional.linear(hidden.float(), _heads[head])


class Session:
    """A model and the cache of one trunk."""

    def __init__(self, model: torch.nn.Module):
        self.model = model
        self.device = next(model.parameters()).device
        self.cache = DynamicCache(config=model.config)
        self.length = 0

    @property
    def gives_rewards(self) -> bool:
        """Whether the model is a reward model, which has no next tokens to offer."""
        return not hasattr(self.model, "lm_head")

    @torch.inference_mode()
    def extend(self, ids: list[int], keep: list[int]) -> torch.Tensor:
        """Append tokens to the trunk; returns log-probabilities [len(keep), V] after the kept trunk positions.

        keep: absolute positions; row i is the distribution of the token that follows `trunk[: keep[i] + 1]`.
        """
        hidden = self.model.model(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.arange(self.length, self.length + len(ids), device=self.device)[None],
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state[0]
        wanted = torch.tensor([k - self.length for k in keep], device=self.device, dtype=torch.long)
        self.length += len(ids)
        return self._logprobs(hidden[wanted])

    def _logprobs(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(logits(self.model, hidden), dim=-1)

    def cut(self, length: int) -> None:
        """Forget everything behind the first `length` trunk tokens."""
        surplus = self.cache.get_seq_length() - length
        if surplus:
            self.cache.crop(-surplus)  # transformers 5 takes the number of tokens to remove, as a negative
        self.length = length

    @torch.inference_mode()
    def score(self, branches: list[tuple[int, list[int]]], ends_only: bool = False) -> list[torch.Tensor]:
        """Log-probabilities after every token of each branch (`ends_only`: after its last): [len(ids) or 1, V] each.

        A branch is (prefix, ids): it leaves the trunk behind its first `prefix` tokens. Row j of a result is the
        distribution of the token that follows `ids[: j + 1]`. The trunk is left as it was.
        """
        sizes = [len(branch) for _, branch in branches]
        hidden = self._read(branches)
        if ends_only:
            hidden, sizes = hidden[_ends(sizes)], [1] * len(sizes)
        return list(self._logprobs(hidden).split(sizes))

    @torch.inference_mode()
    def rewards(self, branches: list[tuple[int, list[int]]]) -> list[float]:
        """What a reward model gives each branch, read at its last token: any real number."""
        ends = self._read(branches)[_ends([len(branch) for _, branch in branches])]
        return logits(self.model, ends)[:, 0].tolist()

    def _read(self, branches: list[tuple[int, list[int]]]) -> torch.Tensor:
        """Last hidden states of the branches' tokens, one branch behind the other: [tokens, H]."""
        ids = [token for _, branch in branches for token in branch]
        mask = torch.zeros(len(ids), self.length + len(ids), dtype=torch.bool)
        place: list[int] = []
        at = 0
        for prefix, branch in branches:
            size = len(branch)
            mask[at : at + size, :prefix] = True
            own = slice(self.length + at, self.length + at + size)
            mask[at : at + size, own] = torch.ones(size, size, dtype=torch.bool).tril()
            place += range(prefix, prefix + size)
            at += size
        hidden = self.model.model(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.tensor([place], device=self.device),
            attention_mask=mask[None, None].to(self.device),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state[0]
        self.cut(self.length)
        return hidden


def _ends(sizes: list[int]) -> list[int]:
    """Where each of consecutive parts of these sizes ends."""
    return [end - 1 for end in accumulate(sizes)]
