"""Above the bound a client is told at once to come again; what is in flight is never touched."""

import asyncio
import json
from typing import Any

import pytest

from embedding_operator.podscripts.inflight import MOST
from embedding_operator.podscripts.middleware import Middleware
from tests.unit.podscripts.conftest import Flag, Serve
from tests.unit.podscripts.test_middleware import fetch, inflight, until_inflight

pytestmark = pytest.mark.usefixtures("flag")


class Waiting:
    """Answers when told; the health at once."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/v1/embeddings":
            await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MOST, "2")


async def test_above_the_bound_a_request_is_refused_at_once_and_told_when_to_come_again(
    serve: Serve, bound: None
) -> None:
    app = Waiting()
    port = await serve(Middleware(app))
    answers = [asyncio.create_task(fetch(port, "/v1/embeddings", "POST")) for _ in range(2)]
    await until_inflight(port, 2)
    refused = await fetch(port, "/v1/embeddings", "POST")
    assert refused.status == 503
    assert refused.getheader("retry-after") == "1"
    assert refused.getheader("connection") == "close"  # the next one may lead to another replica
    error = json.loads(refused.body)["error"]  # type: ignore[attr-defined]
    assert error == {
        "message": "2 requests are in flight, which is this server's bound: try again later",
        "type": "ServiceUnavailableError",
        "param": None,
        "code": 503,
    }
    assert await inflight(port) == 2  # it was never in flight
    app.go.set()
    assert [answer.status for answer in await asyncio.gather(*answers)] == [200, 200]
    assert (await fetch(port, "/v1/embeddings", "POST")).status == 200


async def test_probes_and_scrapes_are_answered_at_the_bound(serve: Serve, bound: None) -> None:
    app = Waiting()
    port = await serve(Middleware(app))
    answers = [asyncio.create_task(fetch(port, "/v1/embeddings", "POST")) for _ in range(2)]
    await until_inflight(port, 2)
    paths = ("/health", "/metrics", "/-/ready", "/-/inflight")
    assert [(await fetch(port, path)).status for path in paths] == [200] * 4
    app.go.set()
    await asyncio.gather(*answers)


async def test_however_many_come_at_once_no_more_than_the_bound_are_let_in(serve: Serve, bound: None) -> None:
    app = Waiting()
    port = await serve(Middleware(app))
    answers = [asyncio.create_task(fetch(port, "/v1/embeddings", "POST")) for _ in range(20)]
    done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 18:
        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED, timeout=0.01)
    assert [answer.result().status for answer in done] == [503] * 18
    app.go.set()
    assert sorted(answer.status for answer in await asyncio.gather(*answers)) == [200] * 2 + [503] * 18


async def test_a_client_that_hangs_up_gives_its_place_back(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MOST, "1")

    async def listening_app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    port = await serve(Middleware(listening_app))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    await until_inflight(port, 1)
    writer.close()
    await until_inflight(port, 0)


async def test_the_whole_body_is_read_before_a_refusal(flag: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the connection is reset while its client still sends, and the answer is lost."""
    monkeypatch.setenv(MOST, "1")
    entered, release = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await release.wait()

    middleware = Middleware(app)
    scope = {"type": "http", "path": "/v1/embeddings"}
    parts = iter([{"type": "http.request", "body": b"x", "more_body": True}] * 3 + [{"type": "http.request"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        assert next(parts, None) is None
        sent.append(message)

    first = asyncio.create_task(middleware(scope, receive, send))
    await entered.wait()
    await middleware(scope, receive, send)
    release.set()
    await first
    assert sent[0]["status"] == 503


async def test_without_a_bound_all_are_let_in(serve: Serve) -> None:
    app = Waiting()
    port = await serve(Middleware(app))
    answers = [asyncio.create_task(fetch(port, "/v1/embeddings", "POST")) for _ in range(4)]
    await until_inflight(port, 4)
    app.go.set()
    assert {answer.status for answer in await asyncio.gather(*answers)} == {200}
