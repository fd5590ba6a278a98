"""Reads ahead of who uses it, in a thread of its own and a bounded number of items far.

Reading blocks (files, object storage); the loop that keeps the server busy must not. The thread dies with the process:
nothing waits for a read that hangs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class Ahead(Generic[T]):
    """An asynchronous iterator over a blocking one."""

    def __init__(self, items: Iterable[T], most: int) -> None:
        self._items = items
        self._room = threading.Semaphore(most)
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._there: asyncio.Queue[T | _End] = asyncio.Queue()
        threading.Thread(target=self._read, name="reading ahead", daemon=True).start()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._room.acquire()
                if self._stopped:
                    return
                self._tell(item)
        except BaseException as raised:  # told where the items are used
            error = raised
        self._tell(_End(error))

    def _tell(self, item: T | _End) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody asks any more
            self._loop.call_soon_threadsafe(self._there.put_nowait, item)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        item = await self._there.get()
        if isinstance(item, _End):
            self._there.put_nowait(item)
            if item.error is not None:
                raise item.error
            raise StopAsyncIteration
        self._room.release()
        return item

    def stop(self) -> None:
        """No item is read any more; the thread ends when its read does."""
        self._stopped = True
        self._room.release()
