"""What rules for arguments decided: same only by them, refused by them alone, and nothing said without any."""

from factories import TARIFF, candidate, case_of, make_cases, make_row

from specacts.answering.records import Answers
from specacts.core.comparison import Rule
from specacts.core.episodes import Action
from specacts.evaluation.metrics import Settings, evaluate, run
from specacts.evaluation.results import Evaluation, Ruled
from specacts.evaluation.rules import decided
from specacts.evaluation.stats import resample_weights
from specacts.policies.cases import scored
from specacts.policies.choose import calibrated

RULES = {"text": Rule("text", 0.5), "price": Rule("number", 0.01), "id": Rule("ignore")}
GOLD = {"text": "one two", "price": 100, "id": "x", "to": "me"}


def row(proposed: dict | None, gold: dict = GOLD, tool: str = "send") -> Answers:
    """A decision at which `gold` was called and `proposed` is; None for malformed output."""
    call = Action(type="tool_call", tool=tool, arguments=proposed) if proposed is not None else None
    due = Action(type="tool_call", tool="send", arguments=gold, compare=RULES)
    return make_row().model_copy(update={"gold": due, "cheap": (candidate(call),)})


def test_each_kind_counts_what_it_decided():
    found = decided(
        [
            row(GOLD),  # equal: nobody decided
            row({**GOLD, "text": "one three"}),  # text
            row({**GOLD, "text": "one three", "price": 101}),  # text and number, neither alone
            row({**GOLD, "text": "four"}),  # refused by text
            row({**GOLD, "text": "four", "to": "you"}),  # refused by two
            row({**GOLD, "to": "you", "id": "y"}),  # refused by what has no rule
            row({key: value for key, value in GOLD.items() if key != "id"}),  # ignored
            row({**GOLD, "text": "four"}, tool="other"),
            row(None),
            row({"to": 1, "id": 3}, gold={"to": 1}),  # an ignored argument that the agent left out
            make_row(),  # speaks
        ]
    )
    assert found == {
        "exact": Ruled(decisions=10, compared=8, same=0, refused=1),
        "number": Ruled(decisions=9, compared=7, same=1, refused=0),
        "text": Ruled(decisions=9, compared=7, same=2, refused=1),
        "ignore": Ruled(decisions=10, compared=8, same=2, refused=0),
    }


def test_a_kind_that_no_call_falls_under_is_left_out():
    assert list(decided([row({"text": "one"}, gold={"text": "one"})]) or ()) == ["text"]


def test_nothing_is_said_where_no_tool_has_rules(tmp_path):
    cases = make_cases(9)
    assert decided([case.row for case in cases]) is None
    ruled = [case_of(cases[0].row.model_copy(update={"gold": row(GOLD).gold})), *cases[1:]]
    for these, there in ((cases, False), (ruled, True)):
        weights = resample_weights([case.row.group for case in these], 20, 0)
        tracks = run(these, TARIFF, dict.fromkeys("CDEFGHS", 0.5), "final_answer", "call")
        maps = {name: calibrated(these, name, "call") for name in scored(these)}
        found = evaluate(these, tracks, TARIFF, Settings("call", "verdict", "flops"), weights, {}, maps)
        found.save(tmp_path / "eval.json")
        assert ('"rules"' in (tmp_path / "eval.json").read_text()) == there
        assert Evaluation.load(tmp_path / "eval.json").rules == found.rules
