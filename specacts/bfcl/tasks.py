"""BFCL's tasks as episodes: multi-turn tasks replayed call by call on their simulators, single-turn ones as they are.

    collected = collect(Path("data/raw/bfcl/bfcl_eval"), config.scale.data, config.seed, Path(TYPES))
    collected.episodes, collected.skipped, collected.faults

A multi-turn task is a list of user turns with the right ("gold") calls of each. Every call is executed and its real
result is the observation; the turn ends with `final_answer`. A turn without gold calls is one `ask_clarification`
in `miss_param` (the user left something out), one `BLOCKED` in `miss_func` (the needed tool is withheld until the
next turn) and only a `final_answer` in `base`. Before a seeded share of calls a wrong variant is put that really
fails; it is context, and the right call after it is a `repair`. The traces hold no reference text for actions that
speak, so their content is empty.

Everything random is drawn from the seed and the task's own id: no episode depends on which others are collected.
"""

import ast
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from specacts.bfcl.faults import Call, wrong_variants
from specacts.bfcl.simulator import CLASSES, SOURCE_CODE, Simulator
from specacts.config import Data
from specacts.core.episodes import Act, Action, Episode, Observation, Step, Tool, User
from specacts.core.errors import UserError
from specacts.core.files import read_jsonl
from specacts.core.observations import EXECUTION_ERROR, is_error
from specacts.core.seeds import rng_for, shuffled
from specacts.core.words import ActionType
from specacts.traces.tool_types import load_type_map

NEW_TOOLS_PROMPT = "I have updated some more functions you can choose from. What about now?"
"""What BFCL itself says when withheld functions become available (its constants/default_prompts.py)."""

EMPTY_TURN: dict[str, ActionType] = {
    "base": "final_answer",
    "miss_param": "ask_clarification",
    "miss_func": "BLOCKED",
}
"""The one action of a turn without gold calls. Two tasks have such turns beside the one their variant is about;
those are labelled alike."""

ANSWERED = ("simple_python", "multiple", "live_multiple")
UNANSWERED = ("irrelevance", "live_irrelevance")

LOOK_UP_VERBS = frozenset({"get", "search", "find", "list", "lookup", "fetch", "retrieve", "query"})
BOILERPLATE = re.compile(r"^This tool belongs to .*?Tool description:\s*", re.DOTALL)
SCHEMA_TYPES = {"dict": "object", "float": "number", "tuple": "array"}

Progress = Callable[[Sequence[Any]], Iterable[Any]]


class Collected(NamedTuple):
    """The episodes in the order of their ids, rows skipped by category and reason, and faults by kind."""

    episodes: list[Episode]
    skipped: dict[str, Counter[str]]
    faults: Counter[str]


class Task(NamedTuple):
    """A multi-turn row with its gold calls, one list a turn; `number` is shared by a task's variants."""

    id: str
    variant: str
    number: str
    row: dict[str, Any]
    gold: list[list[str]]


class Replay(NamedTuple):
    """An episode and the kinds of the faults put into it."""

    episode: Episode
    faults: list[str]


class Unusable(Exception):
    """A row that cannot be an episode; the message says why, in words worth counting."""


def collect(raw: Path, data: Data, seed: int, types: Path, progress: Progress = lambda items: items) -> Collected:
    """Read and replay what `data` asks for.

    `raw` is BFCL's package folder, `types` the table for `load_types`; `progress` may wrap the list of multi-turn
    tasks to show a bar. Raises `UserError` for missing files, a task that cannot be replayed, or too few rows.
    """
    replays = list(replay_tasks(raw, data, seed, types, progress))
    singles, skipped = single_turn(raw, data.single_turn.model_dump(), seed)
    return Collected(
        episodes=sorted([*(replay.episode for replay in replays), *singles], key=lambda e: natural_key(e.id)),
        skipped=skipped,
        faults=Counter(kind for replay in replays for kind in replay.faults),
    )


def failing_gold(episode: Episode) -> int:
    """How many right calls returned an error all the same; the benchmark expects them to."""
    answered = [(a, b) for a, b in pairwise(episode.steps) if isinstance(a, Act) and isinstance(b, Observation)]
    return sum(act.supervised and is_error(observation.content) for act, observation in answered)


def load_types(path: Path, functions: Iterable[str]) -> dict[str, ActionType]:
    """Read the reviewed table of tool name to action type; it has to cover exactly `functions`, without patterns."""
    table = load_type_map(path)
    for name in table.patterns:
        raise UserError(f"{path}: {name}: a pattern; this table names every function")
    for name in table.compare:
        raise UserError(
            f"{path}: {name}: compare: is for your own tools; BFCL's calls are compared exactly, and executed"
        )
    for name in sorted(table.names.keys() ^ set(functions)):
        known = name in table.names
        raise UserError(f"{path}: {name}: " + ("no such function in BFCL" if known else "has no action type"))
    return table.names


# -- multi-turn -----------------------------------------------------------------------------------------------


def replay_tasks(raw: Path, data: Data, seed: int, types: Path, progress: Progress) -> Iterator[Replay]:
    """Replay the chosen tasks, all variants of one after another, on one simulator process."""
    docs = load_docs(raw)
    table = load_types(types, [tool.name for tools in docs.values() for tool in tools])
    tasks = choose_tasks([task for variant in data.variants for task in load_tasks(raw, variant)], data.tasks, seed)
    with Simulator(raw / SOURCE_CODE, data.simulator_timeout) as simulator:
        for task in progress(tasks):
            try:
                yield replay(task, docs, table, simulator, data.fault_rate, rng_for(seed, task.id))
            except UserError as error:
                raise UserError(f"{task.id}: {error}") from error


def load_docs(raw: Path) -> dict[str, list[Tool]]:
    """The documented functions of the eight classes, as tools."""
    folder = raw / "data" / "multi_turn_func_doc"
    return {
        name: [as_tool(doc) for _, doc in read_jsonl(folder / f"{module}.json")] for name, module in CLASSES.items()
    }


def load_tasks(raw: Path, variant: str) -> list[Task]:
    """The tasks of one variant with their gold calls."""
    category = f"multi_turn_{variant}"
    gold = read_gold(raw, category)
    tasks = []
    for row in read_rows(raw, category):
        turns = gold.get(row["id"], [])
        if len(turns) != len(row["question"]):
            raise UserError(f"{row['id']}: {len(row['question'])} user turns, but gold calls for {len(turns)}")
        tasks.append(Task(row["id"], variant, row["id"].rsplit("_", 1)[1], row, turns))
    return tasks


def choose_tasks(tasks: Sequence[Task], count: int, seed: int) -> list[Task]:
    """All variants of `count` task numbers; variants of a task stand together."""
    chosen = choose({task.number for task in tasks}, count, seed, "data.tasks")
    return sorted((task for task in tasks if task.number in chosen), key=lambda task: (int(task.number), task.id))


def replay(
    task: Task,
    docs: Mapping[str, list[Tool]],
    types: Mapping[str, ActionType],
    simulator: Simulator,
    fault_rate: float,
    rng: random.Random,
) -> Replay:
    """Execute the gold calls of one task, with faults before some, and record what happens."""
    classes = task.row["involved_classes"]
    excluded = task.row.get("excluded_function", ())
    tools = {tool.name: tool for name in classes for tool in docs[name] if tool.name not in excluded}
    released = {int(turn): tuple(names) for turn, names in task.row.get("missed_function", {}).items()}
    steps: list[Step] = []
    faults: list[str] = []
    simulator.start(classes, task.row["initial_config"])
    for turn, (messages, gold) in enumerate(zip(task.row["question"], task.gold, strict=True)):
        steps.append(user_turn(messages, released.get(turn, ())))
        for text in gold:
            call = parse_call(text, tools)
            found = find_fault(call, tools[call.tool], simulator, rng) if rng.random() < fault_rate else None
            if found:
                faults.append(found.kind)
                steps += found.steps(types[call.tool])
            steps.append(Act(action=as_action(call, "repair" if found else types[call.tool])))
            steps.append(Observation(content=execute(call, simulator)))
        steps.append(Act(action=Action(type="final_answer" if gold else EMPTY_TURN[task.variant])))
    episode = Episode(
        id=task.id,
        group=f"multi_turn_{task.number}",
        source=f"multi_turn_{task.variant}",
        tools=tuple(tools.values()),
        withheld=tuple(name for names in released.values() for name in names),
        steps=tuple(steps),
    )
    return Replay(episode, faults)


class FoundFault(NamedTuple):
    """A wrong call that was tried, and the error it met."""

    kind: str
    call: Call
    observation: str

    def steps(self, action_type: ActionType) -> list[Step]:
        """The fault as context: its action is not supervised."""
        return [Act(action=as_action(self.call, action_type), supervised=False), Observation(content=self.observation)]


def find_fault(call: Call, tool: Tool, simulator: Simulator, rng: random.Random) -> FoundFault | None:
    """The first wrong variant of `call` that meets a real error and leaves the simulators as they are."""
    for kind, wrong in wrong_variants(call, tool, rng):
        trial = simulator.try_call(wrong.tool, wrong.arguments)
        # A failing call that changed something on its way could not be left out of what follows.
        if is_error(trial.observation) and not trial.changes_state:
            return FoundFault(kind, wrong, trial.observation)
    return None


def execute(call: Call, simulator: Simulator) -> str:
    """The observation of a gold call. A result that reports an error is the benchmark's; an exception is not."""
    observation = simulator.call(call.tool, call.arguments)
    if observation.startswith(EXECUTION_ERROR):
        raise UserError(f"the gold call {call.tool}({call.arguments}) does not run: {observation}")
    return observation


def user_turn(messages: Sequence[Mapping[str, str]], new_tools: tuple[str, ...]) -> User:
    """The user's message, or BFCL's standing one where tools become available."""
    content = "\n\n".join(message["content"] for message in messages)
    if new_tools and not content:
        content = NEW_TOOLS_PROMPT
    return User(content=content, new_tools=new_tools)


def without_standing(episode: Episode) -> Episode:
    """Without what the benchmark says in a user's place: its standing message where tools become available.

    Every `miss_func` task holds it, word for word: it is a prompt, and no text that one task could leak of another.
    """
    spoken = tuple(step for step in episode.steps if not _is_standing(step))
    return episode.model_copy(update={"steps": spoken})


def _is_standing(step: Step) -> bool:
    # The sentence alone may be anybody's; only BFCL's own messages bring tools.
    return isinstance(step, User) and bool(step.new_tools) and step.content == NEW_TOOLS_PROMPT


def parse_call(text: str, tools: Mapping[str, Tool]) -> Call:
    """Read a gold call such as `sort('report.pdf')` or `mean(numbers=[1, 2])`; nothing is evaluated.

    Positional arguments get the names the function's documentation lists at their place. Raises `UserError` for
    anything but a call of one of `tools` with literal arguments.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError("not a plain call")
        tool = tools[node.func.id]
        names = list(tool.parameters["properties"])[: len(node.args)]
        positional = zip(names, map(ast.literal_eval, node.args), strict=True)
        named = ((str(keyword.arg), ast.literal_eval(keyword.value)) for keyword in node.keywords)
        return Call(tool.name, {name: as_json(value) for name, value in (*positional, *named)})
    except KeyError as error:
        raise UserError(f"gold call {text!r}: the task has no tool {error}") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(f"gold call {text!r} cannot be read: {error}") from error


def as_json(value: Any) -> Any:
    """A Python literal as JSON has it: tuples are lists."""
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return value


def as_action(call: Call, action_type: ActionType) -> Action:
    return Action(type=action_type, tool=call.tool, arguments=call.arguments)


# -- single-turn ----------------------------------------------------------------------------------------------


def single_turn(raw: Path, counts: Mapping[str, int], seed: int) -> tuple[list[Episode], dict[str, Counter[str]]]:
    """One-decision episodes, `counts[category]` of each category, and why other rows could not be used."""
    episodes: list[Episode] = []
    skipped: dict[str, Counter[str]] = {}
    for category, count in counts.items():
        if count:
            usable, skipped[category] = usable_rows(raw, category)
            chosen = choose(usable, count, seed, f"data.single_turn.{category}")
            episodes += [usable[name] for name in usable if name in chosen]
    return episodes, skipped


def usable_rows(raw: Path, category: str) -> tuple[dict[str, Episode], Counter[str]]:
    """A category's episodes by id, and the number of rows left out for each reason."""
    gold = read_gold(raw, category) if category in ANSWERED else {}
    usable: dict[str, Episode] = {}
    skipped: Counter[str] = Counter()
    for row in read_rows(raw, category):
        try:
            usable[row["id"]] = single_episode(row, category, gold.get(row["id"]))
        except Unusable as reason:
            skipped[str(reason)] += 1
    return usable, skipped


def single_episode(row: Mapping[str, Any], category: str, gold: Any) -> Episode:
    """One user message and one decision: `BLOCKED` if no offered function helps, else the call."""
    tools = [as_tool(function) for function in row["function"]]
    if not tools:
        raise Unusable("no functions")
    user = User(content=single_message(row["question"]))
    if category in UNANSWERED:
        action = Action(type="BLOCKED")
    else:
        call = first_acceptable(gold, {tool.name: tool for tool in tools})
        action = as_action(call, single_type(call.tool))
    return Episode(
        id=row["id"],
        group=single_group(row["id"]),
        source=category,
        tools=tuple(tools),
        steps=(user, Act(action=action)),
    )


def single_message(question: Sequence[Sequence[Mapping[str, str]]]) -> str:
    """All messages as one: a system message, in a few `live` rows, stands before the user's words."""
    messages = [message for turn in question for message in turn]
    if any(message["role"] not in ("system", "user") for message in messages):
        raise Unusable("earlier assistant messages")
    if not any(message["role"] == "user" for message in messages):
        raise Unusable("no user message")
    return "\n\n".join(message["content"] for message in messages)


def first_acceptable(gold: Any, tools: Mapping[str, Tool]) -> Call:
    """The call made of the first acceptable value of each argument.

    "" as the first acceptable value means that the argument may be left out, and it is, unless it is required.
    """
    if not gold or len(gold) != 1 or len(gold[0]) != 1:
        raise Unusable("not exactly one gold call")
    ((name, acceptable),) = gold[0].items()
    if name not in tools:
        raise Unusable("the gold call is of no offered function")
    required = set(tools[name].parameters.get("required", ()))
    if required - acceptable.keys():
        raise Unusable("the gold call lacks a required argument")
    return Call(name, first_values(acceptable, required))


def first_values(acceptable: Mapping[str, Any], required: Iterable[str] = ()) -> dict[str, Any]:
    """One value of each list of acceptable ones; objects inside hold such lists again, or the plain values."""
    chosen = {}
    for name, values in acceptable.items():
        values = values if isinstance(values, list) else [values]
        given = [value for value in values if value != ""] if name in required else values
        value = given[0] if given else ""
        if value != "" or name in required:
            chosen[name] = first_inside(value)
    return chosen


def first_inside(value: Any) -> Any:
    if isinstance(value, dict):
        return first_values(value)
    if isinstance(value, list):
        return [first_inside(item) for item in value]
    return value


def single_type(function: str) -> ActionType:
    """`retrieval` if the name has a look-up verb among its words (LOOK_UP_VERBS), else `tool_call`.

    "list" as the last word is a noun: `sort_list` looks nothing up.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", function)]
    verbs = words[:-1] if words[-1:] == ["list"] and len(words) > 1 else words
    return "retrieval" if LOOK_UP_VERBS.intersection(verbs) else "tool_call"


def single_group(name: str) -> str:
    """A split keeps together what shares its functions: `live_multiple_7-3-1` is of `live_multiple_3`."""
    live = re.fullmatch(r"(live_\w+)_\d+-(\d+)-\d+", name)
    return f"{live[1]}_{live[2]}" if live else name


# -- both -----------------------------------------------------------------------------------------------------


def read_rows(raw: Path, category: str) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(raw / "data" / f"BFCL_v4_{category}.json")]


def read_gold(raw: Path, category: str) -> dict[str, Any]:
    """The gold calls by row id."""
    path = raw / "data" / "possible_answer" / f"BFCL_v4_{category}.json"
    return {row["id"]: row["ground_truth"] for _, row in read_jsonl(path)}


def as_tool(doc: Mapping[str, Any]) -> Tool:
    """A function's documentation as a tool, without the sentence that every function of a class begins with."""
    description = BOILERPLATE.sub("", doc["description"]).strip()
    return Tool(name=doc["name"], description=description, parameters=json_schema(doc["parameters"]))


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """BFCL's Python-flavoured schema as JSON Schema: dict, float and tuple renamed, `any` left open."""
    result = dict(schema)
    if result.get("type") == "any":
        del result["type"]
    elif "type" in result:
        result["type"] = SCHEMA_TYPES.get(result["type"], result["type"])
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = json_schema(result[key])
    if "properties" in result:
        result["properties"] = {name: json_schema(value) for name, value in result["properties"].items()}
    return result


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts numbers inside names by value: task_9 before task_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def choose(names: Iterable[str], count: int, seed: int, field: str) -> set[str]:
    """A seeded choice of `count` names; a larger count keeps those of a smaller one."""
    ranked = shuffled(names, seed, field)
    if count > len(ranked):
        raise UserError(f"{field}: {count} asked for, but BFCL has {len(ranked)} that can be used")
    return set(ranked[:count])
