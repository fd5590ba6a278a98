"""How patient a run is. Everything that waits or retries takes its numbers from here, so tests can be quick."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path


def free_bytes(path: Path) -> int | None:
    """Free space for an ordinary user; None where the file system does not tell (some report nothing at all)."""
    usage = shutil.disk_usage(path)
    return usage.free if usage.total > 0 else None


@dataclass(frozen=True)
class Settings:
    """Production values; tests hand in smaller ones."""

    attempts: int = 8
    """Failures in a row without one new byte before a request is given up."""
    backoff_base: float = 1.0
    backoff_cap: float = 60.0
    retry_after_cap: float = 300.0
    connect_timeout: float = 30.0
    idle_timeout: float = 60.0
    """Seconds without a byte. There is no limit on the whole: a 5 GB file on a slow line is no error."""
    checksum_attempts: int = 3
    chunk: int = 1 << 20
    """Bytes of one write, held in memory for each file that is being fetched: few enough that they are still in the
    processor's own when they are written and hashed."""
    log_every: float = 10.0
    claim_beat: float = 3.0
    """Seconds between two signs of life of the writer of a staging directory."""
    claim_stale: float = 15.0
    """Seconds of silence after which another takes over."""
    free_bytes: Callable[[Path], int | None] = free_bytes

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """Seconds to wait after so many failures in a row; longer if the hub asks for it, never shorter."""
        backoff = min(self.backoff_cap, self.backoff_base * 2.0 ** min(failures - 1, 30))
        backoff *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        return max(backoff, min(retry_after or 0.0, self.retry_after_cap))


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from the header's two forms, a number or a date; None for anything else."""
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
