"""Part of the middleware: `/-/ready`, which the readiness probe asks for.

503 as soon as the pod drains, so that it leaves the Service before its server ends.
"""

from __future__ import annotations

from embedding_operator.podscripts.asgi import App, Message, Receive, Send, answer, own_path
from embedding_operator.podscripts.state import DrainFlag

READY = "/-/ready"


class Readiness:
    def __init__(self, app: App) -> None:
        self.app = app
        self.flag = DrainFlag()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and own_path(scope) == READY:
            draining = self.flag.is_up()
            await answer(send, 503 if draining else 200, {"ready": not draining, "draining": draining})
        else:
            await self.app(scope, receive, send)
