"""Stages that ask models go on after an interruption: nothing is asked twice, and the bytes are the same."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from places import copy_configuration
from toys import call, compact_tokenizer, llama, renderer, save_base, say

from specacts.answering import ask as asking_module
from specacts.answering import pieces, roles
from specacts.answering.roles import Voice, asking
from specacts.core.episodes import Episode, User, save_episodes
from specacts.core.forks import FORKS
from specacts.core.journal import Journal
from specacts.core.words import ROLES
from specacts.models.measure import bytes_per_token
from stages import answer, propose

EPISODES = [
    Episode(
        id=f"e{n}",
        group=f"g{n}",
        source="own",
        tools=(),
        steps=(User(content="list the files"), call("ls"), User(content=f"and number {n}"), say()),
    )
    for n in range(6)
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(copy_configuration(tmp_path))
    return tmp_path


@pytest.fixture
def readings(monkeypatch) -> list[int]:
    """How many windows were read, batch by batch; two at a time."""
    done: list[int] = []
    read = roles.read
    monkeypatch.setattr(asking_module, "batches", partial(asking_module.batches, size=2))

    def watched(model, windows):
        found = read(model, windows)
        done.append(len(windows))
        return found

    monkeypatch.setattr(roles, "read", watched)
    return done


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if "second" not in key}
    return [timeless(item) for item in value] if isinstance(value, list | tuple) else value


def test_answers_go_on_from_the_last_batch(config, readings):
    render = renderer(compact_tokenizer(), action_tokens=8)
    voices = [Voice(role, llama(render.tokenizer, seed=n), render) for n, role in enumerate(ROLES)]
    how = asking(config.recipe, config.acceptance, config.scale.answer)

    def recorded(kept: Journal) -> str:
        """What the stage would write."""
        rows: answer.Rows = {}
        try:
            for voice in voices:
                answer.ask_all(voice, {"test": EPISODES}, rows, how, 0, kept)
        finally:
            kept.file.close()
        return json.dumps(timeless(list(rows.values())))

    whole = recorded(Journal("answer", "a" * 64))
    batches = list(readings)
    assert len(batches) % 3 == 0 and len(batches) >= 9
    for most in (1, 4, len(batches) - 1):
        kept, readings[:] = Journal("answer", str(most % 10) * 64), []
        kept_add = kept.add

        def until(name, value, most=most, add=kept_add):
            if len(readings) > most:
                raise KeyboardInterrupt
            return add(name, value)

        kept.add = until
        with pytest.raises(KeyboardInterrupt):
            recorded(kept)
        readings[:] = []
        assert recorded(Journal("answer", str(most % 10) * 64)) == whole
        assert readings == batches[most:]


@pytest.mark.skipif(not FORKS, reason="copies of a process are for Linux alone")
def test_processes_side_by_side_answer_what_one_does(config, monkeypatch):
    monkeypatch.setattr(asking_module, "batches", partial(asking_module.batches, size=2))
    render = renderer(compact_tokenizer(), action_tokens=8)
    voices = [Voice(role, llama(render.tokenizer, seed=n), render) for n, role in enumerate(ROLES)]
    how = asking(config.recipe, config.acceptance, config.scale.answer)
    parts, found, threads = {"calibrate": EPISODES[:4], "test": EPISODES[4:]}, [], torch.get_num_threads()
    for count in (1, 3):
        monkeypatch.setattr(pieces, "side_by_side", lambda _, count=count: count)
        rows: answer.Rows = {}
        for voice in voices:
            kept = Journal("answer", str(count) * 64)
            answer.ask_all(voice, parts, rows, how, 0, kept)
            kept.file.close()
        again = Journal("answer", str(count) * 64)
        batches = [batch for part in parts.values() for batch in asking_module.batches(render, part, 0)]
        assert len(again.pieces) == len(ROLES) * len(batches)
        again.file.close()
        found.append(json.dumps(timeless([[*answer.of(part, rows).values()] for part in parts.values()])))
    assert found[0] == found[1] and torch.get_num_threads() == threads


def test_so_many_processes_answer_as_there_are_cores_and_room_for(monkeypatch):
    render = renderer(compact_tokenizer())
    voice = Voice("cheap", llama(render.tokenizer), render)
    each = 2 * asking_module.TOGETHER * render.limits.max_tokens * bytes_per_token(voice.model)
    for cores, windows, processes in ((1, 100, 1), (4, 100, 4), (4, 3, 3), (4, 0.5, 1)):
        monkeypatch.setattr(pieces, "copies", lambda _, cores=cores: cores)
        monkeypatch.setattr(pieces, "free_memory", lambda _, windows=windows: each * windows / pieces.SHARE * 1.01)
        assert pieces.side_by_side(voice) == processes


@pytest.mark.parametrize("most", [1, 2])
def test_proposals_go_on_from_the_last_batch_and_are_the_same_bytes(here, readings, monkeypatch, most):
    params = (here / "params.yaml").read_text(encoding="utf-8").replace("scale: cpu", "scale: smoke")
    (here / "params.yaml").write_text(params, encoding="utf-8")
    smoke = here / "configs/scale/smoke.yaml"
    smoke.write_text(
        smoke.read_text(encoding="utf-8").replace("verify_episodes: ", "verify_episodes: 20 # "), encoding="utf-8"
    )
    save_episodes(here / "data/split/verify.jsonl", EPISODES)
    tokenizer = compact_tokenizer()
    render, model = renderer(tokenizer, action_tokens=8), llama(tokenizer)
    save_base(here / "models/base/cheap", tokenizer, model)
    monkeypatch.setattr("specacts.answering.roles.load_voice", lambda *_: Voice("cheap", model, render))
    propose.main()
    whole, batches = (here / "data/proposals.jsonl").read_bytes(), list(readings)
    (here / "data/proposals.jsonl").unlink()
    add = Journal.add

    def until(self, name, value):
        if int(name) == most:
            raise KeyboardInterrupt
        return add(self, name, value)

    monkeypatch.setattr(Journal, "add", until)
    with pytest.raises(KeyboardInterrupt):
        propose.main()
    assert not (here / "data/proposals.jsonl").exists()
    monkeypatch.setattr(Journal, "add", add)
    readings[:] = []
    propose.main()
    assert (here / "data/proposals.jsonl").read_bytes() == whole and readings == batches[most:]
    assert not list((here / ".work/journal/propose").iterdir())
