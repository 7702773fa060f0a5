"""As many agents act side by side as fit in memory, with what each takes in every model that runs here."""

import pytest
from toys import compact_tokenizer, llama, renderer

from specacts.answering.roles import Voice
from specacts.answering.served import Served
from specacts.live import room
from specacts.live.room import MOST, side_by_side
from specacts.models.measure import bytes_per_token

TOKENIZER = compact_tokenizer()
RENDERER = renderer(TOKENIZER, max_tokens=1000)


@pytest.fixture(scope="module")
def voices() -> list[Voice]:
    return [Voice(role, llama(TOKENIZER), RENDERER) for role in ("cheap", "strong")]


@pytest.mark.parametrize(("agents", "expected"), [(100, MOST), (3, 3), (0.2, 1)])
def test_as_many_as_fit_in_what_is_free_but_no_more_than_help(voices, monkeypatch, agents, expected):
    each = sum(bytes_per_token(voice.model) * 1000 for voice in voices)
    monkeypatch.setattr(room, "free_memory", lambda device: (agents + 0.1) * each / room.SHARE)
    assert side_by_side(voices) == expected


def test_heads_in_bfloat16_are_kept_in_float32_too_and_that_is_left_free(monkeypatch):
    voice = Voice("cheap", llama(TOKENIZER).bfloat16(), RENDERER)
    head = 4 * voice.model.lm_head.weight.numel()
    monkeypatch.setattr(
        room, "free_memory", lambda device: head + 2.1 * 1000 * bytes_per_token(voice.model) / room.SHARE
    )
    assert side_by_side([voice]) == 2


def test_models_on_servers_take_nothing_here(monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda device: 0)
    assert side_by_side([Voice("cheap", Served(None, "cheap", 0, None), RENDERER)]) == MOST
