"""A completions server asked for decisions: as the models themselves would decide, or refused when it is opened."""

import asyncio
from functools import cache

import httpx
import pytest
import torch
from bundles import due, make_bundle, offer, save_models
from completions import completions_app

from specacts.core.errors import UserError
from specacts.models.load import load_model
from specacts.serving.bundle import Bundle, Offer
from specacts.serving.engine import Decided, Engine, EngineFailed
from specacts.serving.remote import Completions, open_remote, refuse_unscorable

NAMES = {"cheap": "cheap", "verifier": "judge"}


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """The engines of this module are asked one after another: they can share their models."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("specacts.answering.roles.load_model", cache(load_model))
        yield


@pytest.fixture(scope="module")
def bundle(config, tmp_path_factory) -> Bundle:
    torch.set_num_threads(1)
    return make_bundle(save_models(tmp_path_factory.mktemp("models")), config)


@pytest.fixture(scope="module")
def models(bundle) -> dict[str, torch.nn.Module]:
    return {NAMES[role]: load_model(bundle.base(role), None, "cpu", "float32") for role in ("cheap", "verifier")}


def decided(bundle: Bundle, one: Offer, app, count: int = 99, names=NAMES) -> list[Decided]:
    async def all_of_them() -> list[Decided]:
        server = Completions("http://server/v1", names, key="secret", wire=httpx.ASGITransport(app))
        engine = await open_remote(bundle, one, server)
        found = [await engine.decide(episode) for episode in due()[:count]]
        await engine.close()
        return found

    return asyncio.run(all_of_them())


def here(bundle: Bundle, one: Offer) -> list[Decided]:
    async def all_of_them() -> list[Decided]:
        return [await engine.decide(episode, propose=True) for episode in due()]

    engine = Engine(bundle, one)
    found = asyncio.run(all_of_them())
    engine.close()
    return found


@pytest.mark.parametrize(
    ("policy", "threshold", "score"),
    [("B", None, "likelihood"), ("F", 0.9, "likelihood"), ("D", 0.2, "likelihood"), ("D", 0.5, "verdict")],
)
def test_it_decides_as_the_models_would_here(bundle, models, policy, threshold, score):
    bundle, one = bundle.model_copy(update={"score": score}).at(bundle.folder), offer(policy, threshold)
    for there, local in zip(decided(bundle, one, completions_app(models)), here(bundle, one), strict=True):
        assert (there.accepted, there.proposal.action) == (local.accepted, local.proposal.action)
        assert there.proposal.confidence == pytest.approx(local.proposal.confidence, abs=1e-5)
        assert there.score == pytest.approx(local.score, abs=1e-5)
        for role, counts in there.usage.items():
            assert counts.read + counts.cached == local.usage[role].read + local.usage[role].cached
            assert counts.written == local.usage[role].written


@pytest.mark.parametrize(
    ("refusing", "says"),
    [
        ({"told": True}, "does not give log-probabilities by token id for cheap"),
        ({"numbers": True}, "tokens are told as text, not by their numbers"),
        ({"adds": True}, "it adds its own"),
    ],
)
def test_a_server_that_cannot_score_is_refused_when_it_is_opened(bundle, models, refusing, says):
    with pytest.raises(UserError, match=says):
        decided(bundle, offer("F", 0.5), completions_app(models, **refusing))


def test_a_model_that_it_does_not_serve_is_named_with_those_that_it_does(bundle, models):
    with pytest.raises(UserError, match=r"serves no model 'nobody' \(cheap\); it has cheap, judge"):
        decided(bundle, offer("F", 0.5), completions_app(models), names={"cheap": "nobody"})


def test_a_server_that_is_not_there_is_said_to_be_so(bundle):
    async def try_it() -> None:
        await open_remote(bundle, offer("F", 0.5), Completions("http://127.0.0.1:9/v1", NAMES))

    with pytest.raises(UserError, match="does not list its models.*is it running"):
        asyncio.run(try_it())


@pytest.mark.parametrize(
    ("policy", "score", "level", "what"),
    [
        ("E", "likelihood", "type", "several sampled proposals"),
        ("D", "likelihood", "call", "the likelihood of whole calls"),
        ("D", "reward", "type", "a reward model"),
    ],
)
def test_what_no_completions_server_can_score_is_refused_before_one_is_asked(bundle, policy, score, level, what):
    proof = bundle.proof.model_copy(update={"level": level})
    other = bundle.model_copy(update={"score": score, "proof": proof})
    with pytest.raises(UserError, match=f"policy {policy} uses .*{what}"):
        refuse_unscorable(other, offer(policy, 0.5))
    refuse_unscorable(other, offer("F", 0.5))


def test_a_server_that_breaks_gives_no_answer_and_the_next_question_one(bundle, models):
    async def all_of_them() -> tuple[str, Decided]:
        app = completions_app(models)
        engine = await open_remote(
            bundle, offer("F", 0.5), Completions("http://s/v1", NAMES, wire=httpx.ASGITransport(app))
        )
        engine.server.names = {"cheap": "gone"}
        with pytest.raises(EngineFailed) as failed:
            await engine.decide(due()[0])
        engine.server.names = NAMES
        return str(failed.value), await engine.decide(due()[0])

    said, found = asyncio.run(all_of_them())
    assert said == "its server answered 404" and found.usage["cheap"].read > 0


def test_proposals_are_kept_well_formed_as_they_are_here(bundle, models):
    kept = bundle.model_copy(update={"well_formed": True}).at(bundle.folder)
    one = offer("F", 0.5)
    for there, local in zip(decided(kept, one, completions_app(models)), here(kept, one), strict=True):
        assert there.proposal.text == local.proposal.text and there.proposal.action
