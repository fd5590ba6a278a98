"""The stager's HTTP for code that blocks: one event loop in a thread of its own, for as long as the process lives."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.source import patiently
from embedding_operator.staging.transport import Transport
from embedding_operator.staging.usage import CA_VARIABLE

from .errors import from_stager

T = TypeVar("T")

CONNECTIONS = 32
SETTINGS = Settings(attempts=6, backoff_cap=20.0)
"""A pod that waits for a storage holds an NPU, and begins its shard again if it gives up."""


class Line:
    """Requests of one process, which wait for their answer. May be used by any thread but the loop's own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="storage", daemon=True).start()
        self.transport: Transport = self.run(self._opened())
        atexit.register(self._close)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it. Raises BatchError for what the stager's code raises."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except StageError as error:
            raise from_stager(error) from None

    def ask(self, once: Callable[[], Awaitable[T]], what: str, doing: str) -> T:
        """Ask until there is an answer, or until it has failed too often. StatusError is the server's last word."""

        async def answer() -> T:
            return await patiently(once, what, SETTINGS, doing)

        return self.run(answer())

    async def _opened(self) -> Transport:
        ca_file = os.environ.get(CA_VARIABLE)
        transport = Transport(settings=SETTINGS, connections=CONNECTIONS, ca_file=Path(ca_file) if ca_file else None)
        return await transport.__aenter__()  # until the process ends

    def _close(self) -> None:
        with suppress(TimeoutError):
            closing = self.transport.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(closing, self._loop).result(1)


@cache
def line() -> Line:
    """The process's own."""
    return Line()
