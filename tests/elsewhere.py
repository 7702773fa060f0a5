"""Another process, whose strings hash otherwise: what must be the same everywhere is the same there."""

import json
import os
import subprocess
import sys
from typing import Any

from places import ROOT


def elsewhere(code: str, given: Any = None) -> Any:
    """The JSON that `code` prints, with `given` as JSON on its standard input."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        cwd=ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
