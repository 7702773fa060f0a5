"""The one error a user is meant to read, and the wrapper that prints it as one line.

    with one_line_errors():
        main()

Anything else that is raised is a fault of ours and keeps its traceback.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can fix. The message names the file, the field, the value, and what to do."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a `UserError` or Ctrl-C into one line on stderr and a non-zero exit, without a traceback."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was published", file=sys.stderr)
        sys.exit(130)
