"""Which action type a call of a tool is, for tools nobody has seen: a table made by hand, and rules for the rest.

The table also says how a tool's arguments are compared (core/comparison.py): what is not listed, exactly.

    types = load_type_map(Path("types.yaml"))       # or TypeMap({}, {}): the rules alone
    type_of(tool, types).type, type_of(tool, types).why
    write_text(Path("types.yaml"), draft([(tool, 412), ...], types, "traces.jsonl"))     # to be reviewed

The table is a YAML mapping of tool names to CALL_TYPES. A key with `*`, `?` or `[` is a shell-style pattern that
minds upper and lower case: `fs_*: file_read`. The exact name wins over patterns, and of patterns the first in the
file. A name that itself holds such a character is written with brackets around it, `run[*]` for the tool `run*`; it
counts as an exact name. YAML wants quotes where a key begins with such a character: `"*_read"`. A tool without a
definition is `Tool(name=...)`. With rules for arguments, or for what lies in them by a path with dots, a line is

    send_email: {type: tool_call, compare: {body: {text: 0.6}, order.total: {number: 0.01}, request_id: ignore}}

Where the table says nothing, in this order:

 1. Name. Its words (split at anything that is no letter, and at camelCase; of `mcp__server__tool` only what follows
    the last `__`) are compared with the word tables below.
     a. a status of something in STANDINGS, a PREDICATES word at the front, or a VERIFYING verb: verifier
     b. nothing but file commands (`cat`, `Write`): file_read or file_write; GREPPING anywhere: file_read
     c. a FILE_NOUNS word with a verb that looks: file_read; with a verb that changes: file_write
     d. a LOOK_UP or READING verb: retrieval; any other known verb: tool_call
    The verb is the first that the tables know (`verb_of` has the exceptions).
 2. Schema. A parameter of FILE_PARAMETERS makes it a file tool: file_write if its verb changes things or a
    CONTENT_PARAMETERS one stands beside it, unless the verb looks; else file_read. This goes before 1d where the verb
    is of READING, STUDYING or WRITING, stands alone, or is CHANGING with content to write: `view(path)`. One of
    QUERY_PARAMETERS as all that is needed makes it retrieval, if the name says nothing.
 3. Description. Its first verb, as in 1, if name and schema say nothing; DESCRIBED_* holds verbs more.
 4. tool_call, which promises least: nobody will take it for a call that changes nothing.

Words are English. Names and schemas come from strangers: none makes this fail.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from glob import escape
from math import nan
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from specacts.core.comparison import Rule, Rules
from specacts.core.episodes import Tool
from specacts.core.errors import UserError
from specacts.core.words import ACTION_TYPES, SPEAKING, ActionType

CALL_TYPES: tuple[ActionType, ...] = tuple(t for t in ACTION_TYPES if t not in SPEAKING and t != "repair")
"""What a call can be by its tool alone; whether it repairs an earlier one, only the conversation tells."""

MEANINGS: dict[ActionType, str] = {
    "retrieval": "looks something up and changes nothing",
    "file_read": "looks at files or folders",
    "file_write": "changes the file system as the agent sees it, its current folder included",
    "verifier": "checks, compares or estimates: its result says whether something holds or is feasible",
    "tool_call": "everything else: it acts on something, or it computes",
}

# "confirm" is not here: `confirm_booking` acts. Nor is "audit": `audit_log` is a thing.
VERIFYING = frozenset(
    "verify validate check checks test tests lint linter assert compare diff estimate ensure typecheck exists "
    "pytest mypy eslint healthcheck".split()
)
PREDICATES = frozenset("is are has have can does should".split())
STANDINGS = frozenset("login auth authentication authorization session connection health".split())
LOOK_UP = frozenset("get search find list lookup look fetch retrieve query browse explore discover".split())
READING = frozenset("read view show display".split())
GREPPING = frozenset("grep ripgrep rg glob".split())
STUDYING = frozenset("open load print parse analyze analyse extract summarize summarise count sort filter tree".split())
WRITING = frozenset("write edit save append prepend insert replace overwrite rename move copy undo apply".split())
CHANGING = frozenset(
    "create delete remove update modify change add make set put new store download export restore truncate zip unzip "
    "compress".split()
)
LIGHT = frozenset("run execute exec do perform call invoke start".split())
ACTING = frozenset(
    "send post reply forward publish upload share push pull commit merge cancel close resolve book reserve order "
    "schedule place buy sell purchase pay refund return exchange transfer withdraw deposit register subscribe "
    "unsubscribe follow unfollow login logout authenticate assign invite notify ask think plan click type press "
    "scroll hover drag navigate goto wait take play pause stop kill enable disable activate lock unlock release "
    "install deploy build submit approve reject generate draw translate bash shell terminal request calculate compute "
    "convert solve subtract multiply divide round sum mean average max min".split()
)
NOUNS_TOO = frozenset("store set post order schedule book return exchange plan type place request change new".split())
"""Verbs at the front of a name only: `store_fact` stores, `vector_store` does not."""

VERBS = VERIFYING | LOOK_UP | READING | GREPPING | STUDYING | WRITING | CHANGING | LIGHT | ACTING
LOOKING = LOOK_UP | READING | GREPPING | STUDYING
ALTERING = WRITING | CHANGING

FILE_NOUNS = frozenset(
    "file files filesystem fs filename filepath directory directories dir dirs folder folders notebook notebooks "
    "patch editor pdf csv xlsx docx txt".split()
)
READ_COMMANDS = frozenset("cat ls dir pwd du df wc head tail less tree stat read".split()) | GREPPING
WRITE_COMMANDS = frozenset("cd chdir cp mv rm mkdir rmdir touch ln chmod unlink tee write edit replace".split())
FILLERS = frozenset("tool tools function str string text multi based".split())
"""Words that say nothing of what a tool works on."""

FILE_PARAMETERS = frozenset(
    "path paths file files filename filenames file_name file_names filepath filepaths file_path file_paths directory "
    "directories dir dir_name dir_path directory_path folder folder_name folder_path absolute_path relative_path "
    "target_file source_file input_file output_file output_path source_path target_path old_path new_path "
    "notebook_path relative_workspace_path".split()
)
CONTENT_PARAMETERS = frozenset(
    "content contents text data code patch diff edits file_text file_content new_str new_string new_text new_content "
    "new_source new_lines insert_text replacement code_edit".split()
)
QUERY_PARAMETERS = frozenset(
    "query queries q question search search_query search_term search_terms keyword keywords term".split()
)

DESCRIBED_AS_LOOK_UP = frozenset("return provide give".split())
DESCRIBED_AS_VERIFYING = frozenset("confirm determine".split())
PREAMBLE = frozenset(
    "a an the this that which it is are be you your we tool function utility method api endpoint use used useful using "
    "can could will should allows allow lets let helps help enables to for when need want".split()
)
"""What descriptions begin with before they say anything: "Use this tool to ..."."""

DESCRIPTION_WORDS = 8  # whether it is about files, the first words say; later ones tell of details

COMPARED = {
    "exact": "it is equal",
    "{number: 0.01}": "it differs from the recorded number by no more than a hundredth of that",
    "{text: 0.6}": "of the words of both, 0.6 are in common (F1), or more",
    "ignore": "whatever it is, and also if it is missing",
}
"""The rules for arguments as they are written, and when an argument is the same by each."""

TypeRule = Literal["mapping", "pattern", "name", "schema", "description", "default"]
NO_RULES: Rules = {}
NOTHING: Mapping[str, Any] = {}


class Typed(NamedTuple):
    """A tool's action type, which rule gave it, why in a few words for a comment, and how arguments are compared."""

    type: ActionType
    rule: TypeRule
    why: str
    compare: Rules = NO_RULES


class TypeMap(NamedTuple):
    """A table made by hand: exact names, and shell-style patterns of which the first match counts.

    compare: rules for arguments by the key that stands in the file, a pattern or an exact name with its signs escaped.
    """

    names: dict[str, ActionType]
    patterns: dict[str, ActionType]
    compare: Mapping[str, Rules] = NOTHING


class Drafted(NamedTuple):
    """A rule for an argument that observed values suggest, and why in a few words for a comment."""

    rule: Rule
    why: str


def load_type_map(path: Path) -> TypeMap:
    """Read a table, or say at which line what is wrong. A file of nothing but comments is an empty table."""
    node = _composed(path)
    names: dict[str, ActionType] = {}
    patterns: dict[str, ActionType] = {}
    compare: dict[str, Rules] = {}
    if node is None:
        return TypeMap(names, patterns)
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{path}:{_line(node)}: should map tool names to action types, as in `read_file: file_read`")
    for key, value, place in _entries(node, _Place(path), "tool name"):
        action_type, rules = _typed(value, place)
        # What escaping its own unescaped form gives back is an exact name, specials or not; else it is a pattern.
        exact = re.sub(r"\[([*?[])\]", r"\1", key)
        if escape(exact) == key:
            names[exact] = action_type
        else:
            patterns[key] = action_type
        if rules:
            compare[key] = rules
    return TypeMap(names, patterns, compare)


def _typed(node: yaml.Node, place: "_Place") -> tuple[ActionType, Rules]:
    """What the table says of a tool: its type, or an object that holds its type and rules for arguments."""
    if not isinstance(node, yaml.MappingNode):
        return _call_type(node, place), NO_RULES
    parts = {key: (value, where) for key, value, where in _entries(node, place, "field")}
    for name in parts:
        if name not in ("type", "compare"):
            raise UserError(f"{parts[name][1]}: unknown; a tool has `type` and `compare`")
    if "type" not in parts:
        raise UserError(f"{place}: has no `type`: one of {', '.join(CALL_TYPES)}")
    action_type = _call_type(*parts["type"])
    if "compare" not in parts:
        return action_type, NO_RULES
    arguments, where = parts["compare"]
    if not isinstance(arguments, yaml.MappingNode):
        raise UserError(f"{where}: should map arguments to rules, as in `body: {{text: 0.6}}`")
    rules = {name: _rule(value, place) for name, value, place in _entries(arguments, where, "argument")}
    return action_type, {name: rule for name, rule in rules.items() if rule.kind != "exact"}


def _call_type(node: yaml.Node, place: "_Place") -> ActionType:
    found = next((name for name in CALL_TYPES if isinstance(node, yaml.ScalarNode) and node.value == name), None)
    if found is None:
        raise UserError(f"{place}: {_shown(node)!r} is not one of {', '.join(CALL_TYPES)}")
    return found


RULES_ARE = f"write {', '.join(list(COMPARED)[:-1])} or ignore"


def _rule(node: yaml.Node, place: "_Place") -> Rule:
    """A rule as it is written for an argument."""
    if isinstance(node, yaml.ScalarNode):
        if node.value not in ("exact", "ignore"):
            raise UserError(f"{place}: {_shown(node)!r} is not a rule; {RULES_ARE}")
        return Rule("ignore" if node.value == "ignore" else "exact")
    entries = list(_entries(node, place, "rule")) if isinstance(node, yaml.MappingNode) else []
    if len(entries) != 1:
        raise UserError(f"{place}: an argument has one rule; {RULES_ARE}")
    kind, given, where = entries[0]
    try:
        value = float(given.value) if isinstance(given, yaml.ScalarNode) else nan
    except ValueError:
        value = nan
    if kind == "number" and 0 < value < 1:
        return Rule("number", value)
    if kind == "text" and 0 < value <= 1:
        return Rule("text", value)
    if kind == "number":
        raise UserError(
            f"{where}: {_shown(given)!r} is not a share of the recorded number, above 0 and below 1: 0.01 is 1 %"
        )
    if kind == "text":
        raise UserError(f"{where}: {_shown(given)!r} is not a share of words in common, above 0 and at most 1: try 0.6")
    raise UserError(f"{where}: is not a rule with a value; {RULES_ARE}")


def type_of(tool: Tool, types: TypeMap) -> Typed:
    """The type of a call of `tool`: what the table says, else what its name, schema or description say."""
    if tool.name in types.names:
        rules = types.compare.get(escape(tool.name), NO_RULES)
        return Typed(types.names[tool.name], "mapping", "mapped by hand", rules)
    for pattern, action_type in types.patterns.items():
        if fnmatchcase(tool.name, pattern):
            return Typed(action_type, "pattern", f'matches "{pattern}"', types.compare.get(pattern, NO_RULES))
    words = name_words(tool.name)
    verb = verb_of(words)
    named = by_name(words, verb)
    parameters, needed = parameter_names(tool.parameters)
    if named is None or _leaves_it_to_the_schema(words, verb, named, parameters):
        named = by_file_parameters(verb, parameters) or named
    return (
        named
        or by_query_parameter(needed)
        or by_description(tool.description)
        or Typed("tool_call", "default", "nothing in its name, schema or description says more")
    )


def draft(
    tools: Sequence[tuple[Tool, int]],
    types: TypeMap,
    source: str,
    rules: Mapping[str, Mapping[str, Drafted]] = NOTHING,
) -> str:
    """A table to be reviewed: a line a tool, most called first; loads back to the types that `type_of` gives now.

    `tools` holds each with its number of calls, `source` says in a few words where they were found. Of tools that
    share a name the first counts, for the calls of all. rules: by tool and argument; of a tool that `types` knows its
    own stay.
    """
    calls: dict[str, int] = {}
    first: dict[str, Tool] = {}
    for tool, count in tools:
        calls[tool.name] = calls.get(tool.name, 0) + count
        first.setdefault(tool.name, tool)
    lines = [f"# Which action type a call of each tool is, drafted from {one_line(source)}. Read it, and fix it.", "#"]
    lines += [f"#   {action_type:<11} {meaning}" for action_type, meaning in MEANINGS.items()]
    lines += [
        "#",
        '# A name with * ? or [ is a pattern, as a shell has them: fs_* or, in quotes for its first sign, "*_read".',
        "# An exact name wins over patterns, and of patterns the first. A tool whose own name holds such a sign has it",
        "# in brackets: run[*] is the tool run*.",
        "# A tool that is not listed is typed by its name, schema and description, as these were.",
        "#",
        "# Under compare stands how an argument of a proposed call is compared with that of the recorded one. What is",
        "# not listed has to be equal; items.price is the price in items, in each of them where that is a list.",
        "#",
        *(f"#   {example:<15} {meaning}" for example, meaning in COMPARED.items()),
        "",
    ]
    for name in sorted(first, key=lambda name: (-calls[name], name)):
        typed = type_of(first[name], types)
        often = "1 call" if calls[name] == 1 else f"{calls[name]} calls"
        comment = f"   # {often}; {one_line(typed.why)}"
        own = {path: Drafted(rule, "by hand") for path, rule in typed.compare.items()}
        compare = own if typed.rule in ("mapping", "pattern") else rules.get(name, {})
        if compare:
            lines += [f"{_key(name)}:{comment}", f"  type: {typed.type}", "  compare:"]
            lines += [f"    {_plain_key(path)}: {_written(one.rule)}   # {one.why}" for path, one in compare.items()]
        else:
            lines.append(f"{_key(name)}: {typed.type}{comment}")
    return "\n".join(lines) + "\n"


# -- the rules ------------------------------------------------------------------------------------------------


def name_words(name: str) -> list[str]:
    """The words of a tool's name in lower case, without a namespace: `mcp__github__searchCode` is search, code."""
    return _words(name.rsplit("__", 1)[-1]) or _words(name)


def verb_of(words: Sequence[str]) -> str | None:
    """The word that says what the tool does: the first that is a verb, but for what follows.

    `find_and_replace` and `search_replace` change things; `run_tests` tests; `book_search` searches; the list of
    `sort_list` is a noun and that of `users_list` a verb; a `file_reader` reads.
    """
    places = [n for n, word in enumerate(words) if _is_verb(words, n)]
    for n in places[1:]:
        joined = words[n - 1] in ("and", "or", "then") and words[n] in ALTERING | ACTING
        if joined or (words[n] == "replace" and words[n - 1] in LOOK_UP):
            return words[n]
    verbs = [words[n] for n in places]
    if len(verbs) > 1 and (
        verbs[0] in LIGHT or (verbs[0] in NOUNS_TOO and verbs[-1] == words[-1] and verbs[-1] in LOOK_UP)
    ):
        return verbs[1]
    if verbs:
        return verbs[0]
    doer = next((word for word in reversed(words) if word not in FILLERS), "")
    return None if doer in VERBS else _stem(doer, ("er", "or"))  # a verb that was refused above is a noun here


def by_name(words: Sequence[str], verb: str | None) -> Typed | None:
    """What the name says (rule 1 of the module's docstring)."""
    if "status" in words and not STANDINGS.isdisjoint(words):
        standing = next(word for word in words if word in STANDINGS)
        return Typed("verifier", "name", f'its name says "{standing}" and "status"')
    if words and words[0] in PREDICATES:
        return Typed("verifier", "name", f'its name says "{words[0]}"')
    commands = [word for word in words if word not in FILLERS]
    if commands and READ_COMMANDS.union(WRITE_COMMANDS).issuperset(commands):
        action_type: ActionType = "file_read" if READ_COMMANDS.issuperset(commands) else "file_write"
        return Typed(action_type, "name", f'its name says "{commands[0]}"')
    if verb is None:
        return None
    # One checks in at a hotel and checks out a branch: neither says whether something holds.
    if verb == "check" and not {"in", "out"}.isdisjoint(words[1:2]):
        return Typed("tool_call", "name", f'its name says "{words[0]} {words[1]}"')
    noun = next((word for word in words if word in FILE_NOUNS), None)
    action_type = by_verb(verb, noun)
    about_files = noun and action_type in ("file_read", "file_write")
    return Typed(action_type, "name", f'its name says "{verb}"' + (f' and "{noun}"' if about_files else ""))


def by_verb(verb: str, noun: str | None) -> ActionType:
    """What doing `verb` is; `noun` is the word that makes it something done to files, if there is one."""
    if verb in VERIFYING:
        return "verifier"
    if verb in GREPPING or (noun and verb in LOOKING):
        return "file_read"
    if noun and verb in ALTERING:
        return "file_write"
    return "retrieval" if verb in LOOK_UP | READING else "tool_call"


def parameter_names(schema: Any) -> tuple[list[str], list[str]]:
    """The parameters' names as words_with_underscores: all, and those a call needs (all, if none is marked)."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return [], []
    required = schema.get("required")
    marked = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    names = [name for name in properties if isinstance(name, str)]
    return _normal(names), _normal([name for name in names if name in marked] or names)


def by_file_parameters(verb: str | None, parameters: Sequence[str]) -> Typed | None:
    """Whether the parameters are those of a file tool, and which kind; a verb that looks is believed."""
    file = next((name for name in parameters if name in FILE_PARAMETERS), None)
    content = next((name for name in parameters if name in CONTENT_PARAMETERS), None)
    if file is None:
        return None
    if verb in LOOKING or not (content or verb in ALTERING):
        return Typed("file_read", "schema", f"takes a {file}")
    return Typed("file_write", "schema", f"takes a {file}" + (f" and {content}" if content else ""))


def by_query_parameter(needed: Sequence[str]) -> Typed | None:
    """Retrieval, if a query is all that a call needs."""
    if len(needed) == 1 and needed[0] in QUERY_PARAMETERS:
        return Typed("retrieval", "schema", f"takes only a {needed[0]}")
    return None


def by_description(description: str) -> Typed | None:
    """What the first word says that is more than "Use this tool to"."""
    sentence = description.strip()[:500].split(". ")[0]
    words = re.findall(r"[^\W\d_]+", sentence)
    start = next((n for n, word in enumerate(words) if word.lower() not in PREAMBLE), len(words))
    told = words[start : start + DESCRIPTION_WORDS]
    if not told:
        return None
    verb = _stem(told[0].lower(), ("s", "es", "ing"), VERBS | DESCRIBED_AS_LOOK_UP | DESCRIBED_AS_VERIFYING)
    if verb is None:
        return None
    verb = "get" if verb in DESCRIBED_AS_LOOK_UP else "check" if verb in DESCRIBED_AS_VERIFYING else verb
    noun = next((word for word in told if word.lower() in FILE_NOUNS), None)
    return Typed(by_verb(verb, noun), "description", f'described as "{told[0]} ..."')


def _leaves_it_to_the_schema(words: Sequence[str], verb: str | None, named: Typed, parameters: Sequence[str]) -> bool:
    """Whether the name only says `view` or `create`, of which files are one object among many."""
    if named.type not in ("retrieval", "tool_call") or verb not in LOOKING | ALTERING:
        return False
    alone = all(word in FILLERS or word in VERBS for word in words)
    filled = verb in CHANGING and not CONTENT_PARAMETERS.isdisjoint(parameters)
    return alone or filled or verb in READING | STUDYING | WRITING


def _is_verb(words: Sequence[str], n: int) -> bool:
    if n and words[n] == "list" and n == len(words) - 1:
        return words[n - 1].endswith("s")
    return words[n] in VERBS and not (n and words[n] in NOUNS_TOO)


def _words(text: str) -> list[str]:
    """Words in lower case: split at everything that is no letter, and where camelCase does."""
    camel = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
    return [word.lower() for part in re.split(r"[\W\d_]+", text) for word in camel.split(part) if word]


def _normal(names: Iterable[str]) -> list[str]:
    """`filePath`, `file-path` and `file_path2` are one name."""
    return ["_".join(_words(name)) for name in names]


def _stem(word: str, endings: Sequence[str], verbs: frozenset[str] = VERBS) -> str | None:
    """The verb that `word` is a form of: searches and searching are search, a retriever will retrieve."""
    stems = [word.removesuffix(ending) for ending in endings if word.endswith(ending)]
    forms = [word, *stems, *(stem + "e" for stem in stems)]
    forms += [stem[:-1] + "y" for stem in stems if stem.endswith("i")]  # queries
    forms += [stem[:-1] for stem in stems if stem[-1:] == stem[-2:-1]]  # getting
    return next((form for form in forms if form in verbs), None)


# -- YAML -----------------------------------------------------------------------------------------------------


def one_line(text: str) -> str:
    """`text` without anything that would end a comment's line or that YAML refuses, and not too long."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    shown = " ".join(plain.split())
    return shown if len(shown) <= 100 else shown[:99] + "…"


def _composed(path: Path) -> yaml.Node | None:
    """The file's nodes, which know their lines and keep duplicate keys, as loaded values would not."""
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        what = f"not valid YAML ({one_line(error.problem or str(error))}); a name that begins with * or [ needs quotes"
        raise UserError(f"{path}{line}: {what}") from error
    # Beside its own errors, PyYAML lets through those of endless nesting, of escapes beyond Unicode, and of bytes.
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML ({one_line(str(error))})") from error


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return one_line(node.value)
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a sequence"


def _written(rule: Rule) -> str:
    return f"{{{rule.kind}: {rule.value:g}}}" if rule.kind in ("number", "text") else rule.kind


class _Place(NamedTuple):
    """Where something stands in a file: its line, and the keys that lead to it."""

    path: Path
    line: int = 0
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ": ".join((f"{self.path}:{self.line}", *self.keys))


def _entries(node: yaml.MappingNode, place: _Place, what: str) -> Iterator[tuple[str, yaml.Node, _Place]]:
    """Keys, values and where each key stands, or what is wrong with one; what: that the keys are."""
    lines: dict[str, int] = {}
    for key, value in node.value:
        where = _Place(place.path, _line(key), (*place.keys, _shown(key)))
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{where}: is no {what}")
        if key.tag != "tag:yaml.org,2002:str":
            raise UserError(f'{where}: YAML does not read this as text; quote it: "{_shown(key)}"')
        if key.value in lines:
            raise UserError(f"{where}: is listed a second time, first in line {lines[key.value]}; keep one")
        lines[key.value] = _line(key)
        yield key.value, value, where


def _key(name: str) -> str:
    """A tool's exact name as a key: escaped where it looks like a pattern."""
    return _plain_key(escape(name))


def _plain_key(name: str) -> str:
    """A name as a key, quoted where YAML needs it."""
    text = _scalar(name, None)
    if text != name:
        text = _scalar(name, '"')  # the one style that escapes line breaks
    # YAML takes a key for one without the question mark only if it is short.
    return text if len(text) < 1000 else f"? {text}\n"


def _scalar(text: str, style: str | None) -> str:
    dumped = yaml.safe_dump(text, default_style=style, allow_unicode=True, width=float("inf"))
    return dumped.removesuffix("\n").removesuffix("\n...")
