"""Requests to the server in a pod, each through a tunnel of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from embedding_operator.commands import CommandError
from embedding_operator.kube.connection import Connection
from embedding_operator.kube.portforward import forwarded

_MAX_ANSWER: Final = 64 << 20  # bytes; a hundred vectors of 4096 numbers are 8 MB of JSON
_TIMEOUT: Final = 120.0  # seconds; the first request of a kind may compile something


@dataclass(frozen=True, slots=True)
class Server:
    """A pod of a service, and what it wants to hear and see."""

    connection: Connection
    namespace: str
    service: str
    pod: str
    port: int
    tls: ssl.SSLContext | None = None
    key: str = ""

    async def ask(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """HTTP status and the answer's JSON (or its text). Raises CommandError where there is no answer."""
        async with forwarded(self.connection, self.namespace, self.pod, self.port) as tunnel:
            try:
                status, data = await asyncio.to_thread(self._exchange, tunnel.socket, path, body)
            except ssl.SSLCertVerificationError as error:
                raise CommandError(
                    f"the certificate of {self.host} is not that of an authority in --ca-file: {error.verify_message}"
                ) from None
            except (OSError, http.client.HTTPException) as error:
                told = tunnel.error or f"{type(error).__name__}: {error}".rstrip(": ")
                raise CommandError(f"pod {self.pod} did not answer {path}: {told}") from None
        try:
            return status, json.loads(data)
        except ValueError:
            return status, data[:300].decode("utf-8", "replace")

    @property
    def host(self) -> str:
        """The name that the server's certificate should have."""
        return f"{self.service}.{self.namespace}.svc"

    def _exchange(self, socket: Any, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        socket.settimeout(_TIMEOUT)
        client = http.client.HTTPConnection(self.host)
        # neither to be connected nor to be closed by the client: it is a tunnel already
        client.sock = self.tls.wrap_socket(socket, server_hostname=self.host) if self.tls else socket
        headers = {"Accept": "application/json", "Connection": "close"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            if body is None:
                client.request("GET", path, headers=headers)
            else:
                client.request("POST", path, json.dumps(body), headers | {"Content-Type": "application/json"})
            response = client.getresponse()
            return response.status, response.read(_MAX_ANSWER)
        finally:
            client.close()


def tls_context(authority: Path | None) -> ssl.SSLContext:
    """What a certificate is held against. Without an authority it is not verified: the API server and the kubelet, who
    are, lead to the very pod that is asked, and to nobody else."""
    context = ssl.create_default_context() if authority is None else _trusting(authority)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trusting(authority: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"--ca-file {authority}: {error.strerror or error}") from None


def error_message(answer: Any) -> str:
    """What the server says is wrong, in its own words."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return " ".join(str(message or answer).split())[:300]
