"""How many agents can act side by side: each has a cache in every model that runs here.

side_by_side(voices)          # 16 on a laptop with small models, 3 where three large ones read 32k tokens
"""

from collections.abc import Iterable

from specacts.answering.roles import Voice
from specacts.answering.served import Served
from specacts.models.load import head_of
from specacts.models.measure import bytes_per_token, free_memory

MOST = 16
"""Each has a simulator's process too."""
SHARE = 0.7
"""Of the free memory that caches may take; the rest is for what models compute on the way."""


def side_by_side(voices: Iterable[Voice]) -> int:
    """As many agents as fit in free memory with the longest contexts, 1 at least. The models are there already."""
    here = [(voice.model, voice.renderer) for voice in voices if not isinstance(voice.model, Served)]
    if not here:
        return MOST
    free = free_memory(next(here[0][0].parameters()).device)
    heads = [head_of(model).weight for model, _ in here]
    free -= sum(4 * weight.numel() for weight in heads if weight.element_size() < 4)  # their copies (session.py)
    each = sum(bytes_per_token(model) * renderer.limits.max_tokens for model, renderer in here)
    return max(1, min(MOST, int(SHARE * free / each)))
