"""HTTP to the server that embeds: a request and its answer, or that there is none.

The key goes to this server only and into no message. Proxies of the environment are for the way out of the cluster,
and this server is in it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from embedding_operator import __version__
from embedding_operator.staging.settings import parse_retry_after

from .errors import BatchError

log = logging.getLogger(__name__)

BUSY = frozenset({429, 503})


class GoneError(Exception):
    """No answer: the connection was refused or broke, or nothing came for too long."""

    def __init__(self, why: str, *, sent: bool = True) -> None:
        super().__init__(why)
        self.sent = sent
        """There was a connection, so the server may have had the request."""


@dataclass(frozen=True)
class Patience:
    """How long what is waited for. Tests hand in smaller numbers."""

    connect: float = 10.0
    answer: float = 900.0
    """Seconds for one request; a server that hangs is ended by its own liveness probe long before."""
    poll: float = 1.0
    """Between two looks whether the server is there."""
    silence: float = 1800.0
    """Seconds without any vector after which another pod may try: a cold start takes half an hour at most."""
    backoff_base: float = 0.25
    backoff_cap: float = 15.0
    failures: int = 5
    """Answers of 500 for the same rows before they are looked at one by one."""
    losses: int = 6
    """Broken connections for the same rows before this pod gives up."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer's status and content."""

    status: int
    content: bytes
    seconds: float
    """From the request's first byte to the answer's last."""
    retry_after: float | None = None


@dataclass
class Server:
    """The server at an address. Use as an async context manager."""

    url: str
    key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    patience: Patience = field(default_factory=Patience)
    space: str | None = None
    """The id of the embedding space that its vectors have to be of, where one is recorded."""
    clock: Callable[[], float] = time.monotonic
    answered: float = 0.0
    """When it embedded something last, or was met."""

    async def __aenter__(self) -> Self:
        self.answered = self.clock()
        headers = {"User-Agent": f"embedding-operator/{__version__}", "Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        patience = self.patience
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience.connect, sock_read=patience.answer)
        try:
            base = URL(self.url.rstrip("/"))
            if base.scheme not in ("http", "https") or not base.host:
                raise ValueError
            self._session = aiohttp.ClientSession(
                base_url=URL(f"{base}/"),
                connector=aiohttp.TCPConnector(limit=0, ssl=self._trust(), keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
                read_bufsize=1 << 20,
            )
        except ValueError:
            raise BatchError("InvalidSpec", f"{self.url} is no address of a server: write http://HOST:PORT") from None
        self._waiting: asyncio.Task[None] | None = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        await self._session.close()

    async def post(self, path: str, body: bytes) -> Reply:
        """The server's answer, whatever its status. Raises GoneError where there is none."""
        return await self._ask("POST", path, body)

    async def ready(self) -> None:
        """Come back when the server is up; all who wait look together. Raises BatchError when it stays away."""
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.create_task(self._until_healthy())
        await asyncio.shield(self._waiting)

    async def is_down(self) -> bool:
        """Whether nobody answers right now, or the server says that its engine is dead."""
        try:
            return (await self._ask("GET", "/health", None, timeout=self.patience.connect)).status != 200
        except GoneError:
            return True

    async def _until_healthy(self) -> None:
        told = False
        while True:
            why = "it does not answer"
            try:
                reply = await self._ask("GET", "/health", None, timeout=self.patience.connect)
                if reply.status == 200:
                    return
                why = f"/health answers {reply.status}"
            except GoneError as error:
                why = str(error)
            if not told:
                log.info("waiting for the server at %s: %s", self.url, why)
                told = True
            self.check_silence(why)
            await asyncio.sleep(self.patience.poll)

    def check_silence(self, why: str) -> None:
        """Give up when nothing was embedded for too long."""
        if self.clock() - self.answered > self.patience.silence:
            raise BatchError(
                "Unavailable",
                f"the server at {self.url} has not embedded anything for {self.patience.silence:g} s ({why}): look at "
                "the log of its container; what was finished is kept",
            )

    async def _ask(self, method: str, path: str, body: bytes | None, timeout: float | None = None) -> Reply:
        limit = None if timeout is None else aiohttp.ClientTimeout(total=timeout)
        began = self.clock()
        try:
            async with self._session.request(
                method, path.lstrip("/"), data=body, allow_redirects=False, timeout=limit or self._timeout
            ) as response:
                content = await response.read()
                after = parse_retry_after(response.headers.get("Retry-After"))
                if method == "POST" and response.status == 200:
                    self._check_space(response.headers.get("Embedding-Space"))
                    self.answered = self.clock()
                return Reply(response.status, content, self.clock() - began, after)
        except aiohttp.ClientConnectorCertificateError:
            raise BatchError(
                "Unauthorized",
                f"the TLS certificate of {self.url} is not trusted: give its CA (--ca-file), and name the server as "
                "its certificate does",
            ) from None
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            raise GoneError(_in_words(error), sent=not unsent) from None

    def _check_space(self, space: str | None) -> None:
        """In the middle of a service's rollout each answer says which vectors it holds: an index takes one kind."""
        if self.space is not None and space is not None and space != self.space:
            raise BatchError(
                "ModelChanged",
                f"the job's vectors are of space {self.space}, and a server of {self.url} gives those of {space}: make "
                "the job again when its rollout is over",
            )

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_file is not None:
            try:
                context.load_verify_locations(self.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise BatchError(
                    "InvalidSpec",
                    f"{self.ca_file} (spec.serviceRef.caBundleRef) holds no CA certificate that can be read: {error}",
                ) from None
        return context


def _in_words(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {error.os_error.strerror or 'no address'}"
        case TimeoutError():
            return "no answer came in time"
    return f"the connection broke ({type(error).__name__})"
