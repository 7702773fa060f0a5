"""Effects are read back beside the answers that they were made of."""

import pytest
from factories import action, candidate, make_row

from specacts.answering.effects import actions, by_text, does_the_same, load_effects
from specacts.core.errors import UserError
from specacts.core.files import write_jsonl


def test_results_are_read_back_and_only_beside_the_answers_they_were_made_of(tmp_path):
    rows = [make_row(), make_row(decision=1, cheap=("BLOCKED",))]
    path = tmp_path / "effects.jsonl"
    write_jsonl(path, (by_text(row).model_dump(mode="json") for row in rows))
    assert [same.cheap for same in load_effects(path, rows)] == [(True,), (False,)]
    with pytest.raises(UserError, match="made of other answers; run `dvc repro effects`"):
        load_effects(path, rows[:1])
    with pytest.raises(UserError, match="made of other answers"):
        load_effects(path, [row.model_copy(update={"middle": candidate(None)}) for row in rows])
    path.write_text('{"episode": "e0"}\n')
    with pytest.raises(UserError, match=r"effects\.jsonl:1: decision: Field required"):
        load_effects(path, rows)


def test_what_the_verifiers_model_would_do_is_compared_too():
    row = make_row(gold="BLOCKED", cheap=("repair",), strong="repair", middle=candidate(action("BLOCKED")))
    same = by_text(row)
    assert same.middle and not same.strong and actions(row)[-1] == row.middle.action
    assert does_the_same(row, same, row.middle.action) and not does_the_same(row, same, row.strong.action)
