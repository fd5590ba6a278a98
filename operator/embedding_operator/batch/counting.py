"""What a phase counts while it runs, for the page that the operator looks at."""

from __future__ import annotations

from typing import Protocol


class Counter(Protocol):
    """The part of a pod's progress that split and finish tell."""

    rows: int
    errors: int
    tokens: int
    bytes: int
    bytes_total: int
    shards: int
    shards_done: int
    file: str | None
