"""What is trained is what a server with the model's own chat template reads and writes, token for token."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import CHAT, TOOLS, call, episode, qwen3_tokenizer, say, tool

from specacts.core.episodes import Act, Action, Episode, Observation, Step, User, decisions
from specacts.core.errors import UserError
from specacts.core.words import OWN
from specacts.transcripts.parse import VERBS
from specacts.transcripts.render import Renderer
from specacts.transcripts.served import SAMPLE, messages, read_by_server, tools

ROOMY = CHAT.model_copy(update={"max_tokens": 10**6, "tools_tokens": 1500})
thorough = settings(max_examples=12, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def renderer(tmp_path_factory) -> Renderer:
    return Renderer.load(qwen3_tokenizer(tmp_path_factory.mktemp("qwen3")), ROOMY)


def read(renderer: Renderer, whole: Episode, steps: int, *more: Step) -> list[int]:
    """What a server reads behind the first steps, and some more."""
    return read_by_server(renderer, whole.model_copy(update={"steps": (*whole.steps[:steps], *more)}))


def require_same(renderer: Renderer, whole: Episode) -> None:
    """Every context is what a server reads, and every label what it reads of it later."""
    (window,) = renderer.windows(whole)
    for due, point in zip(decisions(whole), window.points, strict=True):
        assert read(renderer, whole, due.step) == window.ids[: point.start]
        later = read(
            renderer, whole, due.step + 1, User(content="go on") if due.gold.tool is None else Observation(content="x")
        )
        assert later[: point.end] == window.ids[: point.end]


@pytest.mark.parametrize("one", [episode("long", 3), episode("short", 1), SAMPLE], ids=lambda e: e.id)
def test_a_server_reads_and_writes_the_tokens_that_are_trained(renderer, one):
    require_same(renderer, one)


def test_the_standing_instructions_stand_before_the_tools_and_not_among_them(renderer):
    one = episode("told", 1).model_copy(update={"system": "Be kind."})
    text = renderer.tokenizer.decode(renderer.system_ids(one))
    assert text.index("Begin each reply") < text.index("Be kind.") < text.index("<tools>\n") < text.index('"move"')
    require_same(renderer, one)


def test_no_tools_are_no_empty_list_of_tools(renderer):
    one = Episode(id="e", group="e", source=OWN, tools=(), steps=(User(content="hi"), say("final_answer", "hello")))
    assert "<tools>\n" not in renderer.tokenizer.decode(renderer.windows(one)[0].ids)
    require_same(renderer, one)


@pytest.mark.parametrize("count", [3, 40, 150])
def test_however_many_tools_there_are_they_are_served_as_trained_and_within_their_limit(renderer, count):
    many = tuple(tool(f"tool{n}", "place", f"parameter{n}") for n in range(count))
    one = Episode(id="e", group="e", source=OWN, tools=many, steps=(User(content="go"), say()))
    short = Renderer.load(renderer.tokenizer, ROOMY.model_copy(update={"tools_tokens": 1500}))
    assert len(short.content(short.listing(list(many)).text)) <= 1500
    require_same(short, one)


def test_what_is_cut_is_cut_at_whole_characters_and_served_so(renderer):
    steps = (
        User(content="ü🙂é" * 40),
        call("look", "file_read"),
        Observation(content="漢字" * 40),
        say("ask_clarification", "🙂" * 60),
        User(content="go"),
        say(),
    )
    one = Episode(id="e", group="e", source=OWN, system="é🙂" * 20, tools=TOOLS, steps=steps)
    (window,) = renderer.windows(one)
    assert not window.points[1].whole and "�" not in renderer.tokenizer.decode(window.ids)
    limits = renderer.limits
    for text, most in ((one.system, limits.system_tokens), (steps[0].content, limits.user_tokens)):
        assert 0 < len(renderer.content(renderer.shortened(text, most))) <= most
    require_same(renderer, one)


def test_a_malformed_reply_is_told_as_a_message_and_not_as_a_tools_response(renderer):
    steps = (User(content="go"), Observation(content="no action: dance"), say())
    one = Episode(id="e", group="e", source=OWN, tools=TOOLS, steps=steps)
    text = renderer.tokenizer.decode(renderer.windows(one)[0].ids)
    assert "<tool_response>" not in text and "<|im_start|>user\nno action: dance<" in text
    require_same(renderer, one)


def test_transcripts_never_think(renderer):
    """Neither a prompt nor a reply holds a thinking block: that is the template's default, and keeps them linear."""
    text = renderer.tokenizer.decode(renderer.windows(episode("e", 3))[0].ids)
    assert "<think>" not in text and "<|im_start|>assistant\nread\n<tool_call>" in text


pieces = st.sampled_from(["\n", " ", "  ", "a", "Ü", "{", '"', "'s", "0", "漢", "\t", "\r\n", "_", "é", "<", "|>"])
texts = st.lists(pieces, max_size=6).map("".join)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
values = texts | st.integers() | st.none() | st.booleans() | st.lists(texts, max_size=2)
actions = st.builds(
    Action,
    type=st.sampled_from(["tool_call", "repair", "file_read"]),
    tool=names,
    arguments=st.dictionaries(texts, values, max_size=3),
) | st.builds(Action, type=st.sampled_from(["final_answer", "BLOCKED"]), content=texts)


@thorough
@given(system=texts, turns=st.lists(st.tuples(texts, st.lists(actions, max_size=3), texts), min_size=1, max_size=3))
def test_whatever_is_said_is_read_and_written_as_trained(renderer, system, turns):
    steps: list[Any] = []
    for said, done, seen in turns:
        steps.append(User(content=said))
        for action in done:
            steps += [Act(action=action), Observation(content=seen) if action.tool else User(content=seen)]
    one = Episode(id="e", group="e", source=OWN, system=system, tools=TOOLS[:1], steps=(*steps, say()))
    wide = Renderer(renderer.tokenizer, renderer.plain, renderer.frames, ROOMY.model_copy(update={"user_tokens": 99}))
    require_same(wide, one)


def test_the_messages_are_those_of_the_api(renderer):
    one = episode("short", 1)
    sent = messages(renderer, one)
    assert [message["role"] for message in sent][:4] == ["system", "user", "assistant", "tool"]
    assert sent[2] == {
        "role": "assistant",
        "content": VERBS["file_read"],
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }
    assert sent[3]["tool_call_id"] == "call_1"
    assert [one["function"]["name"] for one in tools(renderer, one)] == ["move", "look"]
    assert all(set(one["function"]) == {"name", "description", "parameters"} for one in tools(renderer, one))


def test_a_listing_is_made_once_for_all_conversations_that_share_its_tools(renderer, monkeypatch):
    many = tuple(tool(f"tool{n}", "place") for n in range(50))
    short = Renderer.load(renderer.tokenizer, ROOMY.model_copy(update={"tools_tokens": 500}))
    first = short.listing(list(many))
    monkeypatch.setattr(Renderer, "_listing", None)
    assert short.listing(list(many)) is first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "{{- '<|im_start|>assistant\\n' }}\n    {%- if enable",
            "{{- '<|im_start|>assistant\\n<think>\\n' }}\n    {%- if enable",
        ),
        ("message.role + '\\n' + content }}", "message.role + '\\n' + content | trim }}"),
    ],
    ids=["prefills", "trims"],
)
def test_a_template_that_a_server_would_read_otherwise_is_refused(tmp_path, old, new):
    tokenizer = qwen3_tokenizer(tmp_path)
    assert old in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(old, new)
    with pytest.raises(UserError, match="would read other tokens than would be trained"):
        Renderer.load(tokenizer, CHAT)
