"""A file of a server as a file: read in ranges, each of which must be of the file that was listed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from .errors import BatchError, changed
from .globs import InputFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 2 << 20
_MOST = 16 << 20
"""Bytes of one answer."""


@dataclass(frozen=True)
class Answer:
    """What a server says to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        count = min(len(view), self._size - self._at, _MOST)
        if count <= 0:
            return 0
        data = self._fetch(self._at, count)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


@contextmanager
def opened(file: InputFile, offset: int, read: Callable[[int, int], Answer | None]) -> Iterator[BinaryIO]:
    """The file from a byte on, as what reads lines or Parquet wants it; `read(start, length)` asks its server."""

    def fetch(start: int, length: int) -> bytes:
        answer = read(start, length)
        if answer is None:
            raise changed(file.path)
        check_range(file, start, answer)
        return answer.body

    with cast(BinaryIO, io.BufferedReader(Ranges(file.size, fetch), BUFFER)) as stream:
        stream.seek(offset)
        yield stream


def check_range(file: InputFile, start: int, answer: Answer) -> None:
    """Whether an answer's head is of the file that was listed. Raises BatchError."""
    told = answer.headers.get("Content-Range", "")
    if answer.status != 206 or not told.startswith(f"bytes {start}-"):
        if answer.status == 200:
            raise BatchError("BadInput", f"{file.path}: its server gives no ranges of files, which shards are read by")
        raise changed(file.path)
    if told.rpartition("/")[2] not in ("*", str(file.size)) or version_of(answer.headers) != file.version:
        raise changed(file.path)


def version_of(headers: Mapping[str, str]) -> str:
    """What tells a file from what it is after a change."""
    return headers.get("ETag") or headers.get("Last-Modified") or ""
