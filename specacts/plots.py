"""The report's figures: plain functions from metrics to a PNG file, the same bytes for the same numbers."""

from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from specacts.episodes import ACTION_TYPES

# Okabe and Ito's palette: told apart with any colour vision.
COLOURS = {"A": "#000000", "B": "#E69F00", "C": "#56B4E9", "D": "#009E73", "E": "#CC79A7"}
BASELINES = {"majority": "s", "random": "v", "random_accept": "D", "oracle": "*"}
ROLE_COLOURS = {"cheap": "#E69F00", "verifier": "#009E73", "strong": "#000000"}


def frontier(evaluation: dict[str, Any], sweep: list[dict[str, str]], cost_model: str, level: str, out: Path) -> None:
    """Accuracy against relative cost: policies and baselines with intervals, threshold sweeps as lines."""
    figure, axes = plt.subplots(figsize=(8, 5.2), layout="constrained")
    for name in ("C", "D", "E"):
        points = sorted((float(p["cost"]), float(p["accuracy"])) for p in sweep if p["policy"] == name)
        axes.plot(*zip(*points, strict=True), color=COLOURS[name], alpha=0.45, linewidth=1.3, zorder=1)
    marks = [(name, entry, COLOURS[name], "o") for name, entry in evaluation["policies"].items()]
    marks += [(name, evaluation["baselines"][name], "#888888", mark) for name, mark in BASELINES.items()]
    for name, entry, colour, mark in marks:
        accuracy, cost = entry[f"{level}_accuracy"], entry["cost"][cost_model]
        across, up = _reach(entry["cost"], cost_model), _reach(entry, f"{level}_accuracy")
        style = {"color": colour, "markersize": 12 if mark == "*" else 8, "capsize": 3, "elinewidth": 1}
        axes.errorbar(cost, accuracy, xerr=across, yerr=up, fmt=mark, label=name.replace("_", " "), zorder=2, **style)
    axes.set_xlabel(f"cost relative to A ({cost_model})")
    axes.set_ylabel(f"{level} accuracy, test split")
    axes.set_title("Accuracy and cost, with 95 % intervals; lines: every threshold")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    _save(figure, out)


def _reach(entry: dict[str, Any], key: str) -> list[list[float]] | None:
    """Distances below and above, as matplotlib wants error bars; None where there is no interval."""
    value, low, high = entry[key], entry.get(f"{key}_low"), entry.get(f"{key}_high")
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def confusion(pairs: dict[str, list[tuple[str, str]]], titles: dict[str, str], out: Path) -> None:
    """Confusion matrices side by side: rows are what was due, columns what the policy did, counts in the cells."""
    columns = [*ACTION_TYPES, "malformed"]
    figure, all_axes = plt.subplots(1, len(pairs), figsize=(6.4 * len(pairs), 5.8), layout="constrained", sharey=True)
    for axes, (name, found) in zip(np.atleast_1d(all_axes), pairs.items(), strict=True):
        counts = Counter(found)
        table = np.array([[counts[actual, predicted] for predicted in columns] for actual in ACTION_TYPES])
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), count in np.ndenumerate(table):
            if count:
                colour = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
        axes.set_yticks(range(len(ACTION_TYPES)), ACTION_TYPES)
        axes.set_xlabel("taken")
        axes.set_title(titles[name])
    np.atleast_1d(all_axes)[0].set_ylabel("due")
    _save(figure, out)


def training_loss(curves: dict[str, list[tuple[int, float]]], out: Path) -> None:
    """Loss against step of every training."""
    figure, axes = plt.subplots(figsize=(8, 4.4), layout="constrained")
    for role, points in curves.items():
        steps, losses = zip(*points, strict=True)
        axes.plot(steps, losses, color=ROLE_COLOURS[role], alpha=0.25, linewidth=1)
        width = max(1, len(losses) // 10)
        smooth = [float(np.mean(losses[max(0, n - width) : n + 1])) for n in range(len(losses))]
        axes.plot(steps, smooth, color=ROLE_COLOURS[role], label=role, linewidth=2)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("weighted cross-entropy (nats, log scale)")
    axes.set_title("Training loss; bold: running mean")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    _save(figure, out)


def accept_rate(rows: list[dict[str, str]], out: Path) -> None:
    """Share of decisions at which each judging policy kept the cheap model's action, by the action type due."""
    figure, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
    types = [t for t in ACTION_TYPES if any(row["action_type"] == t for row in rows)]
    counts = {row["action_type"]: row["decisions"] for row in rows}
    for n, name in enumerate(("C", "D", "E")):
        found = {row["action_type"]: float(row["accept_rate"]) for row in rows if row["policy"] == name}
        places = np.arange(len(types)) + (n - 1) * 0.27
        axes.bar(places, [found[t] for t in types], width=0.25, color=COLOURS[name], label=name)
    axes.set_xticks(range(len(types)), [f"{t}\n(n={counts[t]})" for t in types], fontsize=8)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("accept rate")
    axes.set_title("How often the cheap model's action was kept, by the action type that was due")
    axes.legend(frameon=False, ncols=3)
    _save(figure, out)


def _save(figure: plt.Figure, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120, metadata={"Software": None})
    plt.close(figure)
