"""The README says what the committed results say."""

import json
import re

import pytest
from places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_to_do_and_the_result_table_are_the_reports():
    parts = (ROOT / "reports/report.md").read_text(encoding="utf-8").split("\n\n")
    advice, result = [part.strip() for part in parts if part[:1] == "|"][:2]
    assert "always the strong model" in result and advice in README and result in README


def test_the_comparison_of_v2_and_v3_shows_the_reports_ablation_and_a_whole_diff():
    report = (ROOT / "reports/report.md").read_text(encoding="utf-8")
    text = (ROOT / "docs/v2-v3.md").read_text(encoding="utf-8")
    (table,) = [part for part in report.split("\n\n") if part.startswith("| undone")]
    assert table.strip() in text
    rows = [line for line in (ROOT / "docs/v2-v3-diff.md").read_text(encoding="utf-8").splitlines() if "|" in line][2:]
    assert len(rows) > 200 and not any("-" in [cell.strip() for cell in row.split("|")] for row in rows)


def test_every_file_it_links_to_exists():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("policy", "ABCDEFGH")
def test_the_committed_metrics_hold_every_policy(policy):
    metrics = json.loads((ROOT / "metrics/eval.json").read_text(encoding="utf-8"))
    entry = metrics["policies"][policy]
    for level in ("type", "tool", "call"):
        value, low, high = (entry[f"{level}_accuracy{end}"] for end in ("", "_low", "_high"))
        assert 0 <= low <= value <= high <= 1
    assert set(entry["cost"]) >= {"flops", "seconds", "upstream"}
