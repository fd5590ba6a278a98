"""Many small waits at once: storages over a network answer each in milliseconds, and many in the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16


def at_once(ask: Callable[[T], R], of: Iterable[T]) -> list[R]:
    """The answers, in order; raises what the first that fails raises."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="storage") as pool:
        return list(pool.map(ask, of))
