"""The memory that is foretold holds what was measured."""

from specacts.config import CompletionsEngine
from specacts.core.words import ROLES
from specacts.plan.memory import largest, live, memory
from specacts.plan.ranges import Range

MEASURED = {"cheap": 1.546, "verifier": 2.097, "strong": 3.373}
"""GiB at the peak of the default run's trainings, on two CPU cores."""


def test_a_range_on_a_cpu_holds_the_peak_that_trainings_had_there(config):
    found = memory(config)
    for role, peak in MEASURED.items():
        assert found[role].low <= peak <= found[role].high, role


def test_checkpointing_and_bfloat16_take_less(config):
    def strong(**changes) -> Range:
        changed = config.model_copy(update={"scale": config.scale.model_copy(update=changes)})
        return memory(changed, on_gpu=True)["strong"]

    plain = strong()
    assert strong(gradient_checkpointing=True).high < plain.high and strong(dtype="bfloat16").high < plain.high


def test_ranges_add_up_and_the_larger_wins_at_either_end():
    assert Range(1, 2) + Range(3, 5) == Range(4, 7)
    assert Range(1, 9).over(Range(2, 3)) == Range(2, 9) and Range(1, 2).times(2) == Range(2, 4)


def test_stage_live_needs_room_for_all_models_at_once_where_it_runs(config):
    alone = memory(config, on_gpu=True)
    assert largest(config, on_gpu=True).low >= max(alone["strong"].low, live(config, on_gpu=True).low)
    weights = 4 * (2 * 56.6e6 + 134.5e6) / 2**30
    assert live(config).low > weights
    recorded = config.model_copy(update={"recipe": config.recipe.model_copy(update={"strong": "recorded"})})
    assert live(recorded) == (0, 0)


def test_what_answers_on_a_server_takes_no_memory_here_but_where_it_is_trained(config):
    def served(*roles: str) -> CompletionsEngine:
        models = {role: {"url": "http://127.0.0.1:1/v1", "name": role} for role in roles}
        return CompletionsEngine.model_validate({"kind": "vllm", "concurrency": 2, "key_env": None, "models": models})

    def changed(engine, strong: str = "adapter"):
        recipe = config.recipe.model_copy(update={"strong": strong})
        return config.model_copy(update={"scale": config.scale.model_copy(update={"engine": engine}), "recipe": recipe})

    here, there = changed("local"), changed(served(*ROLES))
    assert live(there).low < live(changed(served("cheap"))).low < live(here).low
    assert 0 < memory(there)["cheap"].low <= memory(here)["cheap"].low
    assert memory(changed(served("strong"), "frozen"))["strong"] == (0, 0)
