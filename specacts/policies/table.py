"""The compared policies and baselines, declared once: letters, names, who is asked, which score decides.

    POLICIES["D"].title, POLICIES["D"].judge      # "cheap proposes, trained verifier judges", "verifier"

Decisions (decide.py), thresholds and promises (choose.py), evaluation, report and figures all go by this table.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from specacts.core.words import Role

Score = Literal["judge", "confidence", "route", "combined"]
"""What decides: the judge's score of a proposal, the cheap model's confidence in its type, the router's probability
(router.py), or all three in one (combine.py)."""


class Policy(NamedTuple):
    """One of the compared configurations.

    title, label: its name in tables and in figures. colour: of Okabe and Ito's palette as far as that goes, told apart
    with any colour vision. always: who acts, where nothing is decided. score: what is compared with a threshold, where
    something is. judge: who is asked about the proposals. picks: whether the cheap model makes several proposals, of
    which the best is taken. foresees: whether it decides before anybody proposes. sticks: whether the strong model,
    once it took over, acts until the user's next message, and nobody else is asked. promises: whether it can carry a
    guarantee. runs_live: whether it acts on the simulators in any case, and not only as the best of the others.
    """

    title: str
    label: str
    colour: str
    always: Role | None = None
    score: Score | None = None
    judge: Role | None = None
    picks: bool = False
    foresees: bool = False
    sticks: bool = False
    promises: bool = False
    runs_live: bool = False

    @property
    def one_threshold(self) -> bool:
        """Whether its threshold cannot be one by action type: at some decisions nobody proposes a type."""
        return self.foresees or self.sticks


POLICIES: dict[str, Policy] = {
    "A": Policy("always the strong model", "strong alone", "#000000", always="strong", runs_live=True),
    "B": Policy("the cheap model alone", "cheap alone", "#D55E00", always="cheap", runs_live=True),
    "C": Policy(
        "cheap proposes, strong judges", "strong judges", "#0072B2", score="judge", judge="strong", promises=True
    ),
    "D": Policy(
        "cheap proposes, trained verifier judges",
        "verifier judges",
        "#009E73",
        score="judge",
        judge="verifier",
        promises=True,
        runs_live=True,
    ),
    "E": Policy(
        "cheap proposes N, verifier picks",
        "verifier picks",
        "#CC79A7",
        score="judge",
        judge="verifier",
        picks=True,
        promises=True,
    ),
    "F": Policy(
        "cheap proposes, its own confidence decides", "own confidence", "#E69F00", score="confidence", promises=True
    ),
    "G": Policy(
        "a router decides who acts, before any call", "router", "#56B4E9", score="route", foresees=True, promises=True
    ),
    # H's score is fitted on the very groups that would have to prove a promise.
    "H": Policy(
        "as D, by verifier, confidence and router", "all combined", "#7B4B94", score="combined", judge="verifier"
    ),
    "S": Policy(
        "as F, and sticks until the user's next message",
        "own confidence, sticky",
        "#882255",
        score="confidence",
        sticks=True,
        promises=True,
    ),
}

JUDGING = tuple(letter for letter, policy in POLICIES.items() if policy.score)
"""The policies that have an accept threshold."""
PROMISING = tuple(letter for letter, policy in POLICIES.items() if policy.promises)
SCORED = tuple(letter for letter in JUDGING if not POLICIES[letter].picks)
"""The policies that score the greedy proposal: their scores can be compared, and made probabilities."""
RUN_LIVE = tuple(letter for letter, policy in POLICIES.items() if policy.runs_live)


def learns_to_judge(letter: str) -> bool:
    """Whether a policy rests on what is learnt on the verify split: the verifier, or the router beside it."""
    policy = POLICIES[letter]
    return policy.judge == "verifier" or policy.score == "route"


def unverified(letters: Iterable[str]) -> tuple[str, ...]:
    """Those of the policies that there are without a verifier and with a recorded strong model; F where none is."""
    return tuple(name for name in letters if not (POLICIES[name].judge or learns_to_judge(name))) or ("F",)


class Baseline(NamedTuple):
    """What policies have to be held against. marker: in figures (matplotlib's); shown: in tables and figures."""

    title: str
    label: str
    marker: str
    shown: bool = True


def coin_of(letter: str) -> str:
    """The baseline that accepts as often as a judging policy, at random."""
    return f"random_accept_{letter}"


BASELINES: dict[str, Baseline] = {
    "majority": Baseline("always the most common type", "most common type", "s"),
    "random": Baseline("a random type", "random type", "v"),
    **{
        coin_of(letter): Baseline(f"{letter} with a coin for a verifier", f"{letter} with a coin", "X", letter == "D")
        for letter in JUDGING
    },
    "middle": Baseline("the verifier's model alone", "verifier's model alone", "p"),
    "cascade": Baseline("cheap, verifier's model, strong: the first that is sure", "cascade of three", "h"),
    "oracle": Baseline("D with a perfect verifier", "D, perfect verifier", "*"),
    "oracle_picks": Baseline("E with a perfect verifier", "E, perfect verifier", "P"),
    "oracle_routes": Baseline("a perfect router", "perfect router", "D"),
}
