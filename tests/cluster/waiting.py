"""Waiting for a condition, with the reason in the error when it never comes."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.cluster.errors import ClusterError


def wait_until(what: str, condition: Callable[[], bool], timeout: float = 60, every: float = 0.1) -> None:
    """Return as soon as ``condition()`` is true; raise a ClusterError naming ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"gave up after {timeout:.0f} s waiting until {what}")
        time.sleep(every)
