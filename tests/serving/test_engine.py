"""Models of a bundle at work: real toys, asked about real contexts, many at once."""

import asyncio
from functools import cache

import pytest
import torch
from bundles import LIMITS, WHOLE, due, make_bundle, offer, save_models
from toys import TOOLS, call, compact_tokenizer, llama

from specacts.answering.ask import propose, read
from specacts.answering.records import Candidate
from specacts.core.episodes import Episode, Observation, User
from specacts.core.words import ACTION_TYPES
from specacts.live.agents import Trunk, context
from specacts.models.load import load_model
from specacts.policies.decide import NEVER
from specacts.serving.bundle import Bundle
from specacts.serving.engine import Caches, Decided, Engine, EngineBusy, EngineFailed, bytes_per_token
from specacts.transcripts.render import load_renderer


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """The engines of this module are asked one after another: they can share their models."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("specacts.answering.roles.load_model", cache(load_model))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def bundle(config, folder) -> Bundle:
    return make_bundle(folder, config)


@pytest.fixture
def engine(bundle):
    """Makes engines, and closes them."""
    made = []

    def make(policy: str = "F", threshold: float | dict[str, float] | None = 0.5, **settings: int) -> Engine:
        made.append(Engine(bundle, offer(policy, threshold), **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(engine: Engine, episodes: list[Episode], **how) -> list[Decided]:
    async def all_of_them() -> list[Decided]:
        return await asyncio.gather(*(engine.decide(one, **how) for one in episodes))

    return asyncio.run(all_of_them())


def one_by_one(engine: Engine, episodes: list[Episode], **how) -> list[Decided]:
    return [asked(engine, [one], **how)[0] for one in episodes]


@pytest.fixture(scope="module")
def greedy(folder) -> list[Candidate]:
    """What the cheap model proposes at each decision of `due`, asked in the way that answers are recorded."""
    base = folder.parent / "base/cheap"
    model, asks = load_model(base, None, "cpu", "float32"), load_renderer(base, LIMITS)
    windows = asks.windows(WHOLE)
    return [c for (c,) in propose(read(model, windows), asks, 1, 1.0, [0] * len(due()))]


def same(one: Candidate, other: Candidate) -> bool:
    return (one.text, one.action) == (other.text, other.action)


# -- decisions ----------------------------------------------------------------------------------------------------


def test_it_decides_by_what_the_cheap_model_would_answer_when_it_is_recorded(engine, greedy):
    middle = sorted(c.confidence for c in greedy)[len(greedy) // 2]
    found = one_by_one(engine("F", middle), due(), propose=True)
    for decided, candidate in zip(found, greedy, strict=True):
        assert same(decided.proposal, candidate)
        assert decided.score == pytest.approx(candidate.confidence, abs=1e-5)
        assert decided.accepted == (candidate.confidence >= middle and candidate.action is not None)
        assert decided.threshold == middle


def test_what_the_first_token_rejects_is_not_written_and_comes_to_the_same(engine, greedy):
    middle = sorted(c.confidence for c in greedy)[len(greedy) // 2]
    quick, whole = (one_by_one(engine("F", middle), due(), propose=wanted) for wanted in (False, True))
    assert [one.accepted for one in quick] == [one.accepted for one in whole]
    early = [one for one in quick if one.proposal is None]
    assert early and all(not one.accepted and one.usage["cheap"].written == 1 for one in early)


def test_many_at_once_are_answered_as_each_alone(engine):
    together, alone = asked(engine(), due(), propose=True), one_by_one(engine(), due(), propose=True)
    assert [same(a.proposal, b.proposal) for a, b in zip(together, alone, strict=True)] == [True] * len(due())
    assert [one.score for one in together] == pytest.approx([one.score for one in alone], abs=1e-5)


@pytest.mark.parametrize("policy", ["B", "D", "E", "F", "G", "H", "S"])
def test_every_policy_that_asks_no_strong_model_decides(engine, policy):
    for threshold in (None,) if policy == "B" else (0.0, 1.01):
        (decided,) = asked(engine(policy, threshold), due()[:1])
        wanted = threshold != 1.01
        assert decided.accepted == (wanted and decided.proposal is not None and decided.proposal.action is not None)


def test_a_router_that_says_no_has_nobody_propose(engine):
    (decided,) = asked(engine("G", 0.9), due()[:1])
    assert not decided.accepted and decided.proposal is None and decided.usage == {} and decided.score == 0.5


def test_a_policy_that_sticks_asks_nobody_behind_a_rejection_in_its_turn(engine):
    sticky = engine("S", 0.5)
    (decided,) = asked(sticky, due()[1:2], earlier=(0.2,))
    assert not decided.accepted and decided.score is None and decided.usage == {}
    (decided,) = asked(sticky, due()[1:2], earlier=(0.9,))
    assert decided.score is not None and decided.usage["cheap"].read > 0


def test_thresholds_by_type_count_for_the_type_that_is_proposed(engine, greedy):
    kind = next(c.action.type for c in greedy if c.action)
    found = one_by_one(engine("F", dict.fromkeys(ACTION_TYPES, NEVER) | {kind: 0.0}), due(), propose=True)
    kinds = [one.proposal.action and one.proposal.action.type for one in found]
    assert [one.accepted for one in found] == [said == kind for said in kinds]


# -- what is read -------------------------------------------------------------------------------------------------


def test_the_next_decision_of_a_conversation_reads_only_what_is_new(engine, folder):
    found = one_by_one(engine(), due())
    asks = load_renderer(folder.parent / "base/cheap", LIMITS)
    before: list[int] = []
    for decided, at in zip(found, due(), strict=True):
        ids = context(asks, at).ids
        shared = next((n for n, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        used = decided.usage["cheap"]
        assert used.read + used.cached == len(ids)
        if before and ids[: len(before)] == before:
            assert used.cached == shared == len(before)
        before = ids
    assert sum(one.usage["cheap"].cached for one in found) > sum(one.usage["cheap"].read for one in found)


def test_the_cache_of_another_conversation_is_not_taken(engine):
    other = Episode(id="x", group="x", source="own", tools=TOOLS, steps=(User(content="something else " * 9),))
    kept = engine()
    first, between, again = one_by_one(kept, [due()[3], other, due()[3]])
    assert between.usage["cheap"].read > 0 and again.usage["cheap"][:2] == (1, first.usage["cheap"].read - 1)


def test_caches_are_forgotten_where_there_is_no_room_the_least_recently_used_first():
    model = llama(compact_tokenizer())
    caches = Caches({"cheap": 10}, memory=100)
    trunks = []
    for start in (1, 2, 3):
        trunk = Trunk(model)
        trunk.read([start, *range(10, 13)])
        caches.keep({"cheap": trunk})
        trunks.append(trunk)
    assert [trunk for _, trunk in caches.held] == trunks[1:]
    assert caches.lent("cheap", [2, 10, 11, 12, 13]) is trunks[1] and caches.lent("verifier", [3, 10, 11, 12]) is None


def test_a_token_of_the_cache_takes_what_its_keys_and_values_take():
    model = llama(compact_tokenizer(), layers=3)
    trunk = Trunk(model)
    trunk.read([1, 2, 3, 4])
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in trunk.session.cache.layers)
    assert held == 4 * bytes_per_token(model)


# -- when something goes wrong ------------------------------------------------------------------------------------


def test_a_request_that_fails_is_the_only_one_that_does(engine):
    steps = (User(content="go"), *[step for _ in range(99) for step in (call("look"), Observation(content="{}"))])
    broken = due()[0].model_copy(update={"steps": (*steps, object())})
    working = engine()

    async def all_of_them() -> list[Decided | BaseException]:
        wanted = [due()[0], broken, due()[1]]
        return await asyncio.gather(*(working.decide(one) for one in wanted), return_exceptions=True)

    first, failed, last = asyncio.run(all_of_them())
    assert isinstance(failed, EngineFailed) and "toy" not in str(failed)
    assert isinstance(first, Decided) and isinstance(last, Decided)
    assert asked(working, due()[:1])[0].score == pytest.approx(first.score, abs=1e-5)


def test_who_no_longer_waits_is_not_asked_for(engine, monkeypatch):
    working = engine()
    asked_for = []
    answer = working._answer
    monkeypatch.setattr(working, "_answer", lambda batch: (asked_for.extend(batch), answer(batch)))

    async def give_up() -> None:
        first = asyncio.ensure_future(working.decide(due()[5]))
        waiting = [asyncio.ensure_future(working.decide(one)) for one in due()[:3]]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        await first
        assert all(
            isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True)
        )

    asyncio.run(give_up())
    assert len(asked_for) <= 4 and asked(working, due()[:1])[0].usage


def test_where_too_many_wait_the_next_is_refused_at_once(engine, monkeypatch):
    monkeypatch.setattr("specacts.serving.engine.LONGEST", 0)
    with pytest.raises(EngineBusy):
        asked(engine(), due()[:1])


def test_closing_answers_those_who_wait(engine):
    working = engine()

    async def close_at_once() -> list[Decided]:
        waiting = [asyncio.ensure_future(working.decide(one)) for one in due()[:4]]
        await asyncio.sleep(0)
        await asyncio.to_thread(working.close)
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(close_at_once())) == 4
