"""A certified threshold keeps its promise as often as it says, where one tuned on the same data does not."""

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks.promises import SETTINGS, few_long, simulate, truth
from specacts.policies.bet import groups_needed, p_values, weights
from specacts.policies.decide import lowest_accepted
from specacts.policies.guarantee import (
    GRID,
    Evidence,
    certified,
    certified_by_kind,
    evidence_of,
    excess,
    upper_bound,
)

RISK, ERROR, GROUPS, MOST = 0.1, 0.1, 60, 11


def drawn(rng: np.random.Generator, groups: int = GROUPS, offset: float = 0.3) -> Evidence:
    """Synthetic decisions whose rightness is dependent inside a group, through how hard the group is."""
    sizes = rng.integers(1, 16, size=groups)
    hardness = np.repeat(rng.normal(0, 0.8, size=groups), sizes)
    count = len(hardness)
    chance = 1 / (1 + np.exp(-(hardness + rng.normal(offset, 1.3, size=count))))
    scores = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + rng.normal(0, 0.7, size=count))))
    losses = (rng.random(count) < 0.8).astype(float) - (rng.random(count) < chance)
    kinds = np.where(rng.random(count) < 0.3, "file_write", "file_read")
    return evidence_of(scores, losses, np.repeat(np.arange(groups), sizes), kinds)


@pytest.fixture(scope="module", params=[1, MOST])
def most(request) -> int:
    """A promise about the average over groups, and one per decision."""
    return request.param


@pytest.fixture(scope="module")
def safe(most: int) -> dict[float, bool]:
    """Whether each threshold is safe in truth, averaged over groups or decisions: from 20,000 groups."""
    exact = 1 if most == 1 else 15  # no group is larger
    parts = [excess(drawn(np.random.default_rng(10_000 + n), 1_000), RISK, exact).mean(axis=1) for n in range(20)]
    return dict(zip(GRID, np.mean(parts, axis=0) <= 0, strict=True))


def test_violations_are_no_more_frequent_than_promised_and_naive_tuning_breaks_the_promise(safe, most):
    assert not all(safe.values()) and any(safe.values())
    draws, violated, tuned, silent = 150, 0, 0, 0
    for seed in range(draws):
        evidence = drawn(np.random.default_rng(seed))
        found = certified(evidence, RISK, ERROR, most)
        silent += found is None
        violated += found is not None and not safe[found]
        means = excess(evidence, RISK, most).mean(axis=1)
        tuned += not safe[min(threshold for threshold, mean in zip(GRID, means, strict=True) if mean <= 0)]
    assert binomtest(violated, draws).proportion_ci().high <= ERROR  # evidence for the promise ...
    assert binomtest(tuned, draws).proportion_ci().low > ERROR  # ... and much against tuning
    assert silent < draws / 20  # the promise is not kept by saying nothing


def test_where_few_groups_are_long_a_promise_per_decision_is_kept_and_one_per_group_says_nothing_of_decisions():
    known = truth(few_long)
    strict, loose = (setting for setting in SETTINGS if setting.world is few_long)
    for setting, draws in ((strict, 100), (loose, 50)):
        assert known.decisions[-1] > 1.5 * setting.risk and known.groups[-1] < setting.risk  # to accept everything
        found = simulate(setting, draws, known)
        assert found["groups"].broken_per_decision > 0.9 and found["groups"].broken_per_group <= ERROR
        broken = round(draws * found["decisions"].broken_per_decision)
        assert binomtest(broken, draws).proportion_ci().high <= ERROR
        assert found["decisions"].broken_per_group <= ERROR
        assert found["decisions"].accepted > known.possible("decisions", setting.risk) / 5


def test_a_p_value_is_valid_where_the_hypothesis_just_holds():
    """Mean loss exactly at the risk, in a few shapes: small p-values are no more frequent than they may be."""
    rng, draws = np.random.default_rng(0), 4_000
    for values, chances in (
        ([0.9, -0.1], [0.1, 0.9]),
        ([0.4, -0.4], [0.5, 0.5]),
        ([0.0], [1.0]),
        ([0.9, -1.1], [0.55, 0.45]),
    ):
        assert np.dot(values, chances) == pytest.approx(0)
        found = p_values(rng.choice(values, p=chances, size=(draws, 50)), RISK, ERROR)
        for level in (0.01, 0.05, 0.1, 0.3):
            count = int((found <= level).sum())
            assert binomtest(count, draws).proportion_ci().low <= level


def test_without_any_loss_the_groups_needed_are_just_enough():
    for risk, error in ((0.05, 0.1), (0.1, 0.1), (0.1, 0.01), (0.3, 0.2)):
        needed = groups_needed(risk, error)
        scores = [0.5] * needed
        enough = evidence_of(scores, [0] * needed, [str(n) for n in range(needed)], [""] * needed)
        assert certified(enough, risk, error, most=1) == min(GRID)
        fewer = Evidence(*(part[1:] for part in enough))
        assert certified(fewer, risk, error, most=1) is None


def test_without_any_loss_groups_of_several_sizes_are_just_enough():
    sizes = np.resize([11, 1, 5, 14], 500)
    for risk in (0.05, 0.2):
        needed = groups_needed(risk, ERROR, weights(sizes, 11))
        for count, threshold in ((needed, min(GRID)), (needed - 1, None)):
            groups = np.repeat(np.arange(count), sizes[:count])
            evidence = evidence_of([0.5] * len(groups), [0] * len(groups), groups, [""] * len(groups))
            assert certified(evidence, risk, ERROR, most=11) == threshold
        assert needed > groups_needed(risk, ERROR)


def test_a_proposal_that_is_always_worse_is_accepted_by_no_threshold():
    count = 200
    rng = np.random.default_rng(0)
    bad = evidence_of(rng.random(count), [1.0] * count, [str(n) for n in range(count)], [""] * count)
    found = certified(bad, RISK, ERROR, most=1)
    assert found is not None and (bad.scores >= found).mean() <= RISK


def test_a_larger_risk_and_a_larger_error_accept_no_less():
    evidence = drawn(np.random.default_rng(3), 100)
    by_risk = [certified(evidence, risk, ERROR, MOST) for risk in (0.05, 0.1, 0.2, 0.4)]
    assert by_risk == sorted(by_risk, reverse=True)


def test_a_group_counts_with_its_decisions_as_far_as_they_are_counted():
    evidence = drawn(np.random.default_rng(4))
    doubled = Evidence(*(np.repeat(part, 2) for part in evidence))
    assert np.allclose(2 * excess(evidence, RISK, most=30), excess(doubled, RISK, most=30))  # none holds more
    assert np.allclose(excess(evidence, RISK, most=1), excess(doubled, RISK, most=1))  # all hold more


def test_with_no_group_too_large_the_excess_is_that_of_the_decisions_taken_together():
    evidence = drawn(np.random.default_rng(4))
    accepted = evidence.scores[None] >= np.array([lowest_accepted(t) for t in GRID])[:, None]
    every = (accepted * evidence.losses - RISK).sum(axis=1)
    assert np.allclose(excess(evidence, RISK, most=15).sum(axis=1) * 15, every)


def test_an_excess_lies_within_the_bounds_that_the_bet_needs():
    rng = np.random.default_rng(4)
    for most in (1, 4, 15, 40):
        for loss in (-1.0, 1.0):
            evidence = drawn(rng)
            found = excess(evidence._replace(losses=np.full(len(evidence.scores), loss)), RISK, most)
            assert found.min() >= -1 - RISK - 1e-9 and found.max() <= 1 - RISK + 1e-9


def test_types_have_risks_of_their_own_and_share_the_error():
    evidence = drawn(np.random.default_rng(5), 400, offset=1.5)
    found = certified_by_kind(evidence, {"file_write": 0.05, "file_read": 0.3}, ERROR, MOST)
    alone = certified(evidence, 0.3, ERROR / 2, MOST, evidence.kinds == "file_read")
    assert found["file_read"] == alone and found["file_read"] is not None
    assert found["file_write"] is None or found["file_write"] > found["file_read"]
    assert certified_by_kind(evidence, {"repair": 0.05}, ERROR, MOST) == {"repair": None}


@pytest.mark.slow
def test_both_types_keep_their_promises_together():
    risks = {"file_write": 0.1, "file_read": 0.2}
    truth = {
        kind: np.mean(
            [
                excess(e, risk, MOST, e.kinds == kind).mean(axis=1)
                for e in (drawn(np.random.default_rng(20_000 + n), 1_000, 1.0) for n in range(20))
            ],
            axis=0,
        )
        for kind, risk in risks.items()
    }
    safe = {kind: dict(zip(GRID, values <= 0, strict=True)) for kind, values in truth.items()}
    broken = 0
    for seed in range(200):
        found = certified_by_kind(drawn(np.random.default_rng(seed), 150, 1.0), risks, ERROR, MOST)
        broken += any(threshold is not None and not safe[kind][threshold] for kind, threshold in found.items())
    assert broken / 200 <= ERROR


# -- a bound on a share -----------------------------------------------------------------------------------------


def test_an_upper_bound_lies_below_the_truth_no_more_often_than_promised(most):
    """Shares of decisions that depend on each other inside a group; averaged over groups, or over decisions."""
    rng, draws, truth_ = np.random.default_rng(3), 60, 0.3
    missed, found = 0, []
    for _ in range(draws):
        sizes = rng.integers(1, 12, size=GROUPS)  # none holds more than MOST
        often = np.repeat(rng.choice([0.1, 0.5], size=GROUPS), sizes)
        losses = (rng.random(len(often)) < often).astype(float)
        found.append(upper_bound(losses, np.repeat(np.arange(GROUPS), sizes), ERROR, most))
        missed += found[-1] < truth_
    assert missed / draws <= ERROR and truth_ < np.mean(found) < truth_ + 0.15


def test_an_upper_bound_says_nothing_of_a_group_and_grows_with_the_losses():
    groups = np.arange(GROUPS)
    bounds = [upper_bound((groups < n).astype(float), groups, ERROR, 1) for n in (0, 6, 30, GROUPS)]
    assert 0 < bounds[0] < bounds[1] < bounds[2] < bounds[3] == 1.0
    assert upper_bound(np.zeros(1), np.zeros(1, dtype=int), ERROR, 1) > 0.5
