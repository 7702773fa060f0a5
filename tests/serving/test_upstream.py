"""What goes to upstream, and what comes back: everything but what is between two neighbours."""

import asyncio

import httpx
import pytest

from specacts.serving.upstream import NoAnswer, Upstream, header, returned

GIVEN = [
    ("host", "gateway"),
    ("authorization", "Bearer client"),
    ("content-type", "application/json"),
    ("accept-encoding", "gzip"),
    ("connection", "keep-alive, x-hop"),
    ("x-hop", "1"),
    ("te", "trailers"),
    ("x-specacts-conversation", "c"),
    ("openai-organization", "org"),
]


def forwarded(given=GIVEN, query="a=b", **how) -> httpx.Request:
    seen: list[httpx.Request] = []

    async def ask() -> None:
        wire = httpx.MockTransport(lambda request: seen.append(request) or httpx.Response(200))
        await Upstream("http://up/v1/", wire=wire, **how).ask("POST", "/chat/completions", given, b"{}", query)

    asyncio.run(ask())
    return seen[0]


def test_what_upstream_sets_for_one_client_goes_with_no_other_request():
    seen: list[httpx.Request] = []
    wire = httpx.MockTransport(lambda request: seen.append(request) or httpx.Response(200, headers=COOKIE))

    async def ask() -> None:
        upstream = Upstream("http://up.example/v1", wire=wire)
        for who in ("a", "b"):
            answer = await upstream.ask("POST", "/chat/completions", [("authorization", who)], b"{}")
            assert (b"set-cookie", b"session=of-a") in returned(answer.headers)
        await upstream.ask("POST", "/chat/completions", [("cookie", "session=own")], b"{}")

    asyncio.run(ask())
    assert [request.headers.get("cookie") for request in seen] == [None, None, "session=own"]


COOKIE = {"set-cookie": "session=of-a"}


def test_headers_that_are_not_ascii_go_there_byte_for_byte():
    given = "Café ☕".encode()
    sent = forwarded(given=[("x-title", given.decode("latin-1"))])
    assert dict(sent.headers.raw)[b"x-title"] == given


def test_a_request_goes_there_with_its_own_headers_and_bytes():
    sent = forwarded()
    assert str(sent.url) == "http://up/v1/chat/completions?a=b"
    assert sent.content == b"{}"
    assert sent.headers["openai-organization"] == "org" and sent.headers["host"] == "up"
    assert sent.headers["accept-encoding"] == "identity"
    assert not {"x-hop", "te", "x-specacts-conversation"} & set(sent.headers)


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({}, "Bearer client"),
        ({"key": "ours"}, "Bearer ours"),
        ({"token": "t"}, None),
        ({"token": "t", "key": "ours"}, "Bearer ours"),
    ],
)
def test_whose_key_it_shows(how, wanted):
    assert forwarded(**how).headers.get("authorization") == wanted


@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
@pytest.mark.parametrize(
    ("how", "shown", "wanted"),
    [
        ({}, "client", "client"),
        ({"key": "ours"}, "client", "ours"),
        ({"token": "t"}, "t", None),
        ({"token": "t"}, "client", "client"),
        ({"token": "t", "key": "ours"}, "t", "ours"),
    ],
)
def test_whose_key_it_shows_in_the_headers_of_other_apis(name, how, shown, wanted):
    assert forwarded(given=[("authorization", "Bearer t"), (name, shown)], **how).headers.get(name) == wanted


def test_a_query_that_is_none_gets_no_answer():
    with pytest.raises(NoAnswer):
        forwarded(query="a=\x7f")


@pytest.mark.parametrize(
    ("error", "status"),
    [(httpx.ConnectError("x"), 502), (httpx.ReadTimeout("x"), 504), (httpx.RemoteProtocolError("x"), 502)],
)
def test_where_there_is_no_answer_it_says_so(error, status):
    def fail(request):
        raise error

    with pytest.raises(NoAnswer) as found:
        asyncio.run(Upstream("http://up", wire=httpx.MockTransport(fail)).ask("GET", "/models", []))
    assert found.value.status == status


def test_the_key_is_in_nothing_that_could_be_printed():
    assert "secret" not in repr(Upstream("http://up", key="secret"))


def test_headers_come_back_but_for_those_of_the_connection():
    given = [
        ("Set-Cookie", "a"),
        ("Set-Cookie", "b"),
        ("Connection", "x-hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
    ]
    found = returned(httpx.Headers([*given, ("x-specacts-actor", "cheap")]))
    assert found == [(b"set-cookie", b"a"), (b"set-cookie", b"b")]


def test_a_headers_value_is_without_its_parameters():
    assert (
        header(httpx.Headers({"content-type": "Text/Event-Stream; charset=utf-8"}), "content-type")
        == "text/event-stream"
    )
