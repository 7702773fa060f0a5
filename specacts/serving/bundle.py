"""A bundle: a policy that can be put in front of an agent, with everything that it was proved on, and all of it hashed.

    bundle = load_bundle(Path("models/policy"))      # reads policy.json and checks every file by its hash
    bundle.offer(risk=0.1).policy                    # the promise that is asked for; without a risk, the default
    bundle.base("cheap"), bundle.adapter("cheap")    # folders, wherever the bundle lies

Beside `policy.json` lie `action_types.yaml` (which type a tool's call is, and how arguments are compared),
`prompt_format.md`, and where policies need them `router.json` and `combination.json`. Adapters and bases are not in
the folder but named by path from it and by the SHA-256 of each of their files: in a workspace they are the pipeline's
own, `../cheap` and `../base/cheap`; in a folder that `specacts export` writes they lie at the same places beside it.
"""

from collections.abc import Collection, Iterable
from math import isclose
from pathlib import Path
from typing import Literal, Self

from pydantic import PrivateAttr

from specacts.config import AverageOver, Prices, Recipe, Render, UpstreamCost
from specacts.core.episodes import Tool
from specacts.core.errors import UserError
from specacts.core.files import sha256
from specacts.core.results import Result
from specacts.core.words import ActionType, JudgeScore, Level, Role
from specacts.models.sizes import ModelSize
from specacts.policies.combine import Combination, load_combination
from specacts.policies.results import Bar
from specacts.policies.router import Router, load_router

POLICY, TYPES, FORMAT = "policy.json", "action_types.yaml", "prompt_format.md"
ROUTER, COMBINATION = "router.json", "combination.json"
FOLDER = "policy"
"""A bundle's folder in `models/`, beside adapters and bases."""


class Watched(Result):
    """What live traffic is held to: actions that the cheap model took and upstream would have chosen otherwise.

    limit: their share of all decisions that is promised. basis: `risk` where a loss is such an action (the strong model
    is the agent that wrote the logs), else `calibrated`: an upper confidence bound found on the calibration split,
    because the promise is about right and wrong there, which nobody knows of live traffic.
    """

    limit: float
    basis: Literal["risk", "calibrated"]


class Offer(Result):
    """A policy that is ready to act: letter and threshold, and the risk that it was shown to keep; None: not shown.

    threshold: None of A and B, which have none. watched: what live traffic is held to; None where nothing is promised,
    and of A, which takes no action from the cheap model. taken: the share that it took from it on the calibration
    split. cost: what it cost there, relative to the strong model alone.
    """

    policy: str
    threshold: Bar | None
    risk: float | None
    watched: Watched | None
    taken: float
    cost: float


class Proof(Result):
    """What promises rest on: the calibration split's groups and decisions, and what the loss is averaged over.

    most_counted: decisions of a group that count (policies/guarantee.py). cost_model: what costs are counted in.
    """

    confidence: float
    level: Level
    average_over: AverageOver
    most_counted: int
    groups: int
    decisions: int
    cost_model: str


class Part(Result):
    """A model's files: folders from the bundle's own, and each file's SHA-256 by its name there.

    hub: the base's name on a model hub, and the commit there, where it is that model with all of its layers. origin,
    licence: the name of the model that it was made from, and its licence, where they are known.
    """

    base: str
    base_files: dict[str, str]
    adapter: str | None
    adapter_files: dict[str, str]
    hub: str | None
    size: ModelSize
    commit: str | None = None
    origin: str | None = None
    licence: str | None = None


class Bundle(Result):
    """`policy.json`.

    made_by: version of specacts. source: whether models read conversations as one's own or as BFCL's (their listings of
    tools differ). tools: how often each was called in training, the most called first. characters: longer calls were
    shortened in training (traces/ingest.py); None: none was. redacts: whether secrets were redacted there. never_cheap:
    action types that may never be taken from the cheap model. offers: one a risk, the smallest first; without one, the
    most accurate policy within budget, unpromised. default: the place in `offers` of what acts unless a risk is named.
    score, proposals, temperature, well_formed: how models are asked, and what the verifier judges by. files: SHA-256 of
    what lies in the folder itself.
    """

    made_by: str
    source: Literal["own", "bfcl"]
    tools: dict[str, int]
    characters: int | None
    redacts: bool
    never_cheap: tuple[ActionType, ...]
    offers: tuple[Offer, ...]
    default: int
    proof: Proof
    seed: int
    device: Literal["cpu", "cuda", "auto"]
    dtype: Literal["float32", "bfloat16"]
    render: dict[Role, Render]
    recipe: Recipe
    score: JudgeScore
    proposals: int
    temperature: float
    well_formed: bool
    prices: Prices
    upstream: UpstreamCost
    files: dict[str, str]
    models: dict[Role, Part]

    _folder: Path = PrivateAttr(default=Path(FOLDER))

    @property
    def folder(self) -> Path:
        """Where the bundle was read."""
        return self._folder

    def offer(self, risk: float | None) -> Offer:
        """What acts at a risk; without one, the default. Raises `UserError` where there is no such promise."""
        if risk is None:
            return self.offers[self.default]
        for offer in self.offers:
            if offer.risk is not None and isclose(offer.risk, risk, abs_tol=1e-9):
                return offer
        there = ", ".join(f"{offer.risk:g}" for offer in self.offers if offer.risk is not None)
        raise UserError(
            f"risk: {risk:g} is not on offer in {self.folder}: "
            + (f"choose from {there}" if there else "it has only an offer without a promise; leave --risk out")
            + ", or ask for another with acceptance.risk and run `dvc repro bundle`"
        )

    def arranged(self, tools: Iterable[Tool]) -> tuple[Tool, ...]:
        """Tools in the order in which listings had them in training: the most called first, else as they come."""
        return tuple(sorted(tools, key=lambda tool: -self.tools.get(tool.name, 0)))

    def base(self, role: Role) -> Path:
        """The folder of a role's base model, with its tokenizer."""
        return self.folder / self.models[role].base

    def adapter(self, role: Role) -> Path | None:
        """The folder of a role's adapter; None where the base is used as it comes."""
        adapter = self.models[role].adapter
        return None if adapter is None else self.folder / adapter

    @property
    def types(self) -> Path:
        """The table of action types (traces/tool_types.py)."""
        return self.folder / TYPES

    def router(self) -> Router | None:
        """The router; None where no policy on offer needs it."""
        return load_router(self.folder / ROUTER) if ROUTER in self.files else None

    def combination(self) -> Combination | None:
        """H's score; None where no policy on offer needs it."""
        return load_combination(self.folder / COMBINATION) if COMBINATION in self.files else None

    def at(self, folder: Path) -> Self:
        """The same bundle, read from another folder."""
        moved = self.model_copy()
        moved._folder = folder
        return moved


def load_bundle(folder: Path, roles: Collection[Role] | None = None) -> Bundle:
    """Read a bundle and check every file that it names. folder: the bundle's own, or the one that holds it (`models`).

    roles: of which models files are checked, which takes seconds a gigabyte; without it all. Raises `UserError` where a
    file is missing or is not the one that the policy was proved with.
    """
    place = folder if (folder / POLICY).is_file() or not (folder / FOLDER / POLICY).is_file() else folder / FOLDER
    if not (place / POLICY).is_file():
        raise UserError(f"{folder}: has no {POLICY}; make a bundle with `dvc repro bundle`, or give the right folder")
    bundle = Bundle.load(place / POLICY).at(place)
    _check(place, bundle.files)
    for role, part in ((role, part) for role, part in bundle.models.items() if roles is None or role in roles):
        _check(bundle.base(role), part.base_files)
        adapter = bundle.adapter(role)
        if adapter is not None:
            _check(adapter, part.adapter_files)
    return bundle


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder and the folders in it, by its name there, in order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def _check(folder: Path, files: dict[str, str]) -> None:
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: no such file, but the bundle's policy needs it; {AGAIN}")
        if sha256(path) != wanted:
            raise UserError(f"{path}: is not the file that the bundle's policy was chosen with; {AGAIN}")


AGAIN = "bring it back (`dvc checkout`, or copy the whole bundle again), or make a new bundle with `dvc repro bundle`"
"""What to do about a bundle that is not whole."""
