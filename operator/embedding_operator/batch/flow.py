"""The stream from batches to results: as many requests at once as the pace says, and results in the order of the rows.

Memory is bounded by what may be in flight and what may wait for an earlier batch, not by the input.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from .pace import Pace

T = TypeVar("T")
R = TypeVar("R")

WAITING = 8
"""Answers that may wait for that of an earlier batch, beyond as many as are in flight."""


async def in_order(
    pieces: AsyncIterator[T], work: Callable[[T], Awaitable[R]], pace: Pace
) -> AsyncGenerator[tuple[T, R], None]:
    """Each piece with what became of it, in the pieces' order. The first error ends it."""
    turns = _Turns(pace)
    begun: asyncio.Queue[tuple[T, asyncio.Task[R]] | None] = asyncio.Queue()

    async def one(piece: T) -> R:
        try:
            return await work(piece)
        finally:
            turns.done()

    async def begin() -> None:
        async for piece in pieces:
            await turns.mine()
            begun.put_nowait((piece, asyncio.create_task(one(piece))))

    beginning = asyncio.create_task(begin())
    beginning.add_done_callback(lambda _: begun.put_nowait(None))
    taken: list[asyncio.Task[R]] = []
    try:
        while (entry := await begun.get()) is not None:
            piece, task = entry
            taken = [task]
            result = await task
            turns.taken()
            yield piece, result
        await beginning  # raises what reading raised
    finally:
        left: list[asyncio.Task[Any]] = [beginning, *taken]
        while not begun.empty():
            if (entry := begun.get_nowait()) is not None:
                left.append(entry[1])
        for task in left:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*left, return_exceptions=True)


class _Turns:
    """Whose turn it is: bounded by what is in flight, and by what is begun and not yet taken."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._running = 0
        self._begun = 0
        self._not_before = 0.0
        self._free = asyncio.Event()

    async def mine(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            limit = self._pace.limit
            if self._running < limit and self._begun < 2 * limit + WAITING:
                if (pause := self._not_before - loop.time()) <= 0:
                    break
                await asyncio.sleep(pause)
                continue
            self._free.clear()
            await self._free.wait()
        self._running += 1
        self._begun += 1

    def done(self) -> None:
        self._running -= 1
        if self._pace.pause > 0:
            self._not_before = asyncio.get_running_loop().time() + self._pace.pause
        self._free.set()

    def taken(self) -> None:
        self._begun -= 1
        self._free.set()
