"""What of our code decides a stage's bytes: the modules it imports, each with a hash of what in it can matter.

    fingerprints(["stages.train"], Path("."))      # {"stages.train": {"specacts/training/rows.py": "3f2a…", …}}

DVC reruns a stage whose fingerprints changed (stages/modules.py). Not hashed, because no output depends on it:
comments, docstrings, blank lines, what errors and progress bars say, what is printed; and the modules of `IGNORED`, and
where all models run here those of `SERVED`.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import grimp

PACKAGES = ("specacts", "stages")

IGNORED = {
    "specacts.config": "only checks: what it reads is tracked key by key, as parameters",
    "specacts.core.errors": "what errors say is in no output",
    "specacts.core.fingerprints": "says what changed, and changes nothing",
    "specacts.core.journal": "gives back what was made before, as it was",
    "specacts.core.manifest": "says whether a folder is whole",
    "specacts.core.process": "locks and signals",
    "specacts.core.rooms": "says whether there is room",
    "specacts.core.stored": "says whether outputs are whole, and saves them as they are",
    "specacts.core.terminal": "how texts are shown to people",
    "specacts.core.upkeep": "what is around a stage's work",
    "specacts.training.checkpoints": "from where a training goes on: it ends in the same weights from wherever that is",
}
"""Modules that decide no byte of any output, and why."""

SERVED = ("specacts.answering.abreast", "specacts.answering.completions", "specacts.answering.served")
"""Modules that only ask models on servers: they decide bytes only where a scale's `engine` names one."""

SAYING = ("UserError", "print")
"""Calls that only say something to a person: nothing of their arguments is hashed."""
SHOWING = ("tqdm",)
"""Calls whose texts are for a person: other arguments are hashed."""


class Position(NamedTuple):
    """A place in a source file: line from 1, column in bytes."""

    line: int
    column: int


Span = tuple[Position, Position]
"""From the first position to the one behind the last."""


def fingerprints(modules: Iterable[str], root: Path, served: bool = True) -> dict[str, dict[str, str]]:
    """For each module, the path from `root` to the hash of every module of ours that it imports, and of itself.

    What is imported indirectly or inside functions counts, but not what only a module of `IGNORED` imports. `root` has
    to be first on Python's path. served: whether a model answers on a server; if none does, `SERVED` is ignored too.
    """
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    for name in (*IGNORED, *(() if served else SERVED)):
        graph.remove_module(name)
    hashes: dict[str, str] = {}
    found = {}
    for module in modules:
        names = {module, *graph.find_upstream_modules(module)}
        paths = sorted(Path(*name.split(".")).with_suffix(".py").as_posix() for name in names)
        paths = [path for path in paths if (root / path).is_file()]  # the others are packages, which hold no code
        for path in paths:
            if path not in hashes:
                hashes[path] = hash_of((root / path).read_text(encoding="utf-8"))
        found[module] = {path: hashes[path] for path in paths}
    return found


@cache
def hash_of(source: str) -> str:
    """SHA-256 of what can matter of a module's source: equal for sources that differ in words to people alone.

    >>> hash_of('raise UserError("no such file")') == hash_of('raise UserError("no file")  # reworded')
    True
    """
    return hashlib.sha256(essence(source).encode()).hexdigest()


def essence(source: str) -> str:
    """The source without what cannot matter; no longer Python, but the same for every version of Python."""
    lines = [f"{line}\n".encode() for line in source.split("\n")]  # `splitlines` ends lines where Python does not
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token in tokens:
        for number in range(token.start[0], token.end[0]):  # a string over several lines: of it, nothing is stripped
            lines[number - 1] = lines[number - 1].replace(b"\n", b"\0")  # which no source holds
    for start, end in _outermost([*_comments(source, tokens), *_words(ast.parse(source))]):
        first, last = lines[start.line - 1][: start.column], lines[end.line - 1][end.column :]
        lines[start.line - 1 : end.line] = [first + last]
    kept = (line.rstrip(" \t\f") for line in b"".join(lines).decode().split("\n"))
    return "".join(f"{line}\n" for line in kept if line).replace("\0", "\n")


def _outermost(spans: list[Span]) -> Iterator[Span]:
    """The spans that lie in no other one, the last first, so that cutting one leaves the others where they are."""
    kept: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0], Position(-span[1].line, -span[1].column))):
        if not kept or kept[-1][1] <= start:
            kept.append((start, end))
    yield from reversed(kept)


def _comments(source: str, tokens: Iterable[tokenize.TokenInfo]) -> Iterator[Span]:
    lines = source.split("\n")
    for token in tokens:
        if token.type == tokenize.COMMENT:
            (line, column), length = token.start, len(token.string.encode())
            before = len(lines[line - 1][:column].encode())  # tokenize counts characters, ast bytes
            yield Position(line, before), Position(line, before + length)


def _words(tree: ast.AST) -> Iterator[Span]:
    """Where docstrings stand, and what is only said or shown to a person."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and _is_text(node.value):
            yield _span(node)
        elif isinstance(node, ast.Call) and _name(node) in SAYING:
            yield _end(node.func), _end(node)
        elif isinstance(node, ast.Call) and _name(node) in SHOWING:
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            yield from (_span(value) for value in given if _is_text(value))
            for value in given:
                if not _is_text(value):
                    yield from _words(value)
        else:
            yield from _words(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _span(node: ast.expr | ast.stmt) -> Span:
    return Position(node.lineno, node.col_offset), _end(node)


def _end(node: ast.expr | ast.stmt) -> Position:
    assert node.end_lineno is not None and node.end_col_offset is not None  # what was parsed knows where it ends
    return Position(node.end_lineno, node.end_col_offset)
