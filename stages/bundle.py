"""Put what was chosen into a bundle: `models/policy/`, which `specacts serve` puts in front of an agent.

    python -m stages.bundle

Reads what `calibrate` found and the calibration split's recorded answers, and takes the hash of every file that serving
needs; no model runs, and nothing is read of the test split. Writes `policy.json`, `action_types.yaml`,
`prompt_format.md`, and `router.json` and `combination.json` where a policy on offer needs them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from specacts.config import Config, load_config
from specacts.core.episodes import Act, Action, Episode, Tool, agrees
from specacts.core.errors import one_line_errors
from specacts.core.files import published_dir, read_models, write_text
from specacts.core.process import stage
from specacts.core.words import OWN, Level, Role
from specacts.models.hub import known
from specacts.models.results import Assets, HubRecord
from specacts.models.sizes import ModelSize, load_sizes
from specacts.policies.cost import Tariff
from specacts.policies.results import OnCalibrate, Promise, Thresholds
from specacts.policies.table import POLICIES
from specacts.recipe import asking_form, freezes, is_recorded, judge_score, local_roles
from specacts.serving.bundle import (
    COMBINATION,
    FOLDER,
    FORMAT,
    POLICY,
    ROUTER,
    TYPES,
    Bundle,
    Offer,
    Part,
    Proof,
    hashes,
)
from specacts.serving.offers import Grounds, Made, choose, in_words
from specacts.traces.tool_types import TypeMap, load_type_map, type_of
from stages.calibrate import load_cases

DATA, MODELS = Path("data"), Path("models")
METRICS, ASSETS = Path("metrics/calibrate.json"), Path("metrics/assets.json")
BFCL_TYPES = Path("configs/action_types/bfcl.yaml")
SCORES = {"route": ROUTER, "combined": COMBINATION}
"""The file that policies need which go by a score of that kind."""


def main() -> None:
    config = load_config(Path("."))
    types = Path(config.sources.types) if config.sources.own else BFCL_TYPES
    sizes = load_sizes(DATA / "answers/models.json")
    made = offers(config, sizes, load_type_map(types))
    parts = {role: part(config, role, sizes[role]) for role in served_roles(config, made.offers)}
    bundle = bundled(config, made, parts)
    with published_dir(MODELS / FOLDER) as out:
        write_text(out / TYPES, types.read_text(encoding="utf-8"))
        for file in sorted({SCORES[score] for one in made.offers if (score := POLICIES[one.policy].score) in SCORES}):
            write_text(out / file, (DATA / file).read_text(encoding="utf-8"))
        write_text(out / FORMAT, page(bundle, config))
        bundle.model_copy(update={"files": hashes(out)}).save(out / POLICY, exact=True)
    for one in made.offers:
        print(f"{'*' if one == bundle.offer(None) else ' '} {in_words(one, config.acceptance.confidence)}")


def offers(config: Config, sizes: Mapping[Role, ModelSize], types: TypeMap) -> Made:
    """What can be offered, by what `calibrate` found."""
    cases, _ = load_cases(config)
    return choose(
        Grounds(
            cases=cases,
            found=OnCalibrate.load(METRICS),
            promise=Promise.load(DATA / "promise.json"),
            thresholds=Thresholds.load(DATA / "thresholds.json"),
            tariff=Tariff(sizes, config.prices, config.cost.upstream),
            acceptance=config.acceptance,
            alike=partial(alike, types=types, level=config.acceptance.level),
            recorded=is_recorded(config.recipe),
        )
    )


def alike(action: Action, strong: Action | None, types: TypeMap, level: Level) -> bool:
    """Whether an action agrees with the strong model's, arguments by the rules of the types file."""
    if strong is None:
        return False
    rules = type_of(Tool(name=strong.tool), types).compare if strong.tool else {}
    return agrees(action, strong.model_copy(update={"compare": rules}), level)


def served_roles(config: Config, made: Sequence[Offer]) -> tuple[Role, ...]:
    """The models that serving needs, and a local strong one, which can stand in for an upstream."""
    judged = any(POLICIES[one.policy].judge == "verifier" for one in made)
    return tuple(role for role in local_roles(config.recipe) if role != "verifier" or judged)


def part(config: Config, role: Role, size: ModelSize) -> Part:
    """A model's folders, as seen from the bundle's, and the hash of every file in them."""
    assets = Assets.load(ASSETS)
    record = assets.bases[assets.roles[role].base]
    source = record if isinstance(record, HubRecord) else None
    whole = source if config.scale.role(role).layers is None else None
    name, licence = known(config.scale.bases[config.scale.role(role).base]) or (None, None)
    tuned = not freezes(config.recipe, role)
    return Part(
        base=f"../base/{role}",
        base_files=hashes(MODELS / "base" / role),
        adapter=f"../{role}" if tuned else None,
        adapter_files=hashes(MODELS / role) if tuned else {},
        hub=whole and whole.repo,
        size=size,
        commit=whole and whole.commit,
        origin=name or (source and source.repo),
        licence=licence,
    )


def bundled(config: Config, made: Made, parts: Mapping[Role, Part]) -> Bundle:
    """Everything that a gateway has to know; its own files are still without their hashes."""
    scale, acceptance, found = config.scale, config.acceptance, OnCalibrate.load(METRICS)
    return Bundle(
        made_by=version("specacts"),
        source=OWN if config.sources.own else "bfcl",
        tools=called() if config.sources.own else {},
        characters=scale.own.characters if config.sources.own else None,
        redacts=config.sources.own and config.sources.secrets == "redact",
        never_cheap=tuple(kind for kind, risk in acceptance.risk_by_type.items() if risk == 0),
        offers=made.offers,
        default=made.default,
        proof=Proof(
            confidence=found.confidence,
            level=found.level,
            average_over=found.average_over,
            most_counted=found.most_counted,
            groups=found.groups,
            decisions=found.decisions,
            cost_model=found.cost_model,
        ),
        seed=config.seed,
        device=scale.device,
        dtype=scale.dtype,
        render={role: scale.rendering(role) for role in parts},
        recipe=config.recipe,
        score=judge_score(config.recipe, acceptance),
        proposals=scale.answer.proposals,
        temperature=scale.answer.temperature,
        well_formed=scale.answer.well_formed,
        prices=config.prices,
        upstream=config.cost.upstream,
        files={},
        models=dict(parts),
    )


def called() -> dict[str, int]:
    """How often the train split's own conversations call each tool, the most called first."""
    found: Counter[str] = Counter()
    for _, episode in read_models(DATA / "split/train.jsonl", Episode):
        acts = [step.action for step in episode.steps if isinstance(step, Act)] if episode.source == OWN else []
        found.update(action.tool for action in acts if action.tool is not None)
    return dict(found.most_common())


def page(bundle: Bundle, config: Config) -> str:
    """`prompt_format.md`, with the tokenizers of the bases that a policy asks."""
    from specacts.serving.prompt_format import prompt_format  # imported here: transformers takes seconds
    from specacts.transcripts.render import load_renderer

    roles = [role for role in bundle.models if role != "strong"]
    return prompt_format(
        bundle,
        {
            role: load_renderer(MODELS / "base" / role, bundle.render[role], asking_form(config.recipe, role))
            for role in roles
        },
    )


if __name__ == "__main__":
    with one_line_errors(), stage("bundle"):
        main()
