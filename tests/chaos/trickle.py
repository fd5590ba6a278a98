"""Keep-alive clients that ask through a Service and never retry: a steady trickle, or a crowd.

They run on this machine, so neither a lost node nor an API server that is away takes them along.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tests.standins.load import Load

_WORDS = 500
"""Of a long text: with 10 ms for each of its tokens it takes the double five seconds more than a short one."""

_RAMP = 7.0
"""Seconds in which a crowd comes: as long as a long request takes, so that some end at any time."""


class Clients:
    """`with Trickle(url, model) as clients: ...`; `failed` counts while they run."""

    def __init__(self, *loads: Load) -> None:
        self._loads = loads
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def number(self) -> int:
        """How many there are; without a pause as many requests are in flight."""
        return sum(load.clients for load in self._loads)

    @property
    def requests(self) -> int:
        return sum(load.result.requests for load in self._loads)

    @property
    def failed(self) -> int:
        return sum(load.result.failed for load in self._loads)

    def told(self) -> dict[str, Any]:
        """What came of it, for the report."""
        errors = sum((load.result.errors for load in self._loads), Counter[str]())
        connections = sum(load.result.connections for load in self._loads)
        return {"requests": self.requests, "failed": self.failed, "errors": dict(errors), "connections": connections}

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for load in self._loads:
            load.stop()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(load.run() for load in self._loads))

        asyncio.run(all_of_them())


class Trickle(Clients):
    """Four, with a pause after each answer."""

    def __init__(self, url: str, model: str) -> None:
        super().__init__(Load(f"{url}/embeddings", model, clients=4, seconds=3600, timeout=10, pause=0.25))


class Crowd(Clients):
    """Two hundred without a pause, a quarter of them with long texts."""

    def __init__(self, url: str, model: str) -> None:
        short, long = "What is the capital of China?", " ".join(["word"] * _WORDS)
        super().__init__(*(_loads(url, model, {short: 150, long: 50})))


def _loads(url: str, model: str, clients: dict[str, int]) -> Iterator[Load]:
    for text, number in clients.items():
        yield Load(f"{url}/embeddings", model, clients=number, seconds=3600, timeout=60, text=text, ramp=_RAMP)
