"""Servers for the scripts to talk to: an ASGI application over a real socket, and the vLLM double."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.standins.vllm.asgi import App, Server
from tests.standins.vllm.process import ServerProcess, write_model

Serve = Callable[[App], Awaitable[int]]
StartDouble = Callable[..., ServerProcess]


@asynccontextmanager
async def listening(app: App) -> AsyncIterator[int]:
    server = Server(app, idle=30)
    await server.listen(host="127.0.0.1", port=0)
    assert server.listener
    try:
        yield server.listener.sockets[0].getsockname()[1]
    finally:
        for task in server.connections.values():
            task.cancel()
        await server.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves an application for the length of a test; gives its port."""
    async with AsyncExitStack() as stack:
        yield lambda app: stack.enter_async_context(listening(app))


class Flag:
    """The drain flag of a test, down at first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def up(self) -> None:
        self.path.touch()

    def down(self) -> None:
        self.path.unlink()


@pytest.fixture
def flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flag:
    """What middlewares made after this look at."""
    monkeypatch.setenv("EMBEDDING_OPERATOR_DRAIN_FLAG", str(tmp_path / "draining"))
    return Flag(tmp_path / "draining")


@pytest.fixture
def double(tmp_path: Path) -> StartDouble:
    """Makes vLLM doubles, to be started by `with`."""

    def make(name: str = "server", config: dict[str, Any] | None = None, **environment: str) -> ServerProcess:
        model = write_model(tmp_path / f"{name}-model", **(config or {}))
        variables = {"VLLM_DOUBLE_START_SECONDS": "0", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "30", **environment}
        return ServerProcess(tmp_path / name, model, ["tiny"], environment=variables)

    return make


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def until(condition: Callable[[], bool]) -> None:
    """Returns once it holds; the test's own time limit ends a wait in vain."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.01)


def json_app(status: int, body: bytes) -> App:
    """An application that answers everything alike."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app
