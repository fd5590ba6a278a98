"""How calls of the API server went: how many by what came back, and how long they took."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from embedding_operator.metrics.histogram import Histogram

UNANSWERED = "none"  # where no answer came: it could not be reached, or was too slow


@dataclass(slots=True)
class Call:
    """One call; whoever makes it writes down the HTTP status, once there is one."""

    status: int | None = None


class Calls:
    """`unanswered_at` is when the API server last gave no answer, or one that does not say what was asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()  # verb, resource, code
        self.seconds: defaultdict[str, Histogram] = defaultdict(Histogram)  # by verb, until the answer's head is there
        self.unanswered_at = float("-inf")
        self._clock = clock

    @contextmanager
    def timed(self, verb: str, resource: str) -> Iterator[Call]:
        """Count a call and measure it."""
        began, call = self._clock(), Call()
        try:
            yield call
        finally:
            now, status = self._clock(), call.status
            self.counts[verb, resource, UNANSWERED if status is None else str(status)] += 1
            self.seconds[verb].observe(now - began)
            # a disruption budget says no to an eviction by 429, and two of them by 500
            if status is None or (verb != "evict" and (status >= 500 or status in (401, 429))):
                self.unanswered_at = now
