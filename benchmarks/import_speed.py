"""How fast one's own traces are brought in, beside plain `json.loads` over the same file, and in how much memory.

    python -m benchmarks.import_speed --megabytes 1000

Makes a file of that size out of `examples/helpdesk.jsonl`: its conversations over and over, each with other numbers,
another beginning and another id, half of them without a group, so that near-duplicates have to be looked for. Then,
each in a process of its own and in turn, several times:

- json.loads: reads the file line by line, parses each line, keeps nothing;
- ours: the whole ingest stage's work: parse, check, type, redact secrets, find near-duplicates, sample, write.

The ratio of MB/s is what counts; absolute speed is the machine's. Peak memory is what the kernel says of the process.
"""

import argparse
import json
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from specacts.config import load_config
from specacts.core.errors import one_line_errors

EXAMPLE = Path("examples/helpdesk.jsonl")
WORDS = "red blue fast slow old new north south early late broken quiet tall short heavy light round square".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="size of the file (default: 100)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of either side (default: 3)")
    parser.add_argument("--only", choices=("json", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        measure(args.only, args.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "traces.jsonl"
        count = make(file, args.megabytes * 10**6)
        print(f"{file.stat().st_size / 1e6:,.0f} MB, {count:,} conversations", flush=True)
        found: dict[str, list[dict]] = {"json": [], "ours": []}
        for _ in range(args.repeats):
            for side, results in found.items():
                command = [sys.executable, "-m", "benchmarks.import_speed", "--only", side, "--file", str(file)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                results.append(json.loads(done.stdout))
    speed = {side: [args.megabytes / result["seconds"] for result in results] for side, results in found.items()}
    for side, name in (("json", "json.loads"), ("ours", "ingest")):
        peak = max(result["peak_mib"] for result in found[side])
        print(f"{name}: {statistics.median(speed[side]):.1f} MB/s (median of {args.repeats}), peak {peak:,.0f} MiB")
    ratios = [ours / plain for ours, plain in zip(speed["ours"], speed["json"], strict=True)]
    print(f"ratio: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def make(file: Path, size: int) -> int:
    """Write conversations until the file is that large; how many they are."""
    originals = [json.loads(line) for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    rng, written, count = random.Random(0), 0, 0
    with file.open("w", encoding="utf-8") as out:
        while written < size:
            value = dict(originals[count % len(originals)])
            number = str(rng.randrange(10**6))
            messages = json.loads(re.sub(r"(?<=A-)\d{4}", number, json.dumps(value["messages"])))
            first = next(message for message in messages if message["role"] == "user")
            beginning = " ".join(rng.choices(WORDS, k=12))
            text = first["content"] if isinstance(first["content"], str) else ""
            first["content"] = f"{beginning}. {text}"
            value |= {"id": f"{value['id']}/{count}", "messages": messages}
            if count % 2:
                value.pop("group", None)
            elif "group" in value:
                value["group"] += f"/{count // 500}"
            line = json.dumps(value, ensure_ascii=False) + "\n"
            out.write(line)
            written += len(line.encode())
            count += 1
    return count


def measure(side: str, file: Path) -> None:
    """Run one side; print its seconds and this process's peak memory."""
    started, taken = time.perf_counter(), 0
    if side == "json":
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                json.loads(line)
    else:
        from specacts.traces.ingest import ingest
        from specacts.traces.stream import Place
        from specacts.traces.tool_types import load_type_map

        config = load_config(Path("."))
        types = load_type_map(Path(config.sources.types))
        own = config.scale.own.model_copy(update={"conversations": 10**9})  # all are used, and written
        with tempfile.TemporaryDirectory(dir=file.parent) as out:
            place = Place(str(file), ())
            taken = ingest(place, types, config.sources, own, config.seed, Path(out)).taken
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mib": peak, "taken": taken}))


if __name__ == "__main__":
    with one_line_errors():
        main()
