"""What the models said, recorded once: everything a policy, a threshold or a cost can be computed from.

One `Answers` row a decision, one JSON line each, under `data/answers/`; `models.json` beside them holds what
one token costs each model. Policies are replayed over these rows in seconds, without a model.
"""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from specacts.episodes import Action
from specacts.errors import UserError
from specacts.files import read_json, read_jsonl


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Candidate(_Strict):
    """An action a model generated. `action` is None where its text was malformed.

    confidence: the model's probability of this action's type among the nine. logprob: of the whole text.
    tokens: generated, the stop token included. seconds: its share of the decoding it took part in.
    """

    text: str
    action: Action | None
    confidence: float
    logprob: float
    tokens: int
    seconds: float


class Verdict(_Strict):
    """A model's judgement of a candidate: score in (0, 1), tokens read for it, seconds."""

    score: float
    tokens: int
    seconds: float


class Answers(_Strict):
    """Every recorded answer at one decision.

    context: tokens before the decision in its window; a model that answered earlier in the same window has
    part of them cached. seconds_per_token: what reading one context token took each model.
    """

    episode: str
    group: str
    source: str
    decision: int
    window: int
    context: int
    gold: Action
    cheap: tuple[Candidate, ...]
    strong: Candidate
    verifier: tuple[Verdict, ...]
    strong_verdict: tuple[Verdict, ...]
    seconds_per_token: dict[str, float]


class ModelSize(NamedTuple):
    """What decides the FLOPs of a token: body and head parameters, layers, width of attention (heads × head size)."""

    body: int
    head: int
    layers: int
    attention: int


def load_answers(path: Path) -> list[Answers]:
    """Read recorded answers, or say which line and field is wrong."""
    rows = []
    for number, row in read_jsonl(path):
        try:
            rows.append(Answers.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{path}:{number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if not rows:
        raise UserError(f"{path}: no answers in it; the split is empty")
    return rows


def load_sizes(path: Path) -> dict[str, ModelSize]:
    """Read `models.json`: role to `ModelSize`."""
    return {role: ModelSize(**size) for role, size in read_json(path).items()}
