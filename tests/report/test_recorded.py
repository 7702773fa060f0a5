"""Where the strong model is the agent that wrote the traces, the report speaks of that agent, and of what differs."""

from pathlib import Path

import pytest
from factories import make_cases, recorded
from toy_facts import CHEAPER, EVEN, SAME, TRAINED, changed, recorded_facts, setting, unverified_facts, workspace

from specacts.core.results import Estimate
from specacts.evaluation.results import Ruled
from specacts.policies.results import Asked
from specacts.report.facts import Facts
from specacts.report.recorded import advice_text, answer, levers_text, remarks
from specacts.report.report import answer as first_line
from specacts.report.report import report, result_table
from stages import calibrate as calibrate_stage
from stages import evaluate as evaluate_stage
from stages import report as report_stage

RISKS = ("0.05", "0.1", "0.15", "0.2")


@pytest.fixture(scope="module")
def made() -> Facts:
    return recorded_facts()


@pytest.fixture
def facts(made: Facts) -> Facts:
    """Four calibration groups of the four in the split, one group in five being for calibration."""
    facts = changed(changed(made, "data/calibrate/groups", 4), "data/total/groups", 20)
    return changed(facts, "data/total/episodes", 40)


def enough_groups(facts: Facts) -> Facts:
    return changed(facts, "calibration/groups", 100)


def promising(facts: Facts, name: str, risk: str, share: float, cost: Estimate) -> Facts:
    """With a policy that is the cheapest at a risk, the share that it takes from the cheap model, and its cost."""
    for path, value in (
        (f"promise/cheapest/{risk}", name),
        (f"calibration/guaranteed/{name}/{risk}", 0.7),
        (f"evaluation/guaranteed/{name}/{risk}/accept_rate", share),
        (f"evaluation/guaranteed/{name}/{risk}/cost/money", cost),
        (f"evaluation/guaranteed/{name}/{risk}/lost", Estimate(0.031, 0.01, 0.05)),
    ):
        facts = changed(facts, path, value)
    return facts


def no_best(facts: Facts) -> Facts:
    """Without a policy that is worth having without a promise."""
    return facts._replace(thresholds=facts.thresholds.model_copy(update={"most_accurate": "A"}))


def lines(text: str, begins: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(begins)]


def test_the_whole_report_speaks_of_your_agent_and_never_of_a_strong_model(facts: Facts):
    text = report(promising(facts, "F", "0.1", 0.4, CHEAPER))
    assert text.startswith("# Can a cheap model take most of your agent's actions?")
    assert "right by definition" in text and "your agent" in text
    for absent in ("strong", "FLOP, ", "simulators", "None", "nan ", "points of", "gold", "## How long it takes"):
        assert absent not in text, absent
    assert "FLOPs and seconds are not compared" in text


def test_what_rules_for_arguments_decided_is_told_where_there_are_some(facts: Facts):
    assert "How arguments are compared" not in report(facts)
    rules = {"exact": Ruled(decisions=2000, compared=50, same=0, refused=7)}
    rules["text"] = Ruled(decisions=40, compared=30, same=11, refused=4)
    text = report(changed(facts, "evaluation/rules", rules)._replace(level="call"))
    assert "### How arguments are compared" in text and "arguments compared by your rules; where your agent" in text
    (row,) = [row for row in lines(text, "| exact ") if "2,000" in row]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["exact", "2,000", "50", "0", "7"]
    assert len(lines(text, "| text ")) == 1


def test_what_cannot_be_known_is_absent(facts: Facts):
    head, _, *rows = result_table(facts).splitlines()
    assert [cell.strip() for cell in head.split("|")][-4:] == ["from cheap", "money", "upstream's figures", ""]
    assert [row[2] for row in rows if row[2] in "ABCDEFGHS" and row[3] == " "] == list("ABDEFGHS")
    assert rows[0].startswith("| A what your agent did")
    text = report(facts)
    assert "(policy C)" not in text and "- **C**" not in text and "There is no C" in text
    assert not lines(text, "| strong ") and not lines(text, "| C ") and not lines(text, "| **C**")
    assert "Confusion matrices of A and B" not in text and "## Where the cheap model differs from your agent" in text


def test_a_manager_reads_how_much_at_which_risk_and_what_it_saves(facts: Facts):
    facts = promising(enough_groups(facts), "F", "0.1", 0.4, CHEAPER)
    assert first_line(facts) == (
        "Yes, in part: the cheap model can take 40 % of your agent's actions (policy F), which saves 20 % (10–30) of "
        "the money. With 90 % confidence, at most 10 % of all actions then differ from your agent's; on the test split "
        "3.1 % (1–5) differed."
    )
    wider = promising(facts, "G", "0.2", 0.7, Estimate(0.5, 0.4, 0.6))
    assert answer(wider).startswith(
        "Yes: the cheap model can take 70 % of your agent's actions (policy G), which saves"
    )
    assert "If at most 10 % may differ, it can take 40 % (policy F), which saves 20 % (10–30); on" in answer(wider)
    everything = promising(facts, "G", "0.2", 1.0, Estimate(0.5, 0.4, 0.6))
    assert answer(everything).startswith("Yes: the cheap model can take all of your agent's actions (policy B), which")
    assert "**B**: the cheap model alone" in lines(advice_text(everything), "| 20 %")[0]
    unit = changed(facts, "evaluation/cost_per_decision/A/money", 50_000.0)
    (row,) = lines(advice_text(unit), "| 10 %")
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "10 %",
        "**F**: cheap proposes, its own confidence decides",
        "40 %",
        "20 % (10–30)",
        "10.0 of 50.0",
        "3.1 % (1–5)",
    ]


def test_what_saves_nothing_measurable_is_no_yes(facts: Facts):
    facts = promising(enough_groups(facts), "F", "0.1", 0.4, SAME)
    assert answer(facts).startswith(
        "No: with 100 calibration groups, no policy that is cheaper than your agent can be shown"
    )


def test_where_nothing_is_promised_the_best_without_a_promise_comes_last(facts: Facts):
    for groups in (4, 100):
        text = answer(changed(facts, "calibration/groups", groups))
        assert text.startswith(("Not yet: ", "No: "))
        assert "Without a promise, the policy that differed least within the cost budget on the calibration" in text
        assert "was E: on the test split the cheap model takes 68 % of the actions, which saves 12 % (7–23) of" in text
    dearer = changed(facts, "evaluation/policies/E/cost/money", SAME)
    assert "Without a promise" not in answer(dearer) and "Without a promise" not in answer(no_best(facts))


def test_a_choice_that_test_contradicts_is_kept_and_that_is_said(facts: Facts):
    facts = promising(enough_groups(facts), "F", "0.1", 0.4, CHEAPER)
    assert "did better" not in answer(facts)
    facts = changed(facts, "evaluation/guaranteed/D/0.05/cost/money", Estimate(0.7, 0.6, 0.8))
    facts = changed(facts, "evaluation/guaranteed/D/0.05/lost", Estimate(0.02, 0.01, 0.03))
    assert "(policy F)" in answer(facts) and "D at 5 % did better: it saved 30 % (20–40), and 2.0 %" in answer(facts)
    assert "cost: D at 5 % instead of F at 10 %." in advice_text(facts)


def test_a_cost_that_is_not_money_is_named(facts: Facts):
    facts = promising(enough_groups(facts), "F", "0.1", 0.4, CHEAPER)
    facts = changed(facts, "evaluation/guaranteed/F/0.1/cost/upstream", CHEAPER)._replace(cost_model="upstream")
    assert "of the cost (upstream's figures)" in answer(facts)


def test_where_nothing_can_be_promised_it_is_said_how_many_more_logs_that_means(facts: Facts):
    facts = no_best(facts)
    assert answer(facts) == (
        "Not yet: there are too few conversations to promise anything. A promise rests on groups of conversations that "
        "are kept for calibration. There are 4, and even the weakest promise (20 % of actions may differ from your "
        "agent's) needs 18. That is roughly 70 groups (140 conversations) more than the 20 groups (40 conversations) "
        "of logs that this run had."
    )
    text = advice_text(facts)
    assert "What is missing for a promise.** There are 4 calibration groups" in text
    assert "a promise needs more: 18 for 20 %, 24 for 15 %, 38 for 10 % and 77 for 5 %." in text
    assert len(lines(text, "| 5 %")) == 2 and "370 groups (730 conversations)" in lines(text, "| 5 %")[1]
    assert "your agent: too few logs to promise anything" in lines(text, "| 5 %")[0]


def test_what_the_verifiers_groups_would_bring_is_said(facts: Facts):
    facts = no_best(facts)
    assert "Without a verifier" not in answer(facts)
    facts = changed(facts, "data/verify/groups", 10)
    assert answer(facts).endswith("Without a verifier there would be enough for 20 % (see below).")
    assert (
        "**Without a verifier** (`specacts use --no-verifier`; recipe `recorded-small`) its 10 groups would be "
        "used for calibration too, and F alone needs fewer: 14 groups are enough to promise 20 %, if the cheap model "
        "is good enough."
    ) in advice_text(facts)


def test_without_a_verifier_the_report_is_of_what_there_is():
    text = report(unverified_facts())
    assert first_line(unverified_facts()).startswith("Not yet: there are too few conversations to promise")
    assert "needs 13. That is roughly" in text and "*a perfect router*" in text and "## Scores as probabilities" in text
    assert "Where no threshold can be shown to be" in text and "hold together" not in text and "whichever" not in text


def test_groups_that_are_conversations_are_called_that(facts: Facts):
    assert "roughly 70 conversations more" in answer(changed(facts, "data/total/episodes", 20))


def test_only_the_smaller_risks_may_lack_groups(facts: Facts):
    facts = changed(facts, "calibration/groups", 24)
    assert answer(facts).startswith("No: with 24 calibration groups,")
    text = advice_text(facts)
    assert "What is missing for the smaller risks.** There are 24" in text and "38 for 10 % and 77 for 5 %." in text
    assert "nothing cheaper can be promised" in lines(text, "| 20 %")[0] and "too few" in lines(text, "| 10 %")[0]
    assert "What is missing" not in advice_text(enough_groups(facts))


def test_what_the_scale_leaves_out_is_said_before_more_logs_are_fetched(facts: Facts):
    assert "configs/scale" not in advice_text(facts)
    facts = changed(facts, "data/calibrate/groups", 20)
    assert "Your logs hold enough of them, but this scale uses too few" in answer(facts)
    text = advice_text(changed(facts, "own/left_out/not_drawn", 9))
    assert "raise `answer.calibrate_episodes` too: only 4 of the split's 20 groups were used; and raise" in text
    assert "`own.conversations`: 9 of your conversations are not used at this scale." in text


def test_a_risk_that_was_asked_for_is_the_one_that_is_answered(facts: Facts):
    facts = promising(promising(enough_groups(facts), "F", "0.1", 0.4, CHEAPER), "G", "0.2", 0.7, CHEAPER)
    for cheapest, begins in (("F", "Yes, in part: the cheap model can take 40 %"), ("A", "No: with 100 calibration")):
        wanted = Asked(risk=0.12, by_type={}, policies={"D": 0.8, "F": 0.7, "G": 0.6}, cheapest=cheapest)
        found = changed(facts, "promise/asked", wanted)
        for name in "DFG":
            kept = facts.evaluation.guaranteed[name]
            found = changed(found, f"evaluation/guaranteed/{name}", kept | {"asked": kept["0.1"]})
        assert answer(found).startswith(begins) and "12 % of" in answer(found)
        assert "if 20 %" not in answer(found)
        assert "at most 12 % of actions may differ, all together" in report(found)


def test_costs_are_said_to_be_an_estimate_at_whose_prices(facts: Facts):
    assert "is an estimate" in remarks(facts) and "made-up prices" in remarks(facts)
    mine = facts._replace(prices="mine", currency="EUR")
    assert "at the prices of `configs/prices/mine.yaml`. That is" in remarks(mine) and "made-up" not in remarks(mine)
    assert "Its tokens are an estimate from the whole conversation" in report(mine) and "EUR" in remarks(mine)


def test_costs_that_the_logs_tell_are_no_estimate(facts: Facts):
    decisions = sum(facts.answers.decisions.values())
    told = changed(facts, "answers/with_usage", decisions)
    assert "What your agent costs is what your logs say its calls used, at the prices of" in remarks(told)
    assert "Its tokens are what your logs say its calls used.\n" in report(told) and "estimate" not in remarks(told)
    some = changed(facts, "answers/with_usage", decisions - 1)
    assert f"where they do ({decisions - 1:,} of {decisions:,} decisions), and otherwise an estimate: " in remarks(some)
    assert f"used at {decisions - 1:,} of {decisions:,} decisions, and at the others an estimate" in report(some)


def test_seconds_are_compared_where_the_logs_tell_them_of_every_call():
    timed = recorded_facts(timed=True)
    head, *_ = result_table(timed).splitlines()
    costs = [cell.strip() for cell in head.split("|")][-5:]
    assert costs == ["from cheap", "seconds", "money", "upstream's figures", ""]
    text = report(timed)
    assert "on its provider's machines" in text and "measured on this machine" in text
    assert "FLOPs are not compared" in text and "seconds are not compared" not in text
    assert "## How long it takes" in text and "your agent started at once" in text and "tools of 1 s" in text
    assert "seconds a decision" in text and "simulators" not in text and "strong" not in text


def test_seconds_of_some_calls_are_told_and_not_compared(facts: Facts):
    decisions = sum(facts.answers.decisions.values())
    some = changed(facts, "answers/with_seconds", decisions - 1)
    assert f"your logs say how long a call took at {decisions - 1:,} of {decisions:,} decisions" in report(some)
    assert "## How long it takes" not in report(some) and "seconds a decision" not in report(some)


def test_what_hopping_costs_is_told_of_the_advised_policy_and_of_the_one_that_sticks(facts: Facts):
    for path, value in (("guaranteed/F/0.1", 0.2), ("policies/F", 0.12), ("policies/S", 0.084), ("policies/E", 0.3)):
        facts = changed(facts, f"evaluation/hopping/{path}/share", Estimate(value, value, value))
    sticky = "8.4 % (8–8) with S at its threshold without a promise"
    for best, said in (("E", "30.0 % (30–30) with E at"), ("A", "12.0 % (12–12) with F at")):
        found = advice_text(changed(facts, "thresholds/most_accurate", best))
        assert f"{said} its threshold without a promise and {sticky}." in found
    promised = advice_text(promising(facts, "F", "0.1", 0.4, CHEAPER))
    assert f"that is 20.0 % (20–20) with F where 10 % of actions may differ and {sticky}." in promised
    only = advice_text(changed(facts, "thresholds/most_accurate", "S"))
    assert f"that is {sticky}." in only


def test_levers_say_from_how_many_times_the_logs_on_something_could_be_promised(facts: Facts):
    none = {name: dict.fromkeys(RISKS, 0.0) for name in "DFG"}
    facts = changed(facts, "calibration/projected", dict.fromkeys(("2", "4", "8"), none))
    assert "*More logs* alone are not enough: even with 8 times as many groups like the 4" in levers_text(facts)
    some = none | {"F": none["F"] | {"0.15": 0.3, "0.2": 0.5}}
    text = levers_text(changed(facts, "calibration/projected/4", some))
    assert (
        "With 4 times as many like them, the cheap model could take 30 % if 15 % may differ (F) and 50 % if 20 %"
        in text
    )


def test_a_budget_below_the_agents_cost_names_the_policy_that_differs_least(facts: Facts):
    assert "they accept only what never differed on the calibration split" in advice_text(facts)
    text = advice_text(facts._replace(max_relative_cost=0.7))
    assert "budget (0.7 × your agent's cost) on the calibration split was **E** (cheap proposes N" in text
    none = facts._replace(max_relative_cost=0.1, thresholds=facts.thresholds.model_copy(update={"most_accurate": "A"}))
    assert "no policy stayed within the budget" in advice_text(none)


def test_an_agent_that_is_never_met_leaves_a_judge_nothing_to_win(facts: Facts):
    for part in ("coin", "perfect_router"):
        facts = changed(facts, f"evaluation/frontier/area_of_{part}/area", EVEN)
    assert "not even a perfect router is better than a coin" in report(facts)
    assert "the best judge here" not in levers_text(facts)


@pytest.mark.slow
def test_the_stages_draw_and_write_without_a_strong_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    workspace(
        tmp_path, {"calibrate": recorded(make_cases(9, 5)), "test": recorded(make_cases(9, 6))}, ("cheap", "verifier")
    )
    monkeypatch.chdir(tmp_path)
    recorded_facts().live.save(Path("metrics/live.json"))
    TRAINED.save(Path("metrics/train/strong.json"))  # the recorded no-op
    setting(tmp_path, "recipe: v3", "recipe: recorded")
    setting(tmp_path, "model: flops_no_cache", "model: money")
    for stage in (calibrate_stage, evaluate_stage, report_stage):
        stage.main()
    assert {path.name for path in Path("reports/cards").iterdir()} == {"cheap.md", "verifier.md"}
    assert len(list(Path("reports/figures").glob("*.png"))) == 6
    assert "what your agent did" in capsys.readouterr().out
    for name in ("report", "appendix"):
        assert "strong" not in Path(f"reports/{name}.md").read_text()
