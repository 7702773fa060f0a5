"""What policies, costs and levels are called, and how numbers and tables look in the report and in model cards.

percent(Estimate(0.612, 0.57, 0.65))    # 61.2 % (57–65)
"""

from collections.abc import Sequence
from typing import Literal, TypeVar

from tabulate import tabulate

from specacts.core.results import Estimate
from specacts.policies.table import POLICIES

COSTS = {
    "flops": "FLOPs",
    "flops_no_cache": "FLOPs, no cache",
    "seconds": "seconds",
    "money": "money",
    "upstream": "upstream's figures",
}
LEVELS = {"type": "action type", "tool": "type and tool", "call": "full call", "effect": "same effect"}
AVERAGES = {"decisions": "per decision as they come", "groups": "averaged over groups, each counting alike"}
"""What a promise is about, by `acceptance.average_over`."""

AGENT = "what your agent did"

Side = Literal["below", "within", "above"]
Found = TypeVar("Found")


def title(name: str, recorded: bool) -> str:
    """A policy in a table. recorded: A is the agent that wrote the traces."""
    return AGENT if recorded and name == "A" else POLICIES[name].title


def described(name: str) -> str:
    """`C (cheap proposes, strong judges)`: a policy on a page that has not explained its letter."""
    return f"{name} ({POLICIES[name].title})"


def side(estimate: Estimate, pivot: float = 0.0) -> Side:
    """Where an interval lies: below or above a value, or around it."""
    return "below" if estimate.high < pivot else "above" if estimate.low > pivot else "within"


def listed(names: Sequence[str]) -> str:
    """`C, D and E`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def as_table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """A Markdown table; all columns but the first are aligned right."""
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=align if rows else None)


def shown(value: float, form: str) -> str:
    """A number in one of Python's formats, such as `.1f`, or `,` for thousands apart."""
    return f"{value:{form}}"


def share(value: Estimate | float | None) -> str:
    """`61 %`, or a dash where there is no such number."""
    if value is None:
        return "–"
    return f"{(value.value if isinstance(value, Estimate) else value) * 100:.0f} %"


def percent(estimate: Estimate) -> str:
    """`61.2 % (57–65)`."""
    return f"{estimate.value * 100:.1f} % ({estimate.low * 100:.0f}–{estimate.high * 100:.0f})"


def percent_to(estimate: Estimate, form: str = ".1f") -> str:
    """`61.2 % (57 to 65)`: where a bound may be negative."""
    return f"{estimate.value * 100:{form}} % ({estimate.low * 100:.0f} to {estimate.high * 100:.0f})"


def points(estimate: Estimate) -> str:
    """`+1.2 (-0.8 to +3.1)`, in percentage points."""
    return f"{estimate.value * 100:+.1f} ({estimate.low * 100:+.1f} to {estimate.high * 100:+.1f})"


def signed(estimate: Estimate) -> str:
    """The same, in bold where the interval excludes zero."""
    text = points(estimate)
    return text if side(estimate) == "within" else f"**{text}**"


def interval(estimate: Estimate, form: str = ".3f") -> str:
    """`0.812 (0.790 to 0.833)`."""
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"


def ratio(cost: Estimate) -> str:
    """Relative cost with its interval where that is wider than the figures shown."""
    low, high = f"{cost.low:.2f}", f"{cost.high:.2f}"
    return f"{cost.value:.2f}" if low == high else f"{cost.value:.2f} ({low}–{high})"


def risk_points(risk: str | float) -> str:
    """`5 points`."""
    return f"{float(risk) * 100:g} points"


def risk_share(risk: str | float) -> str:
    """`5 %`: the same risk where what is lost are actions that differ from a recorded agent's."""
    return f"{float(risk) * 100:g} %"


def amount(money: float) -> str:
    """`0.0568`, `4.54`, `1,235`: three figures, and never fewer than the whole ones."""
    return f"{money:,.0f}" if money >= 100 else f"{money:#.3g}"


def there(value: Found | None) -> Found:
    """A figure that every judging policy has, and others lack."""
    assert value is not None
    return value
