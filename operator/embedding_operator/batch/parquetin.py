"""Rows of Parquet files, a few at a time. Only what reads or writes Parquet loads pyarrow: it is big."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from .errors import BatchError
from .fields import fields_of
from .jobspec import JobSpec
from .rows import BadRow, Row, Shard
from .rowvalues import RowMaker
from .sharding import RowGroup

_PAGES = 1 << 20
"""Bytes of a column that are read ahead; without it, columns of a row group are read as a whole."""
_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 2048


def groups_of(job: JobSpec, file: str, stream: BinaryIO) -> list[RowGroup]:
    """What the file's end tells of its row groups. BatchError if it lacks a column that the job reads."""
    told = _opened(file, stream)
    _columns(job, file, told)
    metadata = told.metadata
    found = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return [
        RowGroup(group.num_rows, sum(group.column(n).total_compressed_size for n in range(group.num_columns)))
        for group in found
    ]


def has_numbers_as_ids(job: JobSpec, file: str, stream: BinaryIO) -> bool:
    """Whether the column of ids holds integers."""
    told = _opened(file, stream)
    _columns(job, file, told)
    kind = told.schema_arrow.field(job.input.id_field).type
    return bool(pa.types.is_integer(kind.value_type if pa.types.is_dictionary(kind) else kind))


def rows_of(job: JobSpec, shard: Shard, stream: BinaryIO, maker: RowMaker) -> Iterator[Row | BadRow]:
    """The rows of the shard's row groups."""
    told = _opened(shard.file, stream)
    columns = _columns(job, shard.file, told)
    groups = range(shard.offset, shard.offset + shard.length)
    number = 0
    try:
        for batch in told.iter_batches(_batch(told, groups, columns), list(groups), columns=columns, use_threads=False):
            values = {name: _values(batch.column(name)) for name in columns}
            for at in range(batch.num_rows):
                yield maker.made(number, {name: column[at] for name, column in values.items()})
                number += 1
    except (pa.ArrowException, OSError) as error:
        raise _broken(shard.file, error) from None


def _opened(file: str, stream: BinaryIO) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(stream, buffer_size=_PAGES, pre_buffer=False, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _broken(file, error) from None


def _columns(job: JobSpec, file: str, told: parquet.ParquetFile) -> list[str]:
    there = told.schema_arrow.names
    wanted = fields_of(job).names
    for name in wanted:
        if there.count(name) != 1:
            raise BatchError(
                "BadInput",
                f"{file} has {'no' if name not in there else 'more than one'} column {name!r}; it has "
                f"{', '.join(there[:20])}: look at the fields of spec.input",
            )
    return wanted


def _batch(told: parquet.ParquetFile, groups: range, columns: Sequence[str]) -> int:
    """As many rows as are some megabytes, unpacked, by what the file tells of the biggest group."""
    most = 1
    for number in groups:
        group = told.metadata.row_group(number)
        mine = (group.column(n) for n in range(group.num_columns))
        size = sum(c.total_uncompressed_size for c in mine if c.path_in_schema.split(".")[0] in columns)
        most = max(most, size // max(1, group.num_rows))
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // most))


def _values(column: pa.Array) -> Sequence[Any]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_value(one) for one in column]


def _value(one: pa.Scalar) -> Any:
    try:
        return one.as_py()
    except UnicodeDecodeError:
        return b""  # bytes are no text, which the row is told


def _broken(file: str, error: Exception) -> Exception:
    """What is wrong with the file. An error with a number is the storage's, which may be well again soon."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return BatchError("BadInput", f"{file} cannot be read as Parquet: {' '.join(str(error).split())[:300]}")
