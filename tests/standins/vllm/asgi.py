"""A small HTTP/1.1 server for one ASGI application, with uvicorn's manners where tests depend on them.

Keep-alive with an idle timeout; `connection: close` of a response closes after it; a client's hang-up reaches
the application as http.disconnect; shutdown closes the listener and idle connections and waits for the others
for as long as they take. Request bodies are read whole.
"""

import asyncio
import http
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
CHUNK = 65536


def value(headers: Headers, name: bytes) -> bytes:
    """A header's value in lower case, or nothing."""
    return next((content.lower() for key, content in headers if key.lower() == name), b"")


class Connection:
    """One client, request after request."""

    def __init__(self, app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: float) -> None:
        self.app, self.reader, self.writer, self.idle = app, reader, writer, idle
        self.pending = b""
        self.busy = False
        self.last = False
        self.gone = asyncio.Event()

    async def run(self) -> None:
        try:
            while not self.last and (head := await self.read_head()):
                self.busy = True
                await self.one_request(head)
                self.busy = False
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            pass  # the client left, idled too long, or does not speak HTTP: all end the connection
        finally:
            self.gone.set()
            self.writer.close()

    async def more(self) -> bool:
        data = await self.reader.read(CHUNK)
        self.pending += data
        return bool(data)

    async def read_head(self) -> bytes:
        """The next request's first lines; nothing when the client closed. The wait is the idle time."""
        async with asyncio.timeout(self.idle):
            while b"\r\n\r\n" not in self.pending:
                if not await self.more():
                    return b""
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        return head

    async def read_exactly(self, length: int) -> bytes:
        while len(self.pending) < length:
            if not await self.more():
                raise asyncio.IncompleteReadError(self.pending, length)
        body, self.pending = self.pending[:length], self.pending[length:]
        return body

    async def read_line(self) -> bytes:
        while b"\r\n" not in self.pending:
            if not await self.more():
                raise asyncio.IncompleteReadError(self.pending, None)
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    async def read_body(self, headers: Headers) -> bytes:
        if value(headers, b"expect") == b"100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if value(headers, b"transfer-encoding") != b"chunked":
            return await self.read_exactly(int(value(headers, b"content-length") or 0))
        body = b""
        while size := int((await self.read_line()).partition(b";")[0], 16):
            body += await self.read_exactly(size)
            await self.read_line()
        while await self.read_line():
            pass  # trailers
        return body

    async def one_request(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        method, target, version = first.decode("ascii").split(" ")
        headers: Headers = []
        for line in lines:
            name, _, content = line.partition(b":")
            headers.append((name.strip().lower(), content.strip()))
        self.last = self.last or value(headers, b"connection") == b"close" or version == "HTTP/1.0"
        path, _, query = target.partition("?")
        scope: Message = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": version.removeprefix("HTTP/"),
            "method": method, "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": query.encode(), "headers": headers,
            "client": self.writer.get_extra_info("peername")[:2],
        }  # fmt: skip
        exchange = Exchange(self, method, await self.read_body(headers))
        watcher = asyncio.create_task(self.watch())
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:
            print(f"ERROR:    Exception in ASGI application: {error!r}", flush=True)
            await exchange.fail()
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])
        self.last = self.last or self.gone.is_set()

    async def watch(self) -> None:
        """Notice the client's hang-up while the application works; early bytes are the next request's."""
        try:
            while await self.more():
                pass
        except ConnectionError:
            pass
        self.gone.set()


class Exchange:
    """receive() and send() of one request."""

    def __init__(self, connection: Connection, method: str, body: bytes) -> None:
        self.connection = connection
        self.head_only = method == "HEAD"
        self.body: bytes | None = body
        self.finished = asyncio.Event()
        self.started = False
        self.chunked = False
        self.start: Message = {}

    async def receive(self) -> Message:
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        ends = [asyncio.ensure_future(end.wait()) for end in (self.connection.gone, self.finished)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self.started:
            self.connection.writer.write(self.head(body, more))
            self.started = True
        if not self.head_only:
            self.connection.writer.write(self.frame(body, more))
        if not more:
            self.finished.set()
        if not self.connection.gone.is_set():
            await self.connection.writer.drain()

    def head(self, body: bytes, more: bool) -> bytes:
        headers: Headers = list(self.start.get("headers", []))
        if not value(headers, b"content-length"):
            self.chunked = more
            headers.append((b"transfer-encoding", b"chunked") if more else (b"content-length", b"%d" % len(body)))
        if value(headers, b"connection") == b"close":
            self.connection.last = True
        elif self.connection.last:
            headers.append((b"connection", b"close"))
        status = http.HTTPStatus(self.start["status"])
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), b"server: uvicorn"]
        return b"\r\n".join([*lines, *(name + b": " + content for name, content in headers), b"", b""])

    def frame(self, body: bytes, more: bool) -> bytes:
        if not self.chunked:
            return body
        framed = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return framed if more else framed + b"0\r\n\r\n"

    async def fail(self) -> None:
        """What uvicorn does about an application's exception."""
        self.connection.last = True
        if not self.started:
            self.start = {"status": 500, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
            await self.send({"type": "http.response.body", "body": b"Internal Server Error"})


class Server:
    """The listener and its connections."""

    def __init__(self, app: App, idle: float) -> None:
        self.app, self.idle = app, idle
        self.connections: dict[Connection, asyncio.Task[None]] = {}
        self.listener: asyncio.Server | None = None

    async def listen(self, **where: Any) -> None:
        self.listener = await asyncio.start_server(self.accept, backlog=2048, **where)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self.app, reader, writer, self.idle)
        self.connections[connection] = asyncio.ensure_future(connection.run())
        try:
            await self.connections[connection]
        finally:
            del self.connections[connection]

    async def close(self) -> None:
        """Stop listening, drop who is idle, and wait for the others, who may stay for ever."""
        assert self.listener is not None
        self.listener.close()
        for connection, task in list(self.connections.items()):
            connection.last = True
            if not connection.busy:
                task.cancel()
        while self.connections:
            await asyncio.wait(list(self.connections.values()))
            await asyncio.sleep(0)
