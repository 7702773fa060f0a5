"""What the report is made of: the results of all stages and the settings they were made with."""

from typing import NamedTuple

from specacts.answering.records import AnswerMetrics
from specacts.config import Recipe
from specacts.core.words import JudgeScore, Level, Role
from specacts.evaluation.results import Evaluation
from specacts.evaluation.seeds import Seeds
from specacts.live.results import LiveMetrics
from specacts.models.results import Assets
from specacts.policies.results import OnCalibrate, Promise, Thresholds
from specacts.policies.router import RouteMetrics
from specacts.policies.table import JUDGING
from specacts.recipe import has_verifier, is_recorded
from specacts.traces.results import DataMetrics, IngestMetrics
from specacts.training.results import TrainMetrics


class Losses(NamedTuple):
    """Where a training's loss began and ended."""

    first: float
    final: float


class Trained(NamedTuple):
    """What a training measured; no losses where it took no step."""

    measured: TrainMetrics
    losses: Losses | None


class Facts(NamedTuple):
    """Everything that the report tells.

    training: of the roles whose training was recorded. currency: of the price table `prices`. seeds: what other seeds
    gave, where that is of this run.
    """

    evaluation: Evaluation
    calibration: OnCalibrate
    thresholds: Thresholds
    promise: Promise
    live: LiveMetrics
    router: RouteMetrics
    data: DataMetrics
    own: IngestMetrics
    answers: AnswerMetrics
    assets: Assets
    training: dict[Role, Trained]
    scale: str
    recipe_name: str
    recipe: Recipe
    level: Level
    score: JudgeScore
    cost_model: str
    max_relative_cost: float
    prices: str
    currency: str
    seeds: Seeds | None = None

    @property
    def recorded(self) -> bool:
        """Whether the strong model is the agent that wrote the traces."""
        return is_recorded(self.recipe)

    @property
    def verified(self) -> bool:
        """Whether a verifier was trained; else there is no router either."""
        return has_verifier(self.recipe)

    @property
    def judging(self) -> tuple[str, ...]:
        """The judging policies that could be replayed."""
        return tuple(name for name in JUDGING if name in self.evaluation.policies)
