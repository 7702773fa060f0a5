"""The child process behind `simulator.py`: BFCL's simulators, one JSON request a line in, one reply a line out.

    python worker.py FUNC_SOURCE_CODE_FOLDER PARENT_PID      (only simulator.py starts it)

Standard library only, nothing from specacts. Before any simulator is imported the clock stands still, memory is
limited, and an audit hook, which Python cannot take away again, refuses network, processes and writing files.
That keeps third-party code from doing harm by accident; it is no sandbox against code that means harm.
"""

import copy
import ctypes
import datetime
import importlib
import inspect
import json
import os
import random
import signal
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, TextIO

MODULES = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}
"""The eight multi-turn classes, and the module that defines each (BFCL's function docs have the same names)."""

PACKAGE = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
MEMORY_LIMIT = 1 << 30  # bytes of address space; a simulator needs some 50 MB
REFUSED_EVENTS = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.startfile", "ctypes."),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "shutil."),
)
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class FrozenClock(datetime.datetime):
    """`datetime` on the day this benchmark was released: a traveller's age must not depend on the day of the run."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "FrozenClock":
        return cls(2026, 3, 23, 12, tzinfo=tz)

    @classmethod
    def today(cls) -> "FrozenClock":
        return cls.now()

    @classmethod
    def utcnow(cls) -> "FrozenClock":
        return cls.now()


def main(code_dir: str, parent_pid: int) -> None:
    replies = take_stdout()
    die_with_parent(parent_pid)
    limit_memory()
    datetime.datetime = FrozenClock  # type: ignore[misc]  # mypy lets nobody replace a class
    sys.addaudithook(refuse)
    worker = Worker(load_classes(code_dir))
    send(replies, {"result": "ready"})
    for line in sys.stdin:  # ends when the parent closes the pipe or dies
        send(replies, worker.answer(json.loads(line)))


class Worker:
    """The instances of the current episode, and what can be asked of them."""

    def __init__(self, classes: Mapping[str, type]) -> None:
        self.classes = classes
        self.instances: dict[str, Any] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request; a request that makes no sense gets an `error`."""
        operation = getattr(self, f"do_{request.pop('op')}")
        try:
            return {"result": operation(**request)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def do_start(self, classes: list[str], config: dict[str, Any]) -> None:
        """Forget the last episode; make fresh instances, with BFCL's own defaults where `config` says nothing."""
        self.instances = {}
        for name in classes:
            instance = self.classes[name]()
            if hasattr(instance, "_load_scenario"):  # MathAPI has no state
                instance._load_scenario(copy.deepcopy(config.get(name, {})))
            self.instances[name] = instance

    def do_call(self, tool: str, arguments: dict[str, Any]) -> str:
        return call(self.instances, tool, arguments)

    def do_try_call(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """The observation, and whether the call would have changed anything; done on a copy."""
        trial = copy.deepcopy(self.instances)
        observation = call(trial, tool, arguments)
        return observation, snapshot(trial, private=True) != snapshot(self.instances, private=True)

    def do_effect(self, tool: str, arguments: dict[str, Any]) -> tuple[str, str]:
        """The observation, and the state, private attributes included, that the call would leave; done on a copy."""
        trial = copy.deepcopy(self.instances)
        observation = call(trial, tool, arguments)
        return observation, snapshot(trial, private=True)

    def do_state(self) -> str:
        return snapshot(self.instances, private=False)


def call(instances: dict[str, Any], tool: str, arguments: dict[str, Any]) -> str:
    """Call a public method by name; the text is what BFCL's `execute_multi_turn_func_call` would give."""
    try:
        return as_text(public_method(instances, tool)(**arguments))
    except Exception as error:
        return f"Error during execution: {error}"


def public_method(instances: dict[str, Any], tool: str) -> Callable[..., Any]:
    """The method `tool` of the last class that has one, as in BFCL; NameError where none has."""
    for instance in reversed(instances.values()):
        if not tool.startswith("_") and inspect.isfunction(getattr(type(instance), tool, None)):
            return getattr(instance, tool)
    raise NameError(f"name {tool!r} is not defined")


def as_text(result: Any) -> str:
    if isinstance(result, dict):
        try:
            return json.dumps(result)
        except (TypeError, ValueError):
            pass
    return str(result)


def snapshot(instances: Mapping[str, Any], private: bool) -> str:
    """Canonical JSON of all instances: the public attributes, which BFCL's checker compares, or all of them."""
    state = {
        name: {key: value for key, value in vars(instance).items() if private or not key.startswith("_")}
        for name, instance in instances.items()
    }
    return json.dumps(plain(state), sort_keys=True)


def plain(value: Any) -> Any:
    """JSON form of a simulator's state. A directory's link to its parent is left out, as in BFCL's comparison."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, random.Random):
        return plain(value.getstate())
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "__dict__"):
        return {key: plain(item) for key, item in vars(value).items() if key[0] != "_" and key != "parent"}
    return str(value)


def load_classes(code_dir: str) -> dict[str, type]:
    """Import the simulators under the package name they import each other by, without running `bfcl_eval` itself."""
    parts = PACKAGE.split(".")
    for end in range(1, len(parts) + 1):
        module = types.ModuleType(".".join(parts[:end]))
        module.__path__ = [code_dir] if end == len(parts) else []
        sys.modules[module.__name__] = module
    return {name: getattr(importlib.import_module(f"{PACKAGE}.{module}"), name) for name, module in MODULES.items()}


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: network, new processes, foreign code and changing files raise PermissionError."""
    opens_to_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITE_FLAGS
    if event.startswith(REFUSED_EVENTS) or opens_to_write:
        raise PermissionError(f"{event} is not allowed in a simulator")


def take_stdout() -> TextIO:
    """Keep the reply pipe for ourselves: what a simulator prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def send(replies: TextIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def die_with_parent(parent_pid: int) -> None:
    """On Linux the kernel kills us with our parent, even in the middle of a call; elsewhere end of input does."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before we asked
            sys.exit(1)


def limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    except (ValueError, OSError):  # macOS has the limit but refuses to set it
        pass


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
