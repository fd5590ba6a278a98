"""How far a run is: a small record, a log line now and then, and GET /progress for the operator.

The page tells names and numbers only, and answers nothing but that path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, Protocol

from aiohttp import web

log = logging.getLogger(__name__)

Phase = Literal["Listing", "Downloading", "Verifying", "Publishing"]

WINDOW_SECONDS = 20.0


class Reported(Protocol):
    """What can be reported."""

    def sample(self) -> None:
        """Look at the clock, once a second or oftener."""

    def snapshot(self) -> dict[str, Any]:
        """The page: names and numbers."""

    def line(self) -> str:
        """For the log."""


class Progress:
    """Counts bytes. `done` may fall again when a file has to be restarted; the rate looks at work only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.phase: Phase = "Listing"
        self.total = 0
        self.done = 0
        self.file: str | None = None
        self._clock = clock
        self._worked = 0
        self._samples: deque[tuple[float, int]] = deque([(clock(), 0)])

    def start(self, phase: Phase, total: int) -> None:
        self.phase, self.total, self.done = phase, total, 0
        self._worked = 0
        self._samples = deque([(self._clock(), 0)])

    def work(self, count: int) -> None:
        """Bytes fetched or hashed just now."""
        self.done += count
        self._worked += count

    def credit(self, count: int) -> None:
        """Bytes that are there already (or, negative, that were for nothing)."""
        self.done += count

    def sample(self) -> None:
        now = self._clock()
        self._samples.append((now, self._worked))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def bytes_per_second(self) -> int:
        since, worked = self._samples[0]
        elapsed = self._clock() - since
        return int((self._worked - worked) / elapsed) if elapsed > 0 else 0

    def snapshot(self) -> dict[str, str | int]:
        """The document; what is not known is left out."""
        done = max(0, min(self.done, self.total))
        rate = self.bytes_per_second
        document: dict[str, str | int] = {
            "phase": self.phase,
            "percent": done * 100 // self.total if self.total else 0,
            "bytes": done,
            "totalBytes": self.total,
            "bytesPerSecond": rate,
        }
        if rate > 0:
            document["secondsLeft"] = -(-(self.total - done) // rate)
        if self.file:
            document["file"] = self.file
        return document

    def line(self) -> str:
        now = self.snapshot()
        left = f", {now['secondsLeft']} s left" if "secondsLeft" in now else ""
        return (
            f"{self.phase.lower()}: {now['percent']}% ({human(int(now['bytes']))} of {human(self.total)}), "
            f"{human(int(now['bytesPerSecond']))}/s{left}"
        )


def human(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


@asynccontextmanager
async def reported(progress: Reported, *, port: int | None, log_every: float) -> AsyncIterator[int | None]:
    """Log and serve the progress while the body runs; gives the port that is served, if any."""
    ticker = asyncio.create_task(_tick(progress, log_every))
    runner: web.AppRunner | None = None
    served: int | None = None
    try:
        if port is not None:
            runner, served = await _serve(progress, port)
        yield served
    finally:
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker
        if runner is not None:
            await runner.cleanup()


async def _serve(progress: Reported, port: int) -> tuple[web.AppRunner | None, int | None]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(progress.snapshot())

    app = web.Application()
    app.router.add_get("/progress", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host=None, port=port).start()
    except OSError as error:  # weights matter more than a percentage
        log.warning("progress is not served on port %d: %s", port, error.strerror or error)
        await runner.cleanup()
        return None, None
    # With port 0 each address family gets a port of its own; IPv4 addresses are the pairs.
    ports = {len(address): int(address[1]) for address in runner.addresses}
    return runner, ports.get(2) or next(iter(ports.values()))


async def _tick(progress: Reported, log_every: float) -> None:
    logged = time.monotonic()
    while True:
        await asyncio.sleep(min(1.0, log_every))
        progress.sample()
        if time.monotonic() - logged >= log_every:
            logged = time.monotonic()
            log.info("%s", progress.line())
