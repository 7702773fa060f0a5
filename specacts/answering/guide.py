"""Keep decoding to what an action may be: a token at a time, in the order in which the model would have them.

    guides = [Guide(spelling(renderer), grammar, limit) for grammar in grammars]
    guide.take(preferred)                # the first token of them that an action can go on with

Nothing is computed of the whole vocabulary as long as the model's own choice will do, which is nearly always; so it
works with any byte-level tokenizer and costs next to nothing. What is taken is what masking everything else would give:
the likeliest allowed token, or a draw from the distribution over the allowed ones.

An action that would not fit `limit` tokens is ended in time, by the shortest way there is.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from specacts.answering.wellformed import Grammar
from specacts.transcripts.render import Renderer

TRIES = 16
"""So many tokens are tried one by one; then all are looked at."""


class Spelling(NamedTuple):
    """How a tokenizer spells. texts: bytes of each token, None of special and added ones. first: of the nine words."""

    renderer: Renderer
    texts: tuple[bytes | None, ...]
    first: frozenset[int]
    stop: int

    def ids(self, text: bytes) -> list[int]:
        """Tokens of a text that may begin in the middle of a character."""
        head = next((n for n, byte in enumerate(text) if not 0x80 <= byte < 0xC0), len(text))
        within = [self.texts.index(text[n : n + 1]) for n in range(head)]
        return within + self.renderer.content(text[head:].decode())


def spelling(renderer: Renderer) -> Spelling:
    """Of a renderer's tokenizer."""
    return Spelling(renderer, texts_of(renderer.tokenizer), frozenset(renderer.first_ids), renderer.stop_id)


@lru_cache(maxsize=4)
def texts_of(tokenizer: PreTrainedTokenizerFast) -> tuple[bytes | None, ...]:
    """The bytes of each of a byte-level tokenizer's tokens, None of special and added ones."""
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    added = set(tokenizer.get_added_vocab().values())
    letters = byte_letters()
    return tuple(
        None if n in added or name is None or not letters.keys() >= set(name) else bytes(letters[c] for c in name)
        for n, name in enumerate(names)
    )


@cache
def byte_letters() -> dict[str, int]:
    """The letters by which byte-level tokenizers write bytes (GPT-2's table)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


class Guide:
    """One action in the making. limit: the most tokens it may have, the stop token included."""

    def __init__(self, spelled: Spelling, grammar: Grammar, limit: int) -> None:
        self.spelled, self.grammar, self.room = spelled, grammar, limit
        self.state = grammar.start
        self.begins = True
        self.ending: list[int] | None = None

    def take(self, preferred: "Preferred | list[int]") -> int:
        """The next token: the first preferred one that an action can go on with, or what ends it in time."""
        self.room -= 1
        if self.ending is not None:
            return self.ending.pop(0)
        for tries, token in enumerate(preferred):
            if self._goes_on(token):
                return self.ending.pop(0) if self.ending is not None else token
            if tries == TRIES and isinstance(preferred, Preferred):
                preferred.keep(self.allowed())
        raise AssertionError("an action can always go on or end")

    def _goes_on(self, token: int) -> bool:
        """Note the token, if it is allowed; where the action would not come to an end after it, note its end."""
        if not self.allows(token):
            return False
        text = self.spelled.texts[token]
        if token == self.spelled.stop or text is None:
            return True
        state = self.grammar.after(self.state, text)
        assert state is not None
        if not self._fits(state) and not self.begins:
            self.ending = [*self.spelled.ids(self.grammar.closing(self.state)), self.spelled.stop]
        self.state, self.begins = state, False
        return True

    def allowed(self) -> list[int]:
        """All tokens that an action can go on with."""
        return [n for n in range(len(self.spelled.texts)) if self.allows(n)]

    def allows(self, token: int) -> bool:
        """Whether an action can go on with the token, or end."""
        if token == self.spelled.stop:
            return self.grammar.ends(self.state)
        if self.begins:
            return token in self.spelled.first and self._follows(token)
        return self._follows(token)

    def _follows(self, token: int) -> bool:
        text = self.spelled.texts[token] if token < len(self.spelled.texts) else None
        return text is not None and self.grammar.after(self.state, text) is not None

    def _fits(self, state: tuple) -> bool:
        """Whether the action can be ended within its room. A token has a byte at least, so few have to be counted."""
        if self.grammar.speaks(state):
            return True  # words may be cut
        closing = self.grammar.closing(state)
        return len(closing) < self.room or len(self.spelled.ids(closing)) < self.room


class Preferred:
    """Tokens in the order in which a model would have them: the likeliest first, or drawn one after the other.

    logprobs: [V]. first: the likeliest, where it is known already.
    """

    def __init__(
        self, logprobs: torch.Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> None:
        self.left, self.temperature, self.generator = logprobs, temperature, generator
        self.own = False

    def __iter__(self) -> Iterator[int]:
        while True:
            token = self._next()
            yield token
            self._exclude(token)

    def keep(self, allowed: list[int]) -> None:
        """From now on only these."""
        kept = torch.full_like(self.left, -torch.inf)
        kept[allowed] = self.left[allowed]
        self.left, self.own = kept, True

    def _exclude(self, token: int) -> None:
        if not self.own:
            self.left, self.own = self.left.clone(), True
        self.left[token] = -torch.inf

    def _next(self) -> int:
        if not self.temperature:
            return int(self.left.argmax())
        return sample(self.left, self.temperature, self.generator)


def sample(logprobs: torch.Tensor, temperature: float, generator: torch.Generator | None) -> int:
    """Draw by the inverse of the distribution: at a vocabulary of 49k ten times as fast as torch.multinomial."""
    sums = (logprobs / temperature).softmax(dim=-1).cumsum(dim=-1)
    drawn = torch.rand(1, generator=generator, device=sums.device) * sums[-1]
    return min(int(torch.searchsorted(sums, drawn, right=True)), len(sums) - 1)
