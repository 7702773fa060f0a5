"""`specacts serve` as it is run: what it refuses, and with real clients what only sockets show."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import uvicorn
from agents import ACTIONS, request
from bundles import offer
from fastapi.testclient import TestClient
from typer.testing import CliRunner
from upstreams import Behind

from specacts.cli import app as commands
from specacts.core.errors import UserError
from specacts.serving.alone import Alone, engine_of
from specacts.serving.alone import app as alone_app
from specacts.serving.bundle import hashes, load_bundle
from specacts.serving.command import _part
from specacts.serving.run import Options, _held, _Plain, _refuse, serve, terms
from specacts.serving.web import Settings

UPSTREAM = "http://127.0.0.1:9/v1"


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "--upstream URL"),
        ({"upstream": UPSTREAM, "model": "strong"}, "--upstream URL"),
        ({"upstream": "api.openai.com"}, "must begin with"),
        ({"upstream": UPSTREAM, "host": "0.0.0.0"}, "--token-env NAME"),
    ],
)
def test_what_would_not_work_or_not_be_safe_is_refused(options, why):
    with pytest.raises(UserError, match=why):
        _refuse(Options(bundle=Path("x"), **options))


@pytest.mark.parametrize("options", [{"host": "0.0.0.0", "token": "t"}, {"host": "0.0.0.0", "insecure": True}, {}])
def test_what_is_safe_is_not(options):
    _refuse(Options(bundle=Path("x"), upstream=UPSTREAM, **options))


@pytest.mark.parametrize("option", ["--state", "--log-dir"])
def test_two_gateways_share_no_folder(option, tmp_path):
    with (
        _held(option, tmp_path),
        pytest.raises(UserError, match=f"{option} .*: is used by another gateway"),
        _held(option, tmp_path),
    ):
        pass
    with _held(option, tmp_path):
        pass


def test_a_bundle_that_is_not_there_and_a_port_that_is_taken_are_said(tmp_path):
    with pytest.raises(UserError, match="has no policy.json"):
        serve(Options(bundle=tmp_path, upstream=UPSTREAM, port=0, state=tmp_path / "s"))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="cannot listen there"):
        serve(Options(bundle=tmp_path, upstream=UPSTREAM, port=taken.getsockname()[1], state=tmp_path / "s"))


@pytest.mark.parametrize(("text", "value"), [("10%", 0.1), ("0.25", 0.25), ("100%", 1.0), ("0", 0.0)])
def test_a_share_can_be_written_in_two_ways(text, value):
    assert _part("--share", text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["110%", "x", "-1%", "nan", ""])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(UserError, match="is not a share"):
        _part("--share", text)


def test_a_token_that_is_not_set_is_refused(monkeypatch):
    monkeypatch.delenv("NO_TOKEN", raising=False)
    done = CliRunner().invoke(commands, ["serve", "--upstream", UPSTREAM, "--token-env", "NO_TOKEN"])
    assert "NO_TOKEN: is not set" in str(done.exception)


def test_keys_and_tokens_are_in_nothing_that_is_printed():
    options = Options(bundle=Path("x"), key="sk-1", token="sk-2", engine_key="sk-3")
    assert "sk-" not in repr(options) + repr(options.settings)


def test_lines_of_the_log_hold_no_control_characters_and_no_text_of_an_error():
    try:
        raise KeyError("what a user said")
    except KeyError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "odd \x1b[31m%s", ("\x00",), sys.exc_info())
    line = _Plain("%(message)s").format(record)
    assert "user said" not in line and "KeyError at test_run.py" in line
    assert not any(ord(c) < 32 and c != "\n" for c in line)


def test_the_watch_is_held_to_what_the_bundle_promises(shop):
    one, other = terms(shop, offer("F", 0.7)), terms(shop, offer("F", 0.8))
    assert one.promise != other.promise and one.limit is None
    assert (one.confidence, one.most_counted) == (shop.proof.confidence, shop.proof.most_counted)


# -- who may ask --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strong(shop):
    engine = engine_of(shop, "cheap")
    yield lambda **how: TestClient(
        alone_app(Alone(Settings(**how), shop, "cheap", engine)), base_url="http://127.0.0.1:8484"
    )
    engine.close()


@pytest.mark.parametrize(
    ("how", "headers", "status"),
    [
        ({"token": "t"}, {}, 401),
        ({"token": "t"}, {"authorization": "Bearer x"}, 401),
        ({"token": "t"}, {"authorization": "Bearer t"}, 200),
        ({"token": "t"}, {"authorization": "Basic OnQ="}, 200),
        ({"token": "t"}, {"x-api-key": "t"}, 200),
        ({"token": "t"}, {"api-key": "t"}, 200),
        ({"token": "t"}, {"x-api-key": "x"}, 401),
        ({"token": "t"}, {"authorization": "Bearer x", "x-api-key": "t"}, 401),
        ({"token": "t"}, {"authorization": "Basic !"}, 401),
        ({"hosts": frozenset({"127.0.0.1"})}, {}, 200),
        ({"hosts": frozenset({"127.0.0.1"})}, {"host": "evil.example"}, 403),
        ({"hosts": frozenset({"127.0.0.1"})}, {"host": "[::1"}, 403),
        ({}, {"origin": "http://evil.example"}, 403),
        ({}, {"origin": "http://[::1"}, 403),
        ({}, {"origin": "http://127.0.0.1:8484"}, 200),
    ],
)
def test_who_may_ask(strong, how, headers, status):
    answer = strong(**how).get("/v1/models", headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["message"]


def test_a_request_that_is_too_large_is_refused(strong):
    answer = strong(largest=100).post("/v1/chat/completions", json=request(0))
    assert answer.status_code == 413 and "larger than 100 bytes" in answer.json()["error"]["message"]


def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_fault_of_ours(strong):
    came = [{"type": "http.request", "body": b'{"messages', "more_body": True}, {"type": "http.disconnect"}]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": []}
    sent: list[dict] = []

    async def receive() -> dict:
        return came.pop(0)

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(strong().app(scope, receive, send))
    assert sent[0]["status"] == 499


# -- one model alone ----------------------------------------------------------------------------------------------


def test_a_model_alone_takes_every_action_that_it_proposes(strong):
    asks = strong()
    for number, action in enumerate(ACTIONS[:3]):
        answer = asks.post("/v1/chat/completions", json=request(number))
        assert answer.headers["x-specacts-type"] == action.type
    assert asks.get("/v1/models").json()["data"][0]["id"] == "cheap"
    assert asks.get("/healthz").json() == {"status": "ok", "model": "cheap"}


def test_a_model_alone_does_nothing_that_tool_choice_forbids_and_says_no_more_than_max_tokens(strong):
    asks = strong()

    def answer(number, **more):
        return asks.post("/v1/chat/completions", json=request(number, **more))

    for number, choice, does in ((0, "none", ACTIONS[0].tool), (2, "required", ACTIONS[2].type)):
        refused = answer(number, tool_choice=choice)
        assert refused.status_code == 400 and f"chose {does}" in refused.json()["error"]["message"]
    assert answer(0, tool_choice="required").status_code == answer(2, tool_choice="none").status_code == 200
    for number in (0, 2):
        (cut,) = answer(number, max_tokens=1).json()["choices"]
        assert cut["finish_reason"] == "length" and not cut["message"]["content"] and "tool_calls" not in cut["message"]
        assert answer(number, max_tokens=500).json()["choices"][0]["finish_reason"] != "length"


@pytest.mark.parametrize(("body", "why"), [(b"x", "no JSON object"), (b'{"messages": 1}', "messages")])
def test_what_it_does_not_understand_it_refuses(strong, body, why):
    answer = strong().post("/v1/chat/completions", content=body)
    assert answer.status_code == 400 and why in answer.json()["error"]["message"]


# -- on sockets ---------------------------------------------------------------------------------------------------


@contextmanager
def running(app):
    """A server in a thread; its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, http="httptools"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


@pytest.fixture(scope="module")
def folder(shop):
    """The shop's bundle on disk, every hash right."""
    cheap = shop.models["cheap"].model_copy(update={"base_files": hashes(shop.base("cheap"))})
    files = {"action_types.yaml": hashes(shop.folder)["action_types.yaml"]}
    shop.model_copy(update={"models": {"cheap": cheap}, "files": files}).save(shop.folder / "policy.json", exact=True)
    assert load_bundle(shop.folder).made_by == shop.made_by
    return shop.folder


class Started:
    """`specacts serve` in a process of its own."""

    def __init__(self, folder: Path, behind: str, state: Path, *options: str) -> None:
        command = [sys.executable, "-m", "specacts", "serve", str(folder), "--upstream", behind, "--port", "0"]
        self.errors = (state.parent / f"{state.name}.log").open("a+")
        self.child = subprocess.Popen(
            [*command, "--state", str(state), *options],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "OPENAI_API_KEY": "sk-of-upstream"},
        )
        assert self.child.stdout is not None
        self.url = self.child.stdout.readline().split()[0]
        self.until(lambda: self.health()["status"] == "ok")

    def health(self) -> dict:
        return httpx.get(f"{self.url.removesuffix('/v1')}/healthz").json()

    def until(self, there, seconds: float = 30.0) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with suppress(httpx.HTTPError):
                if there():
                    return
            time.sleep(0.05)
        pytest.fail(f"it did not come to that: {self.log()[-2000:]}")

    def log(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def end(self, how: int = signal.SIGTERM) -> int:
        self.child.send_signal(how)
        return self.child.wait(60)


@pytest.fixture
def started(folder, tmp_path):
    made: list[Started] = []

    def start(behind: str, *options: str) -> Started:
        made.append(Started(folder, behind, tmp_path / "state", *options))
        return made[-1]

    yield start
    for one in made:
        one.child.kill()
        one.child.wait()
        one.errors.close()


@pytest.mark.slow
def test_a_real_client_sees_an_ordinary_api(started):
    import openai  # here: others should not wait for it

    behind = Behind()
    with running(behind.app) as url:
        gateway = started(url)
        client = openai.OpenAI(base_url=gateway.url, api_key="none", max_retries=0)
        for number, action in enumerate(ACTIONS[:3]):
            whole = client.chat.completions.create(**request(number)).choices[0].message
            with client.chat.completions.stream(**request(number)) as stream:
                streamed = stream.get_final_completion().choices[0].message
            for message in (whole, streamed):
                if action.tool:
                    (call,) = message.tool_calls
                    assert (call.function.name, json.loads(call.function.arguments)) == (action.tool, action.arguments)
                else:
                    assert message.content == action.content
        assert client.chat.completions.create(**request(3)).choices[0].message.content == "That is done."
        assert [model.id for model in client.models.list()] == ["big"]
        behind.status = 429
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**request(3))
        assert "sk-of-upstream" not in gateway.log() and "cancel" not in gateway.log()
        assert gateway.end() == 0


@pytest.mark.slow
def test_a_stream_arrives_as_it_is_made_and_ends_with_its_reader(started):
    behind = Behind(pause=0.3)
    with running(behind.app) as url:
        gateway = started(url)
        begun = time.monotonic()
        with httpx.stream("POST", f"{gateway.url}/chat/completions", json=request(3, stream=True)) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            assert time.monotonic() - begun < 1.0
        gateway.until(lambda: behind.gone == 1)
        behind.pause, behind.breaks = 0.0, True
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("POST", f"{gateway.url}/chat/completions", json=request(3, stream=True)) as answer,
        ):
            answer.read()
        assert gateway.health()["status"] == "ok"


@pytest.mark.slow
def test_a_new_bundle_acts_without_a_request_dropped_and_a_broken_one_does_not(started, folder):
    behind = Behind(pause=0.05)
    with running(behind.app) as url:
        gateway = started(url)
        before, failed, done = gateway.health()["bundle"], [], threading.Event()

        def work() -> None:
            with httpx.Client(timeout=30) as client:
                while not done.is_set():
                    for number in (0, 3):
                        answer = client.post(f"{gateway.url}/chat/completions", json=request(number))
                        if answer.status_code != 200:
                            failed.append(answer.text)

        working = [threading.Thread(target=work) for _ in range(4)]
        for one in working:
            one.start()
        policy = folder / "policy.json"
        good = policy.read_text()
        try:
            policy.write_text(good.replace('"test"', '"other"'))
            gateway.child.send_signal(signal.SIGHUP)
            gateway.until(lambda: gateway.health()["bundle"] != before)
            after = gateway.health()["bundle"]
            policy.write_text(good.replace('"offers"', '"offer"'))
            gateway.child.send_signal(signal.SIGHUP)
            gateway.until(lambda: "the old one stays in use" in gateway.log())
            assert gateway.health()["bundle"] == after
        finally:
            policy.write_text(good)
            done.set()
            for one in working:
                one.join()
        assert not failed

        def last() -> int:
            return httpx.post(f"{gateway.url}/chat/completions", json=request(3, user="more")).status_code

        begun = threading.Thread(target=lambda: failed.append(last()))
        behind.pause = 1.0
        begun.start()
        gateway.until(lambda: any(b"more" in raw for _, raw in behind.came))
        assert gateway.end() == 0
        begun.join()
        assert failed == [200]


@pytest.mark.slow
def test_killed_in_the_middle_the_log_holds_whole_lines_and_the_next_start_serves(started, tmp_path):
    with running(Behind().app) as url:
        gateway = started(url, "--share", "50%")
        with pytest.raises(UserError, match="another gateway"):
            serve(Options(bundle=gateway_folder(gateway), upstream=url, port=0, state=tmp_path / "state"))

        def ask(number: int) -> None:
            body = request(0, messages=[{"role": "user", "content": f"cancel {number}"}])
            with suppress(httpx.HTTPError):
                httpx.post(f"{gateway.url}/chat/completions", json=body, timeout=30)

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(100)]
        for one in asking:
            one.start()
        logs = tmp_path / "state/logs"
        gateway.until(lambda: any(path.stat().st_size for path in logs.glob("*.jsonl")))
        gateway.end(signal.SIGKILL)
        for one in asking:
            one.join()
        again = started(url, "--share", "50%")
        ask_again = httpx.post(f"{again.url}/chat/completions", json=request(3), timeout=30)
        assert ask_again.status_code == 200 and again.end() == 0
        lines = [line for path in logs.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()]
        assert lines and all(json.loads(line)["specacts"] for line in lines)


def gateway_folder(gateway: Started) -> Path:
    return Path(gateway.child.args[4])
