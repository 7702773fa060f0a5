"""The questions of ask.py, put to a model on a completions server (completions.py) instead of one that runs here.

    model = opened(scale.engine, "cheap", renderer, base)
    contexts = read(model, renderer, [ids, ...], [0, ...])
    propose(contexts, renderer, 3, 0.8, seeds)

- A context is read by a request for one token, which tells the probabilities of the nine action types and leaves the
  context in the server's cache for the requests that follow.
- A verdict is one more such request behind the proposal and the question, about ACCEPT and REJECT alone.
- The likelihood of a type is known from the context's reading. That of a whole call, or of what the agent said, takes
  such a request for every token of it. `prompt_logprobs` would tell all of them at once, but reads the whole context
  again, and of adapters side by side it brought vLLM 0.32 down (docs/engine.md).
- Proposals are one greedy request, and one for all sampled ones (`n`, `seed`). They repeat on the same server, and are
  other draws than those of a model here.
- Where proposals have to be well-formed, they are written freely and checked here; where one goes another way, the
  server chooses once more among the tokens that are allowed there (`allowed_token_ids`), and goes on. That gives what
  masking every token would give (`guided`), takes requests only where a model errs, and needs no grammar of the server.

Seconds are what requests took beside all others that were under way.
"""

import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import torch

from specacts.answering.ask import (
    Branch,
    Found,
    branches_of,
    candidate,
    guides_of,
    is_guided,
    likelihood_ids,
    question_ids,
    said_at,
    verdicts_on,
)
from specacts.answering.completions import (
    Said,
    Server,
    body,
    refuse_additions,
    said,
    trial,
)
from specacts.answering.decode import Generated, Prefix
from specacts.answering.guide import Guide
from specacts.answering.records import Candidate, Heard, Verdict
from specacts.config import CompletionsEngine
from specacts.core.episodes import Action, Tool
from specacts.core.errors import UserError
from specacts.core.words import Level, Role
from specacts.models.measure import size_of_base
from specacts.models.sizes import ModelSize
from specacts.transcripts.render import Point, Renderer, Window

Item = TypeVar("Item")
Result = TypeVar("Result")
Wire = httpx.BaseTransport | None
"""What carries requests; None: the network."""

BEYOND = 64
"""Tokens beyond a scale's `max_tokens` that a judge may read: the question behind a proposal, and its answer."""


APART = 1_000_003
"""Seeds of a proposal's requests are so far apart, so that none is another proposal's."""


class Drawn(NamedTuple):
    """How tokens are drawn; at temperature 0 the likeliest is taken."""

    temperature: float
    seed: int

    def next(self, n: int) -> "Drawn":
        """How the n-th one behind the first is drawn."""
        return self._replace(seed=self.seed + n)

    def again(self, n: int) -> int | None:
        """The seed of the n-th request that follows: equal seeds would draw alike. None where nothing is drawn."""
        return self.seed + n * APART if self.temperature else None


Guided = Generator[dict[str, Any], Any, Said]
"""Gives requests (completions.py), is sent their answers, and returns a continuation."""
GREEDILY = Drawn(0.0, 0)


class Served(NamedTuple):
    """A model on a server, by the name that it has there. stop: the token that ends an action."""

    server: Server
    name: str
    stop: int
    size: ModelSize

    def write(
        self,
        ids: list[int],
        about: Sequence[int],
        most: int,
        drawn: Drawn = GREEDILY,
        count: int = 1,
    ) -> list[Said]:
        """Continuations of `ids`, as `completions.body` says. Raises `UserError` where the server gives none."""
        seed = drawn.seed if drawn.temperature else None
        sent = body(self.name, ids, self.stop, about, most, drawn.temperature, count, seed)
        with trial(self.server.where, self.name):
            found = said(self.server.ask(sent), about, self.stop)
            if len(found) != count:
                raise ValueError(f"{len(found)} continuations instead of {count}")
            return found

    def driven(self, steps: Guided) -> Said:
        """What comes of requests that follow from each other's answers."""
        with trial(self.server.where, self.name):
            sent = advanced(steps, None)
            while not isinstance(sent, Said):
                sent = advanced(steps, self.server.ask(sent))
            return sent

    def scored(self, ids: list[int], start: int) -> list[float]:
        """Log-probability of each token of `ids[start:]` behind those before it."""

        def one(n: int) -> float:
            (found,) = self.write(ids[:n], ids[n : n + 1], 1)
            return found.asked[ids[n]]

        return self.each(one, range(start, len(ids)))

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Side by side, by the server's threads; so `work` must not come here again, but may ask more than once."""
        if len(items) < 2:
            return [work(item) for item in items]
        return list(self.server.pool.map(work, items))


class ReadThere(NamedTuple):
    """A context that a server has read. first: log-probabilities of the nine types' first tokens.

    seconds_per_token: of those that were new.
    """

    ids: list[int]
    first: dict[int, float]
    seconds_per_token: float


class Contexts(NamedTuple):
    """Contexts that a server has read, as `ask.Reading` is of windows here."""

    model: Served
    each: list[ReadThere]

    @property
    def prefixes(self) -> list[Prefix]:
        return [Prefix(n, len(one.ids)) for n, one in enumerate(self.each)]


def opened(engine: CompletionsEngine, role: Role, renderer: Renderer, base: Path, wire: Wire = None) -> Served:
    """A role's model on its server, once it has been tried. base: its folder here, which says how large it is.

    Raises `UserError` where the server is not there, does not have the model, or does not tell what is needed.
    """
    entry = engine.models[role]
    key = os.environ.get(engine.key_env, "").strip() if engine.key_env else None
    if key == "":
        raise UserError(f"engine.key_env: the environment has no {engine.key_env}")
    if key and not (key.isascii() and key.isprintable()):
        raise UserError(f"engine.key_env: {engine.key_env} holds characters that no key can have")
    model = Served(Server(entry.url, engine.concurrency, key, wire), entry.name, renderer.stop_id, size_of_base(base))
    _tried(model, role, renderer)
    return model


def _tried(model: Served, role: Role, renderer: Renderer) -> None:
    server = model.server
    try:
        there = server.models()
    except (httpx.HTTPError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{server.where}: does not list its models ({type(error).__name__}); is it running? "
            "docs/engine.md says how to start it"
        ) from error
    if model.name not in there:
        raise UserError(
            f"{server.where}: serves no model {model.name!r} ({role}); it has {', '.join(there)}. With vLLM: "
            f"--enable-lora --lora-modules {model.name}=models/{role}"
        )
    longest, needed = _longest(there, model.name), renderer.limits.max_tokens + BEYOND
    if isinstance(longest, int) and longest < needed:
        raise UserError(
            f"{server.where}: reads {longest} tokens at most, and render.max_tokens is {renderer.limits.max_tokens}; "
            f"start it with --max-model-len {needed} or more"
        )
    ids = renderer.proposal_ids(Action(type="final_answer", content="hello"))
    (found,) = model.write(ids, renderer.first_ids, 2)
    refuse_additions(server.where, found, ids)


def _longest(there: dict[str, dict[str, Any]], name: str) -> Any:
    """The most tokens that a model reads, where the server says so: of an adapter vLLM says it of its base alone."""
    entry = there[name]
    return entry.get("max_model_len") or there.get(entry.get("parent") or "", {}).get("max_model_len")


# -- the questions --------------------------------------------------------------------------------------------


def read(model: Served, renderer: Renderer, ids: list[list[int]], known: Sequence[int]) -> Contexts:
    """Contexts by their tokens. known: how many of them the server has read already, by context."""

    def one(n: int) -> ReadThere:
        started = time.perf_counter()
        (found,) = model.write(ids[n], renderer.first_ids, 1)
        fresh = max(1, len(ids[n]) - max(found.cached, known[n]))
        return ReadThere(ids[n], found.asked, (time.perf_counter() - started) / fresh)

    return Contexts(model, model.each(one, range(len(ids))))


def propose(
    contexts: Contexts,
    renderer: Renderer,
    count: int,
    temperature: float,
    seeds: list[int],
    speaks: bool = True,
    tools: Sequence[Sequence[Tool]] | None = None,
) -> list[list[Candidate]]:
    """As `ask.propose`. Where nobody takes them, words are written all the same, and left out."""
    model, most, types = contexts.model, renderer.limits.action_tokens, renderer.first_ids

    def written(n: int, drawn: Drawn, many: int) -> list[Candidate]:
        ids, started = contexts.each[n].ids, time.perf_counter()
        found = model.write(ids, types, most, drawn, many)
        if tools is not None and is_guided(renderer, tools):
            guides = guides_of(renderer, tools[n : n + 1], many)
            found = [
                model.driven(guided(model.name, ids, one, guide, model.stop, drawn.next(k), most))
                for k, (one, guide) in enumerate(zip(found, guides, strict=True))
            ]
        pace = (time.perf_counter() - started) / sum(len(one.ids) for one in found)
        return [candidate_of(one, renderer, pace, speaks) for one in found]

    def one(n: int) -> list[Candidate]:
        sampled = written(n, Drawn(temperature, seeds[n] + 1), count - 1) if count > 1 else []
        return written(n, GREEDILY, 1) + sampled

    return model.each(one, range(len(contexts.each)))


def guided(name: str, context: list[int], found: Said, guide: Guide, stop: int, drawn: Drawn, most: int) -> Guided:
    """A continuation, kept to what an action may be: gives requests, is sent their answers, and returns it.

    A token that is allowed stays: it was drawn with its probability, and whatever is not allowed is replaced by a draw
    from the allowed ones. So each has in the end its share of the probability of all that are allowed.
    """
    ids: list[int] = []
    logprobs: list[float] = []
    due = list(zip(found.ids, found.logprobs, strict=True))
    while due:
        token, logprob = due.pop(0)
        replaced = not guide.allows(token)
        if replaced:
            seed = drawn.again(2 * len(ids) + 1)
            answer = yield body(name, context + ids, stop, (), 1, drawn.temperature, 1, seed, guide.allowed())
            (other,) = said(answer, (), stop)
            token, logprob = other.ids[0], other.logprobs[0]
        taken = guide.take([token])
        ids.append(taken)
        logprobs.append(logprob)
        if guide.ending is not None:  # it would not have fitted: the shortest end instead
            logprobs.pop()
            for token in (ids.pop(), *guide.ending):
                answer = yield body(name, context + ids, stop, [token])
                (one,) = said(answer, [token], stop)
                ids.append(token)
                logprobs.append(one.asked[token])
            break
        if replaced:
            due = []
            if taken != stop and len(ids) < most:
                seed = drawn.again(2 * len(ids))
                answer = yield body(name, context + ids, stop, (), most - len(ids), drawn.temperature, 1, seed)
                (rest,) = said(answer, (), stop)
                due = list(zip(rest.ids, rest.logprobs, strict=True))
    return found._replace(ids=ids, logprobs=logprobs)


def advanced(steps: Guided, answer: Any) -> dict[str, Any] | Said:
    """The request that follows an answer, None being sent for the first; or what came of all."""
    try:
        return steps.send(answer)
    except StopIteration as done:
        return done.value


def candidate_of(found: Said, renderer: Renderer, pace: float, speaks: bool = True) -> Candidate:
    """A continuation as a proposal. found.asked: the nine types' first tokens."""
    first = torch.full((len(renderer.tokenizer),), -math.inf)
    first[list(found.asked)] = torch.tensor(list(found.asked.values()))
    made = candidate(Generated(found.ids, found.logprobs, first), renderer, pace)
    return made if speaks else made.model_copy(update={"words": None})


def judge(
    contexts: Contexts, renderer: Renderer, candidates: list[list[Candidate]], shows_confidence: bool
) -> list[list[Verdict]]:
    """As `ask.judge`: one request for each different candidate."""
    accept, reject = (renderer.verdict_ids(right)[0] for right in (True, False))

    def one(ids: list[int]) -> float:
        (found,) = contexts.model.write(ids, [accept, reject], 1)
        return 1 / (1 + math.exp(min(700.0, found.asked[reject] - found.asked[accept])))

    ids = question_ids(renderer, shows_confidence)
    return _judged(contexts, candidates, ids, lambda whole, _: one(whole), contexts.model.each, heads=1)


def likelihood(
    contexts: Contexts, renderer: Renderer, candidates: list[list[Candidate]], level: Level
) -> list[list[Verdict]]:
    """As `ask.likelihood`: of types without any request, of calls by one for each token of different candidates."""
    ids = likelihood_ids(renderer, level)
    branches = branches_of(contexts.prefixes, candidates, ids)
    first = [one.first for one in contexts.each]
    if all(len(b.ids) == 1 and b.ids[0] in first[b.prefix.trunk] for b in branches):
        found = {b: Found(math.exp(first[b.prefix.trunk][b.ids[0]]), 0, 1) for b in branches}
        return verdicts_on(contexts.prefixes, candidates, ids, found, 0.0, together=True)

    def one(whole: list[int], behind: int) -> float:
        return math.exp(sum(contexts.model.scored(whole, len(whole) - behind)))

    return _judged(contexts, candidates, ids, one, lambda work, items: list(map(work, items)))


def _judged(
    contexts: Contexts,
    candidates: list[list[Candidate]],
    ids: Callable[[Action, float], list[int]],
    score: Callable[[list[int], int], float],
    each: Callable[[Callable[[Branch], tuple[float, float]], list[Branch]], list[tuple[float, float]]],
    heads: int | None = None,
) -> list[list[Verdict]]:
    """score: of a context with a branch behind it, and how many tokens the branch has. each: how branches are scored,
    side by side or, where `score` asks about their tokens side by side, in turn."""
    branches = branches_of(contexts.prefixes, candidates, ids)

    def one(branch: Branch) -> tuple[float, float]:
        started, behind = time.perf_counter(), len(branch.ids)
        return score([*contexts.each[branch.prefix.trunk].ids, *branch.ids], behind), time.perf_counter() - started

    told = each(one, branches)
    found = {b: Found(s, len(b.ids), heads or len(b.ids)) for b, (s, _) in zip(branches, told, strict=True)}
    share = sum(seconds for _, seconds in told) / max(1, sum(len(branch.ids) for branch in branches))
    return verdicts_on(contexts.prefixes, candidates, ids, found, share)


def hear(model: Served, window: Window, point: Point) -> Heard | None:
    """As `ask.hear`, of one decision."""
    places = said_at(point)
    if not places:
        return None
    told = model.scored(window.ids[: places.stop], places.start)
    return Heard(tokens=len(told), nll=max(0.0, -sum(told)))
