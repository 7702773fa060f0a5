"""The simulators' process: what it answers, what it refuses, and that it never outlives its use."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import ROOT

from specacts.bfcl import worker
from specacts.bfcl.simulator import CLASSES, Simulator, SimulatorTimeout
from specacts.core.errors import UserError

FILES = {"GorillaFileSystem": {"root": {"home": {"type": "directory", "contents": {}}}}}
PLAYGROUND = """
import os, random, socket, subprocess, sys, time, urllib.request

class GorillaFileSystem:
    def __init__(self): self.count, self._random = 0, random.Random(1)
    def hang(self): time.sleep(60)
    def ping(self): self.count += 1; return self.count
    def draw(self): return self._random.random()
    def say(self): print("to nobody"); return "said"
    def environment(self): return sorted(os.environ)
    def today(self): import datetime; return datetime.datetime.today()
    def connect(self): socket.create_connection(("127.0.0.1", 9))
    def resolve(self): socket.getaddrinfo("localhost", 80)
    def download(self): urllib.request.urlopen("http://127.0.0.1:9")
    def spawn(self): subprocess.run(["true"])
    def write(self): open("left_behind.txt", "w")
    def hoard(self): return len(bytearray(1 << 32))
    def die(self): os._exit(3)
    def grave(self): sys.exit("gone for good")
    def _secret(self): return "secret"
    def read(self, path): return open(path).read()
    def list(self, path): return os.listdir(path)
    def fork_exec(self): import _posixsubprocess; return _posixsubprocess.fork_exec(*[None] * 23)
"""


@pytest.fixture
def playground(tmp_path: Path) -> Path:
    """A folder of simulators of which one misbehaves on request."""
    for name, module in CLASSES.items():
        (tmp_path / f"{module}.py").write_text(f"class {name}:\n    pass\n")
    (tmp_path / "gorilla_file_system.py").write_text(PLAYGROUND)
    return tmp_path


@pytest.fixture
def toy(playground: Path):
    with Simulator(playground, timeout=20) as running:
        running.start(["GorillaFileSystem", "MathAPI"], {})
        yield running


def test_a_call_changes_the_state_and_returns_what_bfcl_would(simulator):
    simulator.start(["GorillaFileSystem", "MathAPI"], FILES)
    assert simulator.call("mkdir", {"dir_name": "temp"}) == "None"
    assert simulator.call("ls", {}) == '{"current_directory_content": ["temp"]}'
    assert simulator.call("mean", {"numbers": [1, 2]}) == '{"result": 1.5}'


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("cat", {"file_name": "missing.txt"}, "error"),
        ("cat", {}, "Error during execution: GorillaFileSystem.cat() missing 1 required"),
        ("cat", {"name": "x"}, "Error during execution: GorillaFileSystem.cat() got an unexpected keyword"),
        ("catt", {"file_name": "x"}, "Error during execution: name 'catt' is not defined"),
        ("_load_scenario", {"scenario": {}}, "Error during execution: name '_load_scenario' is not defined"),
        ("__class__", {}, "Error during execution: name '__class__' is not defined"),
        ("root", {}, "Error during execution: name 'root' is not defined"),
    ],
)
def test_a_wrong_call_returns_an_error_observation(simulator, tool, arguments, says):
    simulator.start(["GorillaFileSystem"], FILES)
    assert says in simulator.call(tool, arguments)


def test_a_tried_call_leaves_no_trace(simulator):
    simulator.start(["GorillaFileSystem"], FILES)
    before = simulator.state()
    assert simulator.try_call("mkdir", {"dir_name": "temp"}) == ("None", True)
    assert simulator.try_call("cat", {"file_name": "missing.txt"}).changes_state is False
    assert simulator.state() == before


def test_a_tried_call_is_known_to_change_what_is_private(toy):
    assert toy.try_call("draw", {}).changes_state
    assert toy.try_call("draw", {}) == toy.try_call("draw", {})


def test_the_state_is_the_public_one(simulator):
    simulator.start(["GorillaFileSystem", "MathAPI"], FILES)
    simulator.call("touch", {"file_name": "a.txt"})
    state = json.loads(simulator.state())
    file = {"name": "a.txt", "content": ""}
    assert state["GorillaFileSystem"]["root"] == {"name": "home", "contents": {"a.txt": file}}
    assert not any(name.startswith("_") for name in state["GorillaFileSystem"])


def test_one_process_serves_episodes_that_know_nothing_of_each_other(simulator):
    simulator.start(["GorillaFileSystem"], FILES)
    simulator.call("mkdir", {"dir_name": "temp"})
    simulator.start(["GorillaFileSystem"], FILES)
    assert simulator.call("ls", {}) == '{"current_directory_content": []}'


@pytest.mark.parametrize("tool", ["connect", "resolve", "download", "spawn", "write"])
def test_network_processes_and_writing_are_refused(toy, playground, tool):
    assert "is not allowed in a simulator" in toy.call(tool, {})
    assert not list(playground.rglob("left_behind*")) and not Path("left_behind.txt").exists()


def test_files_of_others_cannot_be_read_nor_processes_started_behind_subprocess(toy, playground):
    """The environment of who started the simulators holds keys."""
    (playground.parent / "secret").write_text("secret", encoding="utf-8")
    for path in (f"/proc/{os.getpid()}/environ", "/proc/self/environ", "/etc/passwd", playground / "../secret"):
        (playground / "link").unlink(missing_ok=True)
        (playground / "link").symlink_to(path)
        for named in (path, playground / "link"):
            assert "of what is no simulator's is not allowed" in toy.call("read", {"path": str(named)}), named
        assert "of what is no simulator's is not allowed" in toy.call("list", {"path": str(Path(path).parent)})
    assert "fork_exec is not allowed in a simulator" in toy.call("fork_exec", {})


AROUND = """
import sys
from specacts.bfcl import worker
worker.fence_in_kernel([sys.prefix, sys.base_prefix, sys.argv[1]])
import errno, os, socket
def refused(call, *arguments):
    try: call(*arguments)
    except OSError as error: return error.errno in (errno.EPERM, errno.EACCES)
    return False
parent = os.getppid()
print(refused(os.fork), refused(os.kill, parent, 0), refused(socket.socket), refused(os.execv, "/bin/true", ["true"]))
landlock = worker.ctypes.CDLL(None).syscall(444, None, worker.ctypes.c_size_t(0), 1) > 0
inside = sys.argv[1] + "/inside"
print(landlock, *(refused(open, path) for path in (f"/proc/{parent}/environ", sys.argv[1] + "/../secret")),
      refused(open, inside, "w"), refused(os.unlink, inside), open(inside).read())
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in worker.REFUSED_CALLS, reason="the fence is this kernel's"
)
def test_the_kernel_refuses_what_gets_around_python(tmp_path):
    """The same without the audit hook."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room/inside").write_text("seen", encoding="utf-8")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    command = [sys.executable, "-c", AROUND, str(tmp_path / "room")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    calls, files = done.stdout.splitlines()
    assert calls == "True True True True"
    if files.startswith("True"):  # a kernel with Landlock
        assert files == "True True True True True seen"


def test_memory_is_limited(toy):
    if sys.platform == "linux":
        assert toy.call("hoard", {}).startswith("Error during execution")


def test_the_child_sees_no_environment_and_a_clock_that_stands_still(playground, monkeypatch):
    monkeypatch.setenv("A_SECRET", "x")
    monkeypatch.setenv("HTTPS_PROXY", "x")
    with Simulator(playground, timeout=20) as running:
        running.start(["GorillaFileSystem"], {})
        seen = running.call("environment", {})
        assert "PYTHONHASHSEED" in seen and "A_SECRET" not in seen and "PROXY" not in seen
        assert running.call("today", {}) == "2026-03-23 12:00:00"


def test_what_a_simulator_prints_is_no_reply(toy):
    assert toy.call("say", {}) == "said"
    assert toy.call("ping", {}) == "1"


def test_a_hanging_call_is_stopped_in_time_and_the_next_episode_starts_afresh(playground):
    with Simulator(playground, timeout=0.5) as running:
        running.start(["GorillaFileSystem"], {})
        begun = time.monotonic()
        with pytest.raises(SimulatorTimeout, match="hang.* took longer than 0.5 s"):
            running.call("hang", {})
        assert time.monotonic() - begun < 5
        with pytest.raises(UserError, match=r"call start\(\) first"):
            running.call("ping", {})
        running.start(["GorillaFileSystem"], {})
        assert running.call("ping", {}) == "1"


@pytest.mark.parametrize(("tool", "reason"), [("die", "exit code 3"), ("grave", "gone for good")])
def test_a_process_that_ends_is_reported(toy, tool, reason):
    with pytest.raises(UserError, match=f"the process ended .*{reason}"):
        toy.call(tool, {})


def test_an_unknown_class_or_a_folder_without_simulators_is_named(toy, tmp_path):
    with pytest.raises(UserError, match="no simulator for \\['Nonsense'\\]"):
        toy.start(["Nonsense"], {})
    with pytest.raises(UserError, match="no such folder"):
        Simulator(tmp_path / "nowhere", 1).__enter__()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="the process ended .*ModuleNotFoundError"):
        Simulator(tmp_path / "empty", 1).__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the child ends at its next read, not within a call")
def test_the_child_dies_with_its_parent_even_within_a_call(playground):
    script = (
        "import sys, threading; from pathlib import Path; from specacts.bfcl.simulator import Simulator\n"
        "with Simulator(Path(sys.argv[1]), 60) as s:\n"
        "    s.start(['GorillaFileSystem'], {}); print(s._child.process.pid, flush=True); s.call('hang', {})\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(playground)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with parent:
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody waits for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
