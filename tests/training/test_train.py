"""A run learns, publishes the same bytes every time, and goes on where it stopped, or says why not."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from damage import flip
from peft import LoraConfig, get_peft_model
from places import CONFIGURATION
from safetensors.torch import load_file, save_file
from toys import compact_tokenizer, llama, settings
from transformers import AutoModelForSequenceClassification

from specacts.answering.session import Session
from specacts.config import load_config
from specacts.core.errors import UserError
from specacts.core.manifest import seal
from specacts.models.load import load_model
from specacts.training import train as training
from specacts.training.checkpoints import newest
from specacts.training.rows import Row
from specacts.training.stored import store
from specacts.training.train import MOST_EPOCHS, ActionTrainer, steps_for, train

TRUNK, BRANCH, OTHER = [5, 80, 33, 7, 21, 90, 14, 2], [40, 41, 42, 43], [50, 51]
PREFIX = 5


BRANCHED = Row(TRUNK + BRANCH, [0.0] * 11 + [2.0], [(8, 12, PREFIX)])
"""A trunk with a branch behind its first PREFIX tokens, whose last token is a label."""
PAIR = Row(TRUNK + BRANCH + OTHER, [0.0] * 14, [(8, 12, PREFIX), (12, 14, PREFIX)], [(11, 13)])
"""A pair of branches behind the same context, as `rows.reward_rows` makes them."""


@pytest.fixture
def model():
    """A Llama with a LoRA adapter that is not a no-op."""
    made = llama(compact_tokenizer())
    return get_peft_model(made, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()


@pytest.mark.parametrize("warm", [False, True])
def test_a_trained_reward_model_prefers_what_was_chosen_and_reads_alike_wherever_it_is_read(base, rows, warm, tmp_path):
    adapter = tmp_path / "cheap" if warm else None
    if warm:
        train(base, rows[:1], adapter, tmp_path / "scratch", settings())
    result = train(base, [PAIR], tmp_path / "out", tmp_path / "scratch", settings(epochs=15), adapter)
    assert result.final_loss < result.first_loss
    names = load_file(tmp_path / "out/adapter_model.safetensors")
    assert any(name.endswith("score.weight") for name in names) and any("lora_B" in name for name in names)
    model = load_model(base, tmp_path / "out", "cpu", "float32", rewards=True)
    session = Session(model)
    session.extend(TRUNK, [])
    chosen, rejected = session.rewards([(PREFIX, BRANCH), (PREFIX, OTHER)])
    assert chosen > rejected
    assert isinstance(model, type(AutoModelForSequenceClassification.from_config(model.config)))
    with torch.no_grad():
        alone = [model(torch.tensor([ids])).logits.item() for ids in (TRUNK[:PREFIX] + BRANCH, TRUNK[:PREFIX] + OTHER)]
    assert [chosen, rejected] == pytest.approx(alone, abs=1e-5)


def test_an_adapter_of_the_wrong_kind_is_refused_with_what_to_do(base, rows, tmp_path):
    train(base, rows[:1], tmp_path / "verifier", tmp_path / "scratch", settings())
    with pytest.raises(UserError, match="objective asks for a reward model .*dvc repro train-verifier"):
        load_model(base, tmp_path / "verifier", "cpu", "float32", rewards=True)
    with pytest.raises(UserError, match="nowhere/adapter_config.json: no such file"):
        load_model(base, tmp_path / "nowhere", "cpu", "float32", rewards=True)


# -- a run ----------------------------------------------------------------------------------------------------


def run(base: Path, rows: list[Row], folder: Path, adapter: Path | None = None, **changed):
    return train(base, rows, folder / "out", folder / "scratch", settings(**changed), adapter)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_run_learns_and_reports_what_it_did(base, rows, tmp_path):
    result = run(base, rows, tmp_path, epochs=4, type_weight=3.0)
    assert result.steps == 4 * len(rows) and result.rows == len(rows)
    assert result.final_loss < result.first_loss
    assert result.seen_tokens == 4 * sum(len(row.ids) for row in rows) == 4 * result.tokens
    assert result.supervised_tokens == sum(sum(map(bool, row.weights)) for row in rows)
    assert result.tokens_per_second > 0 and result.peak_memory_gib > 0
    assert [step for step, *_ in result.losses][-1] == result.steps
    assert result.losses[-1][2] == pytest.approx(1e-2 * 0.1, rel=0.5)  # the rate has decayed to about a tenth


def test_a_run_leaves_the_processor_as_it_was(base, rows, tmp_path):
    """Denormals flushed to zero would change what the rest of the process computes."""
    run(base, rows[:1], tmp_path)
    assert 5e-324 > 0 and torch.tensor(5e-324, dtype=torch.float64).mul(1.0).item() > 0


def test_what_is_published_is_safetensors_and_the_same_bytes_every_time(base, rows, tmp_path):
    for name in ("one", "two"):
        run(base, rows[:2], tmp_path / name)
    published = files(tmp_path / "one/out")
    assert published == files(tmp_path / "two/out")
    assert sorted(published) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads(published["adapter_config.json"])
    modules = config["target_modules"]  # a set while training: in no order
    assert modules == sorted(modules) and len({name.split(".")[-1] for name in modules}) == 7
    assert config["base_model_name_or_path"] is None
    run(base, rows[:2], tmp_path / "three", seed=1)
    assert files(tmp_path / "three/out")["adapter_model.safetensors"] != published["adapter_model.safetensors"]


def test_only_the_last_layers_are_trained_where_that_is_asked(base, rows, tmp_path):
    run(base, rows[:1], tmp_path, train_layers=1)
    names = load_file(tmp_path / "out/adapter_model.safetensors")
    assert names and all(".layers.1." in name for name in names)


@pytest.mark.parametrize(
    ("modules", "names"),
    [
        ("all-linear", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        (r".*\.(q|v)_proj", {"q_proj", "v_proj"}),
        (("q_proj", "up_proj"), {"q_proj", "up_proj"}),
    ],
)
@pytest.mark.parametrize("last", [None, 1])
def test_modules_are_named_by_list_or_pattern_and_the_adapter_can_be_loaded(base, rows, tmp_path, modules, names, last):
    run(base, rows[:1], tmp_path, target_modules=modules, train_layers=last)
    trained = {name.split(".lora_")[0] for name in load_file(tmp_path / "out/adapter_model.safetensors")}
    assert {name.split(".")[-1] for name in trained} == names
    assert {name.split(".layers.")[1][0] for name in trained} == ({"1"} if last else {"0", "1"})
    published = json.loads((tmp_path / "out/adapter_config.json").read_text())["target_modules"]
    if isinstance(modules, str) and modules != "all-linear" and not last:
        assert published == modules
    load_model(base, tmp_path / "out", "cpu", "float32")


def test_modules_that_the_base_has_not_are_refused_with_the_name_of_the_setting(base, rows, tmp_path):
    with pytest.raises(UserError, match=r"params.yaml: lora.target_modules is '.*query': .*not found in the base"):
        run(base, rows[:1], tmp_path, target_modules=r".*query")


def test_with_bf16_the_adapters_products_are_in_bf16(base, rows, tmp_path, monkeypatch):
    """The weights stay in float32: autocast is around the model's own forward, which must be the one that runs."""
    seen = []
    original = torch.nn.functional.linear

    def linear(x, weight, *bias):
        found = original(x, weight, *bias)
        seen.append((weight.dtype, found.dtype, weight.shape))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.functional, "linear", linear)
        result = run(base, rows[:1], tmp_path, dtype="bfloat16", epochs=2)
    assert math.isfinite(result.final_loss)
    adapters = [found for weight, found, shape in seen if 4 in shape]
    assert adapters and set(adapters) == {torch.bfloat16}
    assert all(t.dtype == torch.float32 for t in load_file(tmp_path / "out/adapter_model.safetensors").values())


def test_a_warm_start_goes_on_from_the_adapter(base, rows, tmp_path):
    first = run(base, rows, tmp_path / "first", epochs=5)
    again = run(base, rows, tmp_path / "again", adapter=tmp_path / "first/out", epochs=1)
    assert again.first_loss < first.first_loss - 0.5
    assert json.loads((tmp_path / "again/out/adapter_config.json").read_text())["r"] == 4


def test_the_rows_of_a_step_may_be_read_one_after_the_other(base, rows, tmp_path):
    """Gradient accumulation: however little fits into memory at a time, a step learns the same."""
    for name, most in (("at once", 10_000), ("singly", 1)):
        result = run(base, [*rows, BRANCHED], tmp_path / name, epochs=2, batch_size=2, most_tokens=most)
        assert result.steps == len(rows) + 1
    once, singly = (load_file(tmp_path / name / "out/adapter_model.safetensors") for name in ("at once", "singly"))
    assert once.keys() == singly.keys() and all(torch.allclose(once[key], singly[key], atol=1e-5) for key in once)


# -- stopping and going on ------------------------------------------------------------------------------------


class Stopped(Exception):
    """The power went."""


def stop_after(monkeypatch, steps: int) -> None:
    """Let every training die when it begins its step number `steps` (from 0)."""
    original, done = ActionTrainer.compute_loss, []

    def dying(self, *arguments, **named):
        if len(done) == steps:
            raise Stopped
        done.append(1)
        return original(self, *arguments, **named)

    monkeypatch.setattr(ActionTrainer, "compute_loss", dying)


@pytest.fixture(scope="module")
def often() -> Iterator[None]:
    """Checkpoints after every fifth step, so that a short run has several."""
    made = training.trainer_config

    def config(*arguments, **named):
        config = made(*arguments, **named)
        config.save_steps = 5
        return config

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "trainer_config", config)
        yield


@pytest.fixture(scope="module")
def died(base, rows, often, tmp_path_factory) -> Path:
    """The folder of a run of 15 steps that died, with checkpoints after steps 5 and 10."""
    folder = tmp_path_factory.mktemp("died")
    with pytest.MonkeyPatch.context() as patched:
        stop_after(patched, 11)
        with pytest.raises(Stopped):
            run(base, rows, folder, epochs=15 / len(rows))
    assert not (folder / "out").exists()
    return folder


@pytest.fixture
def checkpoints(died, tmp_path) -> Path:
    """The checkpoints of a copy of it in `tmp_path`, to go on from."""
    shutil.copytree(died, tmp_path, dirs_exist_ok=True)
    (found,) = (tmp_path / "scratch").glob("*/")
    return found


@pytest.fixture(scope="module")
def uninterrupted(base, rows, often, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    assert run(base, rows, folder, epochs=15 / len(rows)).steps == 15
    return files(folder / "out")


def test_a_resumed_run_ends_in_the_same_bytes(base, rows, tmp_path, monkeypatch, checkpoints, uninterrupted):
    assert newest(checkpoints).name == "checkpoint-10"
    stop_after(monkeypatch, 6)  # 5 steps are left: it does not begin anew
    run(base, rows, tmp_path, epochs=15 / len(rows))
    assert files(tmp_path / "out") == uninterrupted


def test_a_run_goes_on_from_the_older_checkpoint_where_the_newer_is_damaged(
    base, rows, tmp_path, monkeypatch, checkpoints, uninterrupted
):
    flip(checkpoints / "checkpoint-10/optimizer.pt")
    stop_after(monkeypatch, 11)  # 10 steps are left
    run(base, rows, tmp_path, epochs=15 / len(rows))
    assert files(tmp_path / "out") == uninterrupted


def test_a_run_that_ended_ends_in_the_same_bytes_without_another_step(base, rows, tmp_path, monkeypatch, uninterrupted):
    """As where DVC was killed before it had the adapter: its checkpoints are still there."""
    before = run(base, rows, tmp_path, epochs=15 / len(rows))
    shutil.rmtree(tmp_path / "out")
    stop_after(monkeypatch, 0)
    after = run(base, rows, tmp_path, epochs=15 / len(rows))
    assert files(tmp_path / "out") == uninterrupted
    assert (after.steps, after.losses) == (before.steps, before.losses) and after.seconds > 0


def test_other_data_or_settings_never_resume_a_run(base, rows, tmp_path):
    def key(some=rows, adapter: Path | None = None, **changed) -> str:
        return training.checkpoint_key(base, store(some, tmp_path / "rows.arrow"), settings(**changed), adapter)

    heavier = [rows[0]._replace(weights=[2 * w for w in rows[0].weights]), *rows[1:]]
    other = [key(rows[:-1]), key(heavier), key(rows[::-1]), key(adapter=base)]
    other += [key(seed=1), key(learning_rate=2e-2), key(warmup_steps=3), key(processes=2)]
    assert len({key(), *other}) == 9
    assert key() == key(list(rows))


# -- refusals -------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_a_number_stops_the_run_and_leaves_the_old_adapter(base, rows, tmp_path):
    run(base, rows[:1], tmp_path)
    before = files(tmp_path / "out")
    poisoned = tmp_path / "poisoned"
    shutil.copytree(base, poisoned)
    tensors = load_file(poisoned / "model.safetensors")
    tensors["model.norm.weight"] *= math.nan
    save_file(tensors, poisoned / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the loss is nan at step 1; lower the role's learning_rate \(now "):
        run(poisoned, rows[:1], tmp_path)
    assert files(tmp_path / "out") == before


def test_weights_that_are_not_finite_are_never_published(model, tmp_path):
    next(p for p in model.parameters() if p.requires_grad).data[0, 0] = math.inf
    with pytest.raises(UserError, match="1 weights are not finite, first .*lora_A.*; nothing was published"):
        training.publish(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_checkpoint_with_weights_that_are_not_finite_is_not_gone_on_with(base, rows, often, tmp_path, checkpoints):
    for path in checkpoints.glob("checkpoint-*/adapter_model.safetensors"):
        save_file({name: t * math.nan for name, t in load_file(path).items()}, path)
        seal(path.parent)  # so it was written, and is no damage
    with pytest.raises(UserError, match="nan"):
        run(base, rows, tmp_path, epochs=15 / len(rows))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "epochs", "least_tokens", "steps"),
    [
        (100, 1.5, 0, 150),  # no least: as many epochs as asked for
        (100, 1.5, 500, 150),  # 150 rows of 10 tokens are more than that
        (100, 0.4, 505, 51),  # the 51st row reaches them
        (10, 1.1, 400, 40),  # few rows: four epochs
        (10, 1.1, 10**6, 10 * MOST_EPOCHS),  # very few: no more than so many
        (1, 0.1, 0, 1),
    ],
)
def test_few_traces_are_gone_through_more_often_and_many_as_often_as_asked(rows, epochs, least_tokens, steps):
    assert steps_for([10] * rows, settings(epochs=epochs, least_tokens=least_tokens)) == steps


def test_steps_of_a_batch_take_several_rows():
    assert steps_for([10] * 10, settings(epochs=1.0, batch_size=4, least_tokens=200)) == 5


def test_the_default_scale_trains_on_its_own_traces_as_long_as_it_did():
    """292 rows of 496 tokens, as BFCL's are: what is seen at least is less than what the epochs see."""
    scale = load_config(CONFIGURATION).scale
    for role, rows in (("cheap", 292), ("strong", 292), ("verifier", 87)):
        own = scale.role(role)
        lengths = [496] * rows
        plain, least = (settings(epochs=own.epochs, least_tokens=n) for n in (0, own.least_tokens))
        assert steps_for(lengths, least) == steps_for(lengths, plain)
