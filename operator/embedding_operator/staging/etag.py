"""What an ETag of S3 proves of an object's bytes, where it is a sum of them at all.

Of an object that was put in one piece it is the MD5; of one that came in parts, the MD5 of the parts' MD5s and how
many they are, of a size that only whoever put it knows: those of the usual tools are tried. Of an encrypted object,
and on some servers, it is no sum. So bytes that fit are the object's, for nobody can make others that do, and of those
that do not fit nothing is known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from .threads import hash_stream, open_for_reading

PART_SIZES = tuple(size << 20 for size in (8, 16, 5, 64, 50, 10, 15, 32, 100, 128, 256, 512))
"""Of aws and boto3, mc, rclone and s5cmd, and what people set instead."""
_SUM = re.compile(r'"?([0-9a-f]{32})(?:-([1-9][0-9]{0,4}))?"?')


def is_sum(etag: str | None) -> bool:
    """Whether it may be a sum of the bytes, by its looks."""
    return _SUM.fullmatch(etag or "") is not None


async def has_etag(path: Path, size: int, etag: str | None, worked: Callable[[int], None]) -> bool:
    """Whether the file's bytes are those that the ETag is of. It is read once for each size of parts that it may be."""
    told = _SUM.fullmatch(etag or "")
    if told is None:
        return False
    wanted, parts = told[1], told[2]
    if parts is None:
        return await _md5(path, None, worked) == wanted
    sizes = [part for part in PART_SIZES if max(1, -(-size // part)) == int(parts)]
    for part in sizes[:1] if parts == "1" else sizes:
        if await _md5(path, part, worked) == wanted:
            return True
    return False


async def _md5(path: Path, part: int | None, worked: Callable[[int], None]) -> str:
    """Of the file, or of its parts' sums."""
    of_parts = hashlib.md5(usedforsecurity=False)
    with open_for_reading(path) as stream:
        while True:
            of_part = hashlib.md5(usedforsecurity=False)
            count = await hash_stream(stream, of_part, worked, limit=part)
            if part is None:
                return of_part.hexdigest()
            if count:
                of_parts.update(of_part.digest())
            if count < part:
                return of_parts.hexdigest()
