"""The report's figures: plain functions from plot data to a PNG file, the same bytes for the same numbers.

    frontier(read_csv("reports/plots/frontier.csv"), "FLOPs", "type", Path("reports/figures/frontier.png"))

Rows are dictionaries of strings, as `csv.DictReader` gives them; an empty cell is a number that does not exist.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from specacts.core.words import ACTION_TYPES, Role
from specacts.policies.table import BASELINES, POLICIES
from specacts.report.wording import AGENT

Rows = list[dict[str, str]]
Keywords = dict[str, Any]
"""What matplotlib is told by name."""

ROLES: dict[Role, tuple[str, str]] = {
    "cheap": ("#D55E00", "-"),
    "verifier": ("#009E73", "--"),
    "strong": ("#000000", "-."),
}
GREY = "#777777"


def legend_name(letter: str, recorded: bool = False) -> str:
    """A policy in a legend. recorded: A is the agent that wrote the traces."""
    return f"{letter}: {'your agent' if recorded and letter == 'A' else POLICIES[letter].label}"


SIZES = {"oracle": 14, "cascade": 19}
"""Of baselines' markers, where not 10: a star is slender, and the cascade may lie behind a policy much like it."""
TRIVIAL = ("majority", "random")
"""Baselines that no model is asked for: a note, since they lie far below everything."""


def frontier(rows: Rows, cost_label: str, level: str, path: Path, recorded: bool = False) -> None:
    """Accuracy against relative cost where the policies are: with intervals, threshold sweeps and A to B as lines."""
    figure, axes = framed(9.5, 5.8)
    points = [row for row in rows if row["kind"] != "sweep" and row["name"] not in TRIVIAL]
    for name in sorted({row["name"] for row in rows if row["kind"] == "sweep"}):
        mine = [row for row in rows if (row["name"], row["kind"]) == (name, "sweep")]
        swept = sorted(map(_place, mine))
        axes.plot(*zip(*swept, strict=True), color=POLICIES[name].colour, alpha=0.35, linewidth=1.2, zorder=1)
    ends = [_place(row) for row in points if row["name"] in ("A", "B")]
    if len(ends) == 2:
        axes.plot(*zip(*ends, strict=True), color=GREY, linestyle="--", linewidth=1.2, zorder=1)
    labels = []
    for row in points:
        if row["kind"] == "policies":
            _mark(axes, row, POLICIES[row["name"]].colour, "o", 13)
            letter: Keywords = {"color": "white", "weight": "bold", "fontsize": 9, "zorder": 4}
            axes.annotate(row["name"], _place(row), ha="center", va="center_baseline", **letter)
            labels.append((legend_name(row["name"], recorded).partition(": ")[2], POLICIES[row["name"]].colour))
        else:
            baseline = BASELINES[row["name"]]
            _mark(axes, row, GREY, baseline.marker, SIZES.get(row["name"], 10))
            labels.append((baseline.label, GREY))
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    axes.margins(0.09)
    _label_points(figure, axes, list(map(_place, points)), labels)
    whose = "your agent's" if recorded else "always asking the strong model"
    axes.set_xlabel(f"cost relative to {whose} ({cost_label})")
    axes.set_ylabel(f"share like your agent's (test, {level})" if recorded else f"{level} accuracy on the test split")
    axes.set_title(_finding(points), loc="left", weight="bold")
    lines = "Dashed: a coin between A and B; thin lines: every threshold."
    figure.supxlabel(" ".join([lines, _trivial(rows)]).strip(), x=0.01, ha="left", fontsize=9, color="#555555")
    save(figure, path)


def _place(row: dict[str, str]) -> tuple[float, float]:
    return float(row["cost"]), float(row["accuracy"])


def _finding(points: Rows) -> str:
    """The policy that lies highest above a coin between A and B, in words."""
    places = {row["name"]: _place(row) for row in points if row["kind"] == "policies"}
    if not {"A", "B"} <= set(places) or places["A"][0] == places["B"][0]:
        return "Accuracy and cost (95 % intervals)"
    (high, strong), (low, cheap) = places["A"], places["B"]
    above = {
        name: accuracy - (cheap + (strong - cheap) * (cost - low) / (high - low))
        for name, (cost, accuracy) in places.items()
        if name not in "AB" and low < cost < high
    }
    best = max(above, key=lambda name: above[name], default="")
    if not best or above[best] <= 0:
        return "No policy lies above a coin between A and B (95 % intervals)"
    cost, accuracy = places[best]
    return f"{best} reaches {accuracy * 100:.1f} % at {cost:.2f} of the cost; A {strong * 100:.1f} % (95 % intervals)"


def _trivial(rows: Rows) -> str:
    """What no model is needed for."""
    found = [(BASELINES[row["name"]].title, float(row["accuracy"])) for row in rows if row["name"] in TRIVIAL]
    said = "; ".join(f"{title}: {accuracy * 100:.1f} %" for title, accuracy in found)
    return f"Not shown, at no cost: {said}." if said else ""


PIXELS_A_LETTER, PIXELS_A_LINE = 10.0, 19.0
"""A label's size at 10 points and 120 dots an inch, roughly."""
ASIDE = [
    *((16, 12), (-16, 12), (16, -26), (-16, -26)),
    *((side * 30, up) for up in (32, -46, 52, -66, 72, -86) for side in (1, -1)),
]
"""Where a label may stand, in pixels from its point: right or left of it by the sign, the nearest first."""


def _label_points(figure: Figure, axes: Axes, places: list[tuple[float, float]], labels: list[tuple[str, str]]) -> None:
    """A text beside each point, in the first place where it covers no other text and no point."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # now the layout is known
    at = [tuple(axes.transData.transform(place)) for place in places]
    taken = [(x - 10, y - 10, x + 10, y + 10) for x, y in at]
    edge = axes.get_window_extent()
    for (x, y), place, (text, colour) in zip(at, places, labels, strict=True):
        width = PIXELS_A_LETTER * len(text)
        lefts = [x + right - (width if right < 0 else 0) for right, _ in ASIDE]
        lows = [y + up for _, up in ASIDE]
        boxes = [(left, low, left + width, low + PIXELS_A_LINE) for left, low in zip(lefts, lows, strict=True)]
        inside = [box[0] > edge.x0 and box[2] < edge.x1 and box[1] > edge.y0 and box[3] < edge.y1 for box in boxes]
        free = [ok and not any(_overlap(box, other) for other in taken) for ok, box in zip(inside, boxes, strict=True)]
        number = free.index(True) if True in free else 0
        taken.append(boxes[number])
        right, up = ASIDE[number]
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.6} if abs(up) > 26 else None
        offset: Keywords = {"xytext": (right * 0.6, up * 0.6), "textcoords": "offset points", "arrowprops": arrow}
        axes.annotate(text, place, fontsize=10, color=colour, ha="right" if right < 0 else "left", zorder=5, **offset)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _mark(axes: Axes, row: dict[str, str], colour: str, marker: str, size: float) -> None:
    """A point with its intervals."""
    cost, accuracy = _place(row)
    reach: Keywords = {"xerr": _reach(row, "cost"), "yerr": _reach(row, "accuracy")}
    order = 3 if row["kind"] == "policies" else 2
    axes.errorbar(
        cost, accuracy, **reach, fmt="none", ecolor=colour, elinewidth=1.1, capsize=3, zorder=order, alpha=0.6
    )
    axes.plot(cost, accuracy, color=colour, marker=marker, markersize=size, linestyle="none", zorder=order)


def _reach(row: dict[str, str], key: str) -> list[list[float]] | None:
    """Distances below and above, as matplotlib wants error bars; None where there is no interval."""
    if not row[f"{key}_low"] or not row[f"{key}_high"]:
        return None
    value, low, high = (float(row[f"{key}{end}"]) for end in ("", "_low", "_high"))
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def confusion(tables: dict[str, Rows], path: Path, recorded: bool = False) -> None:
    """Confusion matrices side by side, by title: rows are what was due, columns what was done, counts in the cells."""
    figure = Figure(figsize=(6.8 * len(tables), 6.2), layout="constrained")
    all_axes = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    columns = [*ACTION_TYPES, "malformed"]
    for axes, (title, rows) in zip(all_axes, tables.items(), strict=True):
        counts = Counter((row["actual"], row["predicted"]) for row in rows)
        table = np.array([[counts[actual, predicted] for predicted in columns] for actual in ACTION_TYPES])
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), count in np.ndenumerate(table):
            if count:
                colour = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=10)
        axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor", fontsize=10)
        axes.set_yticks(range(len(ACTION_TYPES)), ACTION_TYPES, fontsize=10)
        axes.set_xlabel("what the cheap model did" if recorded else "what the policy did")
        axes.set_title(title)
    all_axes[0].set_ylabel(AGENT if recorded else "what was due")
    figure.colorbar(image, ax=list(all_axes), label="share of the decisions of this type", fraction=0.04, pad=0.02)
    save(figure, path)


def training_loss(curves: Mapping[Role, Rows], path: Path) -> None:
    """Loss against step of every role's training, as logged (thin) and as a running mean (bold)."""
    figure, axes = framed(9, 4.6)
    for role, rows in curves.items():
        if not rows:
            continue
        colour, style = ROLES[role]
        steps, losses = [int(row["step"]) for row in rows], [float(row["loss"]) for row in rows]
        axes.plot(steps, losses, color=colour, alpha=0.3, linewidth=1)
        axes.plot(steps, _running_mean(losses), color=colour, linestyle=style, linewidth=2, label=role)
    _empty_or_legend(axes, any(curves.values()), "no training curve was recorded")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("weighted cross-entropy (nats)")
    whose = {1: f"{next(iter(curves), '')} model", 2: "two roles"}.get(len(curves), "three roles")
    axes.set_title(f"Training loss of the {whose}; bold: running mean")
    save(figure, path)


def _running_mean(values: list[float]) -> list[float]:
    """Mean of the latest tenth of what came before and itself."""
    width = max(1, len(values) // 10)
    return [float(np.mean(values[max(0, n + 1 - width) : n + 1])) for n in range(len(values))]


def accept_rate(rows: Rows, path: Path, recorded: bool = False) -> None:
    """How often each judging policy let the proposal through, by the action type that was due, with intervals."""
    figure, axes = framed(11, 5)
    counts = {row["action_type"]: row["decisions"] for row in rows}
    types: list[str] = [action_type for action_type in ACTION_TYPES if action_type in counts]
    names = sorted({row["policy"] for row in rows})
    width, line_break = 0.82 / max(1, len(names)), "_\n"
    for n, name in enumerate(names):
        mine = [row for row in rows if row["policy"] == name]
        places = [types.index(row["action_type"]) + (n - (len(names) - 1) / 2) * width for row in mine]
        heights = [float(row["accept_rate"]) for row in mine]
        reach = [_reach(row, "accept_rate") or [[0.0], [0.0]] for row in mine]
        errors = np.array([[below[0] for below, _ in reach], [above[0] for _, above in reach]])
        colour, label = POLICIES[name].colour, _label(name, heights)
        axes.bar(places, heights, width=width * 0.92, color=colour, label=label, zorder=2)
        axes.errorbar(places, heights, yerr=errors, fmt="none", ecolor="#333333", elinewidth=1, capsize=2, zorder=3)
    labels = [f"{t.replace('_', line_break)}\nn = {counts[t]}" for t in types]
    axes.set_xticks(range(len(types)), labels, fontsize=10)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share accepted")
    due = "by the type of your agent's action" if recorded else "by the action type that was due"
    axes.set_title(f"Proposals accepted, {due} (95 % intervals)")
    _empty_or_legend(axes, bool(rows), "no decisions", loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, path)


def reliability(rows: Rows, path: Path, recorded: bool = False) -> None:
    """Share of right proposals against the mean score, in bins of equal mass: raw scores, and calibrated ones."""
    right = "like your agent's" if recorded else "right"
    figure, axes = framed(7.5, 6)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    for name in sorted({row["policy"] for row in rows}):
        colour = POLICIES[name].colour
        for kind, style in (("raw", {"linestyle": ":", "alpha": 0.55}), ("calibrated", {"linestyle": "-"})):
            mine = [row for row in rows if (row["policy"], row["kind"]) == (name, kind)]
            x, y = ([float(row[key]) for row in mine] for key in ("mean_score", "right"))
            reach = [_reach(row, "right") or [[0.0], [0.0]] for row in mine]
            errors = np.array([[below[0] for below, _ in reach], [above[0] for _, above in reach]])
            axes.plot(x, y, marker="o", color=colour, label=f"{legend_name(name)}, {kind}", **style)
            if kind == "calibrated":
                axes.errorbar(x, y, yerr=errors, fmt="none", ecolor=colour, elinewidth=1, capsize=2)
    axes.set_xlabel("mean score of the proposals in a bin")
    axes.set_ylabel(f"share of them that is {right} (95 % intervals)")
    axes.set_title("Can the scores be read as probabilities?")
    _empty_or_legend(axes, bool(rows), "no decisions", loc="lower right", fontsize=9)
    save(figure, path)


def risk_coverage(rows: Rows, path: Path, recorded: bool = False) -> None:
    """Share of wrong proposals among those accepted, best scores first: a panel a policy, the others in grey."""
    names = sorted({row["policy"] for row in rows})
    columns = min(4, max(1, len(names)))
    lines = -(-len(names) // columns) or 1
    figure = Figure(figsize=(3.1 * columns + 0.6, 2.7 * lines + 0.8), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    for axes, name in zip(panels, [*names, *[""] * (lines * columns - len(names))], strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        if not name:
            axes.set_axis_off()
            continue
        axes.grid(alpha=0.3, zorder=0)
        for other in names:
            mine = [row for row in rows if row["policy"] == other]
            x, y, low, high = (
                [float(row[key]) for row in mine] for key in ("coverage", "error", "error_low", "error_high")
            )
            shown: Keywords = {"color": POLICIES[name].colour, "linewidth": 2, "zorder": 3}
            axes.plot(x, y, **(shown if other == name else {"color": GREY, "alpha": 0.5, "linewidth": 0.8}))
            if other == name:
                axes.fill_between(x, low, high, color=POLICIES[name].colour, alpha=0.15, linewidth=0)
        axes.set_title(legend_name(name), fontsize=11)
    figure.supxlabel("share of the cheap model's proposals accepted")
    figure.supylabel("share of those that differs from your agent's" if recorded else "share of those that is wrong")
    figure.suptitle("What accepting more costs (95 % intervals)" if names else "No decisions", fontsize=13)
    save(figure, path)


def _label(name: str, heights: list[float]) -> str:
    return name if any(heights) else f"{name} (accepts nothing)"


def _empty_or_legend(axes: Axes, any_data: bool, otherwise: str, **legend: object) -> None:
    if any_data:
        axes.legend(frameon=False, **legend)
    else:
        axes.text(0.5, 0.5, otherwise, ha="center", va="center", transform=axes.transAxes)


def framed(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.title.set_fontsize(13)
    axes.xaxis.label.set_fontsize(12)
    axes.yaxis.label.set_fontsize(12)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Replace `path` in one step. No software version or time goes into the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".png", dir=path.parent)
    os.close(handle)
    try:
        figure.savefig(name, dpi=120, metadata={"Software": None})
        os.chmod(name, 0o644)  # mkstemp makes it 0600
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
