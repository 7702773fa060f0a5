"""The child process behind `simulator.py`: BFCL's simulators, one JSON request a line in, one reply a line out.

    python worker.py FUNC_SOURCE_CODE_FOLDER PARENT_PID      (only simulator.py starts it)

Standard library only, nothing from specacts. Before any simulator is imported the clock stands still, memory is
limited, and two fences are set up that cannot be taken away again. An audit hook refuses network, processes, writing
files, and reading any but Python's own and the simulators', wherever Python runs. On Linux (x86-64, arm64) the kernel
refuses the same, also to what gets around Python: seccomp the system calls, Landlock (from 5.13 on) the files, among
them `/proc`, where the environment of the process that started this one stands. Where the kernel lacks either, the
rest holds. Against code that means harm this is worth what a kernel without known holes is, with Landlock and seccomp;
without them it keeps third-party code from doing harm by accident, and no more.
"""

import copy
import ctypes
import datetime
import functools
import importlib
import inspect
import json
import os
import platform
import random
import signal
import struct
import sys
import types
from collections.abc import Callable, Mapping, Sequence
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
    *("os.kill", "signal.", "pty.", "fcntl.", "syslog.", "os.chown", "os.lchown", "os.setxattr", "os.removexattr"),
    *("os.utime", "os.putenv", "os.unsetenv", "sys.addaudithook", "webbrowser.", "winreg.", "_winapi."),
)
READING_EVENTS = ("open", "os.listdir", "os.scandir", "os.chdir", "os.getxattr", "os.listxattr")
SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
"""What Python's own extension modules may load."""
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
    readable = [os.path.realpath(path) for path in (code_dir, sys.prefix, sys.base_prefix)]
    fence_in_kernel([*readable, *filter(os.path.isdir, SYSTEM_LIBRARIES)])
    silence_fork_exec()
    sys.addaudithook(functools.partial(refuse, tuple(readable)))
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


def refuse(readable: tuple[str, ...], event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: network, new processes, foreign code, changing files and reading others raise PermissionError."""
    if event.startswith(REFUSED_EVENTS):
        raise PermissionError(f"{event} is not allowed in a simulator")
    if event not in READING_EVENTS:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITE_FLAGS:
        raise PermissionError(f"{event} is not allowed in a simulator")
    path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
    real = os.path.realpath(path)
    if path and not any(real == root or real.startswith(root + os.sep) for root in readable):
        raise PermissionError(f"{event} of what is no simulator's is not allowed in a simulator")


def silence_fork_exec() -> None:
    """What starts `subprocess`'s processes has no audit event of its own: it goes."""

    def refused(*_: Any) -> None:
        raise PermissionError("fork_exec is not allowed in a simulator")

    try:
        setattr(importlib.import_module("_posixsubprocess"), "fork_exec", refused)  # noqa: B010  # unknown to mypy
    except ModuleNotFoundError:  # on Windows
        pass


def fence_in_kernel(readable: Sequence[str]) -> None:
    """Let Linux refuse what the audit hook refuses, as far as this kernel can; nothing elsewhere."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody looks into this process, and it leaves no core
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:  # what both ask for
        restrict_files(libc, readable)
        restrict_calls(libc)


def restrict_files(libc: ctypes.CDLL, readable: Sequence[str]) -> None:
    """Landlock: files can be read below these folders, and nowhere else; none can be changed, made or run."""
    CREATE, ADD_RULE, RESTRICT = 444, 445, 446  # the same everywhere
    version = libc.syscall(CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    every_access = (1 << {1: 13, 2: 14}.get(version, 15)) - 1  # later versions know more; these are all about files
    READ_FILE, READ_FOLDER = 1 << 2, 1 << 3
    handled = ctypes.c_uint64(every_access)
    rules = libc.syscall(CREATE, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    for folder in readable:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        rule = (READ_FILE | READ_FOLDER).to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
        libc.syscall(ADD_RULE, rules, 1, rule, 0)
        os.close(place)
    libc.syscall(RESTRICT, rules, 0)
    os.close(rules)


REFUSED_CALLS = {
    "x86_64": (0xC000003E, (*range(41, 51), *range(53, 60), 62, 101, 165, 166, 272, 298, 308, 310, 311, 321, 322, 323)),
    "aarch64": (0xC00000B7, (*range(198, 208), 97, 117, 129, 220, 221, 39, 40, 241, 268, 270, 271, 280, 281, 282)),
}
"""By machine what seccomp calls it, and the numbers of socket and its kin, clone, fork, vfork, execve, kill, ptrace,
mount, umount, unshare, perf_event_open, setns, process_vm_readv and _writev, bpf, execveat and userfaultfd."""
REFUSED_EVERYWHERE = (424, 425, 434, 435, 438)
"""pidfd_send_signal, io_uring_setup, pidfd_open, clone3, pidfd_getfd."""


def restrict_calls(libc: ctypes.CDLL) -> None:
    """seccomp: these system calls fail with EPERM, as the first step does that finds its number."""
    if platform.machine() not in REFUSED_CALLS:
        return
    architecture, own = REFUSED_CALLS[platform.machine()]
    numbers = (*own, *REFUSED_EVERYWHERE)
    LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
    ALLOW, KILL, EPERM = 0x7FFF0000, 0x80000000, 0x00050001
    steps = [
        *((LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL)),
        *((LOAD, 0, 0, 0), (AT_LEAST, len(numbers) + 1, 0, 0x40000000)),  # x86-64 has all numbers twice
        *((EQUAL, len(numbers) - n, 0, number) for n, number in enumerate(numbers)),
        *((RETURN, 0, 0, ALLOW), (RETURN, 0, 0, EPERM)),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)


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
