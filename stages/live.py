"""Let policies act live on the simulators of test tasks, each in the contexts that its own actions make.

    python -m stages.live

Reads `data/split/test.jsonl`, the traces, the models, `data/thresholds.json`, `data/router.json` and
`data/combination.json`; runs A, B, D and the best other policy. Writes `data/live.jsonl`, one line a policy and episode
with all that was said and done, and `metrics/live.json`, both only when everything has run. Interrupted, it goes on
from the last question that a model answered: what was done on the simulators up to there is done again.
"""

from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from specacts.config import Config, load_config
from specacts.core.episodes import Episode, load_episodes
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import write_jsonl
from specacts.core.journal import Journal, journal
from specacts.core.process import stage
from specacts.policies.results import Thresholds
from specacts.policies.table import POLICIES, RUN_LIVE
from specacts.recipe import is_recorded, local_roles
from specacts.traces.split import spread

if TYPE_CHECKING:
    from specacts.live.agents import Attempt
    from specacts.live.tasks import Assignment

MODELS, DATA, METRICS = Path("models"), Path("data"), Path("metrics/live.json")


def main() -> None:
    config = load_config(Path("."))
    # Imported here: torch takes seconds, and a wrong configuration should not have to wait for it.
    from specacts.live.metrics import line, summary
    from specacts.live.tasks import assignments

    tasks = assignments(chosen_episodes(config), raw(config), config.scale.data.simulator_timeout)
    if is_recorded(config.recipe):
        tasks = []
        print("live: skipped, because the strong model is a recorded agent and cannot act in new situations")
    elif not tasks:  # your own traces come without simulators
        print("live: skipped, because the test split has no multi-turn task of BFCL")
    attempts: list[Attempt] = []
    kept = None
    if tasks:
        from specacts.models.measure import machine

        with journal("live", machine(config.scale.device)) as kept:
            attempts = attempted(config, tasks, kept)
    # Experiments may differ in which policy the best other is; their metrics have the same keys all the same.
    named = [a if a.policy in RUN_LIVE else a._replace(policy="other") for a in attempts]
    found = summary(named, config.scale.bootstrap, config.seed)  # before anything is written
    write_jsonl(DATA / "live.jsonl", map(line, attempts))
    found.save(METRICS)
    if kept:
        kept.forget()


def attempted(config: Config, tasks: "list[Assignment]", kept: Journal) -> "list[Attempt]":
    """What every policy that runs live did with every task; kept: what models said in an interrupted run."""
    import torch
    from tqdm import tqdm

    from specacts.answering.roles import asking, load_voice
    from specacts.bfcl.simulator import SOURCE_CODE, Simulator
    from specacts.core.forks import shared_out
    from specacts.live.agents import Agent, Models, run, unasked
    from specacts.live.remembered import Remembered
    from specacts.live.room import side_by_side
    from specacts.policies.combine import load_combination
    from specacts.policies.cost import Tariff
    from specacts.policies.decide import GREEDY, act
    from specacts.policies.router import load_router

    scale, thresholds = config.scale, Thresholds.load(DATA / "thresholds.json")
    made = unasked(load_router(DATA / "router.json"), load_combination(DATA / "combination.json"))
    how = asking(config.recipe, config.acceptance, scale.answer)
    voices = {role: load_voice(MODELS, role, scale, config.recipe) for role in local_roles(config.recipe)}
    sizes = {role: voice.size for role, voice in voices.items()}
    tariff = Tariff(sizes, config.prices, config.cost.upstream)
    there = (name for name in RUN_LIVE if POLICIES[name].always or name in thresholds.policies)
    names = tuple(dict.fromkeys((*there, thresholds.best_other)))
    room = side_by_side(voices.values(), len(tasks), len(names))
    progress = tqdm(desc="live", total=len(names) * len(tasks), unit="episode")

    def at_work(name: str) -> "list[Attempt]":
        """What the policy did with every task."""
        found = []
        with ExitStack() as opened:
            free = (Simulator(raw(config) / SOURCE_CODE, scale.data.simulator_timeout) for _ in range(room.agents))
            simulators = [opened.enter_context(simulator) for simulator in free]
            picks = how.picks if POLICIES[name].picks else GREEDY
            agents = [Agent(name, task, tariff, scale.live.steps, picks, made) for task in tasks]
            policy = partial(act, name, threshold=thresholds.policies.get(name))
            ask = Remembered(Models(voices, how, config.seed), kept, name)
            for attempt in run(policy, agents, simulators, ask):
                found.append(attempt)
                if room.policies == 1:  # in a copy nobody would see it
                    progress.update()
        return found

    attempts: dict[str, list[Attempt]] = {}
    order = names[::-1]  # the best of the others asks most: what begins first leaves the least to wait for at the end
    with progress, closing(shared_out(at_work, order, room.policies, partial(torch.set_num_threads, 1))) as done:
        for number, found in done:
            attempts[order[number]] = found
            progress.update(len(tasks) * len(attempts) - progress.n)
    return [attempt for name in names for attempt in attempts[name]]


def raw(config: Config) -> Path:
    """BFCL's package folder."""
    return DATA / "raw/bfcl" / config.scale.traces.path


def chosen_episodes(config: Config) -> list[Episode]:
    """Multi-turn test episodes, of as many groups as there are; none where the traces are not BFCL's.

    Raises `UserError` where BFCL gave no such episode.
    """
    from specacts.bfcl.execution import MULTI_TURN

    path = DATA / "split/test.jsonl"
    episodes = [episode for episode in load_episodes(path) if episode.source.startswith(MULTI_TURN)]
    if not episodes and config.sources.bfcl:
        raise UserError(f"{path}: no multi-turn episode to act in; raise data.tasks")
    return spread(episodes, config.scale.live.episodes, config.seed)


if __name__ == "__main__":
    with one_line_errors(), stage("live"):
        main()
