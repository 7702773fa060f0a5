"""The one error a user is meant to read, and the wrapper that prints it as one line.

    with one_line_errors():
        main()

Anything else that is raised is a fault of ours and keeps its traceback.
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from specacts.core.terminal import guarded, one_line

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Why a system would not let us read or write: the user can do something about it."""


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
            print(one_line(f"error: {error}"), file=sys.stderr)
            sys.exit(1)
        except OSError as error:
            if error.errno not in REFUSED or error.filename is None:
                raise
            path = Path(error.filename)
            place = path if path.exists() else path.parent  # a file that was to be made has a name that nobody knows
            said = f"error: {place.absolute()}: {error.strerror}; nothing half-written was published"
            print(one_line(said), file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt as error:
            notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
            print(one_line(f"interrupted; nothing half-written was published{notes}"), file=sys.stderr)
            sys.exit(130)
