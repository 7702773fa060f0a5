"""dvc.yaml says what each stage really reads: its modules, its parameters, its configuration files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import ROOT

FILE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
SCALES = sorted(path.stem for path in (ROOT / "configs/scale").glob("*.yaml"))
RECIPES = sorted(path.stem for path in (ROOT / "configs/recipe").glob("*.yaml"))


def filled(template: Any, values: dict[str, str]) -> Any:
    """DVC's templating, as far as dvc.yaml uses it."""
    if isinstance(template, dict):
        return {filled(key, values): filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(item, values) for item in template]
    return re.sub(r"\$\{([^}]+)\}", lambda m: values[m[1]], template) if isinstance(template, str) else template


def stages(scale: str = "cpu", recipe: str = "v3") -> dict[str, dict[str, Any]]:
    """Every stage by its name, templates filled."""
    result = {}
    values = {"scale": scale, "recipe": recipe, "cost.prices": PARAMS["cost"]["prices"]}
    values |= {f"sources.{name}": PARAMS["sources"][name] for name in ("path", "types")}
    for name, stage in FILE["stages"].items():
        if "foreach" not in stage:
            result[name] = filled(stage, values)
            continue
        for key, item in filled(stage["foreach"], values).items():
            slots = {f"item.{slot}": value for slot, value in item.items()}
            result[f"{name}@{key}"] = filled(stage["do"], values | slots | {"key": key})
    return result


STAGES = stages()
PARAMS_USED = {"scale": "cpu", "recipe": "v3"}
DERIVED = {
    "recipe.training_form": {"recipe.format"},
    "recipe.asking_form": {"recipe.format", "recipe.strong"},
    "recipe.freezes": {"recipe.strong"},
    "recipe.shows_confidence": {"recipe.verifier"},
    "judge_score": {"recipe.verifier.objective", "acceptance.score"},
}
"""What the configuration's own methods read."""
UNREAD = {
    **dict.fromkeys(("train@cheap", "train@strong"), ("acceptance.level", "scale.verifier", "recipe.verifier")),
    "train-verifier": ("recipe.strong",),  # nobody freezes a verifier
    "propose": ("recipe.strong",),  # it asks how the cheap model is to be asked
    "answer": ("acceptance.score",),  # it asks whether the verifier gives rewards, which `acceptance` cannot say
}
"""What a stage's module reads on behalf of other stages, or of a method of which it needs a part."""


def module(stage: dict[str, Any]) -> str:
    return re.fullmatch(r"python -m (stages\.\w+)( \w+)?", stage["cmd"])[1]


def source(name: str) -> Path | None:
    """The file of a module of ours; None for a package or anything else."""
    path = ROOT / f"{name.replace('.', '/')}.py"
    return path if path.is_file() else None


def imported(path: Path) -> Iterator[Path]:
    """The modules of ours that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from filter(None, map(source, names))


def closure(path: Path) -> set[str]:
    """A module and all of ours that it imports, and they import, as paths from the root."""
    seen: set[Path] = set()
    due = [path]
    while due:
        latest = due.pop()
        if latest not in seen:
            seen.add(latest)
            due += imported(latest)
    return {str(p.relative_to(ROOT)) for p in seen}


def outputs(stage: dict[str, Any]) -> list[str]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def tracked(stage: dict[str, Any]) -> dict[str, list[str]]:
    """Parameter keys by file."""
    keys: dict[str, list[str]] = {"params.yaml": []}
    for entry in stage.get("params", []):
        if isinstance(entry, str):
            keys["params.yaml"].append(entry)
        else:
            for file, names in entry.items():
                keys.setdefault(file, []).extend(names)
    return keys


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_modules_it_imports(name):
    listed = {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")}
    assert listed == closure(source(module(STAGES[name])))


def test_packages_hold_nothing_that_would_have_to_be_a_dependency():
    for package in ("specacts", "stages"):
        body = ast.parse((ROOT / package / "__init__.py").read_text()).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def test_every_stage_has_a_module_and_every_module_is_a_stage():
    modules = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert {module(stage).removeprefix("stages.") for stage in STAGES.values()} == modules


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_tracked_parameter_exists(scale, recipe):
    for name, stage in stages(scale, recipe).items():
        for file, keys in tracked(stage).items():
            values = yaml.safe_load((ROOT / file).read_text())
            for key in keys:
                inner = values
                for part in key.split("."):
                    assert part in inner, f"{name}: {file} has no {key}"
                    inner = inner[part]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_tracks_the_configuration_it_reads(name):
    keys = tracked(STAGES[name])
    read = read_fields(source(module(STAGES[name])))
    for path in set().union(*(DERIVED.get(path, {path}) for path in read)):
        file, field = "params.yaml", path
        if path.split(".")[0] == "prices":
            file = f"configs/prices/{PARAMS['cost']['prices']}.yaml"
        for part in ("scale", "recipe"):
            if path.startswith(f"{part}."):
                file, field = f"configs/{part}/{PARAMS_USED[part]}.yaml", path.removeprefix(f"{part}.")
        if path.startswith(UNREAD.get(name, ())) or (name, path) == ("train@cheap", "recipe.strong"):
            continue
        covered = file in STAGES[name]["deps"] or any(
            f"{field}.".startswith(f"{key}.") or f"{key}.".startswith(f"{field}.") for key in keys.get(file, [])
        )
        assert covered, f"{name} reads {field} of {file} and does not track it"


def read_fields(path: Path) -> set[str]:
    """The fields of `config` that a stage's own code names: `scale.render`, `lora`. Where they go is not followed."""
    tree = ast.parse(path.read_text())
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            pairs = zip(target.elts, value.elts, strict=True) if both else [(target, value)]
            for left, right in pairs:
                chain = dotted(right, {})
                if isinstance(left, ast.Name) and chain and chain.startswith("config."):
                    aliases[left.id] = chain
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and id(node) not in inner]
    found = {dotted(node, aliases) for node in whole}
    fields = {chain.removeprefix("config.") for chain in found if chain and chain.startswith("config.")}
    # The names are part of every path; a role's part is asked for by a method.
    return fields - {"scale", "recipe", "scale_name", "recipe_name", "scale.role"}


def dotted(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """`a.b.c` of an attribute chain, the first name resolved; None for anything else."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value, aliases)
        return inner and f"{inner}.{node.attr}"
    return None


def test_what_a_stage_reads_another_one_makes_or_the_repository_holds():
    made = {out for stage in STAGES.values() for out in outputs(stage)}
    for name, stage in STAGES.items():
        for dep in stage["deps"]:
            of_a_stage = any(f"{dep}/".startswith(f"{out}/") or out.startswith(f"{dep}/") for out in made)
            assert of_a_stage or (ROOT / dep).is_file(), f"{name}: nobody makes {dep}"


def test_no_two_stages_write_the_same():
    everything = [out for stage in STAGES.values() for out in outputs(stage)]
    assert len(everything) == len(set(everything))


def test_small_results_stay_out_of_the_cache_and_in_git():
    for name, stage in STAGES.items():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                path, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
                small = path.startswith(("metrics/", "reports/"))
                assert options.get("cache", True) != small, f"{name}: {path}"


def test_no_acceptance_or_cost_setting_reaches_a_model_that_need_not_know_it():
    needed = {"live": ["acceptance.level", "acceptance.score", "cost.prices", "cost.upstream"]}
    for name, stage in STAGES.items():
        if name not in ("calibrate", "evaluate", "report"):
            asked = [key for key in tracked(stage)["params.yaml"] if key.startswith(("acceptance", "cost"))]
            assert asked == needed.get(name, asked[:1]) and set(asked[:1]) <= {"acceptance.level"}, name


def test_another_risk_runs_nothing_but_calibrate_evaluate_and_report():
    """Who tracks it, and who reads what those stages make of it."""
    tracking = {name for name, stage in STAGES.items() if set(tracked(stage)["params.yaml"]) & {"acceptance"}}
    assert tracking == {"calibrate", "report"}
    unaffected = {"data/thresholds.json", "data/combination.json", "data/calibration.json"}
    made = set(outputs(STAGES["calibrate"])) - unaffected
    readers = {name for name, stage in STAGES.items() if made & set(stage["deps"])}
    assert readers == {"evaluate", "report"}


def test_lora_reaches_the_three_trainings_alone():
    assert [name for name, stage in STAGES.items() if "lora" in tracked(stage)["params.yaml"]] == [
        "train@cheap",
        "train@strong",
        "train-verifier",
    ]
