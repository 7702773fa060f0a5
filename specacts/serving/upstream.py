"""The model behind the gateway: requests go there as they came, and its answers come back byte for byte.

    upstream = Upstream("https://api.openai.com/v1", key="…")
    answer = await upstream.ask("POST", "/chat/completions", headers, body)     # raises `NoAnswer`
    async for piece in answer.aiter_raw(): ...

Headers that belong to one connection are dropped, and so are the gateway's own. The answer is asked for without
compression, because the gateway has to read it in passing. Nothing is asked twice: clients do that themselves. Nothing
is remembered either: a cookie that upstream sets is the client's who got it, and goes with no other request.
"""

from collections.abc import Iterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

CONNECTION = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers "
    "transfer-encoding upgrade".split()
)
"""Headers of one connection (RFC 9110, section 7.6.1)."""
NOT_FORWARDED = CONNECTION | {"host", "content-length", "accept-encoding", "expect"}
KEYS = ("authorization", "x-api-key", "api-key")
"""Headers in which clients show a key: OpenAI's, Anthropic's, Azure's."""
OURS = "x-specacts-"
"""Begins the headers that are between client and gateway."""
CONNECTING = 10.0
"""Seconds for a connection to upstream."""


class NoAnswer(Exception):
    """Upstream gave no answer at all; status: what the client is told."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Upstream:
    """An OpenAI-compatible API.

    url: up to and with `/v1`. key: takes the place of the client's, in the header in which that stands; without one
    the client's own is passed on, but never `token`, which is the gateway's and nobody else's. timeout: seconds without
    a byte from it. wire: what carries requests; None: the network.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        timeout: float = 600.0,
        token: str | None = None,
        wire: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url, self._key, self._token = url.rstrip("/"), key, token
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        times = httpx.Timeout(timeout, connect=CONNECTING, pool=None)
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        self.client = httpx.AsyncClient(limits=limits, timeout=times, transport=wire, cookies=no_cookies)

    async def ask(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes | None = None, query: str = ""
    ) -> httpx.Response:
        """The answer, as soon as its headers are there; whoever asks reads and closes it. Raises `NoAnswer`."""
        url = f"{self.url}{path}" + (f"?{query}" if query else "")
        try:
            request = self.client.build_request(method, url, headers=self._forwarded(headers), content=body)
            return await self.client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise NoAnswer(504, "upstream gave no answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(502, f"upstream cannot be reached ({type(error).__name__})") from error

    def _forwarded(self, headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
        """The headers that go there, byte for byte as they came: text that is not ASCII included."""
        given = list(headers)
        named = {one.strip().lower() for name, value in given if name == "connection" for one in value.split(",")}
        left_out = NOT_FORWARDED | named | (set(KEYS) if self._key else set())
        kept = [
            (name, value)
            for name, value in given
            if name not in left_out and not name.startswith(OURS) and not self._is_token(name, value)
        ]
        own = [("accept-encoding", "identity")]
        if self._key:
            shown = {name for name, _ in given if name in KEYS} - {"authorization"}
            own += [("authorization", f"Bearer {self._key}"), *((name, self._key) for name in sorted(shown))]
        return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in [*kept, *own]]

    def _is_token(self, name: str, value: str) -> bool:
        """Whether a header shows the gateway's token; `authorization` always does where there is one."""
        return self._token is not None and (name == "authorization" or (name in KEYS and value.strip() == self._token))

    async def close(self) -> None:
        await self.client.aclose()


def returned(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that the client gets; another gateway's behind us is none of its business."""
    named = {one.strip().lower() for one in headers.get("connection", "").split(",")}
    given = [(name.lower(), value) for name, value in headers.raw]
    left_out = {name.encode() for name in CONNECTION | named}
    return [(name, value) for name, value in given if name not in left_out and not name.startswith(OURS.encode())]


def header(headers: Mapping[str, str], name: str) -> str:
    """A header's value without parameters, in lower case; "" where it is not there."""
    return headers.get(name, "").partition(";")[0].strip().lower()
