"""Whether what a tool returned reports a failure."""

import json
import re

EXECUTION_ERROR = "Error during execution:"
"""How BFCL's simulators begin where a call fails."""
ERROR_TEXT = re.compile(
    r"\s*(error|exception|\w{1,80}(Error|Exception)|traceback \(most recent call last\))\s*[:(\n]", re.IGNORECASE
)
"""How tool results that are plain text begin where the tool failed: `Error: ...`, `KeyError: ...`, a traceback."""


def is_error(observation: str) -> bool:
    """Whether an observation reports a failure: text that begins like an error, or a result with a field that says so.

    The word alone is not enough: a log file that was read may hold it.

    >>> is_error("KeyError: 'total'"), is_error('{"error": "no such order"}'), is_error("2 lines hold the word error")
    (True, True, False)
    """
    if observation.startswith(EXECUTION_ERROR) or ERROR_TEXT.match(observation):
        return True
    if not observation.lstrip().startswith("{"):
        return False
    try:
        result = json.loads(observation)
    except (ValueError, RecursionError):
        return False
    said = result.get("error") or result.get("is_error") is True or result.get("isError") is True
    return bool(said) or result.get("status") == "error"
