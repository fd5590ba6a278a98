"""Rows become requests: as many together as the server does well at once, counted in tokens. Pure.

Tokens are known when the server has counted them; until then they are guessed from bytes, and each answer betters the
guess. Bad rows travel with the good ones that they stand between, so that a shard keeps its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .rows import BadRow, Row

MOST_BYTES = 8 << 20
"""Of one request; servers and proxies hold all of it in memory."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a request holds at most."""

    tokens: int = 8192
    rows: int = 128


SMALL = Size(tokens=2048, rows=32)
"""Beside other callers: what stands in front of them in the server's queue is soon done."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that follow each other; the good ones are one request."""

    items: list[Row | BadRow]
    rows: list[Row]
    bytes: int
    """What the good ones are estimated from."""


@dataclass
class Estimate:
    """Tokens from bytes. Written by who reads answers, read by who cuts batches, in different threads: one number."""

    per_byte: float = 0.25
    weight: float = field(default=0.1, repr=False)
    """How much the last answer counts."""

    def tokens(self, size: int) -> float:
        return size * self.per_byte

    def learn(self, size: int, tokens: int) -> None:
        """An answer's own count, where it tells one."""
        if size > 0 and tokens > 0:
            self.per_byte += self.weight * (tokens / size - self.per_byte)


def batches(
    items: Iterable[Row | BadRow], cost: Callable[[Row], int], estimate: Estimate, size: Size
) -> Iterator[Batch]:
    """Cut a shard's rows, in their order. A row with an image is a request of its own."""
    held: list[Row | BadRow] = []
    rows: list[Row] = []
    total = 0
    for item in items:
        if isinstance(item, BadRow):
            held.append(item)
            if len(held) < 4 * size.rows:  # nothing but bad rows is no reason to hold them all
                continue
        else:
            needs = cost(item)
            alone = item.image is not None or (rows and rows[-1].image is not None)
            if rows and (alone or _full(rows, total + needs, estimate, size)):
                yield Batch(held, rows, total)
                held, rows, total = [], [], 0
            held.append(item)
            rows.append(item)
            total += needs
            continue
        yield Batch(held, rows, total)
        held, rows, total = [], [], 0
    if held:
        yield Batch(held, rows, total)


def _full(rows: list[Row], total: int, estimate: Estimate, size: Size) -> bool:
    return len(rows) >= size.rows or estimate.tokens(total) > size.tokens or total > MOST_BYTES
