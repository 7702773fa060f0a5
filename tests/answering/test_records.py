"""Reading recorded answers: what is refused, and how it is said."""

import json
from pathlib import Path

import pytest
from factories import action, candidate, make_row, make_rows

from specacts.answering.records import AnswerMetrics, Answers, Generated, Judged, load_answers, metrics
from specacts.core.errors import UserError
from specacts.core.files import write_jsonl


def written(path: Path, rows: list[Answers]) -> Path:
    write_jsonl(path, (row.model_dump(mode="json") for row in rows))
    return path


def test_answers_survive_a_round_trip(tmp_path: Path):
    rows = make_rows(4)
    assert load_answers(written(tmp_path / "test.jsonl", rows)) == rows


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


def test_the_recording_is_counted_and_what_one_computation_told_of_several_candidates_once():
    row = make_row(context=100, cheap=("repair", "repair", "BLOCKED"), verifier=(0.5, 0.5, 0.4))
    shared = (row.verifier[0], row.verifier[0], row.verifier[2])
    rows = [row.model_copy(update={"verifier": shared}), make_row(context=50, decision=1)]
    recorded = {(one.episode, one.decision): one.model_dump(mode="json", exclude={"middle"}) for one in rows}
    assert metrics({"calibrate": {}, "test": recorded}, seconds=4.0) == AnswerMetrics(
        decisions={"calibrate": 0, "test": 2},
        seconds=4.0,
        decisions_per_second=0.5,
        context_tokens={"cheap": 150, "verifier": 150, "strong": 150},
        generated_tokens=Generated(cheap=4 * 10, strong=2 * 12),
        judged_tokens=Judged(verifier=3 * 11, strong=4 * 10),
    )


def test_what_the_verifiers_model_would_do_is_recorded_beside_its_verdicts_and_counted(tmp_path: Path):
    row = make_row(middle=candidate(action("BLOCKED"), tokens=7))
    assert load_answers(written(tmp_path / "test.jsonl", [row])) == [row]
    recorded = {("e0", 0): json.loads(row.model_dump_json())}
    assert metrics({"test": recorded}, seconds=1.0).generated_tokens == Generated(cheap=10, strong=12, middle=7)


def test_a_middle_model_without_a_verifier_is_refused():
    alone = {"verifier": (), "verifier_likelihood": ()}
    with pytest.raises(ValueError, match="verifier holds no verdicts, and its model acts"):
        Answers.model_validate(make_row(middle=candidate(None)).model_dump() | alone)
