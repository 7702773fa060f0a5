"""Figures come out, the same bytes each time, also where there is little to draw."""

from pathlib import Path

import pytest

from specacts.core.words import ACTION_TYPES
from specacts.report.plots import accept_rate, confusion, frontier, training_loss

PNG = b"\x89PNG\r\n\x1a\n"
POINT = {"threshold": "", "cost": "0.8", "cost_low": "0.7", "cost_high": "0.9"}
POINT |= {"accuracy": "0.6", "accuracy_low": "0.5", "accuracy_high": "0.7"}
BARE = {key: "" if key.endswith(("_low", "_high")) else value for key, value in POINT.items()}
RATE = {"decisions": "9", "accept_rate": "0.5", "accept_rate_low": "0.4", "accept_rate_high": "0.6", "precision": ""}
NOTHING = {"accept_rate": "0.0", "accept_rate_low": "0.0", "accept_rate_high": "0.0"}


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(PNG) and b"Software" not in path.read_bytes()


@pytest.mark.parametrize("sweep", [[], [POINT | {"name": "D", "kind": "sweep"}, BARE | {"name": "D", "kind": "sweep"}]])
def test_a_frontier_with_and_without_sweep_and_intervals(tmp_path: Path, sweep: list):
    rows = [POINT | {"name": "A", "kind": "policies"}, BARE | {"name": "oracle", "kind": "baselines"}, *sweep]
    frontier(rows, "FLOPs", "type", tmp_path / "new" / "frontier.png")
    assert is_png(tmp_path / "new" / "frontier.png")


def test_confusion_with_types_that_never_occur(tmp_path: Path):
    rows = [{"actual": "BLOCKED", "predicted": "malformed"}]
    confusion({"A": rows, "B": rows}, tmp_path / "confusion.png")
    assert is_png(tmp_path / "confusion.png")


@pytest.mark.parametrize("curves", [{}, {"cheap": []}, {"strong": [{"step": "1", "loss": "0.5"}]}])
def test_training_loss_with_missing_curves(tmp_path: Path, curves: dict):
    training_loss(curves, tmp_path / "loss.png")
    assert is_png(tmp_path / "loss.png")


def test_accept_rate_of_a_policy_that_accepts_nothing(tmp_path: Path):
    rows = [{"policy": p, "action_type": t} | RATE for p in "DE" for t in ACTION_TYPES]
    rows += [{"policy": "C", "action_type": t} | RATE | NOTHING for t in ACTION_TYPES]
    accept_rate(rows, tmp_path / "rate.png")
    accept_rate([], tmp_path / "none.png")
    assert is_png(tmp_path / "rate.png") and is_png(tmp_path / "none.png")


def test_the_same_rows_give_the_same_bytes_and_leave_nothing_else_behind(tmp_path: Path):
    for name in ("one.png", "two.png"):
        training_loss({"cheap": [{"step": "1", "loss": "2"}, {"step": "2", "loss": "1"}]}, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2
