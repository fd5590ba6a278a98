"""The rows of a shard, in order, one after the other: memory stays flat however big the shard is."""

from __future__ import annotations

from collections.abc import Iterator

from .jobspec import JobSpec
from .lines import first_byte, lines_of
from .places import file_of, input_of
from .rows import BadRow, Row, Shard
from .rowvalues import LineRows


def open_shard(job: JobSpec, shard: Shard) -> Iterator[Row | BadRow]:
    """Rows and bad rows; their numbers count from 0 without a gap. Blocks. Raises BatchError.

    Every line is a row, but for empty ones in JSON Lines, which are none.
    """
    place = input_of(job)
    rows = LineRows(job, shard, place)
    with place.opened(file_of(shard), first_byte(shard.offset)) as stream:
        number = 0
        for line in lines_of(stream, shard.offset, shard.offset + shard.length):
            row = rows.row(number, line)
            if row is not None:
                yield row
                number += 1
