"""Disk work off the event loop, in pieces small enough that a stop is quick."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from .pace import Pace

P = ParamSpec("P")
T = TypeVar("T")

HASH_CHUNK = 8 << 20
READ_CHUNK = 256 << 10


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As asyncio.to_thread, but a cancelled caller waits for the piece of work: nobody closes files under it."""
    return await to_its_end(asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs)))


async def to_its_end(piece: asyncio.Future[T], stop: Callable[[], None] = lambda: None) -> T:
    """The result of work that goes on in a thread. A cancelled caller calls `stop`, and waits until it is over."""
    try:
        return await asyncio.shield(piece)
    except asyncio.CancelledError:
        piece.add_done_callback(_nobody_asks)
        stop()
        with suppress(BaseException):
            await asyncio.wait([piece])
        raise


def _nobody_asks(piece: asyncio.Future[T]) -> None:
    """How it failed that was told to stop; unasked for, it would be logged with its traceback."""
    if not piece.cancelled():
        piece.exception()


async def hash_stream(
    stream: BinaryIO,
    hasher: hashlib._Hash,
    worked: Callable[[int], None],
    limit: int | None = None,
    pace: Pace | None = None,
) -> int:
    """Feed the rest of a file into a hash; gives the number of bytes read."""

    buffer = memoryview(bytearray(READ_CHUNK))  # small enough to be hashed while it is in the processor's own

    def piece(size: int) -> int:
        done = 0
        while done < size and (count := os.readv(stream.fileno(), [buffer[: size - done]])):
            hasher.update(buffer[:count])
            done += count
        return done

    total = 0
    while limit is None or total < limit:
        count = await in_thread(piece, HASH_CHUNK if limit is None else min(HASH_CHUNK, limit - total))
        if count == 0:
            break
        total += count
        worked(count)
        if pace is not None:
            await pace(count)
    return total


def forget_cached(stream: BinaryIO, start: int = 0, count: int = 0) -> None:
    """Of so many bytes (0: all that follow), what the disk has; what it lacks, it begins to write, and nobody waits.

    Whoever reads then reads the disk, and not what this machine remembers of it; servers lose no page that they hold.
    """
    with suppress(AttributeError, OSError):
        os.posix_fadvise(stream.fileno(), start, count, os.POSIX_FADV_DONTNEED)


def git_blob_id(path: Path, size: int) -> str:
    """What git calls a file of this content. SHA-1 is all that the hub tells of it; our own sha256 is kept."""
    hasher = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def open_for_reading(path: Path) -> BinaryIO:
    stream = path.open("rb", buffering=0)
    with suppress(AttributeError, OSError):  # a hint, so that the kernel reads further ahead
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return stream
