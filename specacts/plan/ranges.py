"""From one figure to another: what is foretold is no number."""

from typing import NamedTuple


class Range(NamedTuple):
    """From `low` to `high`, in whatever it is said to count."""

    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":  # type: ignore[override]  # ranges add up, they are no sequences
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> "Range":
        return Range(self.low * factor, self.high * factor)

    def over(self, other: "Range") -> "Range":
        """The larger of both, at either end."""
        return Range(max(self.low, other.low), max(self.high, other.high))

    def told(self, digits: int = 0) -> str:
        """Both ends, or one where they read alike.

        >>> Range(1.24, 2).told(1), Range(3, 3.1).told()
        ('1.2–2.0', '3')
        """
        ends = [f"{end:,.{digits}f}" for end in self]
        return ends[0] if ends[0] == ends[1] else "–".join(ends)
