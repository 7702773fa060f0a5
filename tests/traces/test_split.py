"""Sharing episodes out: whole groups, fair shares, and what cannot be shared out is said."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from specacts.bfcl.tasks import NEW_TOOLS_PROMPT
from specacts.config import Config, Split
from specacts.core.comparison import Rule
from specacts.core.episodes import Act, Action, Episode, Tool, User, decisions, load_episodes, save_episodes
from specacts.core.errors import UserError
from specacts.core.files import write_text
from specacts.core.words import ACTION_TYPES, SPEAKING
from specacts.traces.results import Counted, DataMetrics, counted
from specacts.traces.split import SPLITS, Outline, missing_types, outline, training_order
from specacts.traces.split import split_groups as split_outlines
from stages import split as split_stage

SHARES = Split(train=0.5, verify=0.15, calibrate=0.15, test=0.2)


def episode(name: str, group: str, source: str = "toy", types: tuple[str, ...] = ("final_answer",)) -> Episode:
    actions = [Action(type=t, tool=None if t in SPEAKING else "f") for t in types]
    steps = (User(content="please"), *(Act(action=action) for action in actions))
    return Episode(id=name, group=group, source=source, tools=(), steps=steps)


def split_groups(episodes: list[Episode], shares: Split, seed: int) -> dict[str, list[Outline]]:
    return split_outlines([outline(episode) for episode in episodes], shares, seed)


def toys(count: int, source: str = "toy", size: int = 2, types: tuple[str, ...] = ("final_answer",)) -> list[Episode]:
    return [episode(f"{source}_{n}_{k}", f"{source}_{n}", source, types) for n in range(count) for k in range(size)]


def groups(part: list[Outline]) -> set[str]:
    return {e.group for e in part}


def test_every_episode_is_in_one_split_and_no_group_in_two():
    episodes = toys(40)
    parts = split_groups(episodes, SHARES, 0)
    assert list(parts) == list(SPLITS)
    assert sorted(e.id for part in parts.values() for e in part) == sorted(e.id for e in episodes)
    assert sum(len(groups(part)) for part in parts.values()) == 40


def test_the_shares_are_met_for_each_source_by_itself():
    parts = split_groups(toys(200, "multi") + toys(40, "single", size=1), SHARES, 0)
    for source, count in (("multi", 200), ("single", 40)):
        found = {name: sum(group.startswith(source) for group in groups(part)) for name, part in parts.items()}
        assert found == {name: getattr(SHARES, name) * count for name in SPLITS}


def test_many_small_sources_add_up_to_the_shares():
    parts = split_groups([e for n in range(30) for e in toys(3, f"s{n:02}", size=1)], SHARES, 0)
    for name, part in parts.items():
        assert abs(len(part) - getattr(SHARES, name) * 90) <= 1


def test_four_groups_of_a_source_reach_all_four_splits():
    parts = split_groups(toys(4, "a") + toys(4, "b"), SHARES, 0)
    assert all({e.source for e in part} == {"a", "b"} for part in parts.values())


def test_rare_types_reach_every_split_when_there_are_enough_groups():
    rare = [episode(f"rare_{n}", f"rare_{n}", types=("BLOCKED", "final_answer")) for n in range(4)]
    for seed in range(10):
        parts = split_groups(toys(60) + rare, SHARES, seed)
        assert not any(missing_types(parts).values())


def test_decisions_of_each_type_are_shared_out_like_the_groups():
    kinds = [("file_read",), ("file_write", "file_write"), ("verifier", "repair"), ("retrieval", "BLOCKED")]
    episodes = [episode(f"e{n}", f"g{n}", types=kinds[n % 4] * (1 + n % 3) + ("final_answer",)) for n in range(200)]
    counts = {name: counted(part) for name, part in split_groups(episodes, SHARES, 0).items()}
    for action_type, total in counted(list(map(outline, episodes))).decisions_by_type.items():
        for name in SPLITS:
            assert abs(counts[name].decisions_by_type[action_type] - getattr(SHARES, name) * total) <= 0.05 * total


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_episodes():
    episodes = toys(40)
    parts = split_groups(episodes, SHARES, 0)
    again = split_groups(episodes[::-1], SHARES, 0)
    other = split_groups(episodes, SHARES, 1)
    assert {name: groups(part) for name, part in parts.items()} == {name: groups(part) for name, part in again.items()}
    assert groups(parts["test"]) != groups(other["test"])


def test_a_split_is_shuffled_by_group_so_that_its_beginning_is_a_sample():
    train = split_groups(toys(200, "a") + toys(200, "b"), SHARES, 0)["train"]
    assert 20 <= sum(e.source == "a" for e in train[:100]) <= 80
    order = [e.group for e in train]
    assert order[0::2] == order[1::2]  # the two episodes of a group stand together


def test_too_few_groups_are_refused_with_the_number_needed():
    with pytest.raises(UserError, match="split is empty: 3 groups are too few .* at least 4 groups are needed"):
        split_groups(toys(3), SHARES, 0)


def test_a_type_that_training_would_never_see_is_refused():
    # Each kind of group has room for one in every split; the only BLOCKED group shares its kind with bigger claims.
    lonely = [episode("b", "b", "b", ("BLOCKED",))]
    parts_with_it_elsewhere = Split(train=0.01, verify=0.01, calibrate=0.01, test=0.97)
    with pytest.raises(UserError, match="no training episode holds BLOCKED: .* at least 4 groups"):
        split_groups(toys(30) + lonely, parts_with_it_elsewhere, 0)


def test_what_a_split_lacks_is_known():
    parts = split_groups(toys(20) + [episode("b", "b", types=("BLOCKED",))], SHARES, 0)
    assert missing_types(parts) == {"train": [], "verify": ["BLOCKED"], "calibrate": ["BLOCKED"], "test": ["BLOCKED"]}


def test_all_nine_types_are_counted_in_a_fixed_order():
    parts = split_groups(toys(20, types=("repair", "final_answer")), SHARES, 0)
    for part in map(counted, parts.values()):
        assert list(part.decisions_by_type) == list(ACTION_TYPES)
        assert part.decisions == sum(part.decisions_by_type.values())
    assert counted([episode for part in parts.values() for episode in part]) == Counted(
        episodes=40,
        groups=20,
        decisions=80,
        decisions_by_type=dict.fromkeys(ACTION_TYPES, 0) | {"repair": 40, "final_answer": 40},
    )


def here(folder: Path, monkeypatch: pytest.MonkeyPatch, config: Config, roles: str = "cheap verifier strong") -> None:
    """The stage runs in the folder, with this configuration and these models."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(split_stage, "load_config", lambda root: config)
    write_text(split_stage.LOCAL, roles)


def test_without_a_verifier_its_groups_are_for_calibration_and_nothing_else_moves():
    episodes = toys(60) + toys(9, "other", size=3)
    ever, alone = split_groups(episodes, SHARES, 0), split_outlines([*map(outline, episodes)], SHARES, 0, False)
    assert alone["train"] == ever["train"] and alone["test"] == ever["test"] and alone["verify"] == []
    assert groups(alone["calibrate"]) == groups(ever["verify"]) | groups(ever["calibrate"])
    order = [e.group for e in alone["calibrate"]]
    assert len(order) == len(ever["verify"]) + len(ever["calibrate"])
    assert sum(a != b for a, b in pairwise(order)) == len(set(order)) - 1  # the episodes of a group stand together


def test_the_stage_says_what_promises_take_with_a_verifier_and_without(tmp_path, monkeypatch, config, capsys):
    for roles, rows in (("cheap verifier strong", 3), ("cheap", 2)):
        here(tmp_path, monkeypatch, config, roles)
        save_episodes(split_stage.SOURCES[0], toys(60))
        save_episodes(split_stage.SOURCES[1], [])
        split_stage.main()
        found, lines = DataMetrics.load(split_stage.METRICS), capsys.readouterr().out.splitlines()
        assert "Groups for calibration, and how many a promise needs with 90 % confidence" in lines[0]
        assert len(lines) == 2 + 2 * rows
        assert lines[2].split()[4:] == [str(found.calibrate.groups), "77", "38", "24", f"18{'*' if rows == 2 else ''}"]
        assert (found.verify.groups == 0) is (rows == 2)
        assert load_episodes(split_stage.SPLIT / "verify.jsonl") == [] or rows == 3


def test_the_stage_writes_four_files_and_the_counts(tmp_path, monkeypatch, config):
    here(tmp_path, monkeypatch, config)
    bfcl, own = split_stage.SOURCES
    save_episodes(bfcl, toys(30))
    save_episodes(own, toys(10, "own"))
    split_stage.main()
    read = {name: load_episodes(split_stage.SPLIT / f"{name}.jsonl") for name in SPLITS}
    assert Counter(e.id for part in read.values() for e in part) == Counter(e.id for e in toys(30) + toys(10, "own"))
    metrics = DataMetrics.load(split_stage.METRICS)
    assert list(metrics.splits) == [*SPLITS, "total"] and metrics.total.episodes == 80
    assert metrics.train.decisions == sum(len(decisions(e)) for e in read["train"])


def test_rules_for_arguments_go_to_every_split_but_train_whose_bytes_they_do_not_change(tmp_path, monkeypatch, config):
    here(tmp_path, monkeypatch, config)
    plain = toys(30, types=("tool_call", "final_answer"))
    rules = {"a": Rule("text", 0.6)}
    ruled = []
    for each in plain:
        user, call, rest = each.steps
        act = call.model_copy(update={"action": call.action.model_copy(update={"compare": rules})})
        ruled.append(each.model_copy(update={"steps": (user, act, rest)}))
    bfcl, own = split_stage.SOURCES
    save_episodes(bfcl, [])
    found = []
    for written in (plain, ruled):
        save_episodes(own, written)
        split_stage.main()
        found.append({name: (split_stage.SPLIT / f"{name}.jsonl").read_bytes() for name in SPLITS})
    assert found[0]["train"] == found[1]["train"]
    for name in SPLITS[1:]:
        assert b"compare" not in found[0][name] and b'"compare":{"a":["text",0.6]}' in found[1][name]


def test_tools_that_are_called_most_in_train_are_offered_first_everywhere(tmp_path, monkeypatch, config):
    """A listing that is too long says most of the first. Test's own calls must not decide what is said of tools."""
    here(tmp_path, monkeypatch, config)
    offered = tuple(Tool(name=name) for name in ("never", "seldom", "often"))
    written = []
    for number, each in enumerate(toys(30, types=("tool_call", "final_answer"))):
        user, call, rest = each.steps
        name = "seldom" if number % 5 == 0 else "often"
        act = call.model_copy(update={"action": call.action.model_copy(update={"tool": name})})
        written.append(each.model_copy(update={"tools": offered, "steps": (user, act, rest)}))
    bfcl, own = split_stage.SOURCES
    save_episodes(bfcl, [each.model_copy(update={"id": f"bfcl{each.id}", "group": "b"}) for each in written[:4]])
    save_episodes(own, written)
    split_stage.main()
    for name in SPLITS:
        for each in load_episodes(split_stage.SPLIT / f"{name}.jsonl"):
            names = [tool.name for tool in each.tools]
            assert names == (
                ["never", "seldom", "often"] if each.id.startswith("bfcl") else ["often", "seldom", "never"]
            )


def test_two_sources_may_not_use_one_id(tmp_path, monkeypatch, config):
    here(tmp_path, monkeypatch, config)
    for path in split_stage.SOURCES:
        save_episodes(path, toys(10))
    with pytest.raises(UserError, match=r"data/own/episodes.jsonl:1: id: 'toy_0_0' is also in data/episodes.jsonl"):
        split_stage.main()
    assert not split_stage.SPLIT.exists()


def test_the_stage_counts_what_test_says_that_train_said_too(tmp_path, monkeypatch, config):
    here(tmp_path, monkeypatch, config)
    words = " ".join(f"w{n}" for n in range(14))  # two runs of 13 words
    alike = [e.model_copy(update={"steps": (User(content=words), *e.steps[1:])}) for e in toys(40)]
    bfcl, own = split_stage.SOURCES
    save_episodes(bfcl, alike)
    save_episodes(own, [])
    split_stage.main()
    metrics = json.loads(split_stage.METRICS.read_text())
    found = {"episodes": metrics["test"]["episodes"], "ngrams": 2, "shared": 2}
    assert metrics["contamination"] == {"ngram": 13, "user": found, "all": found}


def test_the_benchmarks_standing_message_is_no_text_of_test_that_train_holds(tmp_path, monkeypatch, config):
    here(tmp_path, monkeypatch, config)
    bfcl, own = split_stage.SOURCES
    save_episodes(own, [])
    none = {"episodes": 0, "ngrams": 0, "shared": 0}
    for tools, alike in ((("f",), False), ((), True)):  # from a user, the same words count like any others
        message = User(content=NEW_TOOLS_PROMPT, new_tools=tools)
        save_episodes(bfcl, [e.model_copy(update={"steps": (message, *e.steps)}) for e in toys(40)])
        split_stage.main()
        metrics = json.loads(split_stage.METRICS.read_text())
        shared = {"episodes": metrics["test"]["episodes"], "ngrams": 1, "shared": 1} if alike else none
        assert metrics["contamination"] == {"ngram": 13, "user": shared, "all": shared}
        assert any(NEW_TOOLS_PROMPT in line for line in (split_stage.SPLIT / "test.jsonl").open())


def grouped(*sizes: int) -> list[Episode]:
    """One group of episodes a size, as they come from a split: those of a group together."""
    return [episode(f"{number}-{n}", f"group {number}") for number, size in enumerate(sizes) for n in range(size)]


def test_copies_of_one_task_are_learned_from_far_apart():
    ordered = training_order(grouped(*[3] * 40), seed=0)
    assert sorted(e.id for e in ordered) == sorted(e.id for e in grouped(*[3] * 40))
    for part in (ordered[:40], ordered[40:80], ordered[80:]):
        assert len({e.group for e in part}) == 40


def test_single_episodes_are_spread_among_the_groups():
    ordered = training_order(grouped(*[3] * 40, *[1] * 60), seed=0)
    groups = [e.group for e in ordered]
    single = [groups.count(group) == 1 for group in groups]
    assert all(10 <= sum(single[n : n + 60]) <= 30 for n in (0, 60, 120))


def test_the_training_order_depends_on_the_seed_alone():
    episodes = grouped(*[3] * 10)
    assert training_order(episodes, 1) == training_order(episodes[::-1], 1) != training_order(episodes, 2)
