"""What surrounds actions is what the tokenizer and its chat template write; those that will not do are refused."""

import pytest
from toys import CHAT, COMPACT, FRAMES, TOOLS, call, compact_tokenizer, qwen3_tokenizer, say

from specacts.config import Render
from specacts.core.episodes import Episode, Observation, User, decisions
from specacts.core.errors import UserError
from specacts.transcripts.frames import INSTRUCTIONS
from specacts.transcripts.render import Renderer

SMALL = Episode(
    id="e",
    group="e",
    source="toy",
    tools=TOOLS[:1],
    steps=(
        User(content="please"),
        call("move", "file_write", source="a", target="b"),
        Observation(content="moved"),
        say("final_answer", "it is done"),
        User(content="again"),
        say("BLOCKED"),
    ),
)


def compact(**texts: str) -> Render:
    return COMPACT.model_copy(update={"frames": FRAMES.model_copy(update=texts)})


@pytest.mark.parametrize("use", FRAMES.model_dump())
@pytest.mark.parametrize("text", ["user", "<nowhere>", "", "a<jupyter_text>"])
def test_a_frame_that_content_could_spell_is_refused_by_its_use(use, text):
    with pytest.raises(UserError, match=rf"render.frames: {use}: '{text}' does not begin with a special token"):
        Renderer.load(compact_tokenizer(), compact(**{use: text}))


def test_frames_of_another_tokenizer_are_refused(tmp_path):
    with pytest.raises(UserError, match="system: '<jupyter_start>' does not begin with a special token"):
        Renderer.load(qwen3_tokenizer(tmp_path), COMPACT)


def test_an_action_ends_with_one_token():
    with pytest.raises(UserError, match=r"stop: '<.im_end.>\\n' is 2 tokens"):
        Renderer.load(compact_tokenizer(), compact(stop="<|im_end|>\n"))


def test_frames_have_to_differ():
    with pytest.raises(UserError, match="each has to differ"):
        Renderer.load(compact_tokenizer(), compact(user=FRAMES.observation))


def test_any_tokenizers_own_tokens_can_be_frames_with_words_behind_them(tmp_path):
    """Two families render the same conversation, each between its own frames."""
    roles = {"system": "system", "user": "user", "action": "assistant", "observation": "tool"}
    texts = {use: f"<|im_start|>{role}" for use, role in roles.items()} | {"verdict": "<|vision_start|>"}
    tokenizer = qwen3_tokenizer(tmp_path)
    other = Renderer.load(tokenizer, compact(**texts))
    (window,) = other.windows(SMALL)
    said = "move(source, target)<|im_start|>userplease<|im_start|>assistantwrite move "
    assert tokenizer.decode(window.ids).startswith(f"<|im_start|>system{said}")
    one = Renderer.load(compact_tokenizer(), COMPACT)
    (own,) = one.windows(SMALL)
    for renderer, found in ((one, own), (other, window)):
        labels = [renderer.parse(renderer.text(found.ids[p.start : p.end])) for p in found.points]
        assert labels == [due.gold for due in decisions(SMALL)]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages if m.role != 'tool' %}{{ m.content }}<|im_end|>{% endfor %}", "drops .*MARKOBSERVATION"),
        ("{{ raise_exception('no tools here') }}", "does not render a tool-calling conversation .no tools here"),
    ],
)
def test_a_chat_template_that_cannot_hold_a_tool_call_is_refused(tmp_path, template, reason):
    tokenizer = qwen3_tokenizer(tmp_path)
    tokenizer.chat_template = template
    with pytest.raises(UserError, match=reason):
        Renderer.load(tokenizer, CHAT)


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path):
    tokenizer = qwen3_tokenizer(tmp_path)
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="chat template"):
        Renderer.load(tokenizer, CHAT)


def test_the_chat_frames_are_what_the_models_own_template_writes(tmp_path):
    """A transcript equals the template's rendering of the same conversation, character by character."""
    tokenizer = qwen3_tokenizer(tmp_path)
    renderer = Renderer.load(tokenizer, CHAT.model_copy(update={"tools_tokens": 2_000, "max_tokens": 4_000}))
    function = {"name": TOOLS[0].name, "description": TOOLS[0].description, "parameters": TOOLS[0].parameters}
    made = {"name": "move", "arguments": {"source": "a", "target": "b"}}
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": "please"},
        {"role": "assistant", "content": "write", "tool_calls": [{"type": "function", "function": made}]},
        {"role": "tool", "name": "move", "content": "moved"},
        {"role": "assistant", "content": "done it is done"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "blocked"},
        {"role": "user", "content": "the last assistant message of a conversation would get a thinking block"},
    ]
    tools = [{"type": "function", "function": function}]
    expected = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    (window,) = renderer.windows(SMALL)
    text = tokenizer.decode(window.ids)
    assert expected.startswith(text) and expected[len(text) :].startswith("\n<|im_start|>user\nthe last assistant")
