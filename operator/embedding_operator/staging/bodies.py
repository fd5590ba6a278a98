"""The bytes of files: a connection and a thread for each answer that is being read.

What passes through an event loop is copied from object to object, which costs several times what hashing does; here
a thread reads from the socket into one buffer, and no other lies between. A stop does not wait for a server that says
nothing: it shuts the connection down. Redirects are not followed, and failures are LineErrors, whose words name hosts
and never a URL.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar
from urllib.request import getproxies, proxy_bypass

from aiohappyeyeballs import start_connection
from multidict import CIMultiDict
from yarl import URL

from .settings import Settings
from .threads import to_its_end

P = ParamSpec("P")
T = TypeVar("T")

REFUSAL_MAX_BYTES = 64 << 10
CHUNKED_BYTES = 64 << 10
"""What http.client makes an object of where a body comes in chunks."""


class LineError(Exception):
    """What is wrong between here and a host."""


class UntrustedError(LineError):
    """The host's certificate is nobody's that we trust."""


@dataclass(frozen=True)
class _Way:
    """Where a connection leads, and by which proxy."""

    origin: URL
    proxy: URL | None

    @property
    def is_tls(self) -> bool:
        return self.origin.scheme == "https"

    @property
    def host(self) -> str:
        return self.origin.raw_host or ""

    @property
    def proxy_credentials(self) -> dict[str, str]:
        if self.proxy is None or self.proxy.raw_user is None:
            return {}
        pair = f"{self.proxy.user}:{self.proxy.password or ''}"
        return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


class _Line:
    """One connection. Its blocking methods belong into a thread; `cut` ends them from any other."""

    def __init__(self, way: _Way, sock: socket.socket, settings: Settings) -> None:
        self.way = way
        self._sock = sock
        self._settings = settings
        self._http: http.client.HTTPConnection | None = None

    def open(self, tls: ssl.SSLContext) -> None:
        """Speak with the proxy, and TLS, as far as the way wants it."""
        way = self.way
        if not way.is_tls:
            self._http = http.client.HTTPConnection(way.host, way.origin.port)
        else:
            with self.words():
                if way.proxy is not None:
                    self._tunnel()
                # STRICTLY known before it blocks, so that `cut` finds it
                self._sock = tls.wrap_socket(self._sock, server_hostname=way.host, do_handshake_on_connect=False)
                self._sock.do_handshake()
            self._http = http.client.HTTPSConnection(way.host, way.origin.port, context=tls)
        self._http.sock = self._sock
        self._http.auto_open = 0  # of itself it would go another way

    def ask(self, url: URL, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send a GET; gives the answer's head. What is no file's body is read, to use the connection again."""
        assert self._http is not None
        by_proxy = self.way.proxy is not None and not self.way.is_tls
        target = str(url.with_fragment(None)) if by_proxy else url.raw_path_qs
        with self.words():
            self._http.request("GET", target, headers={**headers, **(self.way.proxy_credentials if by_proxy else {})})
            response = self._http.getresponse()
            if response.status not in (200, 206):
                response.read(REFUSAL_MAX_BYTES)
        return response

    def receive(self, view: memoryview) -> int:
        """Wait for bytes that follow a head. Called for every 16 KB of TLS, for which OpenSSL gives no more at once."""
        try:
            return self._sock.recv_into(view)
        except OSError as error:
            raise self._told(error) from None

    def cut(self) -> None:
        """Whoever reads or writes gets an end or an error at once."""
        with suppress(OSError):  # SSLSocket's own would let the reader go on with the bytes as they came
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        self._sock.close()

    def _tunnel(self) -> None:
        authority = f"{self.way.origin.host_subcomponent}:{self.way.origin.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        lines += [f"{name}: {value}" for name, value in self.way.proxy_credentials.items()]
        self._sock.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        answer = http.client.HTTPResponse(self._sock, method="CONNECT")
        try:
            answer.begin()
        finally:
            answer.close()
        if answer.status != 200:
            raise LineError(f"the proxy answers HTTP {answer.status} instead of leading to {self.way.host}")

    @contextmanager
    def words(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> LineError:
        host = self.way.host
        match error:
            case TimeoutError():
                return LineError(f"{host} sent nothing for {self._settings.idle_timeout:g} s")
            case ssl.SSLCertVerificationError():
                return UntrustedError(host)
        return LineError(f"the connection to {host} broke ({type(error).__name__})")


class Body:
    """An answer: its head, and the bytes that follow."""

    def __init__(self, line: _Line, response: http.client.HTTPResponse, threads: ThreadPoolExecutor) -> None:
        self.status = response.status
        self.headers = CIMultiDict(response.getheaders())
        self.length = response.length
        """What the server says that follows; None if it does not."""
        self._line = line
        self._response = response
        self._threads = threads
        self._early: memoryview | None = None

    def readinto(self, view: memoryview) -> int:
        """Wait for bytes; gives how many there were, 0 at the end."""
        response = self._response
        if response.chunked:
            with self._line.words():
                return response.readinto1(view[:CHUNKED_BYTES])
        if self._early is None:  # what came with the head is in the response's buffer; all else passes it by
            with self._line.words():
                self._early = memoryview(response.read1(io.DEFAULT_BUFFER_SIZE))
        if self._early:
            count = min(len(view), len(self._early))
            view[:count], self._early = self._early[:count], self._early[count:]
            return count
        if response.isclosed() or response.length == 0:
            return 0
        count = self._line.receive(view[: response.length])
        if response.length is not None:
            response.length -= count
        return count

    def cut(self) -> None:
        """Whoever reads gets no more."""
        self._line.cut()

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work that reads. When the caller is cancelled, the connection is cut, and the work's end awaited."""
        piece = asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))
        return await to_its_end(piece, self._line.cut)

    @property
    def is_read(self) -> bool:
        """Whether another request can follow on the same connection."""
        at_end = self._response.isclosed() if self._response.chunked else self._response.length == 0
        return at_end and not self._early and not self._response.will_close


class Bodies:
    """The connections of one run. Close it when done."""

    def __init__(self, settings: Settings, connections: int, tls: ssl.SSLContext) -> None:
        self._settings = settings
        self._tls = tls
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="body")
        self._idle: dict[_Way, list[_Line]] = {}

    def close(self) -> None:
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._idle.clear()
        self._threads.shutdown(wait=False)

    @asynccontextmanager
    async def ask(self, url: URL, headers: Mapping[str, str]) -> AsyncIterator[Body]:
        """The answer to a GET, whatever it is."""
        line, response = await self._answer(_Way(url.origin(), proxy_for(url)), url, headers)
        body = Body(line, response, self._threads)
        try:
            yield body
        finally:
            keep = body.is_read
            response.close()
            if keep:
                self._idle.setdefault(line.way, []).append(line)
            else:
                line.close()

    async def _answer(self, way: _Way, url: URL, headers: Mapping[str, str]) -> tuple[_Line, http.client.HTTPResponse]:
        while idle := self._idle.get(way):
            line = idle.pop()
            with suppress(LineError):  # the server has closed it meanwhile
                return line, await self._on(line, line.ask, url, headers)
        line = _Line(way, await self._dial(way), self._settings)
        await self._on(line, line.open, self._tls)
        return line, await self._on(line, line.ask, url, headers)

    async def _on(self, line: _Line, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Without an answer a connection is of no use any more."""
        piece = asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))
        try:
            return await to_its_end(piece, line.cut)
        except BaseException:
            line.close()
            raise

    async def _dial(self, way: _Way) -> socket.socket:
        to = way.proxy or way.origin
        limit = self._settings.connect_timeout
        try:
            async with asyncio.timeout(limit):
                loop = asyncio.get_running_loop()
                addresses = await loop.getaddrinfo(to.raw_host, to.port, type=socket.SOCK_STREAM)
                sock = await start_connection(addresses, happy_eyeballs_delay=0.25, interleave=1)
        except OSError as error:
            if way.proxy is not None:
                what = f"the proxy {to.host}:{to.port} (HTTP_PROXY, HTTPS_PROXY)"
                raise LineError(f"cannot connect to {what}") from None
            if isinstance(error, TimeoutError):
                raise LineError(f"cannot connect to {to.host} within {limit:g} s") from None
            raise LineError(f"cannot connect to {to.host}: {error.strerror or 'no address'}") from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self._settings.idle_timeout)
        return sock


def proxy_for(url: URL) -> URL | None:
    """The proxy that the environment asks for, honouring NO_PROXY."""
    if proxy_bypass(url.raw_host or ""):
        return None
    proxy = URL(getproxies().get(url.scheme, ""))
    return proxy if proxy.scheme == "http" and proxy.host else None
