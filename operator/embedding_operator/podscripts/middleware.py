"""ASGI middleware for vLLM (`--middleware embedding_operator_middleware.DrainMiddleware`): polite draining.

vLLM pooling servers drop what is in flight on SIGTERM, with or without `--shutdown-timeout`, so all must be
done before the signal. Leaving the Service stops new connections only: clients with a pooled connection go
on sending to the terminating pod. So once the drain flag exists, every response carries `connection: close`,
which uvicorn honours, and preStop (drain.py) waits until nothing is in flight and nobody is connected.

It must never break, delay or change a request otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

DRAIN_FLAG = "/var/run/embedding-operator/draining"
READY = "/-/ready"
INFLIGHT = "/-/inflight"
# Asked for by kubelet and Prometheus for as long as the pod lives; a drain must not wait for them.
UNCOUNTED = frozenset({"/health", "/metrics"})


class DrainMiddleware:
    """Counts HTTP requests in flight exactly and closes connections while the drain flag exists."""

    def __init__(self, app: App) -> None:  # Starlette passes `app` by keyword in some releases
        self.app = app
        self.flag = os.environ.get("EMBEDDING_OPERATOR_DRAIN_FLAG", DRAIN_FLAG)
        self.inflight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # lifespan, websocket
            await self.app(scope, receive, send)
            return
        send = self.closing(scope, send)
        path = own_path(scope)
        if path == READY:
            await self.answer_ready(send)
        elif path == INFLIGHT:
            await answer(send, 200, {"inflight": self.inflight, "draining": self.draining()})
        elif path in UNCOUNTED:
            await self.app(scope, receive, send)
        else:
            await self.count(scope, receive, send)

    def draining(self) -> bool:
        """One stat per response: the flag is a file because preStop is another process."""
        try:
            os.stat(self.flag)  # noqa: PTH116  (os.stat is the cheap form)
        except OSError:
            return False
        return True

    async def answer_ready(self, send: Send) -> None:
        draining = self.draining()
        await answer(send, 503 if draining else 200, {"ready": not draining, "draining": draining})

    async def count(self, scope: Message, receive: Receive, send: Send) -> None:
        """Run the request: in flight until its last body byte, its client's hang-up, or its handler's end."""
        self.inflight += 1
        counted = True

        def done() -> None:
            nonlocal counted
            if counted:
                counted = False
                self.inflight -= 1

        async def watching_receive() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                done()
            return message

        async def watching_send(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                done()

        try:
            await self.app(scope, watching_receive, watching_send)
        finally:
            done()

    def closing(self, scope: Message, send: Send) -> Send:
        """`send`, with `connection: close` on a response that starts while draining."""

        async def closing_send(message: Message) -> None:
            # The header exists in HTTP/1 only.
            if (
                message["type"] == "http.response.start"
                and str(scope.get("http_version", "1.1")).startswith("1")
                and self.draining()
            ):
                kept = [header for header in message.get("headers") or () if header[0].lower() != b"connection"]
                message = {**message, "headers": [*kept, (b"connection", b"close")]}
            await send(message)

        return closing_send


def own_path(scope: Message) -> str:
    """The path as the client wrote it: some uvicorn releases put `--root-path` before it."""
    path, root = str(scope.get("path", "")), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root + "/") else path


async def answer(send: Send, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
