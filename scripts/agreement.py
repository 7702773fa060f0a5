"""Whether an agent behind the gateway does what the same policy does in stage `live`, decision by decision.

    python -m scripts.agreement                     # in a workspace in which `dvc repro` has finished
    python -m scripts.agreement --episodes 3 --risk 0.1

Stage `live` lets a policy act on BFCL's simulators in this process. Here the bundle's policy does that too, and then an
agent that knows nothing but the `openai` client and a `base_url` does the same tasks behind `specacts serve`, with the
strong model served as upstream. Both have to have the same actor, action type, tool and arguments at every decision;
the gateway's free checks (serving/checks.py), which stage `live` does not make, are made on both sides. A task is
compared until either side gives up, or the strong model's reply is no action: what an agent does about that is its own
business. Exit code 1 where anything differs.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from openai import OpenAI
from tqdm import tqdm

from scripts.circle import WORK, as_function, served
from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.config import load_config
from specacts.core.episodes import Act, Action, Episode, User
from specacts.core.errors import one_line_errors
from specacts.core.observations import is_error
from specacts.core.words import Role
from specacts.live.agents import FAILURES, Agent, Models, Row, run, unasked
from specacts.live.tasks import Assignment, assignments
from specacts.policies.cost import Tariff
from specacts.policies.decide import GREEDY, Outcome, act, rejecting
from specacts.policies.table import POLICIES
from specacts.serving.bundle import Bundle, Offer, load_bundle
from specacts.serving.checks import Checks
from specacts.serving.engine import asking, load_voice, roles_of
from specacts.serving.gateway import checks
from specacts.serving.requests import Asked, Choice
from stages.live import chosen_episodes, raw


class Done(NamedTuple):
    """An action, and who took it. type: None where it is told by nobody."""

    actor: str
    type: str | None
    tool: str | None
    arguments: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, help="how many tasks (default: as many as stage live has)")
    parser.add_argument("--risk", type=float, help="the promise by which the policy acts (default: the bundle's)")
    given = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    config, bundle = load_config(Path(".")), load_bundle(Path("models"))
    offer, timeout = bundle.offer(given.risk), config.scale.data.simulator_timeout
    tasks = assignments(chosen_episodes(config)[: given.episodes], raw(config), timeout)
    with ExitStack() as opened:
        simulator = opened.enter_context(Simulator(raw(config) / SOURCE_CODE, timeout))
        alive = list(tqdm(here(bundle, offer, tasks, simulator, config.scale.live.steps), "here", len(tasks)))
        _, strong = opened.enter_context(served("upstream", "--model", "strong"))
        risk = () if given.risk is None else ("--risk", f"{given.risk:g}")
        options = (
            "--upstream",
            f"{strong}/v1",
            "--audit",
            "0",
            "--log-share",
            "0%",
            "--state",
            str(WORK / "agreement"),
        )
        _, url = opened.enter_context(served("gateway", *options, "--timeout", "60", *risk))
        client = OpenAI(base_url=f"{url}/v1", api_key="nobody's", max_retries=0)
        each = tqdm(tasks, "behind the gateway")
        behind = [list(worked(client, task, simulator, config.scale.live.steps)) for task in each]
    differing = report(tasks, alive, behind)
    sys.exit(1 if differing else 0)


def here(
    bundle: Bundle, offer: Offer, tasks: list[Assignment], simulator: Simulator, limit: int
) -> Iterator[list[Done]]:
    """What the policy does with each task in this process, as stage `live` has it."""
    roles: tuple[Role, ...] = (*roles_of(offer), "strong")
    voices = {role: load_voice(bundle, role) for role in roles}
    tariff = Tariff({role: part.size for role, part in bundle.models.items()}, bundle.prices, bundle.upstream)
    how, made = asking(bundle), unasked(bundle.router(), bundle.combination())
    picks = how.picks if POLICIES[offer.policy].picks else GREEDY
    for task in tasks:
        agent = Agent(offer.policy, task, tariff, limit, picks, made)
        policy = partial(checked, offer, checks(bundle), agent)
        (attempt,) = run(policy, [agent], [simulator], Models(voices, how, bundle.seed))
        acts = [step.action for step in attempt.steps if isinstance(step, Act)]
        # Malformed replies have an actor and no action: behind the first one both sides go their own ways.
        yield [done(actor, action) for actor, action in zip(attempt.actors, acts, strict=False)][: whole(attempt.steps)]


def checked(offer: Offer, made: Checks, agent: Agent, row: Row) -> Outcome:
    """What the policy does, where nothing speaks against it that costs nothing to look at."""
    outcome = act(offer.policy, row, offer.threshold)
    if outcome.actor != "cheap":
        return outcome
    proposal = next(one for one in row.cheap if one.action is outcome.action)
    why = made.why_not(proposal, Asked(on_offer(agent.episode), {}, Choice(), None))
    return outcome if why is None else rejecting(offer.policy, row)


def on_offer(episode: Episode) -> Episode:
    """The episode with the tools alone that are there by now."""
    came = {name for step in episode.steps if isinstance(step, User) for name in step.new_tools}
    hidden = set(episode.withheld) - came
    return episode.model_copy(update={"tools": tuple(tool for tool in episode.tools if tool.name not in hidden)})


def whole(steps: Any) -> int:
    """How many actions stand before the first reply that was none."""
    count = 0
    for step, before in zip(steps, (None, *steps), strict=False):
        if isinstance(step, Act):
            count += 1
        elif step.role == "observation" and not isinstance(before, Act):
            break
    return count


def done(actor: str, action: Action) -> Done:
    # Of what upstream did nobody tells the type.
    by, kind = ("cheap", action.type) if actor == "cheap" else ("upstream", None)
    return Done(by, kind, action.tool, as_text(action.arguments))


def as_text(arguments: Any) -> str:
    return json.dumps(arguments, sort_keys=True) if arguments else ""


def worked(client: OpenAI, task: Assignment, simulator: Simulator, limit: int) -> Iterator[Done]:
    """What an agent behind the gateway does with a task: it goes on and gives up as agents in stage `live` do."""
    simulator.start(task.classes, task.scenario)
    messages: list[Any] = [{"role": "system", "content": task.episode.system}] if task.episode.system else []
    hidden = set(task.episode.withheld)
    for turn in task.turns:
        hidden -= set(turn.user.new_tools)
        tools = [as_function(tool) for tool in task.episode.tools if tool.name not in hidden]
        messages.append({"role": "user", "content": turn.user.content})
        failing = 0
        for _ in range(limit):
            answer = client.chat.completions.with_raw_response.create(
                model="agent",
                messages=messages,
                tools=tools,
                extra_headers={"x-specacts-conversation": task.episode.id},
            )
            message = answer.parse().choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            actor, kind = (answer.headers.get(f"x-specacts-{name}") for name in ("actor", "type"))
            if not message.tool_calls:
                yield Done(actor or "?", kind, None, "")
                break
            (call,) = message.tool_calls
            assert call.type == "function"
            name, arguments = call.function.name, json.loads(call.function.arguments)
            yield Done(actor or "?", kind, name, as_text(arguments))
            said = simulator.call(name, arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
            failing = failing + 1 if is_error(said) else 0
            if failing == FAILURES:
                return
        else:
            return


def report(tasks: list[Assignment], alive: list[list[Done]], behind: list[list[Done]]) -> int:
    """Print what agrees and what does not; returns how many decisions differ."""
    compared = differing = cheap = 0
    for task, mine, theirs in zip(tasks, alive, behind, strict=True):
        for number, (one, other) in enumerate(zip_longest(mine, theirs[: len(mine)])):
            compared += 1
            cheap += one is not None and one.actor == "cheap"
            if one != other:
                differing += 1
                print(f"{task.episode.id}, decision {number}: in this process {one}, behind the gateway {other}")
                break  # from here on they are in different places
    print(f"{compared} decisions of {len(tasks)} tasks compared, {cheap} by the cheap model: {differing} differ")
    return differing


if __name__ == "__main__":
    with one_line_errors():
        main()
