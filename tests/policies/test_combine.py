"""Policy H's score weighs what is known by how much it says, and never with the help of a decision's own group."""

import random

import numpy as np
import pytest

from specacts.core.errors import UserError
from specacts.core.files import write_text
from specacts.policies.combine import VERIFIER_ALONE, Combination, Signals, cross_fitted, fit, probability

Known = tuple[list[Signals], list[bool], list[str]]


def informed(count: int = 300, seed: int = 0) -> Known:
    """Signals, whether right, and groups of two; only the router knows anything."""
    rng = random.Random(seed)
    signals, right = [], []
    for _ in range(count):
        right.append(rng.random() < 0.6)
        route = rng.gauss(0.7 if right[-1] else 0.3, 0.1)
        signals.append(Signals(verifier=rng.random(), confidence=rng.random(), route=route))
    return signals, right, [f"g{n // 2}" for n in range(count)]


def test_what_knows_most_weighs_most():
    signals, right, _ = informed()
    found = fit(signals, right)
    assert found.route > 3 * max(abs(found.verifier), abs(found.confidence))
    good, bad = (probability(found, Signals(0.5, 0.5, route)) for route in (0.8, 0.2))
    assert good > 0.9 and bad < 0.1


def test_a_decisions_own_group_has_no_say_in_its_score():
    signals, right, groups = informed()
    spoilt = [False if group == "g0" else true for true, group in zip(right, groups, strict=True)]
    assert spoilt != right
    before, after = cross_fitted(signals, right, groups), cross_fitted(signals, spoilt, groups)
    assert before[:2] == pytest.approx(after[:2], rel=1e-9)
    assert before != after and len(before) == len(signals)


def test_each_score_is_that_of_its_own_signals():
    signals, right, groups = informed()
    scores = np.array(cross_fitted(signals, right, groups))
    assert np.corrcoef(scores, [one.route for one in signals])[0, 1] > 0.9


def test_where_there_is_nothing_to_learn_it_is_the_verifiers_score():
    alike = [Signals(verifier=0.3, confidence=0.5, route=0.5)] * 6
    assert fit(alike, [True] * 6) == fit(alike, [False] * 6) == VERIFIER_ALONE == fit([], [])
    assert cross_fitted(alike, [True] * 6, list("abcdef"))[0] == pytest.approx(0.3)


def test_one_group_has_no_other_to_learn_from_and_scores_as_the_verifier_kept_off_the_ends():
    signals, right, _ = informed(20)
    signals[0], signals[1] = signals[0]._replace(verifier=0.0), signals[1]._replace(verifier=1.0)
    alone = cross_fitted(signals, right, ["one"] * 20)
    assert alone == pytest.approx([min(1 - 1e-4, max(1e-4, one.verifier)) for one in signals])


def test_it_is_stored_as_plain_numbers_and_read_back(tmp_path):
    found = fit(*informed()[:2])
    found.save(tmp_path / "combination.json", exact=True)
    assert Combination.load(tmp_path / "combination.json") == found
    write_text(tmp_path / "combination.json", '{"verifier": 1.0}')
    with pytest.raises(UserError, match=r"combination\.json: confidence: Field required; run the stage that makes it"):
        Combination.load(tmp_path / "combination.json")
