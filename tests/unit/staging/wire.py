"""A server that does as it is told, and how tests read a file from it into a partial one."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from yarl import URL

from embedding_operator.staging.partial import PartialFile
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.transport import Transport
from tests.cluster.certificates import Authority

CONTENT = bytes(range(256)) * 4000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)


class Server:
    """Serves each connection as it is told, and keeps the heads of all requests."""

    def __init__(self, serve: Callable[[Server, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.heads: list[str] = []
        self.asked = asyncio.Event()
        self.going_on = asyncio.Event()
        self.connections = 0
        self.port = 0
        self._serve = serve
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def head(self, reader: asyncio.StreamReader) -> str | None:
        """The next request's; None where there is no other."""
        try:
            text = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        self.heads.append(text)
        self.asked.set()
        return text

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> URL:
        return URL(f"{scheme}://{host}:{self.port}/a%20file?signature=%2F", encoded=True)

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            self._open[asyncio.current_task()] = writer
            await self._serve(self, reader, writer)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._open.values():
                writer.transport.abort()
            await asyncio.gather(*filter(None, self._open), return_exceptions=True)


async def keeps_alive(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await server.head(reader):
        writer.write(OK + CONTENT)
        await writer.drain()


async def answers_once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """And hangs up, though it said nothing of that."""
    await server.head(reader)
    writer.write(OK + CONTENT)
    await writer.drain()
    writer.close()


async def goes_silent(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.head(reader)
    writer.write(OK + CONTENT[:1000])
    await server.head(reader)


def serving_tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("hub", "localhost", hosts=["localhost"]))
    return context


def transport(idle_timeout: float = 60.0, ca_file: Path | None = None) -> Transport:
    settings = Settings(idle_timeout=idle_timeout, connect_timeout=5.0)
    return Transport(settings=settings, connections=2, ca_file=ca_file)


async def fetched(line: Transport, url: URL, partial: PartialFile, most: int = 1 << 30) -> int:
    """Into the file; gives the number of pieces."""
    await partial.resume(len(CONTENT), lambda count: None)
    pieces = 0
    async with line.open(url, {}, {}) as body:
        while await body.in_thread(partial.take, body.readinto, len(CONTENT), most):
            pieces += 1
    return pieces


def assert_whole(partial: PartialFile) -> None:
    assert partial.path.read_bytes() == CONTENT
    assert partial.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert partial.offset == len(CONTENT)
