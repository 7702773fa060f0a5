"""The ablation's page says what every experiment did, and of which run that is."""

import pytest
from places import ROOT

from specacts.core.results import Estimate
from specacts.evaluation.ablation import Ablation, Base, Effect, Made, Undone
from specacts.report.ablation import draw, page, run_of

ZERO, ONE = Estimate(0.0, 0.0, 0.0), Estimate(1.0, 1.0, 1.0)
SAME = Effect(accuracy=Estimate(0.6, 0.5, 0.7), accuracy_effect=ZERO, cost=ONE, cost_effect=ZERO)
LOST = SAME.model_copy(update={"accuracy_effect": Estimate(-0.1, -0.15, -0.05)})
THEN, NOW = (Made(commit=c, date=d, machine="a toy") for c, d in (("abc1234", "2026-01-02"), ("def5678", "2026-03-04")))
AUROC = {"D": 0.6}


@pytest.fixture
def found() -> Ablation:
    """With one experiment, in which D lost ten points and everything else stayed."""
    undone = Undone(made=NOW, what="frozen", settings=("x=y",), auroc=AUROC, policies={"A": SAME, "D": LOST})
    return Ablation(
        scale="toy",
        level="type",
        cost_model="flops",
        decisions=9,
        groups=3,
        base=Base(made=THEN, auroc=AUROC, policies={"A": SAME, "D": SAME}),
        experiments={"strong": undone},
    )


def test_effects_stand_in_a_table_the_certain_ones_in_bold(found):
    (line,) = [line for line in page(found).splitlines() if "-10.0" in line]
    assert [cell.strip() for cell in line.split("|")[2:5]] == ["D", "60.0 %", "**-10.0 (-15.0 to -5.0)**"]
    assert "| strong: frozen" in page(found) and "(figures/ablation.png)" in page(found)


def test_the_page_names_the_runs_that_it_is_of_each_once(found):
    assert "run of 2026-01-02 at commit abc1234 on a toy and the run of 2026-03-04 at commit def5678" in page(found)
    assert run_of(THEN, THEN).count("abc1234") == 1


def test_the_figure_is_drawn(found, tmp_path):
    draw(found, tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_the_committed_page_is_that_of_the_committed_numbers():
    assert (ROOT / "docs/ablation.md").read_text(encoding="utf-8") == page(Ablation.load(ROOT / "docs/ablation.json"))
