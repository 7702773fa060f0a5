"""Fixtures that several test modules share: the pinned BFCL traces, a process to replay them on, and a finished run.

The traces come from the package index once and are kept in `.work/wheels`, as the fetch stage keeps them. They are
never skipped: a test run that cannot have them fails.
"""

import gc
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock
from places import CONFIGURATION, ROOT
from workspace import Workspace

from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.config import Config, load_config
from specacts.models.download import fetch_wheel
from stages.fetch import TRACE_PARTS

# Tests side by side would fight for the cores, and with several of those stages share work out. Read as torch comes in.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


gc.disable()  # while torch and the tests are imported: there is no garbage yet

LONG = (
    "pipeline/test_pipeline.py",
    "pipeline/test_own_traces.py",
    "pipeline/test_experiments.py",
    "pipeline/test_circle.py",
    "benchmarks/test_benchmarks.py",
    "pipeline/test_chaos.py",
)
"""Modules of slow tests that take minutes. Two processes begin with the first two: one makes the finished run that the
others look at, while the other one does not need it. The last ones are short, so that neither waits long at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr == "slow":
        places = {ROOT / "tests" / name: number for number, name in enumerate(LONG)}
        assert all(path.is_file() for path in places)
        items.sort(key=lambda item: places.get(item.path, len(LONG)))


def pytest_collection_finish() -> None:
    gc.enable()
    gc.set_threshold(20_000, 20, 50)  # looking for garbage among so many objects takes long; do so less often


def pytest_sessionfinish() -> None:
    gc.freeze()  # pytest looks for garbage several times over as it ends


@pytest.fixture(scope="module", autouse=True)
def imports_are_no_garbage() -> None:
    """Without what was imported in the way garbage is collected in no time, and trainers do so often."""
    gc.freeze()


@pytest.fixture(scope="session")
def config() -> Config:
    """The configuration that tests work with."""
    return load_config(CONFIGURATION)


@pytest.fixture(scope="session")
def bfcl(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """BFCL's package folder as the fetch stage leaves it, in a folder of the session's own; read once."""
    from specacts.bfcl import tasks

    out = tmp_path_factory.mktemp("bfcl")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tasks, "usable_rows", cache(tasks.usable_rows))  # thousands of rows, of which tests take a few
        yield fetch_wheel(config.scale.traces, out, ROOT / ".work/wheels", "traces", TRACE_PARTS).path


@pytest.fixture(scope="session")
def simulator(bfcl: Path) -> Iterator[Simulator]:
    """BFCL's simulators in one child process; every test begins with `start`."""
    with Simulator(bfcl / SOURCE_CODE, timeout=30) as running:
        yield running


@pytest.fixture(scope="session")
def other(bfcl: Path) -> Iterator[Simulator]:
    """The same in one more process, for agents at work side by side."""
    with Simulator(bfcl / SOURCE_CODE, timeout=30) as running:
        yield running


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace after one run of the smoke scale through the real `dvc`, as an experiment of that name.

    All slow tests that look at a run look at this one; what they change in it they put back. Where tests run side by
    side, it is made once, and each process has a copy.
    """
    own = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return finished_run(own / "smoke")
    with FileLock(own.parent / "smoke.lock"):
        made = own.parent / "smoke"
        if not made.exists():
            finished_run(made)
        shutil.copytree(made, own / "smoke", symlinks=True)
    return Workspace(own / "smoke")


def finished_run(folder: Path) -> Workspace:
    made = Workspace(folder)
    done = made.dvc("exp", "run", "-n", "smoke", "-S", "scale=smoke")
    assert done.returncode == 0, done.stdout[-5000:]
    return made


@pytest.fixture
def undone(smoke: Workspace) -> Iterator[Workspace]:
    """The finished run; after the test, code and configuration are put back."""
    before = smoke.sources()  # params.yaml is the experiment's
    yield smoke
    after = smoke.sources()
    for path in after.keys() - before.keys():
        path.unlink()
    for path, data in before.items():  # what did not change stays compiled
        if after.get(path) != data:
            path.write_bytes(data)


@pytest.fixture
def unharmed(undone: Workspace) -> Iterator[Workspace]:
    """The finished run; after the test its outputs must be what they were."""
    before = undone.hashes()
    yield undone
    assert undone.hashes() == before


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def model(request, tmp_path_factory):
    """A tiny random-weight model of either family."""
    # Imported here: the process that only hands out tests should not wait for torch.
    from toys import compact_tokenizer, llama, qwen3, qwen3_tokenizer

    if request.param == "llama":
        return llama(compact_tokenizer())
    return qwen3(qwen3_tokenizer(tmp_path_factory.mktemp("qwen3")))
