"""Training rows: which tokens of a transcript are labels, and how much each weighs."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from specacts.answers import Candidate
from specacts.config import Level
from specacts.episodes import Episode, agrees, decisions
from specacts.render import Renderer, Window
from specacts.train import Row


class Balance(NamedTuple):
    """Verdicts in the verifier's training data, and the weight each class got so that both weigh the same."""

    accept: int
    reject: int
    accept_weight: float
    reject_weight: float


def training_order(episodes: Sequence[Episode], seed: int) -> list[Episode]:
    """Episodes in the order they are learned from: near-copies far apart, small groups spread evenly among large ones.

    The n episodes of a group come once in every n-th part of the epoch, at a place drawn from the seed. A training that
    stops within its first epoch, as the CPU scale's do, has then seen nearly every group instead of two in three.
    """
    members: dict[str, list[Episode]] = {}
    for episode in episodes:
        members.setdefault(episode.group, []).append(episode)
    places = {}
    for name, group in members.items():
        group.sort(key=lambda episode: _draw(seed, episode.id))
        places |= {episode.id: (n + _draw(seed, name)) / len(group) for n, episode in enumerate(group)}
    return sorted(episodes, key=lambda episode: places[episode.id])


def _draw(seed: int, name: str) -> float:
    """A number in [0, 1) of the name's own."""
    return int.from_bytes(hashlib.sha256(f"{seed}/order/{name}".encode()).digest()[:6]) / 2**48


def proposer_rows(renderer: Renderer, episodes: list[Episode], type_weight: float) -> list[Row]:
    """One row a window: loss on the actions alone, an action's first token weighing `type_weight`."""
    windows = (window for episode in episodes for window in renderer.windows(episode))
    return [Row(window.ids, action_weights(window, type_weight), []) for window in windows]


def action_weights(window: Window, type_weight: float) -> list[float]:
    """A loss weight a token: 0 for context, 1 for an action's tokens, `type_weight` for its first."""
    weights = [0.0] * len(window.ids)
    for point in window.points:
        weights[point.start : point.end] = [1.0] * (point.end - point.start)
        weights[point.start] = type_weight
    return weights


def verifier_rows(
    renderer: Renderer,
    episodes: list[Episode],
    proposals: dict[tuple[str, int], list[Candidate]],
    level: Level,
    verdict_weight: float,
    type_weight: float,
    shows_confidence: bool,
) -> tuple[list[Row], Balance]:
    """Trunk rows with a branch for every distinct proposal: loss on the actions and on the verdicts.

    proposals: the cheap model's own, by (episode id, decision); malformed ones are left out, as nobody has to be asked
    about them. A verdict is ACCEPT where the proposal agrees with the gold action at `level`. Classes are balanced:
    each gets half of the verdicts' total weight.
    """
    labelled = {}
    for episode in episodes:
        for decision in decisions(episode):
            distinct = {c.text: c for c in proposals.get((episode.id, decision.index), []) if c.action}.values()
            pairs = [(c, agrees(c.action, decision.gold, level)) for c in distinct]
            labelled[episode.id, decision.index] = pairs
    counts = Counter(right for pairs in labelled.values() for _, right in pairs)
    half = (counts[True] + counts[False]) / 2
    weight = {right: verdict_weight * half / count for right, count in counts.items()}
    rows = []
    for episode in episodes:
        for window in renderer.windows(episode):
            ids, weights, branches = list(window.ids), action_weights(window, type_weight), []
            for point in window.points:
                for candidate, right in labelled[episode.id, point.decision]:
                    confidence = candidate.confidence if shows_confidence else None
                    question = renderer.action_ids(candidate.action) + renderer.verdict_query_ids(confidence)
                    verdict = renderer.verdict_ids(right)[:1]  # the first token decides; the rest is spelling
                    branches.append((len(ids), len(ids) + len(question) + 1, point.start))
                    ids += question + verdict
                    weights += [0.0] * len(question) + [weight[right]]
            rows.append(Row(ids, weights, branches))
    return rows, Balance(counts[True], counts[False], weight.get(True, 0.0), weight.get(False, 0.0))
