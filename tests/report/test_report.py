"""The report says what the numbers say, whichever way they point, and is the same bytes for the same numbers."""

import copy
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from factories import ACCEPTANCE, SIZES, TARIFF, make_rows
from places import CONFIGURATION, copy_configuration

from scripts import show
from specacts.answering.effects import by_text
from specacts.answering.records import Answers
from specacts.config import Recipe
from specacts.core.errors import UserError
from specacts.core.files import write_json, write_jsonl, write_text
from specacts.evaluation.metrics import Settings, evaluate, run, run_guaranteed
from specacts.evaluation.stats import resample_weights
from specacts.policies.choose import SCORED, calibrate, calibrated, menu, metrics
from specacts.policies.cost import COST_MODELS
from specacts.policies.decide import JUDGING, NEVER
from specacts.report.report import answer, remarks, report, result_table
from specacts.report.wording import Facts
from specacts.traces.ingest import metrics as no_own_traces
from stages import calibrate as calibrate_stage
from stages import evaluate as evaluate_stage
from stages import report as report_stage

TYPES = {"tool_call": 3, "final_answer": 5}
TRAINED = {
    "steps": 40,
    "rows": 40,
    "tokens": 9000,
    "supervised_tokens": 800,
    "seen_tokens": 9000,
    "first_loss": 3.2,
    "final_loss": 0.9,
    "seconds": 90.0,
    "peak_memory_gib": 1.5,
    "trainable_parameters": 2_000_000,
}
RECIPES = {
    name: Recipe.model_validate(yaml.safe_load((CONFIGURATION / f"configs/recipe/{name}.yaml").read_text()))
    for name in ("v2", "v3")
}
RATE = {"": 0.5, "_low": 0.3, "_high": 0.7}
LIVE = {
    "episodes": 4,
    "groups": 3,
    "turns": 12,
    "acting_turns": 9,
    "policies": {
        name: {
            **{
                f"{key}{end}": v
                for key in ("turn_success", "acting_turn_success", "episode_success")
                for end, v in RATE.items()
            },
            **{f"{key}{end}": v for key in ("turn_success_minus_A", "steps_per_episode") for end, v in RATE.items()},
            "cheap_share": 0.4,
            "calls": 30,
            "failed_calls": 7,
            "malformed": 1,
            "given_up": {"steps": 2, "failures": 1, "timeout": 0, "crash": 0},
            "cost": {f"{model}{end}": v for model in COST_MODELS for end, v in RATE.items()},
            "cost_per_episode": {"seconds": 3.0},
        }
        for name in ("A", "B", "D", "other")
    },
}
CONTAMINATION = {
    "ngram": 13,
    "user": {"episodes": 1, "ngrams": 200, "shared": 3},
    "all": {"episodes": 2, "ngrams": 4000, "shared": 80},
}
ASSETS = {"roles": {role: {"parameters": 57_000_000, "layers": [0, 1, -1]} for role in SIZES}}


@pytest.fixture(scope="module")
def made() -> Facts:
    rows, other = make_rows(12), make_rows(12, seed=4)
    fitted, offered = calibrate(other, TARIFF, ACCEPTANCE, "flops"), menu(other, ACCEPTANCE)
    tracks = run(rows, TARIFF, {name: fit.threshold for name, fit in fitted.items()}, "final_answer", "type")
    kept = run_guaranteed(rows, TARIFF, offered)
    maps = {name: calibrated(other, name, "type") for name in SCORED}
    weights, settings = resample_weights([row.group for row in rows], 100, 0), Settings("type", "verdict", "flops")
    return Facts(
        evaluation=evaluate(rows, rows, tracks, TARIFF, settings, weights, kept, maps),
        calibration=metrics(other, fitted, offered, ACCEPTANCE, "flops"),
        thresholds={"most_accurate": "E", "best_other": "F"},
        promise={"cheapest": dict.fromkeys(("0.05", "0.1", "0.15", "0.2"), "A"), "asked": None},
        live=LIVE,
        router={"auroc": 0.7},
        data={
            "train": {"episodes": 2, "groups": 1, "decisions": 8, "decisions_by_type": TYPES},
            "contamination": CONTAMINATION,
        },
        own=no_own_traces(),
        answers={"decisions_per_second": 4.0},
        assets=ASSETS,
        training=dict.fromkeys(SIZES, TRAINED),
        ablation={},
        scale="toy",
        recipe_name="v3",
        recipe=RECIPES["v3"],
        score="verdict",
        level="type",
        cost_model="flops",
        max_relative_cost=1.0,
        prices="example",
        currency="USD",
    )


@pytest.fixture
def facts(made: Facts) -> Facts:
    """A copy that a test may bend; C, D and E are worse and dearer than A, A is better than B."""
    bent = copy.deepcopy(made)
    for name in JUDGING:
        bend(bent, name, (-0.1, -0.2, -0.05), (1.5, 1.4, 1.6))
    set_interval(bent.evaluation["paired"]["B_minus_A"], "type_accuracy", (-0.1, -0.2, -0.05))
    for fit in bent.calibration["policies"].values():
        fit["within_budget"] = True
    return bent


def bend(facts: Facts, name: str, gain: tuple[float, ...], cost: tuple[float, ...]) -> None:
    """Set a policy's difference to A in accuracy, and its relative cost: value, low, high."""
    set_interval(facts.evaluation["paired"][f"{name}_minus_A"], "type_accuracy", gain)
    set_interval(facts.evaluation["policies"][name]["cost"], "flops", cost)


def set_interval(entry: dict, key: str, values: tuple[float, ...]) -> None:
    entry.update(zip((key, f"{key}_low", f"{key}_high"), values, strict=True))


BETTER, EVEN, WORSE = (0.02, 0.01, 0.03), (0.01, -0.01, 0.03), (-0.02, -0.03, -0.01)
CHEAPER, SAME, DEARER = (0.8, 0.7, 0.9), (1.0, 0.9, 1.1), (1.3, 1.2, 1.4)


@pytest.mark.parametrize(
    ("gain", "cost", "begins"),
    [
        (BETTER, CHEAPER, "Yes: D "),
        (BETTER, SAME, "Yes in accuracy, not in cost: D "),
        (EVEN, CHEAPER, "Nearly: cheaper, and no difference in accuracy could be shown: D "),
        (BETTER, DEARER, "In accuracy yes, but it costs more: D "),
        (WORSE, CHEAPER, "Not without a loss: D "),
        (EVEN, SAME, "No: no judging policy "),
        (EVEN, DEARER, "No: no judging policy "),
        (WORSE, DEARER, "No: no judging policy "),
    ],
)
def test_the_answer_follows_from_the_numbers(facts: Facts, gain: tuple, cost: tuple, begins: str):
    bend(facts, "D", gain, cost)
    assert answer(facts).startswith(begins)


def test_the_answer_names_the_best_of_those_that_qualify(facts: Facts):
    bend(facts, "C", (0.05, 0.01, 0.09), DEARER)
    bend(facts, "D", (0.02, 0.01, 0.03), CHEAPER)
    bend(facts, "E", (0.03, 0.01, 0.05), CHEAPER)
    assert answer(facts).startswith("Yes: E (")
    assert "+3.0 points of action type accuracy, +1.0 to +5.0" in answer(facts)


def test_the_answer_follows_the_configured_cost_and_level(facts: Facts):
    bend(facts, "D", BETTER, CHEAPER)
    set_interval(facts.evaluation["policies"]["D"]["cost"], "seconds", DEARER)
    assert answer(facts._replace(cost_model="seconds")).startswith("In accuracy yes, but it costs more: D ")
    set_interval(facts.evaluation["paired"]["D_minus_A"], "call_accuracy", WORSE)
    for name in "CE":
        set_interval(facts.evaluation["paired"][f"{name}_minus_A"], "call_accuracy", WORSE)
    assert answer(facts._replace(level="call")).startswith("Not without a loss: D ")


def test_remarks_say_what_undermines_the_answer(facts: Facts):
    facts.evaluation["policies"]["C"]["accept_rate"] = 0.0
    facts.evaluation["policies"]["D"]["accept_rate"] = 0.5
    facts.evaluation["policies"]["E"]["accept_rate"] = 0.5
    assert len(remarks(facts)) == 2 and "C accepts nothing" in remarks(facts)[1]
    set_interval(facts.evaluation["paired"]["B_minus_A"], "type_accuracy", EVEN)
    for name in "CE":
        facts.calibration["policies"][name]["within_budget"] = False
    text = " ".join(remarks(facts))
    assert "not shown to be better than the cheap one" in text
    assert "No threshold of C and E kept within the cost budget" in text


def test_the_first_screen_is_question_answer_and_what_to_do(facts: Facts):
    lines = [line for line in report(facts).splitlines() if line]
    assert lines[0].startswith("# ") and lines[0].endswith("?")
    assert lines[2] == f"**{answer(facts)}**"
    assert "## What to do" in lines[3:8]
    table = result_table(facts.evaluation).splitlines()
    assert len(table) == 2 + len("ABCDEFGH") + 6
    assert "\n".join(table) in report(facts)


def test_the_result_table_is_the_one_that_is_printed(facts: Facts, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_text(Path("reports/report.md"), report(facts))
    show.main()
    assert result_table(facts.evaluation) in capsys.readouterr().out


def test_the_report_links_every_figure_and_explains_every_policy(facts: Facts):
    text = report(facts)
    for figure in ("frontier", "confusion", "training_loss", "accept_rate", "reliability", "risk_coverage"):
        assert f"(figures/{figure}.png)" in text
    for name in "ABCDEFGH":
        assert f"- **{name}**: " in text
    assert "nan" not in text.lower().replace("finance", "") and "None" not in text


def test_what_is_missing_is_a_dash_or_left_out(facts: Facts):
    facts.evaluation["verifier"]["base_rate"] = 0.0
    facts.evaluation["policies"]["D"]["accept_rate"] = 0.0
    text = report(facts._replace(training={}, answers={}))
    assert "no score can be judged" in text and "No training was recorded." in text and "None" not in text


def test_the_verifier_is_called_what_it_is(facts: Facts):
    for gain, words in (
        (BETTER, "better than the free"),
        (EVEN, "not measurably better"),
        (WORSE, "not worth its cost"),
    ):
        set_interval(facts.evaluation["verifier"], "auroc_minus_confidence", gain)
        assert words in report(facts)


def test_a_frozen_model_is_said_not_to_have_been_trained(facts: Facts):
    frozen = {**dict.fromkeys(TRAINED, 0)}
    del frozen["first_loss"], frozen["final_loss"]
    text = report(facts._replace(training={**facts.training, "strong": frozen}))
    (line,) = [line for line in text.splitlines() if line.startswith("| strong ") and "frozen" in line]
    assert line.count("–") == 6


def promise(facts: Facts, name: str, threshold: float, cost: tuple[float, float, float]) -> None:
    """Give a policy a threshold at 10 points, and what it then costs; it is the cheapest there."""
    facts.calibration["guaranteed"][name]["0.1"] = threshold
    facts.promise["cheapest"]["0.1"] = name
    entry = facts.evaluation["guaranteed"][name]["0.1"]
    entry["accept_rate"] = 0.4
    set_interval(entry["cost"], "flops", cost)
    set_interval(entry, "lost", EVEN)


def test_what_to_do_is_the_cheapest_certified_policy_at_each_risk_or_the_strong_model(facts: Facts):
    (line,) = [line for line in report(facts).splitlines() if line.startswith("| 10 points") and "nothing" in line]
    assert "A: nothing cheaper can be promised" in line
    promise(facts, "F", 0.7, CHEAPER)
    (line,) = [line for line in report(facts).splitlines() if line.startswith("| 10 points") and "**F**" in line]
    assert "20 % (10–30)" in line and "40 %" in line and "+1.0 (-1.0 to +3.0)" in line
    assert "With 90 % confidence" in report(facts)


def test_what_cannot_be_promised_is_said(facts: Facts):
    for name in facts.calibration["guaranteed"]:
        facts.calibration["guaranteed"][name] = dict.fromkeys(facts.calibration["guaranteed"][name], NEVER)
    assert report(facts).count("none: always strong") == 4 * len(ACCEPTANCE.policies)


def test_a_promise_that_was_asked_for_is_told_with_its_thresholds_by_type(facts: Facts):
    assert "Asked for" not in report(facts)
    by_type = {"file_write": NEVER, "retrieval": 0.4}
    facts.promise["asked"] = {
        "risk": 0.12,
        "by_type": {"file_write": 0, "retrieval": 0.2},
        "policies": {"D": by_type, "G": NEVER},
        "cheapest": "D",
    }
    for name in "DG":
        facts.evaluation["guaranteed"][name]["asked"] = facts.evaluation["guaranteed"][name]["0.1"]
    text = report(facts)
    assert "at most 12 points, and 0 points of `file_write` and 20 points of `retrieval` proposals" in text
    assert "The cheapest that keeps this is **D**" in text
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert ["", "file_write", "strong acts", ""] in rows and ["", "retrieval", "0.4", ""] in rows


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


def ablated(facts: Facts) -> Facts:
    """With one experiment, in which D lost ten points and everything else stayed."""
    key = "type_accuracy"
    policies = {
        name: {"accuracy": entry[key], "cost": 1.0}
        | dict.fromkeys(("accuracy_effect", "accuracy_effect_low", "accuracy_effect_high"), 0.0)
        | dict.fromkeys(("cost_effect", "cost_effect_low", "cost_effect_high"), 0.0)
        for name, entry in facts.evaluation["policies"].items()
    }
    lost = {"accuracy_effect": -0.1, "accuracy_effect_low": -0.15, "accuracy_effect_high": -0.05}
    worse = {**policies, "D": policies["D"] | lost}
    auroc = {"C": 0.7, "D": 0.6}
    ablation = {
        "scale": "toy",
        "level": "type",
        "cost_model": "flops",
        "decisions": 9,
        "groups": 3,
        "base": {"auroc": auroc, "policies": policies},
        "experiments": {"strong": {"what": "frozen", "settings": ["x=y"], "auroc": auroc, "policies": worse}},
    }
    return facts._replace(ablation=ablation)


def test_the_ablation_is_a_table_of_effects_with_the_certain_ones_in_bold(facts: Facts):
    assert "## What each change" not in report(facts)
    text = report(ablated(facts))
    assert "## What each change" in text and "(figures/ablation.png)" in text
    lines = [line for line in text.splitlines() if "-10.0 (-15.0 to -5.0)" in line]
    assert len(lines) == 1 and "**-10.0 (-15.0 to -5.0)**" in lines[0] and lines[0].split("|")[2].strip() == "D"
    assert "strong: frozen" in text and "is not this run" not in text


def test_an_ablation_of_another_run_is_called_that(facts: Facts):
    made = ablated(facts)
    made.ablation["base"]["policies"]["D"]["accuracy"] += 0.1
    assert "is not this run" in report(made)
    assert "is not this run" not in report(made._replace(recipe_name="v2"))  # v2 is no base of anything


def test_upstreams_figures_are_given_with_and_without_the_fallback(facts: Facts):
    facts.evaluation["upstream_without_fallback"] |= {"C": 0.25, "D": 0.25, "E": 0.75, "F": 0.15, "G": 0.1, "H": 0.2}
    for name, value in (("C", 1.25), ("D", 1.04), ("E", 1.75), ("F", 0.9), ("G", 0.8), ("H", 0.7)):
        facts.evaluation["policies"][name]["cost"]["upstream"] = value
    assert "then read 0.25, 0.25, 0.75, 0.15, 0.10 and 0.20; with it, 1.25, 1.04, 1.75, 0.90, 0.80 and 0.70." in report(
        facts
    )


def test_how_much_of_test_was_in_training_is_said(facts):
    assert (
        "of what users say 3 of 200 (2 %), in 1 test episodes; of everything, tool results included, 80 of 4,000"
        in (report(facts))
    )


def test_own_traces_are_accounted_for_and_bring_no_foreign_sections(facts):
    assert "Your own traces" not in report(facts) and "At work on the simulators" in report(facts)
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
    text = report(facts._replace(own=own, live={"episodes": 0, "policies": {}}, ablation={"experiments": {"x": {}}}))
    for said in (
        "Of 40 conversations 30 are used, in 20 groups; left out: 3 are marked `success: false`, 7 are more than",
        "2 texts of the agent could not be typed",
        "2 secrets were redacted (2 openai)",
        "1 texts cut in the middle",
        "| the tool's name ",
    ):
        assert said in text
    assert "At work on the simulators" not in text and "What each change of the recipe does" not in text


def recorded(row: Answers) -> dict:
    """A line of the answers, which says nothing of what is made of them afterwards."""
    return row.model_dump(mode="json", exclude={"route", "combined"})


def workspace(folder: Path) -> None:
    """What the stages before calibrate leave behind, for toy models."""
    copy_configuration(folder)
    setting(folder, "scale: cpu", "scale: smoke")  # fewer resamples
    for split, seed in (("calibrate", 5), ("test", 6)):
        write_jsonl(folder / f"data/answers/{split}.jsonl", map(recorded, make_rows(9, seed)))
    effects = (by_text(row).model_dump(mode="json") for row in make_rows(9, 6))
    write_jsonl(folder / "data/effects.jsonl", effects)
    write_json(folder / "data/answers/models.json", {role: size._asdict() for role, size in SIZES.items()})
    counted = {"episodes": 2, "groups": 1, "decisions": 8, "decisions_by_type": TYPES}
    write_json(folder / "metrics/data.json", {"train": counted, "contamination": CONTAMINATION})
    write_json(folder / "metrics/ingest.json", no_own_traces())
    write_json(folder / "metrics/answer.json", {"decisions_per_second": 4.0})
    write_json(folder / "metrics/route.json", {"auroc": 0.7})
    write_json(folder / "metrics/live.json", LIVE)
    asked = [row for seed in (5, 6) for row in make_rows(9, seed)]
    lines = ({"episode": row.episode, "decision": row.decision, "route": row.route} for row in asked)
    write_jsonl(folder / "data/routes.jsonl", lines)
    write_json(folder / "metrics/assets.json", ASSETS)
    write_json(folder / "metrics/ablation.json", {})
    for role in ("cheap", "strong"):  # the verifier's are missing
        write_json(folder / f"metrics/train/{role}.json", TRAINED)
        write_text(folder / f"metrics/train/{role}_loss.csv", "step,loss,learning_rate\n1,3.2,0.1\n2,0.9,0.1\n")


def test_the_stages_write_what_they_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    for stage in (calibrate_stage, evaluate_stage, report_stage):
        stage.main()
    made = {str(path) for path in Path("reports").rglob("*.*")}
    tables = ("frontier", "confusion_A", "confusion_B", "accept_rate", "reliability", "risk_coverage", "score_by_type")
    plots = {f"reports/plots/{name}.csv" for name in tables}
    drawn = ("frontier", "confusion", "training_loss", "accept_rate", "ablation", "reliability", "risk_coverage")
    figures = {f"reports/figures/{name}.png" for name in drawn}
    assert made == plots | figures | {"reports/report.md"}
    assert "The report: reports/report.md" in capsys.readouterr().out
    policies = json.loads(Path("metrics/calibrate.json").read_text())["policies"]
    thresholds, _ = evaluate_stage.read_thresholds()
    assert thresholds == {name: fit["threshold"] for name, fit in policies.items()}
    assert json.loads(Path("data/promise.json").read_text())["asked"] is None
    assert json.loads(Path("metrics/eval.json").read_text())["decisions"] > 0


def test_a_calibration_without_a_threshold_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_json(Path("data/thresholds.json"), {"policies": {"C": 0.5}})
    write_json(Path("metrics/calibrate.json"), {"majority": "BLOCKED"})
    with pytest.raises(UserError, match=r"thresholds\.json or .*: 'D' is missing"):
        evaluate_stage.read_thresholds()


def setting(folder: Path, old: str, new: str) -> None:
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    write_text(folder / "params.yaml", text.replace(old, new))


def test_a_promise_is_made_and_kept_through_the_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    setting(tmp_path, "policies: [D, F, G]", "policies: [F]")
    setting(tmp_path, "risk: null", "risk: 0.9")
    setting(tmp_path, "risk_by_type: {}", "risk_by_type: {file_write: 0}")
    setting(tmp_path, "confidence: 0.9", "confidence: 0.5")
    for stage in (calibrate_stage, evaluate_stage, report_stage):
        stage.main()
    asked = json.loads(Path("data/promise.json").read_text())["asked"]
    assert asked["policies"]["F"]["file_write"] == NEVER
    assert "asked" in json.loads(Path("metrics/eval.json").read_text())["guaranteed"]["F"]
    assert "**Asked for**" in Path("reports/report.md").read_text()


def test_a_promise_that_cannot_be_made_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    calibrate_stage.main()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "params.yaml"}
    setting(tmp_path, "risk: null", "risk: 0.05")
    with pytest.raises(UserError, match="takes .* calibrate groups, and there are 3"):
        calibrate_stage.main()
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "params.yaml"}
