"""One line says what is wrong with a configuration: file, field and value."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import ROOT, copy_configuration
from pydantic import BaseModel

from specacts import config as schema
from specacts.config import LOADER, load_config
from specacts.core.errors import UserError
from specacts.core.words import ROLES

SCALES = ("smoke", "cpu", "laptop", "qwen3", "qwen3-shared", "gpu-smoke")
RECIPES = ("v2", "v3", "recorded", "recorded-small")
SCALE, RECIPE = Path("configs/scale/cpu.yaml"), Path("configs/recipe/v3.yaml")
PARAMS, PRICES = Path("params.yaml"), Path("configs/prices/example.yaml")

Edit = Callable[[Path, dict[str, Any]], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the tests' configuration: scale cpu, recipe v3."""
    return copy_configuration(tmp_path)


@pytest.fixture
def edit(root: Path) -> Edit:
    """Set dotted fields of a configuration file; a value of `...` removes the field."""

    def set_fields(file: Path, values: dict[str, Any]) -> None:
        content = yaml.load((root / file).read_text(), LOADER)
        for field, value in values.items():
            *parents, last = field.split(".")
            inner = content
            for parent in parents:
                inner = inner[parent]
            if value is ...:
                del inner[last]
            else:
                inner[last] = value
        (root / file).write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))

    return set_fields


def message(root: Path) -> str:
    """The one line of the refusal."""
    with pytest.raises(UserError) as caught:
        load_config(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_any_source_there_is_nothing_to_do(root, edit):
    edit(PARAMS, {"sources.bfcl": False})
    assert "params.yaml: sources: " in (said := message(root)) and "bfcl and own are both false" in said


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_shipped_scale_goes_with_every_shipped_recipe(root, edit, scale, recipe):
    shutil.copytree(ROOT / "configs", root / "configs", dirs_exist_ok=True)
    policies = ["F"] if recipe == "recorded-small" else ["D", "F", "G"]
    edit(PARAMS, {"scale": scale, "recipe": recipe, "cost.model": "money", "acceptance.policies": policies})
    if (scale, recipe) == ("qwen3-shared", "v2"):
        assert "leave verifier out" in message(root)
        return
    config = load_config(root)
    assert (config.scale_name, config.recipe_name) == (scale, recipe)


@pytest.mark.parametrize(
    ("file", "field"),
    [
        (PARAMS, "colour"),
        (PARAMS, "lora.rank"),
        (PARAMS, "train.learning_rate"),
        (PARAMS, "acceptance.treshold"),
        (PARAMS, "cost.upstream.judge"),
        (PRICES, "cheap.reasoning"),
        (SCALE, "devise"),
        (SCALE, "bases.smollm2.hash"),
        (SCALE, "data.single_turn.simple"),
        (SCALE, "split.dev"),
        (SCALE, "render.max_len"),
        (SCALE, "strong.lr"),
        (SCALE, "answer.n"),
        (RECIPE, "warmstart"),
        (RECIPE, "verifier.objektive"),
        (RECIPE, "picks.rejects"),
    ],
)
def test_an_unknown_key_is_refused_at_every_level(root, edit, file, field):
    edit(file, {field: 1})
    said = message(root)
    # A union (a base's source) names its branch inside the field.
    assert said.startswith(f"{root / file}: ")
    assert field.split(".")[-1] in said and "Extra inputs are not permitted (got '1')" in said


@pytest.mark.parametrize(
    ("file", "field", "value", "reason"),
    [
        (PARAMS, "seed", "today", "should be a whole number"),
        (PARAMS, "seed", -1, "greater than or equal to 0"),
        (PARAMS, "sources.near_duplicates", 0, "greater than 0"),
        (PARAMS, "sources.invalid", "ignore", "'stop' or 'skip'"),
        (PARAMS, "sources.secrets", "show", "'redact' or 'keep'"),
        (SCALE, "own.conversations", 3, "greater than or equal to 4"),
        (PARAMS, "lora.r", 0, "greater than or equal to 1"),
        (PARAMS, "lora.r", -8, "greater than or equal to 1"),
        (PARAMS, "lora.r", 8.5, "should be a whole number"),
        (PARAMS, "lora.dropout", 1.0, "less than 1"),
        (PARAMS, "train.batch_size", 0, "greater than or equal to 1"),
        (PARAMS, "acceptance.level", "word", "'type', 'tool' or 'call'"),
        (PARAMS, "acceptance.risk", 0.0, "greater than 0"),
        (PARAMS, "acceptance.risk", 1, "less than 1"),
        (PARAMS, "acceptance.risk", -0.1, "greater than 0"),
        (PARAMS, "acceptance.confidence", 1.0, "less than 1"),
        (PARAMS, "acceptance.confidence", 0, "greater than 0"),
        (PARAMS, "acceptance.policies", [], "at least 1 item"),
        (PARAMS, "cost.model", "free", "'flops'"),
        (PARAMS, "cost.upstream.strong", 0, "greater than 0"),
        (SCALE, "device", "tpu", "'cpu', 'cuda' or 'auto'"),
        (SCALE, "traces.sha256", "abc", "match pattern"),
        (SCALE, "data.variants", [], "at least 1 item"),
        (SCALE, "render.max_tokens", 8, "greater than or equal to 64"),
        (SCALE, "cheap.layers", "first", "should be a list"),
        (SCALE, "strong.learning_rate", 0, "greater than 0"),
        (SCALE, "answer.proposals", 0, "greater than or equal to 1"),
        (SCALE, "split.test", 1.5, "less than 1"),
        (SCALE, "live.episodes", 0, "greater than or equal to 1"),
        (SCALE, "live.steps", 0, "greater than or equal to 1"),
        (PRICES, "strong.input", -1, "greater than or equal to 0"),
        (RECIPE, "verifier.warm_start", "warm", "'none', 'cheap' or 'strong'"),
        (RECIPE, "verifier.objective", "guess", "'verdict' or 'reward'"),
        (RECIPE, "format", "other", "'same' or 'mismatched'"),
        (RECIPE, "threshold", 0.3, "'calibrated' or 'fixed'"),
        (RECIPE, "picks.may_reject", "perhaps", "should be true or false"),
    ],
)
def test_a_wrong_value_is_refused_with_file_field_and_value(root, edit, file, field, value, reason):
    edit(file, {field: value})
    said = message(root)
    assert said.startswith(f"{root / file}: {field}")
    assert reason in said and f"(got {str(value)!r})" in said


def test_yaml_reads_1e_4_as_text_and_it_is_a_number_all_the_same(root, edit):
    path = root / SCALE
    path.write_text(path.read_text().replace("learning_rate: 2.0e-3", "learning_rate: 1e-4"))
    assert yaml.safe_load(path.read_text())["strong"]["learning_rate"] == "1e-4"
    assert load_config(root).scale.strong.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("kind", "known"), [("scale", ["cpu", "smoke"]), ("recipe", ["recorded", "recorded-small", "v2", "v3"])]
)
def test_an_unknown_name_is_refused_with_the_known_ones(root, edit, kind, known):
    edit(PARAMS, {kind: "qwen4"})
    assert message(root) == f"params.yaml: {kind}: 'qwen4' has no file configs/{kind}/qwen4.yaml; known: {known}"


def test_an_unknown_price_table_is_refused_with_the_known_ones(root, edit):
    edit(PARAMS, {"cost.prices": "mine"})
    assert message(root) == (
        "params.yaml: cost.prices: 'mine' has no file configs/prices/mine.yaml; known: ['example']"
    )


def test_an_action_type_that_does_not_exist_has_no_risk(root, edit):
    edit(PARAMS, {"acceptance.risk": 0.1, "acceptance.risk_by_type": {"file_wrote": 0.1}})
    said = message(root)
    assert "acceptance.risk_by_type.file_wrote: " in said and "'file_write'" in said


@pytest.mark.parametrize(("risk", "fine"), [(0, True), (0.5, True), (1, False), (-0.1, False)])
def test_a_types_risk_may_be_nothing_and_has_to_stay_below_everything(root, edit, risk, fine):
    edit(PARAMS, {"acceptance.risk": 0.1, "acceptance.risk_by_type": {"file_write": risk}})
    if fine:
        assert load_config(root).acceptance.risk_by_type == {"file_write": risk}
    else:
        assert "acceptance.risk_by_type.file_write" in message(root)


def test_a_problem_is_told_once_in_our_words(root, edit):
    edit(PARAMS, {"acceptance.policies": ["H"]})
    told = "acceptance.policies.0: it cannot have a promise; choose from C, D, E, F, G, S (got 'H')"
    assert message(root) == f"{root / PARAMS}: {told}"


def test_risks_by_type_need_a_risk_for_the_others(root, edit):
    edit(PARAMS, {"acceptance.risk": None, "acceptance.risk_by_type": {"file_write": 0.1}})
    assert "acceptance: " in message(root) and "types that it does not name have no risk" in message(root)


@pytest.mark.parametrize(
    ("policies", "reason"), [(["H"], "C, D, E, F, G, S (got 'H')"), (["D", "D"], "names one twice")]
)
def test_only_policies_that_can_promise_are_named_and_each_once(root, edit, policies, reason):
    edit(PARAMS, {"acceptance.policies": policies})
    assert reason in message(root)


def test_what_there_is_no_verifier_for_is_refused_with_what_to_write_instead(root, edit):
    edit(RECIPE, {"verifier.negatives": "none"})
    assert message(root) == (
        "params.yaml: acceptance.policies: D, G learn on the verify split, but recipe v3 has no verifier "
        "(verifier.negatives: none) and uses its groups for calibration; set acceptance.policies to [F]"
    )
    edit(PARAMS, {"acceptance.policies": ["C", "E"]})  # a strong model that is trained here can still be asked
    assert message(root).endswith("set acceptance.policies to [C]")
    edit(PARAMS, {"acceptance.policies": ["E"]})
    assert message(root).endswith("set acceptance.policies to [F]")
    edit(PARAMS, {"acceptance.policies": ["C", "F"]})
    assert load_config(root).acceptance.policies == ("C", "F")


def test_prices_of_nothing_at_all_are_no_prices(root, edit):
    edit(PRICES, {"strong": {"input": 0, "cached_input": 0, "output": 0}})
    assert f"{root / PRICES}: " in message(root) and "strong costs nothing" in message(root)


def test_a_name_cannot_leave_the_folder(root, edit):
    edit(PARAMS, {"scale": "../recipe/v3"})
    assert "scale" in message(root)


@pytest.mark.parametrize(
    ("file", "field"), [(PARAMS, "lora"), (PARAMS, "lora.r"), (SCALE, "strong"), (RECIPE, "verifier.warm_start")]
)
def test_a_missing_field_is_named(root, edit, file, field):
    edit(file, {field: ...})
    assert f"{root / file}: {field}: Field required" in message(root)


def test_no_field_has_a_default_since_only_what_is_written_down_is_tracked():
    models = [m for m in vars(schema).values() if isinstance(m, type) and issubclass(m, BaseModel)]
    fields = [(model.__name__, name, field) for model in models for name, field in model.model_fields.items()]
    assert [f"{model}.{name}" for model, name, field in fields if not field.is_required()] == []
    assert ("RoleScale", "train_layers") in [(model, name) for model, name, _ in fields]


def test_a_verifier_cannot_start_from_a_frozen_model(root, edit):
    edit(RECIPE, {"strong": "frozen", "verifier.warm_start": "strong"})
    assert f"{root / RECIPE}: (top level): " in message(root) and "no adapter to start from" in message(root)


def test_a_verifier_cannot_start_from_a_model_that_only_its_answers_are_known_of(root, edit):
    edit(RECIPE, {"strong": "recorded", "verifier.warm_start": "strong"})
    assert "strong is 'recorded': it has no adapter to start from" in message(root)


@pytest.mark.parametrize("model", ["flops", "flops_no_cache", "seconds"])
def test_what_a_recorded_model_costs_is_counted_in_money_and_nothing_that_needs_the_model(root, edit, model):
    edit(PARAMS, {"recipe": "recorded", "cost.model": model})
    said = message(root)
    assert f"params.yaml: cost.model: '{model}' cannot be counted" in said and "set cost.model to money" in said
    edit(PARAMS, {"cost.model": "money"})
    assert load_config(root).recipe.strong == "recorded"


def test_a_recorded_model_judges_nothing_so_no_promise_can_be_made_for_c(root, edit):
    edit(PARAMS, {"recipe": "recorded", "cost.model": "money", "acceptance.policies": ["C", "D"]})
    assert "params.yaml: acceptance.policies: C lets the strong model judge" in message(root)


def test_shares_that_do_not_sum_to_one_are_refused(root, edit):
    edit(SCALE, {"split": {"train": 0.5, "verify": 0.2, "calibrate": 0.2, "test": 0.2}})
    said = message(root)
    assert "cpu.yaml: split: " in said and "the four shares sum to 1.1, not 1" in said


def test_a_base_that_is_not_declared_is_refused(root, edit):
    edit(SCALE, {"strong.base": "smollm3"})
    said = message(root)
    assert f"{root / SCALE}: " in said and "strong.base is 'smollm3', which is not one of bases: ['smollm2']" in said


def test_each_base_in_use_needs_frames_which_each_role_gets_with_the_limits(root, edit):
    edit(SCALE, {"render.frames": {"another": "chat"}})
    assert "render.frames has no entry for smollm2, the base of cheap" in message(root)
    edit(SCALE, {"render.frames": {"smollm2": "chat"}})
    scale = load_config(root).scale
    assert {scale.rendering(role).frames for role in ROLES} == {"chat"}
    assert scale.rendering("cheap").max_tokens == scale.render.max_tokens


def test_several_problems_share_one_line(root, edit):
    edit(PARAMS, {"lora.r": 0, "train.warmup_steps": -1})
    said = message(root)
    assert "lora.r" in said and "train.warmup_steps" in said


def test_what_is_not_yaml_is_refused(root, edit):
    (root / RECIPE).write_text("a: [1, 2\n")
    assert f"{root / RECIPE}: not valid YAML" in message(root)


def test_an_empty_file_is_refused(root, edit):
    (root / RECIPE).write_text("")
    assert f"{root / RECIPE}: (top level)" in message(root)


def test_a_missing_params_file_says_where_to_run(tmp_path):
    assert "no such file; run from the repository root" in message(tmp_path)


def test_what_was_read_cannot_be_changed(root):
    config = load_config(root)
    with pytest.raises(ValueError):
        config.seed = 1
    for role in ROLES:
        with pytest.raises(ValueError):
            config.scale.role(role).epochs = 2


def test_telemetry_is_off_once_the_configuration_is_read(root, monkeypatch):
    import os

    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    load_config(root)
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_idle_threads_sleep_once_the_configuration_is_read_unless_somebody_says_otherwise(root, monkeypatch):
    import os

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    load_config(root)
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    load_config(root)
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


SERVED = {
    "kind": "vllm",
    "concurrency": 8,
    "key_env": None,
    "models": {role: {"url": "http://127.0.0.1:8000/v1", "name": role} for role in ("cheap", "verifier")},
}


def test_some_roles_may_answer_on_servers_and_the_others_here(root, edit):
    assert load_config(root).scale.engine == "local"
    edit(SCALE, {"engine": SERVED})
    assert set(load_config(root).scale.engine.models) == {"cheap", "verifier"}
    edit(SCALE, {"engine": SERVED | {"models": {"cheap": {"url": "localhost:8000", "name": "cheap"}}}})
    assert "engine" in message(root) and "localhost:8000" in message(root)


@pytest.mark.parametrize("url", ["http://", "http://[::1/v1", "http://here:port/v1", "http://here/v 1"])
def test_a_server_has_an_address(root, edit, url):
    edit(SCALE, {"engine": SERVED | {"models": {"cheap": {"url": url, "name": "cheap"}}}})
    assert "is no address of a server" in message(root)


@pytest.mark.parametrize("url", ["http://me:hidden@here/v1", "https://here/v1?key=hidden"])
def test_a_secret_stands_in_no_address_since_that_is_written_down(root, edit, url):
    edit(SCALE, {"engine": SERVED | {"models": {"cheap": {"url": url, "name": "cheap"}}}})
    assert "engine.key_env" in message(root) and "hidden" not in message(root)


def test_a_reward_model_is_not_asked_on_a_server(root, edit):
    edit(SCALE, {"engine": SERVED})
    edit(PARAMS, {"recipe": "v2"})
    assert "engine.models.verifier: recipe v2 trains a reward model" in message(root)
    edit(SCALE, {"engine": SERVED | {"models": {"cheap": SERVED["models"]["cheap"]}}})
    load_config(root)
