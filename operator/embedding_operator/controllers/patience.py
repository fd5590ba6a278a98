"""For how long something has been so, of each key: what no object tells, and what may be forgotten.

An operator that starts anew begins to wait anew, and nothing worse.
"""

import time
from collections.abc import Callable

from embedding_operator.kube.resources import ObjectKey


class Patience:
    """`look` at each reconcile; `is_over` when it has been so at every look for so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: dict[ObjectKey, float] = {}

    def look(self, key: ObjectKey, holds: bool) -> float | None:
        """Take in whether it is so now. Returns the seconds until patience is over, or None."""
        if not holds:
            self._since.pop(key, None)
            return None
        self._since.setdefault(key, self._clock())
        return None if self.is_over(key) else self._left(key)

    def is_over(self, key: ObjectKey) -> bool:
        """Whether it has been so for long enough."""
        return key in self._since and self._left(key) <= 0

    def _left(self, key: ObjectKey) -> float:
        return self._since[key] + self._seconds - self._clock()


def soonest(*waits: float | None) -> float | None:
    """The shortest of some waits in seconds; None where nothing is waited for."""
    return min((wait for wait in waits if wait is not None), default=None)
