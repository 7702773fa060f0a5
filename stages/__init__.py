"""One file a stage: read inputs, call the library, write outputs; run as `python -m stages.<stage>`."""

import sys
from importlib.util import find_spec

if find_spec("trl") is None:  # dvc runs stages with the first `python` on the path
    sys.exit(
        f"error: {sys.executable} lacks the project's packages; run `make setup`, then put .venv/bin first on the path "
        "(`. .venv/bin/activate`)"
    )
