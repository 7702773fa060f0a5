"""Inference on transcripts: read a trunk once, then judge every decision as branches off its cache.

    session = Session(model)
    session.extend(window.ids, [...])        # one forward pass: the trunk's keys and values
    session.score([(point.start, ids) ...])  # log-probabilities of given continuations
    session.rewards([(point.start, ids) ...])  # a reward model's scalars for them
    session.cut(length)                      # an agent at work: back to a prefix, then go on

Branches share the trunk's cache: each new token sees its own prefix and its own branch and nothing else (tree
attention), so the cost of a decision is its own tokens, not its context. Numbers equal a run without any cache
to within floating-point noise (tests/test_infer.py). `decode.py` generates continuations of many trunks at once.
"""

from itertools import accumulate
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, DynamicCache

from specacts.answers import ModelSize
from specacts.errors import UserError
from specacts.files import read_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TASKS = {False: "CAUSAL_LM", True: "SEQ_CLS"}
"""What PEFT calls the two kinds of adapters, a reward model's being the second."""


def device_of(name: str) -> torch.device:
    """`auto` is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def load_base(base: Path, device: str, dtype: str, rewards: bool = False) -> torch.nn.Module:
    """A base model on its device, with a new scalar head where it `rewards`; safetensors only, no remote code."""
    kind, own = AutoModelForCausalLM, {}
    if rewards:
        kind, own = AutoModelForSequenceClassification, {"num_labels": 1}
    model = kind.from_pretrained(
        base, dtype=DTYPES[dtype], trust_remote_code=False, use_safetensors=True, attn_implementation="sdpa", **own
    )
    return model.to(device_of(device))


def load_model(base: Path, adapter: Path | None, device: str, dtype: str, rewards: bool = False) -> torch.nn.Module:
    """A base model with its adapter merged in, for inference.

    Raises `UserError` where there is no adapter of the wanted kind: a reward model's has a head of its own.
    """
    if adapter is not None:
        kind = read_json(adapter / "adapter_config.json").get("task_type")
        if (kind == TASKS[True]) != rewards:
            wanted = "a reward model" if rewards else "a language model"
            raise UserError(
                f"{adapter}: its adapter is of kind {kind}, and the recipe's verifier.objective asks for {wanted} "
                f"({TASKS[rewards]}); train it again: `dvc repro train@{adapter.name}`"
            )
    model = load_base(base, device, dtype, rewards)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return model.eval()


def model_size(model: torch.nn.Module) -> ModelSize:
    """What decides a token's FLOPs: parameters outside the embedding, the head's, layers, attention width."""
    config = model.config
    embedding = model.get_input_embeddings().weight
    body = sum(p.numel() for p in model.model.parameters()) - embedding.numel()
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * head_dim
    return ModelSize(body, _head(model).weight.numel(), config.num_hidden_layers, width)


def _head(model: torch.nn.Module) -> torch.nn.Module:
    """Next tokens of a language model, the scalar of a reward model."""
    return model.lm_head if hasattr(model, "lm_head") else model.score


def branch_mask(length: int, branches: list[tuple[int, int, int]]) -> torch.Tensor:
    """Boolean attention mask [length, length]; True may attend. Branch (start, end, prefix) sees prefix and itself."""
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    for start, end, prefix in branches:
        mask[start:end, prefix:start] = False
    return mask


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
        return torch.log_softmax(_head(self.model)(hidden).float(), dim=-1)

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
        return _head(self.model)(ends)[:, 0].tolist()

    def _read(self, branches: list[tuple[int, list[int]]]) -> torch.Tensor:
        """Last hidden states of the branches' tokens, one branch behind the other: [tokens, H]."""
        ids = [token for _, branch in branches for token in branch]
        mask = torch.zeros(len(ids), self.length + len(ids), dtype=torch.bool)
        place, at = [], 0
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
