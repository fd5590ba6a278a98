"""A file's bytes as the hub sends them, faults included."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .faults import Faults

BLOCK = 64 << 10
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Counter(Protocol):
    """Counts the bytes that went out; knows when the hub stops."""

    count: int
    stopped: threading.Event


class BrokenConnectionError(Exception):
    """The connection is to be cut now."""


@dataclass
class Body:
    """What to send: a slice of a file."""

    path: str
    file: Path
    size: int
    start: int = 0
    end: int = 0
    status: int = 200
    content_range: str | None = None
    corrupt: bool = False

    @property
    def length(self) -> int:
        return self.end - self.start


def plan_body(path: str, file: Path, wanted: str | None, faults: Faults) -> Body:
    """Decide on status, range and size."""
    size = file.stat().st_size
    if shorter := faults.take("truncate", path):
        size = max(0, size - int(shorter.value))
    if faults.take("changed", path):
        size += 7
    body = Body(path, file, size, end=size, corrupt=faults.take("corrupt", path) is not None)
    match = _RANGE.fullmatch(wanted or "")
    if match is None or faults.take("no-ranges", path):
        return body
    start = int(match[1])
    if faults.take("wrong-range", path):
        start = max(0, start - 1)
    if start >= size:
        body.status, body.end, body.content_range = 416, 0, f"bytes */{size}"
        return body
    body.start = start
    body.end = min(size, int(match[2]) + 1) if match[2] else size
    body.status, body.content_range = 206, f"bytes {start}-{body.end - 1}/{size}"
    return body


def send_body(body: Body, out: io.BufferedIOBase, faults: Faults, sent: Counter) -> None:
    """Send it, as slowly and as incompletely as the faults ask for."""
    drop = faults.take("drop-after", body.path)
    stall = faults.take("stall-after", body.path)
    slow = faults.take("slow", body.path)
    block = min(BLOCK, max(1, int(slow.value) // 20)) if slow else BLOCK
    with body.file.open("rb") as stream:
        stream.seek(body.start)
        position = body.start
        while position < body.end:
            want = min(block, body.end - position)
            for limit in (drop, stall):
                if limit:
                    want = min(want, int(limit.value) - sent.count)
            if want <= 0:
                if stall:
                    sent.stopped.wait()
                raise BrokenConnectionError
            data = stream.read(want).ljust(want, b"!")  # a changed file is longer than the one on the disk
            out.write(_flip(data, position, body))
            out.flush()
            position += want
            sent.count += want
            if slow:
                time.sleep(want / float(slow.value))


def _flip(data: bytes, position: int, body: Body) -> bytes:
    """Another byte in the middle of the file."""
    middle = body.file.stat().st_size // 2 - position
    if not body.corrupt or not 0 <= middle < len(data):
        return data
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def cut(connection: socket.socket) -> None:
    """A reset, as from a crashed server."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
