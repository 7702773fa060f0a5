"""What the models said, recorded once: everything a policy, a threshold or a cost can be computed from.

One `Answers` row a decision, one JSON line each, under `data/answers/`; `models.json` beside them holds what
one token costs each model. Policies are replayed over these rows in seconds, without a model.

    rows = load_answers(Path("data/answers/test.jsonl"))
    sizes = load_sizes(Path("data/answers/models.json"))
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from specacts.core.episodes import Action
from specacts.core.errors import UserError
from specacts.core.files import read_models
from specacts.core.results import Result
from specacts.core.words import ROLES, Role


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Strict):
    """What a speaking action says, generated where it is taken: what comes behind the proposal's own tokens.

    whole: whether the model ended it itself. tokens: the stop token included. seconds: as a candidate's.
    """

    text: str
    whole: bool
    tokens: int = Field(ge=1)
    seconds: float = Field(ge=0)


class Candidate(_Strict):
    """An action a model generated. `action` is None where its text was malformed.

    confidence: the model's probability of this action's type among the nine. logprob: of the proposal. tokens:
    generated, the stop token included; of an action with words, its type and the first token behind it, which shows
    that words follow. seconds: its share of the decoding it took part in. words: what it says if it is taken, where it
    says anything; not known where nobody takes it.
    """

    text: str
    action: Action | None
    confidence: float = Field(ge=0)
    logprob: float
    tokens: int = Field(ge=1)
    seconds: float = Field(ge=0)
    words: Words | None = None

    @property
    def taken_tokens(self) -> int:
        """Tokens that it takes to act so, words included."""
        return self.tokens + (self.words.tokens if self.words else 0)

    @property
    def taken_seconds(self) -> float:
        """Seconds that it takes to act so, words included."""
        return self.seconds + (self.words.seconds if self.words else 0.0)

    @model_serializer(mode="wrap")
    def _without_words(self, dump: Callable[["Candidate"], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name != "words" or value is not None}


class Heard(_Strict):
    """How likely a model finds what the agent said: tokens, and the negative log-likelihood of all of them in nats."""

    tokens: int = Field(ge=1)
    nll: float = Field(ge=0)


class Verdict(_Strict):
    """A model's judgement of a candidate.

    score: a probability, to within rounding; of a reward, its sigmoid, so that even odds are 0.5 for every score; 0 for
    a malformed candidate, which no model has to be asked about.
    tokens, heads, seconds: read, next-token distributions computed, and taken, for it.
    shared: number of the decision's first candidate that the same computation judged, its own if it is the first: who
    asks about both pays once.
    """

    score: float = Field(ge=0)
    tokens: int = Field(ge=0)
    heads: int = Field(ge=0)
    seconds: float = Field(ge=0)
    shared: int = Field(ge=0)


class Answers(_Strict):
    """Every recorded answer at one decision.

    cheap: candidates, the greedy one first. picks: those of them, by number, that policy E chooses among. Verdicts on
    each, in the same order: verifier, its answer to the question ACCEPT or REJECT, or its reward; verifier_likelihood,
    how likely it finds the candidate (of a reward model there is none); strong_verdict, how likely the strong model
    finds it, or where that is frozen its answer to the question. A strong model that is recorded, and not asked, gives
    no verdicts, and its action is the gold one. Where there is no verifier there are no verdicts of it.
    middle: what the verifier's model would do itself, proposed greedily; None where it cannot act, as a reward model.
    window, context: by role, as each reads transcripts of its own form: the number of the window the decision is in,
    and the tokens before it there; a model that answered earlier in the same window has part of them cached.
    seconds_per_token: what reading one context token took each model that runs here; 0 for a recorded one that is
    known to have taken its seconds, reading included. cached: by role, how many of the context's tokens its provider's
    cache held, where the traces say so.
    heard: what the proposers that run here think of the agent's words, where it said any.
    """

    episode: str
    group: str
    source: str
    decision: int
    window: dict[Role, int]
    context: dict[Role, Annotated[int, Field(ge=1)]]
    gold: Action
    cheap: tuple[Candidate, ...] = Field(min_length=1)
    picks: tuple[int, ...] = Field(min_length=1)
    strong: Candidate
    verifier: tuple[Verdict, ...]
    verifier_likelihood: tuple[Verdict, ...]
    strong_verdict: tuple[Verdict, ...]
    seconds_per_token: dict[Role, float]
    heard: dict[Role, Heard] = Field(default_factory=dict)
    cached: dict[Role, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    middle: Candidate | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Answers":
        for field in ("verifier", "verifier_likelihood", "strong_verdict"):
            count = len(getattr(self, field))
            if count not in (0, len(self.cheap)):
                raise ValueError(f"{field} holds {count} verdicts on {len(self.cheap)} candidates")
        if not all(0 <= n < len(self.cheap) for n in self.picks):
            raise ValueError(f"picks names candidates that are not there: {list(self.picks)}")
        if self.verifier_likelihood and not self.verifier:
            raise ValueError("verifier holds no verdicts, and verifier_likelihood does")
        if self.middle and not self.verifier:
            raise ValueError("verifier holds no verdicts, and its model acts (middle)")
        there = set(ROLES) if self.verifier else set(ROLES) - {"verifier"}
        asked = there if self.strong_verdict else there - {"strong"}
        for field, roles in (("window", there), ("context", there), ("seconds_per_token", asked)):
            missing = sorted(roles - set(getattr(self, field)))
            if missing:
                raise ValueError(f"{field} lacks {', '.join(missing)}")
        for role, tokens in self.cached.items():
            if tokens > self.context[role]:
                raise ValueError(f"cached: {role}: {tokens} tokens of a context of {self.context[role]}")
        return self


def load_answers(path: Path) -> list[Answers]:
    """Read recorded answers, or say which line and field is wrong.

    An episode's rows have to stand together and in order: what a model has cached at a row depends on it.
    """
    rows: list[Answers] = []
    seen: set[str] = set()
    for number, row in read_models(path, Answers):
        follows = bool(rows) and row.episode == rows[-1].episode and row.decision > rows[-1].decision
        if row.episode in seen and not follows:
            raise UserError(f"{path}:{number}: decision: {row.episode}: decisions are out of order")
        seen.add(row.episode)
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: no answers in it; the split is empty")
    return rows


class Judged(Result):
    """Tokens that the judges read for their verdicts, shared computations counted once."""

    verifier: int
    strong: int


class Generated(Result):
    """Tokens that the proposers generated, words included. middle: None where the verifier's model cannot act."""

    cheap: int
    strong: int
    middle: int | None = None


class AnswerMetrics(Result):
    """`metrics/answer.json`: counts and speed of the recording; decisions by split, context tokens by role.

    with_usage, with_seconds: of a recorded strong model, the decisions of which the traces say the tokens, and the
    seconds, that they took. Others' tokens are an estimate; seconds count only where they are told of every decision.
    """

    decisions: dict[str, int]
    seconds: float
    decisions_per_second: float
    context_tokens: dict[Role, int]
    generated_tokens: Generated
    judged_tokens: Judged
    with_usage: int | None = None
    with_seconds: int | None = None


class Told(NamedTuple):
    """Of how many decisions the traces say what a recorded strong model took: tokens, and seconds."""

    usage: int
    seconds: int


def _generated(candidate: Mapping[str, Any]) -> int:
    """Tokens of a candidate, as it is written, and of its words."""
    return candidate["tokens"] + candidate.get("words", {"tokens": 0})["tokens"]


def metrics(
    recorded: Mapping[str, Mapping[tuple[str, int], Mapping[str, Any]]], seconds: float, told: Told | None = None
) -> AnswerMetrics:
    """What was recorded, rows as they are written, by split and by episode and decision."""
    everything = [row for rows in recorded.values() for row in rows.values()]
    middles = [row["middle"] for row in everything if "middle" in row]

    def judged(field: str) -> int:
        return sum(v["tokens"] for row in everything for n, v in enumerate(row[field]) if v["shared"] == n)

    return AnswerMetrics(
        decisions={split: len(rows) for split, rows in recorded.items()},
        seconds=seconds,
        decisions_per_second=len(everything) / seconds,
        context_tokens={
            role: sum(row["context"][role] for row in everything) for role in ROLES if role in everything[0]["context"]
        },
        generated_tokens=Generated(
            cheap=sum(_generated(c) for row in everything for c in row["cheap"]),
            strong=sum(_generated(row["strong"]) for row in everything),
            middle=sum(map(_generated, middles)) if middles else None,
        ),
        judged_tokens=Judged(verifier=judged("verifier"), strong=judged("strong_verdict")),
        with_usage=told.usage if told else None,
        with_seconds=told.seconds if told else None,
    )
