"""How many requests are in flight: enough to keep the server saturated, and no more. Pure: it is told the time.

A server of one's own is filled until more requests bring no more tokens a second (`Filling`). One that others call too
is asked with small requests whose time is compared with the best that was seen (`Yielding`): a server without others
answers in about that time, so when it takes several times as long, somebody waits, and this steps back, down to one
request and then to pauses between them. Both give way at once where the server says that it has too much (429, 503).
"""

from __future__ import annotations

import math
from typing import Protocol

FIRST = 4
"""Requests in flight at first: two that the engine works on, two whose text is read and whose vectors are sent."""
GAIN = 1.04
"""What more requests must bring to be kept: less is noise."""
HOLD = 24
"""Rounds without a try of more."""
CALM, BUSY = 2.0, 3.0
"""Times the best seen: below the first there is room for more, above the second somebody waits."""
FORGET = 300.0
"""Seconds after which the best that was seen counts no more: texts change, and so do servers."""
LONGEST_PAUSE = 5.0


class Pace(Protocol):
    """What decides it."""

    @property
    def limit(self) -> int: ...
    @property
    def pause(self) -> float:
        """Seconds without a request after each, where one at a time is still too much."""
        ...

    def done(self, now: float, tokens: float, seconds: float) -> None:
        """A request of so many tokens was answered after so many seconds."""

    def refused(self, now: float) -> None:
        """The server has too much to do."""


class Filling:
    """For a server that has no other caller."""

    pause = 0.0

    def __init__(self, most: int, first: int = FIRST) -> None:
        self.most = most
        self._limit = float(min(first, most))
        self._before = self._limit
        self._rate = 0.0
        self._holds = 0
        self._refused = -math.inf
        self._since: float | None = None
        self._begin()

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    def _begin(self, now: float | None = None) -> None:
        """A new round; what was in flight before it is not counted."""
        self._since = now
        self._tokens = 0.0
        self._count = 0
        self._settling = self.limit

    def done(self, now: float, tokens: float, seconds: float) -> None:
        if self._settling > 0:
            self._settling -= 1
            if self._settling == 0:
                self._since = now
            return
        if self._since is None:
            self._since = now
        self._tokens += tokens
        self._count += 1
        elapsed = now - self._since
        if self._count >= max(8, 2 * self.limit) and elapsed > 0:
            self._judge(self._tokens / elapsed)
            self._begin(now)
            self._settling = 0 if self._holds else self._settling

    def _judge(self, rate: float) -> None:
        if self._holds > 0:
            self._holds -= 1
            self._rate = rate
            if self._holds == 0:
                self._more()
        elif rate > self._rate * GAIN:
            self._rate = rate
            self._more()
        else:
            self._limit, self._holds = self._before, HOLD

    def _more(self) -> None:
        self._before = self._limit
        self._limit = min(float(self.most), math.ceil(self._limit * 1.5))
        if self._limit == self._before:
            self._holds = HOLD

    def refused(self, now: float) -> None:
        """Half, once for all that were in flight together."""
        if now - self._refused >= 1.0:
            self._refused = now
            self._limit = self._before = max(1.0, self._limit / 2)
            self._holds = HOLD
            self._begin(now)


class Yielding:
    """For a server that has other callers."""

    def __init__(self, most: int, typical: int) -> None:
        self.most = most
        self._typical = typical
        """Tokens of a request; smaller ones cost more than their share."""
        self._limit = 1
        self._best = [math.inf, math.inf]
        """Seconds per token, in the minutes before and in those since."""
        self._turned = -math.inf
        self._refused = -math.inf
        self.slowness = 1.0
        """How many times as long as the best a request took in the last round."""
        self.pause = 0.0
        self._begin()

    @property
    def limit(self) -> int:
        return self._limit

    def _begin(self) -> None:
        """A new round. What was in flight before it tells of the last one's limit."""
        self._settling = self._limit
        self._count = 0
        self._sum = 0.0

    def done(self, now: float, tokens: float, seconds: float) -> None:
        each = seconds / max(tokens, self._typical / 2)
        if now - self._turned >= FORGET:
            self._best, self._turned = [self._best[1], math.inf], now
            self._limit = 1  # to see anew how long one takes: the best must not become that of a queue of our own
            self._begin()
        self._best[1] = min(self._best[1], each)
        if self._settling > 0 and self.pause == 0:
            self._settling -= 1
            return
        self._count += 1
        self._sum += each
        if self._count >= self._limit:
            self.slowness = self._sum / self._count / min(self._best)
            self._judge(seconds)
            self._begin()

    def _judge(self, seconds: float) -> None:
        if self.slowness > BUSY:
            if self._limit == 1:
                self.pause = min(LONGEST_PAUSE, seconds * self.slowness / BUSY)
            self._limit = max(1, self._limit // 2)
        elif self.slowness < CALM:
            if self.pause == 0:
                self._limit = min(self.most, self._limit + 1)
            self.pause = 0.0

    def refused(self, now: float) -> None:
        if now - self._refused >= 1.0:
            self._refused = now
            if self._limit == 1:
                self.pause = min(LONGEST_PAUSE, max(1.0, 2 * self.pause))
            self._limit = max(1, self._limit // 2)
            self._begin()
