"""Part of the middleware: for how long each client's connection has been seen, in bounded memory.

ASGI tells no connection, only its client's address and port. Those of a connection that is gone are forgotten once
they have not been seen for as long as the server keeps an idle connection. Where an address is seen again earlier, by
another connection, that one is merely closed, politely, sooner than it need be.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable

JITTER = 0.1  # clients that came at one moment are not all sent away at one moment
MOST = 20_000  # addresses, a few MB; beyond that the longest unseen are forgotten


class Ages:
    """Addresses, the longest unseen first. Every step takes the same time however many there are."""

    def __init__(self, limit: float, idle: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.idle, self.clock = limit, idle, clock
        self.seen: OrderedDict[tuple[str, int], tuple[float, float]] = OrderedDict()  # when due, when seen last

    def is_due(self, client: tuple[str, int]) -> bool:
        """Whether this connection has lasted long enough. It is forgotten then, for it is about to be closed."""
        now = self.clock()
        self.forget(now - self.idle)
        if client in self.seen:
            due, _ = self.seen.pop(client)
            if due <= now:
                return True
        else:
            due = now + self.limit * jitter()
        self.seen[client] = (due, now)
        return False

    def forget(self, before: float) -> None:
        """Each address is taken out once, so a request pays for one on average."""
        while self.seen:
            client, (_, last) = next(iter(self.seen.items()))
            if last >= before and len(self.seen) < MOST:
                return
            del self.seen[client]


def jitter() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  (no secret)
