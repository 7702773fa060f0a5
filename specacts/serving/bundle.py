"""A bundle: a policy that can be put in front of an agent, with everything that it was proved on, and all of it hashed.

    bundle = load_bundle(Path("models/policy"))      # reads policy.json and checks every file by its hash
    bundle.offer(risk=0.1).policy                    # the promise that is asked for; without a risk, the default

Beside `policy.json` lie `action_types.yaml` (which type a tool's call is, and how arguments are compared),
`prompt_format.md`, and where policies need them `router.json` and `combination.json`. Adapters and bases are not in
the folder but named by path from it and by the SHA-256 of each of their files: in a workspace they are the pipeline's
own, `../cheap` and `../base/cheap`; in a folder that `specacts export` writes they lie at the same places beside it.
"""

from specacts.config import AverageOver, Prices, Recipe, Render, UpstreamCost
from specacts.core.results import Result
from specacts.core.words import ActionType, JudgeScore, Level, Role
from specacts.models.sizes import ModelSize
from specacts.policies.results import Bar


class Watched(Result):
    """What live traffic is held to: actions that the cheap model took and upstream would have chosen otherwise.

    limit: their share of all decisions that is promised. basis: `risk` where a loss is such an action (the strong model
    is the agent that wrote the logs), else `calibrated`: an upper confidence bound found on the calibration split,
    because the promise is about right and wrong there, which nobody knows of live traffic.
    """

    limit: float
    basis: str


class Offer(Result):
    """A policy that is ready to act: letter and threshold, and the risk that it was shown to keep; None: not shown.

    watched: what live traffic is held to; None where nothing is promised.
    """

    policy: str
    threshold: Bar | None
    risk: float | None
    watched: Watched | None


class Proof(Result):
    """What promises rest on: the calibration split's groups and decisions, and what the loss is averaged over.

    most_counted: decisions of a group that count (policies/guarantee.py).
    """

    confidence: float
    level: Level
    average_over: AverageOver
    most_counted: int
    groups: int
    decisions: int


class Part(Result):
    """A model's files: folders from the bundle's own, and each file's SHA-256 by its name there."""

    base: str
    base_files: dict[str, str]
    adapter: str | None
    adapter_files: dict[str, str]
    size: ModelSize


class Bundle(Result):
    """`policy.json`.

    made_by: version of specacts. source: whether models read conversations as one's own or as BFCL's (their listings of
    tools differ). tools: the order in which listings want tools, the most called first; others follow. never_cheap:
    action types that may never be taken from the cheap model. offers: one a risk, the smallest first; without one, the
    most accurate policy within budget, unpromised. default: the place in `offers` of what acts unless a risk is named.
    score, proposals, temperature: how models are asked (score: what the verifier judges by).
    """

    made_by: str
    source: str
    tools: tuple[str, ...]
    never_cheap: tuple[ActionType, ...]
    offers: tuple[Offer, ...]
    default: int
    proof: Proof
    seed: int
    device: str
    dtype: str
    render: Render
    recipe: Recipe
    score: JudgeScore
    proposals: int
    temperature: float
    prices: Prices
    upstream: UpstreamCost
    models: dict[Role, Part]
