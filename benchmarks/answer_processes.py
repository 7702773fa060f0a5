"""How much faster a model answers in several processes of one thread each than in one process with all threads.

    python -m benchmarks.answer_processes --episodes 40

Both sides let the cheap model of the workspace propose on the same episodes of the verify split, as stage `propose`
does: one process as PyTorch has it (the peer), and one process a core (answering/pieces.py). The ratio of decisions a
second is what counts. How work is split among threads changes sums in the last digit, so a greedy text may differ by a
tie; if more than a hundredth of them do, this fails.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from specacts.answering.ask import batches
from specacts.answering.pieces import Batch, flat, side_by_side
from specacts.answering.roles import asking, load_voice, proposals, read_batch
from specacts.config import load_config
from specacts.core.episodes import load_episodes
from specacts.core.errors import UserError, one_line_errors
from specacts.core.forks import shared_out
from specacts.traces.split import spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=40, help="episodes of the verify split (default: 40)")
    episodes = parser.parse_args().episodes
    config = load_config(Path("."))
    voice = load_voice(Path("models"), "cheap", config.scale, config.recipe)
    how = asking(config.recipe, config.acceptance, config.scale.answer)
    chosen = spread(load_episodes(Path("data/split/verify.jsonl")), episodes, config.seed)
    work = list(batches(voice.renderer, chosen, config.seed))
    decisions, several = sum(len(flat(batch)) for batch in work), max(2, side_by_side(voice))

    def ask(batch: Batch) -> list[str]:
        seeds, tools = [a.seed for a in flat(batch)], [a.tools for a in flat(batch)]
        said = proposals(voice, read_batch(voice, batch), how, how.proposals, seeds, tools, speaks=False)
        return [candidates[0].text for candidates in said]

    def answered(processes: int) -> tuple[list[Any], float]:
        started = time.perf_counter()
        found = dict(shared_out(ask, work, processes, partial(torch.set_num_threads, 1)))
        return [text for number in range(len(work)) for text in found[number]], time.perf_counter() - started

    (one, alone), (other, together) = answered(1), answered(several)
    equal = sum(a == b for a, b in zip(one, other, strict=True))
    threads = torch.get_num_threads()
    print(
        f"| decisions | 1 process, {threads} threads: a second | {several} processes, 1 thread: a second | same text |"
    )
    print("| --- | --- | --- | --- |")
    print(f"| {decisions} | {decisions / alone:.2f} | {decisions / together:.2f} | {equal} |")
    print(f"ratio: {alone / together:.2f}")
    if equal < 0.99 * decisions:
        raise UserError("answer_processes: the two sides did not say the same")


if __name__ == "__main__":
    with one_line_errors():
        main()
