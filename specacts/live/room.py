"""How many agents can act side by side: each has a cache in every model that runs here.

side_by_side(voices, 40, 4).agents          # 16 on a laptop with small models, 3 where three large ones read 32k tokens
"""

from collections.abc import Iterable
from typing import NamedTuple

from specacts.answering.roles import Voice
from specacts.answering.served import Served
from specacts.models.load import head_of
from specacts.models.measure import bytes_per_token, copies, free_memory

MOST = 16
"""Each has a simulator's process too."""
SHARE = 0.7
"""Of the free memory that caches may take; the rest is for what models compute on the way."""


class Room(NamedTuple):
    """How many agents of a policy act side by side, and how many policies do, in a process each."""

    agents: int
    policies: int


def side_by_side(voices: Iterable[Voice], tasks: int, policies: int) -> Room:
    """As many as fit in free memory with the longest contexts, 1 at least. The models are there already."""
    asked = list(voices)
    here = [(voice.model, voice.renderer) for voice in asked if not isinstance(voice.model, Served)]
    if not here:
        return Room(min(MOST, tasks), 1)
    device = next(here[0][0].parameters()).device
    free = free_memory(device)
    heads = [head_of(model).weight for model, _ in here]
    free -= sum(4 * weight.numel() for weight in heads if weight.element_size() < 4)  # their copies (session.py)
    each = sum(bytes_per_token(model) * renderer.limits.max_tokens for model, renderer in here)
    fit = max(1, int(SHARE * free / each))
    agents = min(MOST, tasks, fit)
    if len(here) < len(asked):  # copies of this process would share its connections to the server
        return Room(agents, 1)
    return Room(agents, max(1, min(copies(device), policies, fit // agents)))
