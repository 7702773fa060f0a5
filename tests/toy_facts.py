"""Toy facts, of toy cases: what the report is made of, to be bent; and a workspace that its stages can run in.

facts = make_facts()
changed(facts, "evaluation/policies/D/malformed", 0.5)
bent(facts, "D", gain=BETTER, cost=CHEAPER)
"""

from collections.abc import Mapping
from functools import cache
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import yaml
from factories import (
    ACCEPTANCE,
    SIZES,
    TARIFF,
    make_cases,
    recorded,
    turn_of,
    unverified,
    with_middle,
    without_verifier,
)
from places import CONFIGURATION, copy_configuration

from specacts.answering.effects import by_text
from specacts.answering.records import AnswerMetrics, Generated, Judged
from specacts.config import LOADER, Acceptance, Recipe
from specacts.core.files import write_jsonl, write_text
from specacts.core.results import Estimate, save_table
from specacts.core.words import ROLES, Role
from specacts.evaluation.metrics import Settings, evaluate, run, run_guaranteed
from specacts.evaluation.stats import resample_weights
from specacts.live.results import LiveMetrics, LivePolicy
from specacts.models.results import Assets, RoleBase, WheelRecord
from specacts.policies.cascade import choose_bars
from specacts.policies.cases import Case, laddered, scored
from specacts.policies.choose import calibrate, calibrated, menu, on_calibrate
from specacts.policies.cost import COST_MODELS, Tariff
from specacts.policies.results import Promise, Thresholds
from specacts.policies.router import NO_ROUTER, RouteMetrics
from specacts.policies.table import JUDGING
from specacts.report.facts import Facts, Losses, Trained
from specacts.traces.ingest import metrics as no_own_traces
from specacts.traces.results import Contamination, Counted, DataMetrics, Overlap
from specacts.training.results import TrainMetrics

Found = TypeVar("Found")

TRAINED = TrainMetrics(
    steps=40,
    rows=40,
    episodes=20,
    tokens=9000,
    supervised_tokens=800,
    seen_tokens=9000,
    trainable_parameters=2_000_000,
    seconds=90.0,
    peak_memory_gib=1.5,
)
RECIPES = {
    name: Recipe.model_validate(yaml.load((CONFIGURATION / f"configs/recipe/{name}.yaml").read_text(), LOADER))
    for name in ("v2", "v3", "recorded", "recorded-small")
}
RATE = Estimate(0.5, 0.3, 0.7)
LIVE = LiveMetrics(
    episodes=4,
    groups=3,
    turns=12,
    acting_turns=9,
    policies={
        name: LivePolicy(
            turn_success=RATE,
            turn_success_minus_A=RATE,
            acting_turn_success=RATE,
            episode_success=RATE,
            steps_per_episode=RATE,
            cheap_share=RATE,
            calls=30,
            failed_calls=7,
            malformed=1,
            given_up={"steps": 2, "failures": 1, "timeout": 0, "crash": 0},
            cost=dict.fromkeys(COST_MODELS, RATE),
            cost_per_episode={"seconds": 3.0},
        )
        for name in ("A", "B", "D", "other")
    },
)
MOST = 6
"""Decisions of a group that count in promises."""
COUNTED = Counted(episodes=2, groups=1, decisions=8, decisions_by_type={"tool_call": 3, "final_answer": 5})
DATA = DataMetrics(
    train=COUNTED,
    verify=COUNTED,
    calibrate=COUNTED,
    test=COUNTED,
    total=COUNTED,
    most_counted=MOST,
    contamination=Contamination(
        ngram=13,
        user=Overlap(episodes=1, ngrams=200, shared=3),
        all=Overlap(episodes=2, ngrams=4000, shared=80),
    ),
)
WHEEL = WheelRecord(kind="wheel", package="toys", version="1", path="toys/a", sha256="0", licence=None)
BASE = RoleBase(
    base="toy", layers=(0, 1, 5), parameters=57_000_000, parameters_without_embedding=28_000_000, bytes=228_000_000
)
ASSETS = Assets(bases={"toy": WHEEL}, traces=WHEEL, roles=dict.fromkeys(ROLES, BASE))
ANSWERS = AnswerMetrics(
    decisions={"calibrate": 9, "test": 9},
    seconds=4.5,
    decisions_per_second=4.0,
    context_tokens=dict.fromkeys(ROLES, 900),
    generated_tokens=Generated(cheap=90, strong=90),
    judged_tokens=Judged(verifier=90, strong=90),
)
ROUTER = RouteMetrics(decisions=9, groups=3, base_rate=0.6, auroc=0.7, log_loss=0.6, strength=0.1)


@cache
def make_facts() -> Facts:
    return facts_of(make_cases(12), make_cases(12, seed=4))


def facts_of(
    cases: list[Case],
    others: list[Case],
    cost_model: str = "flops",
    tariff: Tariff = TARIFF,
    acceptance: Acceptance = ACCEPTANCE,
) -> Facts:
    """Of test cases, and of others for calibration."""
    fitted, offered = calibrate(others, tariff, acceptance, cost_model), menu(others, acceptance, MOST)
    cascade = choose_bars(others, tariff, acceptance, cost_model) if laddered(others) else None
    thresholds = {name: fit.threshold for name, fit in fitted.items()}
    tracks = run(cases, tariff, thresholds, "final_answer", "type", bars=cascade.bars if cascade else None)
    kept = run_guaranteed(cases, tariff, offered)
    maps = {name: calibrated(others, name, "type") for name in scored(others)}
    weights = resample_weights([case.row.group for case in cases], 100, 0)
    return Facts(
        evaluation=evaluate(cases, tracks, tariff, Settings("type", "verdict", cost_model), weights, kept, maps),
        calibration=on_calibrate(others, fitted, offered, acceptance, cost_model, MOST, cascade),
        thresholds=Thresholds(policies=thresholds, most_accurate="E" if "E" in thresholds else "F", best_other="F"),
        promise=Promise(cheapest=dict.fromkeys(("0.05", "0.1", "0.15", "0.2"), "A"), asked=None),
        live=LIVE,
        router=ROUTER,
        data=DATA,
        own=no_own_traces(),
        answers=ANSWERS,
        assets=ASSETS,
        training={role: Trained(TRAINED, Losses(3.2, 0.9)) for role in SIZES},
        scale="toy",
        recipe_name="v3",
        recipe=RECIPES["v3"],
        score="verdict",
        level="type",
        cost_model=cost_model,
        max_relative_cost=1.0,
        prices="example",
        currency="USD",
    )


@cache
def laddered_facts(cost_model: str = "flops") -> Facts:
    """Where the verifier's model can act too."""
    return facts_of(with_middle(make_cases(12)), with_middle(make_cases(12, seed=4), seed=1), cost_model)


@cache
def recorded_facts(timed: bool = False) -> Facts:
    """Of an agent's own logs: what it did is right, and nobody is asked to judge or runs live."""
    tariff = TARIFF._replace(sizes=without_strong(SIZES))
    facts = facts_of(recorded(make_cases(12), timed), recorded(make_cases(12, seed=4), timed), "money", tariff)
    return facts._replace(
        recipe=RECIPES["recorded"],
        recipe_name="recorded",
        live=LiveMetrics(episodes=0, turns=0, acting_turns=0, groups=0, policies={}),
        training=without_strong(facts.training),
    )


@cache
def unverified_facts() -> Facts:
    """Of few logs of an agent: no verifier, no router, and the cheap model's confidence decides."""
    tariff = TARIFF._replace(sizes=without_verifier(without_strong(SIZES)))
    cases, others = (unverified(recorded(make_cases(12, seed=seed))) for seed in (0, 4))
    alone = ACCEPTANCE.model_copy(update={"policies": ("F",)})
    facts = facts_of(cases, others, "money", tariff, alone)
    return facts._replace(
        recipe=RECIPES["recorded-small"],
        recipe_name="recorded-small",
        live=LiveMetrics(episodes=0, turns=0, acting_turns=0, groups=0, policies={}),
        router=NO_ROUTER,
        data=changed(DATA, "verify", Counted(episodes=0, groups=0, decisions=0, decisions_by_type={})),
        training=without_verifier(without_strong(facts.training)),
    )


def without_strong(by_role: Mapping[Role, Found]) -> dict[Role, Found]:
    """Of the models that run here where the strong one is a recorded agent."""
    return {role: found for role, found in by_role.items() if role != "strong"}


def changed(found: Any, path: str, value: Any) -> Any:
    """A copy with one thing in it, however deep, that is another: `evaluation/policies/D/malformed`."""
    name, _, rest = path.partition("/")
    inner = found[name] if isinstance(found, dict) else getattr(found, name)
    new = changed(inner, rest, value) if rest else value
    if isinstance(found, dict):
        return found | {name: new}
    return found._replace(**{name: new}) if isinstance(found, Facts) else found.model_copy(update={name: new})


def worse_than_strong(facts: Facts) -> Facts:
    for name in JUDGING:
        facts = bent(facts, name, (-0.1, -0.2, -0.05), (1.5, 1.4, 1.6))
        facts = changed(facts, f"calibration/policies/{name}/within_budget", True)
    for level in ("type", "call"):
        facts = changed(facts, f"evaluation/paired/B_minus_A/{level}_accuracy", Estimate(-0.1, -0.2, -0.05))
    return facts


def bent(facts: Facts, name: str, gain: tuple[float, ...], cost: tuple[float, ...]) -> Facts:
    """With a policy's difference to A in accuracy, and its relative cost, set: value, low, high."""
    facts = changed(facts, f"evaluation/paired/{name}_minus_A/type_accuracy", Estimate(*gain))
    return changed(facts, f"evaluation/policies/{name}/cost/flops", Estimate(*cost))


def accepting(facts: Facts, name: str, rate: float) -> Facts:
    return changed(facts, f"evaluation/policies/{name}/accept_rate", Estimate(rate, rate, rate))


BETTER, EVEN, WORSE = Estimate(0.02, 0.01, 0.03), Estimate(0.01, -0.01, 0.03), Estimate(-0.02, -0.03, -0.01)
CHEAPER, SAME, DEARER = Estimate(0.8, 0.7, 0.9), Estimate(1.0, 0.9, 1.1), Estimate(1.3, 1.2, 1.4)


def promising(
    facts: Facts, name: str, threshold: float, cost: Estimate, risk: str = "0.1", taken: float = 0.4
) -> Facts:
    """With a threshold at 10 points for a policy, what it then takes and costs; it is the cheapest there."""
    for path, value in (
        (f"calibration/guaranteed/{name}/{risk}", threshold),
        (f"promise/cheapest/{risk}", name),
        (f"evaluation/guaranteed/{name}/{risk}/accept_rate", taken),
        (f"evaluation/guaranteed/{name}/{risk}/cost/flops", cost),
        (f"evaluation/guaranteed/{name}/{risk}/lost", EVEN),
    ):
        facts = changed(facts, path, value)
    return facts


def known(number: float) -> float | None:
    return None if isnan(number) else number


def workspace(
    folder: Path,
    splits: dict[str, list[Case]] | None = None,
    trained: tuple[Role, ...] = ("cheap", "strong"),  # the verifier's are missing
) -> None:
    """What the stages before calibrate leave behind, for toy models."""
    copy_configuration(folder)
    setting(folder, "scale: cpu", "scale: smoke")  # fewer resamples
    splits = splits or {"calibrate": make_cases(9, 5), "test": make_cases(9, 6)}
    for split, cases in splits.items():
        write_jsonl(folder / f"data/answers/{split}.jsonl", (case.row.model_dump(mode="json") for case in cases))
    effects = (by_text(case.row).model_dump(mode="json") for case in splits["test"])
    write_jsonl(folder / "data/effects.jsonl", effects)
    lines = (
        {"episode": case.row.episode, "decision": case.row.decision, "turn": turn_of(case), "route": known(case.route)}
        for cases in splits.values()
        for case in cases
    )
    write_jsonl(folder / "data/routes.jsonl", lines)
    asked = splits["test"][0].row.strong_verdict  # a recorded agent runs elsewhere
    sizes = SIZES if asked else without_strong(SIZES)
    verified = splits["test"][0].row.verifier
    save_table(folder / "data/answers/models.json", sizes if verified else without_verifier(sizes))
    results = {"data": DATA, "ingest": no_own_traces(), "answer": ANSWERS, "route": ROUTER, "live": LIVE}
    for name, result in (results | {"assets": ASSETS}).items():
        result.save(folder / f"metrics/{name}.json")
    for role in trained:
        TRAINED.save(folder / f"metrics/train/{role}.json")
        write_text(folder / f"metrics/train/{role}_loss.csv", "step,loss,learning_rate\n1,3.2,0.1\n2,0.9,0.1\n")


def setting(folder: Path, old: str, new: str) -> None:
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    write_text(folder / "params.yaml", text.replace(old, new))
