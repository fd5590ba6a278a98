"""A file that is being downloaded: bytes on the disk and the hash over exactly these bytes.

A partial file is never trusted: what an earlier run left is hashed again before more is added, and only the
hash over the whole decides. Starting over makes a new file instead of truncating the old one, so that a writer
that was thought dead cannot harm what has been published since.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .layout import make_directories
from .threads import hash_stream, in_thread, open_for_reading


class PartialFile:
    """The `.partial` of one file. Its methods do disk work: call the synchronous ones in a thread."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.offset = 0
        self._root = root
        self._hasher = hashlib.sha256()
        self._stream: BinaryIO | None = None

    async def resume(self, size: int, worked: Callable[[int], None]) -> None:
        """Hash what is there and continue behind it."""
        if self._length() > size:
            self.discard()
        if self._length() > 0:
            with open_for_reading(self.path) as stream:
                self.offset = await hash_stream(stream, self._hasher, worked, limit=size)
        await in_thread(self._open)

    def write(self, data: bytes) -> None:
        assert self._stream is not None
        self._stream.write(data)
        self._hasher.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        self.discard()
        self._open()

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
        self.offset = 0
        self._hasher = hashlib.sha256()

    def sync(self) -> None:
        assert self._stream is not None
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @property
    def sha256(self) -> str:
        return self._hasher.hexdigest()

    def _length(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _open(self) -> None:
        make_directories(self.path.parent, self._root)
        self._stream = self.path.open("ab")
        if self._stream.tell() != self.offset:  # it grew behind our back: somebody else writes here
            self._stream.close()
            self.path.unlink()
            self.offset = 0
            self._hasher = hashlib.sha256()
            self._stream = self.path.open("xb")
