"""Conversations are brought in as a stream: what is left out is counted, groups hold together, models can say it."""

import json
import random
import string
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from specacts.config import Own
from specacts.core.comparison import Rule
from specacts.core.episodes import Act, Action, Episode, Usage, User, decisions, load_episodes
from specacts.core.errors import UserError
from specacts.core.files import compact_json
from specacts.report.sections import LEFT_OUT, OWN_RULES
from specacts.traces.ingest import RULES, fitted, ingest, sample, shortened
from specacts.traces.stream import Place
from specacts.traces.tool_types import TypeMap
from stages import ingest as ingest_stage

OWN = Own(conversations=1000, decisions=30, characters=160)
NO_TYPES = TypeMap({}, {})
TOPICS = (
    "where my parcel went after it left the depot on monday morning",
    "why this month's bill is twice what we agreed on by telephone",
    "how to connect the new printer to the network in our office",
    "whether you sell spare bulbs for the lamp that I bought in May",
    "who can repair the hinge of a laptop that fell from the table",
    "when the shop at the harbour opens during the winter holidays",
    "what to do about the smell that comes out of our dishwasher",
    "if a gift card can be paid out when the shop has closed down",
)


def line(first: str = TOPICS[0], **fields: Any) -> str:
    messages = [
        {"role": "user", "content": first},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "get_it", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "it"},
        {"role": "assistant", "content": "Here it is."},
    ]
    return json.dumps({"messages": messages, **fields})


@pytest.fixture
def run(tmp_path, config):
    """Ingest lines; the metrics, the episodes and the folder they are in."""

    def ingested(
        *lines: str, own: Own = OWN, types: TypeMap = NO_TYPES, **changed: Any
    ) -> tuple[dict[str, Any], list[Episode], Path]:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in/t.jsonl").write_text("\n".join(lines) + "\n")
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        sources = config.sources.model_copy(update={"own": True, **changed})
        found = ingest(Place(str(tmp_path / "in"), ()), types, sources, own, 0, out)
        return found, load_episodes(out / "episodes.jsonl"), out

    return ingested


def test_ids_are_the_given_ones_or_the_place_in_the_files(run):
    _, episodes, _ = run(line(id="a"), line(TOPICS[1]))
    assert [episode.id for episode in episodes] == ["a", "t.jsonl:2"]


def test_calls_carry_the_rules_of_their_tool_and_repairs_too(run, tmp_path):
    """Written here, they reach whatever compares actions; where a tool has none, nothing is written."""
    rules = {"text": Rule("text", 0.6)}
    types = TypeMap({"say": "tool_call", "get_it": "retrieval"}, {}, {"say": rules})
    messages = [{"role": "user", "content": TOPICS[0]}]
    for number, (name, result) in enumerate((("say", '{"error": "no"}'), ("say", "said"), ("get_it", "it"))):
        function = {"name": name, "arguments": json.dumps({"text": f"word {number}" * 40})}
        messages.append({"role": "assistant", "tool_calls": [{"id": f"c{number}", "function": function}]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
    _, (episode,), out = run(json.dumps({"messages": messages}), types=types)
    assert [(d.gold.type, d.gold.compare) for d in decisions(episode)] == [("repair", rules), ("retrieval", {})]
    assert len(decisions(episode)[0].gold.arguments["text"]) < 200  # shortened, and still compared by its rule
    text = (out / "episodes.jsonl").read_text(encoding="utf-8")
    assert text.count('"compare":{"text":["text",0.6]}') == 2 == text.count('"compare"')


def test_groups_are_given_or_shared_by_like_beginnings_or_a_conversations_own(run):
    beginnings = (TOPICS[0], TOPICS[1], f"{TOPICS[1]} please", TOPICS[2], TOPICS[3], f"{TOPICS[3]} please")
    _, episodes, _ = run(
        line(beginnings[0], id="a", group="g"),
        line(beginnings[1], id="b"),
        line(beginnings[2], id="c"),
        line(beginnings[3], id="d"),
        line(beginnings[4], id="e"),
        line(beginnings[5], id="f", group="h"),
    )
    assert [episode.group for episode in episodes] == ["own/g", "own/~b", "own/~b", "own/~d", "own/h", "own/h"]


def test_likeness_can_be_left_out_of_account(run):
    _, episodes, _ = run(line(id="b"), line(id="c", reward=1), near_duplicates=None)
    assert [episode.group for episode in episodes] == ["own/~b", "own/~c"]


def test_failed_poor_and_repeated_conversations_are_left_out_and_counted(run):
    lines = [line(t, id=str(n)) for n, t in enumerate(TOPICS[:2])]
    found, episodes, _ = run(*lines, lines[0], line(id="f", success=False), line(id="p", reward=0.1), min_reward=0.5)
    assert [episode.id for episode in episodes] == ["0", "1"]
    left = {why: count for why, count in found.left_out.items() if count}
    assert left == {"duplicate": 1, "failed": 1, "low_reward": 1}
    assert (found.conversations, found.taken, found.groups) == (5, 2, 2)
    found, _, _ = run(line(id="f", success=False), failed="keep")
    assert found.taken == 1


def test_a_scale_takes_what_it_can_use_whole_groups_first(run):
    lines = [line(f"{TOPICS[n % 8]} {n}", id=f"{n}", group=f"g{n // 4}") for n in range(40)]
    found, episodes, _ = run(*lines, own=OWN.model_copy(update={"conversations": 12}))
    assert len(episodes) == 12 and found.left_out["not_drawn"] == 28
    assert set(Counter(episode.group for episode in episodes).values()) == {4}
    assert sample(["a", "b", "a"], 2, 0) in ({0, 2}, {0, 1}) and sample(["a", "b"], 2, 0) == {0, 1}


def test_invalid_lines_stop_the_import_with_all_problems_and_leave_nothing(run, capsys):
    with pytest.raises(UserError, match="2 problems in 1 of 2 conversations: fix them"):
        run(line(), '{"messages": [{"role": "x"}], "success": "?"}')
    said = capsys.readouterr().err
    assert "t.jsonl:2: messages.0.role: " in said and "t.jsonl:2: success: " in said


def test_invalid_lines_can_be_left_out_and_are_kept_beside_their_reasons(run):
    found, episodes, out = run(line(), "no JSON", "{}", invalid="skip")
    rejects = [json.loads(reject) for reject in (out / "rejects.jsonl").read_text().splitlines()]
    assert found.left_out["invalid"] == 2 and len(episodes) == 1
    assert [reject["line"] for reject in rejects] == ["no JSON", "{}"]
    assert rejects[1]["problems"][0].startswith(f"{out.parent}/in/t.jsonl:3: (line): objects without `messages`: not ")


def test_nothing_but_invalid_lines_is_an_error_all_the_same(run):
    with pytest.raises(UserError, match="none of 1 conversations can be used"):
        run("{}", invalid="skip")


def test_no_secret_is_kept_anywhere_and_each_is_counted(run, capsys):
    secret = "-".join(["sk", "proj", "".join(random.Random(0).choices(string.ascii_letters + string.digits, k=48))])
    bad = json.dumps({"messages": [{"role": secret, "content": secret}]})
    found, _, out = run(line(f"my key is {secret}"), bad, f"{secret} no JSON", invalid="skip")
    kept = "".join(path.read_text() for path in out.iterdir())
    assert secret[:20] not in kept and kept.count("[REDACTED:openai]") >= 3
    assert found.secrets == {"openai": 1}  # those of rejected lines are redacted and not counted
    assert secret[:20] not in capsys.readouterr().err
    _, _, out = run(line(f"my key is {secret}"), secrets="keep")
    assert secret in (out / "episodes.jsonl").read_text()


def test_texts_that_could_not_be_typed_are_listed(run):
    talk = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "Which? Tell me."}]
    more = [*talk, talk[0], {"role": "assistant", "content": "Done."}]
    found, episodes, out = run(json.dumps({"id": "a", "messages": more}))
    assert json.loads((out / "undecided.jsonl").read_text()) == {"episode": "a", "text": "Which? Tell me."}
    assert found.undecided_texts == 1 and len(decisions(episodes[0])) == 1
    with pytest.raises(UserError, match="'nothing_to_learn': 1"):
        run(json.dumps({"id": "a", "messages": talk}))


def test_the_same_input_gives_the_same_bytes(run):
    lines = [line(f"{TOPICS[n % 8]} {n}") for n in range(20)]
    first = (run(*lines)[2] / "episodes.jsonl").read_bytes()
    assert (run(*lines)[2] / "episodes.jsonl").read_bytes() == first


def test_every_decision_is_counted_under_the_rule_that_typed_it_and_the_report_knows_each(run):
    found, _, _ = run(line(TOPICS[0]), line(TOPICS[1]))
    assert {rule: n for rule, n in found.typed_by.items() if n} == {"name": 2, "statement": 2}
    assert set(OWN_RULES) == set(RULES) == set(found.typed_by)
    assert set(LEFT_OUT) == set(found.left_out)


# -- what models can say ---------------------------------------------------------------------------------------


def length(action: Action) -> int:
    return len(action.tool) + len(json.dumps(action.arguments, ensure_ascii=False, separators=(",", ":")))


def test_long_calls_are_shortened_as_little_as_they_have_to_be():
    action = Action(type="file_write", tool="write", arguments={"path": "a.txt", "text": "x" * 500, "deep": ["y" * 90]})
    short = shortened(action, 160)
    assert 155 <= length(short) <= 160 and short.arguments["path"] == "a.txt"
    assert short.arguments["text"].endswith("…") and short.arguments["deep"][0].endswith("…")
    fits = Action(type="file_write", tool="write", arguments={"path": "a.txt"})
    assert shortened(fits, 160) is fits


def test_a_call_of_many_numbers_cannot_be_shortened_and_is_no_label():
    call = Act(action=Action(type="tool_call", tool="sum", arguments={"of": list(range(100))}))
    episode = Episode(id="a", group="", source="own", tools=(), steps=(User(content="x"), call))
    found, counts = fitted(episode, OWN, 0)
    assert not decisions(found) and counts == {"too_long": 1, "shortened": 0}
    assert found.steps[1].action == call.action


def test_what_the_agent_says_and_what_it_took_is_kept():
    usage = Usage(prompt=100, cached=0, completion=9)
    steps = (User(content="x"), Act(action=Action(type="final_answer", content="It was sent."), usage=usage))
    found, _ = fitted(Episode(id="a", group="", source="own", tools=(), steps=steps), OWN, 0)
    assert found.steps == steps


def test_of_a_long_conversation_a_run_of_decisions_is_used_and_nothing_behind_it():
    steps = (User(content="x"), *(Act(action=Action(type="tool_call", tool=f"t{n}")) for n in range(100)))
    starts = set()
    for name in "abcdefgh":
        found, counts = fitted(Episode(id=name, group="", source="own", tools=(), steps=steps), OWN, 0)
        tools = [int(due.gold.tool[1:]) for due in decisions(found)]
        assert tools == list(range(tools[0], tools[0] + 30)) and counts["decisions_not_drawn"] == 70
        assert found.steps[-1].action.tool == f"t{tools[-1]}"
        starts.add(tools[0])
    assert len(starts) > 3


# -- the stage -------------------------------------------------------------------------------------------------


def test_the_stage_writes_empty_files_where_there_are_no_own_traces(tmp_path, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ingest_stage, "load_config", lambda root: config)
    ingest_stage.main()
    assert {p.name: p.read_text() for p in Path("data/own").iterdir()} == {
        "episodes.jsonl": "",
        "rejects.jsonl": "",
        "undecided.jsonl": "",
    }
    assert json.loads(Path("metrics/ingest.json").read_text())["taken"] == 0


def test_the_stage_publishes_all_or_nothing(tmp_path, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    Path("types.yaml").write_text("get_it: retrieval\n")
    Path("t.jsonl").write_text(line() + "\n")
    own = {"own": True, "path": "t.jsonl", "types": "types.yaml"}
    monkeypatch.setattr(
        ingest_stage,
        "load_config",
        lambda root: config.model_copy(update={"sources": config.sources.model_copy(update=own)}),
    )
    ingest_stage.main()
    before = {p: p.read_bytes() for p in Path("data").rglob("*") if p.is_file()}
    assert json.loads(Path("metrics/ingest.json").read_text())["typed_by"]["mapping"] == 1
    Path("t.jsonl").write_text("{}\n")
    with pytest.raises(UserError):
        ingest_stage.main()
    assert {p: p.read_bytes() for p in Path("data").rglob("*") if p.is_file()} == before


def test_a_line_is_what_the_models_own_dump_would_be(run):
    used = {"prompt_tokens": 9, "completion_tokens": 2}
    call = {"id": "c", "function": {"name": "get_it", "arguments": '{"n": [1, {"é": null}], "x": 1.5}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [call, call | {"id": "d"}], "usage": used},
        {"role": "tool", "tool_call_id": "c", "content": "it"},
        {"role": "tool", "tool_call_id": "d", "content": "it"},
        {"role": "assistant", "content": "Here it is."},
    ]
    tools = [{"name": "get_it", "parameters": {"type": "object"}}]
    _, (episode,), out = run(json.dumps({"messages": messages, "tools": tools, "id": '"group":""'}))
    assert (out / "episodes.jsonl").read_text() == compact_json(episode.model_dump(mode="json")) + "\n"
    assert any(isinstance(step, Act) and step.usage for step in episode.steps)
