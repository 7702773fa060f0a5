"""The whole circle: serve a policy, let an agent work behind it, learn from what passed, and serve what was learnt.

    python -m scripts.circle                        # in a copy of this repository in which `dvc repro` has finished
    python -m scripts.circle --conversations 40 --share 50%

It points params.yaml at the logs of its own gateway and runs the pipeline on them, so the copy is not as it was
afterwards. Upstream is the run's own strong model, served by itself; the agent works on BFCL's simulators through the
`openai` client, and knows of nothing but a `base_url`. The last step is a request that the new bundle has decided on.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
from openai import OpenAI

from specacts.bfcl.execution import MULTI_TURN
from specacts.bfcl.simulator import SOURCE_CODE, Simulator
from specacts.config import load_config
from specacts.core.episodes import Tool, load_episodes
from specacts.core.errors import UserError, one_line_errors
from specacts.live.tasks import Assignment, assignments
from stages.live import raw

WORK, LOGS = Path(".work/circle"), Path("circle-logs")
STARTING, RELOADING = 120.0, 120.0
"""Seconds that a server may take to answer, and to take up another bundle."""


# -- servers --------------------------------------------------------------------------------------------------


@contextmanager
def served(name: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`specacts serve` with these options, and the address that it says; ended afterwards. `WORK` has what it logs."""
    command = [sys.executable, "-m", "specacts", "serve", "--port", "0", *options]
    with (WORK / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield process, address(process.stdout, name)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def address(said: IO[str] | None, name: str) -> str:
    """The address in the first line that a server prints."""
    line = said.readline() if said else ""
    found = re.match(r"(http://\S+)/v1", line)
    if found is None:
        raise UserError(f"{name}: did not start; {WORK / name}.log says why")
    print(f"circle: {name}: {line.strip()}", flush=True)
    return found[1]


def acting(url: str) -> str:
    """The bundle that acts at an address, once the server answers there."""
    deadline = time.monotonic() + STARTING
    while True:
        try:
            return str(httpx.get(f"{url}/healthz", timeout=10).raise_for_status().json().get("bundle"))
        except httpx.HTTPError as error:
            if time.monotonic() > deadline:
                raise UserError(f"{url}: no answer in {STARTING:g} s") from error
            time.sleep(0.2)


def reloaded(process: subprocess.Popen[str], url: str) -> tuple[str, str]:
    """Have the gateway read its bundle again; which one acted, and which acts now."""
    before = acting(url)
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + RELOADING
    while (after := acting(url)) == before:
        if time.monotonic() > deadline:
            raise UserError(f"the gateway did not take the new bundle in {RELOADING:g} s; {WORK}/gateway.log says why")
        time.sleep(0.2)
    return before, after


# -- the agent ------------------------------------------------------------------------------------------------


def tasks(most: int) -> list[Assignment]:
    """Tasks for the agent: one a group of BFCL's, so that no two conversations begin alike."""
    config = load_config(Path("."))
    found = [
        episode
        for split in ("train", "verify", "calibrate", "test")
        for episode in load_episodes(Path(f"data/split/{split}.jsonl"))
        if episode.source.startswith(MULTI_TURN)
    ]
    by_group = {episode.group: episode for episode in reversed(found)}
    return assignments(list(by_group.values())[:most], raw(config), config.scale.data.simulator_timeout)


def work(client: OpenAI, task: Assignment, simulator: Simulator, steps: int) -> Counter[str]:
    """Let the agent do a task, with at most so many actions a turn; how often each actor acted."""
    simulator.start(task.classes, task.scenario)
    actors: Counter[str] = Counter()
    messages: list[Any] = [{"role": "system", "content": task.episode.system}] if task.episode.system else []
    hidden = set(task.episode.withheld)
    for turn in task.turns:
        hidden -= set(turn.user.new_tools)
        tools = [as_function(tool) for tool in task.episode.tools if tool.name not in hidden]
        messages.append({"role": "user", "content": turn.user.content})
        for _ in range(steps):
            raw_answer = client.chat.completions.with_raw_response.create(model="agent", messages=messages, tools=tools)
            actors[raw_answer.headers.get("x-specacts-actor", "?")] += 1
            message = raw_answer.parse().choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                break
            for call in message.tool_calls:
                if call.type != "function":
                    continue
                name, given = call.function.name, json.loads(call.function.arguments)
                offered = any(tool["function"]["name"] == name for tool in tools)
                said = simulator.call(name, given) if offered else f"Error: there is no tool {name}"
                messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
    return actors


def as_function(tool: Tool) -> Any:
    return {"type": "function", "function": tool.model_dump()}


def work_all(url: str, given: list[Assignment], steps: int) -> Counter[str]:
    """All tasks, one after another, at an address."""
    client = OpenAI(base_url=f"{url}/v1", api_key="nobody's", max_retries=0)
    config = load_config(Path("."))
    with Simulator(raw(config) / SOURCE_CODE, config.scale.data.simulator_timeout) as simulator:
        return sum((work(client, task, simulator, steps) for task in given), Counter[str]())


# -- the circle -----------------------------------------------------------------------------------------------


def command(*arguments: str) -> None:
    """Run a command as one would type it."""
    print(f"circle: $ {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", *arguments])
    if done.returncode:
        raise UserError(f"{' '.join(arguments)}: exit code {done.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=24, help="how many the agent has (default: 24)")
    parser.add_argument("--steps", type=int, default=3, help="the agent's actions a turn at most (default: 3)")
    parser.add_argument("--share", default="50%", help="of conversations, in which the cheap model may act")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    logs = WORK / "state/logs"
    given = tasks(arguments.conversations)
    with ExitStack() as opened:
        _, strong = opened.enter_context(served("upstream", "--model", "strong"))
        options = ("--upstream", f"{strong}/v1", "--share", arguments.share, "--audit", "50%")
        gateway, url = opened.enter_context(served("gateway", *options, "--state", str(WORK / "state")))
        actors = work_all(url, given, arguments.steps)
        print(f"circle: {len(given)} conversations, acted: {dict(actors)}", flush=True)
        time.sleep(1)  # the last rows are on their way to the disk
        shutil.copytree(logs, LOGS, dirs_exist_ok=True)  # the pipeline should not read what still grows
        command("specacts", "validate", str(LOGS))
        command("specacts", "use", str(LOGS))
        command("dvc", "repro")
        before, after = reloaded(gateway, url)
        print(f"circle: the gateway acted by {before}, now by {after}", flush=True)
        again = work_all(url, given[:1], arguments.steps)
        print(f"circle: one more conversation, acted: {dict(again)}", flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
