"""The bundle's models asked here, and on a completions server: how often both decide alike, and how fast each is.

    vllm serve models/base/cheap --dtype float32 --enable-lora --lora-modules cheap=models/cheap    # elsewhere
    python -m benchmarks.remote_engine --url http://127.0.0.1:8000/v1 --names cheap=cheap

Both are asked about the same decisions, eight at a time. How many have the same action and the same decision is what
counts; the ratio of decisions a second is that of two programs on one machine, one of which here reads on where it was.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

from specacts.core.episodes import Episode, decisions, load_episodes
from specacts.core.errors import one_line_errors
from specacts.core.words import Role
from specacts.serving.bundle import Offer, load_bundle
from specacts.serving.engine import Decided, Engine
from specacts.serving.remote import Completions, RemoteEngine, open_remote

TOGETHER = 8


class Compared(NamedTuple):
    """What came of it. same_action, same_decision: how many. apart: the largest difference of confidences. here, there:
    decisions a second."""

    decisions: int
    same_action: int
    same_decision: int
    apart: float
    here: float
    there: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="models/policy", help="the bundle's folder (default: models/policy)")
    parser.add_argument("--episodes", default="data/split/calibrate.jsonl", help="conversations with decisions")
    parser.add_argument("--most", type=int, default=400, help="most decisions (default: 400)")
    parser.add_argument("--url", required=True, help="where the server's /completions and /models are")
    parser.add_argument("--names", nargs="+", default=["cheap=cheap"], help="what the server calls each role's model")
    given = parser.parse_args()
    names = {cast(Role, role): name for role, name in (pair.split("=") for pair in given.names)}
    server = Completions(given.url, names)
    found = compared(Path(given.bundle), load_episodes(Path(given.episodes)), server, given.most)
    print("| decisions | same action | same decision | confidences apart | decisions/s here | on the server |")
    print("| --- | --- | --- | --- | --- | --- |")
    row = (found.decisions, found.same_action, found.same_decision, f"at most {found.apart:.1e}")
    print(f"| {' | '.join(map(str, row))} | {found.here:.2f} | {found.there:.2f} |")
    print(f"ratio: {found.there / found.here:.2f}")


def compared(folder: Path, episodes: Sequence[Episode], server: Completions, most: int) -> Compared:
    """Ask both about at most so many decisions of the episodes."""
    bundle = load_bundle(folder)
    offer = bundle.offer(None)
    due = [e.model_copy(update={"steps": e.steps[: one.step]}) for e in episodes for one in decisions(e)][:most]
    engine = Engine(bundle, offer)
    started = time.perf_counter()
    here = asyncio.run(asked(engine, due))
    middle = time.perf_counter()
    engine.close()
    there = asyncio.run(remote(offer, folder, server, due))
    ended = time.perf_counter()
    pairs = [(a, b) for a, b in zip(here, there, strict=True) if a.proposal and b.proposal]
    sure = [abs(a.proposal.confidence - b.proposal.confidence) for a, b in pairs if a.proposal and b.proposal]
    return Compared(
        decisions=len(due),
        same_action=sum(bool(a.proposal and b.proposal and a.proposal.action == b.proposal.action) for a, b in pairs),
        same_decision=sum(a.accepted == b.accepted for a, b in zip(here, there, strict=True)),
        apart=max(sure, default=0.0),
        here=len(due) / (middle - started),
        there=len(due) / (ended - middle),
    )


async def asked(engine: Engine | RemoteEngine, due: Sequence[Episode]) -> list[Decided]:
    """All decisions, so many at a time."""
    free = asyncio.Semaphore(TOGETHER)

    async def one(episode: Episode) -> Decided:
        async with free:
            return await engine.decide(episode, propose=True)

    return await asyncio.gather(*map(one, due))


async def remote(offer: Offer, folder: Path, server: Completions, due: Sequence[Episode]) -> list[Decided]:
    engine = await open_remote(load_bundle(folder), offer, server)
    try:
        return await asked(engine, due)
    finally:
        await engine.close()


if __name__ == "__main__":
    with one_line_errors():
        main()
