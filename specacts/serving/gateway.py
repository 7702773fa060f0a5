"""The gateway: an agent's requests are answered by the cheap model where the policy lets it, else by upstream.

    gateway = Gateway(settings, upstream, acting, journal, state)
    app(gateway)                                     # the FastAPI application
    await gateway.reload(other)                      # another bundle, from the next request on

A request is read (requests.py), placed in its conversation (conversations.py), decided upon by the bundle's policy
(engine.py), checked (checks.py), and answered: by the cheap model, or passed on as it came and answered byte for byte
as upstream answers. Whatever is not understood is passed on; whatever fails on our side lets upstream act; and where
upstream fails its error is passed on, for an action that was not accepted is never served instead.

Who acted, and why, stands in the headers of every answer:

    x-specacts-actor         cheap or upstream; gateway, where it is the gateway that refuses
    x-specacts-reason        why (docs/serve.md lists all)
    x-specacts-policy, -score, -threshold, -mode, -conversation
"""

import asyncio
import hashlib
import logging
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import httpx
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from specacts.answering.records import Candidate
from specacts.core.episodes import agrees
from specacts.core.words import as_action_type
from specacts.policies.table import POLICIES
from specacts.serving.answers import Heard, completion, heard, message_of, words_of
from specacts.serving.bundle import Bundle, Offer
from specacts.serving.checks import Checks
from specacts.serving.conversations import Conversations, Place
from specacts.serving.counters import Counters
from specacts.serving.engine import Decided, Engine, EngineBusy, EngineFailed
from specacts.serving.journal import Entry, Journal
from specacts.serving.page import Last, Shown, page
from specacts.serving.requests import Asked, NotOurs, Reading
from specacts.serving.upstream import OURS, NoAnswer, Upstream, header, returned
from specacts.serving.watch import Audit, Status, Watch, save
from specacts.serving.web import (
    CHAT,
    Settings,
    admit,
    as_error,
    as_json,
    as_response,
    body_in,
    body_of,
    fingerprint,
    given_name,
    messages_in,
    reading,
    refused,
    unless_gone,
    used_by,
)

LOG = logging.getLogger("specacts.serve")
"""Nothing of a request or an answer is logged above the level debug."""
Found = TypeVar("Found")
PASSED = ("/responses", "/messages", "/embeddings", "/completions", "/moderations")
"""Other parts of the API that are passed on as they are; there are no others."""
LOOKED_INTO = 16 << 20
"""Bytes of an answer that are kept, to know what upstream did."""
SHOWN = 20
"""Latest decisions on the page."""
SAVED = 5.0
"""Seconds after which what the watch knows is in its file."""
PATIENCE = 10.0
"""Seconds that audits are waited for as the gateway ends."""


class Acting(NamedTuple):
    """A bundle at work. made_by: what tells it from others, in answers."""

    bundle: Bundle
    offer: Offer
    engine: Engine
    watch: Watch
    reading: Reading
    checks: Checks
    made_by: str


def acting(bundle: Bundle, offer: Offer, engine: Engine, watch: Watch, never: tuple[str, ...] = ()) -> Acting:
    """never: tools, by shell-style patterns, that the cheap model may never call."""
    return Acting(bundle, offer, engine, watch, reading(bundle), checks(bundle, never), fingerprint(bundle))


def checks(bundle: Bundle, never: tuple[str, ...] = ()) -> Checks:
    return Checks(never, frozenset(bundle.never_cheap))


class Turn(NamedTuple):
    """A request on its way.

    now: the bundle that it is read for. query: of its address. value: its body, None where that is no JSON object.
    asked: None where only upstream may answer, and `why`. at: when it came; since: the same on a clock that only goes
    on. passed: when upstream was asked, on that clock; took: seconds until its answer was there.
    """

    now: Acting
    headers: list[tuple[str, str]]
    query: str
    raw: bytes
    value: dict[str, Any] | None
    place: Place
    asked: Asked | None
    why: str
    at: float
    since: float
    passed: float = 0.0
    took: float | None = None


class Verdict(NamedTuple):
    """Whether the cheap model acts, and why. decided: None where it was not asked, or did not answer."""

    accepted: bool
    reason: str
    decided: Decided | None = None

    @property
    def score(self) -> float | None:
        """What a policy that sticks goes by later; an action that was refused for another reason has none."""
        return self.decided.score if self.decided and self.reason in ("accepted", "rejected") else None


class Gateway:
    """What stands between agents and upstream. It belongs to one event loop.

    state: the folder in which the watch is kept; None: nowhere.
    """

    def __init__(
        self, settings: Settings, upstream: Upstream, now: Acting, journal: Journal | None, state: Path | None = None
    ) -> None:
        self.settings, self.upstream, self.now = settings, upstream, now
        self.journal, self.state = journal, state
        self.conversations = Conversations()
        self.counters = Counters(now.bundle.prices)
        self.last: deque[Last] = deque(maxlen=SHOWN)
        self.started = time.time()
        self.told = False  # the watch something that is not in its file yet
        self.saving = asyncio.Lock()  # an older state must not come after a newer one
        self.tasks: set[asyncio.Task[Any]] = set()
        self.using: Counter[int] = Counter()  # decisions that are being made, by engine

    # -- a request ------------------------------------------------------------------------------------------

    async def complete(self, request: Request) -> Response:
        """Answer a request for a chat completion."""
        raw = await body_of(request, self.settings.largest)
        turn = self._turn(request, raw)
        if turn.why != "share":
            self.counters.understood(turn.asked is not None)
        if self.settings.mode == "observe":
            beside = self._start(self._decide(turn, turn.asked, propose=True)) if turn.asked else None
            return await self._pass(request, turn, Verdict(False, turn.why or "observe"), beside)
        verdict = await unless_gone(request, self._judge(turn))
        if verdict is None:
            return self._gone(turn)
        return self._act(turn, verdict) if verdict.accepted else await self._pass(request, turn, verdict)

    def _turn(self, request: Request, raw: bytes) -> Turn:
        """The request, read as far as it can be."""
        at, since = time.time(), time.perf_counter()
        value = body_in(raw)
        name = given_name(request, value)
        try:
            place = self.conversations.place(messages_in(value), name)
        except RecursionError:  # nested more deeply than anything that is meant
            value, place = None, self.conversations.place([], name)
        asked, why = None, ""
        try:
            if value is None:
                why = "not_json"
            elif self.settings.mode == "enforce" and self._is_alone(place):
                why = "share"
            else:
                asked = self.now.reading.read(value, place)
                self.conversations.asked(place, tuple(tool.name for tool in asked.episode.tools))
        except NotOurs as error:
            why = error.reason
        except Exception as error:  # whatever it is, the agent must not suffer from it
            LOG.error("a request could not be read: %s", type(error).__name__)
            why = "broken"
        headers, query = request.headers.items(), request.url.query
        return Turn(self.now, headers, query, raw, value, place, asked, why, at, since)

    def _is_alone(self, place: Place) -> bool:
        """Whether nobody but upstream acts in a conversation."""
        return self.settings.mode == "observe" or place.draw() >= self.settings.share

    # -- the decision ---------------------------------------------------------------------------------------

    async def _judge(self, turn: Turn) -> Verdict:
        """Whether the cheap model acts."""
        if turn.asked is None:
            return Verdict(False, turn.why)
        if turn.now.watch.stopped is not None:
            return Verdict(False, "stopped")
        return await self._decide(turn, turn.asked, propose=False)

    async def _decide(self, turn: Turn, asked: Asked, propose: bool) -> Verdict:
        """What the policy says. Whatever goes wrong on our side is a reason for upstream to act."""
        now, policy = turn.now, POLICIES[turn.now.offer.policy]
        earlier = tuple(score for score in turn.place.earlier if score is not None) if policy.sticks else ()
        if policy.always == "strong":
            return Verdict(False, "policy")
        if policy.sticks and len(earlier) < len(turn.place.earlier):
            return Verdict(False, "sticks")
        self.using[id(now.engine)] += 1
        try:
            decided = await asyncio.wait_for(now.engine.decide(asked.episode, earlier, propose), self.settings.timeout)
        except TimeoutError:
            return Verdict(False, "timeout")
        except EngineBusy:
            return Verdict(False, "busy")
        except EngineFailed as error:
            LOG.warning("the cheap model gave no answer: %s", error)
            return Verdict(False, "failed")
        except Exception as error:
            LOG.error("the cheap model gave no answer: %s", type(error).__name__)
            return Verdict(False, "failed")
        finally:
            self.using[id(now.engine)] -= 1
        self.counters.decided(decided.usage, decided.seconds)
        if not decided.accepted or decided.proposal is None:
            return Verdict(False, "rejected", decided)
        why = now.checks.why_not(decided.proposal, asked)
        return Verdict(why is None, why or "accepted", decided)

    # -- the cheap model acts -------------------------------------------------------------------------------

    def _act(self, turn: Turn, verdict: Verdict) -> Response:
        """An accepted action as the API says it."""
        decided = verdict.decided
        assert decided and decided.proposal and decided.proposal.action and turn.value
        proposal, action = decided.proposal, decided.proposal.action
        message = message_of(action, words_of(proposal))
        used = used_by("cheap", decided)
        whole = completion(message, str(turn.value.get("model") or ""), used, turn.now.made_by)
        self.conversations.answered(turn.place, message, action.type, verdict.score)
        self.counters.avoided(used)
        self._answered("cheap", turn, verdict)
        self._write(turn, verdict, whole, "cheap")
        if random.random() < self.settings.audit:
            self._start(self._audit(turn, verdict, proposal))
        else:
            self._tell(turn, accepted=True)
        headers = self._headers(turn, verdict, "cheap") | {"x-specacts-type": action.type}
        return as_response(turn.value, whole, headers)

    async def _audit(self, turn: Turn, verdict: Verdict, proposal: Candidate) -> None:
        """Ask upstream what it would have done; the agent has its answer already."""
        audit: Audit = "unknown"
        result, since = "failed", time.perf_counter()
        try:
            answer = await self.upstream.ask("POST", CHAT, turn.headers, turn.raw, turn.query)
            try:
                body = b"".join([piece async for piece in answer.aiter_raw()])
            finally:
                await answer.aclose()
            found = heard_in(answer, body)
            if found is not None:
                self.counters.upstream(found.usage, audit=True)
                self._write(turn._replace(since=since), verdict, found.whole, "upstream", audit=True)
                audit = self._compared(turn, proposal, found)
                result = "no_action" if audit == "unknown" else audit
        except (NoAnswer, httpx.HTTPError) as error:
            LOG.warning("an audit got no answer: %s", error if isinstance(error, NoAnswer) else type(error).__name__)
        finally:
            self.counters.audited(result)
            self._tell(turn, accepted=True, audit=audit)

    def _compared(self, turn: Turn, proposal: Candidate, found: Heard) -> Audit:
        """Whether upstream would have acted otherwise."""
        assert turn.asked is not None
        action = turn.now.reading.first_action(turn.asked, turn.place, found.message)
        if action is None:
            return "unknown"
        return "agrees" if agrees(proposal.action, action, turn.now.bundle.proof.level) else "differs"

    # -- upstream acts --------------------------------------------------------------------------------------

    async def _pass(
        self, request: Request, turn: Turn, verdict: Verdict, beside: "asyncio.Task[Verdict] | None" = None
    ) -> Response:
        """Upstream's answer, as it comes. beside: what the cheap model is being asked at the same time."""
        turn = turn._replace(passed=time.perf_counter())
        try:
            asking = self.upstream.ask("POST", CHAT, turn.headers, turn.raw, turn.query)
            answer = await unless_gone(request, asking)
        except NoAnswer as error:
            self._answered("gateway", turn, verdict._replace(reason="no_answer"))
            headers = self._headers(turn, verdict._replace(reason="no_answer"), "gateway")
            return as_error(error.status, error.why, "upstream_error", headers)
        if answer is None:
            return self._gone(turn)
        return passed(answer, self._passing(turn, verdict, answer, beside), self._headers(turn, verdict, "upstream"))

    async def _passing(
        self, turn: Turn, verdict: Verdict, answer: httpx.Response, beside: "asyncio.Task[Verdict] | None"
    ) -> AsyncIterator[bytes]:
        """The answer's bytes. What they say is noted before the client has the last of them and can go on."""
        kept, size, noted = [], 0, False
        length = answer.headers.get("content-length", "")
        pieces = answer.aiter_raw()
        try:
            async for piece in pieces:
                size += len(piece)
                if size <= LOOKED_INTO:
                    kept.append(piece)
                if not noted and (str(size) == length or piece.rstrip().endswith(b"[DONE]")):
                    noted = True
                    self._note(turn, verdict, answer, b"".join(kept), beside)
                yield piece
        except httpx.HTTPError as error:
            LOG.warning("upstream broke off its answer: %s", type(error).__name__)
            raise BrokenOff from None
        finally:
            if not noted:
                self._note(turn, verdict, answer, b"".join(kept) if size <= LOOKED_INTO else b"", beside)
            self._start(ended(answer, pieces))

    def _note(
        self, turn: Turn, verdict: Verdict, answer: httpx.Response, body: bytes, beside: "asyncio.Task[Verdict] | None"
    ) -> None:
        """What an answer of upstream's says, if it is whole."""
        found = heard_in(answer, body)
        if found is not None:
            kind = as_action_type(answer.headers.get("x-specacts-type", ""))
            self.conversations.answered(turn.place, found.message, kind, verdict.score)
        # The rest nobody has to wait for.
        asyncio.get_running_loop().call_soon(self._was_passed, turn, verdict, found, beside)

    def _was_passed(
        self, turn: Turn, verdict: Verdict, found: Heard | None, beside: "asyncio.Task[Verdict] | None"
    ) -> None:
        """Count and tell what upstream did. found: None where its answer was none, or broke off."""
        self._answered("upstream", turn, verdict)
        turn = turn._replace(took=time.perf_counter() - turn.passed)
        if found is None:
            if beside is not None:
                beside.cancel()
            return
        self.counters.upstream(found.usage)
        if beside is not None:
            self._start(self._compare(turn, found, beside))
            return
        self._write(turn, verdict, found.whole, "upstream")
        if turn.asked is not None:
            self._tell(turn, accepted=False)

    async def _compare(self, turn: Turn, found: Heard, beside: "asyncio.Task[Verdict]") -> None:
        """Where upstream acted: what the cheap model would have done, and whether that is the same."""
        verdict = await beside
        proposal = verdict.decided.proposal if verdict.decided else None
        self.conversations.answered(turn.place, found.message, None, verdict.score)
        audit = self._compared(turn, proposal, found) if verdict.accepted and proposal else None
        if audit is not None:
            self.counters.audited("no_action" if audit == "unknown" else audit)
        self.counters.beside(verdict.reason)
        self._write(turn, verdict, found.whole, "upstream", proposal=proposal)
        self._tell(turn, verdict.accepted, audit)

    def _gone(self, turn: Turn) -> Response:
        """Nobody waits for the answer any more."""
        self._answered("gateway", turn, Verdict(False, "gone"))
        return Response(status_code=499)

    # -- what becomes known of it ---------------------------------------------------------------------------

    def _headers(self, turn: Turn, verdict: Verdict, actor: str) -> dict[str, str]:
        offer, decided = turn.now.offer, verdict.decided
        said: dict[str, Any] = {
            "actor": actor,
            "reason": verdict.reason,
            "policy": offer.policy,
            "mode": self.settings.mode,
            "conversation": turn.place.name,
        }
        if decided is not None:
            said |= {"score": decided.score, "threshold": decided.threshold}
        if turn.now.watch.stopped is not None:
            said["watch"] = "stopped"
        shown = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in said.items()}
        return {f"{OURS}{name}": str(value) for name, value in shown.items() if value is not None}

    def _answered(self, actor: str, turn: Turn, verdict: Verdict) -> None:
        self.counters.answered(actor, verdict.reason, time.perf_counter() - turn.since)
        decided = verdict.decided
        action = decided.proposal.action if decided and decided.proposal else None
        kind = action.type if action else None
        score, threshold = (decided.score, decided.threshold) if decided else (None, None)
        self.last.appendleft(
            Last(at=turn.at, type=kind, by=actor, score=score, threshold=threshold, reason=verdict.reason)
        )

    def _tell(self, turn: Turn, accepted: bool, audit: Audit | None = None) -> None:
        """Tell the watch of a decision."""
        watch, rate = turn.now.watch, 1.0 if self.settings.mode == "observe" else self.settings.audit
        if not rate:  # nobody looks
            return
        name = hashlib.blake2b(turn.place.name.encode(), digest_size=12).hexdigest()
        self.told = True
        if watch.tell(name, turn.at, accepted, rate, audit):
            self._stopped(watch)

    def _stopped(self, watch: Watch) -> None:
        """Say that the watch has just stopped, and keep it at once."""
        if self.now.watch.stopped is None:  # another bundle acts by now: a person has to look at it too
            self.now.watch.stopped = watch.stopped
        LOG.error("the promise is broken on this traffic: the cheap model no longer acts (docs/serve.md)")
        self._start(self.save())

    def _status(self) -> Status:
        """What the watch knows. Looking at it ends conversations, with which it may stop."""
        watch = self.now.watch
        before, status = watch.stopped, watch.status(time.time())
        if before is None and watch.stopped is not None:
            self._stopped(watch)
        return status

    def _write(
        self,
        turn: Turn,
        verdict: Verdict,
        whole: dict[str, Any],
        by: Literal["cheap", "upstream"],
        audit: bool = False,
        proposal: Candidate | None = None,
    ) -> None:
        """Write an answer into the log."""
        if self.journal is None or turn.value is None:
            return
        decided = verdict.decided
        entry = Entry(
            conversation=turn.place.name,
            at=turn.at,
            request=turn.value,
            answer=whole,
            by=by,
            alone=self._is_alone(turn.place),
            policy=turn.now.offer.policy,
            score=decided.score if decided else None,
            threshold=decided.threshold if decided else None,
            reason=verdict.reason,
            seconds=time.perf_counter() - turn.since if turn.took is None else turn.took,
            usage={role: tokens._asdict() for role, tokens in decided.usage.items()} if decided else None,
            proposal=proposal.action.model_dump(mode="json") if proposal and proposal.action else None,
            audit=audit,
        )
        self.journal.write(entry)

    # -- the whole ------------------------------------------------------------------------------------------

    async def relay(self, request: Request, method: str, path: str) -> Response:
        """Another part of the API: passed on and back."""
        since = time.perf_counter()
        raw = await body_of(request, self.settings.largest) if method == "POST" else None
        headers = {f"{OURS}actor": "upstream", f"{OURS}reason": "other_api", f"{OURS}mode": self.settings.mode}
        self.counters.relayed()
        try:
            asking = self.upstream.ask(method, path, request.headers.items(), raw, request.url.query)
            answer = await unless_gone(request, asking)
        except NoAnswer as error:
            return as_error(error.status, error.why, "upstream_error", headers | {f"{OURS}actor": "gateway"})
        if answer is None:
            return Response(status_code=499)
        LOG.debug("passed on %s %s after %.3f s", method, path, time.perf_counter() - since)
        return passed(answer, _plainly(answer, self._start), headers)

    def metrics(self) -> bytes:
        """What /metrics says."""
        status = self._status()
        self.counters.watched(
            stopped=float(status.stopped is not None),
            loss=status.estimate.value,
            loss_low=status.estimate.low,
            loss_high=status.estimate.high,
            limit=float("nan") if status.limit is None else status.limit,
            decisions=status.decisions,
            accepted=status.accepted,
            audited=status.audited,
            differing=status.differing,
            unknown=status.unknown,
        )
        return self.counters.text()

    def page(self) -> str:
        """The page that people look at."""
        counters, status = self.counters, self._status()
        return page(
            Shown(
                policy=self.now.offer.policy,
                mode=self.settings.mode,
                share=self.settings.share,
                started=self.started,
                now=time.time(),
                requests=counters.requests,
                decisions=counters.decisions,
                taken=counters.taken,
                passed=counters.passed_on,
                failed=counters.failures,
                saved=counters.saved if self.settings.mode == "enforce" else None,
                currency=self.now.bundle.prices.currency,
                watch=status,
                last=list(self.last),
                journal=self.journal.counts if self.journal else None,
            )
        )

    async def reload(self, other: Acting) -> None:
        """Let another bundle act from the next request on; the old engine ends when nobody waits for it any more.

        Where it promises the same, what is known of the promise goes on, with what comes in yet.
        """
        old = self.now
        same = old.watch.terms.promises_as(other.watch.terms)
        self.now = other._replace(watch=old.watch) if same else other
        self.now.watch.stopped = self.now.watch.stopped or old.watch.stopped  # also one that could not be saved
        quiet = 0
        while quiet < 2:  # a request that has just been read asks in a moment
            await asyncio.sleep(0.1)
            quiet = 0 if self.using[id(old.engine)] else quiet + 1
        await shut(old.engine)
        self.using.pop(id(old.engine), None)

    async def keep(self) -> None:
        """Save what the watch knows, again and again."""
        while True:
            await asyncio.sleep(SAVED)
            if self.told:
                await self.save()

    async def save(self) -> None:
        """Have what the watch knows in its file; where it cannot be written (a full disk), the next time."""
        if self.state is None:
            return
        async with self.saving:
            self.told = False
            try:
                await asyncio.to_thread(save, self.state / "watch.json", self.now.watch.state())
            except OSError as error:
                self.told = True
                LOG.error("what the watch knows could not be saved: %s", error.strerror or type(error).__name__)

    async def close(self) -> None:
        """End what runs in the background, and save what is known."""
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=PATIENCE)
        for task in self.tasks:
            task.cancel()
        await self.save()
        await shut(self.now.engine)
        if self.journal is not None:
            await asyncio.to_thread(self.journal.close)
        await self.upstream.close()

    def _start(self, work: Coroutine[Any, Any, Found]) -> "asyncio.Task[Found]":
        """Work in the background; kept, because a task that nobody refers to may vanish."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


async def shut(engine: Any) -> None:
    """Close an engine: the one here waits for its thread, the one on a server is closed by our own loop."""
    closing = await asyncio.to_thread(engine.close)
    if closing is not None:
        await closing


# -- the application ------------------------------------------------------------------------------------------


def app(gateway: Gateway) -> FastAPI:
    """The application; its paths are these and no others."""

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        keeping = asyncio.create_task(gateway.keep())
        yield
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await gateway.close()

    made = FastAPI(lifespan=alive, openapi_url=None, docs_url=None, redoc_url=None)
    made.add_exception_handler(HTTPException, refused)

    @made.get("/healthz")
    async def healthz() -> Response:
        stopped = gateway.now.watch.stopped is not None
        said = {
            "status": "ok",
            "policy": gateway.now.offer.policy,
            "mode": gateway.settings.mode,
            "bundle": gateway.now.made_by,
        }
        return Response(as_json({**said, "watch": "stopped" if stopped else "watching"}), media_type="application/json")

    @made.get("/metrics")
    async def metrics(request: Request) -> Response:
        admit(request, gateway.settings)
        return Response(gateway.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @made.get("/")
    async def index(request: Request) -> Response:
        admit(request, gateway.settings)
        return Response(gateway.page(), media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)

    @made.post(f"/v1{CHAT}")
    async def complete(request: Request) -> Response:
        admit(request, gateway.settings)
        return await gateway.complete(request)

    @made.get("/v1/models")
    async def models(request: Request) -> Response:
        admit(request, gateway.settings)
        return await gateway.relay(request, "GET", "/models")

    for path in PASSED:
        made.add_api_route(f"/v1{path}", _relaying(gateway, path), methods=["POST"])
    return made


PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


def _relaying(gateway: Gateway, path: str) -> Any:
    async def relay(request: Request) -> Response:
        admit(request, gateway.settings)
        return await gateway.relay(request, "POST", path)

    return relay


# -- answers --------------------------------------------------------------------------------------------------


class BrokenOff(Exception):
    """Upstream's answer ended before its end; so does ours."""


def heard_in(answer: httpx.Response, body: bytes) -> Heard | None:
    """What an answer of upstream's says, where it is one."""
    if answer.status_code != 200:
        return None
    return heard(body, header(answer.headers, "content-type"), header(answer.headers, "content-encoding"))


def passed(answer: httpx.Response, pieces: AsyncIterator[bytes], headers: Mapping[str, str]) -> Response:
    """Upstream's answer as ours."""
    response = StreamingResponse(pieces, status_code=answer.status_code)
    ours = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    response.raw_headers = [*returned(answer.headers), *ours]
    return response


async def _plainly(answer: httpx.Response, start: Any) -> AsyncIterator[bytes]:
    pieces = answer.aiter_raw()
    try:
        async for piece in pieces:
            yield piece
    except httpx.HTTPError:
        raise BrokenOff from None
    finally:
        start(ended(answer, pieces))


async def ended(answer: httpx.Response, pieces: AsyncIterator[bytes]) -> None:
    """Read what is left, which is nothing as a rule, so that the connection can be used again; else close it."""
    with suppress(TimeoutError, httpx.HTTPError, RuntimeError):
        async with asyncio.timeout(0.5):
            async for _ in pieces:
                pass
    await answer.aclose()
