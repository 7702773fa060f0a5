"""What the calibrate stage leaves: thresholds, promises, and what they did on the calibration split."""

from typing import Self

from pydantic import model_validator

from specacts.config import AverageOver
from specacts.core.results import Result
from specacts.core.words import ActionType, Level
from specacts.policies.decide import Bars
from specacts.policies.table import JUDGING, POLICIES, learns_to_judge

Bar = float | dict[str, float]
"""A threshold, or one by the proposal's action type."""


class Fitted(Result):
    """A policy's threshold and what it did on the calibration split.

    gain: its accuracy minus the strong model's. cost: relative to always asking strong.
    """

    threshold: float
    within_budget: bool
    accuracy: float
    gain: float
    accept_rate: float
    cost: float


class Thresholds(Result):
    """`data/thresholds.json`: by policy, the most accurate policy within budget, and the best beside A, B and D."""

    policies: dict[str, float]
    most_accurate: str
    best_other: str

    @model_validator(mode="after")
    def _complete(self) -> Self:
        # A recorded strong model judges nothing, and without a verifier there is no router either.
        wanted = (name for name in JUDGING if POLICIES[name].judge is None and not learns_to_judge(name))
        lacking = [name for name in wanted if name not in self.policies]
        if lacking:
            raise ValueError(f"policies: {lacking[0]} is missing")
        if self.best_other not in self.policies:
            raise ValueError(f"best_other: {self.best_other!r} is not one of {', '.join(self.policies)}")
        return self


class Asked(Result):
    """What was found for `acceptance.risk`: thresholds by policy, and the cheapest of them."""

    risk: float
    by_type: dict[ActionType, float]
    policies: dict[str, Bar]
    cheapest: str


class Promise(Result):
    """`data/promise.json`: the cheapest policy at each risk of the menu, and what was asked for."""

    cheapest: dict[str, str]
    asked: Asked | None


class Cascade(Result):
    """The cascade's bars (`decide.Bars`) and what it did on the calibration split, like `Fitted`.

    from_cheap, from_middle: share of actions of the cheap and of the verifier's model.
    """

    cheap: float
    middle: float
    within_budget: bool
    accuracy: float
    gain: float
    from_cheap: float
    from_middle: float
    cost: float

    @property
    def bars(self) -> Bars:
        return Bars(self.cheap, self.middle)


class OnCalibrate(Result):
    """`metrics/calibrate.json`: what every policy's threshold did on the split, and the menu of guaranteed ones.

    average_over: what promises are about. most_counted: decisions of a group that count in them. larger_groups: those
    that hold more. mean_weight: of a group, 1 where it holds so many (guarantee.py). majority: the gold action type of
    most decisions. guaranteed: by policy and risk. projected: what a larger split would show, by how many times the
    groups, policy and risk. groups_needed: by risk. cascade: None where the verifier's model cannot act.
    """

    decisions: int
    groups: int
    average_over: AverageOver
    most_counted: int
    larger_groups: int
    mean_weight: float
    level: Level
    cost_model: str
    max_relative_cost: float
    confidence: float
    majority: ActionType
    guaranteed: dict[str, dict[str, float]]
    projected: dict[str, dict[str, dict[str, float]]]
    groups_needed: dict[str, int]
    policies: dict[str, Fitted]
    cascade: Cascade | None = None

    def safe(self, promise: Promise) -> dict[str, dict[str, Bar]]:
        """Guaranteed thresholds by policy and risk: those of the menu, and that of the risk asked for (`ASKED`)."""
        found: dict[str, dict[str, Bar]] = {name: dict(by_risk) for name, by_risk in self.guaranteed.items()}
        for name, bar in (promise.asked.policies if promise.asked else {}).items():
            found[name][ASKED] = bar
        return found


ASKED = "asked"
"""Stands for the risk that was asked for, beside those of the menu."""
