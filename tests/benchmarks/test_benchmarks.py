"""Every benchmark still runs, at a size at which its figures mean nothing."""

import re

import pytest
from places import ROOT

TINY = {
    "answer_speed": ["--episodes 1"],
    "gateway": ["--requests 5 --streams 5 --conversations 1"],
    "import_speed": ["--megabytes 1 --repeats 1"],
    "promises": ["--draws 3"],
    "time_lost": ["--stages answer"],
    "train_throughput": ["--rows 1 --tokens 64 --repeats 1", "--rows 1 --tokens 64 --repeats 1 --shape tiny"],
    "watch": ["--deployments 2"],
}
"""Options by benchmark."""


def test_each_benchmark_is_here():
    assert set(TINY) == {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "options"), [(name, options) for name in TINY for options in TINY[name]])
def test_it_prints_its_ratio(smoke, name, options):
    done = smoke.python("-m", f"benchmarks.{name}", *options.split())
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^ratio.*: \d+\.\d+", done.stdout, re.MULTILINE), done.stdout[-3000:]
