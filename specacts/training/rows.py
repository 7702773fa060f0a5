"""Training rows: which tokens of a transcript are labels, and how much each weighs."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from specacts.core.episodes import Episode, decisions
from specacts.training.judged import DecisionKey, Judged
from specacts.transcripts.render import Renderer, Window


class Row(NamedTuple):
    """A training sequence.

    ids: tokens. weights: the loss weight of each token as a label (0 for context).
    branches: (start, end, prefix) of each branch: `ids[start:end]` sees `ids[:prefix]` and itself.
    pairs: for a reward model, (chosen, rejected) positions: the last tokens of two branches.
    """

    ids: list[int]
    weights: list[float]
    branches: list[tuple[int, int, int]]
    pairs: Sequence[tuple[int, int]] = ()


class Verdicts(NamedTuple):
    """How many right and wrong actions a verifier learns from."""

    accept: int
    reject: int


class Weights(NamedTuple):
    """What an action's tokens weigh in the loss beside the 1 of a call: those that say its type, and words."""

    type: float
    words: float


def proposer_rows(renderer: Renderer, episodes: list[Episode], weigh: Weights) -> list[Row]:
    """One row a window: loss on the actions alone."""
    windows = (window for episode in episodes for window in renderer.windows(episode))
    return [Row(window.ids, action_weights(window, weigh), []) for window in windows]


def action_weights(window: Window, weigh: Weights) -> list[float]:
    """A loss weight a token: 0 for context, 1 for an action's tokens, others for its type and for words (`Weights`).

    Where words were cut, the stop token behind them weighs nothing: the agent had more to say.
    """
    weights = [0.0] * len(window.ids)
    for point in window.points:
        weights[point.start : point.said] = [1.0] * (point.said - point.start)
        weights[point.said : point.end] = [weigh.words] * (point.end - point.said)
        weights[point.start : point.typed] = [weigh.type] * (point.typed - point.start)
        if not point.whole:
            weights[point.end - 1] = 0.0
    return weights


def verifier_rows(
    renderer: Renderer,
    episodes: list[Episode],
    judged: dict[DecisionKey, list[Judged]],
    verdict_weight: float,
    weigh: Weights,
    shows_confidence: bool,
) -> tuple[list[Row], Verdicts]:
    """Trunk rows with a branch for every judged action: loss on the trunk's actions and on the verdicts.

    Classes are balanced: each gets half of the verdicts' total weight.
    """
    counts = Counter(one.right for found in judged.values() for one in found)
    half = counts.total() / 2
    weight = {right: verdict_weight * half / count for right, count in counts.items()}
    rows = []
    for episode in episodes:
        for window in renderer.windows(episode):
            ids, weights, branches = list(window.ids), action_weights(window, weigh), []
            for point in window.points:
                for one in judged.get((episode.id, point.decision), []):
                    confidence = one.confidence if shows_confidence else None
                    question = renderer.proposal_ids(one.action) + renderer.verdict_query_ids(confidence)
                    verdict = renderer.verdict_ids(one.right)[:1]  # the first token decides; the rest is spelling
                    branches.append((len(ids), len(ids) + len(question) + 1, point.start))
                    ids += question + verdict
                    weights += [0.0] * len(question) + [weight[one.right]]
            rows.append(Row(ids, weights, branches))
    return rows, Verdicts(counts[True], counts[False])


def reward_rows(
    renderer: Renderer, episodes: list[Episode], judged: dict[DecisionKey, list[Judged]]
) -> tuple[list[Row], Verdicts]:
    """Trunk rows with a branch for the gold action and for each wrong one, and the pairs of their last tokens.

    Windows without a wrong action teach nothing and are left out.
    """
    rows, chosen, rejected = [], 0, 0
    for episode in episodes:
        gold = [decision.gold for decision in decisions(episode)]
        for window in renderer.windows(episode):
            ids, branches, pairs = list(window.ids), [], []
            for point in window.points:
                found = [one.action for one in judged.get((episode.id, point.decision), []) if not one.right]
                ends = []
                for action in [gold[point.decision], *found] if found else []:
                    branches.append((len(ids), len(ids) + len(renderer.proposal_ids(action)), point.start))
                    ids += renderer.proposal_ids(action)
                    ends.append(len(ids) - 1)
                pairs += [(ends[0], end) for end in ends[1:]]
                chosen, rejected = chosen + bool(found), rejected + len(found)
            if pairs:
                rows.append(Row(ids, [0.0] * len(ids), branches, pairs))
    return rows, Verdicts(chosen, rejected)
