"""Rows with which a server of the job's own died: they are asked for one at a time, with nothing else in flight.

A server that ends is started anew by the kubelet, which takes minutes, and a request of one row takes milliseconds. So
all rows that were in flight are asked for alone, and no halves of them. A row is bad when the server died twice while
it alone was in flight, and had embedded something else right before: none is blamed for an unlucky SIGKILL, a device
that is lost, or a server that ends by itself. Nothing of this is written down: the driver outlives the server, and a
driver that dies leaves its shard to be begun again.

Never for a server that others call, too: what ends it may be theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .embedding import Embedded, Embedder, named
from .errors import BatchError
from .persistence import DiedError
from .rows import BadRow, Row, Vector

log = logging.getLogger(__name__)

DEATHS = 2
"""Of the server, with nothing but one row in flight, that make the row a bad one."""
UNPROVEN = 3
"""So many rows may be bad before any has been embedded; more than these are the server's doing."""
SHORT = 5.0
"""Seconds; a server that lived longer did not die of having been started."""


@dataclass
class Life:
    """From one start of the server to the next."""

    since: float = 0.0
    answers: int = 0
    lasted: float = 0.0

    def is_as(self, other: Life, now: float) -> bool:
        """Whether a server that ends by itself, at some request or second of its life, could end as it did then."""
        return self.answers == other.answers or now - self.since <= 2 * other.lasted <= 2 * SHORT


class Isolation:
    """What an Embedder gives, and a bad row instead of a server that never comes to an end of dying."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._server = embedder.line.server
        self._tries = self._server.patience.losses
        self._gate = Gate()
        self._life = Life()
        self._blamed = 0

    async def embed(self, rows: Sequence[Row], size: int) -> Embedded:
        """All of these rows, together or each alone. `size` is what they were estimated from."""
        try:
            async with self._gate.together():
                return await self._embedder.embed(rows, size)
        except DiedError as error:
            self._died(rows, error)
        async with self._gate.alone():
            results: list[Vector | BadRow] = []
            tokens = 0
            for row in rows:
                got = await self._alone(row)
                results += got.results
                tokens += got.tokens
            return Embedded(results, tokens)

    async def _alone(self, row: Row) -> Embedded:
        last, deaths = Life(), 0
        for _ in range(self._tries):
            await self._prove(last)
            try:
                got = await self._embedder.embed([row], None)
            except DiedError as error:
                ended = self._died([row], error)
                if error.sent:
                    last, deaths = ended, deaths + 1
                if deaths == DEATHS:
                    return self._blame(row)
            else:
                self._life.answers += 1
                return got
        raise self._unavailable(f"died {self._tries} times before it could be asked for {named([row])}")

    def _blame(self, row: Row) -> Embedded:
        self._blamed += 1
        if self._embedder.known is None and self._blamed > UNPROVEN:
            raise self._unavailable(f"died {DEATHS} times at each of {self._blamed} rows, and embedded none")
        told = (
            "the server dies when it is asked for nothing but this row, and embeds others: its own log says of what "
            "(kubectl logs POD -c vllm --previous)"
        )
        return Embedded([BadRow(row.number, row.id, "ServerCrashed", told)], 0)

    async def _prove(self, last: Life) -> None:
        """Have the server embed what it can, so that what it dies of next is no start, and not the same age again."""
        server = self._server
        for _ in range(self._tries):
            if not self._life.answers:
                await server.ready()
                self._life.since = server.clock()
            try:
                while self._life.is_as(last, server.clock()):
                    if last.answers and self._life.answers:
                        await asyncio.sleep(server.patience.poll)
                    await self._embedder.embed_known()
                    self._life.answers += 1
                return
            except DiedError as error:
                self._life = Life()
                log.warning("the server died at text that it has embedded before: %s", error)
        raise self._unavailable(f"died {self._tries} times at text that it had embedded before")

    def _died(self, rows: Sequence[Row], error: DiedError) -> Life:
        """Begin a new life of the server; gives the one that has ended."""
        log.warning("the server died with %s in flight (%s); they are asked for one at a time", named(rows), error)
        ended, self._life = self._life, Life()
        ended.lasted = self._server.clock() - ended.since
        return ended

    def _unavailable(self, what: str) -> BatchError:
        return BatchError("Unavailable", f"the server at {self._server.url} {what}: look at the log of its container")


class Gate:
    """Lets any number in together, or one alone; who wants to be alone goes first."""

    def __init__(self) -> None:
        self._together = 0
        self._waiting = 0
        """For being alone, and whoever is."""
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        while self._waiting:
            await self._change()
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            self._changed.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            async with self._turn:
                while self._together:
                    await self._change()
                yield
        finally:
            self._waiting -= 1
            self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
