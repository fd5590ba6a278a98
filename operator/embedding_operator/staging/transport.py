"""HTTP to the servers of a source and to the CDNs they redirect to: listings by aiohttp, files by `bodies.py`.

Credentials go to the origin that was asked only; redirects are therefore followed here, by hand. No URL is ever
logged or put into an error: the query of a CDN's URL is a credential too.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from embedding_operator import __version__

from .bodies import Bodies, Body, LineError, UntrustedError
from .errors import StageError
from .settings import Settings, parse_retry_after

REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5

_HEADERS = {"User-Agent": f"embedding-operator/{__version__}", "Accept-Encoding": "identity"}
_IN_URLS = "!#$%&'()*+,/:;=?@[]~"


class TransientError(Exception):
    """Worth another try: the network, a busy hub, a CDN's expired link."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StatusError(Exception):
    """The server's final word on a request."""

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers or {}


def is_transient(status: int) -> bool:
    """Whether an HTTP status may be another one soon; gateways have many of their own above 500."""
    return status in (408, 425, 429) or status >= 500


class Answer(Protocol):
    """An answer's head."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


A = TypeVar("A", bound=Answer)


class Transport:
    """A session of one run. Use as an async context manager."""

    def __init__(self, *, settings: Settings, connections: int, ca_file: Path | None = None) -> None:
        self._tls = _trust(ca_file)
        self._bodies = Bodies(settings, connections, self._tls)
        self._settings = settings
        self._connections = connections
        self._not_before = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout, sock_read=settings.idle_timeout
            ),
            trust_env=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bodies.close()
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def get(
        self,
        url: URL,
        private: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        data: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A GET, or what else is asked for, whose answer is 200, 204, 206 or 416.

        Failures are TransientError or StatusError, also while reading.

        `headers` go to whoever is asked in the end, the private ones to the URL's own origin only.
        """
        async with self._followed(partial(self._ask, method, data), url, private, headers or {}) as response:
            yield response

    @asynccontextmanager
    async def open(self, url: URL, private: Mapping[str, str], headers: Mapping[str, str]) -> AsyncIterator[Body]:
        """The same for a file's bytes."""
        try:
            async with self._followed(self._bodies.ask, url, private, {**_HEADERS, **headers}) as body:
                yield body
        except UntrustedError as error:
            raise _untrusted(str(error)) from None
        except LineError as error:
            raise TransientError(str(error)) from None

    @asynccontextmanager
    async def _ask(
        self, method: str, data: bytes | None, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None
        try:
            async with self._session.request(
                method, url, headers=headers, data=data, allow_redirects=False
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _in_words(error, url.host, self._settings) from None

    @asynccontextmanager
    async def _followed(
        self,
        ask: Callable[[URL, Mapping[str, str]], AbstractAsyncContextManager[A]],
        url: URL,
        private: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> AsyncIterator[A]:
        await self._wait_until_allowed()
        host, origin = url.host, url.origin()
        for _ in range(MAX_REDIRECTS + 1):
            host, own = url.host, url.origin() == origin
            async with ask(url, {**headers, **(private if own else {})}) as answer:
                if answer.status not in REDIRECTS or "x-amz-bucket-region" in answer.headers:
                    self._check(answer, host, own)
                    yield answer
                    return
                url = _redirect_target(url, answer)
        raise TransientError(f"{host} redirects without end")

    def _check(self, answer: Answer, host: str | None, own: bool) -> None:
        status = answer.status
        if status in (200, 204, 206, 416):
            return
        # A CDN's 403 or 404 is about a signed link that has expired: the hub gives a new one.
        if is_transient(status) or not own:
            retry_after = parse_retry_after(answer.headers.get("Retry-After"))
            if status == 429 and retry_after is not None:
                pause = min(retry_after, self._settings.retry_after_cap)
                self._not_before = max(self._not_before, time.monotonic() + pause)
            raise TransientError(f"{host} answers HTTP {status}", retry_after)
        raise StatusError(status, answer.headers)

    async def _wait_until_allowed(self) -> None:
        """A hub that says 429 to one request means all of them."""
        if (pause := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(pause)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """The machine's certificates, and those of the file."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(ca_file)
    except FileNotFoundError:
        raise StageError(
            "HubUnavailable",
            "the CA bundle is not there: make the ConfigMap of the install's staging.caBundle, or of "
            "spec.download.caBundleRef, with its key in this namespace",
        ) from None
    except ssl.SSLError:
        raise StageError("BadSource", "the CA bundle holds no certificates in PEM: look at its ConfigMap") from None
    return context


def _in_words(error: Exception, host: str | None, settings: Settings) -> TransientError | StageError:
    """What went wrong between here and the host; names a proxy where it is the proxy's doing."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return TransientError(f"cannot connect to {host} within {settings.connect_timeout:g} s")
        case TimeoutError():
            return TransientError(f"{host} sent nothing for {settings.idle_timeout:g} s")
        case aiohttp.ClientConnectorCertificateError():
            return _untrusted(host)
        case aiohttp.ClientProxyConnectionError():
            return TransientError(f"cannot connect to the proxy {error.host}:{error.port} (HTTP_PROXY, HTTPS_PROXY)")
        case aiohttp.ClientHttpProxyError():
            return TransientError(f"the proxy answers HTTP {error.status} instead of leading to {host}")
        case aiohttp.ClientConnectorError():
            return TransientError(f"cannot connect to {host}: {error.os_error.strerror or 'no address'}")
    return TransientError(f"the connection to {host} broke ({type(error).__name__})")


def _untrusted(host: str | None) -> StageError:
    return StageError(
        "HubUnavailable",
        f"the TLS certificate of {host} is not trusted: give the stager your CA by staging.caBundle of the "
        "install, or by spec.download.caBundleRef of the ModelCache",
    )


def _redirect_target(url: URL, answer: Answer) -> URL:
    """Where the answer leads to. Only what no URL may hold is encoded: a signature must stay as it is."""
    location = answer.headers.get("Location", "")
    try:
        target = url.join(URL(quote(location, safe=_IN_URLS), encoded=True))
    except ValueError:
        target = URL()
    if not location or target.scheme not in ("http", "https") or not target.host or target.user is not None:
        raise TransientError(f"{url.host} redirects to nowhere")
    return target
