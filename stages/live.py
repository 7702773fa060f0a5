"""Let policies act live on the simulators of test tasks, each in the contexts that its own actions make.

    python -m stages.live

Reads `data/split/test.jsonl`, the traces, the models, `data/thresholds.json`, `data/router.json` and
`data/combination.json`; runs A, B, D and the best other policy. Writes `data/live.jsonl`, one line a policy and episode
with all that was said and done, and `metrics/live.json`, both only when everything has run.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from specacts.config import Config, load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.files import read_json, write_json, write_jsonl
from specacts.core.process import stage
from specacts.core.words import ROLES
from specacts.recipe import asking_form, freezes, gives_rewards

MODELS, DATA = Path("models"), Path("data")
ALWAYS_RUN = ("A", "B", "D")
SIDE_BY_SIDE = 16
"""Most episodes at once: a simulator's process each, and of each model its cache."""


def main() -> None:
    config = load_config(Path("."))
    from tqdm import tqdm

    from specacts.bfcl.simulator import SOURCE_CODE, Simulator
    from specacts.live.agents import Agent, run
    from specacts.live.metrics import line, summary
    from specacts.live.tasks import assignments
    from specacts.models.load import model_size
    from specacts.policies.combine import combined, load_combination
    from specacts.policies.cost import Tariff
    from specacts.policies.decide import policies
    from specacts.policies.router import load_router, route

    scale = config.scale
    raw, timeout = DATA / "raw/bfcl" / scale.traces.path, scale.data.simulator_timeout
    thresholds, best_other = read_thresholds(DATA / "thresholds.json")
    router, combination = load_router(DATA / "router.json"), load_combination(DATA / "combination.json")
    made = {
        "route": lambda agent: route(router, agent.episode, len(agent.steps)),
        "combined": lambda agent: combined(combination, agent.row),
    }
    tasks = assignments(chosen_episodes(config), raw, timeout)
    if not tasks:  # one's own traces come without simulators
        print("live: no test episode of BFCL's multi-turn tasks: nothing to act in")
        write_jsonl(DATA / "live.jsonl", [])
        write_json(Path("metrics/live.json"), summary([], scale.bootstrap, config.seed))
        return
    ask = load_models(config)
    sizes = {role: model_size(model) for role, model in ask.models.items()}
    tariff = Tariff(sizes, config.prices, config.cost.upstream)
    names = tuple(dict.fromkeys((*ALWAYS_RUN, best_other)))
    attempts = []
    with ExitStack() as opened:
        count = min(SIDE_BY_SIDE, len(tasks))
        simulators = [opened.enter_context(Simulator(raw / SOURCE_CODE, timeout)) for _ in range(count)]
        progress = opened.enter_context(tqdm(desc="live", total=len(names) * len(tasks), unit="episode"))
        for name in names:
            agents = [Agent(name, task, tariff, scale.live.steps, picks(config, name), made) for task in tasks]
            for attempt in run(policies(thresholds)[name], agents, simulators, ask):
                attempts.append(attempt)
                progress.update()
    # Experiments may differ in which policy the best other is; their metrics have the same keys all the same.
    named = [a if a.policy in ALWAYS_RUN else a._replace(policy="other") for a in attempts]
    found = summary(named, scale.bootstrap, config.seed)  # before anything is written
    write_jsonl(DATA / "live.jsonl", map(line, attempts))
    write_json(Path("metrics/live.json"), found)


def chosen_episodes(config: Config) -> list[Any]:
    """Multi-turn test episodes, of as many groups as there are; none where the traces are not BFCL's.

    Raises `UserError` where BFCL gave no such episode.
    """
    from specacts.bfcl.execution import MULTI_TURN
    from specacts.core.episodes import load_episodes
    from specacts.traces.split import spread

    path = DATA / "split/test.jsonl"
    episodes = [episode for episode in load_episodes(path) if episode.source.startswith(MULTI_TURN)]
    if not episodes and config.sources.bfcl:
        raise UserError(f"{path}: no multi-turn episode to act in; raise data.tasks")
    return spread(episodes, config.scale.live.episodes, config.seed)


def load_models(config: Config) -> Any:
    """Every role's model, and the renderer of the form it is asked in."""
    from specacts.live.agents import Models
    from specacts.models.load import load_model
    from specacts.transcripts.render import load_renderer

    scale, models, renderers = config.scale, {}, {}
    for role in ROLES:
        base = MODELS / "base" / role
        adapter = None if freezes(config.recipe, role) else MODELS / role
        rewards = gives_rewards(config.recipe, role)
        renderers[role] = load_renderer(base, scale.render, asking_form(config.recipe, role))
        models[role] = load_model(base, adapter, scale.device, scale.dtype, rewards)
    return Models(models, renderers, config)


def picks(config: Config, policy: str) -> tuple[int, ...]:
    """The cheap model's candidates that a policy goes by: the greedy one, or E's, numbered as in recorded answers."""
    if policy != "E":
        return (0,)
    first = int(config.recipe.picks.among == "sampled")
    return tuple(range(first, first + config.scale.answer.proposals))


def read_thresholds(path: Path) -> tuple[dict[str, Any], str]:
    """Every judging policy's threshold, and the best of them beside D. Raises `UserError` where one is missing."""
    from specacts.policies.decide import JUDGING

    values = read_json(path)
    try:
        thresholds, best_other = {name: float(values["policies"][name]) for name in JUDGING}, values["best_other"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {error} is missing or wrong; run `dvc repro calibrate`") from error
    if best_other not in thresholds:
        raise UserError(f"{path}: best_other: {best_other!r} is not one of {', '.join(thresholds)}")
    return thresholds, best_other


if __name__ == "__main__":
    with one_line_errors(), stage("live"):
        main()
