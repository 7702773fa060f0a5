"""Whether a model can tell tokens apart that it has to produce: reserved ones that nobody trained are all alike.

    require_told_apart(Path("models/base/strong"), {"<tool_call>": 151657}, reserved, "configs/scale/x.yaml: strong")

LoRA on the layers leaves the output matrix as it is. Where two tokens have the same row there, no training makes one of
them likelier than the other.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from specacts.core.errors import UserError
from specacts.models.convert import EMBEDDINGS, tensor_files

ALIKE = 0.999
"""Rows with a cosine from here on are one token to the model. Never trained rows reach 1.0000 (SmolLM2, Qwen2.5-Coder);
the closest that are known to be told apart, SmolLM2's <|im_start|> and <|im_end|>, 0.993."""


def require_told_apart(folder: Path, produced: Mapping[str, int], reserved: Mapping[str, int], where: str) -> None:
    """UserError where a token that has to be produced has the same output row as a reserved one. Both: text to id."""
    rows = output_rows(folder, sorted({*produced.values(), *reserved.values()}))
    alike = {
        text: [other for other, number in reserved.items() if number != own and cosine(rows, own, number) >= ALIKE]
        for text, own in produced.items()
    }
    for text, others in alike.items():
        if others:
            raise UserError(
                f"{where}: a model of this base would have to write {text} but cannot: its output matrix has the same "
                f"row for {', '.join(others[:3])} (cosine of {ALIKE} or more: they were never trained), and LoRA does "
                "not change that; name frames in render.frames, of which only `stop` has to be written"
            )


def output_rows(folder: Path, ids: list[int]) -> dict[int, torch.Tensor]:
    """Rows of the output matrix by token id, [H] each, of the input one where the two are tied; only they are read."""
    with tensor_files(folder) as files:
        name = next(name for name in reversed(EMBEDDINGS) if name in files)
        held = files[name].get_slice(name)
        return {number: held[number : number + 1][0].float() for number in ids}


def cosine(rows: Mapping[int, torch.Tensor], one: int, other: int) -> float:
    return torch.nn.functional.cosine_similarity(rows[one], rows[other], dim=0).item()
