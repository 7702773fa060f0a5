"""Asking models: proposals and verdicts at every decision of several windows, from one reading of their trunks."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from specacts.answers import Candidate, Verdict
from specacts.config import Level
from specacts.decode import Generated, Prefix, generate
from specacts.episodes import ACTION_TYPES, Action, Episode, decisions
from specacts.infer import Session
from specacts.render import Point, Renderer, Window
from specacts.rows import candidate_ids


class Reading(NamedTuple):
    """Windows that have been read: a session each, and for each decision, in order, its place among them.

    first: first-token log-probabilities [decisions, V]. seconds_per_token: by window.
    """

    sessions: list[Session]
    prefixes: list[Prefix]
    first: torch.Tensor
    seconds_per_token: list[float]


def read(model: torch.nn.Module, windows: list[Window]) -> Reading:
    """Read each window's trunk once, so that all their decisions can be answered side by side."""
    sessions, prefixes, first, seconds = [], [], [], []
    for number, window in enumerate(windows):
        session = Session(model)
        started = time.perf_counter()
        # The last label is never context; neither policy nor cost should see it read.
        ids = window.ids[: window.points[-1].start]
        first.append(session.extend(ids, [point.start - 1 for point in window.points]))
        seconds.append((time.perf_counter() - started) / len(ids))
        prefixes += [Prefix(number, point.start) for point in window.points]
        sessions.append(session)
    return Reading(sessions, prefixes, torch.cat(first), seconds)


def propose(
    reading: Reading, renderer: Renderer, count: int, temperature: float, seeds: list[int]
) -> list[list[Candidate]]:
    """`count` candidates at each decision: one greedy, the others sampled, each from its decision's own seed."""
    temperatures = ([0.0] + [temperature] * (count - 1)) * len(seeds)
    generators = [g for seed in seeds for g in _generators(seed, count, reading.first.device)]
    started = time.perf_counter()
    generated = generate(
        reading.sessions,
        [prefix for prefix in reading.prefixes for _ in range(count)],
        reading.first.repeat_interleave(count, dim=0),
        renderer.stop_id,
        renderer.limits.action_tokens,
        temperatures,
        generators,
    )
    share = (time.perf_counter() - started) / sum(len(g.ids) for g in generated)
    candidates = [_candidate(g, renderer, share) for g in generated]
    return [candidates[n : n + count] for n in range(0, len(candidates), count)]


def _generators(seed: int, count: int, device: torch.device) -> list[torch.Generator | None]:
    sampled = [torch.Generator(device).manual_seed(seed + n) for n in range(1, count)]
    return [None, *sampled]


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
    reading: Reading, renderer: Renderer, candidates: list[list[Candidate]], shows_confidence: bool
) -> list[list[Verdict]]:
    """The trained verifier's P(ACCEPT) for each candidate at each decision. Equal candidates are read once."""
    accept, reject = (renderer.verdict_ids(right)[0] for right in (True, False))

    def ids(candidate: Candidate) -> list[int]:
        confidence = candidate.confidence if shows_confidence else None
        return candidate_ids(renderer, candidate.action, candidate.text) + renderer.verdict_query_ids(confidence)

    branches = _branches(reading, candidates, ids)
    scores, share = _scored(reading, list(branches), ends_only=True)
    found = [torch.sigmoid(s[-1, accept] - s[-1, reject]).item() for s in scores]
    return _verdicts(reading, candidates, ids, dict(zip(branches, found, strict=True)), share)


def likelihood(
    reading: Reading, renderer: Renderer, candidates: list[list[Candidate]], level: Level
) -> list[list[Verdict]]:
    """A proposer as judge: the probability it gives each candidate's type, or (level tool, call) the whole action."""

    def ids(candidate: Candidate) -> list[int]:
        whole = candidate_ids(renderer, candidate.action, candidate.text)
        return whole[:1] if level == "type" else whole

    branches = _branches(reading, candidates, ids)
    row = {prefix: n for n, prefix in enumerate(reading.prefixes)}
    first = {key: reading.first[row[key[0]], key[1][0]].item() for key in branches}
    if level == "type":  # reading the context is enough
        found, share = first, 0.0
    else:
        scores, share = _scored(reading, list(branches), ends_only=False)
        found = {
            key: first[key] + sum(s[n, token].item() for n, token in enumerate(key[1][1:]))
            for key, s in zip(branches, scores, strict=True)
        }
    probabilities = {key: math.exp(value) for key, value in found.items()}
    verdicts = _verdicts(reading, candidates, ids, probabilities, share)
    return [[v.model_copy(update={"tokens": 0}) for v in row] for row in verdicts] if level == "type" else verdicts


Branch = tuple[Prefix, tuple[int, ...]]
Ids = Callable[[Candidate], list[int]]


def _branches(reading: Reading, candidates: list[list[Candidate]], ids: Ids) -> dict[Branch, None]:
    """The distinct branches, in order."""
    pairs = zip(reading.prefixes, candidates, strict=True)
    return {(prefix, tuple(ids(candidate))): None for prefix, row in pairs for candidate in row}


def _scored(reading: Reading, branches: list[Branch], ends_only: bool) -> tuple[list[torch.Tensor], float]:
    started = time.perf_counter()
    scores = []
    for number, session in enumerate(reading.sessions):  # branches come in the order of their trunks
        own = [(prefix.end, list(ids)) for prefix, ids in branches if prefix.trunk == number]
        scores += session.score(own, ends_only)
    return scores, (time.perf_counter() - started) / sum(len(ids) for _, ids in branches)


def _verdicts(
    reading: Reading, candidates: list[list[Candidate]], ids: Ids, found: dict[Branch, float], share: float
) -> list[list[Verdict]]:
    """Verdicts in the candidates' order; a repeated candidate costs nothing more."""
    result = []
    for prefix, row in zip(reading.prefixes, candidates, strict=True):
        verdicts, seen = [], set()
        for candidate in row:
            key = (prefix, tuple(ids(candidate)))
            tokens = 0 if key in seen else len(key[1])
            seen.add(key)
            verdicts.append(Verdict(score=found[key], tokens=tokens, seconds=tokens * share))
        result.append(verdicts)
    return result


class Asked(NamedTuple):
    """A decision to be answered, and where it stands."""

    episode: Episode
    window_number: int
    window: Window
    point: Point
    gold: Action
    seed: int


def batches(renderer: Renderer, episodes: list[Episode], seed: int, size: int = 8) -> Iterator[list[list[Asked]]]:
    """Decisions by window, `size` windows at a time: what is read and answered together.

    Windows of about as many decisions come together (the most first), so that little of a batch is padding.
    """
    windows = []
    for episode in episodes:
        due = decisions(episode)
        for number, window in enumerate(renderer.windows(episode)):
            windows.append(
                [
                    Asked(episode, number, window, p, due[p.decision].gold, decision_seed(seed, episode.id, p.decision))
                    for p in window.points
                ]
            )
    windows.sort(key=len, reverse=True)
    for start in range(0, len(windows), size):
        yield windows[start : start + size]


def decision_seed(seed: int, episode: str, decision: int) -> int:
    """A sampling seed of a decision's own, so that which others are answered beside it changes no sample."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{episode}/{decision}".encode()).digest()[:6])
