"""Run a server until it is told to end: `specacts serve`.

    serve(Options(bundle=Path("models/policy"), upstream="https://api.openai.com/v1"))

SIGHUP reads the bundle again: it is checked and loaded beside the one that acts, then takes its place; one that is not
whole is refused, and the old one goes on. SIGTERM and Ctrl-C answer what has come, and end. What outlives a restart
stands in the state folder: what the watch knows, and the log.
"""

import asyncio
import logging
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI
from filelock import FileLock, Timeout

from specacts.core.errors import UserError
from specacts.core.words import Role
from specacts.serving import alone, gateway
from specacts.serving.bundle import Bundle, Offer, load_bundle
from specacts.serving.engine import MEMORY, Engine, roles_of
from specacts.serving.gateway import Acting, BrokenOff, Gateway, acting
from specacts.serving.journal import Journal
from specacts.serving.remote import Completions, open_remote
from specacts.serving.upstream import Upstream
from specacts.serving.watch import Terms, load, trust_again
from specacts.serving.web import LOOPBACK, Mode, Settings, fingerprint

LOG = logging.getLogger("specacts.serve")
DRAINING = 60
"""Seconds that answers may take which have begun when the server is told to end."""
KEPT_OPEN = 75
"""Seconds that idle connections are kept: longer than clients wait before they use one again."""


@dataclass(frozen=True)
class Options:
    """What `specacts serve` was told (cli.py says what each is)."""

    bundle: Path
    upstream: str | None = None
    model: Role | None = None
    host: str = "127.0.0.1"
    port: int = 8484
    risk: float | None = None
    mode: Mode = "enforce"
    share: float = 1.0
    audit: float = 0.05
    never: tuple[str, ...] = ()
    timeout: float = 10.0
    upstream_timeout: float = 600.0
    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    insecure: bool = False
    state: Path = Path(".work/serve")
    log_dir: Path | None = None
    log_share: float = 1.0
    log_days: int = 30
    memory: int = MEMORY
    engine: str | None = None
    engine_names: dict[Role, str] = field(default_factory=dict)
    engine_key: str | None = field(default=None, repr=False)
    trust_again: bool = False
    verbose: bool = False

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.log_dir or self.state / "logs"

    @property
    def settings(self) -> Settings:
        hosts = LOOPBACK | {self.host} if self.host in LOOPBACK else frozenset[str]()
        return Settings(self.mode, self.share, self.audit, self.timeout, token=self.token, hosts=hosts)


def serve(options: Options) -> None:
    """Serve until told to end. Raises `UserError` for what the user can put right, before anything is served."""
    _refuse(options)
    _log(logging.DEBUG if options.verbose else logging.INFO)
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(options.host, options.port))
        bundle = load_bundle(options.bundle)
        if options.model is None:
            stack.enter_context(_held("--state", options.state))
            if options.log_share > 0:
                stack.enter_context(_held("--log-dir", options.logs))
        work = (_gateway if options.model is None else _alone)(options, bundle, listening)
        with asyncio.Runner(loop_factory=uvicorn.Config("", log_config=None).get_loop_factory()) as runner:
            runner.run(work)


def _refuse(options: Options) -> None:
    if (options.upstream is None) == (options.model is None):
        raise UserError("--upstream URL: give your model's API, or --model to serve one model alone; one of the two")
    if options.upstream is not None and not options.upstream.startswith(("http://", "https://")):
        raise UserError(f"--upstream {options.upstream!r}: must begin with http:// or https://")
    if options.host not in LOOPBACK and options.token is None and not options.insecure:
        raise UserError(
            f"--host {options.host}: whoever reaches it could use your key and read the page. Ask for a token "
            "(--token-env NAME), or use --insecure if something else keeps strangers out"
        )


def _held(option: str, folder: Path) -> Any:
    """A folder, for one gateway at a time."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return FileLock(folder / "lock").acquire(blocking=False)
    except Timeout as error:
        raise UserError(f"{option} {folder}: is used by another gateway; give this one its own folder") from error


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise UserError(f"--host {host} --port {port}: cannot listen there ({error})") from error


# -- the gateway ----------------------------------------------------------------------------------------------


async def _gateway(options: Options, bundle: Bundle, listening: socket.socket) -> None:
    path = options.state / "watch.json"
    if options.trust_again:
        trust_again(path, time.time())
    now = await _opened(options, bundle)
    assert options.upstream is not None
    upstream = Upstream(options.upstream, options.key, options.upstream_timeout, options.token)
    journal = None
    if options.log_share > 0:
        journal = Journal(options.logs, options.log_share, options.log_days)
    server = Gateway(options.settings, upstream, now, journal, options.state)
    _say(options, now, _url(listening))
    await _run(gateway.app(server), listening, _reloading(options, server))


async def _opened(options: Options, bundle: Bundle) -> Acting:
    """A bundle with its models loaded, and the watch over its promise."""
    offer = bundle.offer(options.risk)
    engine: Any
    if options.engine is not None:
        names: dict[Role, str] = {role: options.engine_names.get(role, role) for role in roles_of(offer)}
        engine = await open_remote(bundle, offer, Completions(options.engine, names, options.engine_key))
    else:
        engine = await asyncio.to_thread(Engine, bundle, offer, options.memory)
    watch = load(options.state / "watch.json", terms(bundle, offer), time.time())
    return acting(bundle, offer, engine, watch, options.never)


def terms(bundle: Bundle, offer: Offer) -> Terms:
    """What the watch holds live traffic to."""
    return Terms(
        promise=f"{fingerprint(bundle)} {offer.policy} {offer.threshold}",
        limit=offer.watched.limit if offer.watched else None,
        confidence=bundle.proof.confidence,
        most_counted=bundle.proof.most_counted,
    )


class _Reloading(NamedTuple):
    """What SIGHUP does."""

    options: Options
    server: Gateway
    lock: asyncio.Lock

    async def again(self) -> None:
        """Let the bundle that now lies in the folder act, if it is whole."""
        async with self.lock:
            try:
                bundle = await asyncio.to_thread(load_bundle, self.options.bundle)
                await self.server.save()
                other = await _opened(self.options, bundle)
            except Exception as error:  # whatever is wrong with it: the old one goes on
                why = str(error) if isinstance(error, UserError) else type(error).__name__
                LOG.error("the new bundle is refused, the old one stays in use: %s", why)
                self.server.counters.reloaded("refused")
                return
            await self.server.reload(other)
            self.server.counters.reloaded("taken")
            LOG.info("the new bundle is in use: %s, policy %s", other.made_by, other.offer.policy)


def _reloading(options: Options, server: Gateway) -> _Reloading:
    return _Reloading(options, server, asyncio.Lock())


def _say(options: Options, now: Acting, url: str) -> None:
    offer = now.offer
    risk = "unpromised" if offer.risk is None else f"risk {offer.risk:g} at {now.bundle.proof.confidence:.0%}"
    share = f", {options.share:.0%} of conversations" if options.share < 1 else ""
    print(f"{url}/v1  policy {offer.policy} ({risk}), mode {options.mode}{share}; the page is {url}/", flush=True)
    if now.watch.stopped is not None:
        LOG.error("stopped, because the promise was broken; start with --trust-again to go on (docs/serve.md)")


# -- one model alone ------------------------------------------------------------------------------------------


async def _alone(options: Options, bundle: Bundle, listening: socket.socket) -> None:
    role = options.model
    assert role is not None
    engine = await asyncio.to_thread(alone.engine_of, bundle, role, options.memory)
    url = _url(listening)
    print(f"{url}/v1  the bundle's {role} model alone", flush=True)
    try:
        await _run(alone.app(alone.Alone(options.settings, bundle, role, engine)), listening, None)
    finally:
        await asyncio.to_thread(engine.close)


# -- running --------------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """A server that ends well when it is told to, where uvicorn's dies of the signal in the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run(app: FastAPI, listening: socket.socket, reloading: _Reloading | None) -> None:
    """Serve until a signal says otherwise."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEPT_OPEN,
        timeout_graceful_shutdown=DRAINING,
    )
    server = _Server(config)
    running: set[asyncio.Task[None]] = set()

    def hung_up() -> None:
        if reloading is not None:
            task = asyncio.ensure_future(reloading.again())
            running.add(task)
            task.add_done_callback(running.discard)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    for ends in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ends, server.handle_exit, ends, None)
    await server.serve(sockets=[listening])


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Plain(logging.Formatter):
    """Lines without control characters; of an error its kind and place, for what it says may stand in a request."""

    def format(self, record: logging.LogRecord) -> str:
        return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in super().format(record))

    def formatException(self, given: Any) -> str:
        kind, _, trace = given
        places = traceback.extract_tb(trace)[-4:]
        return f"{kind.__name__} at " + " < ".join(f"{Path(p.filename).name}:{p.lineno}" for p in reversed(places))


def _log(level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(lambda record: not (record.exc_info and record.exc_info[0] is BrokenOff))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("specacts").setLevel(level)
    logging.getLogger("transformers").setLevel(logging.ERROR)
