"""Synthetic negatives are other decisions' gold actions."""

import pytest
from toys import episode

from specacts.core.episodes import agrees, decisions
from specacts.training.judged import synthetic

EPISODES = [episode("a", 1), episode("b", 3)]


@pytest.mark.parametrize("level", ["type", "tool", "call"])
def test_a_synthetic_negative_is_another_decisions_gold_action_and_wrong_here(level):
    made = synthetic(EPISODES, level, seed=0)
    due = {(e.id, d.index): d.gold for e in EPISODES for d in decisions(e)}
    assert made.keys() == due.keys()
    for place, gold in due.items():
        right, wrong = made[place]
        assert (right.action, right.right, wrong.right) == (gold, True, False)
        assert wrong.action in due.values() and not agrees(wrong.action, gold, level)
        assert right.confidence is wrong.confidence is None
    assert synthetic(EPISODES, level, seed=0) == made != synthetic(EPISODES, level, seed=1)
