"""Part of the middleware: `/-/live`, which the liveness probe asks for.

vLLM's `/health` goes on answering 200 when the device hangs: nobody looks whether anything comes out. So this fails a
server that has requests and has completed none for too long. Long is a time in which requests waited; that nobody asks
is no hang, and neither is a request of a hundred thousand inputs: while nothing is completed, the engine's own counters
are looked at, which move with each step. Otherwise the answer is that of `/health`.

It must be the innermost part: an answer that another part gives is no sign of life of the engine.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from embedding_operator.podscripts.asgi import App, Message, Receive, Send, answer, own_path
from embedding_operator.podscripts.state import LastWords

LIVE = "/-/live"
DEFAULT_HANG_SECONDS = 300.0
METRICS_TIMEOUT = 3.0  # below the probe's
# requests that the engine has no part in
WITHOUT_ENGINE = frozenset({"/tokenize", "/detokenize"})
# what an engine of any release counts with each step, and nobody else
STEPS = (b"vllm:prompt_tokens_total", b"vllm:iteration_tokens_total_count")


class Progress:
    """For how long requests have waited since the server last showed that it gets on.

    One that has ended, be it refused, waits no more. One whose client gave up did wait, up to then: clients of a server
    that hangs give up and come again, and none of them may wait for as long as it takes to tell.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.arrivals: dict[object, float] = {}  # of those that wait, the oldest first
        self.given_up = 0.0  # seconds, of those that are gone; none counted twice
        self.counted_to = clock()

    def begin(self) -> object:
        request = object()
        self.arrivals[request] = self.clock()
        return request

    def ended(self, request: object) -> None:
        self.arrivals.pop(request, None)

    def left(self, request: object) -> None:
        arrival = self.arrivals.pop(request, None)
        if arrival is not None:
            self.given_up += max(0.0, self.clock() - max(arrival, self.counted_to))
            self.counted_to = self.clock()

    def seen(self) -> None:
        """The server gets on: all waiting begins anew."""
        self.given_up = 0.0
        self.counted_to = self.clock()

    def waited(self) -> float:
        """0 while nobody waits: a server that nobody asks is not hung."""
        oldest = next(iter(self.arrivals.values()), None)
        if oldest is None:
            return 0.0
        return self.given_up + max(0.0, self.clock() - max(oldest, self.counted_to))


class Liveness:
    def __init__(self, app: App) -> None:
        self.app = app
        self.limit = hang_seconds()
        self.progress = Progress()
        self.steps: bytes | None = None  # the engine's counters, as they were seen last
        self.last_words = LastWords()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif own_path(scope) == LIVE:
            await self.live(scope, receive, send)
        elif self.limit and scope.get("method") == "POST" and own_path(scope) not in WITHOUT_ENGINE:
            await self.watched(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def watched(self, scope: Message, receive: Receive, send: Send) -> None:
        request = self.progress.begin()
        succeeded = False

        async def watching_receive() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.progress.left(request)
            return message

        async def watching_send(message: Message) -> None:
            nonlocal succeeded
            if message["type"] == "http.response.start":
                succeeded = 200 <= message["status"] < 300
            if succeeded:  # also a part of a body: it got on that far
                self.progress.seen()
            await send(message)

        try:
            await self.app(scope, watching_receive, watching_send)
        finally:
            self.progress.ended(request)

    async def live(self, scope: Message, receive: Receive, send: Send) -> None:
        waited = await self.waited(scope)
        if self.limit and waited > self.limit:
            count = len(self.progress.arrivals)
            self.last_words.say(
                f"embedding-operator live: hung: {count} requests in flight, none completed for {waited:.0f} s"
            )
            await answer(send, 503, {"live": False, "inflight": count, "seconds": round(waited)})
            return
        self.last_words.take_back()
        await self.app(at(scope, "/health"), receive, send)

    async def waited(self, scope: Message) -> float:
        """For how long nothing got on, as far as requests and, where these say nothing, the engine tell."""
        if self.progress.waited() <= self.limit / 4:
            self.steps = None
            return self.progress.waited()
        steps = await self.counted_steps(scope)
        if steps is not None and self.steps is not None and steps != self.steps:
            self.progress.seen()
        self.steps = steps
        return self.progress.waited()

    async def counted_steps(self, scope: Message) -> bytes | None:
        """The engine's counters, asked for within this process; None where they cannot be had."""
        body = bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            body.extend(message.get("body") or b"")

        try:
            await asyncio.wait_for(self.app(at(scope, "/metrics"), receive, send), METRICS_TIMEOUT)
        except Exception:  # whatever it is, it says nothing about the engine
            return None
        return b"\n".join(line for line in bytes(body).splitlines() if line.startswith(STEPS)) or None


def at(scope: Message, path: str) -> Message:
    """The same request for another path."""
    before = str(scope["path"])[: -len(LIVE)]  # a root path, where uvicorn leaves it there
    return {**scope, "path": before + path, "raw_path": (before + path).encode()}


def hang_seconds() -> float:
    """0 for never."""
    try:
        return max(0.0, float(os.environ.get("EMBEDDING_OPERATOR_HANG_SECONDS", DEFAULT_HANG_SECONDS)))
    except ValueError:
        return DEFAULT_HANG_SECONDS
