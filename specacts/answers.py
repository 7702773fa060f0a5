"""What the models said, recorded once: everything a policy, a threshold or a cost can be computed from.

One `Answers` row a decision, one JSON line each, under `data/answers/`; `models.json` beside them holds what
one token costs each model. Policies are replayed over these rows in seconds, without a model.

    rows = load_answers(Path("data/answers/test.jsonl"))
    sizes = load_sizes(Path("data/answers/models.json"))
"""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from specacts.config import ROLES, JudgeScore, Role
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
    confidence: float = Field(ge=0)
    logprob: float
    tokens: int = Field(ge=1)
    seconds: float = Field(ge=0)


class Verdict(_Strict):
    """A model's judgement of a candidate.

    score: a probability, to within rounding; 0 for a malformed candidate, which no model has to be asked about.
    tokens, heads: read, and next-token distributions computed, for it; 0 where an equal candidate of the same decision
    was judged already. seconds: likewise.
    """

    score: float = Field(ge=0)
    tokens: int = Field(ge=0)
    heads: int = Field(ge=0)
    seconds: float = Field(ge=0)


class Answers(_Strict):
    """Every recorded answer at one decision.

    cheap: N candidates, the greedy one first. Verdicts on each, in the same order: verifier, its answer to the question
    ACCEPT or REJECT; verifier_likelihood and strong_verdict, how likely the verifier and the strong model find it.
    context: tokens before the decision in its window; a model that answered earlier in the same window has
    part of them cached. seconds_per_token: what reading one context token took each model.
    """

    episode: str
    group: str
    source: str
    decision: int
    window: int
    context: int = Field(ge=1)
    gold: Action
    cheap: tuple[Candidate, ...] = Field(min_length=1)
    strong: Candidate
    verifier: tuple[Verdict, ...]
    verifier_likelihood: tuple[Verdict, ...]
    strong_verdict: tuple[Verdict, ...]
    seconds_per_token: dict[Role, float]

    @model_validator(mode="after")
    def _complete(self) -> "Answers":
        for field in ("verifier", "verifier_likelihood", "strong_verdict"):
            count = len(getattr(self, field))
            if count != len(self.cheap):
                raise ValueError(f"{field} holds {count} verdicts on {len(self.cheap)} candidates")
        missing = sorted(set(ROLES) - set(self.seconds_per_token))
        if missing:
            raise ValueError(f"seconds_per_token lacks {', '.join(missing)}")
        return self


def judged_by(rows: list[Answers], score: JudgeScore) -> list[Answers]:
    """The rows with the verifier's verdicts that policies are to go by."""
    if score == "verdict":
        return rows
    return [row.model_copy(update={"verifier": row.verifier_likelihood}) for row in rows]


class ModelSize(NamedTuple):
    """What decides the FLOPs of a token: body and head parameters, layers, width of attention (heads × head size)."""

    body: int
    head: int
    layers: int
    attention: int


def load_answers(path: Path) -> list[Answers]:
    """Read recorded answers, or say which line and field is wrong.

    A window's rows have to stand together and in order: what a model has cached at a row depends on it.
    """
    rows: list[Answers] = []
    seen: set[tuple[str, int]] = set()
    for number, value in read_jsonl(path):
        row = _validated(path, number, value)
        key = (row.episode, row.window)
        follows = bool(rows) and key == (rows[-1].episode, rows[-1].window) and row.context > rows[-1].context
        if key in seen and not follows:
            raise UserError(f"{path}:{number}: context: {row.episode}, window {row.window}: decisions are out of order")
        seen.add(key)
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: no answers in it; the split is empty")
    return rows


def _validated(path: Path, number: int, value: object) -> Answers:
    try:
        return Answers.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "(row)"
        raise UserError(f"{path}:{number}: {field}: {first['msg']} (got {str(first['input'])[:80]!r})") from error


def load_sizes(path: Path) -> dict[str, ModelSize]:
    """Read `models.json`: role to `ModelSize`; every role has to be in it."""
    values = read_json(path)
    for role in ROLES:
        found = values.get(role) if isinstance(values, dict) else None
        if not isinstance(found, dict) or set(found) != set(ModelSize._fields):
            raise UserError(f"{path}: {role}: needs {', '.join(ModelSize._fields)} (got {str(found)[:80]!r})")
    return {role: ModelSize(**values[role]) for role in ROLES}
