"""A file of a server as a file: read in ranges, each of which must be of the file that was listed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import BinaryIO, cast

from .errors import BatchError, changed
from .globs import InputFile

BUFFER = 2 << 20
_MOST = 16 << 20
"""Bytes of one answer."""


class Ranges(io.RawIOBase):
    """Wrap it in a BufferedReader. `fetch(start, length)` gives just these bytes, or raises."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._fetch = fetch
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]
        count = min(len(view), self._size - self._at, _MOST)
        if count <= 0:
            return 0
        data = self._fetch(self._at, count)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def buffered(size: int, fetch: Callable[[int, int], bytes]) -> BinaryIO:
    """The file, as what reads lines or Parquet wants it."""
    return cast(BinaryIO, io.BufferedReader(Ranges(size, fetch), BUFFER))


def check_range(file: InputFile, start: int, status: int, headers: Mapping[str, str]) -> None:
    """Whether an answer's head is of the file that was listed. Raises BatchError."""
    told = headers.get("Content-Range", "")
    if status != 206 or not told.startswith(f"bytes {start}-"):
        if status == 200:
            raise BatchError("BadInput", f"{file.path}: its server gives no ranges of files, which shards are read by")
        raise changed(file.path)
    if told.rpartition("/")[2] not in ("*", str(file.size)) or version_of(headers) != file.version:
        raise changed(file.path)


def version_of(headers: Mapping[str, str]) -> str:
    """What tells a file from what it is after a change."""
    return headers.get("ETag") or headers.get("Last-Modified") or ""
