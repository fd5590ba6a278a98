"""ASGI middleware for vLLM (`--middleware embedding_operator_middleware.Middleware`): what its server lacks.

It is a row of small parts, each a module of its own and an ASGI application around the next one; what a part needs to
know is in the environment. vLLM pooling servers drop what is in flight on SIGTERM, with or without
`--shutdown-timeout`, so all must be done before the signal: preStop (drain.py) waits until the parts here say that
nothing is in flight, and nobody is connected.

A part must never break, delay or change a request, but for what it is there for.
"""

from __future__ import annotations

from collections.abc import Callable

from embedding_operator.podscripts.asgi import App, Message, Receive, Send
from embedding_operator.podscripts.closing import Closing
from embedding_operator.podscripts.inflight import Inflight
from embedding_operator.podscripts.keys import Keys
from embedding_operator.podscripts.liveness import Liveness
from embedding_operator.podscripts.prompts import Prompts
from embedding_operator.podscripts.readiness import Readiness
from embedding_operator.podscripts.space import Space

# The outermost first: a request passes them from top to bottom, its response from bottom to top.
PARTS: tuple[Callable[[App], App], ...] = (
    Closing,
    Space,
    Readiness,
    Keys,
    Inflight,
    Prompts,
    Liveness,
)


class Middleware:
    """vLLM's application behind all parts."""

    def __init__(self, app: App) -> None:  # Starlette passes `app` by keyword in some releases
        for part in reversed(PARTS):
            app = part(app)
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
