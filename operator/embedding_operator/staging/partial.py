"""A file that is being downloaded: bytes on the disk and the hash over exactly these bytes.

A partial file is never trusted: what an earlier run left is hashed again before more is added, and only the
hash over the whole decides. Bytes go to the position that they have in the file, never to "the end", and starting
over makes a new file instead of truncating the old one: a writer that was thought dead and wakes up writes what is
there already, or into a file that nobody reads.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .layout import make_directories
from .threads import forget_cached, hash_stream, in_thread, open_for_reading

A_WHILE = 0.25
"""Seconds after which whoever adds bytes says how many there are."""
WINDOW = 16 << 20
"""Bytes of a file after which the disk is told to begin with them."""


class MismatchError(Exception):
    """The bytes are not those of the listing."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")


class PartialFile:
    """The `.partial` of one file. Its methods do disk work: call the synchronous ones in a thread."""

    def __init__(self, path: Path, root: Path, chunk: int) -> None:
        self.path = path
        self.offset = 0
        self._root = root
        self._chunk = chunk
        self._begun = 0
        self._buffer = memoryview(b"")
        self._hasher = hashlib.sha256()
        self._stream: BinaryIO | None = None

    async def resume(self, size: int, worked: Callable[[int], None]) -> None:
        """Hash what is there and continue behind it. `size` is what the file will have, `worked` counts bytes."""
        if await in_thread(self._usable, size):
            with open_for_reading(self.path) as stream:
                self.offset = await hash_stream(stream, self._hasher, worked, limit=size)
        await in_thread(self._open)

    def take(self, read: Callable[[memoryview], int], size: int, most: int) -> int:
        """Add what `read` gives, for a while; 0 when it gives no more. Small reads are collected into big writes.

        What has arrived is kept also when reading fails.
        """
        before, waiting, until = self.offset, 0, time.monotonic() + A_WHILE
        self._buffer = self._buffer or memoryview(bytearray(self._chunk))
        try:
            while self.offset + waiting - before < most and time.monotonic() < until:
                left = size - self.offset - waiting
                count = read(self._buffer[waiting : waiting + max(1, left)])
                if count > left:
                    raise MismatchError(f"{size} bytes", "more")
                waiting += count
                if waiting == len(self._buffer):
                    full, waiting = waiting, 0  # STRICTLY BEFORE: a full disk must not be asked twice
                    self.write(self._buffer[:full])
                if count == 0:
                    break
        finally:
            self.write(self._buffer[:waiting])
        return self.offset - before

    def write(self, data: memoryview) -> None:
        assert self._stream is not None
        written = 0
        while written < len(data):
            written += self._stream.write(data[written:])
        self._hasher.update(data)
        self.offset += len(data)
        if self.offset - self._begun >= WINDOW:
            self._let_go()

    def _let_go(self) -> None:
        """Have the disk begin with what came, and give back the memory of what it has taken since the last times.

        Nobody here reads it again. Else a big file fills the memory of the node, each page of which has to be won from
        somebody first, and the sync at the end waits for all that the kernel has put off.
        """
        assert self._stream is not None
        start = max(0, self._begun - 4 * WINDOW)
        forget_cached(self._stream, start, self.offset - start)
        self._begun = self.offset

    def restart(self) -> None:
        self.discard()
        self._open()

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
        self.offset = 0
        self._hasher = hashlib.sha256()

    def sync(self) -> int:
        """Make the bytes last; gives how many the disk holds, which another writer may have changed."""
        assert self._stream is not None
        os.fsync(self._stream.fileno())
        return os.fstat(self._stream.fileno()).st_size

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @property
    def sha256(self) -> str:
        return self._hasher.hexdigest()

    def _usable(self, size: int) -> bool:
        """Whether an earlier run left bytes; what can be no part of the file is removed, and no link is followed."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size > size:
            self.discard()
            return False
        return found.st_size > 0

    def _open(self) -> None:
        make_directories(self.path.parent, self._root)
        self._stream = self._open_file()
        if os.fstat(self._stream.fileno()).st_size != self.offset:  # it grew behind our back: somebody writes here
            self.discard()
            self._stream = self._open_file()
        self._stream.seek(self.offset)
        self._begun = self.offset

    def _open_file(self) -> BinaryIO:
        return os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666), "wb", buffering=0)
