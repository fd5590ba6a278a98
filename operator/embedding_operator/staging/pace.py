"""At most so many bytes a second, over all files together: what reads in the background leaves the line to others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Call it with the bytes that were moved; it returns when it is time to go on."""

    def __init__(
        self,
        bytes_per_second: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._until = clock()

    @property
    def piece(self) -> int:
        """Bytes to move at once: some, but no burst."""
        return max(64 << 10, self._rate // 16)

    async def __call__(self, count: int) -> None:
        now = self._clock()
        self._until = max(self._until, now) + count / self._rate
        await self._sleep(self._until - now)
