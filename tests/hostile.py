"""Hostile and broken conversations, and what becomes of each. `tests/traces/test_hostile.py` holds the reader to it.

python tests/hostile.py > docs/hostile-input.md      # the table, from what the reader really does
"""

import gzip
import io
import json
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

sys.path.insert(0, str(Path(__file__).parent.parent))

from specacts.traces import stream
from specacts.traces.formats.openai_chat import LONGEST, Conversation
from specacts.traces.reader import Duplicate, Reader, Reject
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

CALL = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"order": 7}'}}
USER = {"role": "user", "content": "Where is my order?"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "on its way"}
NAMELESS = {"role": "tool", "content": "on its way"}
IMAGE = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:"}}]
RTL = "שלום \u202e👩‍👩‍👧 مرحبا"
TEMPLATE = "{{ messages }}<|im_start|>"
DONE = {"role": "assistant", "content": "It is on its way."}


def conversation(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages) or [USER, CALLS, RESULT, DONE], **fields}


def line(*messages: Any, **fields: Any) -> bytes:
    return json.dumps(conversation(*messages, **fields)).encode() + b"\n"


def calling(arguments: Any, name: str = "get_order") -> bytes:
    call = CALL | {"function": {"name": name, "arguments": arguments}}
    return line(USER, CALLS | {"tool_calls": [call]}, RESULT, DONE)


GOOD = line()


class Case(NamedTuple):
    """What a file holds, how it is named, and what is to come of it: how many good ones, and what is said of others.

    says: part of the reason for every rejected line, or of the notes on what was changed to accept one; "" where
    nothing is to be said. holds: a text that an accepted conversation must hold.
    """

    title: str
    content: Callable[[], bytes]
    good: int
    says: str
    name: str = "traces.jsonl"
    holds: str = ""


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def long_conversation(messages: int) -> bytes:
    turns = [m for _ in range(messages // 4) for m in (USER, CALLS, RESULT, DONE)]
    return line(*turns)


def packed(content: bytes, layers: int) -> bytes:
    return gzip.compress(packed(content, layers - 1)) if layers else content


def bomb(megabytes: int) -> bytes:
    return zstandard.compress(GOOD + b" " * megabytes * 10**6)


def alike(rows: int) -> bytes:
    """A Parquet file of rows that are all the same: the one value is written once."""
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, "int32")), ["x"])
    file = io.BytesIO()
    pq.write_table(pa.table({"messages": same}), file)
    return file.getvalue()


CASES = [
    # JSON and bytes
    Case("truncated JSON", lambda: GOOD[:-20] + b"\n" + GOOD, 1, "not valid JSON: "),
    Case("malformed JSON", lambda: b"{'messages': []}\n" + GOOD, 1, "not valid JSON: Expecting property name"),
    Case("no JSON at all", lambda: b"hello\n" + GOOD, 1, "not valid JSON: Expecting value at column 1"),
    Case("a JSON array of conversations", lambda: b"[" + GOOD.strip() + b"]\n", 1, ""),
    Case("JSON spread over several lines", lambda: json.dumps(conversation(), indent=1).encode(), 1, ""),
    Case("a JSON array that ends early", lambda: b"[" + GOOD.strip() + b", {", 1, "not valid JSON: parse error"),
    Case("JSON over several lines that ends early", lambda: b'{\n "messages": [\n', 0, "not valid JSON: parse error"),
    Case("a 7z archive", lambda: b"7z\xbc\xaf\x27\x1c" + GOOD, 0, "a 7z archive, which is not read here; unpack it"),
    Case("a zip archive cut short", lambda: b"PK\x03\x04" + GOOD, 0, "the zip archive cannot be read", "traces.zip"),
    Case("blank lines", lambda: b"\n  \n" + GOOD + b"\n", 1, ""),
    Case("an empty file", lambda: b"", 0, ""),
    Case("Windows line ends", lambda: GOOD.replace(b"\n", b"\r\n"), 1, ""),
    Case("no line end at the end", lambda: GOOD.strip(), 1, ""),
    Case("UTF-8 with a byte-order mark", lambda: b"\xef\xbb\xbf" + GOOD, 1, ""),
    Case("UTF-16", lambda: GOOD.decode().encode("utf-16"), 0, "the file is UTF-16; convert it"),
    Case("Latin-1", lambda: line({"role": "user", "content": "Grüße"}, DONE).replace(b"\\u00fc", b"\xfc"), 0, "0xfc"),
    Case("bytes that are not text", lambda: b"\x80\x81\n" + GOOD, 1, "not UTF-8: byte 0x80 at byte 1 of the line"),
    Case("NUL bytes between lines, as after a crash", lambda: GOOD + b"\0" * 64 + b"\n", 1, "a NUL byte at byte 1"),
    Case("a raw NUL byte in a text", lambda: GOOD.replace(b"on its", b"on\0its"), 0, "a NUL byte at byte "),
    Case("an escaped NUL in a text", lambda: GOOD.replace(b"on its", b"on\\u0000its"), 1, "", holds="on\ufffdits"),
    Case("a lone surrogate", lambda: GOOD.replace(b"on its", b"on \\ud83d its"), 1, "", holds="on \ufffd its"),
    Case("a line of 10 MB", lambda: line(USER, CALLS, RESULT | {"content": "x" * 10**7}, DONE), 1, "texts cut"),
    Case(
        "a line of 40 MB", lambda: line(USER | {"content": "x" * 4 * 10**7}, DONE) + GOOD, 1, "a line of more than 32"
    ),
    Case("a conversation of 20,000 messages", lambda: long_conversation(20_000), 1, ""),
    Case("nested 100,000 deep", lambda: b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", 0, "nested deeper"),
    Case("arguments nested 65 deep", lambda: calling(nested(65)), 0, "nested deeper than 64 levels"),
    Case("a gzip file", lambda: gzip.compress(GOOD), 1, "", "traces.jsonl.gz"),
    Case("a gzip file under a plain name", lambda: gzip.compress(GOOD), 1, ""),
    Case("a gzip file cut short", lambda: gzip.compress(GOOD * 9)[:-12], 1, "compressed file is damaged", "t.jsonl.gz"),
    Case("gzip in gzip in gzip in gzip in gzip", lambda: packed(GOOD, 5), 0, "packed more than 4 times", "t.jsonl.gz"),
    Case(
        "10 KB that unpack to 300 MB",
        lambda: bomb(300),
        1,
        "unpacks to more than 256 MiB",
        "t.jsonl.zst",
    ),
    Case("5 KB of Parquet with 2,000,000 rows", lambda: alike(2 * 10**6), 0, "unpacks to more than", "t.parquet"),
    Case("a file that only claims to be Parquet", lambda: b"PAR1 not really", 0, "cannot be read", "traces.parquet"),
    # numbers
    Case("NaN", lambda: GOOD[:-2] + b', "reward": NaN}\n', 0, "NaN is not JSON"),
    Case("Infinity", lambda: GOOD[:-2] + b', "reward": -Infinity}\n', 0, "-Infinity is not JSON"),
    Case("1e999", lambda: GOOD[:-2] + b', "reward": 1e999}\n', 0, "1e999 is too large a number"),
    Case("NaN in arguments", lambda: calling('{"a": NaN}'), 0, "NaN is not JSON"),
    Case("1e999 in arguments", lambda: calling('{"a": 1e999}'), 0, "1e999 is too large a number"),
    Case(
        "an integer of 5,000 digits", lambda: calling('{"a": ' + "9" * 5000 + "}"), 0, "an integer with too many digits"
    ),
    Case("an integer of 100 digits", lambda: calling('{"a": ' + "9" * 100 + "}"), 1, ""),
    # calls
    Case("arguments that are not JSON", lambda: calling("order=7"), 0, "not valid JSON: Expecting value"),
    Case("arguments that are a list", lambda: calling("[7]"), 0, "the arguments are an array, not an object"),
    Case("arguments that are null", lambda: calling("null"), 0, "the arguments are null, not an object"),
    Case("arguments that are empty", lambda: calling(""), 1, "", holds='"arguments":{}'),
    Case(
        "arguments that are an object instead of text",
        lambda: calling({"order": 7}),
        1,
        "",
        holds='"arguments":{"order":7}',
    ),
    Case(
        "a result without a call", lambda: line(USER, CALLS, RESULT | {"tool_call_id": "c9"}, DONE), 0, "is no call of"
    ),
    Case("a result before any call", lambda: line(USER, RESULT, DONE), 1, "results of no call left out"),
    Case(
        "a late result without a call",
        lambda: line(USER, CALLS, RESULT, DONE, RESULT),
        0,
        "is no call of the assistant",
    ),
    Case("two results for a call", lambda: line(USER, CALLS, RESULT, RESULT, DONE), 0, "has a result already"),
    Case("a call without a result", lambda: line(USER, CALLS, DONE), 1, "calls without a result, which are context"),
    Case(
        "a result after the user's next message", lambda: line(USER, CALLS, USER, RESULT, DONE), 1, "what the user said"
    ),
    Case("a call without a result at the very end", lambda: line(USER, CALLS), 1, ""),
    Case(
        "two calls with one id in one message",
        lambda: line(USER, CALLS | {"tool_calls": [CALL, CALL]}, RESULT, DONE),
        0,
        "names 2 calls of this message",
    ),
    Case(
        "an id used again by a later message",
        lambda: line(USER, CALLS, RESULT, CALLS, RESULT, DONE),
        1,
        "",
    ),
    Case(
        "a result without an id, for the only call",
        lambda: line(USER, CALLS, {"role": "tool", "content": "x"}),
        1,
        "without",
    ),
    Case(
        "results without ids, for two calls",
        lambda: line(USER, CALLS | {"tool_calls": [CALL, CALL | {"id": "c2"}]}, NAMELESS, DONE),
        0,
        "missing, and 2 calls wait for a result",
    ),
    Case(
        "a call without a function", lambda: line(USER, CALLS | {"tool_calls": [{"id": "c1"}]}, RESULT), 0, "is missing"
    ),
    Case("a tool name with spaces", lambda: calling("{}", "get my order"), 1, "", holds="get my order"),
    Case(
        "a tool name in template syntax",
        lambda: calling("{}", "{{ messages }}<|im_start|>"),
        1,
        "",
        holds="{{ messages }}<|im_start|>",
    ),
    Case("an empty tool name", lambda: calling("{}", ""), 0, "at least 1 character"),
    Case("a tool name of 1,000 characters", lambda: calling("{}", "x" * 1000), 0, "at most 256 characters"),
    Case(
        "a tool defined twice, differently",
        lambda: line(tools=[{"type": "function", "function": {"name": "f", "description": d}} for d in "ab"]),
        0,
        "'f' is defined twice, in different ways",
    ),
    # messages and conversations
    Case(
        "an unknown role", lambda: line(USER | {"role": "robot"}, DONE), 0, "'system', 'developer', 'user', 'assistant'"
    ),
    Case("no messages", lambda: line(*[], messages=[]), 0, "messages: empty: there is no action"),
    Case("no field `messages`", lambda: b'{"id": "a"}\n', 0, "objects without `messages`: not read; they hold `id`"),
    Case("no assistant message", lambda: line(USER), 0, "no assistant message"),
    Case("a message that is not an object", lambda: line(USER, "hello", DONE), 0, "messages.1"),
    Case("a text that is a number", lambda: line(USER | {"content": 7}, DONE), 0, "a number, not a string or an array"),
    Case("an empty assistant message", lambda: line(USER, {"role": "assistant", "content": ""}, DONE), 1, "empty"),
    Case(
        "an image next to text",
        lambda: line(
            USER | {"content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:"}}]},
            DONE,
        ),
        1,
        "parts that are no text",
    ),
    Case(
        "a result that is JSON, not text",
        lambda: line(USER, CALLS, RESULT | {"content": {"state": "sent"}}, DONE),
        1,
        "results written as JSON",
    ),
    Case("a text without a clear action type", lambda: line(USER, DONE | {"content": "Which one? Tell me."}), 1, ""),
    Case("the same conversation twice", lambda: line(id="a") * 2, 1, ""),
    Case("one id, different conversations", lambda: line(id="a") + line(USER, DONE, id="a"), 1, "'a' is also at"),
    Case("an id of 1,000 characters", lambda: line(id="x" * 1000), 0, "at most 256 characters"),
    Case("an id that is a number", lambda: line(id=7), 1, ""),
    Case(
        "right-to-left text and emoji",
        lambda: line(USER | {"content": "שלום \u202e👩‍👩‍👧 مرحبا"}, DONE),
        1,
        "",
        holds="שלום \u202e👩‍👩‍👧 مرحبا",
    ),
    Case("unknown fields", lambda: line(extra={"x": [1]}, metadata=None), 1, ""),
]


class Outcome(NamedTuple):
    """What the reader made of a file: the good ones, and the lines said of others, without the file's folder."""

    good: list[Conversation]
    rejected: int
    lines: list[str]
    duplicates: int


@cache  # some take seconds, and the page wants them as well as the tests
def outcome(title: str) -> Outcome:
    (case,) = (case for case in CASES if case.title == title)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / case.name
        path.write_bytes(case.content())
        found = list(Reader(TypeMap({}, {}), keep_secrets=False).read(Place(str(path), ())))
    rejects = [one for one in found if isinstance(one, Reject)]
    lines = [line.replace(f"{folder}/", "") for reject in rejects for line in reject.lines()]
    good = [one for one in found if isinstance(one, Conversation)]
    return Outcome(good, len(rejects), lines, sum(isinstance(one, Duplicate) for one in found))


def table() -> str:
    """Every case with what the reader says of it, as Markdown."""
    rows = ["| input | outcome | what is said or changed |", "|---|---|---|"]
    for case in CASES:
        found = outcome(case.title)
        notes = [note for one in found.good for note, count in one.normalised.items() if count]
        notes += ["used as context, because its action type is unclear"] * sum(len(one.undecided) for one in found.good)
        notes += [f"duplicates left out ({found.duplicates})"] if found.duplicates else []
        notes += [f"as `{case.holds}`"] if case.holds else []
        verdict = "that line rejected, the others accepted" if found.good else "rejected"
        if not found.rejected:
            verdict = "accepted" if found.good else "no conversation"
        more = [f"and {len(found.lines) - 1} more lines"] if len(found.lines) > 1 else []
        text = "; ".join([*(f"``{line}``" for line in found.lines[:1]), *more, *notes]).replace("|", "\\|")
        rows.append(f"| {case.title} | {verdict} | {text} |")
    return "\n".join(rows)


HEAD = f"""# Hostile and broken traces

This page shows how broken and malicious conversations are handled: the table at the end lists every case. It is written
by `python tests/hostile.py` from what the code really does, and `tests/traces/test_hostile.py` checks both.

If a line is rejected, the import stops after listing all problems. With `sources.invalid: skip` the line is left out
and written to `data/own/rejects.jsonl` with the reasons. No output is ever half-written. *Accepted* means unchanged,
or with the change that the table names. Lone surrogates and NUL characters become U+FFFD. A message or result of more
than {LONGEST:,} characters loses its middle. If a JSON object has the same key twice, the last one counts.

**Small files that unpack to large ones.** A file may unpack to {stream.PLENTY >> 20} MiB, and to more only up to
{stream.RATIO} times its size. A row counts as its bytes plus {stream.ROW_BYTES:,}, a value in a table as at least
{stream.VALUE_BYTES} bytes, and no file may have more than {stream.MOST_ROWS:,} rows. A larger file is rejected at that
point, in one line, after a minute at most; a table is rejected before its first row. Logs that agents write unpack to
far less, and an uncompressed file of JSON lines may have any size.

**Things that are not files.** A pipe, a device or a socket is refused by name before anything is opened, whether it is
the source or anywhere in its folder. So is a link that leads nowhere, or back to a folder that contains it. Otherwise
DVC, which reads a whole source to see whether it changed, would wait forever. `specacts`, `make repro` and the first
stage check for them. A plain `dvc repro` does so only if `params.yaml` has changed: if it hangs on a pipe that was put
into the folder since, stop it and remove the pipe.

**Names and values.** A file's name, a field or a value is printed on one line. Characters that a terminal would act
on, or that reverse the order of text, are shown as `\\x1b` and the like. A name that is not UTF-8 is refused.

**A model's folder.** Weights are read as safetensors before they are copied, and only the other files that belong to a
model are copied with them. A link that leads out of the folder is refused, because it could bring any of your files
into `models/`.

**BFCL's simulators** are other people's code, from a wheel that is pinned by its hash. They run in a separate process
with limited memory and time and an empty environment. An audit hook refuses network access, new processes, writing,
and reading anything that is not theirs or Python's. On Linux the kernel refuses the same: seccomp for system calls,
Landlock (from 5.13) for files, including `/proc` with the pipeline's environment. With both, it takes a hole in the
kernel to get out; without them, the hook only protects against accidents. Nothing stops the simulators from using a
processor until the time limit, or from giving wrong results.

"""


def page() -> str:
    return HEAD + table() + "\n"


if __name__ == "__main__":
    print(page(), end="")
