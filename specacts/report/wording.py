"""What the report's parts share: the facts it is made of, what policies and costs are called, how numbers look."""

from typing import Any, NamedTuple

from tabulate import tabulate

from specacts.config import Recipe

POLICIES = {
    "A": "always the strong model",
    "B": "the cheap model alone",
    "C": "cheap proposes, strong judges",
    "D": "cheap proposes, trained verifier judges",
    "E": "cheap proposes N, verifier picks",
    "F": "cheap proposes, its own confidence decides",
    "G": "a router decides who acts, before any call",
    "H": "as D, by verifier, confidence and router",
}
JUDGING = ("C", "D", "E", "F", "G", "H")
BASELINES = {
    "majority": "always the commonest type",
    "random": "a random type",
    "random_accept_D": "D with a coin for a verifier",
    "oracle": "D with a perfect verifier",
    "oracle_picks": "E with a perfect verifier",
    "oracle_routes": "G with a perfect router",
}
COSTS = {
    "flops": "FLOPs",
    "flops_no_cache": "FLOPs, no cache",
    "seconds": "seconds",
    "money": "money",
    "upstream": "upstream's figures",
}
LEVELS = {"type": "action type", "tool": "type and tool", "call": "full call", "effect": "same effect"}
Entry = dict[str, Any]


class Facts(NamedTuple):
    """What the report is made of: the metrics files' contents and the settings they were made with.

    answers: metrics/answer.json. training: metrics/train/<role>.json by role, with the first and the last loss of its
    curve. ablation: metrics/ablation.json, {} where nobody ran it. thresholds, promise: data/thresholds.json and
    data/promise.json. live: metrics/live.json. router: metrics/route.json. own: metrics/ingest.json. currency: of the
    price table.
    """

    evaluation: Entry
    calibration: Entry
    thresholds: Entry
    promise: Entry
    live: Entry
    router: Entry
    data: Entry
    own: Entry
    answers: Entry
    assets: Entry
    training: dict[str, Entry]
    ablation: Entry
    scale: str
    recipe_name: str
    recipe: Recipe
    level: str
    score: str
    cost_model: str
    max_relative_cost: float
    prices: str
    currency: str


def side(entry: Entry, key: str, pivot: float, names: tuple[str, str, str]) -> str:
    low, high = entry[f"{key}_low"], entry[f"{key}_high"]
    return names[0] if high < pivot else names[2] if low > pivot else names[1]


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def as_table(rows: list[list[Any]], headers: list[str]) -> str:
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=align if rows else None)


def percent(entry: Entry, key: str) -> str:
    """`61.2 % (57–65)`."""
    return f"{entry[key] * 100:.1f} % ({entry[f'{key}_low'] * 100:.0f}–{entry[f'{key}_high'] * 100:.0f})"


def points(entry: Entry, key: str) -> str:
    """`+1.2 (-0.8 to +3.1)`, in percentage points."""
    value, low, high = (entry[f"{key}{end}"] * 100 for end in ("", "_low", "_high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def share(value: float | None) -> str:
    """`61 %`, or a dash where there is no such number."""
    return "–" if value is None else f"{value * 100:.0f} %"


def signed(entry: Entry, key: str) -> str:
    text = points(entry, key)
    return text if side(entry, key, 0.0, ("-", "", "+")) == "" else f"**{text}**"


def percent_to(entry: Entry, key: str) -> str:
    return f"{entry[key] * 100:.1f} % ({entry[f'{key}_low'] * 100:.0f} to {entry[f'{key}_high'] * 100:.0f})"


def interval(entry: Entry, key: str, form: str = ".3f") -> str:
    return f"{entry[key]:{form}} ({entry[f'{key}_low']:{form}} to {entry[f'{key}_high']:{form}})"


def ratio(cost: Entry, model: str) -> str:
    """Relative cost with its interval where that is wider than the figures shown."""
    value, low, high = (cost[f"{model}{end}"] for end in ("", "_low", "_high"))
    text = f"{value:.2f}"
    return text if f"{low:.2f}" == f"{high:.2f}" else f"{text} ({low:.2f}–{high:.2f})"


def risk_points(risk: Any) -> str:
    return f"{float(risk) * 100:g} points"
