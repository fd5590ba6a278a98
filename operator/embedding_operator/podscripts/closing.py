"""Part of the middleware: closes connections politely, by `connection: close` on a response.

Leaving the Service stops new connections only: clients with a pooled connection go on sending to a pod that is ending,
and none of theirs go to a pod that is new. So every response closes its connection once the drain flag is up, and one
that has lasted for long enough is closed at any time; uvicorn honours it, and the client comes back through the
Service.
"""

from __future__ import annotations

import os

from embedding_operator.podscripts.age import Ages
from embedding_operator.podscripts.asgi import App, Message, Receive, Send
from embedding_operator.podscripts.state import DrainFlag

AGE = "EMBEDDING_OPERATOR_MAX_CONNECTION_AGE"  # seconds; absent or 0 for ever
IDLE = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE"  # seconds for which the server keeps an idle connection
VLLMS_IDLE = "5"


class Closing:
    """Outermost: what other parts answer closes too."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.flag = DrainFlag()
        limit = float(os.environ.get(AGE, "0"))
        self.ages = Ages(limit, float(os.environ.get(IDLE, VLLMS_IDLE))) if limit else None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        # The header exists in HTTP/1 only.
        if scope["type"] != "http" or not str(scope.get("http_version", "1.1")).startswith("1"):
            await self.app(scope, receive, send)
            return

        async def closing_send(message: Message) -> None:
            if message["type"] == "http.response.start" and (self.is_due(scope) or self.flag.is_up()):
                message = closed(message)
            await send(message)

        await self.app(scope, receive, closing_send)

    def is_due(self, scope: Message) -> bool:
        client = scope.get("client")
        if self.ages is None or not client or not client[1]:  # no port: a proxy's word, or no network at all
            return False
        return self.ages.is_due((client[0], client[1]))


def closed(start: Message) -> Message:
    """The start of a response after which the server closes the connection."""
    kept = [header for header in start.get("headers") or () if header[0].lower() != b"connection"]
    return {**start, "headers": [*kept, (b"connection", b"close")]}
