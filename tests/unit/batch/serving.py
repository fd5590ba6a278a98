"""The vLLM double in the test's own process, with faults put before it: what a driver meets in a cluster."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from embedding_operator.batch.batches import Estimate
from embedding_operator.batch.embedding import Embedder
from embedding_operator.batch.handshake import meet
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.pace import Filling
from embedding_operator.batch.persistence import Persistent
from embedding_operator.batch.rows import BadRow, Row, Vector
from embedding_operator.batch.server import Patience, Server
from tests.standins.vllm.app import Api
from tests.standins.vllm.asgi import Server as Listener
from tests.standins.vllm.engine import Engine
from tests.standins.vllm.model import Model
from tests.standins.vllm.process import write_model

QUICK = Patience(connect=5, answer=30, poll=0.02, silence=60, backoff_base=0.005, backoff_cap=0.02)
SIZE = 16
Fault = int | str | None
"""A status, `hangup` (no answer at all), `death` (of the engine, with all that is in flight), or none."""
ENGINE_DIED = "EngineCore encountered an issue. See stack trace (above) for the root cause."


def job(task: str = "Embed", **fields: Any) -> JobSpec:
    """One for the double, with fields of the document by their names."""
    document: dict[str, Any] = {
        "name": "job",
        "namespace": "ns",
        "key": "0" * 16,
        "task": task,
        "input": {"root": "/input", "files": ["*"], "format": "JsonLines"},
        "output": {"root": "/output", "format": "Parquet"},
        "model": {"servedName": "tiny"},
        "progressPort": None,
    }
    return JobSpec.model_validate(document | fields)


class Double:
    """The double, listening; a server that is down can be brought up again at the same address."""

    def __init__(self, directory: Path, *, version: str = "0.32.0", max_num_seqs: int = 256, **model: Any) -> None:
        # so many tokens that no two words share one: each text has a vector that tells it
        settings = {"hidden_size": SIZE, "vocab_size": 1 << 60, "is_matryoshka": True, "max_position_embeddings": 128}
        path = write_model(directory / "model", **settings | model)
        self.model = Model.load(str(path), None, {})
        self.engine = Engine(latency=0.0, max_num_seqs=max_num_seqs, shutdown_timeout=0.0)
        self.api = Api(model=self.model, names=["tiny"], engine=self.engine, version=version, tracks_load=False)
        self.fault: Callable[[int, dict[str, Any]], Fault] = lambda number, request: None
        """What becomes of a request that embeds or scores, by its number from 1 and its content."""
        self.space: str | None = None
        """What its answers name as their embedding space, as the operator's middleware does."""
        self.requests: list[dict[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._listener: Listener | None = None
        self.deaths = 0
        """Of its engine."""
        self.dies_with = 500
        """The status that its clients get then."""
        self._dies = asyncio.Event()
        self._dead = 0
        """How many of those who have lost a request have yet to look; then it is as if it had been started anew."""

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def up(self) -> None:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        self.port = bound.getsockname()[1]
        self._listener = Listener(self.app, idle=30)
        await self._listener.listen(sock=bound, ssl=self.tls)

    async def down(self) -> None:
        """As one that is killed: whatever is in flight is lost."""
        assert self._listener is not None
        for task in self._listener.connections.values():
            task.cancel()
        await self._listener.close()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/health" and self._dead:
            self._dead -= 1
            await answer(send, 503, None)
            return
        if scope["method"] != "POST" or scope["path"] == "/tokenize":
            await self.api(scope, receive, send)
            return
        message = await receive()
        request = json.loads(message["body"])
        self.requests.append(request)
        fault = self.fault(len(self.requests), request) if not self._dead else None
        if fault == "death":
            self._dies.set()
            self._dies = asyncio.Event()
            self.deaths += 1
        if fault == "death" or self._dead:
            await self._lost(send)
            return
        if fault == "hangup":
            raise asyncio.CancelledError  # the connection ends without a word
        if isinstance(fault, int):
            await answer(send, fault, {"error": {"message": f"a fault of {fault}", "code": fault}})
            return
        given = iter([message])

        async def again() -> Any:
            return next(given, None) or await receive()

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start" and self.space:
                message = {**message, "headers": [*message["headers"], (b"embedding-space", self.space.encode())]}
            await send(message)

        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        working = asyncio.ensure_future(self.api(scope, again, named))
        dying = asyncio.ensure_future(self._dies.wait())
        try:
            await asyncio.wait([working, dying], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
            else:
                await self._lost(send)
        finally:
            working.cancel()
            dying.cancel()
            self.in_flight -= 1

    async def _lost(self, send: Any) -> None:
        self._dead += 1
        await answer(send, self.dies_with, {"error": {"message": ENGINE_DIED, "code": self.dies_with}})


async def answer(send: Any, status: int, content: Any) -> None:
    body = json.dumps(content).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"retry-after", b"0")]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(directory: Path, **model: Any) -> AsyncIterator[Double]:
    double = Double(directory, **model)
    await double.up()
    try:
        yield double
    finally:
        await double.down()


@asynccontextmanager
async def embedding(double: Double, spec: JobSpec | None = None, **more: Any) -> AsyncIterator[Embedder]:
    """What a pod has once it has met the server."""
    async with Server(double.url, patience=more.pop("patience", QUICK)) as server:
        line = Persistent(server)
        met = await meet(spec or job(), line)
        double.requests.clear()
        yield Embedder(met, line, more.pop("pace", None) or Filling(4), Estimate(), **more)


async def until(condition: Callable[[], bool], running: asyncio.Future[Any] | None = None) -> None:
    """Look again and again; what runs must not end before."""
    for _ in iter(condition, True):
        assert running is None or not running.done(), running.exception()
        await asyncio.sleep(0.002)


def rows(texts: Sequence[str]) -> list[Row]:
    return [Row(number, f"id-{number}", text=text) for number, text in enumerate(texts)]


def texts(count: int) -> list[str]:
    return [f"word{number} of row number {number}" for number in range(count)]


def assert_of(
    double: Double, results: Sequence[Vector | BadRow], asked: Sequence[Row], bad: Sequence[int] = ()
) -> None:
    """Each row is there once and in its place, with the vector of its own text; these are bad."""
    got = [result.number if isinstance(result, BadRow) else result.row.number for result in results]
    assert got == [row.number for row in asked]
    assert [result.number for result in results if isinstance(result, BadRow)] == list(bad)
    for result in results:
        if isinstance(result, Vector):
            assert result.row is asked[result.row.number - asked[0].number]
            numbers = double.model.embed(double.model.tokenize(result.row.text or ""))
            assert result.values == struct.pack(f"<{SIZE}f", *numbers)
