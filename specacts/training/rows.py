"""Training rows: which tokens of a transcript are labels, and how much each weighs.

Rows are made one at a time, as they are asked for: of many traces they would not fit into memory.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from specacts.core.episodes import Action, Episode, decisions
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


def proposer_rows(renderer: Renderer, episodes: list[Episode], weigh: Weights) -> Iterator[Row]:
    """One row a window: loss on the actions alone."""
    windows = (window for episode in episodes for window in renderer.windows(episode))
    return (Row(window.ids, action_weights(window, weigh), []) for window in windows)


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


class Branch(NamedTuple):
    """Tokens behind the first `prefix` of a trunk, with their weights as labels."""

    prefix: int
    ids: list[int]
    weights: list[float]


def verifier_rows(
    renderer: Renderer,
    episodes: list[Episode],
    judged: dict[DecisionKey, list[Judged]],
    verdict_weight: float,
    weigh: Weights,
    shows_confidence: bool,
) -> tuple[Iterator[Row], Verdicts]:
    """Trunk rows with a branch for every judged action: loss on the trunk's actions and on the verdicts.

    Classes are balanced: each gets half of the verdicts' total weight.
    """
    counts = Counter(one.right for found in judged.values() for one in found)
    half = counts.total() / 2
    weight = {right: verdict_weight * half / count for right, count in counts.items()}

    if not verdict_weight:
        judged = {}  # verdicts without a weight would be read for nothing

    def branch(prefix: int, one: Judged) -> Branch:
        confidence = one.confidence if shows_confidence else None
        question = renderer.proposal_ids(one.action) + renderer.verdict_query_ids(confidence)
        verdict = renderer.verdict_ids(one.right)[:1]  # the first token decides; the rest is spelling
        return Branch(prefix, question + verdict, [0.0] * len(question) + [weight[one.right]])

    def rows() -> Iterator[Row]:
        for episode in episodes:
            for window in renderer.windows(episode):
                found = ((p.start, one) for p in window.points for one in judged.get((episode.id, p.decision), []))
                branches = [[branch(start, one)] for start, one in found]
                trunk = Row(window.ids, action_weights(window, weigh), [])
                yield from branched(trunk, branches, renderer.limits.max_tokens)

    return rows(), Verdicts(counts[True], counts[False])


def branched(trunk: Row, groups: list[list[Branch]], most: int) -> Iterator[Row]:
    """The trunk with branches behind it: at most so many tokens of them, or one group's, in a row.

    Rows after the first read the trunk again, as far as they need it, and learn nothing from it.
    """
    while True:
        taken, size = 0, 0
        for group in groups:
            size += sum(len(branch.ids) for branch in group)
            if taken and size > most:
                break
            taken += 1
        ids, weights, branches = list(trunk.ids), list(trunk.weights), []
        for branch in (branch for group in groups[:taken] for branch in group):
            branches.append((len(ids), len(ids) + len(branch.ids), branch.prefix))
            ids += branch.ids
            weights += branch.weights
        yield Row(ids, weights, branches)
        groups = groups[taken:]
        if not groups:
            return
        last = max(branch.prefix for group in groups for branch in group)
        trunk = Row(trunk.ids[:last], [0.0] * last, [])


def reward_rows(
    renderer: Renderer, episodes: list[Episode], judged: dict[DecisionKey, list[Judged]]
) -> tuple[Iterator[Row], Verdicts]:
    """Trunk rows with a branch for the gold action and for each wrong one, and the pairs of their last tokens.

    Windows without a wrong action teach nothing and are left out.
    """
    wrong = {key: [one.action for one in found if not one.right] for key, found in judged.items()}
    wrong = {key: actions for key, actions in wrong.items() if actions}

    def group(prefix: int, actions: list[Action]) -> list[Branch]:
        asked = [renderer.proposal_ids(action) for action in actions]
        return [Branch(prefix, ids, [0.0] * len(ids)) for ids in asked]

    def rows() -> Iterator[Row]:
        for episode in episodes:
            gold = [decision.gold for decision in decisions(episode)]
            for window in renderer.windows(episode):
                places = [(point, wrong.get((episode.id, point.decision), [])) for point in window.points]
                groups = [group(point.start, [gold[point.decision], *found]) for point, found in places if found]
                trunk = Row(window.ids, [0.0] * len(window.ids), [])
                for row in branched(trunk, groups, renderer.limits.max_tokens) if groups else ():
                    yield row._replace(pairs=pairs_of(row.branches))

    return rows(), Verdicts(len(wrong), sum(map(len, wrong.values())))


def pairs_of(branches: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """The last token of each prefix's first branch, which is gold, with that of every other one behind it."""
    first: dict[int, int] = {}
    return [(first[prefix], end - 1) for _, end, prefix in branches if first.setdefault(prefix, end - 1) != end - 1]
