"""How to reach an API server and as whom: what a kubeconfig or a pod's service account comes down to."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

_NEW_SECONDS: Final = 10.0
_TOKEN_SECONDS: Final = 60.0  # a file is read again after it: projected tokens are renewed long before they end


class AccessError(Exception):
    """There is no usable way to the API server; says in one line why."""


@dataclass(frozen=True)
class Certificate:
    """A client certificate with its key, both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Credential:
    """Who asks. Nothing of it is shown when it is printed."""

    token: str | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    expires: float | None = None  # in the clock's seconds

    @property
    def header(self) -> str | None:
        """For Authorization."""
        if self.token:
            return f"Bearer {self.token}"
        return aiohttp.encode_basic_auth(*self.basic) if self.basic else None


@dataclass(frozen=True)
class Server:
    """Where, and how its certificate is checked."""

    url: str
    authority: str | None = None  # PEM; the system's authorities without it
    insecure: bool = False
    name: str | None = None  # to look for in its certificate, where it is not that of the URL
    proxy: str | None = None

    def tls(self, certificate: Certificate | None) -> ssl.SSLContext:
        """Raises AccessError if a certificate cannot be read."""
        try:
            context = ssl.create_default_context(cadata=self.authority)
            if certificate is not None:
                _load(context, certificate)
        except (ssl.SSLError, ValueError) as error:
            raise AccessError(f"the certificates of {self.url} are not usable: {error}") from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Access:
    """A server, and credentials that are asked for again when they have run out; many may ask at once."""

    def __init__(
        self, server: Server, credential: Callable[[], Awaitable[Credential]], namespace: str = "default"
    ) -> None:
        self.server = server
        self.namespace = namespace  # where somebody who names none works
        self._renew = credential
        self._known: Credential | None = None
        self._since = 0.0
        self._renewing = asyncio.Lock()

    async def credential(self) -> Credential:
        """Raises AccessError if there is none to be had."""
        if (known := self._good()) is not None:
            return known
        async with self._renewing:
            if (known := self._good()) is None:
                known = self._known = await self._renew()
                self._since = now()
            return known

    def refused(self, credential: Credential) -> None:
        """The server does not take it. That counts for one that is not new: a server that starts refuses everybody."""
        if self._known is credential and now() - self._since > _NEW_SECONDS:
            self._known = None

    def _good(self) -> Credential | None:
        known = self._known
        return known if known is not None and (known.expires is None or now() < known.expires) else None


def now() -> float:
    """The clock of `Credential.expires`."""
    return asyncio.get_running_loop().time()


def given(credential: Credential) -> Callable[[], Awaitable[Credential]]:
    """Always the same."""

    async def give() -> Credential:
        return credential

    return give


def token_file(path: Path, certificate: Certificate | None = None) -> Callable[[], Awaitable[Credential]]:
    """A token that somebody renews there."""

    async def read() -> Credential:
        return Credential(text_of(path).strip(), certificate=certificate, expires=now() + _TOKEN_SECONDS)

    return read


def text_of(path: Path) -> str:
    """A small text file. Raises AccessError."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"{path} cannot be read: {error}") from None


def decoded(data: str, what: str) -> str:
    """PEM that is written in base64. Raises AccessError."""
    try:
        return base64.b64decode("".join(data.split()), validate=True).decode("ascii")
    except ValueError:
        raise AccessError(f"{what} is not base64 of a PEM file") from None


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Python loads a certificate from files only; this one is readable for its owner alone, and for a moment."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{certificate.certificate}\n{certificate.key}\n")
        file.flush()
        context.load_cert_chain(file.name, password="")
