"""How soon the watch over a promise stops a policy that breaks it, and how often one that does not: simulated traffic.

    python -m benchmarks.watch | tee benchmarks/watch.txt    # about two minutes; docs/serve.md quotes the table
    python -m benchmarks.watch --deployments 20              # does it still run?

A thousand deployments a row, each of 2,000 conversations, in which the cheap model takes half of the decisions, and of
a share of these upstream is asked too. A conversation is good or bad: in a bad one every accepted action is lost. Two
worlds: in the one, conversations of 1 to 20 decisions are bad equally often; in the other most hold one decision and
are seldom bad, and few are long and often bad. The promise is 10 points with 90 % confidence. A true loss of exactly as
much must be stopped in at most a tenth of the deployments; of 1.5 and 2 times as much it is counted how many audits and
decisions it takes. Where too few deployments were stopped to know, it says so.

The interval is right in a deployment if the true loss lies in it after every single conversation.

The ratio that is printed last is wrong stops over what the confidence allows, at the worst.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from specacts.core.errors import one_line_errors
from specacts.serving.watch import ERROR, Seen, interval, log_above, log_below, log_capital
from specacts.traces.sizes import smallest

LIMIT, CONFIDENCE = 0.1, 0.9
TAKEN = 0.5
CONVERSATIONS = 2_000
AT_ONCE = 50
"""Deployments that are in memory together."""
RATES = (0.05, 0.2, 1.0)
TIMES = (1.0, 1.5, 2.0)
"""How many times the limit the true loss is."""

World = Callable[[np.random.Generator, tuple[int, int]], tuple[np.ndarray, np.ndarray]]
"""Draws conversations' decisions, and how many times more often than others each is bad."""


def alike(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Half of the conversations hold 1 to 3 decisions, the others 4 to 20; each is bad as often as any other."""
    sizes = np.where(rng.random(shape) < 0.5, rng.integers(1, 4, shape), rng.integers(4, 21, shape))
    return sizes, np.ones(shape)


def few_long(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Three in ten conversations hold 5 to 15 decisions and are bad eight times as often as the others, of one each."""
    long = rng.random(shape) < 0.3
    return np.where(long, rng.integers(5, 16, shape), 1), np.where(long, 8.0, 1.0)


class Known(NamedTuple):
    """Of a world: the decisions of a conversation that count, and how often one is bad at a loss of 1 per decision."""

    most: int
    bad: float


def known(world: World) -> Known:
    sizes, often = world(np.random.default_rng(1_000_000), (1, 400_000))
    most = smallest(sizes[0, :1_000].tolist())
    weight = np.minimum(sizes, most) / most
    return Known(most, float(weight.sum() / (weight * often).sum()) / TAKEN)


class Traffic(NamedTuple):
    """What was seen of deployments' conversations, and what upstream was asked: [deployments, conversations]."""

    seen: Seen
    audits: np.ndarray


def traffic(world: World, bad: float, rate: float, rng: np.random.Generator, deployments: int) -> Traffic:
    """bad: how often a conversation is, where the world says 1."""
    sizes, often = world(rng, (deployments, CONVERSATIONS))
    accepted = rng.binomial(sizes, TAKEN)
    lost = np.where(rng.random(sizes.shape) < bad * often, accepted, 0)
    differing = rng.binomial(lost, rate)
    audits = differing + rng.binomial(accepted - lost, rate)
    return Traffic(Seen(np.full(sizes.shape, rate), sizes, differing, differing / rate, np.zeros_like(sizes)), audits)


class Found(NamedTuple):
    """Of each deployment: whether it was stopped, audits and decisions until then; whether the interval was always
    right, and how wide it was in the end. All [deployments]."""

    stopped: np.ndarray
    audits: np.ndarray
    decisions: np.ndarray
    right: np.ndarray
    width: np.ndarray


def watched(given: Traffic, loss: float, most: int) -> Found:
    """What the watch makes of deployments whose true loss per decision is `loss`."""
    seen = given.seen
    capital = log_capital(np.cumsum(log_above(seen, LIMIT, most, LIMIT), axis=1))
    won = capital >= -np.log1p(-CONFIDENCE)
    stopped = won.any(axis=1)
    first = np.where(stopped, won.argmax(axis=1), CONVERSATIONS - 1)[:, None]
    audits, decisions = (
        np.take_along_axis(np.cumsum(counts, axis=1), first, 1)[:, 0] for counts in (given.audits, seen.decisions)
    )
    bets = (log_above(seen, loss, most, LIMIT), log_below(seen, loss, most))
    right = [(log_capital(np.cumsum(bet, axis=1)) < np.log(2 / ERROR)).all(axis=1) for bet in bets]
    once = np.ones(CONVERSATIONS)
    ends = [interval(Seen(*(part[n] for part in seen)), once, most, LIMIT) for n in range(min(2, len(stopped)))]
    width = np.array([high - low for low, high in ends])
    return Found(stopped, audits, decisions, right[0] & right[1], width)


def simulate(world: World, times: float, rate: float, deployments: int) -> Found:
    most, bad = known(world)
    rng = np.random.default_rng(0)
    parts = [
        watched(traffic(world, times * LIMIT * bad, rate, rng, min(AT_ONCE, deployments - n)), times * LIMIT, most)
        for n in range(0, deployments, AT_ONCE)
    ]
    return Found(*map(np.concatenate, zip(*parts, strict=True)))


def rows(deployments: int) -> Iterator[tuple[list[str], float]]:
    """The table's rows, each with the share of wrong stops."""
    for world, label in ((alike, "alike"), (few_long, "few long")):
        for rate in RATES:
            for times in TIMES:
                found = simulate(world, times, rate, deployments)
                wrong = float(found.stopped.mean()) if times <= 1 else 0.0
                yield cells(label, rate, times, found), wrong


def cells(label: str, rate: float, times: float, found: Found) -> list[str]:
    until = [quantiles(counts, found.stopped) if times > 1 else "" for counts in (found.audits, found.decisions)]
    shares = [f"{share * 100:.1f} %" for share in (found.stopped.mean(), found.right.mean())]
    width = f"{found.width.mean() * 100:.0f} points"
    return [label, f"{rate:.0%}", f"{times * LIMIT * 100:g} points", shares[0], *until, shares[1], width]


def quantiles(counts: np.ndarray, stopped: np.ndarray) -> str:
    """Median and 90th percentile of what it took, over all deployments."""
    took = np.where(stopped, counts, np.inf)
    found = [float(np.quantile(took, share, method="higher")) for share in (0.5, 0.9)]
    return " / ".join(f"{number:,.0f}" if np.isfinite(number) else "not stopped" for number in found)


HEAD = (
    *("conversations", "audited", "true loss", "stopped", "audits until then: median / 90 %"),
    *("decisions until then: median / 90 %", "interval always right", "its width in the end"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployments", type=int, default=1_000, help="a row (default: 1,000)")
    arguments = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |")
    print(f"|{' --- |' * len(HEAD)}")
    worst = 0.0
    for row, wrong in rows(arguments.deployments):
        print(f"| {' | '.join(row)} |", flush=True)
        worst = max(worst, wrong)
    print(f"ratio of wrong stops to {1 - CONFIDENCE:.1f}: {worst / (1 - CONFIDENCE):.2f}")


if __name__ == "__main__":
    with one_line_errors():
        main()
