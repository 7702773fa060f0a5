"""BFCL's tasks as episodes: reading, replaying, labelling, faults, and the choice of rows."""

import json
import random
from collections import Counter
from itertools import pairwise

import pytest
import yaml
from places import ROOT

from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.bfcl.tasks import (
    NEW_TOOLS_PROMPT,
    Task,
    Unusable,
    choose,
    collect,
    first_acceptable,
    json_schema,
    load_docs,
    load_tasks,
    load_types,
    parse_call,
    replay,
    rng_for,
    single_episode,
    single_group,
    single_type,
    usable_rows,
    without_standing,
)
from specacts.core.episodes import Act, Episode, Observation, Tool, User, decisions, load_episodes, save_episodes
from specacts.core.errors import UserError
from specacts.core.observations import is_error

TYPES = ROOT / "configs/action_types/bfcl.yaml"
SINGLE = {"simple_python": 3, "multiple": 3, "live_multiple": 3, "irrelevance": 3, "live_irrelevance": 3}


@pytest.fixture(scope="module")
def small(config):
    """A few tasks, and faults enough to look at."""
    single = config.scale.data.single_turn.model_copy(update=SINGLE)
    return config.scale.data.model_copy(update={"tasks": 6, "single_turn": single, "fault_rate": 0.4})


@pytest.fixture(scope="module")
def collected(bfcl, small):
    return collect(bfcl, small, 0, TYPES)


@pytest.fixture(scope="module")
def docs(bfcl):
    return load_docs(bfcl)


@pytest.fixture(scope="module")
def types(docs):
    return load_types(TYPES, [tool.name for tools in docs.values() for tool in tools])


@pytest.fixture(scope="module")
def replayed(bfcl, docs, types, simulator):
    """One task of each variant, without faults."""

    def run(variant: str, number: int) -> Episode:
        task = load_tasks(bfcl, variant)[number]
        return replay(task, docs, types, simulator, 0.0, random.Random(0)).episode

    return run


def labels(episode: Episode) -> list[str]:
    return [decision.gold.type for decision in decisions(episode)]


# -- replaying ------------------------------------------------------------------------------------------------


def test_a_turn_is_its_calls_with_real_results_and_a_final_answer(replayed):
    episode = replayed("base", 0)
    assert episode.id == "multi_turn_base_0" and episode.group == "multi_turn_0"
    assert [step.role for step in episode.steps[:8]] == ["user"] + ["action", "observation"] * 3 + ["action"]
    assert labels(episode)[:4] == ["file_write", "file_write", "file_write", "final_answer"]
    assert episode.steps[6].content == "{\"result\": \"'final_report.pdf' moved to 'temp/final_report.pdf'\"}"
    assert "cp" not in [tool.name for tool in episode.tools]  # excluded by the task


def test_a_turn_that_lacks_a_parameter_asks_and_gives_no_final_answer(replayed):
    episode = replayed("miss_param", 0)
    at = labels(episode).index("ask_clarification")
    step = decisions(episode)[at].step
    assert isinstance(episode.steps[step - 1], User) and isinstance(episode.steps[step + 1], User)


def test_a_withheld_tool_blocks_until_the_user_offers_it(replayed):
    episode = replayed("miss_func", 0)
    step = decisions(episode)[labels(episode).index("BLOCKED")].step
    offer = episode.steps[step + 1]
    assert episode.withheld == ("sort",) and offer == User(content=NEW_TOOLS_PROMPT, new_tools=("sort",))
    assert episode.steps[step + 2].action.tool == "sort"
    assert "sort" in [tool.name for tool in episode.tools]


def test_what_the_benchmark_says_itself_is_told_from_what_users_say(replayed):
    episode = replayed("miss_func", 0)
    standing = User(content=NEW_TOOLS_PROMPT, new_tools=("sort",))
    left = without_standing(episode)
    assert standing in episode.steps and left.steps == tuple(step for step in episode.steps if step != standing)
    assert without_standing(left) == left and without_standing(replayed("base", 0)) == replayed("base", 0)
    others = (User(content=NEW_TOOLS_PROMPT), User(content="Now sort it.", new_tools=("sort",)))
    own = episode.model_copy(update={"steps": others})  # a user's words, whatever they are
    assert without_standing(own) == own


def test_actions_that_speak_have_no_text(collected):
    spoken = [d.gold for episode in collected.episodes for d in decisions(episode) if d.gold.tool is None]
    assert spoken and not any(action.content for action in spoken)


def test_the_three_variants_of_a_task_share_a_group(collected):
    groups: dict[str, set[str]] = {}
    for episode in collected.episodes:
        groups.setdefault(episode.group, set()).add(episode.source)
    multi = [sources for name, sources in groups.items() if name.startswith("multi_turn")]
    assert len(multi) == 6 and all(len(sources) == 3 for sources in multi)


def test_a_gold_call_that_fails_names_the_task_and_the_call(bfcl, docs, types, simulator):
    row = load_tasks(bfcl, "base")[0].row
    task = Task("multi_turn_base_0", "base", "0", row, [["cat(file='x')"], *[[] for _ in row["question"][1:]]])
    with pytest.raises(UserError, match="cat.*does not run.*unexpected keyword"):
        replay(task, docs, types, simulator, 0.0, random.Random(0))


@pytest.mark.slow
def test_every_gold_call_of_the_benchmark_replays(bfcl, config):
    data = config.scale.data.model_copy(
        update={"tasks": 200, "variants": ("base", "miss_param", "miss_func"), "fault_rate": 0.0}
    )
    episodes = [e for e in collect(bfcl, data, 0, TYPES).episodes if e.source.startswith("multi_turn")]
    counts = Counter(label for episode in episodes for label in labels(episode))
    assert len(episodes) == 600 and counts.total() == 6024
    assert counts["final_answer"] == 2196 and counts["ask_clarification"] == counts["BLOCKED"] == 203
    errors = [o for e in episodes for a, o in pairwise(e.steps) if isinstance(o, Observation) and is_error(o.content)]
    assert errors == []


@pytest.mark.slow
def test_an_episode_does_not_depend_on_what_ran_before_it_in_the_process(bfcl, docs, types):
    tasks = load_tasks(bfcl, "base")

    def run(order: list[Task]) -> dict[str, Episode]:
        with Simulator(bfcl / SOURCE_CODE, 30) as simulator:
            return {t.id: replay(t, docs, types, simulator, 0.1, rng_for(0, t.id)).episode for t in order}

    assert run(tasks) == run(tasks[::-1])


# -- faults ---------------------------------------------------------------------------------------------------


def test_a_fault_is_context_with_a_real_error_and_the_right_call_after_it_is_a_repair(collected):
    assert collected.faults.total() > 10
    found = 0
    for episode in collected.episodes:
        for wrong, error, right in zip(episode.steps, episode.steps[1:], episode.steps[2:], strict=False):
            if isinstance(wrong, Act) and not wrong.supervised:
                found += 1
                assert isinstance(error, Observation) and is_error(error.content)
                assert right.supervised and right.action.type == "repair"
                assert (wrong.action.tool, wrong.action.arguments) != (right.action.tool, right.action.arguments)
    repairs = [d for episode in collected.episodes for d in decisions(episode) if d.gold.type == "repair"]
    assert found == len(repairs) == collected.faults.total()


def test_faults_leave_the_rest_of_the_episode_as_it_was(bfcl, small, collected):
    clean = collect(bfcl, small.model_copy(update={"fault_rate": 0.0}), 0, TYPES)
    assert clean.faults.total() == 0
    assert [without_faults(episode) for episode in collected.episodes] == [without_faults(e) for e in clean.episodes]


def without_faults(episode: Episode) -> list[object]:
    """Every step but faults and their errors, actions without their type (a repair has another)."""
    kept: list[object] = []
    after_fault = False
    for step in episode.steps:
        if isinstance(step, Act) and step.supervised:
            kept.append((step.action.tool, step.action.arguments))
        elif not isinstance(step, Act) and not after_fault:
            kept.append(step)
        after_fault = isinstance(step, Act) and not step.supervised
    return kept


# -- determinism and choice -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_runs_give_the_same_bytes_and_another_seed_gives_others(bfcl, small, collected, tmp_path):
    for name, seed in (("again", 0), ("other", 1)):
        save_episodes(tmp_path / name, collect(bfcl, small, seed, TYPES).episodes)
    save_episodes(tmp_path / "first", collected.episodes)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()
    assert load_episodes(tmp_path / "first") == collected.episodes


def test_episodes_stand_in_the_order_of_their_numbers(collected):
    numbers = [int(e.id.rsplit("_", 1)[1]) for e in collected.episodes if e.source == "multi_turn_base"]
    assert numbers == sorted(numbers)


def test_a_larger_choice_keeps_the_smaller_one():
    names = [str(n) for n in range(100)]
    assert choose(names, 10, 0, "data.tasks") < choose(names, 20, 0, "data.tasks")
    assert choose(names, 10, 0, "data.tasks") == choose(reversed(names), 10, 0, "data.tasks")


def test_asking_for_more_than_there_is_says_how_many_there_are():
    with pytest.raises(UserError, match="data.tasks: 4 asked for, but BFCL has 2"):
        choose("ab", 4, 0, "data.tasks")


def test_only_the_wanted_variants_and_numbers_are_collected(bfcl, small, collected):
    base = collect(bfcl, small.model_copy(update={"variants": ("base",)}), 0, TYPES)
    assert base.episodes == [e for e in collected.episodes if "multi_turn_miss" not in e.source]
    assert Counter(episode.source for episode in base.episodes) == {"multi_turn_base": 6, **SINGLE}


# -- the table of action types --------------------------------------------------------------------------------


def test_every_documented_function_has_a_type_and_a_simulator(docs, types, simulator):
    assert len(types) == sum(len(tools) for tools in docs.values()) == 128
    for name, tools in docs.items():
        simulator.start([name], {})
        for tool in tools:
            assert "is not defined" not in simulator.try_call(tool.name, {"no_such_argument": 0}).observation


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"a": "tool_call"}, "b: has no action type"),
        ({"a": "tool_call", "b": "retrieval", "c": "retrieval"}, "c: no such function in BFCL"),
        ({"a": "tool_call", "b": "repair"}, "b: 'repair' is not one of tool_call"),
        (["a", "b"], "should map"),
        (
            {"a": {"type": "tool_call", "compare": {"x": "ignore"}}, "b": "retrieval"},
            "a: compare: is for your own",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_file_and_tool(tmp_path, table, says):
    path = tmp_path / "types.yaml"
    path.write_text(yaml.safe_dump(table))
    with pytest.raises(UserError, match=rf"types.yaml:(\d+:)? {says}"):
        load_types(path, ["a", "b"])


# -- reading gold calls and schemas ---------------------------------------------------------------------------

TOOLS = {
    "mean": Tool(name="mean", parameters={"properties": {"numbers": {}}}),
    "sort": Tool(name="sort", parameters={"properties": {"file_name": {}, "reverse": {}}}),
}


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("sort('report.pdf')", {"file_name": "report.pdf"}),
        ("sort('a (b), c', reverse=True)", {"file_name": "a (b), c", "reverse": True}),
        (" mean([1, -2.5])", {"numbers": [1, -2.5]}),
        ("mean(numbers=(1, (2, 3)))", {"numbers": [1, [2, 3]]}),
    ],
)
def test_gold_calls_are_read_without_evaluating_them(text, arguments):
    assert parse_call(text, TOOLS).arguments == arguments


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mean(numbers=open('x'))", "cannot be read"),
        ("os.system('x')", "not a plain call"),
        ("mean(1, 2)", "cannot be read"),
        ("mean([1]", "cannot be read"),
        ("rm('x')", "the task has no tool 'rm'"),
    ],
)
def test_anything_else_than_a_plain_call_of_an_offered_tool_is_refused(text, says):
    with pytest.raises(UserError, match=says):
        parse_call(text, TOOLS)


def test_schemas_become_json_schema_at_every_depth():
    schema = {
        "type": "dict",
        "required": ["type"],
        "properties": {
            "type": {"type": "float", "description": "a parameter that is called type"},
            "pairs": {"type": "tuple", "items": {"type": "dict", "properties": {"x": {"type": "any"}}}},
        },
    }
    assert json_schema(schema) == {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "number", "description": "a parameter that is called type"},
            "pairs": {"type": "array", "items": {"type": "object", "properties": {"x": {}}}},
        },
    }
    assert schema["type"] == "dict"


def test_no_schema_keeps_a_type_that_json_schema_does_not_know(bfcl, docs):
    rows = [e for category in SINGLE for e in usable_rows(bfcl, category)[0].values()]
    tools = [tool for tools in docs.values() for tool in tools] + [tool for e in rows for tool in e.tools]
    text = json.dumps([tool.parameters for tool in tools])
    assert not any(f'"type": "{name}"' in text for name in ("dict", "float", "tuple", "any"))
    assert not any(tool.description.startswith("This tool belongs") for tool in tools)


# -- single-turn ----------------------------------------------------------------------------------------------


def row(messages: list[dict[str, str]], name: str = "find_it", required: tuple[str, ...] = ()) -> dict[str, object]:
    function = {"name": name, "description": "", "parameters": {"type": "dict", "required": required}}
    return {"id": "x_1", "question": [messages], "function": [function]}


ASKS = {"role": "user", "content": "please"}


def test_a_row_with_a_right_call_is_that_call():
    episode = single_episode(row([ASKS]), "multiple", [{"find_it": {"a": [1, 2], "b": ["", "x"]}}])
    (decision,) = decisions(episode)
    assert (decision.gold.type, decision.gold.tool, decision.gold.arguments) == ("retrieval", "find_it", {"a": 1})
    assert episode.group == "x_1" and episode.source == "multiple"


def test_a_row_without_a_fitting_function_is_blocked():
    assert labels(single_episode(row([ASKS]), "irrelevance", None)) == ["BLOCKED"]


def test_a_system_message_stands_before_the_users():
    episode = single_episode(row([{"role": "system", "content": "be brief"}, ASKS]), "irrelevance", None)
    assert episode.steps[0] == User(content="be brief\n\nplease")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row([ASKS, {"role": "assistant", "content": "which?"}, ASKS]), "earlier assistant messages"),
        (row([{"role": "system", "content": "x"}]), "no user message"),
        (row([ASKS]) | {"function": []}, "no functions"),
    ],
)
def test_a_row_that_cannot_be_one_decision_says_why(bad, reason):
    with pytest.raises(Unusable, match=reason):
        single_episode(bad, "live_irrelevance", None)


@pytest.mark.parametrize(
    ("acceptable", "arguments"),
    [
        ({"a": [1, 2]}, {"a": 1}),
        ({"a": [1], "b": [""]}, {"a": 1}),
        ({"a": ["", 5]}, {"a": 5}),  # required, so it cannot be left out
        ({"a": [""]}, {"a": ""}),
        ({"a": [{"x": [1, 2], "y": ["", 3]}]}, {"a": {"x": 1}}),
        ({"a": [[{"x": [1]}, {"x": [2]}]]}, {"a": [{"x": 1}, {"x": 2}]}),
        ({"a": [{"x": [{"y": 10.5}]}]}, {"a": {"x": {"y": 10.5}}}),
        ({"a": [[1, 2], [2, 1]]}, {"a": [1, 2]}),
        ({"a": [False]}, {"a": False}),
    ],
)
def test_the_first_acceptable_values_make_the_call(acceptable, arguments):
    tool = Tool(name="f", parameters={"required": ["a"]})
    assert first_acceptable([{"f": acceptable}], {"f": tool}).arguments == arguments


def test_rows_that_are_left_out_are_counted_by_reason(collected):
    assert collected.skipped["live_irrelevance"] == {"earlier assistant messages": 8, "no functions": 4}
    assert collected.skipped["live_multiple"] == {"the gold call lacks a required argument": 1}


@pytest.mark.parametrize(
    ("function", "action_type"),
    [
        ("get_recipe", "retrieval"),
        ("triangle_properties.get", "retrieval"),
        ("Restaurants_2_FindRestaurants", "retrieval"),
        ("EventQuery", "retrieval"),
        ("adriel_list_projects", "retrieval"),
        ("list", "retrieval"),
        ("sort_list", "tool_call"),
        ("calculate_gcd", "tool_call"),
        ("target_practice", "tool_call"),
    ],
)
def test_a_look_up_verb_in_the_name_makes_a_retrieval(function, action_type):
    assert single_type(function) == action_type


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("simple_python_7", "simple_python_7"),
        ("live_multiple_12-4-8", "live_multiple_4"),
        ("live_irrelevance_3-0-1", "live_irrelevance_0"),
    ],
)
def test_rows_about_the_same_functions_share_a_group(name, group):
    assert single_group(name) == group
