"""Episodes into train, verify, calibrate and test: whole groups, the same shares of every kind of group.

    parts = split_groups([outline(episode) for episode in episodes], config.scale.split, config.seed)
    parts["train"]                                            # outlines: what has to be known to share them out

Groups are alike if their episodes come from the same sources; each such kind is shared out by itself, so that every
split has its part of the multi-turn tasks and of every single-turn source. Which group goes where is decided
greedily, groups with the rarest action type first, each to the split that still lacks most of what it holds (after
the iterative stratification of Sechidis et al., 2011). Test is parted from the others first: other shares among those
leave it as it is. Where nobody learns from the verify split its groups are for calibration, and train and test are the
same as ever.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from specacts.config import Split
from specacts.core.episodes import Episode, decisions
from specacts.core.errors import UserError
from specacts.core.seeds import draw
from specacts.core.words import ACTION_TYPES

SPLITS = ("train", "verify", "calibrate", "test")
OTHERS = "train, verify and calibrate"


class Outline(NamedTuple):
    """What the split has to know of an episode; `types`: its decisions by type. place: where it is stored."""

    id: str
    group: str
    source: str
    types: Counter[str]
    place: Any = None


def outline(episode: Episode, place: Any = None) -> Outline:
    return Outline(
        episode.id, episode.group, episode.source, Counter(due.gold.type for due in decisions(episode)), place
    )


class _Group(NamedTuple):
    """What has to stay together, and what the split looks at: where it comes from and which types it holds."""

    name: str
    sources: tuple[str, ...]
    types: Counter[str]


def split_groups(
    episodes: Sequence[Outline], shares: Split, seed: int, with_verify: bool = True
) -> dict[str, list[Outline]]:
    """Every episode in exactly one split; the same result for the same episodes and seed.

    Groups come in shuffled order, the episodes of one together: the first N of a split are a fair sample of it.
    with_verify: without it the verify split's groups go to calibrate, and verify is empty.
    Raises `UserError` if a split stays empty, or an action type that occurs is in no training episode.
    """
    wanted = {name: float(getattr(shares, name)) for name in SPLITS}
    groups = _groups(episodes)
    place = _assign(groups, {OTHERS: 1 - wanted["test"], "test": wanted["test"]}, seed)
    others = {name: wanted[name] / (1 - wanted["test"]) for name in SPLITS if name != "test"}
    place |= _assign([group for group in groups if place[group.name] == OTHERS], others, seed)
    shuffled = sorted(episodes, key=lambda episode: draw(seed, "split", episode.group))
    parts = {name: [episode for episode in shuffled if place[episode.group] == name] for name in SPLITS}
    _check(parts)
    if not with_verify:
        calibrating = [episode for episode in shuffled if place[episode.group] in ("verify", "calibrate")]
        parts |= {"verify": [], "calibrate": calibrating}
    return parts


def missing_types(parts: dict[str, list[Outline]]) -> dict[str, list[str]]:
    """For every split, the action types that occur elsewhere but not in it."""
    types = {name: _types(part) for name, part in parts.items()}
    total = sum(types.values(), Counter[str]())
    return {name: [t for t in ACTION_TYPES if total[t] and not found[t]] for name, found in types.items() if found}


def _types(episodes: Iterable[Outline]) -> Counter[str]:
    total = Counter[str]()
    for episode in episodes:
        total.update(episode.types)
    return total


Member = TypeVar("Member", Episode, Outline)


def _members(episodes: Iterable[Member]) -> dict[str, list[Member]]:
    """Episodes by group, in their order."""
    members: dict[str, list[Member]] = {}
    for episode in episodes:
        members.setdefault(episode.group, []).append(episode)
    return members


def _groups(episodes: Sequence[Outline]) -> list[_Group]:
    return [
        _Group(name, tuple(sorted({episode.source for episode in group})), _types(group))
        for name, group in _members(episodes).items()
    ]


def _assign(groups: Sequence[_Group], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Group name to split, one of those in `shares`."""
    room = _rooms(groups, shares)
    total = sum((group.types for group in groups), Counter[str]())
    held = {name: Counter[str]() for name in shares}
    place = {}
    for group in sorted(groups, key=lambda group: (_rarity(group, total), draw(seed, "split", group.name))):
        free = [name for name in shares if room[group.sources][name]]
        # max() keeps the first of equals: at the beginning, when every split lacks everything, that is the first.
        best = max(free, key=lambda name: _lack(group, held[name], total, shares[name]))
        room[group.sources][best] -= 1
        held[best] += group.types
        place[group.name] = best
    return place


def _lack(group: _Group, held: Counter[str], total: Counter[str], share: float) -> float:
    """How much a split lacks what `group` holds: 1 if it has nothing of it, 0 if its part, rare types counting most."""
    weights = {t: count / total[t] for t, count in group.types.items()}
    lacks = sum(weight * (1 - held[t] / (share * total[t])) for t, weight in weights.items())
    return lacks / sum(weights.values()) if weights else 0.0


def _rarity(group: _Group, total: Counter[str]) -> int:
    return min((total[t] for t in group.types), default=0)


def _rooms(groups: Sequence[_Group], shares: dict[str, float]) -> dict[tuple[str, ...], dict[str, int]]:
    """How many groups of each kind every split takes."""
    kinds = Counter(group.sources for group in groups)
    rooms, owed = {}, dict.fromkeys(shares, 0.0)
    for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
        ideal = {name: shares[name] * count + owed[name] for name in shares}
        rooms[kind] = _whole(ideal, count)
        owed = {name: ideal[name] - rooms[kind][name] for name in shares}
    return rooms


def _whole(ideal: dict[str, float], count: int) -> dict[str, int]:
    """`count` shared out in whole numbers near `ideal`, and at least one to each split where there are enough."""
    least = {name: len(SPLITS) - 1 if name == OTHERS else 1 for name in ideal}
    whole = least if count >= sum(least.values()) else dict.fromkeys(ideal, 0)
    for _ in range(count - sum(whole.values())):
        whole[max(ideal, key=lambda name: ideal[name] - whole[name])] += 1
    return whole


def _check(parts: dict[str, list[Outline]]) -> None:
    groups = len({episode.group for part in parts.values() for episode in part})
    for name, part in parts.items():
        if not part:
            raise UserError(
                f"the {name} split is empty: {groups} groups are too few for {len(parts)} splits of these shares; "
                f"at least {len(parts)} groups are needed, and more for a small share (data.tasks, "
                "data.single_turn; for your own traces: more groups, or fewer near-duplicates joined into one)"
            )
    lacking = missing_types(parts)["train"]
    if lacking:
        raise UserError(
            f"no training episode holds {', '.join(lacking)}: each action type needs at least {len(parts)} groups "
            "that hold it, one for each split (data.tasks, data.single_turn, or more of your own traces)"
        )


def spread(episodes: Sequence[Episode], count: int, seed: int) -> list[Episode]:
    """At most `count` episodes over as many groups as possible: one of every group, then a second, and so on.

    Episodes of one group are near-copies of each other: for an interval that resamples groups, another group is
    worth more than another copy. Which copy comes first is drawn from the seed and the group's name.
    """
    members = _members(episodes)
    for group in members.values():
        group.sort(key=lambda episode: draw(seed, "split", episode.id))
    rounds = max((len(group) for group in members.values()), default=0)
    ordered = [group[n] for n in range(rounds) for group in members.values() if n < len(group)]
    return ordered[:count]


def training_order(episodes: Sequence[Episode], seed: int) -> list[Episode]:
    """Episodes in the order they are learned from: near-copies far apart, small groups spread evenly among large ones.

    The n episodes of a group come once in every n-th part of the epoch, at a place drawn from the seed. A training that
    stops within its first epoch, as the CPU scale's do, has then seen nearly every group instead of two in three.
    """
    places: dict[str, float] = {}
    for name, group in _members(episodes).items():
        group.sort(key=lambda episode: draw(seed, "order", episode.id))
        places |= {e.id: (n + draw(seed, "order", name)) / len(group) for n, e in enumerate(group)}
    return sorted(episodes, key=lambda episode: places[episode.id])
