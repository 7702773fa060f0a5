"""The `specacts` command: check your own traces, point the pipeline at them, serve the resulting policy.

    specacts validate traces.jsonl
    specacts inspect traces.jsonl
    specacts types suggest traces.jsonl -o types.yaml
    specacts use traces.jsonl --types types.yaml
    specacts plan --scale qwen3
    specacts verify
    specacts export models/policy -o FOLDER
    specacts serve models/policy --upstream https://api.openai.com/v1

Exit codes: 0 fine; 1 something is wrong with the traces, or with what was asked; 2 a wrong command line; 130 Ctrl-C.
"""

import io
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer

from specacts.config import Config, load_config
from specacts.core.episodes import Act, Episode, Tool, User, decisions
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import read_models, write_text
from specacts.core.process import SCRATCH
from specacts.core.terminal import one_line, printable
from specacts.core.words import ACTION_TYPES
from specacts.policies.bet import weights
from specacts.policies.needs import Option, outlook, reachable, table
from specacts.policies.table import unverified
from specacts.recipe import asking_form, has_verifier, is_recorded
from specacts.serving import command
from specacts.traces.argument_rules import Seen
from specacts.traces.formats.exchange import ALONE, AUDITS, SERVED
from specacts.traces.formats.openai_chat import Conversation
from specacts.traces.ingest import fitted, ingest
from specacts.traces.reader import OPEN_CHARACTERS, Duplicate, Prepared, Read, Reader, Reject, Source
from specacts.traces.sizes import asked, most_counted
from specacts.traces.split import outline, split_groups
from specacts.traces.stream import Place, find_files, locate, size
from specacts.traces.tool_types import TypeMap, draft, load_type_map, type_of

if TYPE_CHECKING:  # imported where it is needed: it takes seconds
    from specacts.transcripts.render import Renderer

EXITS = "\n\nExit codes: 0 fine; 1 something is wrong with the traces or the request; 2 wrong command line."


class Strong(StrEnum):
    """What stands for the expensive model."""

    RECORDED = "recorded"
    FINE_TUNED = "fine-tuned"


app = typer.Typer(
    name="specacts",
    help="Measure on your own agent's conversations how much a cheap model can take over, then serve it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
types_app = typer.Typer(
    help="Draft which of your tools is which action type.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(types_app, name="types")

PARAMS = Path("params.yaml")
RULES_ALONE = TypeMap({}, {})
Traces = Annotated[
    list[str],
    typer.Argument(
        metavar="TRACES",
        help="A file of conversations (JSON lines, JSON or Parquet, compressed or not), a folder, a pattern in quotes, "
        "or several of these.",
        show_default=False,
    ),
]
TypesFile = Annotated[
    Path | None,
    typer.Option(
        "--types", help="The file that maps tool names to action types. Default: rules by name and description."
    ),
]
KeepSecrets = Annotated[
    bool, typer.Option("--keep-secrets", help="Keep the keys and passwords that are found instead of redacting them.")
]
BundleFolder = Annotated[
    Path,
    typer.Argument(
        metavar="BUNDLE", help="The folder of a bundle (a policy ready to be served), or the folder above it."
    ),
]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Continue with the valid conversations if others are invalid.")
]


def main() -> None:
    """The console script: what a user can fix is one line on stderr."""
    with one_line_errors():
        app(prog_name="specacts")


@app.command(epilog=f"Example: specacts validate traces.jsonl{EXITS}")
def validate(traces: Traces, skip_invalid: SkipInvalid = False) -> None:
    """Check traces: print what each file holds and every problem, as `file:line: field: problem`.

    The exit code is 1 if there is a problem; with --skip-invalid, only if nothing is left to learn from.
    """
    counts: Counter[str] = Counter()
    reader = Reader(RULES_ALONE, keep_secrets=False)
    for found in _read(locate(traces), reader, _summary):
        counts[type(found).__name__] += 1
        if isinstance(found, Source):
            _print_source(found, counts["Source"])
        elif isinstance(found, Prepared):
            counts.update(found.value)
        elif isinstance(found, Reject):
            counts["problems"] += len(found.printed())
            for line in found.printed():
                print(one_line(line))
    if counts["Source"] > FILES_SHOWN:
        print(f"... and {counts['Source'] - FILES_SHOWN:,} more files")
    valid = counts["Prepared"]
    read = valid + counts["Reject"] + counts["Duplicate"] + counts["Continued"]
    continued = f"{counts['Continued']:,} continued by a later row, " if counts["Continued"] else ""
    print(
        f"{read:,} conversations: {valid:,} valid, {counts['Duplicate']:,} duplicate, {continued}"
        f"{counts['Reject']:,} invalid with {counts['problems']:,} problems"
    )
    for line in _remarks(counts, read, reader.split):
        print(line)
    if not counts["decisions"] or (counts["Reject"] and not skip_invalid):
        raise typer.Exit(1)


FILES_SHOWN = 20
"""Files of which `validate` says what they hold; the rest is counted."""


def _print_source(found: Source, number: int) -> None:
    if found.also:
        print(one_line(f"{found.file}: further down also {found.what}"))
    elif number <= FILES_SHOWN:
        print(one_line(f"{found.file}: {found.what}"))


def _summary(found: Conversation) -> dict[str, int]:
    """What `validate` counts of a conversation."""
    steps, tools = found.episode.steps, {tool.name for tool in found.episode.tools}
    acts = [step for step in steps if isinstance(step, Act)]
    return {
        "decisions": sum(act.supervised for act in acts),
        "calls": sum(act.action.tool is not None for act in acts),
        **{name: found.normalised[name] for name in (SERVED, ALONE, AUDITS)},
        "silent": not any(isinstance(step, User) for step in steps),
        **{name: found.normalised[name] for name in CONTEXT},
        "undecided": len(found.undecided),
        "early": sum(isinstance(step, Act) for step in takewhile(lambda step: not isinstance(step, User), steps)),
        "unknown": sum(bool(tools) and act.action.tool is not None and act.action.tool not in tools for act in acts),
    }


CONTEXT = {
    "early": "before the user's first message",
    "undecided": "texts that are neither clearly a question nor an answer",
    "unknown": "calls of tools that were not offered",
    "messages of weight 0, which are context": "of weight 0",
    "calls without a result, which are context": "calls that were interrupted",
    "calls of custom tools are context": "calls of custom tools",
}
"""Why an action is never a label."""


def _remarks(counts: Counter[str], read: int, split: int) -> list[str]:
    """What keeps conversations that are valid from being of use."""
    valid = counts["Prepared"]
    said = []
    if counts["silent"]:
        which = "no conversation has a" if counts["silent"] == valid else f"{counts['silent']:,} conversations have no"
        why = "what the agent does before the user's first message is only context, and nothing is learnt from it"
        said.append(f"{which} user message: {why}")
    if valid and not counts["calls"]:
        why = "only the kind of answer that the agent gives can be learnt"
        said.append(f"no conversation calls a tool: {why}. If actions are written as text, log them as `tool_calls`")
    said += _served(counts)
    if split:
        where = f"more than {OPEN_CHARACTERS >> 20} million characters above them"
        why = "each counts as a separate conversation that repeats the other; sort the rows by session and time"
        said.append(f"{split:,} rows continue one that is {where}: {why}")
    if valid and not counts["decisions"]:
        found = [f"{counts[name]:,} {what}" for name, what in CONTEXT.items() if counts[name]]
        said.append(
            f"nothing to learn: every action of the agent is only context ({', '.join(found) or 'no reason known'})"
        )
    if not read:
        said.append("nothing found: no file holds a conversation")
    elif not valid:
        said.append("nothing left: no conversation is valid")
    return said


def _served(counts: Mapping[str, int]) -> list[str]:
    """What there is to know of traces that a gateway wrote."""
    found, alone, audits = (counts.get(name, 0) for name in (SERVED, ALONE, AUDITS))
    if not found:
        return []
    said = f"{found:,} conversations come from `specacts serve`; in {alone:,} of them upstream alone acted"
    if alone == found:
        return [said]
    learnt = f"from the others, only the actions left to upstream and {audits:,} audited actions are learnt"
    return [f"{said}; {learnt}, which are the cheap model's hard cases (docs/serve.md)"]


@app.command(epilog=f"Example: specacts inspect traces.jsonl --types types.yaml{EXITS}")
def inspect(
    traces: Traces,
    types: TypesFile = None,
    sample: Annotated[
        int, typer.Option(help="The number of the conversation to show as the models see it, from 1.", min=1)
    ] = 1,
    skip_invalid: SkipInvalid = False,
    keep_secrets: KeepSecrets = False,
) -> None:
    """Count decisions by action type and rule, lengths in tokens; show one conversation as the models see it."""
    place = locate(traces)
    config = load_config(Path("."))
    renderer = _renderer(config)
    reader = Reader(_type_map(types), keep_secrets)
    found = _survey(_read(place, reader), config, renderer, sample)
    invalid = found.counts["invalid"]
    if found.shown is None or (invalid and not skip_invalid):
        raise UserError(
            f"{place.path}: {invalid} of {found.counts['conversations'] + invalid} conversations are invalid; "
            "`specacts validate` lists all problems, --skip-invalid continues without them"
        )
    _print_survey(found, reader.secrets, "tokens" if renderer else "characters")
    print(f"\n-- {one_line(found.shown.id)}, as the models see it " + "-" * 40)
    if renderer:
        for window in renderer.windows(found.shown):
            print(printable(renderer.tokenizer.decode(window.ids)))
    else:
        print("(to see lengths in tokens and the transcript, first download the models: dvc repro fetch)")


class _Found(NamedTuple):
    """What `inspect` counts: conversations, decisions by type and by rule, changes, lengths; and what it shows."""

    counts: Counter[str]
    by_type: Counter[str]
    rules: Counter[str]
    notes: Counter[str]
    lengths: list[int]
    shown: Episode | None


def _survey(conversations: Iterable[Read], config: Config, renderer: "Renderer | None", sample: int) -> _Found:
    """Count conversations; the `sample`-th is shown, or the last. Prints the first problem of an invalid one."""
    counts: Counter[str] = Counter(dict.fromkeys(("conversations", "duplicates", "invalid"), 0))
    by_type: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    lengths: list[int] = []
    shown = None
    for found in conversations:
        if isinstance(found, Source):
            continue
        if isinstance(found, Reject):
            counts["invalid"] += 1
            _print_first(found)
            continue
        if not isinstance(found, Conversation):
            counts["duplicates" if isinstance(found, Duplicate) else "continued by a later row"] += 1
            continue
        counts["conversations"] += 1
        counts["failed"] += found.success is False
        counts["with a group"] += bool(found.group)
        rules += found.rules
        notes += found.normalised
        notes["texts without a clear action type"] += len(found.undecided)
        episode, _ = fitted(found.episode, config.scale.own, config.seed)
        by_type.update(due.gold.type for due in decisions(episode))
        lengths.append(_length(episode, renderer))
        shown = episode if counts["conversations"] <= sample else shown
    return _Found(counts, by_type, rules, notes, lengths, shown)


def _print_survey(found: _Found, secrets: Counter[str], unit: str) -> None:
    from tabulate import tabulate

    print(", ".join(f"{count:,} {what}" for what, count in found.counts.items() if count))
    print(f"{found.by_type.total():,} decisions; {unit} a conversation: {_quartiles(found.lengths)}\n")
    types = [(name, found.by_type[name]) for name in ACTION_TYPES if found.by_type[name]]
    print(tabulate(types, ["action type", "decisions"]), end="\n\n")
    print(tabulate(found.rules.most_common(), ["typed by", "decisions"]))
    for title, counts in (("also", found.notes), ("secrets found", secrets)):
        if +counts:
            print(f"\n{title}: " + ", ".join(f"{count:,} {what}" for what, count in (+counts).items()))


@types_app.command(epilog=f"Example: specacts types suggest traces.jsonl -o types.yaml{EXITS}")
def suggest(
    traces: Traces,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file instead of stdout.")] = None,
    types: TypesFile = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file.")] = False,
    skip_invalid: SkipInvalid = False,
) -> None:
    """Draft a file that maps tool names to action types, with counts and reasons, for you to edit."""
    place = locate(traces)
    if output and output.exists() and not force:
        raise UserError(f"{output}: already exists; --force overwrites it")
    text = _draft(place, _type_map(types), skip_invalid)
    if output:
        write_text(output, text)
        command = shlex.join(["specacts", "use", *traces, "--types", str(output)])
        print(one_line(f"wrote {output}: check every line, then: {command}"))
    else:
        print(text, end="")


@app.command(epilog=f"Example: specacts use traces.jsonl --types types.yaml   (then: dvc repro){EXITS}")
def use(
    traces: Traces,
    types: Annotated[
        Path | None,
        typer.Option(
            "--types",
            help="The file that maps tool names to action types. Default: the one in configs/action_types that has the "
            "traces' name; it is drafted if it is not there.",
        ),
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="Use your traces together with the default ones (BFCL).")] = False,
    skip_invalid: SkipInvalid = False,
    keep_secrets: KeepSecrets = False,
    strong: Annotated[
        Strong,
        typer.Option("--strong", help="The expensive model: your agent as recorded, or a model that is trained here."),
    ] = Strong.RECORDED,
    verifier: Annotated[
        bool | None,
        typer.Option(
            "--verifier/--no-verifier",
            help="Train a verifier, or keep its conversations for promises. Default: --no-verifier if that is the only "
            "way to promise anything.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Point params.yaml at your traces, so that `dvc repro` runs the whole pipeline on them. Its comments stay.

    The expensive model is your agent as the traces record it: it is right by definition, and charged at the prices that
    cost.prices names. The cheap model is right if it makes the same call, arguments included. The command prints which
    promises your traces are enough for: promises rest on groups of conversations that no model learns from.
    """
    if strong is Strong.FINE_TUNED and verifier is False:
        raise UserError(
            "--no-verifier: works only with the recorded agent as the expensive model, not with --strong fine-tuned"
        )
    place = locate(traces)
    _can_be_set()
    config = load_config(Path("."))
    types = types or _drafted(place, skip_invalid)
    load_type_map(types)
    values = {
        "sources.bfcl": mix,
        "sources.own": True,
        "sources.path": place.path,
        "sources.files": list(place.files),
        "sources.types": str(types),
        "sources.invalid": "skip" if skip_invalid else "stop",
        "sources.secrets": "keep" if keep_secrets else "redact",
    }
    said: list[str] = []
    if not has_verifier(config.recipe):  # chosen for other traces
        values["acceptance.policies"] = list(BY_DEFAULT)
    if strong is Strong.RECORDED:
        chosen, said = _recorded_agent(place, config, values, mix, verifier)
        values |= chosen
    elif is_recorded(config.recipe):
        values |= {"recipe": "v3"}
    edit_params(values)
    print(
        one_line(
            f"{PARAMS}: the sources are now {'BFCL and ' if mix else ''}{place.path} with {types}. Next: dvc repro"
        )
    )
    untracked = [path for path in (place.path, str(types)) if _is_untracked(path)]
    if untracked:
        command = shlex.join(["git", "add", *untracked])
        print(one_line(f"`dvc exp run --temp` and `--queue` see only files that Git tracks; before them: {command}"))
    for line in said:
        print(line)


@app.command(epilog=f"Example: specacts plan --scale qwen3 --gpu a100{EXITS}")
def plan(
    traces: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TRACES]", help="Your own traces. Default: those of params.yaml.", show_default=False),
    ] = None,
    scale: Annotated[
        str | None, typer.Option("--scale", help="A file in configs/scale. Default: params.yaml's.")
    ] = None,
    types: TypesFile = None,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", help="h100, h200, b200, a100, a100-40, l40s, a10, l4, rtx-4090 or rtx-3090."),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="BASE=FILE", help="The config.json of a base that is not known here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Print what a run will take: tokens, hours, memory and disk, before any model is downloaded.

    Figures are ranges. Hours on a GPU come from published throughput (default: one H100), on a CPU from what the latest
    run measured. BFCL's tasks, the default traces, are made first if they are not here (2 MB, a minute).
    """
    import json

    from specacts.plan import plan as planning  # takes seconds

    config = load_config(Path("."), scale)
    if traces:
        config = _with_traces(config, locate(traces), types)
    elif types:
        raise UserError(f"--types {types}: is for your own traces; name them too, or leave it out")
    made = planning.plan(config, Path("."), gpu, _given(shapes or [], config))
    if as_json:
        print(json.dumps(planning.as_json(made), indent=2))
        return
    for line in planning.told(made):
        print(printable(line))


def _with_traces(config: Config, place: Place, types: Path | None) -> Config:
    """The configuration as `use` would set it for these traces, the rest as it is."""
    named = {"bfcl": False, "own": True, "path": place.path, "files": place.files, "invalid": "skip"}
    named |= {"types": str(types)} if types else {}
    return config.model_copy(update={"sources": config.sources.model_copy(update=named)})


def _given(shapes: list[str], config: Config) -> dict[str, Path]:
    """What --config names; UserError for a base that the scale does not have."""
    found = {}
    for one in shapes:
        base, _, path = one.partition("=")
        if base not in config.scale.bases or not path:
            known = ", ".join(config.scale.bases)
            raise UserError(f"--config {one}: write BASE=FILE, with one of this scale's bases: {known}")
        found[base] = Path(path)
    return found


@app.command(epilog=f"Example: specacts verify --repair{EXITS}")
def verify(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Remove what is damaged, restore outputs that are intact in the DVC cache, save those it lacks.",
        ),
    ] = False,
) -> None:
    """Check every byte that the pipeline made and keeps; say what is damaged, missing or not saved.

    Outputs are compared with dvc.lock, objects of the DVC cache and downloads with their names, converted base models
    with their own lists. The exit code is 1 if anything is wrong.
    """
    from specacts.core.verify import examine
    from specacts.core.verify import repair as mended

    found = examine(Path("."))
    for line in found.told():
        print(printable(line))
    if found.whole:
        return
    if not repair:
        print("`specacts verify --repair` removes what is damaged and restores what is intact in the DVC cache")
        raise typer.Exit(1)
    for line in mended(Path("."), found):
        print(printable(line))
    left = examine(Path("."))
    print(left.told()[-1])
    if not left.whole:
        raise typer.Exit(1)


def _can_be_set() -> None:
    """Raises `UserError` where there is no params.yaml, or no right to change it."""
    if not PARAMS.is_file():
        raise UserError(f"{PARAMS}: no such file; run this command in the repository's root folder")
    if not os.access(PARAMS.absolute().parent, os.W_OK):
        raise UserError(f"{PARAMS.absolute().parent}: this folder cannot be written; nothing was changed")


def _drafted(place: Place, skip_invalid: bool) -> Path:
    """The file of action types that has the traces' name; drafted where it is not there yet."""
    types = Path("configs/action_types") / f"{Path(place.path).name.split('.')[0] or 'own'}.yaml"
    if not types.exists():
        write_text(types, _draft(place, RULES_ALONE, skip_invalid))
        print(one_line(f"wrote {types}: a draft of which tool is which action type; check every line"))
    return types


def _recorded_agent(
    place: Place, config: Config, values: dict[str, Any], mix: bool, verifier: bool | None
) -> tuple[dict[str, Any], list[str]]:
    """Settings for traces whose agent is the expensive model, and what is said of them.

    verifier: whether one is trained; None: not where only leaving it out lets anything be promised.
    """
    policies: Sequence[str] = config.acceptance.policies if has_verifier(config.recipe) else BY_DEFAULT
    chosen: dict[str, Any] = {"recipe": "recorded", "acceptance.level": "call", "cost.model": "money"}
    # How many groups BFCL adds is not known yet.
    prospects = None if mix else _prospects(place, config, policies, values | chosen)
    said = prospects.told() if prospects else []
    if verifier is None:
        verifier = not (prospects and prospects.only_without_a_verifier)
    if verifier:
        said.append("A verifier is trained (recipe: recorded); --no-verifier keeps its groups for promises")
    else:
        named = list(unverified(policies))
        chosen |= {"recipe": "recorded-small", "acceptance.policies": named}
        said.append(
            "No verifier is trained; its groups are kept for promises (recipe: recorded-small, "
            f"acceptance.policies: [{', '.join(named)}]); --verifier trains one"
        )
    said.append(
        "The expensive model is your agent as recorded. Write what its tokens and the cheap model's cost into a copy "
        f"of configs/prices/{config.cost.prices}.yaml, and set cost.prices in {PARAMS} to that file's name"
    )
    return chosen, said


BY_DEFAULT = ("D", "F", "G")
"""`acceptance.policies` of a recipe with a verifier."""


class Prospects(NamedTuple):
    """What traces are enough for, with a verifier and without one. left: conversations that the scale does not use.

    served: what is said of traces that a gateway wrote.
    """

    trained: Option
    untrained: Option
    confidence: float
    groups: int
    conversations: int
    left: int
    served: tuple[str, ...] = ()

    @property
    def only_without_a_verifier(self) -> bool:
        """Whether there are groups enough for a promise without a verifier, and for none with one."""
        trained, untrained = (reachable(option, self.confidence) for option in (self.trained, self.untrained))
        return bool(untrained) and not trained

    def told(self) -> list[str]:
        both = (self.trained, self.untrained)
        said = [outlook(option, self.confidence, self.groups, self.conversations) for option in both]
        if self.left:
            said.append(f"{self.left:,} more conversations are not used at this scale (own.conversations)")
        return [
            f"{self.conversations:,} conversations in {self.groups:,} groups are used",
            *self.served,
            table(both, self.confidence),
            *said,
        ]


@app.command(epilog=f"Example: specacts export -o support-policy{EXITS}")
def export(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder to write. It must be empty or not exist yet.")
    ],
    bundle: BundleFolder = Path("models/policy"),
    merged: Annotated[
        bool, typer.Option("--merged", help="Also write each model with its adapter merged in, as safetensors.")
    ] = False,
) -> None:
    """Write a bundle, its adapters and their base models to a folder that works on another machine."""
    # Imported here: they take seconds.
    from specacts.serving import export as exporting
    from specacts.serving.bundle import load_bundle

    exporting.export(load_bundle(bundle), output, merged)
    print(f"wrote {output}; to serve it, from any place: specacts serve {shlex.quote(str(output))} --upstream URL")


app.command(epilog=f"Example: specacts serve --upstream https://api.openai.com/v1{EXITS}")(command.serve)


def _prospects(place: Place, config: Config, policies: Sequence[str], values: dict[str, Any]) -> Prospects | None:
    """Read the traces as the stages `ingest` and `split` will; None, with a note, where they cannot be shared out."""
    from tqdm import tqdm

    named = {name.removeprefix("sources."): value for name, value in values.items() if name.startswith("sources.")}
    sources, scale = config.sources.model_copy(update=named), config.scale
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        total = size(find_files(place))
        with tqdm(desc="read", total=total, unit="B", unit_scale=True, leave=False, disable=None) as progress:
            types = load_type_map(Path(sources.types))
            found = ingest(place, types, sources, scale.own, config.seed, Path(folder), progress.update)
        outlines = [outline(episode) for _, episode in read_models(Path(folder) / "episodes.jsonl", Episode)]
    try:
        parts = split_groups(outlines, scale.split, config.seed)
    except UserError as error:
        print(one_line(f"note: {error}"), file=sys.stderr)
        return None
    conversations, alone = scale.answer.calibrate_episodes, unverified(policies)
    per_group = config.acceptance.average_over == "groups"
    most = 1 if per_group else most_counted(parts["train"], parts["calibrate"], conversations, config.seed)

    def weighed(*names: str) -> np.ndarray:
        held = [one for name in names for one in parts[name]]
        return weights(asked(held, conversations, config.seed), most)

    return Prospects(
        trained=Option(f"with a verifier ({', '.join(policies)})", weighed("calibrate"), len(policies)),
        untrained=Option(f"without one ({', '.join(alone)})", weighed("calibrate", "verify"), len(alone)),
        confidence=config.acceptance.confidence,
        groups=found.groups,
        conversations=found.taken,
        left=found.left_out["not_drawn"],
        served=tuple(_served(found.normalised)),
    )


def _is_untracked(path: str) -> bool:
    """Whether the working tree's Git has nothing of a path: then an experiment in a folder of its own lacks it."""
    if Path(path).is_absolute() or path.startswith(os.pardir) or not Path(".git").exists():
        return False
    listed = subprocess.run(["git", "ls-files", "--", path], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and not listed.stdout


def edit_params(values: dict[str, Any]) -> None:
    """Set keys of params.yaml, a dot between a section and its key; comments and everything else stay as they are."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedSeq

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    content = yaml.load(PARAMS.read_text(encoding="utf-8"))
    for name, value in values.items():
        if isinstance(value, list):
            value = CommentedSeq(value)
            value.fa.set_flow_style()
        *sections, key = name.split(".")
        place = content
        for section in sections:
            place = place[section]
        place[key] = value
    written = io.BytesIO()
    yaml.dump(content, written)
    write_text(PARAMS, written.getvalue().decode())


def _draft(place: Place, mapping: TypeMap, skip_invalid: bool) -> str:
    """Every tool that is offered or called, with how often it is called and how its arguments may be compared."""
    calls: Counter[str] = Counter()
    seen = Seen()
    tools: dict[str, Tool] = {}
    invalid = 0
    for found in _read(place, Reader(mapping, keep_secrets=False)):
        if isinstance(found, Reject):
            invalid += 1
            _print_first(found)
        elif isinstance(found, Conversation):
            for tool in found.episode.tools:
                tools.setdefault(tool.name, tool)
            calls.update(step.action.tool for step in found.episode.steps if isinstance(step, Act) and step.action.tool)
            seen.add(found.episode)
    if invalid and not skip_invalid:
        raise UserError(f"{place.path}: {invalid} conversations are invalid; --skip-invalid continues without them")
    known = [(tools.get(name) or Tool(name=name), calls[name]) for name in {**tools, **calls}]
    rules = {tool.name: seen.drafted(tool, type_of(tool, mapping).type) for tool, _ in known}
    return draft(known, mapping, Path(place.path).name, rules)


def _type_map(path: Path | None) -> TypeMap:
    return load_type_map(path) if path else RULES_ALONE


def _print_first(found: Reject) -> None:
    for line in found.printed()[:1]:
        print(one_line(line), file=sys.stderr)


def _read(place: Place, reader: Reader, prepare: Callable[[Conversation], Any] | None = None) -> Iterator[Any]:
    """Every conversation of a place, or what is made of it, behind a progress bar where somebody looks on."""
    from tqdm import tqdm

    total = size(find_files(place))
    with tqdm(desc="read", total=total, unit="B", unit_scale=True, leave=False, disable=None) as progress:
        if prepare:
            yield from reader.prepared(place, prepare, progress.update)
        else:
            yield from reader.read(place, progress.update)


def _renderer(config: Config) -> "Renderer | None":
    """The cheap model's renderer; None before the models are there."""
    base = Path("models/base/cheap")
    if not (base / "tokenizer.json").is_file():
        return None
    from specacts.transcripts.render import load_renderer

    return load_renderer(base, config.scale.rendering("cheap"), asking_form(config.recipe, "cheap"))


def _length(episode: Episode, renderer: "Renderer | None") -> int:
    if renderer is None:
        return sum(len(step.action.content if isinstance(step, Act) else step.content) for step in episode.steps)
    return sum(len(window.ids) for window in renderer.windows(episode))


def _quartiles(values: list[int]) -> str:
    ordered = sorted(values)
    least, low, half, high, most = (ordered[round(q * (len(ordered) - 1))] for q in (0, 0.25, 0.5, 0.75, 1))
    return f"median {half:,}, half of them {low:,} to {high:,}, from {least:,} to {most:,}"
