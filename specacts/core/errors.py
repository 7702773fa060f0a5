"""The one error a user is meant to read, and the wrapper that prints it as one line.

    with one_line_errors():
        main()

Anything else that is raised is a fault of ours and keeps its traceback.
"""

import errno
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from specacts.core.terminal import guarded, one_line

REFUSED = (errno.EACCES, errno.EPERM)
"""Why a system would not let us at a file: the user can do something about it."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Why nothing more can be written, which is also seen where no file is named."""
UNWRITTEN = re.compile(r"PytorchStreamWriter failed|inline_container.*unexpected pos|No usable temporary directory")
"""How libraries say so that do not pass on the system's reason."""


class UserError(Exception):
    """Something the user can fix. The message names the file, the field, the value, and what to do."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can fix, or Ctrl-C, into one line on stderr and a non-zero exit, without a traceback.

    What is printed inside is guarded (terminal.py): output that knows few characters shows others as `?`.
    """
    with guarded():
        try:
            yield
        except UserError as error:
            print(one_line(f"error: {error}{way_back()}"), file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt as error:
            notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
            print(one_line(f"interrupted; nothing half-written was published{notes}"), file=sys.stderr)
            sys.exit(130)
        except Exception as error:
            said = refusal(error)
            if said is None:
                raise
            print(one_line(f"error: {said}; nothing half-written was published"), file=sys.stderr)
            sys.exit(1)


def refusal(error: BaseException) -> str | None:
    """Where a system refused to read or write, and why, whatever a library made of that; None for other errors."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (*REFUSED, *NO_ROOM):
            if cause.filename is not None:
                path = Path(os.fsdecode(cause.filename))
                place = path if path.exists() else path.parent  # a file that was to be made has a name nobody knows
                return f"{place.absolute()}: {cause.strerror}"
            if cause.errno in NO_ROOM:
                return f"{cause.strerror} ({rooms()})"
        number = next((number for number in NO_ROOM if os.strerror(number) in str(cause)), None)
        if number or UNWRITTEN.search(str(cause)):
            return f"{os.strerror(number) if number else 'a file could not be written whole'} ({rooms()})"
        cause = cause.__cause__ or cause.__context__
    return None


def rooms() -> str:
    """How much room there is where files are written: here, and where temporary ones are."""
    places = (Path.cwd(), Path(os.environ.get("TMPDIR") or "/tmp"))
    free = (f"{place} has {shutil.disk_usage(place).free / 1e6:,.0f} MB free" for place in places if place.is_dir())
    return ", ".join(free)


def way_back() -> str:
    """Of an experiment in the workspace: how to undo what `-S` wrote, which DVC leaves where it was refused."""
    if "DVC_EXP_NAME" not in os.environ or "exps" in Path.cwd().parts:
        return ""
    command = ["git", "diff", "--name-only", "HEAD", "--", "params.yaml", "configs"]
    changed = subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[:-1]
    if not changed:
        return ""
    return f". What -S wrote stays in the file: `git checkout -- {shlex.join(changed)}` takes it back"
