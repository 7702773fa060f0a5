"""What surrounds actions is what the tokenizer and its chat template write; those that will not do are refused."""

import pytest
from toys import CHAT, COMPACT, TOOLS, call, compact_tokenizer, qwen3_tokenizer, say

from specacts.core.episodes import Episode, Observation, User
from specacts.core.errors import UserError
from specacts.transcripts.frames import COMPACT_TOKENS, INSTRUCTIONS
from specacts.transcripts.render import Renderer


@pytest.mark.parametrize("token", COMPACT_TOKENS.values())
def test_a_tokenizer_without_a_needed_token_is_refused_by_its_name(token):
    tokenizer = compact_tokenizer()
    known = tokenizer.get_added_vocab()
    tokenizer.get_added_vocab = lambda: {name: number for name, number in known.items() if name != token}
    with pytest.raises(UserError, match=rf"no token {token.replace('|', '.')} .*use render.template: chat"):
        Renderer.load(tokenizer, COMPACT)


def test_a_chat_tokenizer_is_refused_by_the_compact_template(tmp_path):
    with pytest.raises(UserError, match="no token <jupyter_start>"):
        Renderer.load(qwen3_tokenizer(tmp_path), COMPACT)


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
    small = Episode(
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
    function = {"name": TOOLS[0].name, "description": TOOLS[0].description, "parameters": TOOLS[0].parameters}
    made = {"name": "move", "arguments": '{"source":"a","target":"b"}'}
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
    (window,) = renderer.windows(small)
    text = tokenizer.decode(window.ids)
    assert expected.startswith(text) and expected[len(text) :].startswith("\n<|im_start|>user\nthe last assistant")
