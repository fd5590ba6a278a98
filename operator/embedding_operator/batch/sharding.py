"""How files become shards: pure, so that any process of the job cuts them alike.

Lines are cut by bytes, and a line belongs to the shard in which it begins; Parquet by row groups. A shard's id tells
the same piece of the same file under the same job's key, now and in any later job.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .globs import InputFile
from .rows import Shard


@dataclass(frozen=True)
class RowGroup:
    """What the end of a Parquet file tells of one."""

    rows: int
    bytes: int
    """As they lie in the file."""


def shard_id(key: str, file: InputFile, offset: int, length: int) -> str:
    """32 hexadecimal digits."""
    told = json.dumps([key, file.path, file.size, file.version, offset, length], separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def cut_lines(key: str, file: InputFile, shard_bytes: int) -> list[Shard]:
    """Pieces of so many bytes; together they are the file."""
    return [
        _shard(key, file, part, offset, min(shard_bytes, file.size - offset), min(shard_bytes, file.size - offset))
        for part, offset in enumerate(range(0, file.size, shard_bytes))
    ]


def cut_groups(key: str, file: InputFile, groups: Sequence[RowGroup], shard_bytes: int) -> list[Shard]:
    """Row groups that follow each other, as many as fit, and at least one."""
    shards: list[Shard] = []
    first = before = 0
    while first < len(groups):
        end = first + 1
        size = groups[first].bytes
        while end < len(groups) and size + groups[end].bytes <= shard_bytes:
            size += groups[end].bytes
            end += 1
        rows = sum(group.rows for group in groups[first:end])
        shard = _shard(key, file, len(shards), first, end - first, size)
        shards.append(replace(shard, first_row=before, rows=rows))
        first, before = end, before + rows
    return shards


def counted(shards: Sequence[Shard], rows: Sequence[int]) -> list[Shard]:
    """The shards of one file with the rows that each has."""
    before = 0
    told = []
    for shard, count in zip(shards, rows, strict=True):
        told.append(replace(shard, first_row=before, rows=count))
        before += count
    return told


def _shard(key: str, file: InputFile, part: int, offset: int, length: int, size: int) -> Shard:
    return Shard(
        id=shard_id(key, file, offset, length),
        file=file.path,
        size=file.size,
        version=file.version,
        offset=offset,
        length=length,
        bytes=size,
        part=part,
    )
