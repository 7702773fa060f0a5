"""BFCL's simulated services, run in a child process without network, with time and memory limits.

    with Simulator(raw / SOURCE_CODE, timeout=10) as simulator:
        simulator.start(["GorillaFileSystem"], {"GorillaFileSystem": {...}})   # a new episode
        simulator.call("cd", {"folder": "document"})                           # -> the observation, a string
        simulator.try_call("rm", {"file_name": "x"})                           # the same, leaving no trace
        simulator.state()                                                      # canonical JSON

One child serves any number of episodes. Tools are called by name with JSON arguments; nothing is evaluated.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from specacts.bfcl import worker
from specacts.core.errors import UserError

CLASSES = worker.MODULES
SOURCE_CODE = Path("eval_checker/multi_turn_eval/func_source_code")
"""Where the simulators lie in BFCL's folder."""

STARTUP_SECONDS = 60.0  # importing takes half a second; a busy machine may need more


class SimulatorTimeout(UserError):
    """A request took longer than allowed. The child is gone with its state; `start` makes a new one."""


class Trial(NamedTuple):
    """What a call would return, and whether it would change the simulators' state."""

    observation: str
    changes_state: bool


class Effect(NamedTuple):
    """What a call would return, and all of the simulators' state after it, as canonical JSON."""

    observation: str
    state: str


class Simulator:
    """Handle on the child process; use it as a context manager."""

    def __init__(self, code_dir: Path, timeout: float) -> None:
        """`code_dir` holds BFCL's `*.py` simulators; `timeout` is seconds for one request."""
        self.code_dir = code_dir
        self.timeout = timeout
        self._child: _Child | None = None

    def __enter__(self) -> "Simulator":
        self._child = _Child(self.code_dir)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def start(self, classes: Sequence[str], config: dict[str, Any]) -> None:
        """Begin an episode: fresh instances of `classes` in the state `config` (class name to scenario) says.

        Raises `UserError` for a class that is not one of `CLASSES` or a scenario it cannot load.
        """
        unknown = sorted(set(classes) - set(CLASSES))
        if unknown:
            raise UserError(f"no simulator for {unknown}; there are {sorted(CLASSES)}")
        if self._child is None:
            self._child = _Child(self.code_dir)
        self._ask("start", classes=list(classes), config=config)

    def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Call a tool; a failing call returns BFCL's error text. Raises `SimulatorTimeout`."""
        return self._ask("call", tool=tool, arguments=arguments)

    def try_call(self, tool: str, arguments: dict[str, Any]) -> Trial:
        """Call a tool on a copy of the instances. Raises `SimulatorTimeout`, and then the state is lost."""
        return Trial(*self._ask("try_call", tool=tool, arguments=arguments))

    def effect(self, tool: str, arguments: dict[str, Any]) -> Effect:
        """What a call would do, tried on a copy. Raises `SimulatorTimeout`, and then the state is lost."""
        return Effect(*self._ask("effect", tool=tool, arguments=arguments))

    def state(self) -> str:
        """The public attributes of all instances, which BFCL's own checker compares, as canonical JSON."""
        return self._ask("state")

    def _ask(self, op: str, **fields: Any) -> Any:
        if self._child is None:
            raise UserError("the simulator was stopped; call start() first")
        try:
            reply = self._child.ask({"op": op, **fields}, self.timeout)
        except BaseException:
            self._stop()  # a late reply must never be taken for the next one's
            raise
        if "error" in reply:
            raise UserError(f"simulator: {op} {_short(fields)}: {reply['error']}")
        return reply["result"]

    def _stop(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


class _Child:
    """The process, a thread that reads its replies (a pipe has no read with a time limit), and its stderr."""

    def __init__(self, code_dir: Path) -> None:
        if not code_dir.is_dir():
            raise UserError(f"{code_dir}: no such folder; run the fetch stage (`dvc repro fetch`)")
        self.stderr: IO[bytes] = tempfile.TemporaryFile()
        # No user site, no script folder on the path, no bytecode written; the environment holds no proxy or secret.
        command = [sys.executable, "-s", "-P", "-B", worker.__file__, str(code_dir.resolve())]
        self.process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=_environment(),
            encoding="utf-8",
        )
        assert self.process.stdin is not None and self.process.stdout is not None  # pipes, as asked for
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._reply("starting", STARTUP_SECONDS)
        except BaseException:
            self.close()
            raise

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request and wait for its reply; `SimulatorTimeout` after `timeout` seconds."""
        try:
            self.stdin.write(json.dumps(request) + "\n")
            self.stdin.flush()
        except OSError:  # it died; the reply thread has put the end mark
            pass
        return self._reply(_short(request), timeout)

    def close(self) -> None:
        """Kill the process and wait for it. Pipes are closed; the reply thread ends at their end."""
        self.process.kill()
        self.process.wait()
        try:
            self.stdin.close()
        except OSError:  # unsent bytes to a dead process
            pass
        self.stderr.close()

    def _reply(self, what: str, timeout: float) -> dict[str, Any]:
        try:
            line = self.replies.get(timeout=timeout)
        except queue.Empty:
            raise SimulatorTimeout(f"simulator: {what} took longer than {timeout:g} s and was stopped") from None
        if line is None:
            raise UserError(f"simulator: {what}: the process ended ({self._last_words()})")
        return json.loads(line)

    def _read(self) -> None:
        with self.stdout:
            for line in self.stdout:
                self.replies.put(line)
        self.replies.put(None)

    def _last_words(self) -> str:
        code = self.process.wait()
        self.stderr.seek(0)
        lines = self.stderr.read().decode("utf-8", "replace").strip().splitlines()
        return f"exit code {code}: {lines[-1] if lines else 'no message'}"


def _environment() -> dict[str, str]:
    fixed = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "TZ": "UTC"}  # what an observation could depend on
    return fixed | {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows needs it


def _short(fields: dict[str, Any]) -> str:
    text = json.dumps(fields)
    return text if len(text) <= 120 else text[:117] + "..."
