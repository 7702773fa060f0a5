"""Rules for comparing arguments, drafted from what they hold in recorded conversations; to be reviewed by a person.

    seen = Seen()
    for episode in episodes: seen.add(episode)
    seen.drafted(tool, "tool_call")         # {"body": Drafted(Rule("text", 0.6), "5 words in half of ...")}

Care goes before reach: a rule that should not be there counts a wrong call as right. So a draft wants `FEWEST` values,
all of one sort, and says nothing of what the schema lists (`enum`) nor of what agents copy from the conversation, which
a cheap model can copy too.

 text    sentences, of `WORDS` words or more in half of the calls, mostly different, mostly not copied: the agent's own;
         not commands or code
 number  numbers that are not all whole; not sums of money where a call acts, of which a hundredth more is another sum
 ignore  strings like those of a generator (a UUID, long hexadecimal or, if its name says so, a time or a number), each
         of them once in all logs and never copied

Memory is bounded however large the logs: of an argument the first `MOST_VALUES` values count, by hash, and of all tools
the first `MOST_ARGUMENTS` arguments.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from specacts.core.comparison import Rule, inside, words
from specacts.core.episodes import Act, Episode, Tool
from specacts.core.words import ActionType
from specacts.traces.tool_types import Drafted, name_words

FEWEST = 5
FEWEST_IGNORED = 10
WORDS = 5
TEXT, NUMBER, IGNORE = Rule("text", 0.6), Rule("number", 0.01), Rule("ignore")
MOST_VALUES = 1000
MOST_ARGUMENTS = 5000
DEEPEST = 8
"""Objects and lists in one another that are looked into."""
LONGEST_NAME = 200

RANDOM = re.compile(
    r"(\w+[-_])?([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{16,})", re.IGNORECASE
)
"""A UUID or long hexadecimal, maybe behind a prefix."""
GENERATED = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*|\d{9,}|[\w-]{8,}")
"""What may come from a generator if its name says so: a time, a long number, a word."""
CODE = re.compile(r"[{}=;|<>\\$`]|\s--?\w|\w\(")
"""What a command, a query or a program has and a sentence has not: in them one other word is another thing."""
NO_PROSE = frozenset("command cmd code sql script patch diff regex pattern path url address street".split())
GENERATED_NAMES = frozenset("nonce uuid guid timestamp idempotency idempotence trace correlation".split())
MONEY = frozenset(
    "amount amounts price prices cost costs fee fees total subtotal sum money payment payout refund salary balance "
    "budget deposit charge credit debit eur usd gbp cents".split()
)
ACTS: frozenset[ActionType] = frozenset({"tool_call", "file_write", "repair"})


@dataclass
class _Values:
    """What was seen of an argument; `lengths` in words, of strings."""

    count: int = 0
    strings: int = 0
    numbers: int = 0
    broken: int = 0
    copied: int = 0
    random: int = 0
    generated: int = 0
    prose: int = 0
    lengths: list[int] = field(default_factory=list)
    different: set[int] = field(default_factory=set)

    def add(self, value: Any, before: list[str]) -> None:
        self.count += 1
        self.different.add(hash(value))
        if isinstance(value, str):
            self.strings += 1
            self.lengths.append(len(words(value)))
            self.prose += CODE.search(value) is None
            self.random += RANDOM.fullmatch(value) is not None
            self.generated += GENERATED.fullmatch(value) is not None
            self.copied += any(value in text for text in before)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self.numbers += 1
            self.broken += isinstance(value, float) and not value.is_integer()
            self.generated += GENERATED.fullmatch(str(value)) is not None
            self.copied += any(str(value) in text for text in before)


class Seen:
    """The arguments of all calls that were added, by tool and path."""

    def __init__(self) -> None:
        self.tools: dict[str, dict[str, _Values]] = {}
        self.arguments = 0

    def add(self, episode: Episode) -> None:
        """Every call of an episode, with what was said before it."""
        before = [episode.system]
        for step in episode.steps:
            if not isinstance(step, Act):
                before.append(step.content)
                continue
            before.append(step.action.content)
            if step.action.tool is not None:
                self._add(self.tools.setdefault(step.action.tool, {}), step.action.arguments, before)

    def _add(self, seen: dict[str, _Values], arguments: dict[str, Any], before: list[str]) -> None:
        for path, value in leaves(arguments):
            if path not in seen:
                if self.arguments >= MOST_ARGUMENTS:
                    continue
                self.arguments += 1
                seen[path] = _Values()
            if seen[path].count < MOST_VALUES:
                seen[path].add(value, before)

    def drafted(self, tool: Tool, action_type: ActionType) -> dict[str, Drafted]:
        """Rules for a tool's arguments, in the order in which they were first seen. action_type: of its calls."""
        seen = self.tools.get(tool.name, {})
        found = {path: _rule(path, seen[path], action_type) for path in seen if not is_listed(tool.parameters, path)}
        return {path: rule for path, rule in found.items() if rule}


def leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What is no object and no list in arguments, with its path; without what is too deep or has too long a name."""
    if isinstance(value, dict) and depth < DEEPEST:
        for key, item in value.items():
            if len(key) <= LONGEST_NAME:
                yield from leaves(item, inside(path, key), depth + 1)
    elif isinstance(value, list) and depth < DEEPEST:
        for item in value:
            yield from leaves(item, path, depth + 1)
    elif not isinstance(value, dict | list):
        yield path, value


def _rule(path: str, seen: _Values, action_type: ActionType) -> Drafted | None:
    name = set(name_words(path.rpartition(".")[2]))
    share = len(seen.different) / seen.count
    if seen.count >= FEWEST_IGNORED and share == 1 and not seen.copied:
        of_generator = seen.generated if name & GENERATED_NAMES else seen.random
        if of_generator == seen.count:
            return Drafted(IGNORE, f"{seen.count} values like a generator's, none twice, none from the conversation")
    if seen.count < FEWEST:
        return None
    if seen.broken and seen.numbers == seen.count and not (name & MONEY and action_type in ACTS):
        return Drafted(NUMBER, f"{seen.broken} of {seen.count} numbers are not whole")
    if _is_prose(seen) and share >= 0.5 and seen.copied < seen.count / 2 and not name & NO_PROSE:
        often = f"{len(seen.different)} of {seen.count} texts differ, {median(seen.lengths):g} words in the median"
        return Drafted(TEXT, f"{often}, {seen.copied} from the conversation")
    return None


def _is_prose(seen: _Values) -> bool:
    return seen.strings == seen.count and median(seen.lengths) >= WORDS and seen.prose >= 0.8 * seen.count


def is_listed(schema: Any, path: str) -> bool:
    """Whether the tool's definition lists what an argument may be."""
    for key in path.split("."):
        while isinstance(schema, dict) and "properties" not in schema and isinstance(schema.get("items"), dict):
            schema = schema["items"]
        properties = schema.get("properties") if isinstance(schema, dict) else None
        schema = properties.get(key) if isinstance(properties, dict) else None
    while isinstance(schema, dict) and isinstance(schema.get("items"), dict):
        schema = schema["items"]
    return isinstance(schema, dict) and ("enum" in schema or "const" in schema)
