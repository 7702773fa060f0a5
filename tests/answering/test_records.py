"""Reading recorded answers: what is refused, and how it is said."""

import json
from pathlib import Path

import pytest
from factories import SIZES, make_row, make_rows

from specacts.answering.records import Answers, judged_by, load_answers
from specacts.core.errors import UserError
from specacts.core.files import write_json, write_jsonl
from specacts.models.sizes import ModelSize, load_sizes


def written(path: Path, rows: list[Answers]) -> Path:
    write_jsonl(path, (row.model_dump(mode="json") for row in rows))
    return path


def test_answers_survive_a_round_trip(tmp_path: Path):
    rows = make_rows(4)
    assert load_answers(written(tmp_path / "test.jsonl", rows)) == rows


def test_policies_go_by_the_score_that_was_asked_for():
    rows = make_rows(4)
    assert judged_by(rows, "verdict") == rows
    assert [row.verifier for row in judged_by(rows, "likelihood")] == [row.verifier_likelihood for row in rows]


def test_an_empty_split_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"test\.jsonl: no answers"):
        load_answers(written(tmp_path / "test.jsonl", []))


def test_a_wrong_field_is_named_with_line_and_value(tmp_path: Path):
    path = written(tmp_path / "test.jsonl", make_rows(2))
    bad = make_row().model_dump(mode="json")
    bad["strong"]["tokens"] = "many"
    path.write_text(path.read_text() + json.dumps(bad) + "\n")
    line = len(path.read_text().splitlines())
    with pytest.raises(UserError, match=rf"test\.jsonl:{line}: strong\.tokens: .*'many'"):
        load_answers(path)


def test_every_candidate_needs_a_verdict(tmp_path: Path):
    row = make_row(cheap=("final_answer", "BLOCKED"), verifier=(0.1, 0.2)).model_dump(mode="json")
    row["verifier"] = row["verifier"][:1]
    write_jsonl(tmp_path / "test.jsonl", [row])
    with pytest.raises(UserError, match="verifier holds 1 verdicts on 2 candidates"):
        load_answers(tmp_path / "test.jsonl")


@pytest.mark.parametrize(
    "order",
    [
        [("e0", 1), ("e0", 0)],
        [("e0", 0), ("e0", 0)],
        [("e0", 0), ("e1", 0), ("e0", 1)],  # an episode in two pieces
    ],
)
def test_rows_out_of_order_are_refused(tmp_path: Path, order: list[tuple[str, int]]):
    rows = [make_row(episode=episode, decision=decision) for episode, decision in order]
    with pytest.raises(UserError, match=rf"test\.jsonl:{len(rows)}: decision: .*out of order"):
        load_answers(written(tmp_path / "test.jsonl", rows))


def test_sizes_survive_a_round_trip(tmp_path: Path):
    write_json(tmp_path / "models.json", {role: size._asdict() for role, size in SIZES.items()})
    assert load_sizes(tmp_path / "models.json") == SIZES


def test_an_incomplete_size_is_named(tmp_path: Path):
    size = ModelSize(1, 1, 1, 1)._asdict()
    write_json(tmp_path / "models.json", {"cheap": size, "verifier": {"body": 1}, "strong": size})
    with pytest.raises(UserError, match=r"models\.json: verifier: needs body, head, layers, attention"):
        load_sizes(tmp_path / "models.json")
