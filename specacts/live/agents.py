"""The closed loop: policies act on BFCL's simulators, and what they did and saw is the context of what they do next.

    tasks = assignments(episodes, raw, timeout=10)
    agents = [Agent("D", task, tariff, limit=10) for task in tasks]
    for attempt in run(partial(act, "D", threshold=0.7), agents, simulators, Models(voices, how, seed=0)):
        attempt.turns, attempt.given_up

Elsewhere policies are replayed over answers recorded in contexts that hold the right actions. Here the very same
functions run on rows that are empty at first: what a policy reaches for and does not find is asked of the models, for
all agents that need it at once, and the policy is run again. So nothing is asked that it does not need.

A turn is over when the agent speaks. Success is BFCL's (`succeeds`). An episode is given up, with all turns that are
left, when a turn takes more actions than allowed, when `FAILURES` in a row come to nothing, which BFCL lets go on, or
when its simulator hangs or breaks. Unlike in BFCL, which goes on to the next turn there, an agent whose reply is no
well-formed action is told so and may try again.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, TypeVar

import torch

from specacts.answering import served
from specacts.answering.ask import Reading
from specacts.answering.decode import Prefix
from specacts.answering.records import Candidate, Verdict
from specacts.answering.roles import Asking, Voice, judgements, proposals
from specacts.answering.served import Contexts, ReadThere, Served
from specacts.answering.session import Session
from specacts.answering.wellformed import offered
from specacts.bfcl.simulator import Simulator, SimulatorTimeout
from specacts.core.episodes import Act, Action, Episode, Observation, Step
from specacts.core.errors import UserError
from specacts.core.observations import EXECUTION_ERROR, is_error
from specacts.core.seeds import decision_seed
from specacts.core.words import Role
from specacts.live.tasks import Assignment, succeeds
from specacts.models.measure import clock
from specacts.policies.combine import Combination, Signals, probability
from specacts.policies.cost import Cached, Charge, Tariff, step
from specacts.policies.decide import GREEDY, Outcome
from specacts.policies.router import Router, route
from specacts.transcripts.render import Renderer

FAILURES = 3
"""So many failed calls or malformed replies in a row end an episode: a greedy model would repeat them to the limit."""
GIVEN_UP = ("steps", "failures", "timeout", "crash")
"""Why an episode is given up: too many actions in a turn, or failures in a row, or a simulator that hung or broke."""
QUOTED = 80
"""Most characters of a malformed reply that the agent is shown again."""
ASKED: dict[str, Role] = {"cheap": "cheap", "verdicts": "verifier", "strong_verdict": "strong", "strong": "strong"}
"""The fields of a row that models are asked for, and which model."""
JUDGEMENTS = ("verdicts", "strong_verdict")
DUE = Act(action=Action(type="final_answer"))
"""Stands where an action is due; nothing of it is read."""


# -- decisions ------------------------------------------------------------------------------------------------


class Missing(Exception):
    """A policy needs a field that nobody has been asked for yet."""

    def __init__(self, field: str):
        super().__init__(field)
        self.field = field


class Row(SimpleNamespace):
    """As much of a `View` (decide.py) as has been asked for, and its place (cost.py).

    made: how fields are made that no model is asked for.
    """

    made: Mapping[str, Callable[[], float]]
    earlier: tuple["Row", ...]
    episode: str
    decision: int
    picks: tuple[int, ...]
    window: dict[Role, int]
    context: dict[Role, int]
    seconds_per_token: dict[Role, float]
    cached: dict[Role, int]
    cheap: tuple[Candidate, ...]
    strong: Candidate
    verdicts: tuple[Verdict, ...]
    strong_verdict: tuple[Verdict, ...]
    route: float
    combined: float

    def __getattr__(self, field: str) -> Any:
        if field in self.made:
            setattr(self, field, self.made[field]())
            return getattr(self, field)
        if field in JUDGEMENTS:
            _ = self.cheap  # nothing to judge before there are proposals
        raise Missing(field)


Policy = Callable[[Row], Outcome]
"""Such as `partial(act, "D", threshold=0.5)` (decide.py)."""


class Due(Protocol):
    """Whoever has a decision to make: an agent here, a request at the gateway (serving/engine.py)."""

    row: Row
    trunks: dict[Role, "Trunk"]

    @property
    def episode(self) -> Episode: ...
    def trunk(self, role: Role, model: torch.nn.Module, ids: list[int]) -> "Trunk":
        """Where the role reads on to these."""


Someone = TypeVar("Someone", bound=Due)
Decision = TypeVar("Decision")
Ask = Callable[[str, list[Someone]], list[Any]]
"""A field that the rows of some lack, to its value for each."""


def decide(policy: Callable[[Row], Decision], agents: Sequence[Someone], ask: Ask[Someone]) -> list[Decision]:
    """What the policy does for each agent; what it needs for several of them is asked at once."""
    while True:
        outcomes: list[Decision] = []
        needy: dict[str, list[Someone]] = {}
        for agent in agents:
            try:
                outcomes.append(policy(agent.row))
            except Missing as missing:
                needy.setdefault(missing.field, []).append(agent)
        if not needy:
            return outcomes
        for field, those in needy.items():
            for agent, answer in zip(those, ask(field, those), strict=True):
                setattr(agent.row, field, answer)


# -- agents ---------------------------------------------------------------------------------------------------


class Attempt(NamedTuple):
    """What a policy did with an episode.

    turns: whether each succeeded. acting: whether each asks for calls. given_up: why (`GIVEN_UP`), or None. actors,
    charges: whose action was taken at each decision, and what it cost. calls: executed, `failed` of them returned an
    error. steps: all that was said and done.
    """

    policy: str
    episode: str
    group: str
    turns: tuple[bool, ...]
    acting: tuple[bool, ...]
    given_up: str | None
    actors: tuple[Role, ...]
    charges: tuple[Charge, ...]
    malformed: int
    calls: int
    failed: int
    steps: tuple[Step, ...]


class Agent:
    """A policy at work on an assignment: what was said, done and seen so far, and the row of the decision that is due.

    limit: most actions in one turn. picks: numbers of the cheap model's candidates that policy E chooses among; as many
    are generated as that takes. made: fields of a row that no model is asked for, by how they are made of the agent.
    """

    def __init__(
        self,
        policy: str,
        task: Assignment,
        tariff: Tariff,
        limit: int,
        picks: tuple[int, ...] = GREEDY,
        made: Mapping[str, Callable[["Agent"], float]] | None = None,
    ) -> None:
        self.policy, self.task, self.tariff, self.limit, self.picks = policy, task, tariff, limit, picks
        self.made = made or {}
        self.steps: list[Step] = []
        self.turns: list[bool] = []
        self.observations: list[str] = []
        self.actors: list[Role] = []
        self.charges: list[Charge] = []
        self.malformed = self.failing = 0
        self.given_up: str | None = None
        self.cached: Cached = {}
        self.trunks: dict[Role, Trunk] = {}

    def start(self, simulator: Simulator) -> None:
        """Hear the first message, the simulators being as the task has them."""
        simulator.start(self.task.classes, self.task.scenario)
        self.simulator = simulator
        self._begin_turn()
        self._face_decision()

    @property
    def episode(self) -> Episode:
        """The task's episode as far as this agent has got."""
        return self.task.episode.model_copy(update={"steps": tuple(self.steps)})

    @property
    def done(self) -> bool:
        return self.given_up is not None or len(self.turns) == len(self.task.turns)

    def trunk(self, role: Role, model: torch.nn.Module, ids: list[int]) -> "Trunk":
        """Where the role reads on; it is the agent's own, whatever it is to read."""
        return self.trunks.setdefault(role, Trunk(model))

    def take(self, outcome: Outcome) -> None:
        """Pay for what the policy decided, do it, and see what comes of it."""
        self._pay(outcome)
        self.acted += 1
        try:
            self._act(outcome)
        except UserError as error:  # whatever state the simulators had is lost
            self.steps.append(Observation(content=str(error)))
            self.given_up = "timeout" if isinstance(error, SimulatorTimeout) else "crash"
        if self.acted == self.limit and not self.done:
            self.given_up = "steps"
        if self.failing == FAILURES and not self.done:
            self.given_up = "failures"
        if not self.done:
            self._face_decision()

    def attempt(self) -> Attempt:
        """What it did; turns that it did not finish failed."""
        return Attempt(
            policy=self.policy,
            episode=self.task.episode.id,
            group=self.task.episode.group,
            turns=(*self.turns, *[False] * (len(self.task.turns) - len(self.turns))),
            acting=tuple(bool(turn.observations) for turn in self.task.turns),
            given_up=self.given_up,
            actors=tuple(self.actors),
            charges=tuple(self.charges),
            malformed=self.malformed,
            calls=len(self.observations),
            failed=sum(map(is_error, self.observations)),
            steps=tuple(self.steps),
        )

    def _begin_turn(self) -> None:
        self.acted = self.called = self.failing = 0
        self.faced: list[Row] = []
        self.steps.append(self.task.turns[len(self.turns)].user)

    def _end_turn(self) -> None:
        turn, state = self.task.turns[len(self.turns)], json.loads(self.simulator.state())
        self.turns.append(succeeds(turn, self.called, state, self.observations))
        if not self.done:
            self._begin_turn()

    def _face_decision(self) -> None:
        """An empty row; what models read is noted in its dictionaries, role by role."""
        self.row = Row(
            made={field: partial(make, self) for field, make in self.made.items()},
            earlier=tuple(self.faced),
            episode=self.task.episode.id,
            decision=len(self.actors),
            picks=self.picks,
            window={},
            context={},
            seconds_per_token={},
            cached={},
        )
        self.faced.append(self.row)

    def _pay(self, outcome: Outcome) -> None:
        # A malformed reply is in no later context, hence in no cache.
        kept = outcome if outcome.action else outcome._replace(tokens=0)
        charged, self.cached = step(self.row, kept, self.cached, self.tariff)
        self.charges.append(charged)
        self.actors.append(outcome.actor)

    def _act(self, outcome: Outcome) -> None:
        action = outcome.action
        if action is None:
            self.malformed += 1
            self.failing += 1
            told = f"{EXECUTION_ERROR} the reply was no well-formed action: {written(self.row, outcome)[:QUOTED]!r}"
            self.steps.append(Observation(content=told))
            return
        self.steps.append(Act(action=action.model_copy(update={"content": outcome.words or action.content})))
        if action.tool is None:
            self._end_turn()
        else:
            self.called += 1
            self.observations.append(self.simulator.call(action.tool, action.arguments))
            self.failing = self.failing + 1 if is_error(self.observations[-1]) else 0
            self.steps.append(Observation(content=self.observations[-1]))


def unasked(router: Router | None, combination: Combination | None) -> Mapping[str, Callable[[Due], float]]:
    """The fields of a row that no model is asked for, by how they are made of an agent.

    Without a router, or a verifier, there is no policy that reads the field.
    """

    def routed(agent: Due) -> float:
        assert router is not None
        episode = agent.episode
        return route(router, episode, len(episode.steps))

    def combined(agent: Due) -> float:
        row = agent.row
        assert combination is not None
        return probability(combination, Signals(row.verdicts[0].score, row.cheap[0].confidence, row.route))

    return {"route": routed, "combined": combined}


def written(row: Row, outcome: Outcome) -> str:
    """The malformed text that an outcome without an action stands for."""
    candidates = row.cheap if outcome.actor == "cheap" else (row.strong,)
    return next(c.text for c in candidates if c.action is None and c.tokens == outcome.tokens)


def run(policy: Policy, agents: Sequence[Agent], simulators: Sequence[Simulator], ask: Ask[Agent]) -> Iterator[Attempt]:
    """Let all agents of a policy act until they are done, one on each simulator at a time; attempts as they end.

    Those at work decide in step with each other, so that their models are asked side by side.
    """
    waiting, free = deque(agents), list(simulators)
    active: list[Agent] = []
    while waiting or active:
        while waiting and free:
            active.append(waiting.popleft())
            active[-1].start(free.pop())
        for agent, outcome in zip(active, decide(policy, active, ask), strict=True):
            agent.take(outcome)
        for agent in [agent for agent in active if agent.done]:
            active.remove(agent)
            free.append(agent.simulator)
            agent.trunks.clear()
            yield agent.attempt()


# -- models ---------------------------------------------------------------------------------------------------


class Context(NamedTuple):
    """What is read before an action that is due: the number of its window, and the window's tokens before it."""

    window: int
    ids: list[int]


def context(renderer: Renderer, episode: Episode) -> Context:
    """The context of an action that is due behind the episode's last step."""
    windows = renderer.windows(episode.model_copy(update={"steps": (*episode.steps, DUE)}))
    return Context(len(windows) - 1, windows[-1].ids[: windows[-1].points[-1].start])


class Trunk:
    """What one model has read for one agent, and what it expects next: first, log-probabilities [1, V].

    fresh: tokens of the context that were read anew.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.session = Session(model)
        self.ids: list[int] = []
        self.first = torch.empty(0)
        self.fresh = 0

    def read(self, ids: list[int]) -> float:
        """Go back to what `ids` has in common with the last context and read on; returns seconds a token read."""
        shared = min(common(self.ids, ids), len(ids) - 1)  # one is always read, for what comes after it
        started = clock(self.session.device)
        self.session.cut(shared)
        self.first = self.session.extend(ids[shared:], [len(ids) - 1])
        self.ids, self.fresh = ids, len(ids) - shared
        return (clock(self.session.device) - started) / self.fresh


def common(a: list[int], b: list[int]) -> int:
    """Length of the common prefix."""
    return next((n for n, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))


@dataclass(frozen=True)
class Models:
    """The models that agents ask, in the way that answers are recorded (answering/roles.py).

    told: by agent and role, what a server has read last, and what it said of it.
    """

    voices: Mapping[Role, Voice]
    how: Asking
    seed: int
    told: dict[tuple[Due, Role], ReadThere] = made(default_factory=dict)

    def __call__(self, field: str, agents: Sequence[Due]) -> list[Any]:
        """The field's value for each agent, from one batched question."""
        role = ASKED[field]
        voice, reading = self.voices[role], self.read(role, agents)
        if field in JUDGEMENTS:
            proposed = [list(agent.row.cheap) for agent in agents]
            return list(map(tuple, judgements(voice, reading, proposed, self.how, self.how.score(role))))
        count = 1 + max(agents[0].row.picks) if role == "cheap" else 1
        seeds = [decision_seed(self.seed, a.row.episode, a.row.decision) for a in agents]
        tools = [offered(agent.episode, len(agent.episode.steps)) for agent in agents]
        found = proposals(voice, reading, self.how, count, seeds, tools)
        return list(map(tuple, found)) if role == "cheap" else [candidate for (candidate,) in found]

    def read(self, role: Role, agents: Sequence[Due]) -> Reading | Contexts:
        """Each agent's context, as far as the role has not read it yet."""
        voice = self.voices[role]
        model = voice.model
        if isinstance(model, Served):
            return self._read_there(model, voice.renderer, role, agents)
        for agent in agents:
            if role not in agent.row.context:
                window, ids = context(voice.renderer, agent.episode)
                agent.row.seconds_per_token[role] = agent.trunk(role, model, ids).read(ids)
                agent.row.window[role], agent.row.context[role] = window, len(ids)
        trunks = [agent.trunks[role] for agent in agents]
        return Reading(
            sessions=[trunk.session for trunk in trunks],
            prefixes=[Prefix(number, len(trunk.ids)) for number, trunk in enumerate(trunks)],
            first=torch.cat([trunk.first for trunk in trunks]),
            seconds_per_token=[agent.row.seconds_per_token[role] for agent in agents],
        )

    def _read_there(self, model: Served, renderer: Renderer, role: Role, agents: Sequence[Due]) -> Contexts:
        """The same by a server, which is asked about what it has not read yet."""
        due = [agent for agent in agents if not self._has_read(role, agent)]
        found = [context(renderer, agent.episode) for agent in due]
        known = [
            common(self.told[agent, role].ids, new.ids) if (agent, role) in self.told else 0
            for agent, new in zip(due, found, strict=True)
        ]
        read = served.read(model, renderer, [new.ids for new in found], known)
        for agent, new, told in zip(due, found, read.each, strict=True):
            agent.row.window[role], agent.row.context[role] = new.window, len(new.ids)
            agent.row.seconds_per_token.setdefault(role, told.seconds_per_token)
            self.told[agent, role] = told
        return Contexts(model, [self.told[agent, role] for agent in agents])

    def _has_read(self, role: Role, agent: Due) -> bool:
        told = self.told.get((agent, role))
        return told is not None and len(told.ids) == agent.row.context.get(role)
