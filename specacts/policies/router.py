"""A router: whether the cheap model will be right, from what a context looks like, before any model is asked.

    fitted = fit(examples, seed=0)            # on the verify split, where the cheap model's proposals are labelled
    route(fitted.router, episode, at)         # P(right) at the decision due at steps[at]

It reads no text with a model and costs nothing: it looks at what was done last, how far the turn has come, how much
was asked for. A logistic regression (scikit-learn), its strength of regularisation chosen by cross-validation over
groups; stored as plain numbers. What the cheap model says when it has read the context ranks a little better, but then
it has been paid for: that is policy F.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from specacts.core.episodes import Act, Episode, Observation, User, decisions
from specacts.core.files import read_json
from specacts.core.observations import is_error
from specacts.core.results import Result

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse regularisation tried, the strongest first: of equals it is taken."""
FOLDS = 5
Features = dict[str, float]


class Example(NamedTuple):
    """A decision's features, whether the cheap model's greedy proposal was right there, and its group."""

    features: Features
    right: bool
    group: str


class Router(Result):
    """A logistic regression: the weight of each feature (0 of one that is not listed) and the intercept."""

    weights: dict[str, float]
    intercept: float


class RouteMetrics(Result):
    """`metrics/route.json`: what the router was fitted on, and how good it was on groups it was not fitted on."""

    decisions: int
    groups: int
    base_rate: float
    auroc: float
    log_loss: float
    strength: float


NO_ROUTER = RouteMetrics(decisions=0, groups=0, base_rate=0, auroc=0.5, log_loss=0, strength=0)
"""Where nothing was proposed that it could learn from."""


class Fit(NamedTuple):
    """A router, and how good it was on groups it was not fitted on: AUROC (0.5: chance) and log loss."""

    router: Router
    strength: float
    auroc: float
    log_loss: float


def features(episode: Episode, at: int) -> Features:
    """What the context `steps[:at]` looks like; names with `=` are indicators."""
    past = episode.steps[:at]
    start = max((n for n, step in enumerate(past) if isinstance(step, User)), default=0)
    acts = [step for step in past[start + 1 :] if isinstance(step, Act)]
    first, last = (past[start], past[-1]) if past else (None, None)
    user = first if isinstance(first, User) else User(content="")
    asked = user.content
    found = {
        f"last={last.role if last else 'none'}": 1.0,
        "turns": min(6, sum(isinstance(step, User) for step in past)) / 6,
        "actions in turn": min(6, len(acts)) / 6,
        "tools": len(episode.tools) / 50,
        "length asked": math.log1p(len(asked)) / 5,
        "words asked an action": len(asked.split()) / 20 / (1 + len(acts)),
    }
    if isinstance(last, Observation) and is_error(last.content):
        found["last failed"] = 1.0
    if user.new_tools:
        found["new tools"] = 1.0
    if acts:
        found |= {f"last tool={acts[-1].action.tool}": 1.0, f"last type={acts[-1].action.type}": 1.0}
    return found


def fit(examples: Sequence[Example], seed: int) -> Fit:
    """The router of the examples. All right or all wrong, or of one group: a constant, and no better than chance."""
    right = np.array([example.right for example in examples])
    groups = [example.group for example in examples]
    folds = min(FOLDS, len(set(groups)))
    if right.all() or not right.any() or folds < 2:
        share = min(0.99, max(0.01, float(right.mean()) if len(right) else 0.5))
        return Fit(Router(weights={}, intercept=math.log(share / (1 - share))), 0.0, 0.5, _constant_loss(share))
    # Imported here: scikit-learn takes two seconds, and most who read what was fitted fit nothing.
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    def model(strength: float) -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=5000)

    table = DictVectorizer()
    values = table.fit_transform(example.features for example in examples)
    tried = {}
    for strength in STRENGTHS:
        split = GroupKFold(folds, shuffle=True, random_state=seed)
        said = cross_val_predict(model(strength), values, right, groups=groups, cv=split, method="predict_proba")
        tried[strength] = said[:, 1]
    losses = {strength: log_loss(right, said) for strength, said in tried.items()}
    best = min(STRENGTHS, key=lambda strength: losses[strength])
    fitted = model(best).fit(values, right)
    weights = dict(zip(table.get_feature_names_out(), map(float, fitted.coef_[0]), strict=True))
    router = Router(weights=weights, intercept=float(fitted.intercept_[0]))
    return Fit(router, best, float(roc_auc_score(right, tried[best])), float(losses[best]))


def load_router(path: Path) -> Router | None:
    """Read `data/router.json`; None where there is no router."""
    return Router.load(path) if read_json(path) else None


def _constant_loss(share: float) -> float:
    return float(-share * math.log(share) - (1 - share) * math.log(1 - share))


def route(router: Router, episode: Episode, at: int) -> float:
    """Probability [0, 1] that the cheap model is right at the decision that is due at `steps[at]`."""
    found = features(episode, at)
    return float(expit(router.intercept + sum(router.weights.get(name, 0.0) * value for name, value in found.items())))


def routes(router: Router | None, episodes: Iterable[Episode]) -> list[dict[str, Any]]:
    """One line a decision for `data/routes.jsonl`. turn: how many messages the user had written by then.

    Without a router nothing is said of the route.
    """
    return [
        {
            "episode": episode.id,
            "decision": due.index,
            "turn": sum(isinstance(step, User) for step in episode.steps[: due.step]),
            "route": route(router, episode, due.step) if router else None,
        }
        for episode in episodes
        for due in decisions(episode)
    ]
