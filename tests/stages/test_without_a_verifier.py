"""Where the recipe has no verifier, the stages that would make one and ask it record that there is nothing to do."""

import json
from math import isnan
from pathlib import Path

import pytest
from factories import make_cases, make_row, recorded, unverified, without_verifier
from toy_facts import setting, unverified_facts, workspace

from specacts.answering.proposals import ProposalMetrics, load_proposals
from specacts.answering.records import Answers
from specacts.core.errors import UserError
from specacts.core.files import write_jsonl, write_text
from specacts.evaluation.overview import Overview
from specacts.policies.cases import compared, judging, load_routes, scored
from specacts.policies.combine import load_combination
from specacts.policies.results import Thresholds
from specacts.policies.router import NO_ROUTER, RouteMetrics, load_router
from specacts.training.results import FROZEN, TrainMetrics
from stages import calibrate, check, evaluate, propose, report, route, train_verifier


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stages before calibrate leave, of an agent's few logs."""
    found = {split: unverified(recorded(make_cases(9, seed))) for split, seed in (("calibrate", 5), ("test", 6))}
    workspace(tmp_path, found, ("cheap",))
    for old, new in (("recipe: v3", "recipe: recorded-small"), ("model: flops_no_cache", "model: money")):
        setting(tmp_path, old, new)
    setting(tmp_path, "policies: [D, F, G]", "policies: [F]")
    for name in ("verify", "calibrate", "test"):
        write_text(tmp_path / f"data/split/{name}.jsonl", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_the_cheap_model_runs(here: Path):
    write_text(here / "examples/helpdesk.jsonl", "")
    check.main()
    assert (here / "data/local_roles.txt").read_text() == "cheap\n"


def test_nothing_is_proposed_trained_or_routed_and_no_model_is_loaded(here: Path):
    propose.main()
    assert load_proposals(here / "data/proposals.jsonl") == []
    assert ProposalMetrics.load(here / "metrics/propose.json").decisions == 0
    train_verifier.main()
    assert [path.name for path in (here / "models/verifier").iterdir()] == ["none.txt"]
    assert TrainMetrics.load(here / "metrics/train/verifier.json") == FROZEN
    assert (here / "metrics/train/verifier_loss.csv").read_text() == "step,loss,learning_rate\n"
    route.main()
    assert load_router(here / "data/router.json") is None and (here / "data/routes.jsonl").read_text() == ""
    assert RouteMetrics.load(here / "metrics/route.json") == NO_ROUTER


@pytest.mark.slow
def test_from_answers_to_report_only_the_policies_that_there_are_appear(here: Path, capsys):
    unverified_facts().live.save(here / "metrics/live.json")
    for stage in (calibrate, evaluate, report):
        stage.main()
    assert load_combination(here / "data/combination.json") is None
    assert list(Thresholds.load(here / "data/thresholds.json").policies) == ["F", "S"]
    found = json.loads((here / "metrics/eval.json").read_text())
    assert list(found["policies"]) == ["A", "B", "F", "S"] and "verifier" not in found
    assert list(Overview.load(here / "metrics/overview.json").accuracy) == list(found["policies"])
    assert set(found["baselines"]) == {"majority", "random", "random_accept_F", "random_accept_S", "oracle_routes"}
    assert {path.name for path in (here / "reports/cards").iterdir()} == {"cheap.md"}
    text = "".join((here / f"reports/{name}.md").read_text() for name in ("report", "appendix"))
    for absent in ("strong", "- **D**", "- **G**", "D with a", "| verifier", "None", "nan ", "Is the verifier"):
        assert absent not in text, absent
    assert "No verifier was trained either" in text and "F and S score the cheap model's greedy proposal;" in text


def test_a_promise_for_what_is_absent_is_refused_before_anything_runs(here: Path):
    setting(here, "policies: [F]", "policies: [D, F]")
    with pytest.raises(UserError, match=r"acceptance.policies: D learn on .* set acceptance.policies to \[F\]"):
        check.main()


def test_a_policy_is_replayed_where_its_judge_and_its_score_are_there():
    cases = unverified(make_cases(4))
    assert judging(cases) == ("C", "F", "S") and compared(cases) == ("A", "B", "C", "F", "S")
    assert judging(unverified(recorded(make_cases(4)))) == ("F", "S") and "G" not in scored(cases)


def test_routes_without_a_probability_are_no_router(tmp_path: Path):
    path = tmp_path / "routes.jsonl"
    write_jsonl(path, [{"episode": "e0", "decision": 0, "turn": 1, "route": None}])
    (found,) = load_routes(path, [make_row()])
    assert isnan(found.probability) and found.turn == 1


def test_recorded_answers_have_a_verifier_in_all_places_or_in_none():
    row = unverified(make_cases(1))[0].row.model_dump(mode="json")
    assert Answers.model_validate(row).verifier == ()
    with pytest.raises(ValueError, match="context lacks strong"):
        Answers.model_validate(row | {"context": {"cheap": 1}})
    judged = make_row().model_dump(mode="json")
    with pytest.raises(ValueError, match="verifier holds no verdicts, and verifier_likelihood does"):
        Answers.model_validate(judged | {"verifier": []})
    with pytest.raises(ValueError, match="window lacks verifier"):
        Answers.model_validate(judged | {"window": without_verifier(judged["window"])})
