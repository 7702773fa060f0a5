"""Policy H's score weighs what is known by how much it says, and never with the help of a row's own group."""

import json
import random

import pytest
from factories import action, make_row, make_rows

from specacts.answering.records import Answers
from specacts.core.errors import UserError
from specacts.core.files import write_text
from specacts.policies.combine import VERIFIER_ALONE, combined, cross_fitted, fit, load_combination, with_combined


def informed(count: int = 300, seed: int = 0) -> list[Answers]:
    """Only the router knows anything."""
    rng = random.Random(seed)
    rows = []
    for n in range(count):
        right = rng.random() < 0.6
        fields = {"episode": str(n), "group": f"g{n // 2}", "route": rng.gauss(0.7 if right else 0.3, 0.1)}
        row = make_row(cheap=("final_answer" if right else "BLOCKED",), verifier=(rng.random(),), **fields)
        greedy = row.cheap[0].model_copy(update={"confidence": rng.random()})
        rows.append(row.model_copy(update={"cheap": (greedy,)}))
    return rows


def test_what_knows_most_weighs_most():
    found = fit(informed(), "type")
    assert found.route > 3 * max(abs(found.verifier), abs(found.confidence))
    good, bad = (combined(found, make_row(route=value)) for value in (0.8, 0.2))
    assert good > 0.9 and bad < 0.1


def test_a_rows_own_group_has_no_say_in_its_score():
    rows = informed()
    wrong = {"gold": action("repair")}
    spoilt = [row.model_copy(update=wrong) if row.group == "g0" else row for row in rows]
    before, after = cross_fitted(rows, "type"), cross_fitted(spoilt, "type")
    assert [row.combined for row in before[:2]] == pytest.approx([row.combined for row in after[:2]], rel=1e-9)
    assert [row.combined for row in before] != [row.combined for row in after]
    assert [row.episode for row in before] == [row.episode for row in rows]


def test_where_there_is_nothing_to_learn_it_is_the_verifiers_score():
    rows = [make_row(episode=str(n), group=str(n), verifier=(0.3,)) for n in range(6)]
    assert fit(rows, "type") == VERIFIER_ALONE and fit([], "type") == VERIFIER_ALONE
    assert cross_fitted(rows, "type")[0].combined == pytest.approx(0.3)
    alone = cross_fitted(make_rows(2), "type")  # one group
    assert alone[0].combined == pytest.approx(min(1 - 1e-4, max(1e-4, alone[0].verifier[0].score)))


def test_it_is_stored_as_plain_numbers_and_read_back(tmp_path):
    found = fit(informed(), "type")
    write_text(tmp_path / "combination.json", json.dumps(found._asdict()))
    assert load_combination(tmp_path / "combination.json") == found
    assert with_combined([make_row()], found)[0].combined == combined(found, make_row())
    write_text(tmp_path / "combination.json", '{"verifier": 1.0}')
    with pytest.raises(UserError, match=r"combination\.json: .*needs verifier, confidence, route, intercept"):
        load_combination(tmp_path / "combination.json")
