"""Reads and writes what an API server has stored, beside it: over etcd's JSON gateway, without a client of etcd's.

For benchmarks only, which need ten thousand services to exist and not to be made.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any, Final

_AT_ONCE: Final = 100  # operations of the 128 that etcd takes in a transaction
_BYTES: Final = 1_000_000  # of the 1.5 MB that it takes


class Etcd:
    """One etcd without access control, as a benchmark's control plane has it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def read(self, prefix: str) -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin so, and their values."""
        start, end = prefix.encode(), prefix.encode()[:-1] + bytes([prefix.encode()[-1] + 1])
        while True:
            page = self._ask("range", {"key": _text(start), "range_end": _text(end), "limit": 500})
            entries = [(_bytes(each["key"]), _bytes(each["value"])) for each in page.get("kvs") or ()]
            yield from entries
            if not page.get("more"):
                return
            start = entries[-1][0] + b"\0"

    def write(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Put them all, some dozens at a time."""
        puts: list[Any] = []
        size = 0
        for key, value in entries:
            if len(puts) == _AT_ONCE or size + len(value) > _BYTES:
                self._ask("txn", {"success": puts})
                puts, size = [], 0
            puts.append({"requestPut": {"key": _text(key), "value": _text(value)}})
            size += len(value)
        self._ask("txn", {"success": puts})

    def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._url}/v3/kv/{what}", json.dumps(body).encode())  # noqa: S310 - our etcd
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
            return told


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
