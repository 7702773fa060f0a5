"""The bundle's models on an OpenAI-compatible completions server, such as vLLM with an adapter for each role.

    server = Completions("http://localhost:8001/v1", {"cheap": "cheap"})     # what it calls the cheap model
    engine = await open_remote(bundle, bundle.offer(None), server)
    decided = await engine.decide(episode)

Its wire format is that of answering/completions.py. One request is all that a confidence, a verdict or the likelihood
of a type takes. When it is opened the server is tried: what cannot be scored there is refused then, not guessed later.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence

import httpx
import torch

from specacts.answering.ask import guides_of, is_guided
from specacts.answering.completions import Said, body, refuse_additions, said, trial
from specacts.answering.records import Candidate, Verdict
from specacts.answering.served import GREEDILY, Guided, advanced, candidate_of, guided
from specacts.answering.wellformed import offered
from specacts.core.episodes import Action, Episode
from specacts.core.errors import UserError
from specacts.core.words import Role
from specacts.live.agents import Missing, Row, Trunk, context, unasked
from specacts.policies.table import POLICIES
from specacts.recipe import asking_form
from specacts.serving.bundle import Bundle, Offer
from specacts.serving.engine import (
    LONGEST,
    Decided,
    EngineBusy,
    EngineFailed,
    Tokens,
    acts,
    asking,
    empty_row,
    outcome_of,
    roles_of,
    written,
)
from specacts.transcripts.render import Renderer, load_renderer

TIMEOUT = 120.0
"""Seconds that an answer may take: a server's first one may have to load an adapter. Who asks may give up earlier."""
Wire = httpx.AsyncBaseTransport | None
"""What carries requests; None: the network."""


class Completions:
    """A server's completions endpoint. names: what it calls each role's model. key: sent as a bearer token."""

    def __init__(self, url: str, names: Mapping[Role, str], key: str | None = None, wire: Wire = None) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.url, self.names = url.rstrip("/"), names
        self.client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=TIMEOUT, transport=wire)

    async def models(self) -> list[str]:
        """The names of the models that it serves."""
        answered = await self.client.get("/models")
        answered.raise_for_status()
        return [one["id"] for one in answered.json()["data"]]

    async def ask(self, role: Role, ids: list[int], about: Sequence[int], most: int, stop: int) -> Said:
        """Write greedily behind `ids` until `stop` or `most` tokens. about: tokens whose log-probability is wanted.

        Raises httpx's errors, and `KeyError` or `ValueError` where the answer is not of the wanted form.
        """
        answered = await self.client.post("/completions", json=body(self.names[role], ids, stop, about, most))
        answered.raise_for_status()
        (found,) = said(answered.json(), about, stop)
        return found

    async def driven(self, steps: Guided) -> Said:
        """What comes of requests that follow from each other's answers. Raises as `ask`."""
        sent = await asyncio.to_thread(advanced, steps, None)  # looks at a whole vocabulary where a model errs
        while not isinstance(sent, Said):
            answered = await self.client.post("/completions", json=sent)
            answered.raise_for_status()
            sent = await asyncio.to_thread(advanced, steps, answered.json())
        return sent

    async def close(self) -> None:
        await self.client.aclose()


class RemoteEngine:
    """As `Engine`, by asking a server; it is opened by `open_remote`."""

    def __init__(self, bundle: Bundle, offer: Offer, server: Completions) -> None:
        self.bundle, self.offer, self.server, self.how = bundle, offer, server, asking(bundle)
        self.renderers = {
            role: load_renderer(bundle.base(role), bundle.render[role], asking_form(bundle.recipe, role))
            for role in roles_of(offer)
        }
        self.made = unasked(bundle.router(), bundle.combination())
        self.open = 0

    async def decide(self, episode: Episode, earlier: tuple[float, ...] = (), propose: bool = False) -> Decided:
        """As `Engine.decide`; a proposal is always made, because one request gives it and its score."""
        if self.open >= LONGEST:
            raise EngineBusy
        self.open += 1
        try:
            return await self._decide(episode, earlier)
        except EngineFailed:
            raise
        except UserError as error:
            raise EngineFailed("too long for the models") from error
        except httpx.HTTPStatusError as error:
            raise EngineFailed(f"its server answered {error.response.status_code}") from error
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise EngineFailed(f"its server: {type(error).__name__}") from error
        finally:
            self.open -= 1

    async def close(self) -> None:
        """End the connections."""
        await self.server.close()

    async def _decide(self, episode: Episode, earlier: tuple[float, ...]) -> Decided:
        since, question = time.perf_counter(), _Question(episode)
        row = question.row = empty_row(episode, earlier, self.made, question, self.offer, self.how)
        usage: dict[Role, Tokens] = {}
        while True:
            try:
                outcome = acts(self.offer, row)
                break
            except Missing as missing:
                if missing.field == "cheap":
                    row.cheap = (await self._proposal(episode, usage),)
                else:
                    row.verdicts = (await self._verdict(episode, row.cheap[0], usage),)

        def used(taken: Candidate | None) -> dict[Role, Tokens]:
            return {role: counts._replace(written=written(role, row, taken)) for role, counts in usage.items()}

        return outcome_of(self.offer, row, outcome, used, since)

    async def _proposal(self, episode: Episode, usage: dict[Role, Tokens]) -> Candidate:
        renderer = self.renderers["cheap"]
        ids, started = context(renderer, episode).ids, time.perf_counter()
        found = await self.server.ask("cheap", ids, renderer.first_ids, renderer.limits.action_tokens, renderer.stop_id)
        usage["cheap"] = _counted(found)
        tools = [offered(episode, len(episode.steps))]
        if self.how.well_formed and is_guided(renderer, tools):
            (guide,), most = guides_of(renderer, tools, 1), renderer.limits.action_tokens
            name = self.server.names["cheap"]
            found = await self.server.driven(guided(name, ids, found, guide, renderer.stop_id, GREEDILY, most))
        return candidate_of(found, renderer, (time.perf_counter() - started) / len(found.ids))

    async def _verdict(self, episode: Episode, proposal: Candidate, usage: dict[Role, Tokens]) -> Verdict:
        """The verifier's judgement by its score: likely is what it would begin with itself, or it is asked."""
        if proposal.action is None:
            return Verdict(score=0.0, tokens=0, heads=0, seconds=0.0, shared=0)
        renderer, started = self.renderers["verifier"], time.perf_counter()
        ids = context(renderer, episode).ids
        if self.how.verifier == "likelihood":
            behind, about = [], renderer.opening_ids(proposal.action)[:1]
        else:
            sure = proposal.confidence if self.how.shows_confidence else None
            behind = renderer.proposal_ids(proposal.action) + renderer.verdict_query_ids(sure)
            about = [renderer.verdict_ids(right)[0] for right in (True, False)]
        found = await self.server.ask("verifier", ids + behind, about, 1, renderer.stop_id)
        usage["verifier"] = _counted(found)._replace(read=found.read - found.cached - len(behind))
        told = [found.asked[token] for token in about]
        score = math.exp(told[0]) if len(told) == 1 else 1 / (1 + math.exp(told[1] - told[0]))
        return Verdict(score=score, tokens=len(behind), heads=1, seconds=time.perf_counter() - started, shared=0)


class _Question:
    """A decision that is due; what is read of it is the server's business."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self.trunks: dict[Role, Trunk] = {}
        self.row: Row

    def trunk(self, role: Role, model: torch.nn.Module, ids: list[int]) -> Trunk:
        raise NotImplementedError("no model runs here")


def _counted(found: Said) -> Tokens:
    return Tokens(found.read - found.cached, found.cached, len(found.ids))


async def open_remote(bundle: Bundle, offer: Offer, server: Completions) -> RemoteEngine:
    """Try the server, and give an engine that asks it.

    Raises `UserError` where it does not answer, lacks a model, or cannot score what the policy goes by.
    """
    refuse_unscorable(bundle, offer)
    try:
        there = await server.models()
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        what = f"--engine {server.url}: does not list its models ({type(error).__name__}); is it running?"
        raise UserError(what) from error
    engine = RemoteEngine(bundle, offer, server)
    for role in roles_of(offer):
        if server.names.get(role) not in there:
            wanted = server.names.get(role, role)
            raise UserError(f"--engine {server.url}: serves no model {wanted!r} ({role}); it has {', '.join(there)}")
        await _tried(engine, role)
    return engine


def refuse_unscorable(bundle: Bundle, offer: Offer) -> None:
    """Raises `UserError` for a policy whose scores no completions server gives."""
    policy, how = POLICIES[offer.policy], asking(bundle)
    what = None
    if policy.picks:
        what = "several sampled proposals, which another engine draws differently"
    elif policy.judge == "verifier" and how.verifier == "reward":
        what = "a reward model"
    elif policy.judge == "verifier" and how.verifier == "likelihood" and how.level != "type":
        what = f"the likelihood of whole calls (acceptance.level: {how.level})"
    elif asking_form(bundle.recipe, "cheap") != "words":
        what = "a reply in free form"
    if what:
        raise UserError(
            f"--engine: policy {offer.policy} uses {what}; a completions server cannot score that. Serve "
            "without --engine, or promise another policy (acceptance.policies)"
        )


async def _tried(engine: RemoteEngine, role: Role) -> None:
    """Ask about a small conversation, and look whether everything that will be needed comes back."""
    renderer: Renderer = engine.renderers[role]
    url = engine.server.url
    ids = renderer.proposal_ids(Action(type="final_answer", content="hello"))
    with trial(f"--engine {url}", role):
        found = await engine.server.ask(role, ids, renderer.first_ids, 2, renderer.stop_id)
    refuse_additions(f"--engine {url}", found, ids)
