"""Seeds are always the same, and each its own."""

from specacts.core.seeds import decision_seed


def test_a_windows_seed_is_its_own_and_always_the_same():
    seeds = {decision_seed(s, e, w) for s in (0, 1) for e in ("a", "b") for w in (0, 1)}
    assert len(seeds) == 8 and all(0 <= seed < 2**63 for seed in seeds)
    assert decision_seed(0, "multi_turn_base_7", 0) == decision_seed(0, "multi_turn_base_7", 0)
