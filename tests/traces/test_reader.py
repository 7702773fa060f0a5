"""The reader's other processes."""

import subprocess
import sys

import psutil
from places import ROOT

READ = """
import sys
from specacts.traces.reader import Reader
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap

found = Reader(TypeMap({}, {}), keep_secrets=False, workers=2).read(Place(sys.argv[1], ()))
next(found)  # what the file holds
next(found)  # a conversation: the others are at work
print("reading", flush=True)
sys.stdin.read()
"""


def test_no_process_that_reads_outlives_the_one_that_was_killed(tmp_path):
    line = '{"messages": [{"role": "user", "content": "%d"}, {"role": "assistant", "content": "b"}]}\n'
    path = tmp_path / "long.jsonl"
    path.write_text("".join(line % n for n in range(5_000)), encoding="utf-8")
    command = [sys.executable, "-c", READ, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reading:
        assert reading.stdout.readline() == "reading\n"
        others = psutil.Process(reading.pid).children(recursive=True)
        reading.kill()
    assert len(others) >= 3
    _, alive = psutil.wait_procs(others, timeout=20)
    assert alive == []
