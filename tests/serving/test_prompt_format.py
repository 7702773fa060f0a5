"""The page on the prompts' format tells a stranger how to make exactly what the renderer makes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bundle_files import bundle_of, part
from toys import CHAT, COMPACT, compact_tokenizer, qwen3_tokenizer

from specacts.core.words import ROLES, JudgeScore
from specacts.recipe import shows_confidence
from specacts.serving.bundle import Bundle
from specacts.serving.prompt_format import CONFIDENCE, PROPOSALS, examples, golden, program, prompt_format
from specacts.transcripts.parse import VERBS
from specacts.transcripts.render import Renderer, load_renderer

LIMITS = {"compact": COMPACT, "chat": CHAT}
"""So small that something of the example is cut."""


@pytest.fixture(scope="module", params=["compact", "chat"])
def models(request, tmp_path_factory) -> Path:
    """A base with a tokenizer of either template, and an empty folder for a bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    made = compact_tokenizer() if request.param == "compact" else qwen3_tokenizer(folder / "base/cheap")
    made.save_pretrained(folder / "base/cheap")
    (folder / "policy").mkdir()
    return folder


@pytest.fixture
def bundle(config, models: Path) -> Bundle:
    limits = LIMITS["chat" if "chat" in models.name else "compact"]
    there = part(models, "cheap", tuned=False)
    models_of = {"cheap": there, "verifier": there}
    return bundle_of(config, render=dict.fromkeys(ROLES, limits), models=models_of).at(models / "policy")


@pytest.fixture
def renderer(bundle: Bundle) -> Renderer:
    return load_renderer(bundle.base("cheap"), bundle.render["cheap"])


def test_the_pages_own_program_makes_the_golden_example_from_the_tokenizers_file(bundle, renderer, monkeypatch):
    text = prompt_format(bundle, {"cheap": renderer})
    monkeypatch.chdir(bundle.folder)
    made: dict[str, Any] = {}
    exec(program(text), made)
    found = examples(text)["cheap"]
    assert found["context"] == made["context"] and found["proposals"] == made["proposals"]


def test_the_pages_messages_are_read_by_a_server_as_the_golden_example(bundle, renderer):
    text = prompt_format(bundle, {"cheap": renderer})
    if not renderer.frames.served:
        assert "As messages" not in text
        return
    sent = json.loads(re.search(r"## As messages.*?```json\n(.*?)\n```", text, re.DOTALL)[1])
    rendered = renderer.tokenizer.apply_chat_template(**_named(sent), tokenize=False, add_generation_prompt=True)
    assert renderer.tokenizer.encode(rendered, add_special_tokens=False) == examples(text)["cheap"]["context"]


def _named(sent: dict[str, Any]) -> dict[str, Any]:
    return {"conversation": sent["messages"], "tools": sent["tools"]}


def test_the_golden_example_is_what_the_renderer_makes_of_it(bundle, renderer):
    found = examples(prompt_format(bundle, {"cheap": renderer, "verifier": renderer}))
    assert found["cheap"] == golden(renderer, "own", judges=False, confident=False)
    assert found["verifier"] == golden(renderer, "own", judges=True, confident=shows_confidence(bundle.recipe))
    assert found["cheap"]["proposals"][0] == renderer.action_ids(PROPOSALS[0])
    assert found["cheap"]["first"] == dict(zip(VERBS.values(), renderer.first_ids, strict=True))
    assert found["verifier"]["query"] == renderer.verdict_query_ids(CONFIDENCE)
    assert found["cheap"]["stop"] == renderer.stop_id == found["cheap"]["proposals"][1][-1]


@pytest.mark.parametrize(("score", "says"), [("likelihood", "the probability that it gives"), ("reward", "sigmoid")])
def test_what_a_judge_is_asked_is_told_by_its_score(bundle, renderer, score: JudgeScore, says):
    text = prompt_format(bundle.model_copy(update={"score": score}), {"cheap": renderer, "verifier": renderer})
    assert says in text and "`ACCEPT` against" not in text
    assert "verifier's score" not in prompt_format(bundle, {"cheap": renderer})


def test_a_judge_that_answers_is_told_with_its_question(bundle, renderer):
    text = prompt_format(bundle.model_copy(update={"score": "verdict"}), {"cheap": renderer, "verifier": renderer})
    assert "`ACCEPT` against `REJECT`" in text and "a digit" in text


def test_what_was_done_to_ones_own_traces_is_told(bundle, renderer):
    own = bundle.model_copy(update={"characters": 160, "redacts": True})
    text = prompt_format(own, {"cheap": renderer})
    assert "more than 160 characters" in text and "[REDACTED:kind]" in text
    assert "REDACTED" not in prompt_format(bundle, {"cheap": renderer})


def test_the_page_is_plain_text_without_leftovers_of_its_template(bundle, renderer):
    text = prompt_format(bundle, {"cheap": renderer})
    prose = text.replace(program(text), "")
    for left in ("{{", "{%", " \\\n", "None", "\n\n\n"):
        assert left not in prose, left
