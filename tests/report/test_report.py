"""The report says what the numbers say, whichever way they point, and is the same bytes for the same numbers."""

import json
from collections import Counter
from math import nan
from pathlib import Path

import pytest
from factories import ACCEPTANCE
from toy_facts import (
    BETTER,
    CHEAPER,
    EVEN,
    RATE,
    RECIPES,
    SAME,
    WORSE,
    accepting,
    bent,
    changed,
    make_facts,
    promising,
    setting,
    workspace,
    worse_than_strong,
)

from scripts import show
from specacts.core.errors import UserError
from specacts.core.files import write_text
from specacts.core.results import Estimate
from specacts.evaluation.ablation import Made
from specacts.evaluation.results import Evaluation, Speech
from specacts.evaluation.seeds import AcrossSeeds, Seeds
from specacts.live.results import LiveMetrics
from specacts.policies.cost import COST_MODELS
from specacts.policies.decide import NEVER
from specacts.policies.results import Asked, OnCalibrate, Promise, Thresholds
from specacts.report.facts import Facts, Trained
from specacts.report.offers import serving
from specacts.report.report import answer, appendix, first_page, remarks, report, result_table
from specacts.report.sections import costs_text, levers_text
from specacts.report.wording import percent
from specacts.traces.ingest import metrics as no_own_traces
from specacts.training.results import FROZEN
from stages import calibrate as calibrate_stage
from stages import evaluate as evaluate_stage
from stages import report as report_stage


@pytest.fixture(scope="module")
def made() -> Facts:
    return make_facts()


@pytest.fixture
def facts(made: Facts) -> Facts:
    """All judging policies are worse and more expensive than A, A is better than B; all thresholds within budget."""
    return worse_than_strong(made)


def test_the_answer_is_the_largest_saving_that_is_promised_with_what_it_lost(facts: Facts):
    assert answer(promising(facts, "F", 0.7, CHEAPER)) == (
        "In part: the cheap model takes 40 % of the actions (policy F: cheap proposes, its own confidence decides), "
        "which saves 20 % (10–30) of the cost (FLOPs). With 90 % confidence, this loses at most 10 points of accuracy "
        "(action type) against the strong model; on the test split it lost 1.0 points (-1.0 to 3.0)."
    )
    more = promising(facts, "G", 0.6, Estimate(0.5, 0.4, 0.6), risk="0.2", taken=0.7)
    wider = answer(promising(more, "F", 0.7, CHEAPER))
    assert wider.startswith("Yes: the cheap model takes 70 % of the actions (policy G: a router decides who acts,")
    assert "saves 50 % (40–60) of the cost (FLOPs). With 90 % confidence, this loses at most 20 points" in wider
    assert " If at most 10 points may be lost, the cheap model takes 40 % of the actions (policy F: " in wider


@pytest.mark.parametrize(
    ("lost", "said", "begins"),
    [
        ((0.02, 0.01, 0.03), "lost 2.0 points (1.0 to 3.0).", "Yes, at a price: the "),
        ((-0.02, -0.03, -0.01), "gained 2.0 points (1.0 to 3.0).", "Yes: the "),
        ((0.12, -0.01, 0.2), "lost 12.0 points (-1.0 to 20.0), more than was promised.", "Yes: the "),
    ],
)
def test_what_a_promise_lost_on_test_is_said_whichever_way_it_went(facts: Facts, lost: tuple, said: str, begins: str):
    facts = promising(facts, "F", 0.7, CHEAPER, taken=0.5)
    text = answer(changed(facts, "evaluation/guaranteed/F/0.1/lost", Estimate(*lost)))
    assert text.startswith(begins) and text.endswith(f"on the test split it {said}")


def test_who_hands_over_everything_is_the_cheap_model_alone_at_its_cost(facts: Facts):
    facts = changed(facts, "evaluation/policies/B/cost/flops", Estimate(0.3, 0.2, 0.4))
    facts = promising(facts, "D", 0.0, CHEAPER, taken=1.0)
    assert answer(facts).startswith(
        "Yes: the cheap model alone (B) takes all actions, which saves 70 % (60–80) of the cost"
    )
    (line,) = [line for line in report(facts).splitlines() if line.startswith("| 10 points") and "**" in line]
    assert "**B**: the cheap model alone" in line and "70 % (60–80)" in line and "100 %" in line
    assert "|             0: as B |" in report(facts)


def test_what_saves_nothing_measurable_or_was_not_promised_is_no_yes(facts: Facts):
    facts = changed(facts, "calibration/groups", 100)
    no = "No: with 90 % confidence, no policy that costs less than the strong model can be shown to lose at most 20"
    for found in (facts, promising(facts, "F", 0.7, SAME), bent(facts, "F", BETTER, CHEAPER)):
        assert answer(found).startswith(no)


def without_a_promise(facts: Facts, best: str) -> Facts:
    return facts._replace(thresholds=facts.thresholds.model_copy(update={"most_accurate": best}))


@pytest.mark.parametrize(
    ("gain", "said"),
    [(BETTER, "is more often right than"), (EVEN, "is not measurably more"), (WORSE, "is less often right than")],
)
def test_where_nothing_is_promised_that_is_said_then_the_best_without_a_promise(facts: Facts, gain: tuple, said: str):
    text = answer(accepting(without_a_promise(bent(facts, "F", gain, CHEAPER), "F"), "F", 0.4))
    assert text.startswith(
        "Not yet: there are too few tasks to promise anything. Even a promise to lose at most 20 points of accuracy"
    )
    assert "needs 18 groups of tasks in the calibration split, and there are 4. Without a promise, the most" in text
    assert "was F (cheap proposes, its own confidence decides). On the test split it takes 40 % of its actions" in text
    assert said in text and "costs 0.80 (0.70–0.90) times what the strong model does (FLOPs)" in text
    assert answer(without_a_promise(facts, "A")).endswith("was more accurate than the strong model alone.")
    everything = accepting(without_a_promise(facts, "F"), "F", 1.0)
    assert "on the calibration split was B (the cheap model alone)." in answer(everything)


def test_a_choice_that_test_contradicts_is_kept_and_that_is_said(facts: Facts):
    facts = promising(facts, "F", 0.7, CHEAPER)
    assert "did better" not in answer(facts) and "must not decide" not in report(facts)
    for path, value in (("cost/flops", Estimate(0.7, 0.6, 0.8)), ("lost", WORSE)):
        facts = changed(facts, f"evaluation/guaranteed/D/0.05/{path}", value)
    assert answer(facts).startswith("In part: the cheap model takes 40 % of the actions (policy F")
    assert answer(facts).endswith(
        "On the test split, but not on the calibration split that decides, D at 5 points did better: it saved "
        "30 % (20–40) and gained 2.0 points (1.0 to 3.0)."
    )
    assert "at no more cost: D at 5 points instead of F at 10 points." in report(facts)


def test_an_unpromised_choice_that_test_contradicts_is_kept_and_that_is_said(facts: Facts):
    facts = accepting(without_a_promise(facts, "F"), "F", 0.4)
    for name, right, cost in (("F", 0.9, 0.8), ("D", 0.9, 0.7), ("E", 0.8, 0.7)):
        facts = changed(facts, f"evaluation/policies/{name}/type_accuracy", Estimate(right, right, right))
        facts = changed(facts, f"evaluation/policies/{name}/cost/flops", Estimate(cost, cost, cost))
    for name in "ACGHS":
        facts = changed(facts, f"evaluation/policies/{name}/type_accuracy", Estimate(0.4, 0.4, 0.4))
    assert "on the calibration split that decides, D did better: at least as accurate, at no more cost." in answer(
        facts
    )
    assert "On the test split, which must not decide, D did better" in report(facts)


def test_the_answer_follows_the_configured_cost_and_level(facts: Facts):
    facts = promising(facts, "F", 0.7, CHEAPER)
    facts = changed(facts, "evaluation/guaranteed/F/0.1/cost/seconds", Estimate(0.6, 0.5, 0.7))
    assert "saves 40 % (30–50) of the cost (seconds)." in answer(facts._replace(cost_model="seconds"))
    assert "points of accuracy (full call) against" in answer(facts._replace(level="call"))


def test_remarks_say_what_undermines_the_answer(facts: Facts):
    for name, rate in (("C", 0.0), ("D", 0.5), ("E", 0.5)):
        facts = accepting(facts, name, rate)
    found = remarks(facts).split("\n\n")
    assert len(found) == 2 and "C accepts nothing" in found[1]
    facts = changed(facts, "evaluation/paired/B_minus_A/type_accuracy", EVEN)._replace(recipe=RECIPES["v2"])
    for name in "CE":
        facts = changed(facts, f"calibration/policies/{name}/within_budget", False)
    text = remarks(facts._replace(recipe=RECIPES["v3"]))
    assert "not shown to be better than the cheap one" in remarks(facts)  # frozen; where both are trained: see below
    assert "not shown to be better" not in text
    both = "C (cheap proposes, strong judges) and E (cheap proposes N, verifier picks)"
    assert f"With every threshold, {both} cost more than the budget" in text


def test_two_trained_models_that_are_no_different_are_said_first(facts: Facts):
    facts = changed(promising(facts, "F", 0.7, CHEAPER), "evaluation/paired/B_minus_A/type_accuracy", EVEN)
    said = answer(facts)
    assert said.startswith("No answer yet: both models were trained, and the strong one is not shown to be better")
    assert "(B minus A: +1.0 (-1.0 to +3.0) points of action type accuracy)" in said and "Yes" not in said
    assert answer(facts._replace(recipe=RECIPES["v2"])).startswith(
        "In part: the cheap model takes"
    )  # frozen: a remark says it


@pytest.mark.parametrize("recipe", ["v2", "v3", "recorded", "recorded-small"])
def test_a_cheap_model_that_did_not_learn_is_said_first(facts: Facts, recipe: str):
    facts = promising(facts, "F", 0.7, CHEAPER)._replace(recipe=RECIPES[recipe])
    for cheap, most_common, begins in (
        ((0.4, 0.3, 0.5), (0.3, 0.2, 0.4), True),  # the difference is 10 points, give or take 14
        ((0.4, 0.3, 0.5), (0.2, 0.1, 0.3), False),
        ((0.2, 0.1, 0.3), (0.4, 0.3, 0.5), True),
    ):
        facts = changed(facts, "evaluation/policies/B/type_accuracy", Estimate(*cheap))
        facts = changed(facts, "evaluation/baselines/majority/type_accuracy", Estimate(*most_common))
        said = answer(facts)
        assert said.startswith("No answer yet: the cheap model did not learn") is begins
        assert not begins or (percent(Estimate(*cheap)) in said and percent(Estimate(*most_common)) in said)
    assert "Yes" not in said


def test_both_faults_are_said_first_together(facts: Facts):
    facts = changed(facts, "evaluation/paired/B_minus_A/type_accuracy", EVEN)
    said = answer(changed(facts, "evaluation/policies/B/type_accuracy", Estimate(0.0, 0.0, 0.0)))
    assert (
        "did not learn to act" in said
        and "The strong model is not shown to be better than the cheap one either" in said
    )


def test_the_first_screen_is_question_answer_and_what_to_do(facts: Facts):
    lines = [line for line in report(facts).splitlines() if line]
    assert lines[0].startswith("# ") and lines[0].endswith("?")
    assert lines[2] == f"**{answer(facts)}**"
    assert "## What to do" in lines[3:8]
    table = result_table(facts).splitlines()
    assert len(table) == 2 + len("ABCDEFGHS") + 6
    assert "\n".join(table) in report(facts)


def test_the_first_page_says_how_to_let_it_act_where_there_is_something_to_serve(facts: Facts):
    nothing = changed(facts, "promise", Promise(cheapest={"0.1": "A"}, asked=None))
    promised = changed(facts, "promise", Promise(cheapest={"0.05": "A", "0.1": "F"}, asked=None))
    asked = Asked(risk=0.1, by_type={}, policies={"F": 0.5}, cheapest="F")
    assert "at the smallest of these risks that can be promised (`--risk` chooses another)" in first_page(promised)
    assert serving(changed(promised, "promise/asked", asked)) == "asked"
    assert not serving(changed(promised, "promise/asked", asked.model_copy(update={"cheapest": "A"})))
    assert "begin with `--mode observe`" in first_page(changed(nothing, "thresholds/most_accurate", "B"))
    assert "specacts serve" not in first_page(changed(nothing, "thresholds/most_accurate", "A"))


def test_the_result_table_is_the_one_that_is_printed(facts: Facts, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_text(Path("reports/appendix.md"), appendix(facts))
    show.main()
    assert result_table(facts) in capsys.readouterr().out


def test_the_report_links_every_figure_and_explains_every_policy(facts: Facts):
    text = report(facts)
    for figure in ("frontier", "confusion", "training_loss", "accept_rate", "reliability", "risk_coverage"):
        assert f"(figures/{figure}.png)" in text
    for name in "ABCDEFGHS":
        assert f"- **{name}**: " in text
    assert "nan" not in text.lower().replace("finance", "") and "None" not in text


def test_what_is_missing_is_a_dash_or_left_out(facts: Facts):
    facts = changed(facts, "evaluation/verifier/base_rate", Estimate(0.0, 0.0, 0.0))
    text = report(accepting(facts, "D", 0.0)._replace(training={}))
    assert "no score can be judged" in text and "No training was recorded." in text and "None" not in text


def test_the_verifier_is_called_what_it_is(facts: Facts):
    for gain, words in (
        (BETTER, "verifier is better than the cheap model's own confidence, which is free"),
        (EVEN, "not measurably better"),
        (WORSE, "not worth its cost"),
    ):
        assert words in report(changed(facts, "evaluation/verifier/auroc_minus_confidence", gain))


def test_a_frozen_model_is_said_not_to_have_been_trained(facts: Facts):
    text = report(changed(facts, "training/strong", Trained(FROZEN, None)))
    (line,) = [line for line in text.splitlines() if line.startswith("| strong ") and "frozen" in line]
    assert line.count("–") == 6


def test_what_to_do_is_the_cheapest_certified_policy_at_each_risk_or_the_strong_model(facts: Facts):
    (line,) = [line for line in report(facts).splitlines() if line.startswith("| 10 points") and "groups" in line]
    assert f"A: too few groups for a promise (it takes {facts.calibration.groups_needed['0.1']})" in line
    assert "A: nothing cheaper can be promised" in report(changed(facts, "calibration/groups", 1000))
    assert "Nothing that is cheaper than the strong model (A) can be promised with 90 % confidence" in report(facts)
    facts = promising(facts, "F", 0.7, CHEAPER)
    assert "the cheapest policy for which this can be shown, of D (cheap proposes, trained verifier" in report(facts)
    (line,) = [line for line in report(facts).splitlines() if line.startswith("| 10 points") and "**F**" in line]
    assert "20 % (10–30)" in line and "40 %" in line and "+1.0 (-1.0 to +3.0)" in line
    assert "With 90 % confidence" in report(facts)


def test_what_a_promise_saves_is_told_in_every_way_of_counting(facts: Facts):
    """FLOPs without a cache alone would flatter: where models keep their caches, the same policy may save nothing."""
    assert "What is saved depends" not in first_page(facts)
    facts = promising(promising(facts, "F", 0.7, CHEAPER), "F", 0.7, CHEAPER, risk="0.2")
    for risk in ("0.1", "0.2"):
        facts = changed(facts, f"evaluation/guaranteed/F/{risk}/cost", dict.fromkeys(COST_MODELS, SAME))
    facts = changed(facts, "evaluation/guaranteed/F/0.1/cost/flops", CHEAPER)
    (first, second) = [line for line in first_page(facts).splitlines() if line.startswith("| F at ")]
    cells = [cell.strip() for cell in first.strip("|").split("|")]
    same = f"{(1 - SAME.value) * 100:.0f} % ({(1 - SAME.high) * 100:.0f} to {(1 - SAME.low) * 100:.0f})"
    assert cells == ["F at 10 points", "20 % (10 to 30)", same, same, same] and second.startswith("| F at 20 points")
    facts = changed(facts, "evaluation/guaranteed/F/0.2/cost/flops", CHEAPER)
    assert first_page(facts).count("| F at ") == 1  # does the same


def test_levers_do_not_call_a_model_better_that_is_not_shown_to_be(facts: Facts):
    assert " points better than the cheap one and " in levers_text(facts)
    facts = changed(facts, "evaluation/paired/B_minus_A/type_accuracy", EVEN)
    assert "The strong model is not shown to be better than the cheap one, but " in levers_text(facts)


def test_levers_leave_out_what_twice_the_groups_could_not_promise_either(facts: Facts):
    none = {name: dict.fromkeys(by_risk, 0.0) for name, by_risk in facts.calibration.projected["2"].items()}
    assert "nothing could be promised." in levers_text(changed(facts, "calibration/projected/2", none))
    some = levers_text(changed(facts, "calibration/projected/2", none | {"F": none["F"] | {"0.2": 0.5}}))
    assert "of the actions: 50 % at 20 points (F)." in some


def test_what_cannot_be_promised_is_said(facts: Facts):
    nothing = {name: dict.fromkeys(by_risk, NEVER) for name, by_risk in facts.calibration.guaranteed.items()}
    assert report(changed(facts, "calibration/guaranteed", nothing)).count("none: always strong") == 4 * len(
        ACCEPTANCE.policies
    )


def asked(facts: Facts) -> Facts:
    """With a promise for `acceptance.risk`, in which D has a threshold by type and G none."""
    wanted = Asked(
        risk=0.12,
        by_type={"file_write": 0, "retrieval": 0.2},
        policies={"D": {"file_write": NEVER, "retrieval": 0.4}, "G": NEVER},
        cheapest="D",
    )
    facts = changed(facts, "promise/asked", wanted)
    for name in "DG":
        kept = facts.evaluation.guaranteed[name]
        facts = changed(facts, f"evaluation/guaranteed/{name}", kept | {"asked": kept["0.1"]})
    return facts


def test_a_promise_that_was_asked_for_is_told_with_its_thresholds_by_type(facts: Facts):
    assert "Asked for" not in report(facts)
    text = report(asked(facts))
    assert "at most 12 points, and 0 points of `file_write` and 20 points of `retrieval` proposals" in text
    assert "The cheapest policy that keeps this is **D**" in text
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert ["", "file_write", "strong acts", ""] in rows and ["", "retrieval", "0.4", ""] in rows


def test_how_likely_the_models_find_what_the_agent_said_is_told_where_it_said_anything(facts: Facts):
    assert "## Words" not in report(facts)
    told = Speech(decisions=30, nll=RATE, recorded_tokens=RATE, said=0, said_tokens=Estimate(nan, nan, nan), cut=0)
    text = report(changed(facts, "evaluation/speech", {"cheap": told}))
    (row,) = [line for line in text.splitlines() if line.startswith("| cheap ") and " 30 " in line]
    assert "## Words" in text and [cell.strip() for cell in row.split("|")][3:5] == ["0.500 (0.300 to 0.700)", "1.6"]


def test_live_runs_stand_beside_the_stepwise_figures(facts: Facts):
    text = report(facts)
    assert "4 test episodes (3 tasks, 12 turns, 9 of which" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| F ") and "7 of 30" in line]  # the best other
    assert "50.0 % (30–70)" in line


def test_the_policies_are_described_as_the_recipe_makes_them(facts: Facts):
    v3, v2 = report(facts), report(facts._replace(recipe=RECIPES["v2"], recipe_name="v2", score="reward"))
    for words in ("fine-tuned", "own right and wrong proposals", "rejects them all", "Thresholds were chosen on"):
        assert words in v3 and words not in v2
    for words in (
        "frozen, zero-shot",
        "reward model",
        "`Action: <type>`",
        "nothing is rejected",
        "fixes the thresholds",
    ):
        assert words in v2 and words not in v3
    assert "0.5, fixed" not in v3


def test_upstreams_figures_are_given_with_and_without_the_fallback(facts: Facts):
    without = {"C": 0.25, "D": 0.25, "E": 0.75, "F": 0.15, "G": 0.1, "H": 0.2, "S": 0.12}
    facts = changed(facts, "evaluation/upstream_without_fallback", without)
    for name, value in (("C", 1.25), ("D", 1.04), ("E", 1.75), ("F", 0.9), ("G", 0.8), ("H", 0.7), ("S", 0.6)):
        facts = changed(facts, f"evaluation/policies/{name}/cost/upstream", Estimate(value, value, value))
    read = "0.25, 0.25, 0.75, 0.15, 0.10, 0.20 and 0.12; with it, 1.25, 1.04, 1.75, 0.90, 0.80, 0.70 and 0.60."
    assert f"then read {read}" in report(facts)


def test_tokens_of_two_families_are_not_compared(facts: Facts):
    said = "Tokens are each model's own"
    assert said not in costs_text(facts)
    assert said in costs_text(changed(facts, "assets/roles/strong/base", "another"))


def test_what_hopping_costs_stands_beside_the_costs_of_every_policy_that_hops(facts: Facts):
    for name, value in (("F", 0.12), ("S", 0.084)):
        facts = changed(facts, f"evaluation/hopping/policies/{name}/share", Estimate(value, value - 0.02, value + 0.02))
    text = costs_text(facts)
    assert "It is 12.0 % (10–14) with F and 8.4 % (6–10) with S" in text
    cells = {row.split("|")[1].strip(): row.split("|")[-2].strip() for row in text.splitlines() if row[:2] == "| "}
    assert (cells["F"], cells["S"]) == ("12.0 % (10–14)", "8.4 % (6–10)") and cells["A"] == cells["B"] == "–"


def test_how_much_of_test_was_in_training_is_said(facts):
    assert (
        "of what users say 3 of 200 (2 %), in 1 test episodes; of everything, tool results included, 80 of 4,000"
        in (report(facts))
    )


def with_own_traces(facts: Facts) -> Facts:
    """With own traces alone."""
    own = no_own_traces(
        read=40,
        taken=30,
        groups=20,
        by_type=Counter(retrieval=5),
        rules=Counter(name=4, question=1),
        counts=Counter(undecided=2),
        left_out=Counter(failed=3, not_drawn=7),
        normalised=Counter({"texts cut in the middle": 1}),
        secrets=Counter(openai=2),
    )
    nothing = LiveMetrics(episodes=0, turns=0, acting_turns=0, groups=0, policies={})
    return facts._replace(own=own, live=nothing)


def test_text_that_reads_like_a_template_stays_text(facts: Facts):
    text = report(facts._replace(currency="{{ 7 * 7 }}{% raw %} <b>\\"))
    assert "millionths of a {{ 7 * 7 }}{% raw %} <b>\\ a decision." in text and "µ{{ 7 * 7 }}" in text


def test_own_traces_are_accounted_for_and_bring_no_foreign_sections(facts):
    assert "Your own traces" not in report(facts) and "At work on the simulators" in report(facts)
    text = report(with_own_traces(facts))
    for said in (
        "Of 40 conversations, 30 are used, in 20 groups. Of the others, 3 are marked `success: false`, 7 are more than",
        "2 texts of the agent have no clear type",
        "2 secrets were redacted (2 openai)",
        "1 texts cut in the middle",
        "| the tool's name ",
    ):
        assert said in text
    assert "At work on the simulators" not in text and "What each change of the recipe does" not in text


def test_the_stages_write_what_they_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    for stage in (calibrate_stage, evaluate_stage, report_stage):
        stage.main()
    made = {str(path) for path in Path("reports").rglob("*.*")}
    tables = ("frontier", "confusion_A", "confusion_B", "accept_rate", "reliability", "risk_coverage", "score_by_type")
    plots = {f"reports/plots/{name}.csv" for name in tables}
    drawn = ("frontier", "confusion", "training_loss", "accept_rate", "reliability", "risk_coverage")
    figures = {f"reports/figures/{name}.png" for name in drawn}
    cards = {f"reports/cards/{role}.md" for role in ("cheap", "strong")}
    assert made == plots | figures | cards | {"reports/report.md", "reports/appendix.md", "reports/report.html"}
    assert "The report: reports/report.md and reports/appendix.md" in capsys.readouterr().out
    policies = OnCalibrate.load(Path("metrics/calibrate.json")).policies
    thresholds = Thresholds.load(Path("data/thresholds.json")).policies
    assert thresholds == {name: fit.threshold for name, fit in policies.items()}
    assert Promise.load(Path("data/promise.json")).asked is None
    assert Evaluation.load(Path("metrics/eval.json")).decisions > 0


def test_a_promise_is_made_and_kept_through_the_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    setting(tmp_path, "policies: [D, F, G]", "policies: [F]")
    setting(tmp_path, "risk: null", "risk: 0.9")
    setting(tmp_path, "risk_by_type: {}", "risk_by_type: {file_write: 0}")
    setting(tmp_path, "confidence: 0.9", "confidence: 0.5")
    monkeypatch.setattr(report_stage, "draw", lambda *figures: None)  # the test before draws
    for stage in (calibrate_stage, evaluate_stage, report_stage):
        stage.main()
    asked = json.loads(Path("data/promise.json").read_text())["asked"]
    assert asked["policies"]["F"]["file_write"] == NEVER
    assert "asked" in json.loads(Path("metrics/eval.json").read_text())["guaranteed"]["F"]
    assert "**Asked for**" in Path("reports/appendix.md").read_text()


def test_a_promise_that_cannot_be_made_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    calibrate_stage.main()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "params.yaml"}
    setting(tmp_path, "risk: null", "risk: 0.05")
    with pytest.raises(UserError, match="takes .* calibration groups, and there are 3"):
        calibrate_stage.main()
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "params.yaml"}


def test_what_other_seeds_gave_stands_in_the_report_of_their_run_alone(facts: Facts):
    evaluation = facts.evaluation
    accuracy = {name: entry.accuracy(facts.level).value for name, entry in evaluation.policies.items()}
    policies = {
        name: AcrossSeeds(accuracy=(value, value - 0.02), over_seeds=Estimate(value, 0.1, 0.9), cost=(1.0, 1.0))
        for name, value in accuracy.items()
    }
    seeds = Seeds(
        made=Made(commit="c", date="2026-11-26", machine="m"),
        scale=facts.scale,
        recipe=facts.recipe_name,
        level=facts.level,
        cost_model=facts.cost_model,
        decisions=evaluation.decisions,
        groups=evaluation.groups,
        seeds=(0, 1),
        policies=policies,
    )
    here = (facts.scale, facts.recipe_name, facts.level)
    assert seeds.belongs_to(evaluation, *here)
    assert not seeds.belongs_to(evaluation, "qwen3", *here[1:])
    assert not seeds.model_copy(update={"seeds": (0,)}).belongs_to(evaluation, *here)
    moved = policies | {"B": policies["B"].model_copy(update={"accuracy": (accuracy["B"] + 0.01, 0.5)})}
    assert not seeds.model_copy(update={"policies": moved}).belongs_to(evaluation, *here)

    told = facts._replace(seeds=seeds)
    low, high = (accuracy["A"] - 0.02) * 100, accuracy["A"] * 100
    assert f"Trained with 2 seeds, A is right in {low:.1f} to {high:.1f} %, B in " in first_page(told)
    assert "## With other seeds" in appendix(told) and "over tasks and seeds" in appendix(told)
    assert "seeds" not in first_page(facts) and "With other seeds" not in appendix(facts)
