"""The README and the docs say what the results say that Git holds beside them.

Both are read from the commit that last changed the document: a run of one's own, committed or not, does not make it
wrong. Where there is no Git, nothing is compared.
"""

import json
import re
import subprocess
from collections.abc import Callable

import pytest
from places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"git {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout


def beside(document: str) -> Callable[[str], str]:
    """Reads files as they were when the document was last changed."""
    commit = git("log", "-1", "--format=%H", "--", document).strip()
    return lambda name: git("show", f"{commit}:{name}")


def test_what_to_do_and_the_result_table_are_the_reports():
    held = beside("README.md")
    parts = held("reports/report.md").split("\n\n")
    advice, result = [part.strip() for part in parts if part[:1] == "|"][:2]
    assert "always the strong model" in result and advice in held("README.md") and result in held("README.md")


def test_the_comparison_of_v2_and_v3_shows_the_reports_ablation():
    held = beside("docs/v2-v3.md")
    (table,) = [part for part in held("reports/report.md").split("\n\n") if part.startswith("| undone")]
    assert table.strip() in held("docs/v2-v3.md")


def test_every_file_it_links_to_exists():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_results_beside_it_hold_every_policy():
    policies = json.loads(beside("README.md")("metrics/eval.json"))["policies"]
    assert list(policies) == list("ABCDEFGH")
    for entry in policies.values():
        for level in ("type", "tool", "call"):
            value, low, high = (entry[f"{level}_accuracy{end}"] for end in ("", "_low", "_high"))
            assert 0 <= low <= value <= high <= 1
        assert set(entry["cost"]) >= {"flops", "seconds", "upstream"}
