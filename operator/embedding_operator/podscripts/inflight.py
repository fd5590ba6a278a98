"""Part of the middleware: counts requests in flight exactly, tells preStop the count at `/-/inflight`, and bounds it.

The engine's own gauges miss what its HTTP server is still reading, preparing or sending. Above the bound a client is
told at once to come again, instead of after minutes in a queue; and on another connection, which may lead elsewhere.
"""

from __future__ import annotations

import os

from embedding_operator.podscripts.asgi import App, Message, Receive, Send, answer, own_path, refuse
from embedding_operator.podscripts.state import DrainFlag

MOST = "EMBEDDING_OPERATOR_MAX_IN_FLIGHT"  # of this process; absent or 0 for no bound
RETRY_AFTER = b"1"  # seconds
INFLIGHT = "/-/inflight"
OURS = "/-/"
# Asked for by kubelet and Prometheus for as long as the pod lives; a drain must not wait for them.
UNCOUNTED = frozenset({"/health", "/metrics"})


class Inflight:
    def __init__(self, app: App) -> None:
        self.app = app
        self.flag = DrainFlag()
        self.most = int(os.environ.get(MOST, "0"))
        self.count = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        path = own_path(scope)
        if scope["type"] == "http" and path == INFLIGHT:
            await answer(send, 200, {"inflight": self.count, "draining": self.flag.is_up()})
        elif scope["type"] != "http" or path in UNCOUNTED or path.startswith(OURS):
            await self.app(scope, receive, send)
        elif self.most and self.count >= self.most:
            told = f"{self.count} requests are in flight, which is this server's bound: try again later"
            again = (b"retry-after", RETRY_AFTER), (b"connection", b"close")
            await refuse(receive, send, 503, "ServiceUnavailableError", told, *again)
        else:
            await self.counted(scope, receive, send)

    async def counted(self, scope: Message, receive: Receive, send: Send) -> None:
        """Run the request: in flight until its last body byte, its client's hang-up, or its handler's end."""
        self.count += 1
        counted = True

        def done() -> None:
            nonlocal counted
            if counted:
                counted = False
                self.count -= 1

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
