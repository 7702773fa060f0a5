"""The journal: whole lines that the reader understands, and nothing learnt but what upstream said."""

import errno
import gzip
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from specacts.core.episodes import Act
from specacts.serving import journal as module
from specacts.serving.journal import Entry, Journal, Memory, cut_torn, joined, row, tidy
from specacts.traces.formats.exchange import ALONE, AUDITS, SERVED
from specacts.traces.formats.openai_chat import Conversation
from specacts.traces.reader import Reader
from specacts.traces.stream import locate
from specacts.traces.tool_types import TypeMap

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("find", "pay")]
AT = 1_764_154_800.0  # 2025-11-26T11:00Z


def said(text=None, *calls):
    message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": key, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for key, name, arguments in calls
        ]
    return message


def answer(message, **more):
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **more}


def user(text):
    return {"role": "user", "content": text}


def result(key, text="ok"):
    return {"role": "tool", "tool_call_id": key, "content": text}


class Talk:
    """A conversation that goes through a gateway, step by step, as entries of its journal."""

    def __init__(self, name="c1", alone=False):
        self.name, self.alone, self.entries = name, alone, []
        self.messages = [user(f"Pay what I owe, {name}.")]

    def acts(self, by, message, *results, **more):
        request = {"model": "m", "tools": TOOLS, "messages": list(self.messages)}
        self.entries.append(Entry(self.name, AT, request, answer(message), by, self.alone, **more))
        self.messages += [message, *results]

    def audit(self, message):
        """What upstream said of the last action."""
        self.entries.append(self.entries[-1]._replace(answer=answer(message), by="upstream", audit=True))


def written(folder, *entries, **options):
    journal = Journal(folder, **options)
    for entry in entries:
        journal.write(entry)
    journal.close()
    return journal.counts


def lines(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def read(folder):
    """The conversations that `specacts use` finds."""
    found = list(Reader(TypeMap({}, {}), keep_secrets=False).read(locate([str(folder)])))
    assert not [one for one in found if type(one).__name__ == "Reject"], found
    return [one for one in found if isinstance(one, Conversation)]


def learnt(conversation):
    """What is a label: tools called, and what was said."""
    acts = [step for step in conversation.episode.steps if isinstance(step, Act)]
    return [act.action.tool or act.action.content for act in acts if act.supervised]


@pytest.fixture
def logs(tmp_path):
    return tmp_path / "logs"


def test_rows_of_a_conversation_are_one_conversation_and_only_upstreams_actions_are_learnt(logs):
    talk = Talk()
    talk.acts("upstream", said(None, ("u1", "find", {"x": 1})), result("u1"))
    talk.acts("cheap", said(None, ("k1", "find", {"x": 2})), result("k1"))
    talk.acts("upstream", said(None, ("u2", "pay", {})), result("u2"))
    talk.acts("cheap", said("All is paid."))
    written(logs, *talk.entries)
    (found,) = read(logs)
    assert learnt(found) == ["find", "pay"]
    assert found.episode.steps[1].action.arguments == {"x": 1} and len(found.episode.tools) == 2
    assert found.normalised[SERVED] == 1 and not found.normalised[ALONE]


def test_a_conversation_of_upstream_alone_is_known_as_such(logs):
    talk = Talk(alone=True)
    talk.acts("upstream", said("Paid."))
    other = Talk("c2")
    other.acts("cheap", said("Paid."))
    written(logs, *talk.entries, *other.entries)
    assert sum(one.normalised[ALONE] for one in read(logs)) == 1
    found = read(logs / "*-alone.jsonl*")
    assert [learnt(one) for one in found] == [["Paid."]]


def test_an_audit_that_says_otherwise_is_learnt_by_itself_and_nothing_is_learnt_twice(logs):
    talk = Talk()
    talk.acts("upstream", said(None, ("u1", "find", {"x": 1})), result("u1"))
    talk.acts("cheap", said(None, ("k1", "find", {"x": 2})), result("k1"))
    talk.audit(said(None, ("a1", "pay", {"y": 1})))
    talk.acts("upstream", said("Done."))
    written(logs, *talk.entries)
    found = sorted(read(logs), key=lambda one: one.normalised[AUDITS])
    assert [learnt(one) for one in found] == [["find", "Done."], ["pay"]]
    assert found[1].normalised[AUDITS] == 1 and not found[1].normalised[SERVED]


def test_an_audit_that_says_the_same_makes_the_action_upstreams(logs):
    talk = Talk()
    talk.acts("cheap", said(None, ("k1", "find", {"x": 2})), result("k1"))
    talk.audit(said("", ("a1", "find", {"x": 2})))
    talk.acts("cheap", said(None, ("k2", "find", {"x": 3})), result("k2"))
    talk.acts("upstream", said("Done."))
    written(logs, *talk.entries)
    (found,) = read(logs)
    assert learnt(found) == ["find", "Done."] and found.episode.steps[1].action.arguments == {"x": 2}


def test_the_same_words_are_upstreams_where_upstream_said_them():
    talk, memory = Talk(), Memory()
    talk.acts("upstream", said("Which one?"), user("The first."))
    talk.acts("cheap", said("Which one?"), user("The first, I said."))
    talk.acts("upstream", said("Ah."))
    rows = [row(entry, memory) for entry in talk.entries]
    assert [one.get("weight") for one in rows[2]["request"]["messages"]] == [None, None, None, 0, None]


def test_what_was_said_before_the_gateway_started_is_context(logs):
    talk = Talk()
    talk.messages += [said(None, ("old", "find", {})), result("old")]
    talk.acts("upstream", said("Paid."))
    written(logs, *talk.entries)
    assert learnt(read(logs)[0]) == ["Paid."]


def test_a_client_that_writes_messages_in_its_own_way_changes_nothing():
    talk, memory = Talk(), Memory()
    talk.acts("upstream", said("Which one?"), user("The first."))
    talk.acts("upstream", said(None, ("u1", "find", {"x": 1})), result("u1"))
    talk.acts("upstream", said("Done."))
    talk.entries[2].request["messages"][1] = {"role": "assistant", "content": [{"type": "text", "text": "Which one?"}]}
    talk.entries[2].request["messages"][3] = said("", ("u1", "find", {"x": 1.0}))
    rows = [row(entry, memory) for entry in talk.entries]
    assert not any("weight" in one for one in rows[2]["request"]["messages"])


def test_rows_say_who_acted_and_how_and_only_upstreams_usage_counts(logs):
    usage = {"prompt_tokens": 100, "completion_tokens": 5}
    talk = Talk()
    more = {"policy": "F", "score": 0.9, "threshold": float("nan"), "reason": "accepted", "seconds": 0.3}
    talk.acts("cheap", said(None, ("k", "find", {})), result("k"), usage={"cheap": [5, 6, 7]}, **more)
    talk.acts("upstream", said("Paid."), seconds=1.5)
    entries = [entry._replace(answer={**entry.answer, "usage": usage}) for entry in talk.entries]
    written(logs, *entries)
    cheap, upstream = lines(logs)
    assert cheap["specacts"] | {"conversation": "", "at": ""} == {
        **{"conversation": "", "at": "", "by": "cheap", "alone": False, "policy": "F", "score": 0.9},
        **{"threshold": None, "reason": "accepted", "usage": {"cheap": [5, 6, 7]}, "seconds": 0.3},
    }
    assert "usage" not in cheap["response"] and upstream["response"]["usage"] == usage
    act = read(logs)[0].episode.steps[-1]
    assert (act.usage.prompt, act.seconds) == (100, 1.5)


def test_secrets_are_redacted_and_arguments_stay_json(logs):
    key = "sk-proj-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6"
    talk = Talk()
    talk.messages[0]["content"] += f" My key is {key}"
    talk.acts("upstream", said(None, ("u", "pay", {"password": 'hun"ter\\22xyz', "note": key})), result("u", key))
    talk.acts("upstream", said(f"I used {key}"), proposal={"content": key})
    written(logs, *talk.entries)
    text = (logs / "2025-11-26-shared.jsonl").read_text()
    assert key not in text and "22xyz" not in text
    call = lines(logs)[0]["response"]["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"password": "[REDACTED:password]", "note": "[REDACTED:openai]"}
    assert talk.entries[0].request["messages"][0]["content"].endswith(key)  # what was given is as it was


def test_no_name_of_a_conversation_is_written(logs):
    talk = Talk("someone@example.com")
    talk.messages = [user("Hello")]
    talk.acts("upstream", said("Hello."))
    written(logs, *talk.entries)
    assert "example" not in (logs / "2025-11-26-shared.jsonl").read_text()


def test_conversations_are_drawn_whole(logs):
    talks = [Talk(f"c{n}") for n in range(100)]
    for talk in talks:
        talk.acts("upstream", said("Which one?"), user("That."))
        talk.acts("upstream", said("Done."))
    counts = written(logs, *(entry for talk in talks for entry in talk.entries), share=0.3)
    names = [line["specacts"]["conversation"] for line in lines(logs)]
    assert 30 < counts.written < 90 and all(names.count(name) == 2 for name in names)


def test_folder_and_files_are_their_owners(logs):
    written(logs, Entry("c", AT, {"messages": [user("Hi")]}, answer(said("Hi.")), "upstream", False))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (logs, logs / "2025-11-26-shared.jsonl")]
    assert modes == [0o700, 0o600]


def test_an_answer_without_a_message_leaves_no_row(logs):
    request = {"messages": [user("Hi")]}
    nothing = [{}, {"choices": []}, {"choices": [{"message": None}]}]
    assert written(logs, *(Entry("c", AT, request, one, "upstream", False) for one in nothing))[:4] == (0, 0, 0, 0)


@pytest.mark.parametrize("content", ["", None, "  ", "<think>I have no tokens left to", [{"type": "thinking"}], []])
def test_an_answer_that_says_and_does_nothing_leaves_no_row_that_could_not_be_read(logs, content):
    talk = Talk()
    talk.acts("upstream", said(content))
    talk.messages.pop()
    talk.acts("upstream", said("Paid."))
    assert written(logs, *talk.entries).written == 1
    assert [learnt(one) for one in read(logs)] == [["Paid."]]


@pytest.mark.parametrize("arguments", ['{"x": ', "[1]", "nonsense", '{"x": NaN}'])
def test_a_call_whose_arguments_are_no_object_is_context_and_the_conversation_goes_on(logs, arguments):
    broken = said(None, ("u1", "find", {}))
    broken["tool_calls"][0]["function"]["arguments"] = arguments
    talk = Talk()
    talk.acts("upstream", broken, result("u1", "Error: the arguments are not JSON"))
    talk.acts("upstream", said(None, ("u2", "pay", {})), result("u2"))
    talk.acts("upstream", said("Paid."))
    written(logs, *talk.entries)
    (found,) = read(logs)
    assert learnt(found) == ["pay", "Paid."]
    assert found.episode.steps[1].action.arguments == {"input": arguments}


def test_of_an_image_a_row_only_holds_that_there_was_one(logs):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 1_000_000}}
    talk = Talk()
    talk.messages.append({"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]})
    talk.acts("upstream", said("A receipt."))
    assert written(logs, *talk.entries).written == 1
    (found,) = read(logs)
    assert found.episode.steps[1].content == "What is this?\n[image_url]" and learnt(found) == ["A receipt."]
    assert talk.messages[1]["content"][1] is picture  # what was given is as it was


def test_what_cannot_be_written_is_counted_and_the_next_row_is(logs, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 2_000)
    entries = [
        Entry("c", AT, {"messages": [user("x" * 3_000)]}, answer(said("Hi.")), "upstream", False),
        Entry("c", AT, {"messages": [user({1, 2})]}, answer(said("Hi.")), "upstream", False),
        Entry("c", AT, {"messages": [user("Hi \ud800")]}, answer(said("Hi.")), "upstream", False),
    ]
    assert written(logs, *entries) == (1, 0, 1, 1, 0)


def test_a_disk_that_is_full_leaves_whole_lines(logs, monkeypatch):
    entry = Entry("c", AT, {"messages": [user("Hi")]}, answer(said("Hi.")), "upstream", False)
    write, tries = os.write, []

    def short(file, line):
        tries.append(line)
        return write(file, line[:20] if len(tries) == 2 else line)

    monkeypatch.setattr(module.os, "write", short)
    assert written(logs, *[entry] * 3) == (2, 0, 0, 1, 0)
    assert len(lines(logs)) == 2


def test_writing_never_waits(logs, monkeypatch):
    monkeypatch.setattr(module, "QUEUED", 2)
    held, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(module, "row", lambda entry, memory: held.set() or go_on.wait() and {})
    journal = Journal(logs)
    entry = Entry("c", AT, {}, {}, "upstream", False)
    journal.write(entry)
    held.wait()
    for _ in range(5):
        journal.write(entry)
    assert journal.counts.dropped == 3 and journal.counts.waiting == 2
    go_on.set()
    journal.close()
    assert journal.counts.written == 3


@pytest.mark.parametrize("torn", ['{"a": 1', "x" * 200_000])
@pytest.mark.parametrize("before", ["", '{"a": 1}\n'])
def test_a_torn_line_is_cut_off_by_the_next_start(logs, before, torn):
    logs.mkdir()
    (logs / "2025-11-26-shared.jsonl").write_text(before + torn)
    written(logs, Entry("c", AT, {"messages": [user("Hi")]}, answer(said("Hi.")), "upstream", False))
    assert len(lines(logs)) == (2 if before else 1)


def test_whole_lines_are_left_as_they_are(tmp_path):
    path = tmp_path / "day.jsonl"
    for text in ("", "a\n", "a\nb\n"):
        path.write_text(text)
        cut_torn(path)
        assert path.read_text() == text


def test_earlier_days_are_packed_and_old_ones_removed(tmp_path):
    for day in ("2025-10-20", "2025-11-24", "2025-11-25", "2025-11-26"):
        (tmp_path / f"{day}-alone.jsonl").write_text(f"{day}\n")
    (tmp_path / "2025-11-24-alone.jsonl.gz").write_text("from a start that ended between the two")
    (tmp_path / "2025-11-23-shared.jsonl.gz.part").write_text("half")
    (tmp_path / "mine.txt").write_text("kept")
    tidy(tmp_path, "2025-11-26", days=30, packed=True)
    there = sorted(path.name for path in tmp_path.iterdir())
    assert there == ["2025-11-24-alone.jsonl.gz", "2025-11-25-alone.jsonl.gz", "2025-11-26-alone.jsonl", "mine.txt"]
    assert gzip.decompress((tmp_path / "2025-11-24-alone.jsonl.gz").read_bytes()) == b"2025-11-24\n"
    assert stat.S_IMODE((tmp_path / "2025-11-25-alone.jsonl.gz").stat().st_mode) == 0o600


def test_a_file_that_cannot_be_packed_stays_as_it_is_and_keeps_no_other_from_its_turn(tmp_path, monkeypatch, capfd):
    for day in ("2025-10-20", "2025-11-24", "2025-11-25"):
        (tmp_path / f"{day}-alone.jsonl").write_text(f"{day}\n")

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    tidy(tmp_path, "2025-11-26", days=30, packed=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2025-11-24-alone.jsonl", "2025-11-25-alone.jsonl"]
    assert capfd.readouterr().err.count("No space left on device") == 2


@pytest.mark.parametrize("moved", ["2025-11-26-shared.jsonl", ""])
def test_a_file_or_folder_that_somebody_moves_away_is_made_anew(logs, moved):
    talk = Talk()
    journal = Journal(logs)
    for _ in range(2):
        talk.acts("upstream", said("Which one?"), user("That."))
        journal.write(talk.entries[-1])
        wait_for(lambda: journal.counts.waiting == 0 and lines(logs))
        if talk.entries[1:] == []:
            os.rename(logs / moved, logs.parent / "moved")
    journal.close()
    assert journal.counts[:4] == (2, 0, 0, 0) and len(lines(logs)) == 1


def wait_for(there):
    ends = time.monotonic() + 10
    while not there() and time.monotonic() < ends:
        time.sleep(0.001)


def test_a_new_day_is_a_new_file_and_a_late_row_goes_to_the_latest(logs):
    entry = Entry("c", AT, {"messages": [user("Hi")]}, answer(said("Hi.")), "upstream", False)
    written(logs, entry, entry._replace(at=AT + 86_400), entry, packed=False)
    assert [len(path.read_text().splitlines()) for path in sorted(logs.iterdir())] == [1, 2]


# -- streamed answers -----------------------------------------------------------------------------------------


def stream(*deltas, finish="stop"):
    pieces = [{"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    pieces.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    pieces.append({"id": "x", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    return "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces).encode() + b"data: [DONE]\n\n"


def test_a_streamed_answer_becomes_a_whole_one_however_it_is_cut():
    calls = [
        {"role": "assistant", "content": "Ä mo"},
        {"content": "ment."},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "find", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "pay", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
    ]
    text = stream(*calls, finish="tool_calls")
    whole = joined([text[n : n + 7] for n in range(0, len(text), 7)])
    assert whole["choices"][0]["message"] == said("Ä moment.", ("a", "find", {"x": 1}), ("b", "pay", {}))
    assert whole["usage"]["prompt_tokens"] == 3 and whole["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("separator", ["\u2028", "\u0085"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_ends_of_lines_end_a_line_of_a_stream(separator, end):
    piece = {"choices": [{"index": 0, "delta": {"content": f"one{separator}two"}, "finish_reason": "stop"}]}
    text = f"data: {json.dumps(piece, ensure_ascii=False)}{end}{end}data: [DONE]{end}{end}"
    assert joined([text.encode()])["choices"][0]["message"]["content"] == f"one{separator}two"


def test_streamed_calls_of_custom_tools_and_of_the_older_interface_are_kept():
    custom = [
        {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "shell", "input": "l"}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "s"}}]},
    ]
    (call,) = joined([stream(*custom)])["choices"][0]["message"]["tool_calls"]
    assert call == {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    older = [{"function_call": {"name": "find", "arguments": '{"x"'}}, {"function_call": {"arguments": ": 1}"}}]
    message = joined([stream(*older)])["choices"][0]["message"]
    assert message["function_call"] == {"name": "find", "arguments": '{"x": 1}'}


def test_a_stream_that_broke_off_is_no_answer():
    text = stream({"content": "Hello"})
    assert joined([text[: text.index(b"finish_reason")]]) is None
    assert joined([]) is None and joined([b"no stream at all"]) is None


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_whole_lines(logs):
    import signal
    import subprocess
    import sys
    import time

    code = (
        "import sys, itertools; from pathlib import Path; from specacts.serving.journal import *\n"
        "j = Journal(Path(sys.argv[1])); m = {'role': 'assistant', 'content': 'y' * 200_000}\n"
        "for n in itertools.count():\n"
        "    j.write(Entry(str(n), 1764154800.0, {'messages': []}, {'choices': [{'message': m}]}, 'upstream', False))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(logs)])
    path: Path = logs / "2025-11-26-shared.jsonl"
    while not (path.exists() and path.stat().st_size > 2_000_000):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    counts = written(logs, Entry("c", AT, {"messages": [user("Hi")]}, answer(said("Hi.")), "upstream", False))
    assert counts.written == 1 and len(lines(logs)) > 5
