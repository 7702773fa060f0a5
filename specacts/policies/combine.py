"""Policy H's score: everything that is known of a proposal in one number.

    rows = routed(rows, Path("data/routes.jsonl"))  # what the router says (router.py) beside the models' answers
    rows = cross_fitted(calibrate_rows, "type")     # each with a score that was fitted without its own group
    combination = fit(calibrate_rows, "type")
    combined(combination, row)                      # P(right), given verifier, confidence and router

A logistic regression (scikit-learn) on the log-odds of the verifier's score, the cheap model's confidence in its type
and the router's probability. It is fitted on the calibrate split, and its threshold is chosen there too, on scores by
cross-fitting. A guarantee needs scores that owe nothing to the groups it rests on: H has none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from specacts.answering.records import Answers
from specacts.core.episodes import agrees
from specacts.core.errors import UserError
from specacts.core.files import read_json, read_jsonl
from specacts.core.words import Level

EDGE = 1e-4
"""Scores are kept this far from 0 and 1: log-odds beyond would drown the others'."""
FOLDS = 5


class Combination(NamedTuple):
    """Weights of the log-odds of the verifier's score, the confidence and the route; and the intercept."""

    verifier: float
    confidence: float
    route: float
    intercept: float


VERIFIER_ALONE = Combination(1.0, 0.0, 0.0, 0.0)


def routed(rows: Sequence[Answers], path: Path) -> list[Answers]:
    """The rows with the router's probabilities (`data/routes.jsonl`). Raises `UserError` where it lacks one's."""
    known = {}
    for number, line in read_jsonl(path):
        try:
            known[line["episode"], line["decision"]] = float(line["route"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}:{number}: {error!r}: needs episode, decision and route") from error
    for row in rows:
        if (row.episode, row.decision) not in known:
            raise UserError(f"{path}: no line for {row.episode}, decision {row.decision}; run `dvc repro route`")
    return [row.model_copy(update={"route": known[row.episode, row.decision]}) for row in rows]


def fit(rows: Sequence[Answers], level: Level) -> Combination:
    """The combination of routed, judged rows; the verifier's score alone where all are right or all are wrong."""
    right = np.array([agrees(row.cheap[0].action, row.gold, level) for row in rows], dtype=bool)
    if right.all() or not right.any():
        return VERIFIER_ALONE
    model = LogisticRegression(C=1.0, max_iter=5000).fit(np.array([_odds(row) for row in rows]), right)
    return Combination(*map(float, model.coef_[0]), float(model.intercept_[0]))


def combined(combination: Combination, row: Answers) -> float:
    """Probability [0, 1] that the row's greedy proposal is right."""
    return float(expit(np.dot(combination[:3], _odds(row)) + combination.intercept))


def cross_fitted(rows: Sequence[Answers], level: Level) -> list[Answers]:
    """The rows with combined scores, each by a combination of the other groups; of one group, the verifier's."""
    names = [row.group for row in rows]
    folds = min(FOLDS, len(set(names)))
    if folds < 2:
        return with_combined(rows, VERIFIER_ALONE)
    result = list(rows)
    for kept, left in GroupKFold(folds).split(names, groups=names):
        combination = fit([rows[n] for n in kept], level)
        for n, row in zip(left, with_combined([rows[n] for n in left], combination), strict=True):
            result[n] = row
    return result


def with_combined(rows: Sequence[Answers], combination: Combination) -> list[Answers]:
    """The rows with their combined scores."""
    return [row.model_copy(update={"combined": combined(combination, row)}) for row in rows]


def load_combination(path: Path) -> Combination:
    """Read `data/combination.json`."""
    values: Any = read_json(path)
    try:
        return Combination(**{name: float(values[name]) for name in Combination._fields})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: {error!r}: needs {', '.join(Combination._fields)}; run `dvc repro calibrate`"
        ) from error


def _odds(row: Answers) -> np.ndarray:
    scores = (row.verifier[0].score, row.cheap[0].confidence, row.route)
    return logit(np.clip(np.array(scores, dtype=float), EDGE, 1 - EDGE))
