"""The middleware counts exactly, closes politely while draining, and is invisible otherwise."""

import asyncio
import http.client
import json
from typing import Any

import pytest

from embedding_operator.podscripts.middleware import Middleware
from tests.unit.podscripts.conftest import Flag, Serve, json_app

REQUEST = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def fetch(port: int, path: str, method: str = "GET") -> http.client.HTTPResponse:
    """One request on a connection of its own; the body is read."""

    def ask() -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        connection.close()
        return response

    return await asyncio.to_thread(ask)


async def inflight(port: int) -> int:
    response = await fetch(port, "/-/inflight")
    count: int = json.loads(response.body)["inflight"]  # type: ignore[attr-defined]
    return count


async def until_inflight(port: int, count: int) -> None:
    """Returns when the count is reached; the test's own time limit ends a wait in vain."""
    while True:
        if await inflight(port) == count:
            return
        await asyncio.sleep(0.01)


class Streaming:
    """Answers in two halves, the second when told."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.second_half = asyncio.Event()
        self.after_work = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first,", "more_body": True})
        self.begun.set()
        await self.second_half.wait()
        await send({"type": "http.response.body", "body": b"second"})
        await self.after_work.wait()


async def test_a_streamed_answer_is_in_flight_until_its_last_byte_and_no_longer(serve: Serve, flag: Flag) -> None:
    app = Streaming()
    port = await serve(Middleware(app))
    answer = asyncio.create_task(fetch(port, "/v1/embeddings"))
    await until_inflight(port, 1)
    app.second_half.set()
    await until_inflight(port, 0)  # though the handler is still at work
    app.after_work.set()
    assert (await answer).body == b"first,second"  # type: ignore[attr-defined]


async def test_a_client_that_hangs_up_is_no_longer_in_flight(serve: Serve, flag: Flag) -> None:
    release = asyncio.Event()

    async def listening_app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await release.wait()

    port = await serve(Middleware(listening_app))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    await until_inflight(port, 1)
    writer.close()
    await until_inflight(port, 0)  # though the handler is still at work
    release.set()


async def test_requests_at_the_same_time_are_all_counted(serve: Serve, flag: Flag) -> None:
    app = Streaming()
    port = await serve(Middleware(app))
    app.after_work.set()
    answers = [asyncio.create_task(fetch(port, "/v1/embeddings")) for _ in range(5)]
    await until_inflight(port, 5)
    app.second_half.set()
    await asyncio.gather(*answers)
    assert await inflight(port) == 0


async def test_a_handler_that_fails_is_no_longer_in_flight(serve: Serve, flag: Flag) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("no")

    port = await serve(Middleware(failing))
    assert (await fetch(port, "/v1/embeddings", "POST")).status == 500
    assert await inflight(port) == 0


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_what_asks_for_ever_is_answered_by_the_server_and_not_counted(
    serve: Serve, flag: Flag, path: str
) -> None:
    app = Streaming()
    app.after_work.set()
    port = await serve(Middleware(app))
    answer = asyncio.create_task(fetch(port, path))
    await app.begun.wait()
    assert await inflight(port) == 0
    app.second_half.set()
    assert (await answer).body == b"first,second"  # type: ignore[attr-defined]


async def test_ready_until_the_flag_is_raised_and_again_when_it_is_gone(serve: Serve, flag: Flag) -> None:
    port = await serve(Middleware(json_app(200, b"{}")))
    seen = [(await fetch(port, "/-/ready")).status]
    flag.up()
    seen.append((await fetch(port, "/-/ready")).status)
    flag.down()
    seen.append((await fetch(port, "/-/ready")).status)
    assert seen == [200, 503, 200]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/health", "/-/ready", "/-/inflight"])
async def test_while_draining_every_answer_closes_its_connection(serve: Serve, flag: Flag, path: str) -> None:
    port = await serve(Middleware(json_app(200, b"{}")))
    before = await fetch(port, path)
    flag.up()
    after = await fetch(port, path)
    assert (before.getheader("connection"), after.getheader("connection")) == (None, "close")


async def sent_headers(app: Any, **scope: Any) -> list[tuple[bytes, bytes]]:
    """The headers that the middleware passes on to the server."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await Middleware(app)({"type": "http", "path": "/v1/embeddings", **scope}, receive, send)
    headers: list[tuple[bytes, bytes]] = sent[0].get("headers", [])
    return headers


async def test_the_applications_own_connection_header_gives_way(flag: Flag) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Connection", b"keep-alive"), (b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    flag.up()
    assert await sent_headers(app) == [(b"x-own", b"1"), (b"connection", b"close")]


async def test_an_answer_without_headers_is_closed_too(flag: Flag) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    flag.up()
    assert await sent_headers(app) == [(b"connection", b"close")]


async def test_http_2_knows_no_connection_header(flag: Flag) -> None:
    flag.up()
    assert await sent_headers(json_app(200, b"{}"), http_version="2") == []


async def test_a_root_path_does_not_hide_the_middlewares_own_paths(flag: Flag) -> None:
    headers = await sent_headers(json_app(200, b"{}"), path="/models/-/ready", root_path="/models")
    assert (b"content-type", b"application/json") in headers


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_protocols_pass_untouched(flag: Flag, kind: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        return

    flag.up()
    scope = {"type": kind, "path": "/-/ready"}
    await Middleware(app)(scope, receive, send)
    assert seen == [(scope, receive, send)]


def test_starlette_passes_the_application_by_keyword(flag: Flag) -> None:
    assert Middleware(app=json_app(200, b""))
