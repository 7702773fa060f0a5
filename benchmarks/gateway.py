"""What `specacts serve` adds to an answer of upstream's, and how soon the cheap model acts.

    python -m benchmarks.gateway --requests 300 --streams 200 --conversations 4

Everything runs on this machine, each in a process of its own: an upstream that answers at once, the gateway with the
workspace's bundle, and a client, `openai` or `httpx`. Requests are decisions of the test split with their tools.

- passed on: the same request to upstream directly and through a gateway that accepts nothing (`--share 0%`), by turns;
  the median of each, and of what the gateway adds;
- first byte: the same of a stream whose events come 20 ms apart;
- at once: many such streams at the same time, and how many broke;
- taken: the decisions of the longest conversations one after another through a gateway that accepts; how long what the
  cheap model did took, at conversations of ten steps or more, and what it read anew at each step but the first.

Figures are this machine's; what else it does at the time is in them.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import openai
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from specacts.core.episodes import Episode, decisions, load_episodes
from specacts.core.errors import one_line_errors
from specacts.traces.formats.openai_chat import as_chat

EVENTS, PAUSE = 10, 0.02
"""Events of a stream, and seconds between them."""
STEPS = 10
"""A conversation of so many steps is a long one."""
Body = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300, help="requests that are passed on (default: 300)")
    parser.add_argument("--streams", type=int, default=200, help="streams at the same time (default: 200)")
    parser.add_argument("--conversations", type=int, default=4, help="conversations that are decided (default: 4)")
    parser.add_argument("--bundle", default="models/policy")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.upstream is not None:
        uvicorn.run(upstream(), port=arguments.upstream, log_level="critical", http="httptools")
        return
    episodes = sorted(load_episodes(Path("data/split/test.jsonl")), key=lambda episode: -len(episode.steps))
    with ExitStack() as stack:
        behind = stack.enter_context(behind_it())
        idle = stack.enter_context(gateway(arguments.bundle, behind, "--share", "0%"))
        bodies = requests(episodes[0])
        added = passed_on(behind, idle, bodies, arguments.requests)
        first_byte(behind, idle, bodies[-1], max(3, arguments.requests // 10))
        asyncio.run(at_once(idle, bodies[-1], arguments.streams))
        working = stack.enter_context(gateway(arguments.bundle, behind, "--timeout", "60"))
        taken(working, episodes[: arguments.conversations])
    print(f"ratio, through the gateway to directly: {added:.2f}")


# -- what is measured -----------------------------------------------------------------------------------------


def passed_on(behind: str, idle: str, bodies: list[Body], count: int) -> float:
    """Prints medians; returns the median of the one over the median of the other."""
    direct, through = client(behind), client(idle)
    times: list[tuple[float, float]] = []
    for number in range(count + 10):
        body = bodies[number % len(bodies)]
        pair = (timed(direct, body), timed(through, body))
        if number >= 10:  # connections are open, and everything is imported
            times.append(pair)
    one, other = (median(column) for column in zip(*times, strict=True))
    extra = median(b - a for a, b in times)
    print(f"passed on: {1000 * one:.1f} ms directly, {1000 * other:.1f} ms through the gateway")
    print(f"the gateway adds {1000 * extra:.1f} ms at the median")
    return other / one


def timed(asks: openai.OpenAI, body: Body) -> float:
    started = time.perf_counter()
    asks.chat.completions.create(**body)
    return time.perf_counter() - started


def first_byte(behind: str, idle: str, body: Body, count: int) -> None:
    times: list[tuple[float, float]] = []
    with httpx.Client() as asks:
        for _ in range(count):
            times.append((till_first(asks, behind, body), till_first(asks, idle, body)))
    one, other = (1000 * median(column) for column in zip(*times, strict=True))
    whole = 1000 * EVENTS * PAUSE
    print(f"first byte of a stream of {whole:.0f} ms: after {one:.1f} ms directly, {other:.1f} ms through the gateway")


def till_first(asks: httpx.Client, url: str, body: Body) -> float:
    started, first = time.perf_counter(), 0.0
    with asks.stream("POST", f"{url}/chat/completions", json={**body, "stream": True}) as answer:
        for _ in answer.iter_raw():
            first = first or time.perf_counter() - started
    return first


async def at_once(idle: str, body: Body, count: int) -> None:
    limits = httpx.Limits(max_connections=None)
    wrong = 0
    started = time.perf_counter()
    async with httpx.AsyncClient(limits=limits, timeout=60) as asks:

        async def one() -> bytes:
            async with asks.stream("POST", f"{idle}/chat/completions", json={**body, "stream": True}) as answer:
                return b"".join([piece async for piece in answer.aiter_raw()])

        for found in await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True):
            wrong += isinstance(found, BaseException) or found.count(b"data: ") != EVENTS + 1
    print(f"at once: {count} streams in {time.perf_counter() - started:.1f} s, {wrong} of them broken")


def taken(working: str, episodes: list[Episode]) -> None:
    asks = client(working)
    long, everything, fresh = [], [], []
    decided = 0
    for episode in episodes:
        for number, body in enumerate(requests(episode)):
            started = time.perf_counter()
            answer = asks.chat.completions.with_raw_response.create(**body)
            seconds = time.perf_counter() - started
            decided += 1
            if answer.headers["x-specacts-actor"] != "cheap":
                continue
            everything.append(seconds)
            if len(body["messages"]) >= STEPS:
                long.append(seconds)
            usage = answer.parse().usage
            assert usage is not None and usage.prompt_tokens_details is not None
            if number:
                known = usage.prompt_tokens_details.cached_tokens or 0
                fresh.append((usage.prompt_tokens - known, usage.prompt_tokens))
    print(f"taken: {len(everything)} of {decided} decisions in {len(episodes)} conversations")
    if long:
        print(f"taken at {STEPS} steps or more: {median(long):.2f} s at the median of {len(long)}")
    if fresh:
        new, all_of_it = (median(column) for column in zip(*fresh, strict=True))
        print(f"read anew behind the first step: {new:.0f} of {all_of_it:.0f} tokens at the median")


# -- who takes part -------------------------------------------------------------------------------------------


def upstream() -> Starlette:
    """An API that answers at once, or in a stream whose events come at their own pace."""

    async def chat(request: Request) -> Response:
        body = await request.json()
        head = {"id": "chatcmpl-0", "created": 0, "model": "upstream"}
        if body.get("stream"):
            return StreamingResponse(events(head), media_type="text/event-stream")
        choice = {"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    async def events(head: Body) -> Any:
        for number in range(EVENTS):
            last = number == EVENTS - 1
            choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop" if last else None}
            yield f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
            await asyncio.sleep(PAUSE)
        yield "data: [DONE]\n\n"

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


@contextmanager
def behind_it() -> Iterator[str]:
    """An upstream in a process of its own; its address."""
    with httpx.Client() as asks, tempfile.TemporaryDirectory():
        port = free_port()
        child = subprocess.Popen([sys.executable, "-m", "benchmarks.gateway", "--upstream", str(port)])
        try:
            url = f"http://127.0.0.1:{port}/v1"
            until_there(lambda: asks.post(f"{url}/chat/completions", json={}).status_code == 200)
            yield url
        finally:
            child.terminate()
            child.wait()


@contextmanager
def gateway(bundle: str, behind: str, *options: str) -> Iterator[str]:
    """A gateway in a process of its own; its address."""
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "specacts", "serve", bundle, "--upstream", behind, "--port", "0"]
        command += ["--audit", "0%", "--state", state, *options]
        quiet = {**os.environ, "OPENAI_API_KEY": ""}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet)
        assert child.stdout is not None
        try:
            url = child.stdout.readline().split()[0]
            until_there(lambda: httpx.get(f"{url.removesuffix('/v1')}/healthz").status_code == 200)
            yield url
        finally:
            child.terminate()
            child.wait()


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=120)


def requests(episode: Episode) -> list[Body]:
    """What an agent asks in a conversation, decision by decision."""
    found = []
    for decision in decisions(episode):
        chat = as_chat(episode.model_copy(update={"steps": episode.steps[: decision.step]}))
        for message in chat["messages"]:  # our labels, which no client sends
            message.pop("action_type", None)
            for call in message.get("tool_calls", ()):
                call.pop("action_type", None)
        found.append({"model": "m", "messages": chat["messages"], "tools": chat["tools"]})
    return found


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def until_there(there: Any) -> None:
    for _ in range(600):
        try:
            if there():
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError("a server did not start")


if __name__ == "__main__":
    with one_line_errors():
        main()
