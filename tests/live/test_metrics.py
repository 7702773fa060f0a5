"""What attempts at live tasks came to, counted by hand."""

from specacts.live.agents import Attempt
from specacts.live.metrics import LiveMetrics, summary
from specacts.policies.cost import COST_MODELS, total


def made(policy: str, episode: str, turns: tuple[bool, ...], **fields) -> Attempt:
    known = {"group": f"g{episode}", "given_up": None, "actors": ("strong", "cheap"), "malformed": 1, "calls": 2}
    charge = total([])._replace(**dict.fromkeys(COST_MODELS, 3.0))
    return Attempt(
        policy=policy,
        episode=episode,
        turns=turns,
        acting=(True, *[False] * (len(turns) - 1)),
        **{"charges": (charge,) * 2, "failed": 1, "steps": ()} | known | fields,
    )


ATTEMPTS = [
    made("A", "1", (True, False, True), actors=("strong",) * 4),
    made("A", "2", (True,), actors=("strong",) * 2),
    made("D", "2", (False,), given_up="timeout", failed=0, charges=()),
    made("D", "1", (True, True, True), actors=("cheap", "cheap", "strong", "cheap")),
]


def numbers(values: dict, path: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in values.items():
        found |= numbers(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


def test_the_summary_counts_by_hand():
    found = summary(ATTEMPTS, resamples=200, seed=0)
    assert (found.episodes, found.turns, found.groups) == (2, 4, 2)
    a, d = found.policies["A"], found.policies["D"]
    assert (a.turn_success.value, d.turn_success.value) == (3 / 4, 3 / 4)
    assert (found.acting_turns, a.acting_turn_success.value, d.acting_turn_success.value) == (2, 1, 1 / 2)
    assert (a.episode_success.value, d.episode_success.value) == (1 / 2, 1 / 2)
    assert d.turn_success_minus_A.value == 0 and d.turn_success_minus_A.low < 0 < d.turn_success_minus_A.high
    assert (d.steps_per_episode.value, d.cheap_share.value) == (3, 4 / 6)
    assert (d.calls, d.failed_calls, d.malformed) == (4, 1, 2)
    assert d.given_up == {"steps": 0, "failures": 0, "timeout": 1, "crash": 0}
    assert d.cost["flops"].value == 1 / 2 and d.cost_per_episode == dict.fromkeys(COST_MODELS, 3.0) | {"money": 3e6}


def test_the_summary_has_the_same_numbers_for_every_policy_in_whatever_order_attempts_ended():
    found = summary(ATTEMPTS, resamples=200, seed=0)
    kinds = {name: numbers(own.model_dump(mode="json")) for name, own in found.policies.items()}
    assert list(kinds) == ["A", "D"] and kinds["A"].keys() == kinds["D"].keys()
    assert all(isinstance(value, int | float) for own in kinds.values() for value in own.values())
    assert found.policies["A"].turn_success_minus_A == (0, 0, 0)
    assert summary(ATTEMPTS[::-1], resamples=200, seed=0).policies == found.policies


def test_a_summary_survives_its_file_that_of_nothing_too(tmp_path):
    for attempts in (ATTEMPTS, []):
        found = summary(attempts, resamples=20, seed=0)
        found.save(tmp_path / "live.json", exact=True)
        assert LiveMetrics.load(tmp_path / "live.json") == found
