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
    assert side_by_side(voices, 100, 4) == (expected, 1)


def test_heads_in_bfloat16_are_kept_in_float32_too_and_that_is_left_free(monkeypatch):
    voice = Voice("cheap", llama(TOKENIZER).bfloat16(), RENDERER)
    head = 4 * voice.model.lm_head.weight.numel()
    monkeypatch.setattr(
        room, "free_memory", lambda device: head + 2.1 * 1000 * bytes_per_token(voice.model) / room.SHARE
    )
    assert side_by_side([voice], 100, 4) == (2, 1)


def test_models_on_servers_take_nothing_here(monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda device: 0)
    assert side_by_side([Voice("cheap", Served(None, "cheap", 0, None), RENDERER)], 100, 4) == (MOST, 1)


@pytest.mark.parametrize(
    ("fit", "cores", "tasks", "expected"),
    [(100, 1, 8, (8, 1)), (100, 2, 8, (8, 2)), (100, 9, 8, (8, 4)), (17, 9, 8, (8, 2)), (3, 9, 8, (3, 1))],
)
def test_so_many_policies_run_at_a_time_as_there_are_cores_and_room_for_their_agents(
    voices, monkeypatch, fit, cores, tasks, expected
):
    each = sum(bytes_per_token(voice.model) * 1000 for voice in voices)
    monkeypatch.setattr(room, "free_memory", lambda device: (fit + 0.1) * each / room.SHARE)
    monkeypatch.setattr(room, "copies", lambda device: cores)
    assert side_by_side(voices, tasks, 4) == expected


def test_where_one_of_the_models_is_on_a_server_policies_run_one_by_one(voices, monkeypatch):
    monkeypatch.setattr(room, "copies", lambda device: 9)
    assert side_by_side(voices, 8, 4).policies > 1
    assert side_by_side([*voices, Voice("verifier", Served(None, "verifier", 0, None), RENDERER)], 8, 4).policies == 1
