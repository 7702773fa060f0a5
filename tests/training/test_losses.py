"""Our losses are TRL's; branches and packed rows learn what plain sequences would."""

import math
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from toys import compact_tokenizer, llama, settings
from trl import RewardTrainer, SFTTrainer

from specacts.models.load import load_base
from specacts.training import attention
from specacts.training import train as training
from specacts.training.attention import BY_PARTS, MASKED
from specacts.training.batches import collate, packs
from specacts.training.losses import learn_by, pair_loss, weighted_loss
from specacts.training.rows import Row
from specacts.training.stored import weight_of
from specacts.training.train import ActionTrainer, PairTrainer

TRUNK, BRANCH = [5, 80, 33, 7, 21, 90, 14, 2], [40, 41, 42, 43]
PREFIX = 5


@pytest.fixture
def model():
    """A Llama with a LoRA adapter that is not a no-op."""
    made = llama(compact_tokenizer())
    made.set_attn_implementation(BY_PARTS)
    return get_peft_model(made, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()


@pytest.fixture(params=[0, MASKED], ids=["by parts", "under a mask"], autouse=True)
def masked(request, monkeypatch):
    """Both ways to keep rows and branches apart give the same losses."""
    monkeypatch.setattr(attention, "MASKED", request.param)


def per_row(rows) -> float:
    return sum(map(weight_of, rows)) / len(rows)


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


def branched(weight: float = 1.0) -> Row:
    """The trunk with a branch behind its first PREFIX tokens; only the branch's last token is a label."""
    ids = TRUNK + BRANCH
    weights = [0.0] * (len(ids) - 1) + [weight]
    return Row(ids, weights, [(len(TRUNK), len(ids), PREFIX)])


def test_a_verdict_on_a_branch_costs_what_it_would_as_a_sequence_of_its_own(model):
    alone = TRUNK[:PREFIX] + BRANCH
    expected = loss(model, plain(alone, range(len(alone) - 1, len(alone))))
    assert loss(model, branched()) == pytest.approx(expected, abs=1e-5)
    # ... beside another branch, and behind another row
    one = branched()
    two = Row(one.ids + [9, 9, 9], one.weights + [0.0] * 3, [*one.branches, (len(one.ids), len(one.ids) + 3, 2)])
    assert loss(model, two) == pytest.approx(expected, abs=1e-5)
    both = (expected + 3 * loss(model, plain(TRUNK * 3, range(2, 5)))) / 4
    assert loss(model, two, plain(TRUNK * 3, range(2, 5))) == pytest.approx(both, abs=1e-5)


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


def test_a_step_in_several_batches_has_the_loss_and_the_gradients_of_one(model, rows):
    some = [row._asdict() for row in [rows[0], branched(2.0), plain(TRUNK, range(3, 6)), rows[1]]]

    def learnt(most: int) -> tuple[int, float, list[torch.Tensor]]:
        model.zero_grad()
        batches = packs(some, most)
        losses = [weighted_loss(model, batch, 3.0) for batch in batches]
        sum(losses).backward()
        return len(batches), sum(losses).item(), [p.grad.clone() for p in model.parameters() if p.requires_grad]

    (many, loss, gradients), (one, whole, expected) = learnt(1), learnt(10_000)
    assert (many, one) == (4, 1) and loss == pytest.approx(whole, rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(gradients, expected, strict=True))


def test_the_models_forward_is_the_loss_that_the_trainer_minimises(model, rows, tmp_path):
    """What autocast and DDP wrap is the forward: around it nothing is computed."""
    trainer = ActionTrainer(
        model=model,
        args=training.trainer_config(tmp_path, 1, settings()),
        train_dataset=Dataset.from_list([row._asdict() for row in rows]),
        data_collator=collate,
        processing_class=compact_tokenizer(),
    )
    learn_by(trainer.model, weighted_loss, per_row(rows[:1]))
    with torch.no_grad():
        found = trainer.compute_loss(trainer.model, collate([rows[0]._asdict()]))
    assert found.item() == pytest.approx(loss(model, rows[0]), abs=1e-6)


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

OTHERS = PAIR._replace(ids=[*PAIR.ids[:-1], 99])


@pytest.fixture
def reward_model(base):
    made = load_base(base, "cpu", "float32", rewards=True)
    made.set_attn_implementation(BY_PARTS)
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
    reward_model.eval()  # constructing a trainer leaves LoRA's dropout on
    with torch.no_grad():
        expected = RewardTrainer.compute_loss(theirs, theirs.model, theirs.data_collator(list(pairs))).item()
        learn_by(ours.model, pair_loss, per_row([PAIR]))
        found = ours.compute_loss(ours.model, collate([PAIR._asdict()])).item()
        beside = pair_loss(ours.model, collate([OTHERS._asdict(), PAIR._asdict()]), row_pairs=1.0).item()
        alone = pair_loss(ours.model, collate([OTHERS._asdict()]), row_pairs=1.0).item()
    assert found == pytest.approx(expected, abs=1e-5) and found != pytest.approx(math.log(2), abs=1e-4)
    assert beside == pytest.approx((found + alone) / 2, abs=1e-5) and alone != pytest.approx(found, abs=1e-5)
