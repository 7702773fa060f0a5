"""Decoding is kept to what an action may be, at next to no cost, and whatever was well-formed stays as it was."""

from collections.abc import Sequence

import pytest
import torch
from toys import COMPACT, TOOLS, compact_tokenizer, episode, llama, renderer

from specacts.answering.ask import batches, propose, read
from specacts.answering.guide import Guide, Preferred, spelling
from specacts.answering.wellformed import Grammar
from specacts.core.episodes import Tool

RENDERER = renderer(compact_tokenizer())
SPELLED = spelling(RENDERER)
LIMIT = COMPACT.action_tokens
GRAMMAR = Grammar.of(RENDERER, TOOLS)


def wanting(ids: Sequence[int], otherwise: Sequence[int] = ()) -> list[torch.Tensor]:
    """Log-probabilities of a model that wants these tokens one after the other, and next to them others."""
    rows = []
    for token in ids:
        logits = torch.zeros(len(SPELLED.texts))
        logits[list(otherwise)] = 4.0
        logits[token] = 8.0
        rows.append(logits.log_softmax(-1))
    return rows


def written(rows: Sequence[torch.Tensor], limit: int = LIMIT) -> list[int]:
    guide, said = Guide(SPELLED, GRAMMAR, limit), []
    for row in rows:
        said.append(guide.take(Preferred(row)))
        if said[-1] == RENDERER.stop_id:
            break
    return said


@pytest.mark.parametrize("text", ["read look {}", 'fix move {"source":"ä","target":"b"}', "ask Which one?", "done"])
def test_what_is_well_formed_is_left_as_it_is(text):
    ids = [*RENDERER.content(text), RENDERER.stop_id]
    assert written(wanting(ids)) == ids


def test_the_first_token_is_one_of_the_nine_that_confidence_is_measured_among():
    begins = RENDERER.content("call")[0]
    other = RENDERER.content("The")[0]
    assert written(wanting([other], [begins]))[0] == begins


def test_the_likeliest_token_that_fits_stands_for_one_that_does_not():
    ids = RENDERER.content("read nothing {}")
    text = RENDERER.text(written([*wanting(ids, RENDERER.content("look {}")), *wanting([RENDERER.stop_id] * 30)]))
    assert text.startswith("read look {}") and RENDERER.parse(text) is not None


def test_no_special_token_is_written_but_the_stop_token_at_an_end():
    special = RENDERER.tokenizer.convert_tokens_to_ids("<jupyter_code>")
    said = written(wanting([RENDERER.content("done")[0], *RENDERER.content("done")[1:], special], [RENDERER.stop_id]))
    assert said == [*RENDERER.content("done"), RENDERER.stop_id]


@pytest.mark.parametrize("limit", [28, 40, 48])
def test_an_action_that_goes_on_and_on_is_ended_within_its_limit(limit):
    ids = RENDERER.content('call move {"source":"' + "and on " * 40)
    said = written(wanting(ids), limit)
    assert len(said) <= limit and said[-1] == RENDERER.stop_id
    assert RENDERER.parse(RENDERER.text(said)).arguments.keys() == {"source"}


def test_draws_are_those_of_a_distribution_in_which_all_else_is_masked():
    """The first token of the nine words, drawn often."""
    torch.manual_seed(0)
    row = (torch.randn(len(SPELLED.texts)) * 2).log_softmax(-1)
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(len(row))
    for _ in range(1_000):
        counts[Guide(SPELLED, GRAMMAR, LIMIT).take(Preferred(row, 0.8, generator))] += 1
    masked = torch.full_like(row, -torch.inf)
    allowed = [n for n in SPELLED.first if GRAMMAR.after(GRAMMAR.start, SPELLED.texts[n]) is not None]
    masked[allowed] = row[allowed]
    assert (counts / counts.sum() - (masked / 0.8).softmax(-1)).abs().max() < 0.05


def test_a_random_models_proposals_are_all_well_formed_and_their_log_probabilities_its_own():
    model = llama(RENDERER.tokenizer)
    (batch, *_) = batches(RENDERER, [episode("a", 2)], 0)
    asked = [a for window in batch for a in window]
    windows = [window[0].window for window in batch]

    def proposed(tools: Sequence[Sequence[Tool]] | None):
        return propose(read(model, windows), RENDERER, 3, 2.0, [a.seed for a in asked], True, tools)

    free, kept = proposed(None), proposed([a.tools for a in asked])
    assert any(c.action is None for row in free for c in row)
    for a, row in zip(asked, kept, strict=True):
        names = {tool.name for tool in a.tools}
        assert all(c.action is not None and (c.action.tool is None or c.action.tool in names) for c in row)
        assert all(0 <= c.confidence <= 1 and c.logprob < 0 for c in row)
