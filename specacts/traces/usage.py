"""What a provider counted for a model call, under the names that providers give it.

    usage_of({"prompt_tokens": 1200, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 1024}})

OpenAI's two interfaces count what was cached as part of what was read; Anthropic's `input_tokens` leaves out what was
read from the cache or written to it, so both are added here.
"""

from typing import Any, NamedTuple

from specacts.core.episodes import Act, Episode, Usage

READ = (
    *("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_token_count", "inputTokens", "promptTokens"),
    *("prompt_eval_count", "input"),
)
WRITTEN = (
    *("completion_tokens", "output_tokens", "candidatesTokenCount", "candidates_token_count", "outputTokens"),
    *("completionTokens", "eval_count", "output"),
)
CACHED = ("cached_tokens", "cache_read", "cachedContentTokenCount", "cached_content_token_count")
BESIDE = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""Anthropic's: tokens of the prompt that `input_tokens` does not count."""
DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")


class Took(NamedTuple):
    """What a model call took, as far as it is known: tokens, and seconds."""

    usage: Usage | None = None
    seconds: float | None = None

    def shared(self, actions: int) -> "Took":
        """The part of one of several actions that the call decided in one go."""
        if actions == 1:
            return self
        return Took(self.usage and self.usage.shared(actions), self.seconds and self.seconds / actions)

    def behind(self, before: "Took") -> "Took":
        """Together with a call before it that only said something; a call that stands in two parts counts once."""
        if before == NOTHING:
            return self
        usage, earlier = self.usage, before.usage
        if usage and earlier and usage != earlier:
            usage = Usage(
                prompt=usage.prompt + earlier.prompt,
                cached=usage.cached + earlier.cached,
                completion=usage.completion + earlier.completion,
            )
        seconds = (self.seconds or 0) + (before.seconds or 0)
        return Took(usage or earlier, seconds or None)

    def known(self) -> dict[str, Any]:
        return {name: value for name, value in self._asdict().items() if value is not None}


NOTHING = Took()
Taken = tuple[tuple[bool, Took], ...]
"""Of a conversation's first actions, in order, whether each speaks and what it took; empty where nothing is known."""


def taken(episode: Episode) -> Taken:
    """What each of a conversation's actions took."""
    acts = [step for step in episode.steps if isinstance(step, Act)]
    if all(act.usage is None and act.seconds is None for act in acts):
        return ()
    return tuple((act.action.tool is None, Took(act.usage, act.seconds)) for act in acts)


def together(before: Taken, own: Taken) -> Taken:
    """Of a conversation that goes on with another, whose row says `before` of their common actions.

    Words that the other ended with may be the beginning of a call here; both calls then took what they took.
    """
    found = list(own) + list(before[len(own) :])
    for number, ((spoke, earlier), (speaks, took)) in enumerate(zip(before, own, strict=False)):
        if spoke and not speaks:
            took = took.behind(earlier)
        found[number] = (speaks, earlier if took == NOTHING else took)
    return tuple(found)


def usage_of(value: Any) -> Usage | None:
    """The counts of a call; None where what it read or wrote is not said, or is no count."""
    if not isinstance(value, dict):
        return None
    read, written = _first(value, READ), _first(value, WRITTEN)
    if read is None or written is None:
        return None
    within = next((value[name] for name in DETAILS if isinstance(value.get(name), dict)), value)
    beside = [_count(value.get(name)) or 0 for name in BESIDE]
    read += sum(beside)
    cached = beside[0] or _first(within, CACHED) or 0
    return Usage(prompt=read, cached=min(cached, read), completion=written)


def _first(value: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((count for name in names if (count := _count(value.get(name))) is not None), None)


def _count(value: Any) -> int | None:
    """A whole number that is not negative; exports write some as 12.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value) if value == int(value) else None
