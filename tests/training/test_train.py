"""Our loss is TRL's; branches learn what plain sequences would; a run goes on where it stopped, or says why not."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from damage import flip
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from places import CONFIGURATION
from safetensors.torch import load_file, save_file
from toys import compact_tokenizer, episode, llama, renderer, save_base, settings
from transformers import AutoModelForSequenceClassification
from trl import RewardTrainer, SFTTrainer

from specacts.answering.session import Session
from specacts.config import load_config
from specacts.core.errors import UserError
from specacts.core.manifest import seal
from specacts.models.load import load_base, load_model
from specacts.training import train as training
from specacts.training.checkpoints import newest
from specacts.training.rows import Row, Weights, proposer_rows
from specacts.training.train import (
    MOST_EPOCHS,
    ActionTrainer,
    PairTrainer,
    check_rows,
    collate,
    pair_loss,
    per_row,
    positions,
    steps_for,
    train,
    weighted_loss,
)

TRUNK, BRANCH = [5, 80, 33, 7, 21, 90, 14, 2], [40, 41, 42, 43]
PREFIX = 5


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    tokenizer = compact_tokenizer()
    return save_base(tmp_path_factory.mktemp("base"), tokenizer, llama(tokenizer))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A handful of transcripts, plain weights."""
    return proposer_rows(
        renderer(compact_tokenizer()), [episode("a", 2), episode("b", 1), episode("c", 3)], Weights(1.0, 1.0)
    )


@pytest.fixture
def model():
    """A Llama with a LoRA adapter that is not a no-op."""
    made = llama(compact_tokenizer())
    return get_peft_model(made, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()


def loss(model, *rows: Row) -> float:
    with torch.no_grad():
        return weighted_loss(model, collate([row._asdict() for row in rows]), per_row(rows)).item()


def plain(ids: list[int], labels: range) -> Row:
    return Row(ids, [1.0 if n in labels else 0.0 for n in range(len(ids))], [])


# -- the loss -------------------------------------------------------------------------------------------------


def trl_loss(model, rows: list[Row], tmp_path: Path) -> float:
    """The loss that TRL's own trainer computes of the rows as one right-padded batch."""
    trainer = SFTTrainer(
        model=model,
        args=training.trainer_config(tmp_path, 1, settings()),
        train_dataset=Dataset.from_list([{"input_ids": [1, 2], "labels": [-100, 2]}]),
        processing_class=compact_tokenizer(),
    )
    longest = max(len(row.ids) for row in rows)
    padding = [longest - len(row.ids) for row in rows]
    ids = [row.ids + [0] * pad for row, pad in zip(rows, padding, strict=True)]
    labels = [
        [i if w else -100 for i, w in zip(row.ids, row.weights, strict=True)] + [-100] * pad
        for row, pad in zip(rows, padding, strict=True)
    ]
    mask = [[1] * len(row.ids) + [0] * pad for row, pad in zip(rows, padding, strict=True)]
    batch = {"input_ids": ids, "labels": labels, "attention_mask": mask}
    with torch.no_grad():
        found = SFTTrainer.compute_loss(trainer, trainer.model, {k: torch.tensor(v) for k, v in batch.items()})
    return found.item()


def test_with_all_weights_1_the_loss_is_trls_own(model, rows, tmp_path):
    assert loss(model, rows[0]) == pytest.approx(trl_loss(model, rows[:1], tmp_path), abs=1e-5)
    assert loss(model, *rows[:3]) == pytest.approx(trl_loss(model, rows[:3], tmp_path), abs=1e-5)


def test_the_trainer_computes_that_loss(model, rows, tmp_path):
    trainer = ActionTrainer(
        model=model,
        args=training.trainer_config(tmp_path, 1, settings()),
        train_dataset=Dataset.from_list([row._asdict() for row in rows]),
        data_collator=collate,
        processing_class=compact_tokenizer(),
    )
    trainer.row_weight = per_row(rows[:1])
    batch = collate([rows[0]._asdict()])
    with torch.no_grad():
        assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(loss(model, rows[0]), abs=1e-6)


def test_the_loss_is_the_weighted_mean_over_labels(model):
    each = [loss(model, plain(TRUNK, range(n, n + 1))) for n in (3, 6)]
    weights = [0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.5, 0.0]
    assert loss(model, Row(TRUNK, weights, [])) == pytest.approx((3 * each[0] + 0.5 * each[1]) / 3.5, abs=1e-5)


def test_a_batch_of_two_is_the_mean_of_the_two_by_tokens(model, rows):
    a, b = rows[0], plain(TRUNK, range(2, 5))
    n, m = sum(map(bool, a.weights)), 3
    together = (n * loss(model, a) + m * loss(model, b)) / (n + m)
    assert loss(model, a, b) == pytest.approx(together, abs=1e-5)
    assert loss(model, b, a) == pytest.approx(together, abs=1e-5)


def test_a_decision_weighs_the_same_in_a_short_row_and_in_a_long_one(model):
    def alone(row: Row) -> float:
        with torch.no_grad():
            return weighted_loss(model, collate([row._asdict()]), row_weight=4.0).item()

    singly = [alone(plain(TRUNK, range(n, n + 1))) for n in range(3, 8)]
    assert alone(plain(TRUNK, range(3, 8))) == pytest.approx(sum(singly), abs=1e-5)


def test_losses_are_divided_by_what_a_row_supervises_on_average():
    assert per_row([Row([1] * 4, [0.0, 1.0, 2.0, 3.0], []), plain([1, 2], range(1, 2))]) == 3.5
    assert per_row([PAIR, PAIR._replace(pairs=[(11, 13)] * 3)]) == 2


def branched(weight: float = 1.0) -> Row:
    """The trunk with a branch behind its first PREFIX tokens; only the branch's last token is a label."""
    ids = TRUNK + BRANCH
    weights = [0.0] * (len(ids) - 1) + [weight]
    return Row(ids, weights, [(len(TRUNK), len(ids), PREFIX)])


def test_a_verdict_on_a_branch_costs_what_it_would_as_a_sequence_of_its_own(model):
    alone = TRUNK[:PREFIX] + BRANCH
    expected = loss(model, plain(alone, range(len(alone) - 1, len(alone))))
    assert loss(model, branched()) == pytest.approx(expected, abs=1e-5)
    # ... beside another branch, and padded in a batch
    one = branched()
    two = Row(one.ids + [9, 9, 9], one.weights + [0.0] * 3, [*one.branches, (len(one.ids), len(one.ids) + 3, 2)])
    assert loss(model, two) == pytest.approx(expected, abs=1e-5)
    padded = (expected + 3 * loss(model, plain(TRUNK * 3, range(2, 5)))) / 4
    assert loss(model, two, plain(TRUNK * 3, range(2, 5))) == pytest.approx(padded, abs=1e-5)


def test_branches_do_not_change_the_trunks_loss(model):
    trunk = plain(TRUNK, range(3, 8))
    with_branch = Row(TRUNK + BRANCH, trunk.weights + [0.0] * 4, branched().branches)
    assert loss(model, with_branch) == pytest.approx(loss(model, trunk), abs=1e-5)


def test_gradients_of_a_branch_are_those_of_its_own_sequence(model):
    def gradients(row: Row) -> list[torch.Tensor]:
        model.zero_grad()
        weighted_loss(model, collate([row._asdict()]), 1.0).backward()
        return [p.grad.clone() for p in model.parameters() if p.requires_grad]

    alone = TRUNK[:PREFIX] + BRANCH
    pairs = zip(gradients(branched()), gradients(plain(alone, range(len(alone) - 1, len(alone)))), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_positions_of_a_branch_go_on_from_its_prefix():
    assert positions(8, [(4, 6, 2), (6, 8, 4)]) == [0, 1, 2, 3, 2, 3, 4, 5]


def test_a_single_row_without_branches_needs_no_mask(rows):
    assert "attention_mask" not in collate([rows[0]._asdict()])
    assert collate([branched()._asdict()])["attention_mask"].shape == (1, 12, 12)
    batch = collate([rows[0]._asdict(), branched()._asdict()])
    assert batch["attention_mask"].shape == (2, len(rows[0].ids), len(rows[0].ids))
    assert batch["labels"][1, 12:].eq(-100).all()


# -- reward models --------------------------------------------------------------------------------------------

OTHER = [50, 51]
CHOSEN, REJECTED = TRUNK[:PREFIX] + BRANCH, TRUNK[:PREFIX] + OTHER
PAIR = Row(
    TRUNK + BRANCH + OTHER,
    [0.0] * 14,
    [(8, 12, PREFIX), (12, 14, PREFIX)],
    [(11, 13)],
)
"""A pair of branches behind the same context, as `rows.reward_rows` makes them."""


@pytest.fixture
def reward_model(base):
    made = load_base(base, "cpu", "float32", rewards=True)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="SEQ_CLS")
    return get_peft_model(made, config).eval()


def test_the_pair_loss_is_trls_own_of_the_two_sequences(reward_model, tmp_path):
    arguments = {
        "model": reward_model,
        "args": training.trainer_config(tmp_path, 1, settings(), rewards=True),
        "processing_class": compact_tokenizer(),
    }
    pairs = Dataset.from_list([{"chosen_ids": CHOSEN, "rejected_ids": REJECTED}])
    theirs = RewardTrainer(train_dataset=pairs, **arguments)
    ours = PairTrainer(train_dataset=Dataset.from_list([PAIR._asdict()]), data_collator=collate, **arguments)
    ours.row_weight = per_row([PAIR])
    reward_model.eval()  # constructing a trainer leaves LoRA's dropout on
    with torch.no_grad():
        expected = RewardTrainer.compute_loss(theirs, theirs.model, theirs.data_collator(list(pairs))).item()
        found = ours.compute_loss(ours.model, collate([PAIR._asdict()])).item()
        two = collate([PAIR._asdict(), PAIR._replace(ids=[*PAIR.ids[:-1], 99])._asdict()])
        beside = pair_loss(ours.model, two, row_pairs=1.0)
    assert found == pytest.approx(expected, abs=1e-5) and found != pytest.approx(math.log(2), abs=1e-4)
    assert beside.item() != pytest.approx(found, abs=1e-5)


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
        alone = [model(torch.tensor([ids])).logits.item() for ids in (CHOSEN, REJECTED)]
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


def test_a_warm_start_goes_on_from_the_adapter(base, rows, tmp_path):
    first = run(base, rows, tmp_path / "first", epochs=5)
    again = run(base, rows, tmp_path / "again", adapter=tmp_path / "first/out", epochs=1)
    assert again.first_loss < first.first_loss - 0.5
    assert json.loads((tmp_path / "again/out/adapter_config.json").read_text())["r"] == 4


def test_batches_and_branches_train_too(base, rows, tmp_path):
    result = run(base, [*rows, branched(2.0)], tmp_path, epochs=2, batch_size=2)
    assert result.steps == len(rows) + 1 and math.isfinite(result.final_loss)


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
    (found,) = (tmp_path / "scratch").iterdir()
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
    keys = {
        training.checkpoint_key(base, rows, settings(), None),
        training.checkpoint_key(base, rows[:-1], settings(), None),
        training.checkpoint_key(base, [rows[0]._replace(weights=[2 * w for w in rows[0].weights])], settings(), None),
        training.checkpoint_key(base, rows, settings(seed=1), None),
        training.checkpoint_key(base, rows, settings(learning_rate=2e-2), None),
        training.checkpoint_key(base, rows, settings(warmup_steps=3), None),
        training.checkpoint_key(base, rows, settings(), base),
    }
    assert len(keys) == 7
    assert training.checkpoint_key(base, list(rows), settings(), None) in keys


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
    ("bad", "reason"),
    [
        ([], "no rows; the split is empty"),
        ([plain(TRUNK, range(0))], "row 0 has 8 tokens and no label"),
        ([plain(TRUNK, range(3, 4)), Row(TRUNK, [1.0], [])], "row 1 has 8 tokens"),
    ],
)
def test_data_without_labels_is_refused(bad, reason):
    with pytest.raises(UserError, match=reason):
        check_rows(bad)


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
