"""dvc.yaml says what each stage really reads: its modules, its parameters, its configuration files."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from elsewhere import elsewhere
from places import CONFIGURATION, ROOT

from specacts.config import LOADER
from specacts.core.fingerprints import IGNORED, PACKAGES, SERVED, fingerprints
from specacts.core.words import ROLES

FILE = yaml.load((ROOT / "dvc.yaml").read_text(), LOADER)
PARAMS = yaml.load((CONFIGURATION / "params.yaml").read_text(), LOADER)
SCALES = ("smoke", "cpu", "laptop", "qwen3", "qwen3-shared", "gpu-smoke")
RECIPES = ("v2", "v3", "recorded", "recorded-small")
SCALE, RECIPE = "configs/scale/cpu.yaml", "configs/recipe/v3.yaml"


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
LISTED = [name for name in STAGES if name not in ("check", "modules")]
"""The stages whose modules `modules` writes down; the two that run before it and make it depend on whole folders."""


def module(stage: dict[str, Any]) -> str:
    return re.fullmatch(r"python -m (stages\.\w+)( \w+)?", stage["cmd"])[1]


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


# -- modules ----------------------------------------------------------------------------------------------------


def source(name: str) -> Path | None:
    """The file of a module of ours; None for a package or anything else."""
    path = ROOT / f"{name.replace('.', '/')}.py"
    return path if path.is_file() else None


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imported(path: Path) -> set[Path]:
    """The modules of ours that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {source(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= set(map(source, names))
    return found - {None}


IGNORED_FILES = {source(module) for module in IGNORED}


def closure(path: Path) -> set[Path]:
    """A module and all of ours that it imports, and they import, without those that decide no output."""
    seen, due = set(), [path]
    while due:
        latest = due.pop()
        if latest not in seen | IGNORED_FILES:
            seen.add(latest)
            due += imported(latest)
    return seen


@pytest.fixture(scope="module")
def lists() -> dict[str, dict[str, str]]:
    """What the stage `modules` writes, by a stage's module."""
    return fingerprints([module(stage) for stage in STAGES.values()], ROOT)


@pytest.mark.parametrize("name", LISTED)
def test_a_stage_depends_on_the_list_of_its_own_modules_and_on_no_code_besides(name):
    own = f"data/modules/{module(STAGES[name]).removeprefix('stages.')}.txt"
    deps = STAGES[name]["deps"]
    assert [dep for dep in deps if dep.startswith("data/modules")] == [own]
    assert not [dep for dep in deps if dep.endswith(".py") or (dep.split("/")[0] in PACKAGES and holds_modules(dep))]


def holds_modules(folder: str) -> bool:
    return any((ROOT / folder).rglob("*.py"))


def test_whoever_makes_the_lists_depends_on_all_code():
    assert set(PACKAGES) <= set(STAGES["modules"]["deps"])


@pytest.mark.parametrize("name", LISTED)
def test_a_list_holds_exactly_the_modules_that_the_stage_imports(name, lists):
    expected = closure(source(module(STAGES[name])))
    assert set(lists[module(STAGES[name])]) == {path.relative_to(ROOT).as_posix() for path in expected}


LOADED = "import json, sys; from stages import calibrate; print(json.dumps(sorted(sys.modules)))"


def test_a_list_holds_what_python_loads(lists):
    loaded = {source(name) for name in elsewhere(LOADED) if name.split(".")[0] in PACKAGES} - {None}
    files = loaded - IGNORED_FILES - set().union(*map(imported, IGNORED_FILES))
    assert len(files) > 10
    assert {path.relative_to(ROOT).as_posix() for path in files} <= set(lists["stages.calibrate"])


def test_what_only_an_ignored_module_imports_reruns_nothing(lists):
    table = "specacts/policies/table.py"  # the configuration reads in it which policies there are
    assert ROOT / table in imported(source("specacts.config"))
    assert table not in lists["stages.train"] and table in lists["stages.evaluate"]


def test_only_modules_that_decide_no_output_are_ignored():
    assert set(IGNORED) == {
        "specacts.config",
        "specacts.core.errors",
        "specacts.core.fingerprints",
        "specacts.core.journal",
        "specacts.core.manifest",
        "specacts.core.process",
        "specacts.core.rooms",
        "specacts.core.stored",
        "specacts.core.terminal",
        "specacts.core.upkeep",
        "specacts.training.checkpoints",
    }


def test_where_all_models_run_here_the_code_that_asks_servers_is_in_no_list(lists):
    local = fingerprints(list(lists), ROOT, served=False)
    files = {source(name).relative_to(ROOT).as_posix() for name in SERVED}
    assert {name for name in lists if files & set(lists[name])} == {"stages.propose", "stages.answer", "stages.live"}
    assert local == {name: {path: own[path] for path in own if path not in files} for name, own in lists.items()}
    assert {SCALE: ["engine"]}.items() <= tracked(STAGES["modules"]).items()


def test_every_stage_has_a_module_and_every_module_is_a_stage():
    modules = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert {module(stage).removeprefix("stages.") for stage in STAGES.values()} == modules


# -- parameters -------------------------------------------------------------------------------------------------


@cache
def loaded(file: str) -> Any:
    return yaml.load((ROOT / file).read_text(), LOADER)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_tracked_parameter_exists(scale, recipe):
    for name, stage in stages(scale, recipe).items():
        for file, keys in tracked(stage).items():
            values = PARAMS if file == "params.yaml" else loaded(file)
            for key in keys:
                inner = values
                for part in key.split("."):
                    assert part in inner, f"{name}: {file} has no {key}"
                    inner = inner[part]


class Function(NamedTuple):
    """A function or class of ours."""

    node: ast.FunctionDef | ast.ClassDef
    path: Path


def named(name: str, path: Path) -> Function | None:
    """What a name means in a module, if that is a function or class of ours."""
    found = names_in(path).get(name)
    return named(*found) if isinstance(found, tuple) else found and Function(found, path)


@cache
def names_in(path: Path) -> dict[str, ast.FunctionDef | ast.ClassDef | tuple[str, Path]]:
    """The functions and classes of a module, and what it imports of ours: its name there, and where."""
    found = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, node)
        if isinstance(node, ast.ImportFrom) and (target := source(node.module)):
            for alias in node.names:
                found.setdefault(alias.asname or alias.name, (alias.name, target))
    return found


METHODS = {"config.scale.role": None, "config.scale.rendering": "config.scale.render"}
"""What methods of the configuration read beside a role's part of the scale."""
WHOLE = ("config", "config.scale", "config.recipe")
"""Parts of the configuration that are passed on for what is in them."""


def read_fields(function: Function, given: dict[str, str]) -> set[str]:
    """The fields of the configuration that a function reads, and those whom it calls: `config.scale.render`.

    given: which names in it are parts of the configuration. A class reads what its methods read. What is not followed:
    calls of methods, and what a role's part of the scale is asked for (`config.scale.role(role).layers`).
    """
    body = list(ast.walk(function.node))
    given = given | {name: chain for name, chain, _ in assigned(body, given)}
    found, followed = set(), {id(value) for _, _, value in assigned(body, given)}
    for call in (node for node in body if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        callee = named(call.func.id, function.path)
        passed = arguments(call, callee, given) if callee else []
        if passed:
            found |= read_fields(callee, {name: chain for name, chain, _ in passed})
        is_function = callee and isinstance(callee.node, ast.FunctionDef)
        followed |= {id(value) for _, chain, value in passed if is_function or chain in WHOLE}
    inner = {id(node.value) for node in body if isinstance(node, ast.Attribute)}
    for node in body:
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            if id(node) not in inner | followed:
                found |= {dotted(node, given)}
    return {METHODS.get(chain, chain) for chain in found} - {None}


Given = list[tuple[str, str, ast.AST]]
"""Names, which part of the configuration each one is, and where that stands."""


def assigned(body: list[ast.AST], given: dict[str, str]) -> Given:
    """The names that a function gives to parts of the configuration: `scale = config.scale`."""
    names: Given = []
    for node in (node for node in body if isinstance(node, ast.Assign)):
        target, value = node.targets[0], node.value
        both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        for left, right in zip(target.elts, value.elts, strict=True) if both else [(target, value)]:
            known = given | {name: chain for name, chain, _ in names}
            chain = "config" if ast.unparse(right).startswith("load_config(") else dotted(right, known)
            if isinstance(left, ast.Name) and chain:
                names.append((left.id, chain, right))
    return names


def arguments(call: ast.Call, callee: Function, given: dict[str, str]) -> Given:
    """The callee's names for the parts of the configuration that a call passes."""
    if isinstance(callee.node, ast.ClassDef):
        names = [node.target.id for node in callee.node.body if isinstance(node, ast.AnnAssign)]
    else:
        names = [argument.arg for argument in callee.node.args.args]
    values = [*zip(names, call.args, strict=False), *((keyword.arg, keyword.value) for keyword in call.keywords)]
    prefix = "self." if isinstance(callee.node, ast.ClassDef) else ""
    return [(f"{prefix}{name}", chain, value) for name, value in values if (chain := dotted(value, given))]


def dotted(node: ast.AST, given: dict[str, str]) -> str | None:
    """`config.a.b` of an attribute chain that begins in a part of the configuration; None for anything else."""
    name = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    if name in given:
        return given[name]
    inner = dotted(node.value, given) if isinstance(node, ast.Attribute) else None
    return inner and f"{inner}.{node.attr}"


def config_read(name: str) -> set[str]:
    return read_fields(named("main", source(module(STAGES[name]))), {})


def test_what_a_stage_reads_is_found_however_deep_it_is_passed():
    assert "config.recipe.verifier.warm_start" in config_read("train-verifier")  # in a function of its own
    assert "config.lora" in config_read("train-verifier")  # in another stage's, which puts it into an object
    assert "config.recipe.strong" in config_read("answer")  # in what follows from a recipe
    assert "config.recipe.verifier.shows_confidence" in config_read("live")  # in a method, of a class that holds it


BASES = {"train@cheap": ("cheap",), "train@strong": ("strong",), "train-verifier": ("verifier",), "propose": ("cheap",)}
"""The roles whose transcripts a stage makes; of others that make any, all."""


def test_whoever_makes_a_roles_transcripts_tracks_its_base_whose_frames_they_have():
    rendering = {name for name in LISTED if "config.scale.render" in config_read(name)}
    whole = {"report"}  # depends on the whole file
    assert rendering == {*BASES, "fetch", "answer", "live", "bundle"} | whole
    for name in rendering - whole:
        keys = tracked(STAGES[name])[SCALE]
        assert all({role, f"{role}.base"} & set(keys) for role in BASES.get(name, ROLES)), name


UNREAD = {
    "train@cheap": ("config.recipe.strong",),  # only the strong model can be frozen
    # It asks for everything that decides how models are asked, and uses how many are proposed, and how warmly.
    "propose": ("config.acceptance", "config.recipe.picks", "config.recipe.strong", "config.recipe.verifier"),
    "answer": ("config.acceptance.score",),  # asks whether the verifier gives rewards, which this cannot change
}
"""What the code reads and what comes of it does not depend on."""


@pytest.mark.parametrize("name", LISTED)
def test_a_stage_tracks_the_configuration_it_reads(name):
    stage, keys = STAGES[name], tracked(STAGES[name])
    for chain in config_read(name) - {"config.scale_name", "config.recipe_name"}:
        if chain.startswith(UNREAD.get(name, ())):
            continue
        file, field = place_of(chain.removeprefix("config."))
        covered = file in stage["deps"] or any(
            f"{field}.".startswith(f"{key}.") or f"{key}.".startswith(f"{field}.") for key in keys.get(file, [])
        )
        assert covered, f"{name} reads {field} of {file} and does not track it"


def place_of(field: str) -> tuple[str, str]:
    """The file that a field of the configuration comes from, and its name there."""
    part, _, rest = field.partition(".")
    files = {"scale": SCALE, "recipe": RECIPE, "prices": f"configs/prices/{PARAMS['cost']['prices']}.yaml"}
    return (files[part], rest) if part in files else ("params.yaml", field)


# -- what stages make -------------------------------------------------------------------------------------------


def test_what_is_made_here_for_others_is_registered():
    made = {out for stage in STAGES.values() for out in outputs(stage) if out.startswith("models/")}
    assert {entry["path"] for entry in FILE["artifacts"].values()} == {p for p in made if "/base/" not in p}


def test_what_of_the_library_is_no_python_is_tracked_too():
    """Templates and the like: the lists hold modules alone."""
    deps = {dep for stage in STAGES.values() for dep in stage["deps"]} - set(STAGES["modules"]["deps"])
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc", ".typed"):
            names = [p.relative_to(ROOT).as_posix() for p in (path, *path.parents) if p.is_relative_to(ROOT)]
            assert deps & set(names), f"{names[0]} decides bytes, and no stage depends on it"


def test_what_a_stage_reads_another_one_makes_or_the_repository_holds():
    made = {out for stage in STAGES.values() for out in outputs(stage)}
    for name, stage in STAGES.items():
        for dep in stage["deps"]:
            of_a_stage = any(f"{dep}/".startswith(f"{out}/") or out.startswith(f"{dep}/") for out in made)
            assert of_a_stage or (ROOT / dep).exists(), f"{name}: nobody makes {dep}"


def test_a_list_of_modules_is_made_for_every_stage_that_depends_on_one():
    (made,) = outputs(STAGES["modules"])
    assert made == "data/modules"


def test_no_two_stages_write_the_same():
    everything = [out for stage in STAGES.values() for out in outputs(stage)]
    assert len(everything) == len(set(everything))


def test_small_results_stay_out_of_the_cache_and_in_git():
    for name, stage in STAGES.items():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                path, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
                small = path.startswith(("metrics/", "reports/")) and not path.endswith(".html")
                assert options.get("cache", True) != small, f"{name}: {path}"


def test_only_what_people_compare_is_a_metric():
    assert [path for stage in STAGES.values() for entry in stage.get("metrics", []) for path in entry] == [
        "metrics/overview.json"
    ]


def test_every_stage_but_those_that_keep_their_outputs_has_a_run_cache():
    """DVC has none for a stage with a plain output that is not cached."""
    for name, stage in STAGES.items():
        plain = [entry for entry in stage.get("outs", []) if isinstance(entry, dict)]
        uncached = [path for entry in plain for path, options in entry.items() if options.get("cache") is False]
        assert not uncached or name == "report", f"{name}: {uncached}"


def test_no_acceptance_or_cost_setting_reaches_a_model_that_need_not_know_it():
    needed = {"live": ["acceptance.level", "acceptance.score", "cost.prices", "cost.upstream"]}
    for name, stage in STAGES.items():
        if name not in ("calibrate", "evaluate", "bundle", "report"):
            asked = [key for key in tracked(stage)["params.yaml"] if key.startswith(("acceptance", "cost"))]
            assert asked == needed.get(name, asked[:1]) and set(asked[:1]) <= {"acceptance.level"}, name


def test_another_risk_runs_nothing_but_calibrate_bundle_evaluate_and_report():
    """Who tracks it, and who reads what those stages make of it."""
    tracking = {name for name, stage in STAGES.items() if set(tracked(stage)["params.yaml"]) & {"acceptance"}}
    assert tracking == {"calibrate", "bundle", "report"}
    unaffected = {"data/thresholds.json", "data/combination.json", "data/calibration.json"}
    made = {*outputs(STAGES["calibrate"]), *outputs(STAGES["bundle"])} - unaffected
    readers = {name for name, stage in STAGES.items() if made & set(stage["deps"])}
    assert readers == {"bundle", "evaluate", "report"}


def asking(file: str, key: str) -> set[str]:
    """The stages that a changed key of a file is noticed by."""
    keys = {name: tracked(stage).get(file, []) for name, stage in STAGES.items()}
    tracking = {name for name, found in keys.items() if any(f"{key}.".startswith(f"{one}.") for one in found)}
    return tracking | {name for name, stage in STAGES.items() if file in stage["deps"]}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("strong.epochs", {"train@strong"}),
        ("cheap.learning_rate", {"train@cheap"}),
        ("answer.calibrate_episodes", {"answer", "split"}),
        ("live.steps", {"live"}),
        ("answer.verify_episodes", {"propose"}),
        ("bootstrap", {"evaluate", "live"}),
        ("split.train", {"split"}),
        ("data.tasks", {"collect"}),
    ],
)
def test_a_change_of_scale_is_noticed_where_it_matters_and_nowhere_else(key, expected):
    assert asking(SCALE, key) == {"check", "report", *expected}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("format", {"train@cheap", "train@strong", "train-verifier", "propose", "answer", "live"}),
        ("strong", {"train@strong", "answer", "live"}),
        ("verifier.objective", {"train-verifier", "answer", "calibrate", "evaluate", "live"}),
        ("verifier.negatives", {"train-verifier", "answer", "live"}),
        ("threshold", {"calibrate"}),
    ],
)
def test_each_change_of_v3_can_be_undone_by_one_key(key, expected):
    assert asking(RECIPE, key) == {"check", "bundle", "report", *expected}


def test_lora_reaches_the_three_trainings_and_the_report_alone():
    tracking = [name for name, stage in STAGES.items() if "lora" in tracked(stage)["params.yaml"]]
    assert tracking == ["train@cheap", "train@strong", "train-verifier", "report"]


SHIPPED = [f"configs/scale/{scale}.yaml" for scale in SCALES] + [f"configs/recipe/{recipe}.yaml" for recipe in RECIPES]


@pytest.mark.parametrize("file", [*SHIPPED, "dvc.yaml"])
def test_dvc_reads_every_shipped_file_as_the_stages_do(file):
    """Its reader is another one (YAML 1.2), and stricter with C than without: in braces it takes no bare address."""
    from dvc.utils.serialize import load_yaml  # takes a second

    assert load_yaml(ROOT / file) == loaded(file)
