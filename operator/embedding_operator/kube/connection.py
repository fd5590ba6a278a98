"""One authenticated way to the API server: in-cluster first, else a kubeconfig."""

from __future__ import annotations

import ipaddress
import os
import socket
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import AddrInfoType
from yarl import URL

from embedding_operator.kube.access import Access, AccessError, Certificate, Credential
from embedding_operator.kube.incluster import is_in_a_pod, of_the_pod
from embedding_operator.kube.kubeconfig import files, of_kubeconfig
from embedding_operator.logs import call_id

TRANSPORT_ERRORS: Final = (aiohttp.ClientError, OSError, TimeoutError, AccessError)
_USER_AGENT: Final = "embedding-operator"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
_READ_BUFFER: Final = 2**20  # bytes: an object may be that large, and a watch tells many at once


class Connection:
    """An authenticated transport; close it when done.

    `unacknowledged` is how many seconds the kernel goes on sending what the other side does not acknowledge, be this
    process alive, stopped or dead; then the connection is dead, and what it held is never sent.
    """

    def __init__(self, access: Access, *, unacknowledged: float | None = None) -> None:
        self._access = access
        self._unacknowledged = unacknowledged
        self._server = access.server
        self._proxy = access.server.proxy or proxy_for(access.server.url)
        self._session: aiohttp.ClientSession | None = None
        self._certificate: Certificate | None = None  # the session's
        self._told: Credential | None = None

    @property
    def host(self) -> str:
        """The API server's URL."""
        return self._server.url

    @property
    def namespace(self) -> str:
        """Where somebody who names none works."""
        return self._access.namespace

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,
        begin: Callable[[], None] | None = None,
    ) -> aiohttp.ClientResponse:
        """Send it, and return the response as soon as its head is there.

        `begin` is called immediately before a body is given to the kernel, when credentials and a connection are there;
        what it raises is the cause of what is raised here, and nothing has been sent.
        Raises one of TRANSPORT_ERRORS: among them, that there are no credentials to be had just now.
        """
        credential = await self._access.credential()
        headers = _headers(credential)
        if (audit_id := call_id()) is not None:
            headers["Audit-ID"] = audit_id
        if body is not None:
            headers["Content-Type"] = content_type
        session = await self._open_session(credential.certificate)
        response = await session.request(
            method,
            self._url(path, query),
            data=_Guarded(body, begin) if body is not None and begin is not None else body,
            headers=headers,
            timeout=timeout or _TIMEOUT,
            server_hostname=self._server.name,
            proxy=self._proxy,
            allow_redirects=False,
        )
        if response.status == 401:
            self._access.refused(credential)
        return response

    async def websocket(
        self, path: str, *, query: Mapping[str, str], protocol: str
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """A WebSocket of that subprotocol. Raises one of TRANSPORT_ERRORS; what the server says against it is an
        aiohttp.WSServerHandshakeError among them."""
        credential = await self._access.credential()
        session = await self._open_session(credential.certificate)
        return await session.ws_connect(
            self._url(path, query),
            protocols=(protocol,),
            headers=_headers(credential, accept="*/*"),  # a kubelet answers 406 to any other: its routes name no type
            server_hostname=self._server.name,
            proxy=self._proxy,
            max_msg_size=0,
        )

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        return URL(f"{self._server.url}{path}{'?' + urlencode(query) if query else ''}", encoded=True)

    async def credentials(self) -> dict[str, Any]:
        """How to reach the server, in the words of Kopf's ConnectionInfo. Asked again, the last were refused."""
        if self._told is not None:
            self._access.refused(self._told)
        self._told = credential = await self._access.credential()
        username, password = credential.basic or (None, None)
        certificate = credential.certificate
        return {
            "server": self._server.url,
            "ca_data": self._server.authority,
            "insecure": self._server.insecure,
            "token": credential.token,
            "username": username,
            "password": password,
            "certificate_data": certificate.certificate if certificate else None,
            "private_key_data": certificate.key if certificate else None,
            "proxy_url": self._proxy,
        }

    async def close(self) -> None:
        """End what it holds open."""
        if self._session is not None:
            await self._session.close()

    async def _open_session(self, certificate: Certificate | None) -> aiohttp.ClientSession:
        """In the event loop that first needs it; another, where the client certificate was renewed."""
        if self._session is None or certificate != self._certificate:
            old, self._certificate = self._session, certificate
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._server.tls(certificate), socket_factory=self._socket),
                read_bufsize=_READ_BUFFER,
                # The environment's proxy was looked up once, above: aiohttp would look for each request.
                trust_env=False,
            )
            if old is not None:
                await old.close()
        return self._session

    def _socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        if self._unacknowledged is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            milliseconds = round(1000 * self._unacknowledged)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        return made


class _Guarded(aiohttp.BytesPayload):
    """A body that is asked about once more, STRICTLY BEFORE its bytes leave; aiohttp sends the head with them."""

    def __init__(self, value: bytes, begin: Callable[[], None]) -> None:
        super().__init__(value)
        self._begin = begin

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._begin()
        await super().write_with_length(writer, content_length)


async def connect(
    kubeconfig: Path | str | None = None, context: str | None = None, *, unacknowledged: float | None = None
) -> Connection:
    """In a pod (and no kubeconfig named): its service account. Otherwise the kubeconfig, as kubectl would.

    Raises AccessError if there is no usable one.
    """
    in_cluster = is_in_a_pod() and "KUBECONFIG" not in os.environ
    if kubeconfig is None and context is None and in_cluster:
        access = of_the_pod()
    else:
        access = of_kubeconfig(files(kubeconfig), context)
    await access.credential()  # what is wrong with them is told now
    return Connection(access, unacknowledged=unacknowledged)


def _headers(credential: Credential, accept: str = "application/json") -> dict[str, str]:
    headers = {"Accept": accept, "User-Agent": _USER_AGENT}
    if credential.header is not None:
        headers["Authorization"] = credential.header
    return headers


def proxy_for(host: str) -> str | None:
    """The proxy that the environment asks for, honouring NO_PROXY; both may be written as Go programs read them.

    Raises AccessError.
    """
    url = urlsplit(host)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme)
    if not proxy or not url.hostname or urllib.request.proxy_bypass(url.hostname):
        return None
    if _is_in_a_network_of(proxies.get("no", ""), url.hostname):
        return None
    if "://" in proxy and not proxy.startswith(("http://", "https://")):
        kind = proxy.partition(":")[0]  # without the password that may be in the rest
        raise AccessError(
            f"{url.scheme.upper()}_PROXY is of the kind {kind}, and only proxies that speak HTTP are known"
        )
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_in_a_network_of(no_proxy: str, host: str) -> bool:
    """Whether NO_PROXY names the host's network, as clusters' pod and service ranges are written (10.96.0.0/12)."""
    for entry in no_proxy.split(","):
        with suppress(ValueError):  # a name, not an address or a network
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip(), strict=False):
                return True
    return False
