"""What gateway.py and alone.py have in common: who may ask, how bodies arrive, and how answers leave.

admit(request, settings)                             # or an error that says why not
body = body_in(await body_of(request, most=LARGEST))
as_response(body, completion, headers)               # as a stream where the request wants one
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from specacts.core.words import Role
from specacts.serving.answers import Used, failure, in_chunks
from specacts.serving.bundle import Bundle
from specacts.serving.engine import Decided
from specacts.serving.requests import Reading
from specacts.serving.upstream import KEYS, OURS
from specacts.traces.formats.openai_chat import Invalid, decode
from specacts.traces.tool_types import load_type_map

Mode = Literal["observe", "enforce"]
Found = TypeVar("Found")
CHAT = "/chat/completions"
LARGEST = 32 << 20
"""Bytes of a request."""
SLOWEST = 60.0
"""Seconds that a request's body may take to arrive."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Settings:
    """How the gateway is run.

    share: of the conversations in which the cheap model may act. audit: of its accepted actions that upstream is asked
    too. timeout: seconds for the cheap model. token: what clients have to show. hosts: names by which it may be called;
    empty: any.
    """

    mode: Mode = "enforce"
    share: float = 1.0
    audit: float = 0.05
    timeout: float = 10.0
    largest: int = LARGEST
    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = frozenset()


def reading(bundle: Bundle) -> Reading:
    return Reading(load_type_map(bundle.types), bundle.source, bundle.arranged, bundle.characters)


def fingerprint(bundle: Bundle) -> str:
    return f"specacts-{hashlib.sha256(bundle.model_dump_json().encode()).hexdigest()[:12]}"


# -- requests -------------------------------------------------------------------------------------------------


def admit(request: Request, settings: Settings) -> None:
    """Let a request in, or raise what it is told instead.

    A page in a browser may send requests to this machine too. It cannot know the token; without one it is told by the
    name it calls us by, or by its own, which the browser says.
    """
    if settings.hosts and _place(f"//{request.headers.get('host', '')}").hostname not in settings.hosts:
        raise HTTPException(403, "this name is not the gateway's; start it with --host to be called by another")
    origin = request.headers.get("origin")
    if origin is not None and _place(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "requests of web pages are not answered")
    if settings.token is not None and not hmac.compare_digest(_shown(request).encode(), settings.token.encode()):
        raise HTTPException(401, "the token is missing or wrong", {"www-authenticate": 'Basic realm="specacts"'})


def _place(address: str) -> SplitResult:
    """An address in its parts; of one that is none, nothing."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _shown(request: Request) -> str:
    """The token that a client shows: as a bearer token or another kind of API key, or as a browser's password."""
    shown = next((request.headers[name] for name in KEYS if name in request.headers), "")
    if "authorization" not in request.headers:
        return shown.strip()
    kind, _, value = shown.partition(" ")
    if kind.lower() == "basic":
        with suppress(binascii.Error, UnicodeDecodeError):
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
    return value.strip() if kind.lower() == "bearer" else ""


async def refused(_: Request, error: Exception) -> Response:
    """Our own refusals as the API says errors."""
    assert isinstance(error, HTTPException)
    kind = "authentication_error" if error.status_code == 401 else "invalid_request_error"
    headers = {f"{OURS}actor": "gateway", f"{OURS}reason": "refused", **(error.headers or {})}
    return as_error(error.status_code, str(error.detail), kind, headers)


async def body_of(request: Request, most: int) -> bytes:
    """A request's body. Raises what the client is told where it is too large, or too slow."""
    pieces, size = [], 0
    try:
        async with asyncio.timeout(SLOWEST):
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    raise HTTPException(413, f"the request is larger than {most} bytes")
                pieces.append(piece)
    except TimeoutError as error:
        raise HTTPException(408, "the request did not arrive in time") from error
    except ClientDisconnect as error:
        raise HTTPException(499, "the client went away before its request was there") from error
    return b"".join(pieces)


async def unless_gone(request: Request, work: Coroutine[Any, Any, Found]) -> Found | None:
    """What the work gives; None where the client goes away first, and then the work is given up."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        leaving.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def body_in(raw: bytes) -> dict[str, Any] | None:
    """A body that is a JSON object, as strictly read as traces are; None for any other."""
    try:
        found = decode(raw.decode())
    except (Invalid, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def messages_in(value: Mapping[str, Any] | None) -> list[Any]:
    messages = value.get("messages") if value else None
    return messages if isinstance(messages, list) else []


def given_name(request: Request, value: Mapping[str, Any] | None) -> str:
    """The name that the client gives its conversation."""
    named = request.headers.get(f"{OURS}conversation", "")
    metadata = value.get("metadata") if value else None
    found = metadata.get("specacts_conversation") if isinstance(metadata, dict) else None
    return named or (found if isinstance(found, str) else "")


# -- answers --------------------------------------------------------------------------------------------------


def used_by(role: Role, decided: Decided) -> Used:
    """The tokens of an answer as the model counts them that gave it."""
    read, cached, written = decided.usage[role]
    return Used(read + cached, cached, written)


def as_response(value: Mapping[str, Any], whole: dict[str, Any], headers: Mapping[str, str]) -> Response:
    """A completion of ours, as a stream where the request wants one."""
    if not value.get("stream"):
        return Response(as_json(whole), media_type="application/json", headers=dict(headers))
    options = value.get("stream_options")
    with_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    return Response(b"".join(in_chunks(whole, with_usage)), media_type="text/event-stream", headers=dict(headers))


def as_error(status: int, why: str, kind: str, headers: Mapping[str, str]) -> Response:
    return Response(as_json(failure(why, kind)), status, dict(headers), media_type="application/json")


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
