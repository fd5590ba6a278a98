"""A way to a port of a pod through the API server, as `kubectl port-forward` has it, over one WebSocket for each use.

Not the pods' proxy subresource: there the API server takes the Authorization header for its own and passes none on: a
server that wants an API key could not be asked; and it would verify no certificate.

The protocol is the older one of the two that kubelets speak (v4.channel.k8s.io, from Kubernetes' cri-streaming): two
channels, 0 for data and 1 for what went wrong, each beginning with the port as two bytes. The newer one puts SPDY's
frames into a WebSocket. What comes out here is a socket and no port of this machine: nobody else on it can use it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp

from embedding_operator.kube.connection import TRANSPORT_ERRORS, Connection
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import PODS
from embedding_operator.kube.sending import unreachable

_PROTOCOL: Final = "v4.channel.k8s.io"
_DATA: Final = 0
_PORT_BYTES: Final = 2  # at the beginning of each channel
_CHUNK: Final = 64 * 1024
_MAX_ERROR: Final = 4096


class Tunnel:
    """A connection to the pod: `socket` is this end of it, `error` what the other end had against it."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket, self._far = socket.socketpair()
        self._far.setblocking(False)
        self._websocket = websocket
        self._error = b""

    @property
    def error(self) -> str:
        """In the kubelet's words; empty as long as all is well."""
        return " ".join(self._error.decode("utf-8", "replace").split())

    async def carry(self) -> None:
        """Carry bytes both ways until either end is closed."""
        outward = asyncio.create_task(self._outward())
        try:
            await self._inward()
        finally:
            outward.cancel()
            with suppress(asyncio.CancelledError, *TRANSPORT_ERRORS):
                await outward
            self._far.close()

    async def _outward(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._far, _CHUNK):
            await self._websocket.send_bytes(bytes([_DATA]) + data)

    async def _inward(self) -> None:
        loop = asyncio.get_running_loop()
        waiting = [_PORT_BYTES, _PORT_BYTES]
        async for message in self._websocket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data or message.data[0] > 1:
                continue
            channel, data = message.data[0], message.data[1:]
            skipped = min(waiting[channel], len(data))
            waiting[channel] -= skipped
            if channel != _DATA:
                self._error = (self._error + data[skipped:])[:_MAX_ERROR]
            elif data[skipped:]:
                await loop.sock_sendall(self._far, data[skipped:])


@asynccontextmanager
async def forwarded(connection: Connection, namespace: str, pod: str, port: int) -> AsyncIterator[Tunnel]:
    """A tunnel to a port of a pod. Raises ApiError where the API server leads nobody there."""
    path = PODS.path(namespace, pod, "portforward")
    try:
        websocket = await connection.websocket(path, query={"ports": str(port)}, protocol=_PROTOCOL)
    except aiohttp.WSServerHandshakeError as error:
        raise _refused(error.status, namespace, pod, port) from error
    except TRANSPORT_ERRORS as error:
        raise unreachable(f"portforward {path}", error) from error
    tunnel = Tunnel(websocket)
    carrying = asyncio.create_task(tunnel.carry())
    try:
        yield tunnel
    finally:
        carrying.cancel()  # whoever still reads from the socket reads its end
        with suppress(asyncio.CancelledError, *TRANSPORT_ERRORS):
            await carrying
        tunnel.socket.close()
        await websocket.close()


def _refused(status: int, namespace: str, pod: str, port: int) -> ApiError:
    """The handshake's answer has no words that could be read, so these are ours."""
    told = {
        401: "the API server takes these credentials no more",
        403: f"forbidden: it takes the rights to get and create pods/portforward in namespace {namespace}",
        404: f"there is no pod {pod} in namespace {namespace} any more",
    }.get(status, f"asked for port {port} of pod {pod}, the API server or the node's kubelet answered HTTP {status}")
    return ApiError(status, f"HTTP{status}", told)
