"""Which fault a request meets, if any: chance, by a seed, the request's path and how often it was asked before.

So one seed gives one request the same fate each time, however many other requests come between.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """What goes wrong, in words for the log of a failing seed."""

    DELAYED = "the request is held up"
    DROPPED = "the connection is dropped before the request gets through"
    ANSWER_LOST = "it is done, and the connection dropped before the answer"
    ANSWER_CUT = "it is done, and the answer breaks off in the middle"
    DONE_BUT_500 = "it is done, and answered 500"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    CONFLICT = "409"
    EXPIRED = "410"
    THROTTLED = "429 with Retry-After"
    INTERNAL = "500"
    UNAVAILABLE = "503"
    STALE = "a list as it was some time ago"
    WATCH_CLOSED = "the watch is ended"
    WATCH_CUT = "the watch's connection breaks"
    WATCH_EXPIRED = "the watch tells 410"
    WATCH_ERROR = "the watch tells 500"
    WATCH_TRUNCATED = "the watch ends in the middle of an event"


_ANY: Final = (
    Fault.DELAYED,
    Fault.DROPPED,
    Fault.ANSWER_LOST,
    Fault.ANSWER_CUT,
    Fault.UNAUTHORIZED,
    Fault.FORBIDDEN,
    Fault.THROTTLED,
    Fault.INTERNAL,
    Fault.UNAVAILABLE,
)
_BY_VERB: Final[dict[str, Sequence[Fault]]] = {
    "get": _ANY,
    "list": (*_ANY, Fault.EXPIRED, Fault.STALE, Fault.STALE),
    "watch": (
        Fault.DELAYED,
        Fault.DROPPED,
        Fault.UNAUTHORIZED,
        Fault.FORBIDDEN,
        Fault.EXPIRED,
        Fault.THROTTLED,
        Fault.INTERNAL,
        Fault.UNAVAILABLE,
    ),
    "write": (*_ANY, Fault.DONE_BUT_500, Fault.CONFLICT),
}
IN_A_WATCH: Final = (
    Fault.WATCH_CLOSED,
    Fault.WATCH_CUT,
    Fault.WATCH_EXPIRED,
    Fault.WATCH_ERROR,
    Fault.WATCH_TRUNCATED,
)
_IN_A_ROW: Final = 2  # on the Lease: more would be a network that is cut, which another test does


@dataclass(frozen=True)
class Met:
    """A fault, and how it goes: `seconds` is the delay, the Retry-After, or when a watch meets it at the latest;
    `lines` after how many events it does."""

    fault: Fault
    seconds: float
    lines: int = 0


@dataclass
class Fate:
    """What becomes of each request. `log` tells what has really happened, `counts` how often."""

    seed: int
    rate: float = 0.14
    watches: float = 0.6
    calm: bool = False
    log: list[str] = field(default_factory=list)
    counts: Counter[Fault] = field(default_factory=Counter)
    _asked: Counter[str] = field(default_factory=Counter)
    _in_a_row: int = 0

    def of(self, verb: str, path: str) -> Met | None:
        """What this request meets."""
        chance = self._chance(verb, path)
        met = Met(chance.choice(_BY_VERB[verb]), chance.uniform(0.05, 1.0))
        hit = chance.random() < self.rate and not self.calm
        if "/leases" in path:
            hit = hit and self._in_a_row < _IN_A_ROW
            self._in_a_row = self._in_a_row + 1 if hit else 0
        return met if hit else None

    def of_stream(self, path: str) -> Met | None:
        """What the watch meets once it has begun."""
        chance = self._chance("stream", path)
        met = Met(chance.choice(IN_A_WATCH), chance.uniform(0.5, 6.0), chance.randrange(4))
        return met if chance.random() < self.watches and not self.calm else None

    def happened(self, fault: Fault, what: str) -> None:
        """It did."""
        self.counts[fault] += 1
        self.log.append(f"{what}: {fault}")

    def _chance(self, verb: str, path: str) -> random.Random:
        self._asked[f"{verb} {path}"] += 1
        return random.Random(f"{self.seed} {verb} {path} {self._asked[f'{verb} {path}']}")
