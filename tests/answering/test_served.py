"""A model on a server says what it says here, and a server that cannot is named with what it lacks."""

import importlib
import json
import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType

import httpx
import pytest
import torch
from completions import completed, handler
from toys import call, compact_tokenizer, episode, llama, renderer, save_base, say

from specacts.answering import abreast, served
from specacts.answering.ask import batches, hear, read
from specacts.answering.completions import TRIES, Server
from specacts.answering.pieces import answered
from specacts.answering.records import Candidate
from specacts.answering.roles import Voice, asking, judgements, proposals, read_batch
from specacts.answering.served import GREEDILY, Drawn, Served, opened
from specacts.config import CompletionsEngine
from specacts.core.episodes import Episode
from specacts.core.errors import UserError
from specacts.core.fingerprints import SERVED
from specacts.core.journal import Journal
from specacts.core.words import LEVELS, ROLES
from specacts.live.agents import ASKED, Models, Row, Trunk
from specacts.models.measure import model_size, size_of_base
from specacts.policies.decide import GREEDY
from stages import answer

TOKENIZER = compact_tokenizer()
RENDERER = renderer(TOKENIZER, max_tokens=250, action_tokens=6)
SILENT = episode("a", 1)
SPOKEN = SILENT.model_copy(update={"id": "b", "steps": (*SILENT.steps[:-1], say("final_answer", "it is moved"))})
EPISODES = [SILENT, SPOKEN]
BATCH = next(batches(RENDERER, EPISODES, 0))
URL = "http://127.0.0.1:1/v1"


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return llama(TOKENIZER, layers=1)


@pytest.fixture(scope="module")
def base(model, tmp_path_factory) -> Path:
    return save_base(tmp_path_factory.mktemp("base"), TOKENIZER, model)


@pytest.fixture
def how(config):
    return asking(config.recipe, config.acceptance, config.scale.answer)


def there(model, answer=None, role="cheap", **settings) -> Voice:
    """A role's voice on a server of toys. answer: what it does with requests."""
    wire = httpx.MockTransport(answer or handler({"cheap": model}))
    server = Server(URL, 4, wire=wire, pause=lambda _: None, **settings)
    return Voice(role, Served(server, "cheap", RENDERER.stop_id, model_size(model)), RENDERER)


def timeless(rows: list) -> list:
    return [[one.model_copy(update={"seconds": 0.0, "words": None}) for one in row] for row in rows]


def seeds() -> list[int]:
    return [a.seed for window in BATCH for a in window]


def test_the_greedy_proposal_and_its_confidence_are_those_of_the_model_here(model, how):
    here, remote = Voice("cheap", model, RENDERER), there(model)
    found = [proposals(voice, read_batch(voice, BATCH), how, 1, seeds(), []) for voice in (here, remote)]
    for (local,), (other,) in zip(*found, strict=True):
        assert (other.text, other.action, other.tokens) == (local.text, local.action, local.tokens)
        assert other.confidence == pytest.approx(local.confidence, abs=1e-5)
        assert other.logprob == pytest.approx(local.logprob, abs=1e-4)
        assert (other.words and other.words.text) == (local.words and local.words.text)


def test_sampled_proposals_repeat_with_the_seed_and_change_no_greedy_one(model, how):
    hot = how._replace(temperature=2.0)
    voice = there(model)
    reading = read_batch(voice, [BATCH[0][:2]])

    def texts(start: int, count: int) -> list[list[str]]:
        found = proposals(voice, reading, hot, count, [start, start + 9], [])
        return [[one.text for one in row] for row in found]

    first = texts(0, 3)
    assert texts(0, 3) == first != texts(1, 3)
    assert [row[:1] for row in first] == texts(0, 1) and all(len(row) == 3 for row in first)


def test_proposals_are_kept_to_well_formed_actions_as_they_are_here(model, how):
    kept, tools = how._replace(well_formed=True, temperature=3.0), [a.tools for a in BATCH[0]]
    long = renderer(TOKENIZER, max_tokens=250, action_tokens=16)
    here, remote = Voice("cheap", model, long), there(model)._replace(renderer=long)
    found = [proposals(voice, read_batch(voice, BATCH[:1]), kept, 2, [5, 6, 7], tools) for voice in (here, remote)]
    for local, other in zip(*found, strict=True):
        assert other[0].text == local[0].text
        assert other[0].logprob == pytest.approx(local[0].logprob, abs=1e-4)
        assert other[1].action


def test_where_nobody_takes_proposals_they_have_no_words(model, how):
    voice = there(model)
    row = proposals(voice, read_batch(voice, BATCH[:1]), how, 1, seeds(), [], speaks=False)
    assert all(one.words is None for candidates in row for one in candidates)


def made(action) -> Candidate:
    return Candidate(text=str(action), action=action, confidence=0.7, logprob=-1.0, tokens=1, seconds=0.0)


CHOICES = [
    [made(say("BLOCKED", "no").action), made(call("f", "repair", x=1).action), made(None), made(say("BLOCKED").action)]
    for _ in seeds()
]


@pytest.mark.parametrize("score", ["verdict", *LEVELS])
def test_verdicts_and_likelihoods_are_those_of_the_model_here(model, how, score):
    how = how if score == "verdict" else how._replace(level=score)
    kind = "verdict" if score == "verdict" else "likelihood"
    here, remote = Voice("verifier", model, RENDERER), there(model, role="verifier")
    found = [judgements(voice, read_batch(voice, BATCH), CHOICES, how, kind) for voice in (here, remote)]
    for locals_, others in zip(*found, strict=True):
        for local, other in zip(locals_, others, strict=True):
            assert other.score == pytest.approx(local.score, rel=1e-3, abs=1e-7)
            assert (other.tokens, other.heads, other.shared) == (local.tokens, local.heads, local.shared)


def test_what_the_agent_said_is_as_likely_there_as_here(model):
    windows = [window[0].window for window in BATCH]
    voice = there(model)
    other = [served.hear(voice.model, window, point) for window in windows for point in window.points]
    local = hear(read(model, windows), windows)
    assert any(local) and [one and one.tokens for one in other] == [one and one.tokens for one in local]
    for a, b in zip(local, other, strict=True):
        assert a is None or b.nll == pytest.approx(a.nll, rel=1e-3)


def test_a_base_that_is_not_loaded_is_as_large_as_when_it_is(model, base):
    assert size_of_base(base) == model_size(model)


# -- what goes wrong ------------------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_and_one_that_stays_busy_is_named(model):
    asked = []

    def busy(times: int):
        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            if len(asked) <= times:
                return httpx.Response(503, headers={"retry-after": "1"}, json={"error": {"message": "too\nmany"}})
            return handler({"cheap": model})(request)

        return answer

    voice = there(model, busy(2))
    assert voice.model.write([5, 6], [7], 1)[0].asked.keys() == {7} and len(asked) == 3
    asked.clear()
    with pytest.raises(UserError, match=r"engine: http://127.0.0.1:1/v1: answers 503: too many \(cheap\)"):
        there(model, busy(99)).model.write([5, 6], [7], 1)
    assert len(asked) == TRIES


def test_a_refusal_is_not_asked_again(model):
    asked = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(400, json={"error": {"message": "prompt is too long"}})

    with pytest.raises(UserError, match="answers 400: prompt is too long"):
        there(model, refuse).model.write([5], [7], 1)
    assert len(asked) == 1


def test_a_server_that_hangs_is_not_asked_again_and_one_that_is_restarted_is(model):
    asked = []

    def broken(error: type[httpx.TransportError]):
        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(error)
            raise error("")

        return answer

    for error in (httpx.ReadTimeout, httpx.ConnectError):
        with pytest.raises(UserError, match=rf"gives no answer \({error.__name__}\)"):
            there(model, broken(error)).model.write([5], [7], 1)
    assert Counter(asked) == {httpx.ReadTimeout: 1, httpx.ConnectError: TRIES}


def test_continuations_stand_in_the_order_of_their_draws_and_none_is_missing(model):
    def answering(change):
        def answer(request: httpx.Request) -> httpx.Response:
            status, found = completed({"cheap": model}, json.loads(request.content))
            found["choices"] = change(found["choices"])
            return httpx.Response(status, json=found)

        return there(model, answer).model

    ask = ([5, 6], [7], 3, Drawn(2.0, 11), 3)
    assert answering(lambda all_: all_[::-1]).write(*ask) == there(model).model.write(*ask)
    with pytest.raises(UserError, match="2 continuations instead of 3"):
        answering(lambda all_: all_[1:]).write(*ask)


def test_a_log_probability_that_is_no_number_is_refused(model):
    def overflown(request: httpx.Request) -> httpx.Response:
        status, found = completed({"cheap": model}, json.loads(request.content))
        found["choices"][0]["logprobs"]["top_logprobs"][0]["token_id:7"] = math.nan
        return httpx.Response(status, content=json.dumps(found))

    with pytest.raises(UserError, match="a log-probability is no number"):
        there(model, overflown).model.write([5, 6], [7], 1)


def test_questions_of_many_requests_share_the_servers_threads(model):
    threads = set()

    def note(request: httpx.Request) -> httpx.Response:
        threads.add(threading.current_thread())
        return handler({"cheap": model})(request)

    voice = there(model, note)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: voice.model.scored([5, 6, 7, 8, 9], 1), range(6)))
    assert len(threads) <= voice.model.server.together


def test_what_follows_in_a_proposal_is_drawn_with_seeds_of_its_own():
    drawn = Drawn(0.8, 11)
    follows = [drawn.next(k).again(n) for k in range(3) for n in range(1, 9)]
    assert len({*follows, *(drawn.next(k).seed for k in range(3))}) == 27
    assert GREEDILY.again(1) is None


def test_no_more_requests_are_under_way_than_allowed(model):
    under_way, most = Counter(), []

    def slow(request: httpx.Request) -> httpx.Response:
        under_way["now"] += 1
        most.append(under_way["now"])
        try:
            return handler({"cheap": model})(request)
        finally:
            under_way["now"] -= 1

    voice = there(model, slow)
    voice.model.each(lambda n: voice.model.write([n + 1, 6], [7], 1), range(12))
    assert len(most) == 12 and max(most) <= 4


def test_sampling_is_left_to_no_default_of_the_server(model):
    sent = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return handler({"cheap": model})(request)

    there(model, note).model.write([5, 6], [7], 3, Drawn(0.8, 11), count=2)
    wanted = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "ignore_eos": True, "seed": 11, "n": 2}
    assert sent[0].items() >= wanted.items() and sent[0]["stop_token_ids"] == [RENDERER.stop_id]


def engine(**changed) -> CompletionsEngine:
    models = {"cheap": {"url": URL, "name": "cheap"}}
    return CompletionsEngine.model_validate(
        {"kind": "vllm", "concurrency": 2, "key_env": None, "models": models} | changed
    )


@pytest.mark.parametrize(
    ("names", "refusing", "says"),
    [
        (["judge"], {}, r"serves no model 'cheap' \(cheap\); it has judge.*--lora-modules cheap=models/cheap"),
        (["cheap"], {"told": True}, "does not give log-probabilities by token id for cheap"),
        (["cheap"], {"numbers": True}, "tokens are told as text"),
        (["cheap"], {"adds": True}, "it adds its own"),
    ],
)
def test_what_a_server_lacks_is_said_when_it_is_opened(model, base, names, refusing, says):
    wire = httpx.MockTransport(handler(dict.fromkeys(names, model), **refusing))
    with pytest.raises(UserError, match=says):
        opened(engine(), "cheap", RENDERER, base, wire)


def test_a_server_that_reads_too_little_is_told_how_much_is_needed(model, base):
    long = renderer(TOKENIZER, max_tokens=5000)
    with pytest.raises(UserError, match="reads 4096 tokens at most.*--max-model-len 5064"):
        opened(engine(), "cheap", long, base, httpx.MockTransport(handler({"cheap": model})))


def test_an_adapter_reads_as_much_as_its_base(model, base):
    """As vLLM lists them: an adapter's entry names its parent, and no length."""
    entries = [
        {"id": "base", "max_model_len": 300, "parent": None},
        {"id": "cheap", "max_model_len": None, "parent": "base"},
    ]
    wire = httpx.MockTransport(lambda request: httpx.Response(200, json={"data": entries}))
    with pytest.raises(UserError, match="reads 300 tokens at most.*--max-model-len 314"):
        opened(engine(), "cheap", RENDERER, base, wire)


def test_a_server_that_is_not_there_is_said_to_be_so(base):
    with pytest.raises(UserError, match=r"does not list its models \(ConnectError\); is it running"):
        opened(engine(), "cheap", RENDERER, base)


def test_a_key_that_is_not_set_is_asked_for(base, monkeypatch):
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(UserError, match="the environment has no NO_KEY"):
        opened(engine(key_env="NO_KEY"), "cheap", RENDERER, base)


def test_a_key_is_sent_without_the_space_around_it_and_not_shown(model, base, monkeypatch):
    sent = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        return handler({"cheap": model})(request)

    monkeypatch.setenv("A_KEY", " sesame\n")
    opened(engine(key_env="A_KEY"), "cheap", RENDERER, base, httpx.MockTransport(note))
    assert set(sent) == {"Bearer sesame"}
    monkeypatch.setenv("A_KEY", "séame")
    with pytest.raises(UserError, match="A_KEY holds characters that no key can have") as refused:
        opened(engine(key_env="A_KEY"), "cheap", RENDERER, base)
    assert "ame" not in str(refused.value).replace("name", "")


def test_a_model_that_can_be_used_is_opened(model, base):
    found = opened(engine(), "cheap", RENDERER, base, httpx.MockTransport(handler({"cheap": model})))
    assert (found.name, found.stop, found.size) == ("cheap", RENDERER.stop_id, model_size(model))


# -- many decisions -------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def journal(name: str) -> Journal:
    return Journal("answer", name * 64)


def test_an_interrupted_run_asks_about_no_decision_twice(model, how, here):
    """A server that dies in the middle; the second run asks about the rest alone."""
    left, contexts = [7], []

    def dies(request: httpx.Request) -> httpx.Response:
        left[0] -= 1
        if left[0] < 0:
            return httpx.Response(404, json={"error": {"message": "gone"}})
        body = json.loads(request.content)
        if body["max_tokens"] == 1 and body["logprob_token_ids"] == RENDERER.first_ids:
            contexts.append(body["prompt"])
        status, found = completed({"cheap": model}, body)
        return httpx.Response(status, json=found)

    def recorded(voice: Voice, kept: Journal) -> str:
        rows: answer.Rows = {}
        try:
            answer.ask_all(voice, {"test": EPISODES}, rows, how, 0, kept)
        finally:
            kept.file.close()
        return json.dumps(without_seconds(list(rows.values())))

    whole = recorded(there(model), journal("a"))
    with pytest.raises(UserError, match="answers 404: gone"):
        recorded(there(model, dies), journal("b"))
    kept = journal("b")
    done = len(kept.pieces)
    assert 0 < done < len(seeds())
    kept.file.close()
    left[0], contexts[:] = 10**6, []
    assert recorded(there(model, dies), journal("b")) == whole
    assert len(contexts) == len(seeds()) - done


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if "second" not in key}
    return [without_seconds(item) for item in value] if isinstance(value, list | tuple) else value


def test_answers_of_a_server_stand_in_the_order_of_their_decisions(model, here):
    kept = journal("c")
    said = answered(there(model), {"": EPISODES}, 0, lambda batch: [a.point.decision for a in batch[0]], kept)
    found = [(a.episode.id, a.point.decision, one) for asked, own in said for a, one in zip(asked, own, strict=True)]
    assert found == [(a.episode.id, a.point.decision, a.point.decision) for window in BATCH for a in window]
    kept.file.close()


def test_all_three_roles_answer_on_servers_what_they_answer_here(model, how, here):
    """The whole rows, but for seconds and draws."""
    rows: list[answer.Rows] = [{}, {}]
    for role in ROLES:
        for own, voice in zip(rows, (Voice(role, model, RENDERER), there(model, role=role)), strict=True):
            kept = journal("d" if voice.model is model else "e")
            alone = how._replace(proposals=1)
            answer.ask_all(voice, {"test": EPISODES}, own, alone, 0, kept)
            kept.file.close()
    for local, other in zip(rows[0].values(), rows[1].values(), strict=True):
        assert alike(without_seconds(local), without_seconds(other)), (local, other)


def alike(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return a == pytest.approx(b, rel=1e-3, abs=1e-5) if isinstance(a, float) else a == b


def test_a_window_is_made_when_there_is_room_for_it(here):
    """Of many windows only a few are in memory: tokens of all of them would be gigabytes."""
    made, kept = [], journal("f")

    def groups():
        for asked in (a for window in BATCH for a in window):
            made.append(asked)
            yield [[[asked]]]

    found = abreast.side_by_side(groups(), lambda batch: [0], kept, "", most=1)
    next(found)
    assert len(made) == min(abreast.AHEAD + 1, len(seeds()))
    found.close()
    kept.file.close()


def test_where_models_run_here_nothing_of_what_asks_servers_is_run(model, how, here, monkeypatch):
    """Which is why it is in no list of what decides a stage's bytes then (core/fingerprints.py)."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asks a server")

    for module in map(importlib.import_module, SERVED):
        for name, value in vars(module).items():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                monkeypatch.setattr(module, name, refuse)
    rows: answer.Rows = {}
    for role in ROLES:
        kept, voice = journal(role[0]), Voice(role, model, RENDERER)
        answer.ask_all(voice, {"test": EPISODES}, rows, how, 0, kept)
        kept.file.close()
        agent, ask = AtWork(SPOKEN, 1), Models({role: voice}, how, 0)
        agent.row.cheap = tuple(CHOICES[0])
        assert all(ask(field, [agent]) for field, asked in ASKED.items() if asked == role)
    assert len(rows) == len(seeds())


# -- agents at work -------------------------------------------------------------------------------------------


class AtWork:
    """An agent in front of a decision of an episode."""

    def __init__(self, one: Episode, step: int) -> None:
        self.one, self.trunks = one, {}
        self.face(step)

    def face(self, step: int) -> None:
        self.episode = self.one.model_copy(update={"steps": self.one.steps[:step]})
        self.row = Row(made={}, episode=self.one.id, decision=step, picks=GREEDY)
        self.row.window, self.row.context, self.row.seconds_per_token = {}, {}, {}

    def trunk(self, role, model, ids) -> Trunk:
        return self.trunks.setdefault(role, Trunk(model))


def test_agents_hear_from_a_server_what_they_hear_here_and_it_reads_no_context_twice(model, how):
    sent = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content) if request.content else None)
        return handler({"cheap": model})(request)

    found = []
    for voice in (Voice("strong", model, RENDERER), there(model, note, role="strong")):
        agents, ask = [AtWork(one, 1) for one in EPISODES], Models({"strong": voice}, how, 0)
        for agent in agents:
            agent.row.cheap = tuple(CHOICES[0])
        told = [ask("strong_verdict", agents), ask("strong", agents)]
        for agent in agents:
            agent.face(3)
        found.append([*told, ask("strong", agents), [agent.row.context for agent in agents]])
    assert alike(*(without_seconds([json.loads(dumps(one)) for one in own]) for own in found))
    assert len([one for one in sent if one["max_tokens"] == 1]) == 2 * len(EPISODES)  # each context once


def dumps(value) -> str:
    return json.dumps(value, default=lambda one: one.model_dump(mode="json"))
