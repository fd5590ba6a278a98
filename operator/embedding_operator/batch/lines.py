"""The lines that begin in a piece of a file, in bounded memory whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

LIMIT = 64 << 20
"""Bytes of a line. A longer one is nobody's text, and would be memory."""
_SKIP = 1 << 20
_MARK = b"\xef\xbb\xbf"
"""What some editors of Windows put before UTF-8."""


def lines_of(stream: BinaryIO, start: int, end: int, limit: int = LIMIT) -> Iterator[bytes | None]:
    """The lines that begin in `[start, end)`, without their ends; None for one that is too long.

    The stream stands at `first_byte(start)`. The last line needs no end; what follows the last end is no line.
    """
    at = first_byte(start)
    if at < start:  # the line that holds the byte before: it is the shard's before
        while at < end:
            piece = stream.readline(_SKIP)
            at += len(piece)
            if not piece or piece.endswith(b"\n"):
                break
    while at < end:
        line = stream.readline(limit + 1)
        if not line:
            return
        begins, at = at, at + len(line)
        if not line.endswith(b"\n") and len(line) > limit:
            del line
            yield None
            while piece := stream.readline(_SKIP):
                at += len(piece)
                if piece.endswith(b"\n"):
                    break
            continue
        line = line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line
        yield line.removeprefix(_MARK) if begins == 0 else line


def first_byte(start: int) -> int:
    """Where to read from: one byte before, which tells whether a line begins at `start`."""
    return max(0, start - 1)
