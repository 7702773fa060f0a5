"""Models whose answers to agents are kept, so that an interrupted stage hears them again and goes on.

    ask = Remembered(Models(voices, how, seed), kept, "D")
    for attempt in run(policy, agents, simulators, ask): ...

Nothing else has to be kept: what agents do on the simulators follows from what the models say, and takes no time. What
a model had read before the interruption it reads again when it is asked something new, in the same pieces, so that its
numbers are the same to the last digit.
"""

from typing import Any

from specacts.answering.records import Candidate, Verdict
from specacts.answering.served import Served
from specacts.core.journal import Journal
from specacts.core.words import Role
from specacts.live.agents import ASKED, JUDGEMENTS, Agent, Models, context


class Remembered:
    """Asks `models`, or what is kept of what they said to the agents of one policy."""

    def __init__(self, models: Models, kept: Journal, policy: str) -> None:
        self.models, self.kept, self.policy, self.number = models, kept, policy, 0
        self.owed: dict[tuple[Agent, Role], list[list[int]]] = {}
        """By agent and role the contexts that were read before the interruption, and not yet again."""

    def __call__(self, field: str, agents: list[Agent]) -> list[Any]:
        """The field's value for each agent."""
        self.number += 1
        name = " ".join([self.policy, str(self.number), field, *(f"{a.row.episode}:{a.row.decision}" for a in agents)])
        found, role = self.kept.get(name), ASKED[field]
        if found is not None:
            for agent, pace in zip(agents, found["seconds_per_token"], strict=True):
                self._note(agent, role, pace)
            return [_read(field, value) for value in found["values"]]
        for agent in agents:
            model, owed = self.models.voices[role].model, self.owed.pop((agent, role), [])
            for ids in owed if not isinstance(model, Served) else ():
                agent.trunk(role, model, ids).read(ids)
        values = self.models(field, agents)
        paces = [agent.row.seconds_per_token[role] for agent in agents]
        self.kept.add(name, {"values": list(map(_written, values)), "seconds_per_token": paces})
        return values

    def _note(self, agent: Agent, role: Role, pace: float) -> None:
        """What asking the role would have noted in the agent's row."""
        if role not in agent.row.context:
            window, ids = context(self.models.voices[role].renderer, agent.episode)
            agent.row.window[role], agent.row.context[role] = window, len(ids)
            agent.row.seconds_per_token[role] = pace
            self.owed.setdefault((agent, role), []).append(ids)


def _written(value: Any) -> Any:
    """A candidate, or several, or verdicts, as JSON."""
    return [_written(one) for one in value] if isinstance(value, tuple) else value.model_dump(mode="json")


def _read(field: str, value: Any) -> Any:
    """The same from JSON."""
    kind = Verdict if field in JUDGEMENTS else Candidate
    return tuple(_read(field, one) for one in value) if isinstance(value, list) else kind.model_validate(value)
