"""How likely the proposers find what the agent said, and how long it and theirs is."""

import numpy as np
import pytest
from factories import candidate, make_row

from specacts.answering.records import Heard, Words
from specacts.evaluation.speech import speech
from specacts.evaluation.stats import resample_weights


def row(heard: tuple[int, float] | None, said: int, whole: bool = True):
    found = make_row()
    words = Words(text="so", whole=whole, tokens=said, seconds=0.0) if said else None
    cheap = (candidate(found.gold, words=words),)
    told = {"cheap": Heard(tokens=heard[0], nll=heard[1])} if heard else {}
    return found.model_copy(update={"cheap": cheap, "heard": told})


ROWS = [row((4, 8.0), 3), row((12, 8.0), 0), row(None, 5, whole=False)]
WEIGHTS = resample_weights(["a", "b", "c"], 100, 0)


def test_likelihood_is_by_token_and_lengths_by_what_was_said():
    (found,) = speech(ROWS, WEIGHTS).values()
    assert found.decisions == 2 and found.nll.value == pytest.approx(1.0) and found.recorded_tokens.value == 8.0
    assert (found.said, found.said_tokens.value, found.cut) == (2, 5.0, 1)  # the first token stands with the proposal
    assert found.nll.low < found.nll.value < found.nll.high


def test_where_nobody_said_anything_there_is_nothing_to_tell():
    assert speech([row(None, 0)], np.ones((100, 1))) == {}
