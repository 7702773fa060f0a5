"""Tokens that a training reads of a conversation, by its length and the number of its tools.

    python -m benchmarks.windows --tokenizer FOLDER | tee benchmarks/windows.txt   # docs/scales.md quotes the table
    python -m benchmarks.windows --contexts 2000 --tools 5                         # does it still run?

Made-up conversations of an agent at scale `qwen3`: calls of about 50 tokens and results of about 350, either all in one
turn or in turns of eight calls. `context` is about what is said and done in it, without instructions and tools; a tool
is a name, a description and four parameters, about 150 tokens of JSON. Where a conversation is longer than a window,
instructions and tools are read again in each. A listing is the tools as far as they fit `tools_tokens`; first and again
are the milliseconds that it takes for the first conversation and for another one with the same tools.

Before: what `--save benchmarks/windows_before.json` wrote at commit aa81764, when windows at this scale had 8,192
tokens, and a window of a long turn began full. The tokenizer is a folder with one of Qwen's (their vocabularies are
alike); without it a stand-in counts, at most 15 % off.

The ratio that is printed last is tokens read over tokens before, of the longest conversation with the most tools.
"""

import argparse
import itertools
import json
import time
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from specacts.config import Render
from specacts.core.episodes import Act, Action, Episode, Observation, Tool, User
from specacts.core.errors import one_line_errors
from specacts.transcripts.render import Renderer

ROOT = Path(__file__).parents[1]
BEFORE = ROOT / "benchmarks/windows_before.json"
WORDS = "order invoice customer account region status total shipped pending urgent report ticket refund address".split()
TURN = 8
"""Calls in a turn."""
SHAPES = {"one turn": 10**6, f"turns of {TURN}": TURN}


class Read(NamedTuple):
    """What is read of a conversation. listing: tokens of instructions and tools. first, again: its milliseconds."""

    windows: int
    tokens: int
    listing: int
    first: float
    again: float


def text(words: int, start: int) -> str:
    """So many words and numbers, other ones for another start."""
    found = []
    for n in range(words):
        found += [WORDS[(start + 3 * n) % len(WORDS)], *([str(start * n)] if n % 5 == 0 else [])]
    return " ".join(found)


def tool(number: int) -> Tool:
    name = f"{WORDS[number % 14]}_{WORDS[number // 14 % 14]}_{number}"
    keys = {f"{WORDS[(number + k) % 14]}_id": text(8, number + k) for k in range(4)}
    properties = {key: {"type": "string", "description": told} for key, told in keys.items()}
    parameters = {"type": "object", "properties": properties, "required": list(properties)[:2]}
    return Tool(name=name, description=text(20, number), parameters=parameters)


def conversation(calls: int, tools: int, turn: int) -> Episode:
    steps: list[Any] = []
    offered = tuple(tool(n) for n in range(tools))
    for n, one in zip(range(calls), cycle(offered), strict=False):
        if n % turn == 0:
            steps.append(User(content=text(60, n)))
        arguments = {key: text(2, n + k) for k, key in enumerate(one.parameters["properties"])}
        steps += [Act(action=Action(type="retrieval", tool=one.name, arguments=arguments))]
        steps += [Observation(content=text(170, n))]
    steps.append(Act(action=Action(type="final_answer", content=text(30, 1))))
    return Episode(id="c", group="c", source="own", system=text(250, 0), tools=offered, steps=tuple(steps))


def of_length(renderer: Renderer, context: int, tools: int, turn: int) -> Episode:
    """A conversation of about `context` tokens behind its instructions and tools."""
    roomy = Renderer.load(renderer.tokenizer, renderer.limits.model_copy(update={"max_tokens": 10**7}))
    (window,) = roomy.windows(conversation(16, tools, turn))
    each = (len(window.ids) - len(roomy.system_ids(conversation(16, tools, turn)))) / 16
    return conversation(round(context / each), tools, turn)


def read(renderer: Renderer, episode: Episode) -> Read:
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        listing = len(renderer.system_ids(episode))
        seconds.append(time.perf_counter() - started)
    windows = renderer.windows(episode)
    return Read(len(windows), sum(len(w.ids) for w in windows), listing, *(1000 * s for s in seconds))


def tokenizer_of(folder: Path | None, limits: Render) -> PreTrainedTokenizerFast:
    if folder:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    from specacts.plan.standin import counting_tokenizer

    return counting_tokenizer(limits)


def table(now: dict[str, Read], before: dict[str, Read]) -> list[str]:
    """A row a conversation; what was before is left out where it is not known."""
    rows = ["| shape | context | tools | windows | tokens read | instructions and tools | first, again |"]
    rows += ["|---|---|---|---|---|---|---|"]
    for name, read in now.items():
        old = before.get(name)
        cells = [f"{getattr(read, field):,}" for field in ("windows", "tokens", "listing")]
        times = f"{read.first:.0f}, {read.again:.0f} ms"
        if old:
            cells = [f"{getattr(old, field):,} → {cell}" for field, cell in zip(Read._fields, cells, strict=False)]
            times = f"{old.first:.0f}, {old.again:.0f} → {times}"
        rows.append(f"| {name} | {' | '.join(cells)} | {times} |")
    return rows


def described(renderer: Renderer, counts: tuple[int, ...]) -> list[str]:
    """How much is said of each of so many tools."""
    rows = []
    for count in counts:
        listing = renderer.listing([tool(n) for n in range(count)], one_level=False)
        found = [json.loads(line)["function"]["description"] for line in listing.described.split("\n") if line]
        named = len(listing.named.split())
        rows.append(
            f"Of {count:,} tools {sum(map(bool, found))} are described in full, {found.count('')} by their parameters, "
            f"{named} by name, and {count - len(found) - named} are left out."
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, help="a folder with Qwen's (default: a stand-in)")
    parser.add_argument("--contexts", type=int, nargs="+", default=[16_000, 32_000], help="tokens said and done")
    parser.add_argument("--tools", type=int, nargs="+", default=[40, 300])
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    scale = yaml.safe_load((ROOT / "configs/scale/qwen3.yaml").read_text(encoding="utf-8"))["render"]
    limits = Render(**scale | {"frames": "chat"})
    tokenizer = tokenizer_of(arguments.tokenizer, limits)
    found: dict[str, Read] = {}
    for shape, turn in SHAPES.items():
        for context, tools in itertools.product(arguments.contexts, arguments.tools):
            renderer = Renderer.load(tokenizer, limits)
            found[f"{shape} | {context:,} | {tools}"] = read(renderer, of_length(renderer, context, tools, turn))
    if arguments.save:
        arguments.save.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        return
    before = {name: Read(*figures) for name, figures in json.loads(BEFORE.read_text(encoding="utf-8")).items()}
    print(f"Windows of {limits.max_tokens:,} tokens, tools in {limits.tools_tokens:,}; ", end="")
    print("counted by a stand-in." if arguments.tokenizer is None else f"{len(tokenizer):,} kinds of tokens.")
    print("\n".join(table(found, before)))
    print("\n".join(described(renderer, (*arguments.tools, 1_000))))
    last = list(found)[len(found) // 2 - 1]
    print(f"ratio of tokens read to before: {found[last].tokens / before[last].tokens if last in before else 1:.3f}")


if __name__ == "__main__":
    with one_line_errors():
        main()
