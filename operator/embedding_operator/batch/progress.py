"""How far a pod of a job is: what `GET /progress` tells the operator, and a line in the log now and then."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from embedding_operator.staging.progress import human

Phase = Literal["Splitting", "Embedding", "Finishing"]

WINDOW_SECONDS = 20.0


class Progress:
    """Of this pod, in this life of it."""

    def __init__(self, phase: Phase, clock: Callable[[], float] = time.monotonic) -> None:
        self.phase = phase
        self.rows = 0
        """That have a vector, or a score, as `rows` of all that is told of a job; bad ones are `errors`."""
        self.errors = 0
        self.tokens = 0
        self.bytes = 0
        """Of input."""
        self.bytes_total = 0
        self.shards_done = 0
        self.shards = 0
        self.file: str | None = None
        self._clock = clock
        self._samples: deque[tuple[float, int, int]] = deque([(clock(), 0, 0)])

    def sample(self) -> None:
        now = self._clock()
        self._samples.append((now, self.rows, self.tokens))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def rates(self) -> tuple[float, float]:
        """Rows and tokens a second, of late."""
        since, rows, tokens = self._samples[0]
        elapsed = self._clock() - since
        return ((self.rows - rows) / elapsed, (self.tokens - tokens) / elapsed) if elapsed > 0 else (0.0, 0.0)

    def snapshot(self) -> dict[str, str | int | float]:
        """The page."""
        rows, tokens = self.rates()
        page: dict[str, str | int | float] = {
            "phase": self.phase,
            "rows": self.rows,
            "bytes": min(self.bytes, self.bytes_total),
            "bytesTotal": self.bytes_total,
            "tokens": self.tokens,
            "rowsPerSecond": round(rows, 1),
            "tokensPerSecond": round(tokens, 1),
            "errors": self.errors,
            "shardsDone": self.shards_done,
            "shards": self.shards,
        }
        return page | {"file": self.file} if self.file else page

    def line(self) -> str:
        rows, tokens = self.rates()
        bad = f" and {self.errors} bad" if self.errors else ""
        return (
            f"{self.phase.lower()}: {self.rows} rows{bad}, {self.tokens} tokens, {self.shards_done} of {self.shards} "
            f"shards, {human(min(self.bytes, self.bytes_total))} of {human(self.bytes_total)}; "
            f"{rows:.0f} rows and {tokens:.0f} tokens a second"
        )
