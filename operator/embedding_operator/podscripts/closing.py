"""Part of the middleware: closes connections politely, by `connection: close` on a response.

Leaving the Service stops new connections only: clients with a pooled connection go on sending to a pod that is ending.
So once the drain flag is up, every response closes its connection, which uvicorn honours, and the client comes back
through the Service.
"""

from __future__ import annotations

from embedding_operator.podscripts.asgi import App, Message, Receive, Send
from embedding_operator.podscripts.state import DrainFlag


class Closing:
    """Outermost: what other parts answer closes too."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.flag = DrainFlag()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        # The header exists in HTTP/1 only.
        if scope["type"] != "http" or not str(scope.get("http_version", "1.1")).startswith("1"):
            await self.app(scope, receive, send)
            return

        async def closing_send(message: Message) -> None:
            if message["type"] == "http.response.start" and self.flag.is_up():
                message = closed(message)
            await send(message)

        await self.app(scope, receive, closing_send)


def closed(start: Message) -> Message:
    """The start of a response after which the server closes the connection."""
    kept = [header for header in start.get("headers") or () if header[0].lower() != b"connection"]
    return {**start, "headers": [*kept, (b"connection", b"close")]}
