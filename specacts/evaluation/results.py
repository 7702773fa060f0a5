"""What `metrics/eval.json` holds, as types: an `Evaluation`, written by the evaluate stage and read by the report."""

from specacts.core.comparison import RuleKind
from specacts.core.results import Estimate, Result
from specacts.core.words import Level, Role


class Accuracies(Result):
    """Of a policy, or the difference of two on the same decisions: at each level of agreement."""

    type_accuracy: Estimate
    tool_accuracy: Estimate
    call_accuracy: Estimate
    effect_accuracy: Estimate

    def accuracy(self, level: str) -> Estimate:
        """At a level of `evaluation.metrics.LEVELS`."""
        found: Estimate = getattr(self, f"{level}_accuracy")
        return found


class Summary(Accuracies):
    """A policy or baseline.

    accept_rate: share of actions taken from the cheap model; None where no model was asked. precision, recall: of
    ACCEPT, of judges alone; 0 where nothing was accepted, or nothing was right, as in scikit-learn, so that every
    experiment has the same keys. cost: relative to A's, by cost model.
    """

    accept_rate: Estimate | None = None
    precision: Estimate | None = None
    recall: Estimate | None = None
    malformed: float
    cost: dict[str, Estimate]


class Versus(Accuracies):
    """One way to act minus another, on the same decisions. cost: by cost model, in units of A's."""

    cost: dict[str, Estimate]


class Climbed(Result):
    """The cascade cheap, verifier's model, strong: share of actions of its middle model, and each policy minus it.

    against: by policy, and of the verifier's model alone (`middle`).
    """

    from_middle: Estimate
    against: dict[str, Versus]


class Kept(Result):
    """What a policy at a guaranteed threshold did: share accepted, accuracy lost to A (negative: won), cost."""

    accept_rate: float
    lost: Estimate
    cost: dict[str, Estimate]


class Standing(Result):
    """How a policy stands to a coin, and what share of the possible it wins.

    above_line: accuracy above that of a coin between A and B that costs as much. undominated: whether no policy is as
    accurate and as cheap, and one of both more so; undominated_share: in how many resamples. Of judging policies:
    minus_coin, accuracy above the same policy's with a coin that accepts as often; area, accuracy over all budgets
    between B's cost and A's (`frontier.area`); headroom, what it wins of the area between a coin's and a perfect
    router's.
    """

    above_line: Estimate
    undominated: int
    undominated_share: float
    minus_coin: Estimate | None = None
    area: Estimate | None = None
    headroom: Estimate | None = None


class Area(Result):
    """Accuracy over all budgets between B's cost and A's."""

    area: Estimate


class Frontier(Result):
    """By policy; and the areas of all policies at their own thresholds, of a coin, and of a perfect router."""

    policies: dict[str, Standing]
    area_of_all: Area
    area_of_coin: Area
    area_of_perfect_router: Area


class VerifierQuality(Result):
    """AUROC of scores for "the cheap model's greedy proposal is right"; see `quality.verifier_quality`."""

    auroc: Estimate
    verdict_auroc: Estimate
    confidence_auroc: Estimate
    logprob_auroc: Estimate
    strong_auroc: Estimate | None = None
    auroc_minus_confidence: Estimate
    base_rate: Estimate


class ScoreQuality(Result):
    """A score of greedy proposals: at ranking, and as a probability, raw and calibrated."""

    base_rate: Estimate
    auroc: Estimate
    average_precision: Estimate
    brier: Estimate
    brier_calibrated: Estimate
    ece: Estimate
    ece_calibrated: Estimate


class WithTools(Result):
    """Seconds a decision, tool included: A's, its tool's, and of other ways to act relative to A."""

    seconds_of_A: float
    tool_seconds: float
    serial_D: Estimate
    parallel_D: Estimate
    serial_F: Estimate
    parallel_F: Estimate
    lossless: Estimate


class Latency(Result):
    """By what tools take. work: seconds that models ran, relative to A's.

    hit_rate: of the strong model's calls that change nothing, the share that the cheap model proposes too, first
    (first_1) or at all (first_all).
    """

    by_tool_seconds: dict[str, WithTools]
    work_serial_D: Estimate
    work_parallel_D: Estimate
    work_serial_F: Estimate
    work_parallel_F: Estimate
    work_lossless: Estimate
    read_only_calls: int
    hit_rate_first_1: Estimate
    hit_rate_first_all: Estimate


class Speech(Result):
    """What a proposer thinks of the agent's words, and how much it says itself where it proposes to speak.

    decisions: at which the agent said something. nll: of its words, in nats a token. Lengths in the proposer's tokens,
    the stop token included; recorded words are read as far as a model may generate. said, cut: how often the greedy
    proposal says something, and how often it was not done where its tokens ended.
    """

    decisions: int
    nll: Estimate
    recorded_tokens: Estimate
    said: int
    said_tokens: Estimate
    cut: int


class MeanCharge(Result):
    """A mean `cost.Charge`: FLOPs in whole numbers, money in millionths. None: not known of a recorded model."""

    flops: int | None = None
    flops_no_cache: int | None = None
    seconds: float | None = None
    money: float
    upstream: float
    new_flops: int | None = None
    cached_flops: int | None = None
    generated_flops: int | None = None
    new_tokens: float
    cached_tokens: float
    generated_tokens: float


class Ruled(Result):
    """What a kind of rule for arguments decided at the cheap model's greedy proposals.

    decisions: those whose recorded call has an argument under such a rule. compared: of them those where type and tool
    agree. same: of those where all arguments agree, which by rules of this kind alone they do: exactly, some would not.
    refused: where no arguments disagree but those under rules of this kind.
    """

    decisions: int
    compared: int
    same: int
    refused: int


class Hopping(Result):
    """What the strong model reads anew only because it did not see the decisions before.

    tokens: a decision. money: what they cost beyond cached ones, a decision, in millionths. share: of A's money.
    """

    tokens: float
    money: float
    share: Estimate


class Hopped(Result):
    """By policy; and at guaranteed thresholds, by policy and risk."""

    policies: dict[str, Hopping]
    guaranteed: dict[str, dict[str, Hopping]]


class Evaluation(Result):
    """Everything; by policy, where it is not said otherwise.

    paired: differences in accuracy on the same decisions, by `D_minus_A` and the like. guaranteed: by policy and risk.
    speech: by proposer, where the traces hold words. verifier: none where there is no verifier.
    upstream_without_fallback: upstream's price of a decision as its own table has it. hopping: None in results of
    before it was counted. rules: by kind, where any tool has some. cascade: None where the verifier's model cannot act.
    """

    decisions: int
    groups: int
    level: Level
    policies: dict[str, Summary]
    paired: dict[str, Accuracies]
    frontier: Frontier
    guaranteed: dict[str, dict[str, Kept]]
    verifier: VerifierQuality | None = None
    scores: dict[str, ScoreQuality]
    baselines: dict[str, Summary]
    latency: Latency | None = None
    cost_per_decision: dict[str, MeanCharge]
    cost_per_episode: dict[str, MeanCharge]
    speech: dict[Role, Speech] | None = None
    hopping: Hopped | None = None
    upstream_without_fallback: dict[str, float]
    rules: dict[RuleKind, Ruled] | None = None
    cascade: Climbed | None = None
