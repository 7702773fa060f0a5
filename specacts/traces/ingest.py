"""Bring in your own conversations: read all of them as a stream, leave out what cannot be used, say what was done.

    metrics = ingest(place, types, config.sources, config.scale.own, config.seed, Path("data/own"))

Memory stays flat: of a conversation that was read nothing is kept but a few numbers and names. The first pass writes
the episodes to a scratch file; when all are known, groups are made and a sample is drawn, and the second pass copies
what was chosen.
"""

import json
import os
import sys
from array import array
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from specacts.config import Own, Sources
from specacts.core.episodes import Act, Action, Episode, Step, Tool
from specacts.core.errors import UserError
from specacts.core.files import compact_json
from specacts.core.seeds import draw
from specacts.core.terminal import one_line
from specacts.core.words import ACTION_TYPES
from specacts.traces.duplicates import Clusters, signed
from specacts.traces.formats.openai_chat import MOST_TOOLSETS, Conversation
from specacts.traces.reader import SHOWN, Continued, Duplicate, Prepared, Reader, Reject, Source
from specacts.traces.results import IngestMetrics
from specacts.traces.stream import Place, Progress
from specacts.traces.tool_types import TypeMap
from specacts.traces.usage import Taken

RULES = (
    *("label", "mapping", "pattern", "name", "schema", "description", "default", "repair"),
    *("statement", "question", "refusal"),
)
"""What can type a decision, in the order of precedence: calls first, then what is said."""
LEFT_OUT = ("invalid", "duplicate", "continued", "failed", "low_reward", "nothing_to_learn", "not_drawn")
SHORTEST = 8
"""Characters that are left of an argument's text at least; a call that is still too long is no label."""


# -- the conversations as the models get them -----------------------------------------------------------------


def shortened(action: Action, most: int) -> Action | None:
    """The call with no more than `most` characters of tool and arguments; None where that cannot be.

    A model may generate so much for one action and no more: what is longer could never be proposed.
    """
    assert action.tool is not None
    room = most - len(action.tool)
    if _is_surely_short(action.arguments, room):
        return action
    if len(ENCODE(action.arguments)) <= room:
        return action
    low, high = SHORTEST, max(SHORTEST, room)  # the longest texts that fit, all arguments alike
    if len(ENCODE(_capped(action.arguments, low))) > room:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(ENCODE(_capped(action.arguments, middle))) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return action.model_copy(update={"arguments": _capped(action.arguments, low)})


def _is_surely_short(arguments: dict[str, Any], room: int) -> bool:
    """Whether a look at the lengths of texts is enough: JSON spells a character with six at most."""
    total = 2
    for key, value in arguments.items():
        if isinstance(value, str):
            total += 6 * (len(key) + len(value) + 1)
        elif isinstance(value, int) and -(10**9) < value < 10**9:  # a boolean too
            total += 6 * (len(key) + 3)
        else:
            return False
    return total <= room


def _capped(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return _cut(value, most)
    if isinstance(value, dict):
        return {key: _capped(item, most) for key, item in value.items()}
    return [_capped(item, most) for item in value] if isinstance(value, list) else value


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def fitted(episode: Episode, own: Own, seed: int) -> tuple[Episode, Counter[str]]:
    """The episode with actions that models can propose, and a run of at most `own.decisions` decisions.

    Also how many calls were shortened, were too long to be labels, and were left out behind the run.
    """
    counts: Counter[str] = Counter()
    steps: list[Step] = []
    for step in episode.steps:
        if not isinstance(step, Act) or step.action.tool is None:
            steps.append(step)
        else:
            action = shortened(step.action, own.characters)
            if action is step.action:  # most are short enough
                steps.append(step)
                continue
            counts["shortened"] += action is not None
            counts["too_long"] += action is None and step.supervised
            supervised = step.supervised and action is not None
            steps.append(step.model_copy(update={"action": action or step.action, "supervised": supervised}))
    places = [n for n, step in enumerate(steps) if isinstance(step, Act) and step.supervised]
    if len(places) > own.decisions:
        counts["decisions_not_drawn"] = len(places) - own.decisions
        start = int(draw(seed, "decisions", episode.id) * (len(places) - own.decisions + 1))
        for n in places[:start]:
            steps[n] = steps[n].model_copy(update={"supervised": False})
        del steps[places[start + own.decisions - 1] + 1 :]
    return episode.model_copy(update={"steps": tuple(steps)}), counts


class Fitted(NamedTuple):
    """What is kept of a conversation on its way, as another process gives it back.

    line: its episode, still without its group. types: its decisions by type, and its actions that are context. first:
    the first user message, signed for `Clusters`.
    """

    id: str
    group: str
    line: str
    types: tuple[int, ...]
    first: tuple[bytes, bytes] | None
    rules: Counter[str]
    undecided: list[str]
    normalised: Counter[str]
    changed: Counter[str]


def prepare(found: Conversation, sources: Sources, own: Own, seed: int) -> Fitted | str:
    """The conversation as the models get it, or why it is not wanted."""
    if why := unwanted(found, sources):
        return why
    episode, changed = fitted(found.episode, own, seed)
    acts = [step for step in episode.steps if isinstance(step, Act)]
    by_type = Counter(act.action.type for act in acts if act.supervised)
    return Fitted(
        id=episode.id,
        group=found.group,
        line=_line(episode),
        types=(*(by_type[name] for name in ACTION_TYPES), len(acts) - by_type.total()),
        first=signed(found.first) if sources.near_duplicates else None,
        rules=found.rules,
        undecided=found.undecided,
        normalised=+found.normalised,
        changed=changed,
    )


LEFT_OUT_IF_EMPTY = frozenset({"usage", "seconds", "compare"})
"""Fields that are not written where there is nothing to say (core/episodes.py)."""


def _plain(model: Any) -> dict[str, Any]:
    """A step, or a part of one, as `model_dump` gives it: its fields, which all hold JSON or such parts."""
    return {name: value for name, value in vars(model).items() if value or name not in LEFT_OUT_IF_EMPTY}


ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain).encode
"""What `compact_json` does, set up once: it is called for every conversation."""
_offered: dict[int, tuple[tuple[Tool, ...], str]] = {}
"""The JSON of tools that were written before, by the identity of their tuple, which it keeps alive."""


def _line(episode: Episode) -> str:
    """The episode as `compact_json(episode.model_dump(mode="json"))` writes it.

    Most of it are the tools, of which most conversations of a file have the same.
    """
    tools = episode.tools
    if id(tools) not in _offered:
        if len(_offered) >= MOST_TOOLSETS:
            _offered.clear()
        _offered[id(tools)] = (tools, ENCODE([tool.model_dump(mode="json") for tool in tools]))
    _, written = _offered[id(tools)]
    first = {"id": episode.id, "group": episode.group, "source": episode.source, "system": episode.system}
    rest = {"withheld": episode.withheld, "steps": episode.steps}
    return f'{ENCODE(first)[:-1]},"tools":{written},{ENCODE(rest)[1:]}'


def with_took(line: str, took: Taken) -> str:
    """The episode's line with what its first actions took, as rows say that it goes on with."""
    episode = json.loads(line)
    acts = [step for step in episode["steps"] if step["role"] == "action"]
    for act, (_, one) in zip(acts, took, strict=False):
        act.update({**one.known(), **({"usage": one.usage.model_dump()} if one.usage else {})})
    return ENCODE(episode)


# -- the whole ------------------------------------------------------------------------------------------------


class _Index:
    """What is remembered of every conversation on its way through the scratch file."""

    def __init__(self, near_duplicates: float | None):
        self.ids: list[str] = []
        self.groups: list[str] = []
        self.types = array("i")  # of each conversation its decisions by type, and its actions that are context
        self.clusters = Clusters(near_duplicates) if near_duplicates else None

    def add(self, found: "Fitted") -> None:
        self.ids.append(found.id)
        self.groups.append(sys.intern(found.group))
        self.types.extend(found.types)
        if self.clusters and found.first is not None:
            self.clusters.add_signed(*found.first)

    def counts(self, chosen: set[int]) -> list[int]:
        """Of the chosen conversations together: decisions of each type, and actions that are context."""
        table = np.array(self.types).reshape(len(self.ids), -1)
        return table[sorted(chosen)].sum(axis=0).tolist()

    def named(self) -> list[str]:
        """Every conversation's group: its own; else that of the conversations that begin alike; else its id."""
        labels = self.clusters.labels() if self.clusters else range(len(self.ids))
        first: dict[int, str] = {}
        for label, group in zip(labels, self.groups, strict=True):
            if group:
                first.setdefault(label, f"own/{group}")
        named = []
        for label, group, name in zip(labels, self.groups, self.ids, strict=True):
            named.append(f"own/{group}" if group else first.setdefault(label, f"own/~{name}"))
        return named


class _Tally:
    """What is counted while conversations are read."""

    def __init__(self) -> None:
        self.read = self.problems = 0
        self.left_out: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.normalised: Counter[str] = Counter()

    def reject(self, found: Reject) -> None:
        """Count it, and print its problems as long as there are not too many."""
        self.left_out["invalid"] += 1
        for line in found.printed():
            self.problems += 1
            if self.problems <= SHOWN:
                print(one_line(line), file=sys.stderr)

    def accept(self, found: "Fitted") -> None:
        self.rules.update(found.rules)
        self.normalised.update(found.normalised)
        self.counts.update(found.changed)
        self.counts["undecided"] += len(found.undecided)


def ingest(
    place: Place,
    types: TypeMap,
    sources: Sources,
    own: Own,
    seed: int,
    out: Path,
    progress: Progress = lambda count: None,
) -> IngestMetrics:
    """Write `episodes.jsonl`, `rejects.jsonl` and `undecided.jsonl` to the folder `out`; returns the metrics.

    Raises `UserError` for invalid conversations where `sources.invalid` is `stop`, after it has printed the first
    of all their problems, and where nothing is left.
    """
    reader, index = Reader(types, sources.secrets == "keep"), _Index(sources.near_duplicates)
    scratch = out / ".all.jsonl"
    with _writing(scratch) as file, _writing(out / "rejects.jsonl") as rejects:
        with _writing(out / "undecided.jsonl") as undecided:
            conversations = reader.prepared(place, partial(prepare, sources=sources, own=own, seed=seed), progress)
            tally = _read_all(conversations, index, file, rejects, undecided)
    if tally.problems and sources.invalid == "stop":
        more = f" (the first {SHOWN} are above)" if tally.problems > SHOWN else ""
        raise UserError(
            f"{place.path}: {tally.problems} problem{'s' * (tally.problems > 1)}{more} in {tally.left_out['invalid']} "
            f"of {tally.read} conversations: fix them, or leave those conversations out with sources.invalid: skip. "
            "`specacts validate` lists all problems"
        )
    if not index.ids:
        raise UserError(f"{place.path}: none of {tally.read} conversations can be used: {dict(tally.left_out)}")
    groups = index.named()
    chosen = sample(groups, own.conversations, seed)
    _copy(scratch, out / "episodes.jsonl", groups, chosen)
    os.remove(scratch)
    *by_type, context_only = index.counts(chosen)
    return metrics(
        read=tally.read,
        taken=len(chosen),
        groups=len({groups[number] for number in chosen}),
        by_type=Counter(dict(zip(ACTION_TYPES, by_type, strict=True))),
        context_only=context_only,
        rules=tally.rules,
        counts=tally.counts,
        left_out=tally.left_out | Counter(not_drawn=len(groups) - len(chosen)),
        normalised=tally.normalised,
        secrets=reader.secrets,
    )


def _writing(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")


def _read_all(
    conversations: Iterable[Any],
    index: _Index,
    episodes: TextIO,
    rejects: TextIO,
    undecided: TextIO,
) -> _Tally:
    """The first pass: every conversation that is wanted goes to `episodes`, still without its group."""
    tally = _Tally()
    for found in conversations:
        if isinstance(found, Source):
            continue
        tally.read += 1
        if isinstance(found, Reject):
            tally.reject(found)
            reject = {"where": found.where, "problems": found.lines(), "line": found.shown}
            rejects.write(compact_json(reject) + "\n")
            continue
        if isinstance(found, Duplicate):
            tally.left_out["duplicate"] += 1
            continue
        if isinstance(found, Continued):
            tally.left_out["continued"] += 1
            continue
        assert isinstance(found, Prepared)
        made = found.value
        if isinstance(made, str):
            tally.left_out[made] += 1
            continue
        if found.took:
            made = made._replace(line=with_took(made.line, found.took))
        tally.accept(made)
        for text in made.undecided:
            undecided.write(compact_json({"episode": made.id, "text": text}) + "\n")
        if any(made.types[:-1]):
            index.add(made)
            episodes.write(made.line + "\n")
        else:
            tally.left_out["nothing_to_learn"] += 1
    return tally


def _copy(source: Path, target: Path, groups: list[str], chosen: set[int]) -> None:
    """The second pass: the lines of the chosen conversations, each with its group."""
    with source.open(encoding="utf-8") as lines, _writing(target) as file:
        for number, line in enumerate(lines):
            if number in chosen:
                # The group's is the first `"group":""` with bare quotes: inside the id they are escaped.
                group = json.dumps(groups[number], ensure_ascii=False)
                file.write(line.replace('"group":""', f'"group":{group}', 1))


def metrics(
    read: int = 0,
    taken: int = 0,
    groups: int = 0,
    context_only: int = 0,
    by_type: Counter[str] | None = None,
    rules: Counter[str] | None = None,
    counts: Counter[str] | None = None,
    left_out: Counter[str] | None = None,
    normalised: Counter[str] | None = None,
    secrets: Counter[str] | None = None,
) -> IngestMetrics:
    """`metrics/ingest.json`, also where there are no own traces. Rules are counted over all that was read."""
    by_type, rules, counts, left_out = (c or Counter() for c in (by_type, rules, counts, left_out))
    return IngestMetrics(
        conversations=read,
        taken=taken,
        left_out={why: left_out[why] for why in LEFT_OUT},
        groups=groups,
        decisions=by_type.total(),
        decisions_by_type={name: by_type[name] for name in ACTION_TYPES},
        actions_that_are_context=context_only,
        typed_by={rule: rules[rule] for rule in RULES},
        undecided_texts=counts["undecided"],
        shortened_calls=counts["shortened"],
        calls_too_long=counts["too_long"],
        decisions_not_drawn=counts["decisions_not_drawn"],
        normalised={what: count for what, count in sorted((normalised or Counter()).items()) if count},
        secrets=dict(sorted((secrets or Counter()).items())),
    )


def unwanted(found: Conversation, sources: Sources) -> str:
    """Why a conversation is left out though nothing is wrong with it; "" if it is wanted."""
    if found.success is False and sources.failed == "skip":
        return "failed"
    if sources.min_reward is not None and found.reward is not None and found.reward < sources.min_reward:
        return "low_reward"
    return ""


def sample(groups: list[str], most: int, seed: int) -> set[int]:
    """The numbers of at most `most` conversations, of whole groups as far as possible, drawn by the seed."""
    if len(groups) <= most:
        return set(range(len(groups)))
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    ordered = [n for group in sorted(members, key=lambda group: draw(seed, "own", group)) for n in members[group]]
    return set(ordered[:most])
