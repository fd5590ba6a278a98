"""The load must count every lost request, or a rollout test proves nothing."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.ports import free_ports
from tests.standins.load import Load
from tests.standins.vllm.asgi import App, Server

GOOD = b'{"data": [{"embedding": [1.0]}]}'


class Scripted:
    """Answers 200 with a vector, but to the requests whose number is in `instead`."""

    def __init__(self, instead: dict[int, Any] | None = None, headers: Any = ()) -> None:
        self.instead = instead or {}
        self.headers = list(headers)
        self.seen = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen += 1
        status, body = self.instead.get(self.seen, (200, GOOD))
        if status == 0:
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(app: App) -> AsyncIterator[str]:
    server = Server(app, idle=30)
    await server.listen(host="127.0.0.1", port=0)
    assert server.listener
    try:
        yield f"http://127.0.0.1:{server.listener.sockets[0].getsockname()[1]}/v1/embeddings"
    finally:
        for task in server.connections.values():
            task.cancel()
        await server.close()


async def test_clients_keep_their_connections() -> None:
    async with listening(Scripted()) as url:
        result = await Load(url, "m", clients=3, requests=60).run()
    assert (result.requests, result.failed, result.connections) == (60, 0, 3)


async def test_clients_that_are_told_to_close_connect_again() -> None:
    async with listening(Scripted(headers=[(b"connection", b"close")])) as url:
        result = await Load(url, "m", clients=1, requests=20).run()
    assert (result.requests, result.failed, result.connections) == (20, 0, 20)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, b"{}"), "HTTP 500"),
        ((200, b'{"data": [{"embedding": []}]}'), "no vector"),
        ((200, b"<html>"), "unreadable answer"),
        ((200, b'{"data": []}'), "unreadable answer"),
        ((0, b""), "no answer within 0.3 s"),
    ],
)
async def test_a_request_without_a_good_answer_has_failed_and_is_not_sent_again(answer: Any, reason: str) -> None:
    app = Scripted({3: answer})
    async with listening(app) as url:
        result = await Load(url, "m", clients=1, requests=10, timeout=0.3).run()
    assert dict(result.errors) == {reason: 1}
    assert (result.requests, app.seen) == (10, 10)


async def test_a_hang_up_without_an_answer_is_a_failure() -> None:
    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        result = await Load(url, "m", clients=1, requests=3).run()
    assert result.failed == 3
    assert set(result.errors) <= {"connection closed before the answer", "ConnectionResetError", "BrokenPipeError"}


async def test_a_refused_connection_is_a_failure() -> None:
    result = await Load(f"http://127.0.0.1:{free_ports(1)[0]}/", "m", clients=2, requests=4).run()
    assert dict(result.errors) == {"ConnectionRefusedError": 4}


async def test_as_a_command_it_ends_with_one_json_summary_even_when_stopped() -> None:
    app = Scripted()
    async with listening(app) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.standins.load", "--url", url, "--model", "m", "--seconds", "600",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        while True:
            if app.seen >= 50:
                break
            await asyncio.sleep(0.01)
        process.terminate()
        out, _ = await process.communicate()
    summary = json.loads(out)
    assert process.returncode == 0
    assert summary["requests"] == summary["ok"] == app.seen
    assert (summary["failed"], summary["errors"], summary["connections"]) == (0, {}, 12)
    assert set(summary["latency_ms"]) == {"p50", "p90", "p99", "max"}
