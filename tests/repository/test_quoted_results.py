"""The results that documents quote are whole.

They are read from the commit that last changed it: a run of one's own, committed or not, does not make it wrong. Where
there is no Git, nothing is looked at. That documents quote them rightly is checked by `make check`
(scripts/quote.py).
"""

import json
import subprocess
from collections.abc import Callable

import pytest
from places import ROOT


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"git {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout


def beside(document: str) -> Callable[[str], str]:
    """Reads files as they were when the document was last changed."""
    commit = git("log", "-1", "--format=%H", "--", document).strip()
    return lambda name: git("show", f"{commit}:{name}")


def test_the_results_beside_it_hold_every_policy():
    policies = json.loads(beside("docs/results.md")("metrics/eval.json"))["policies"]
    assert list(policies) == list("ABCDEFGHS")
    for entry in policies.values():
        for level in ("type", "tool", "call"):
            value, low, high = (entry[f"{level}_accuracy{end}"] for end in ("", "_low", "_high"))
            assert 0 <= low <= value <= high <= 1
        assert set(entry["cost"]) >= {"flops", "seconds", "upstream"}
