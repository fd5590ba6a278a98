"""The rows of a shard, in order, one after the other: memory stays flat however big the shard is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from .jobspec import JobSpec
from .linerows import LineRows
from .lines import LIMIT, first_byte, lines_of
from .places import InputPlace, file_of, input_of
from .rows import BadRow, Row, Shard
from .rowvalues import Ids, RowMaker

_LOOKED_AT = 1000
"""Rows of a file, in which the first id is looked for."""


def open_shard(job: JobSpec, shard: Shard) -> Iterator[Row | BadRow]:
    """Rows and bad rows; their numbers count from 0 without a gap. Blocks. Raises BatchError.

    Every line is a row, but for empty ones in JSON Lines, which are none.
    """
    place = input_of(job)
    maker = RowMaker(job, shard, place, ids_of(job, shard, place))
    lines = job.input.format != "Parquet"
    with place.opened(file_of(shard), first_byte(shard.offset) if lines else 0) as stream:
        if lines:
            yield from _of_lines(job, shard, maker, stream)
        else:
            from .parquetin import rows_of

            yield from rows_of(job, shard, stream, maker)


def ids_of(job: JobSpec, shard: Shard, place: InputPlace) -> Ids:
    """Which ids the rows of a file may have: in columns of one type, those of the type of its first."""
    if job.output.format != "Parquet":
        return "any"
    if job.input.id_field is None or job.input.format == "Text":
        return "string"
    with place.opened(file_of(shard)) as stream:
        if job.input.format == "Parquet":
            from .parquetin import has_numbers_as_ids

            return "int64" if has_numbers_as_ids(job, shard.file, stream) else "string"
        whole = replace(shard, offset=0, length=shard.size)
        maker = RowMaker(job, whole, place)
        for number, row in enumerate(_of_lines(job, whole, maker, stream)):
            if row.id is not None:
                return "int64" if isinstance(row.id, int) else "string"
            if number == _LOOKED_AT:
                break
    return "string"


def _of_lines(job: JobSpec, shard: Shard, maker: RowMaker, stream: BinaryIO) -> Iterator[Row | BadRow]:
    rows = LineRows(job, maker)
    number = 0
    for line in lines_of(stream, shard.offset, shard.offset + shard.length, LIMIT):
        row = rows.row(number, line)
        if row is not None:
            yield row
            number += 1
