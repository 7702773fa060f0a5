"""What the trainings' tests share: a small base, and transcripts to learn from."""

from pathlib import Path

import pytest
from toys import compact_tokenizer, episode, llama, renderer, save_base

from specacts.training.rows import Row, Weights, proposer_rows


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    tokenizer = compact_tokenizer()
    return save_base(tmp_path_factory.mktemp("base"), tokenizer, llama(tokenizer))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A handful of transcripts, plain weights."""
    episodes = [episode("a", 2), episode("b", 1), episode("c", 3)]
    return list(proposer_rows(renderer(compact_tokenizer()), episodes, Weights(1.0, 1.0)))
