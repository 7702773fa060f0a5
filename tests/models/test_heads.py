"""Tokens that a model has to write are told apart by its output matrix, or that is one clear line."""

import pytest
import torch
from toys import CHAT, COMPACT, FRAMES, call, compact_tokenizer, llama, qwen3, qwen3_tokenizer, save_base, say

from specacts.core.errors import UserError
from specacts.models.heads import output_rows
from specacts.transcripts.render import Renderer
from stages.fetch import check_frames


def untrained(model, tokenizer, *alike: str) -> None:
    """Give these tokens one output row, as reserved ones have that nobody trained."""
    ids = tokenizer.convert_tokens_to_ids(list(alike))
    with torch.no_grad():
        model.lm_head.weight[ids] = model.lm_head.weight[ids[0]].clone()


def test_call_tokens_that_nobody_trained_are_refused_before_anything_is_trained(tmp_path):
    tokenizer = qwen3_tokenizer(tmp_path)
    model = qwen3(tokenizer)
    check_frames(CHAT, save_base(tmp_path / "trained", tokenizer, model), "toy.yaml: strong.base")
    untrained(model, tokenizer, "<tool_call>", "</tool_call>", "<|vision_start|>")
    with pytest.raises(
        UserError, match=r"^toy.yaml: strong.base: .* write <tool_call> but cannot.*same row for <.vision"
    ):
        check_frames(CHAT, save_base(tmp_path / "untrained", tokenizer, model), "toy.yaml: strong.base")


def test_of_named_frames_only_the_stop_token_has_to_be_written(tmp_path):
    tokenizer = compact_tokenizer()
    assert set(Renderer.load(tokenizer, COMPACT).produced) == {"<|im_end|>"}
    model = llama(tokenizer)
    untrained(model, tokenizer, FRAMES.user, FRAMES.action, FRAMES.observation)
    check_frames(COMPACT, save_base(tmp_path / "frames", tokenizer, model), "toy.yaml: cheap.base")
    untrained(model, tokenizer, FRAMES.user, FRAMES.stop)
    with pytest.raises(UserError, match=r"write <.im_end.> but cannot"):
        check_frames(COMPACT, save_base(tmp_path / "stop", tokenizer, model), "toy.yaml: cheap.base")


def test_in_the_other_forms_an_action_ends_with_the_chat_templates_stop_and_calls_are_text(tmp_path, capsys):
    """Recipe v2 trains and asks in the chat template, whatever frames the scale names."""
    tokenizer = qwen3_tokenizer(tmp_path)
    added = set(tokenizer.get_added_vocab().values())
    lines = Renderer.load(tokenizer, CHAT, "lines")
    labels = [lines.action_ids(act.action) for act in (call("cat", file="a"), say("final_answer", "done"))]
    assert {token for ids in labels for token in ids if token in added} == {tokenizer.eos_token_id}
    named = COMPACT.model_copy(update={"frames": FRAMES.model_copy(update={"stop": "<|endoftext|>"})})
    other = compact_tokenizer()
    model = llama(other)
    check_frames(named, save_base(tmp_path / "trained", other, model), "toy.yaml: cheap.base")
    assert not capsys.readouterr().out
    untrained(model, other, other.eos_token, FRAMES.user)
    check_frames(named, save_base(tmp_path / "untrained", other, model), "toy.yaml: cheap.base")
    assert "note: this base cannot be used with recipe v2" in capsys.readouterr().out


@pytest.mark.parametrize("tied", [True, False])
def test_the_output_matrix_is_read_whichever_way_it_is_kept(tmp_path, tied):
    tokenizer = compact_tokenizer()
    model = llama(tokenizer)
    if not tied:
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    rows = output_rows(save_base(tmp_path, tokenizer, model), [3, 5])
    assert all(torch.equal(rows[number], model.lm_head.weight[number]) for number in (3, 5))
