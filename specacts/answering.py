"""Asking models: proposals and verdicts at every decision of a window, from one reading of its trunk."""

import hashlib
import time
from typing import NamedTuple

import torch

from specacts.answers import Candidate, Verdict
from specacts.config import Level
from specacts.episodes import ACTION_TYPES
from specacts.infer import Generated, Session
from specacts.render import Renderer, Window
from specacts.rows import candidate_ids


class Reading(NamedTuple):
    """A trunk that has been read: the session, the first-token log-probabilities [points, V], seconds a token."""

    session: Session
    first: torch.Tensor
    seconds_per_token: float


def read(model: torch.nn.Module, window: Window) -> Reading:
    """Read a window's trunk once."""
    session = Session(model)
    started = time.perf_counter()
    # The last label is never context; neither policy nor cost should see it read.
    ids = window.ids[: window.points[-1].start]
    first = session.extend(ids, [point.start - 1 for point in window.points])
    return Reading(session, first, (time.perf_counter() - started) / len(ids))


def propose(
    reading: Reading, window: Window, renderer: Renderer, count: int, temperature: float, seed: int
) -> list[list[Candidate]]:
    """`count` candidates at each decision: one greedy, the others sampled; decoded side by side."""
    prefixes = [point.start for point in window.points]
    answers = [_generate(reading, prefixes, renderer, 1, 0.0, seed)]
    if count > 1:
        answers.append(_generate(reading, prefixes, renderer, count - 1, temperature, seed))
    return [[c for part in answers for c in part[n]] for n in range(len(prefixes))]


def _generate(
    reading: Reading, prefixes: list[int], renderer: Renderer, copies: int, temperature: float, seed: int
) -> list[list[Candidate]]:
    generator = torch.Generator(reading.first.device).manual_seed(seed)
    started = time.perf_counter()
    generated = reading.session.generate(
        [p for p in prefixes for _ in range(copies)],
        reading.first.repeat_interleave(copies, dim=0),
        renderer.stop_id,
        renderer.limits.action_tokens,
        temperature,
        generator,
    )
    share = (time.perf_counter() - started) / sum(len(g.ids) for g in generated)
    candidates = [_candidate(g, renderer, share) for g in generated]
    return [candidates[n * copies : (n + 1) * copies] for n in range(len(prefixes))]


def _candidate(generated: Generated, renderer: Renderer, seconds_per_token: float) -> Candidate:
    text = renderer.text(generated.ids)
    stopped = generated.ids[-1] == renderer.stop_id
    action = renderer.parse(text) if stopped else None
    return Candidate(
        text=text,
        action=action,
        confidence=type_probability(generated.first_logprobs, renderer, action.type) if action else 0.0,
        logprob=sum(generated.logprobs),
        tokens=len(generated.ids),
        seconds=seconds_per_token * len(generated.ids),
    )


def type_probability(logprobs: torch.Tensor, renderer: Renderer, action_type: str) -> float:
    """Probability [0, 1] of an action type among the nine, from the first token's log-probabilities [V]."""
    nine = logprobs[renderer.type_ids].softmax(dim=0)
    return nine[ACTION_TYPES.index(action_type)].item()


def judge(
    reading: Reading, window: Window, renderer: Renderer, candidates: list[list[Candidate]], shows_confidence: bool
) -> list[list[Verdict]]:
    """The trained verifier's P(ACCEPT) for each candidate at each decision. Equal candidates are read once."""
    accept, reject = (renderer.verdict_ids(right)[0] for right in (True, False))
    branches = _branches(renderer, window, candidates, shows_confidence, asks=True)
    scores, share = _scored(reading, list(branches), ends_only=True)
    found = {}
    for key, logprobs in zip(branches, scores, strict=True):
        found[key] = torch.sigmoid(logprobs[-1, accept] - logprobs[-1, reject]).item()
    return _verdicts(renderer, window, candidates, shows_confidence, True, found, share)


def likelihood(
    reading: Reading, window: Window, renderer: Renderer, candidates: list[list[Candidate]], level: Level
) -> list[list[Verdict]]:
    """A proposer as judge: the probability it gives each candidate's type, or (level tool, call) the whole action."""
    branches = _branches(renderer, window, candidates, False, asks=False)
    scores, share = _scored(reading, list(branches), ends_only=False)
    row = {point.start: n for n, point in enumerate(window.points)}
    found = {}
    for (prefix, ids), logprobs in zip(branches, scores, strict=True):
        first = reading.first[row[prefix]]
        rest = sum(logprobs[n, token].item() for n, token in enumerate(ids[1:]))
        found[prefix, ids] = torch.tensor(first[ids[0]].item() + (0.0 if level == "type" else rest)).exp().item()
    return _verdicts(renderer, window, candidates, False, False, found, share)


Branch = tuple[int, tuple[int, ...]]


def _branches(
    renderer: Renderer, window: Window, candidates: list[list[Candidate]], shows_confidence: bool, asks: bool
) -> dict[Branch, None]:
    return {
        _branch(renderer, point.start, candidate, shows_confidence, asks): None
        for point, row in zip(window.points, candidates, strict=True)
        for candidate in row
    }


def _branch(renderer: Renderer, prefix: int, candidate: Candidate, shows_confidence: bool, asks: bool) -> Branch:
    ids = candidate_ids(renderer, candidate.action, candidate.text)
    if asks:
        ids = ids + renderer.verdict_query_ids(candidate.confidence if shows_confidence else None)
    return prefix, tuple(ids)


def _scored(reading: Reading, branches: list[Branch], ends_only: bool) -> tuple[list[torch.Tensor], float]:
    started = time.perf_counter()
    scores = reading.session.score([(prefix, list(ids)) for prefix, ids in branches], ends_only)
    return scores, (time.perf_counter() - started) / sum(len(ids) for _, ids in branches)


def _verdicts(renderer, window, candidates, shows_confidence, asks, found, share) -> list[list[Verdict]]:
    """Verdicts in the candidates' order; a repeated candidate costs nothing more."""
    result = []
    for point, row in zip(window.points, candidates, strict=True):
        verdicts, seen = [], set()
        for candidate in row:
            key = _branch(renderer, point.start, candidate, shows_confidence, asks)
            tokens = 0 if key in seen else len(key[1])
            seen.add(key)
            verdicts.append(Verdict(score=found[key], tokens=tokens, seconds=tokens * share))
        result.append(verdicts)
    return result


def window_seed(seed: int, episode: str, window: int) -> int:
    """A sampling seed of a window's own, so that which episodes are answered, and when, changes no sample."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{episode}/{window}".encode()).digest()[:7])
