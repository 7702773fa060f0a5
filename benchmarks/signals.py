"""Which signals tell the cheap model's right proposals from its wrong ones, and what each would add to policy H.

    python -m benchmarks.signals          # here, where `dvc repro` has run with a verifier

On the calibration split, never on test: AUROC of a logistic regression of the signals, cross-fitted over groups as H's
is (specacts/policies/combine.py), and its difference from H's on the same resamples of groups.
"""

from pathlib import Path

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from tabulate import tabulate

from specacts.answering.records import Answers, Candidate, load_answers
from specacts.config import load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.evaluation.stats import auroc, auroc_difference, resample_weights
from specacts.policies.cases import Route, greedy_right, load_routes
from specacts.policies.combine import EDGE, FOLDS
from specacts.report.wording import interval

DATA = Path("data")
H = ("likelihood", "confidence", "route")
SETS = {
    "H: likelihood, confidence and router": H,
    "the cheap model's confidence in its type, which is free": ("confidence",),
    "the verifier's likelihood": ("likelihood",),
    "the verifier's P(ACCEPT)": ("verdict",),
    "likelihood and confidence": ("likelihood", "confidence"),
    "H and P(ACCEPT)": (*H, "verdict"),
    "H and how many samples are of its type": (*H, "samples"),
    "H and how many samples are the same": (*H, "same samples"),
    "H and whether the verifier would act so": (*H, "middle"),
    "H and the proposal's mean token probability": (*H, "tokens"),
    "all of these": (*H, "verdict", "samples", "same samples", "middle", "tokens"),
}
"""What is combined, by its name."""


def main() -> None:
    config = load_config(Path("."))
    rows = load_answers(DATA / "answers/calibrate.jsonl")
    if any(row.middle is None for row in rows):
        raise UserError("signals: this run has no verifier that can act; run `dvc repro` with one")
    known = [signals(row, route) for row, route in zip(rows, load_routes(DATA / "routes.jsonl", rows), strict=True)]
    right = np.array(greedy_right(rows, config.acceptance.level))
    groups = [row.group for row in rows]
    if right.all() or not right.any() or len(set(groups)) < 2:
        raise UserError("signals: the calibration split's proposals are all right or all wrong: nothing to tell apart")
    weights = resample_weights(groups, config.scale.bootstrap, config.seed)
    scores = {
        name: cross_fitted(np.array([[one[key] for key in keys] for one in known]), right, groups)
        for name, keys in SETS.items()
    }
    base, table = scores[next(iter(SETS))], []
    for name, score in scores.items():
        own, difference = auroc(score, right, weights), auroc_difference(score, base, right, weights)
        table.append([name, interval(own), "" if score is base else interval(difference, "+.3f")])
    print(tabulate(table, ["judged by", "AUROC", "minus H's"], tablefmt="github"))
    best = max(auroc(score, right, weights).value for score in scores.values()) / auroc(base, right, weights).value
    print(f"{len(rows)} decisions in {len(set(groups))} groups of the calibration split")
    print(f"ratio of the best one's AUROC to H's: {best:.3f}")


def signals(row: Answers, route: Route) -> dict[str, float]:
    """What is known of a row's greedy proposal; probabilities as log-odds."""
    greedy, *samples = row.cheap
    return {
        "likelihood": odds(row.verifier_likelihood[0].score),
        "verdict": odds(row.verifier[0].score),
        "confidence": odds(greedy.confidence),
        "route": odds(route.probability),
        "samples": float(np.mean([kind(sample) == kind(greedy) for sample in samples])),
        "same samples": float(np.mean([sample.text == greedy.text for sample in samples])),
        "middle": float(row.middle is not None and kind(row.middle) == kind(greedy)),
        "tokens": greedy.logprob / max(1, greedy.tokens),
    }


def kind(candidate: Candidate) -> str | None:
    """The type of what a model would do; None of a malformed action."""
    return candidate.action.type if candidate.action else None


def odds(probability: float) -> float:
    return float(logit(np.clip(probability, EDGE, 1 - EDGE)))


def cross_fitted(features: np.ndarray, right: np.ndarray, groups: list[str]) -> np.ndarray:
    """P(right) [rows], each by a regression that was fitted without the row's own group.

    Where the rows that it is fitted to are all right or all wrong, it says that.
    """
    result = np.zeros(len(right))
    for kept, left in GroupKFold(min(FOLDS, len(set(groups)))).split(features, groups=groups):
        if right[kept].all() or not right[kept].any():
            result[left] = right[kept].mean()
            continue
        fitted = LogisticRegression(C=1.0, max_iter=5000).fit(features[kept], right[kept])
        result[left] = fitted.predict_proba(features[left])[:, 1]
    return result


if __name__ == "__main__":
    with one_line_errors():
        main()
