"""Counts requests of the operator (or its peer) from the audit log, by verb and kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

READS: Final = frozenset({"get", "list", "watch"})
LEASES: Final = "leases"


@dataclass(frozen=True)
class Requests:
    """How often what was asked; keys are "verb kind", in kubectl's words."""

    counts: Counter[str]
    failed: Counter[str]  # the same requests with the code of the refusal

    @property
    def leases(self) -> int:
        """Requests for the Lease, reads and writes."""
        return sum(number for key, number in self.counts.items() if key.endswith(f" {LEASES}"))

    def writes(self) -> Counter[str]:
        """All writes but the Lease's."""
        return Counter({key: n for key, n in self.counts.items() if not _is_lease(key) and not _is_read(key)})

    def reads(self) -> Counter[str]:
        """All reads but the Lease's."""
        return Counter({key: n for key, n in self.counts.items() if not _is_lease(key) and _is_read(key)})


class AuditLog:
    """Reads on from where it was last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def skip(self) -> None:
        """Forget what is there."""
        self._offset = self._path.stat().st_size if self._path.exists() else 0

    def requests(self) -> Requests:
        """What was added since the last call."""
        counts: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for entry in self._entries():
            key = _key(entry)
            counts[key] += 1
            code = (entry.get("responseStatus") or {}).get("code", 0)
            if code >= 400:
                failed[f"{key} {code}"] += 1
        return Requests(counts, failed)

    def _entries(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                entry = json.loads(line)
                # a watch is told when it begins and again when it ends
                if entry["verb"] != "watch" or entry["stage"] == "ResponseStarted":
                    yield entry


def _key(entry: dict[str, Any]) -> str:
    told = entry.get("objectRef") or {}
    kind = "/".join(part for part in (told.get("resource"), told.get("subresource")) if part)
    return f"{entry['verb']} {kind or entry['requestURI'].partition('?')[0]}"


def _is_read(key: str) -> bool:
    return key.split(" ")[0] in READS


def _is_lease(key: str) -> bool:
    return key.endswith(f" {LEASES}")
