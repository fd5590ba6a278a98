"""Times as kubectl tells them in its columns."""

from __future__ import annotations

from datetime import UTC, datetime


def age(created: str, now: datetime | None = None) -> str:
    """How long ago."""
    try:
        seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(created)).total_seconds())
    except ValueError:
        return "<unknown>"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"
