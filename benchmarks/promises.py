"""How often promises are broken where the truth is known: a thousand calibration samples of simulated decisions.

    python -m benchmarks.promises | tee benchmarks/promises.txt    # about a minute; docs/promises.md quotes the table
    python -m benchmarks.promises --draws 20                       # does it still run?

Two worlds. In the one, groups of 1 to 15 decisions are alike, whatever their size. In the other, most groups hold a
single decision and lose little, and few are long and lose much, as at scale `qwen3` (246 beside 30). In both, decisions
of a group depend on each other, and the true loss at every threshold is known from many groups. A threshold is
certified with 90 % confidence for the average over groups (`most` = 1) and per decision (`most` read off a training
sample of its own, as `split` does), and it is counted how often its true loss exceeds the risk, each way of averaging.
In the last rows the sample is not drawn group by group but parted from all groups by `split`, which looks at their
types of action.

The ratio that is printed last is violations over what the confidence allows, of promises per decision, at the worst.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from specacts.config import Split
from specacts.core.errors import one_line_errors
from specacts.policies.decide import lowest_accepted
from specacts.policies.guarantee import GRID, Evidence, certified, sizes_of
from specacts.traces.sizes import smallest
from specacts.traces.split import Outline, split_groups

ERROR = 0.1
KINDS = ("BLOCKED", "ask_clarification", "final_answer", "repair", "tool_call")
SHARES = Split(train=0.41, verify=0.12, calibrate=0.27, test=0.2)
KNOWN = 40_000
"""Groups that the true losses are known from."""

World = Callable[[np.random.Generator, int], Evidence]
"""Draws so many groups."""


class Setting(NamedTuple):
    """A world, how many calibration groups are drawn in it and how, and the risk that is promised."""

    label: str
    world: World
    groups: int
    risk: float
    split: bool = False


class Truth(NamedTuple):
    """Of every threshold of `GRID`, the loss per decision, the average over groups of the loss, and the share taken."""

    decisions: np.ndarray
    groups: np.ndarray
    accepted: np.ndarray

    def of(self, threshold: float | None, risk: float) -> tuple[bool, bool, float]:
        """Whether a threshold loses more than the risk per decision, and per group; and the share it takes."""
        if threshold is None:
            return False, False, 0.0
        at = GRID.index(threshold)
        return bool(self.decisions[at] > risk), bool(self.groups[at] > risk), float(self.accepted[at])

    def possible(self, about: str, risk: float) -> float:
        """The share that could be taken if the loss per decision, or per group, were known."""
        safe = np.minimum.accumulate(getattr(self, about) <= risk)
        return float(self.accepted[safe].max(initial=0))


class Found(NamedTuple):
    """Of a way to certify: shares of draws that break the promise, each way of averaging; and the mean share taken.

    possible: what could have been taken, had the truth been known.
    """

    broken_per_decision: float
    broken_per_group: float
    accepted: float
    possible: float


def alike(rng: np.random.Generator, groups: int) -> Evidence:
    """1 to 15 decisions a group; how right the cheap model is depends on the type and on the group, not on its size."""
    return decided(rng, rng.integers(1, 16, size=groups), np.full(groups, 0.5), spread=0.8)


def few_long(rng: np.random.Generator, groups: int) -> Evidence:
    """30 of 276 groups hold 5 to 15 decisions and are hard; the others hold one, easy for both models."""
    long = rng.random(groups) < 30 / 276
    return decided(rng, np.where(long, rng.integers(5, 16, size=groups), 1), np.where(long, 0.6, 6.0), spread=0.3)


def decided(rng: np.random.Generator, sizes: np.ndarray, ease: np.ndarray, spread: float) -> Evidence:
    """Decisions of groups of these sizes: log-odds of the cheap model's being right are the group's and the type's."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    kind = np.minimum(rng.geometric(0.4, size=len(group)) - 1 + rng.integers(2, size=len(sizes))[group], len(KINDS) - 1)
    odds = (ease + rng.normal(0, spread, size=len(sizes)))[group] + rng.normal(0, 1, size=len(group)) - 0.2 * kind
    score = 1 / (1 + np.exp(-(odds + rng.normal(0, 0.7, size=len(group)))))
    strong = rng.random(len(group)) < np.where(ease[group] > 1, 0.995, 0.85)
    losses = strong.astype(float) - (rng.random(len(group)) < 1 / (1 + np.exp(-odds)))
    return Evidence(score, losses, group, np.array(KINDS)[kind])


def parted(evidence: Evidence, seed: int) -> Evidence:
    """The calibration split of all these groups, in its order, as the stage `split` makes it."""
    types: dict[int, Counter[str]] = {}
    for group, kind in zip(evidence.groups.tolist(), evidence.kinds.tolist(), strict=True):
        types.setdefault(group, Counter[str]())[kind] += 1
    outlines = [Outline(str(group), str(group), "one", held) for group, held in types.items()]
    order = {int(one.group): place for place, one in enumerate(split_groups(outlines, SHARES, seed)["calibrate"])}
    places = np.array([order.get(group, -1) for group in evidence.groups.tolist()])
    kept = np.argsort(places, kind="stable")[(places < 0).sum() :]
    return Evidence(*(part[kept] for part in evidence))


def truth(world: World, groups: int = KNOWN) -> Truth:
    """The true losses in a world, by threshold."""
    evidence = world(np.random.default_rng(1_000_000), groups)
    share = 1 / np.repeat(sizes_of(evidence.groups), sizes_of(evidence.groups)) / groups
    found = []
    for threshold in GRID:
        accepted = evidence.scores >= lowest_accepted(threshold)
        lost = accepted * evidence.losses
        found.append((lost.mean(), (lost * share).sum(), accepted.mean()))
    return Truth(*np.array(found).T)


def simulate(setting: Setting, draws: int, known: Truth) -> dict[str, Found]:
    """By what a promise is about, what becomes of it."""
    drawn: dict[str, list[tuple[bool, bool, float]]] = {"groups": [], "decisions": []}
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        train = smallest(sizes_of(setting.world(rng, 2 * setting.groups).groups).tolist())
        if setting.split:
            evidence = parted(setting.world(rng, round(setting.groups / SHARES.calibrate)), seed)
        else:
            evidence = setting.world(rng, setting.groups)
        for about, most in (("groups", 1), ("decisions", train)):
            drawn[about].append(known.of(certified(evidence, setting.risk, ERROR, most), setting.risk))
    found = {}
    for about, each in drawn.items():
        per_decision, per_group, accepted = np.mean(each, axis=0).tolist()
        found[about] = Found(per_decision, per_group, accepted, known.possible(about, setting.risk))
    return found


SETTINGS = (
    Setting("alike, 80 groups", alike, 80, 0.1),
    Setting("few long, 276 groups", few_long, 276, 0.05),
    Setting("few long, 276 groups", few_long, 276, 0.1),
    Setting("alike, 80 groups by `split`", alike, 80, 0.1, split=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1_000, help="calibration samples a row (default: 1,000)")
    arguments = parser.parse_args()
    worlds: tuple[World, ...] = (alike, few_long)
    known = {world: truth(world) for world in worlds}
    print("| groups | risk | promised | broken per decision | broken per group | from cheap | could be |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    worst = 0.0
    for setting in SETTINGS:
        for about, found in simulate(setting, arguments.draws, known[setting.world]).items():
            cells = [setting.label, f"{setting.risk * 100:g} points", f"per {about[:-1]}"]
            print(f"| {' | '.join(cells + [f'{value * 100:.1f} %' for value in found])} |", flush=True)
            worst = max(worst, found.broken_per_decision if about == "decisions" else 0)
    print(f"ratio of violations to {ERROR:g}: {worst / ERROR:.2f}")


if __name__ == "__main__":
    with one_line_errors():
        main()
