"""A queue of keys to reconcile, with the semantics of client-go's work queue.

A key is in the queue at most once, and with at most one worker. A key that is added while a worker has it
is handed out again after `done`, so no news is lost. It holds keys, never objects: whoever takes a key
looks at the newest state. Single event loop; not thread-safe.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

from embedding_operator.metrics.histogram import Histogram

K = TypeVar("K", bound=Hashable)

_HEAP_SLACK = 64


class QueueShutDown(Exception):  # noqa: N818 - the end of work is not an error
    """Nothing is left in a queue that was shut down."""


class WorkQueue(Generic[K]):
    """`waited` is how long keys were in the queue; `added` and `retried` count them."""

    def __init__(
        self,
        *,
        base_delay: float = 0.05,
        max_delay: float = 300.0,
        random_source: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.added = 0
        self.retried = 0
        self.waited = Histogram()
        self._clock = clock
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._random = random_source
        self._queue: deque[K] = deque()
        self._since: dict[K, float] = {}  # when each was put there, in that order
        self._dirty: set[K] = set()  # to be handed out: in the queue, or waiting for `done`
        self._processing: dict[K, float] = {}  # since when each is worked on
        self._getters: deque[asyncio.Future[None]] = deque()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}  # the truth about delayed keys
        self._heap: list[tuple[float, int, K]] = []  # may hold entries that `_due` has overtaken
        self._sequence = 0  # keys need not be comparable
        self._timer: asyncio.TimerHandle | None = None
        self._shut_down = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """How many keys wait for a worker now (delayed ones not counted)."""
        return len(self._queue)

    @property
    def delayed(self) -> int:
        return len(self._due)

    @property
    def processing(self) -> int:
        return len(self._processing)

    @property
    def oldest(self) -> float:
        """For how many seconds the first key has waited for a worker."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    def longest(self) -> tuple[K, float] | None:
        """The key that a worker has had for the longest, and for how many seconds."""
        for key, since in self._processing.items():  # in the order in which they were taken
            return key, self._clock() - since
        return None

    def add(self, key: K) -> None:
        if self._shut_down or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._put(key)

    def add_after(self, key: K, delay: float) -> None:
        """Add later. Of several delays for one key the earliest counts."""
        if self._shut_down:
            return
        if delay <= 0:
            self.add(key)
            return
        due = asyncio.get_running_loop().time() + delay
        known = self._due.get(key)
        if known is not None and known <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, key))
        if len(self._heap) > 2 * len(self._due) + _HEAP_SLACK:
            self._rebuild_heap()
        self._set_timer()

    def add_rate_limited(self, key: K, *, at_least: float = 0.0) -> float:
        """Add again after a failure; each in a row waits twice as long. Returns the delay.

        `at_least` is for servers that said how long to wait (Retry-After).
        """
        self.retried += 1
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._base_delay * 2.0 ** min(failures, 60), self._max_delay)
        # Jitter downwards only, so that max_delay stays the most that anybody waits.
        delay = max(delay * (1.0 - 0.2 * self._random()), at_least)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key is fine again: its next failure waits the shortest delay."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key; call `done` with it, whatever happened. Raises QueueShutDown at the end."""
        while not self._queue:
            if self._shut_down:
                raise QueueShutDown
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake_one()  # the wake-up was meant for somebody who can use it
                elif getter in self._getters:  # else a wake-up has passed over it
                    self._getters.remove(getter)
                raise
        key = self._queue.popleft()
        self._dirty.discard(key)
        now = self._clock()
        self.waited.observe(now - self._since.pop(key))
        self._processing[key] = now
        return key

    def done(self, key: K) -> None:
        """The worker has finished with the key."""
        self._processing.pop(key, None)
        if key in self._dirty:
            self._put(key)
        elif not self._processing and not self._queue:
            self._idle.set()

    def waiting(self) -> list[K]:
        """The keys that wait for a worker now, the next one first."""
        return list(self._queue)

    def drop(self, keys: Collection[K]) -> None:
        """Forget keys that wait for a worker: there is nothing to do for them after all."""
        gone = self._since.keys() & set(keys)
        self._queue = deque(key for key in self._queue if key not in gone)
        self._dirty -= gone
        for key in gone:
            del self._since[key]
        if not self._queue and not self._processing:
            self._idle.set()

    def shut_down(self) -> None:
        """Take in nothing more, drop what is delayed; workers finish what is queued and then stop."""
        self._shut_down = True
        self._due.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._getters:
            self._wake_one()

    async def drained(self) -> None:
        """Wait until nothing is queued and no worker is busy."""
        await self._idle.wait()

    def _put(self, key: K) -> None:
        self._queue.append(key)
        self._since[key] = self._clock()
        self.added += 1
        self._idle.clear()
        self._wake_one()

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        head = self._heap[0][0] if self._heap else None
        if self._timer is not None:
            if self._timer.when() == head:
                return
            self._timer.cancel()
            self._timer = None
        if head is not None:
            self._timer = asyncio.get_running_loop().call_at(head, self._release_due)

    def _release_due(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._set_timer()

    def _rebuild_heap(self) -> None:
        self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)
