"""The bundle's models at work: what the cheap model would do at a decision, and whether the policy lets it.

    engine = Engine(bundle, bundle.offer(None))
    decided = await engine.decide(episode)
    decided.accepted, decided.proposal

Models are asked just as stage `live` asks them (live/agents.py). One thread asks; requests that come while it is at
work are asked side by side when it is done. What was read of conversations is kept (the least recently used goes
first), so that the next decision of one reads only what is new. Who stops waiting is not asked for, and a request that
fails is the only one that does.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from specacts.answering.ask import Reading, type_probability
from specacts.answering.records import Candidate
from specacts.answering.roles import Asking, Voice, asking_so, voice_of
from specacts.core.episodes import Act, Episode
from specacts.core.errors import UserError
from specacts.core.words import ACTION_TYPES, Role
from specacts.live.agents import Due, Missing, Models, Row, Trunk, common, decide, unasked
from specacts.models.measure import bytes_per_token
from specacts.policies.decide import GREEDY, NEVER, Outcome, Threshold, act, lowest_accepted, score
from specacts.policies.table import POLICIES
from specacts.serving.bundle import Bundle, Offer

MEMORY = 1 << 30
"""Bytes of what was read that are kept, all models together."""
TOGETHER = 8
"""Most requests that are asked side by side."""
LONGEST = 64
"""Most requests that wait; those behind would not get an answer in time."""
WORTH = 0.5
"""A cache is lent to a request that begins with so much of it; with less it is another conversation's, and stays."""


class EngineBusy(Exception):
    """Too many wait already."""


class EngineFailed(Exception):
    """The models gave no answer; the text says why, in words of ours."""


class Tokens(NamedTuple):
    """What a model did for a decision: tokens that it read anew, found in its cache, and wrote."""

    read: int
    cached: int
    written: int


class Decided(NamedTuple):
    """What the policy decided.

    accepted: whether the proposal is to be done; never where it is malformed. proposal: None where none was made.
    score: what was compared with the threshold; None where nothing is compared. seconds: from the question to here.
    """

    accepted: bool
    proposal: Candidate | None
    score: float | None
    threshold: float | None
    usage: dict[Role, Tokens]
    seconds: float


class Engine:
    """Loads the models that a policy needs, and asks them in a thread of its own until it is closed.

    memory: bytes of what was read that are kept. Raises `UserError` where a model does not load.
    """

    def __init__(self, bundle: Bundle, offer: Offer, memory: int = MEMORY) -> None:
        self.offer = offer
        self.how = asking(bundle)
        voices = {role: load_voice(bundle, role) for role in roles_of(offer)}
        self.models = Models(voices, self.how, bundle.seed)
        self.made = unasked(bundle.router(), bundle.combination())
        self.caches = Caches({role: bytes_per_token(voice.model) for role, voice in voices.items()}, memory)
        self.waiting: queue.Queue[_Question | None] = queue.Queue()
        self.thread = threading.Thread(target=self._work, name="specacts engine", daemon=True)
        self.thread.start()

    async def decide(self, episode: Episode, earlier: tuple[float, ...] = (), propose: bool = False) -> Decided:
        """What the policy does at the decision that is due behind the episode's last step.

        earlier: scores of the decisions before it since the user's latest message, in order (for policies that stick).
        propose: whether the proposal is wanted also where the first token shows that it will be rejected.
        Raises `EngineBusy` or `EngineFailed`.
        """
        if self.waiting.qsize() >= LONGEST:
            raise EngineBusy
        question = _Question(episode, earlier, propose, self)
        self.waiting.put(question)
        return await asyncio.wrap_future(question.answer)  # cancelled with whoever waits

    def close(self) -> None:
        """Answer those who wait, and end the thread."""
        self.waiting.put(None)
        self.thread.join()

    # -- in the thread --------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (first := self.waiting.get()) is not None:
            batch: list[_Question | None] = [first]
            while batch[-1] is not None and len(batch) < TOGETHER and not self.waiting.empty():
                batch.append(self.waiting.get())
            self._answer([one for one in batch if one is not None and one.answer.set_running_or_notify_cancel()])
            if batch[-1] is None:
                return

    def _answer(self, batch: "list[_Question]") -> None:
        if not batch:
            return
        try:
            outcomes = decide(partial(acts, self.offer), batch, self._ask)
            found = [
                outcome_of(self.offer, one.row, outcome, partial(self._used, one), one.since)
                for one, outcome in zip(batch, outcomes, strict=True)
            ]
        except Exception as error:  # out of memory, or whatever: who asked gets no answer, and the next ones do
            self.caches.clear()
            if len(batch) > 1:
                for one in batch:
                    one.start()
                    self._answer([one])
                return
            batch[0].answer.set_exception(EngineFailed(in_words(error)))
            return
        for one, decided in zip(batch, found, strict=True):
            self.caches.keep(one.trunks)
            one.answer.set_result(decided)

    def _ask(self, field: str, those: "list[_Question]") -> list[Any]:
        """The field's values. Nothing is proposed where the first token shows that it would be rejected."""
        if field != "cheap" or not self._is_seen_early():
            return self.models(field, those)
        reading, renderer = self.models.read("cheap", those), self.models.voices["cheap"].renderer
        assert isinstance(reading, Reading)
        early = [
            None if one.propose else early_rejection(first, renderer, self.offer.threshold)
            for one, first in zip(those, reading.first, strict=True)
        ]
        rest = [one for one, sure in zip(those, early, strict=True) if sure is None]
        proposed = iter(self.models(field, rest) if rest else ())
        return [next(proposed) if sure is None else (unproposed(sure),) for sure in early]

    def _is_seen_early(self) -> bool:
        policy = POLICIES[self.offer.policy]
        return policy.score == "confidence" and self.models.voices["cheap"].renderer.form == "words"

    def _used(self, question: "_Question", taken: Candidate | None) -> dict[Role, Tokens]:
        fresh = {role: trunk.fresh for role, trunk in question.trunks.items()}
        return {
            role: Tokens(read, question.row.context[role] - read, written(role, question.row, taken))
            for role, read in fresh.items()
        }


class _Question:
    """A decision that is due, in the shape in which agents are asked about (live/agents.py)."""

    def __init__(self, episode: Episode, earlier: tuple[float, ...], propose: bool, engine: Engine) -> None:
        self.episode, self.earlier, self.propose, self.engine = episode, earlier, propose, engine
        self.answer: Future[Decided] = Future()
        self.since = time.perf_counter()
        self.start()

    def start(self) -> None:
        """Nothing has been asked yet."""
        self.trunks: dict[Role, Trunk] = {}
        self.row = empty_row(self.episode, self.earlier, self.engine.made, self, self.engine.offer, self.engine.how)

    def trunk(self, role: Role, model: torch.nn.Module, ids: list[int]) -> Trunk:
        """Where the role reads on: what it has read of this conversation, or of one that begins alike."""
        self.trunks[role] = self.engine.caches.lent(role, ids) or Trunk(model)
        return self.trunks[role]


# -- what was read --------------------------------------------------------------------------------------------


class Caches:
    """What models have read of conversations, the least recently used first.

    per_token: bytes that a token takes, by role. memory: bytes that are kept in all; what is lent does not count.
    """

    def __init__(self, per_token: Mapping[Role, int], memory: int) -> None:
        self.per_token, self.memory = per_token, memory
        self.held: list[tuple[Role, Trunk]] = []

    def lent(self, role: Role, ids: list[int]) -> Trunk | None:
        """The cache with most of what `ids` begins with; nobody else has it until it is kept again."""
        shared = [common(trunk.ids, ids) if whose == role else 0 for whose, trunk in self.held]
        best = max(range(len(shared)), key=shared.__getitem__, default=-1)
        if best < 0 or shared[best] <= WORTH * len(self.held[best][1].ids):
            return None
        return self.held.pop(best)[1]

    def keep(self, trunks: Mapping[Role, Trunk]) -> None:
        """Take back what was lent, and forget what there is no room for."""
        self.held += trunks.items()
        while self.held and sum(self.per_token[role] * len(trunk.ids) for role, trunk in self.held) > self.memory:
            self.held.pop(0)

    def clear(self) -> None:
        self.held.clear()


# -- what both engines do (remote.py) -------------------------------------------------------------------------


def acts(offer: Offer, row: Row) -> Outcome | None:
    """What the policy does; None where the strong model is to act, which does not run here."""
    try:
        return act(offer.policy, row, offer.threshold)
    except Missing as missing:
        if missing.field == "strong":
            return None
        raise


def empty_row(
    episode: Episode,
    earlier: tuple[float, ...],
    made: Mapping[str, Callable[[Due], float]],
    due: Due,
    offer: Offer,
    how: Asking,
) -> Row:
    """The row of a decision that nothing has been asked about."""
    return Row(
        made={field: partial(make, due) for field, make in made.items()},
        earlier=tuple(SimpleNamespace(cheap=(SimpleNamespace(confidence=one),)) for one in earlier),
        episode=episode.id,
        decision=sum(isinstance(step, Act) for step in episode.steps),
        picks=how.picks if POLICIES[offer.policy].picks else GREEDY,
        window={},
        context={},
        seconds_per_token={},
        cached={},
    )


def outcome_of(
    offer: Offer,
    row: Row,
    outcome: Outcome | None,
    used: Callable[[Candidate | None], dict[Role, Tokens]],
    since: float,
) -> Decided:
    """What came of it. used: what was used, given the candidate that is taken. since: when it was asked."""
    made: tuple[Candidate, ...] = vars(row).get("cheap", ())
    cheap = tuple(candidate for candidate in made if candidate.text or candidate.action)  # others were not written
    proposal = next((c for c in cheap if outcome and c.action is outcome.action), cheap[0] if cheap else None)
    accepted = outcome is not None and outcome.action is not None
    unscored = POLICIES[offer.policy].score is None or (POLICIES[offer.policy].sticks and not made)
    return Decided(
        accepted=accepted,
        proposal=proposal,
        score=None if unscored else score(offer.policy, row),
        threshold=bar(offer, proposal),
        usage=used(proposal if accepted else None),
        seconds=time.perf_counter() - since,
    )


def written(role: Role, row: Row, taken: Candidate | None) -> int:
    """Tokens that a model wrote for a decision, or of a verifier those of proposals that it read to judge them."""
    if role == "verifier":
        return sum(verdict.tokens for verdict in {v.shared: v for v in vars(row).get("verdicts", ())}.values())
    made: tuple[Candidate, ...] = vars(row).get("cheap", ())
    return sum(candidate.taken_tokens if candidate is taken else candidate.tokens for candidate in made)


# -- how a bundle's models are asked --------------------------------------------------------------------------


def roles_of(offer: Offer) -> tuple[Role, ...]:
    """The models that an offer's policy asks, but for the strong one."""
    policy = POLICIES[offer.policy]
    if policy.always == "strong":
        return ()
    return ("cheap", "verifier") if policy.judge == "verifier" else ("cheap",)


def asking(bundle: Bundle) -> Asking:
    """How the bundle's models are asked: as they were when its promises were made."""
    level, many = bundle.proof.level, bundle.proposals
    return asking_so(bundle.recipe, level, bundle.score, many, bundle.temperature, bundle.well_formed)


def load_voice(bundle: Bundle, role: Role) -> Voice:
    """A role's model and renderer, from the folders that the bundle names."""
    base, adapter, render = bundle.base(role), bundle.adapter(role), bundle.render[role]
    return voice_of(role, base, adapter, render, bundle.device, bundle.dtype, bundle.recipe)


def early_rejection(first: torch.Tensor, renderer: Any, threshold: Threshold | None) -> float | None:
    """The cheap model's confidence in the type that it is about to write, if that is rejected whatever follows.

    first: log-probabilities [V] of the first token. What begins with no type's token may still turn out as anything.
    """
    top = int(first.argmax())
    if top not in renderer.first_ids or threshold is None:
        return None
    kind = ACTION_TYPES[renderer.first_ids.index(top)]
    sure = type_probability(first, renderer, kind)
    bar = threshold.get(kind, NEVER) if isinstance(threshold, Mapping) else threshold
    return sure if sure < lowest_accepted(bar) else None


def unproposed(confidence: float) -> Candidate:
    """Stands where the first token was enough to know that nothing needs to be proposed."""
    return Candidate(text="", action=None, confidence=confidence, logprob=0.0, tokens=1, seconds=0.0)


def bar(offer: Offer, proposal: Candidate | None) -> float | None:
    """The threshold that counts for a proposal; None where there is none, or it goes by a type that nobody proposed."""
    if not isinstance(offer.threshold, Mapping):
        return offer.threshold
    return offer.threshold.get(proposal.action.type) if proposal and proposal.action else None


def in_words(error: Exception) -> str:
    """Why there was no answer, without anything that stood in the request."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    return "too long for the models" if isinstance(error, UserError) else type(error).__name__
