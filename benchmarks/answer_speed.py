"""How much faster `answer` is than one `generate` call per decision and policy from scratch.

    python -m benchmarks.answer_speed --episodes 4

Both sides answer the same decisions of the test split with the trained models of the workspace, greedily:

- ours: each model reads a trunk once; every decision is decoded as a branch off it, every policy replayed;
- from scratch: for each of the policies A to E one `transformers` `generate` call a proposer it needs and decision,
  the whole context read again (A: strong; B: cheap; C, D: cheap and strong; E: cheap three times and strong).
  Verdicts are not even charged to this side.

The ratio of decisions a second is what counts; absolute speed is the machine's. Both decode freely, also where the
scale keeps proposals well-formed, so that both do the same work: greedy texts may differ by floating-point ties only,
and if more than a quarter do, this fails.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from specacts.answering.ask import read
from specacts.answering.roles import Asking, Voice, asking, judgements, load_voice, proposals
from specacts.config import load_config
from specacts.core.episodes import Tool, load_episodes
from specacts.core.errors import UserError, one_line_errors
from specacts.core.words import ROLES, Role
from specacts.traces.split import spread
from specacts.transcripts.render import Renderer, Window

CALLS: dict[Role, int] = {"cheap": 1 + 1 + 1 + 3, "strong": 1 + 1 + 1 + 1}
"""`generate` calls a decision: B, C, D, 3 for E; A, C, D, E."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=4, help="multi-turn test episodes (default: 4)")
    episodes = parser.parse_args().episodes
    config = load_config(Path("."))
    voices = {role: load_voice(Path("models"), role, config.scale, config.recipe) for role in ROLES}
    free = config.scale.answer.model_copy(update={"well_formed": False})
    how = asking(config.recipe, config.acceptance, free)
    renderer = voices["cheap"].renderer
    chosen = [e for e in load_episodes(Path("data/split/test.jsonl")) if len(e.steps) > 2]
    windows = [w for e in spread(chosen, episodes, config.seed) for w in renderer.windows(e)]
    decisions = sum(len(w.points) for w in windows)

    started = time.perf_counter()
    texts = ours(voices, how, windows)
    shared = time.perf_counter() - started

    scratch, equal = 0.0, 0
    contexts = [window.ids[: point.start] for window in windows for point in window.points]
    for n, context in enumerate(contexts):
        for role, calls in CALLS.items():
            started = time.perf_counter()
            text = from_scratch(voices[role].model, renderer, context)
            scratch += calls * (time.perf_counter() - started)
            equal += text == texts[role][n]
    print(f"decisions: {decisions} of {len(windows)} windows, all five policies")
    print(f"ours: {decisions / shared:.2f} decisions/s ({shared:.1f} s)")
    print(f"from scratch: {decisions / scratch:.2f} decisions/s ({scratch:.1f} s; repeated calls timed once, counted)")
    print(f"equal greedy texts: {equal} of {2 * decisions}")
    print(f"ratio: {scratch / shared:.1f}")
    if equal < 0.75 * 2 * decisions:
        raise UserError("answer_speed: the two sides did not decode the same, so their speeds cannot be compared")


def ours(voices: dict[Role, Voice], how: Asking, windows: list[Window]) -> dict[Role, list[str]]:
    """What the answer stage does with a batch of windows; returns the greedy texts of the two proposers."""
    seeds = [0] * sum(len(window.points) for window in windows)
    tools: list[tuple[Tool, ...]] = [()] * len(seeds)  # decoding is free
    cheap = proposals(voices["cheap"], read(voices["cheap"].model, windows), how, how.candidates, seeds, tools)
    judgements(voices["verifier"], read(voices["verifier"].model, windows), cheap, how, "verdict")
    reading = read(voices["strong"].model, windows)
    strong = proposals(voices["strong"], reading, how, 1, seeds, tools)
    judgements(voices["strong"], reading, cheap, how, how.strong)
    return {"cheap": [c[0].text for c in cheap], "strong": [c[0].text for c in strong]}


@torch.inference_mode()
def from_scratch(model: Any, renderer: Renderer, context: list[int]) -> str:
    """One stock `generate` call."""
    ids = torch.tensor([context], device=next(model.parameters()).device)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=renderer.limits.action_tokens,
        do_sample=False,
        eos_token_id=renderer.stop_id,
        pad_token_id=renderer.stop_id,
    )
    return renderer.text(out[0, len(context) :].tolist())


if __name__ == "__main__":
    with one_line_errors():
        main()
