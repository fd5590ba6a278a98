"""Vectors as Parquet: an id, and a list of fixed size beside it, which every reader maps into memory as it is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa
from pyarrow import parquet

from .errors import BatchError
from .formats import committed, number_type
from .jobspec import JobSpec
from .places import OutputPlace, Sink
from .records import DataFile, data_paths
from .rows import Shard, Vector

_GROUP_BYTES = 8 << 20
_GROUP_ROWS = 1 << 16


class Parquet:
    """One file; row groups of so many rows whatever pieces they come in, so that the bytes are the same each time."""

    def __init__(self, job: JobSpec, shard: Shard, output: OutputPlace) -> None:
        (self._path,) = data_paths(job, shard)
        self._job = job
        self._number = pa.float16() if number_type(job) == "e" else pa.float32()
        self._sink = output.create(self._path)
        self._writer: parquet.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._ids: list[str | int] = []
        self._values = bytearray()
        self._width = self._group = 0

    def add(self, results: Sequence[Vector]) -> None:
        for result in results:
            if not self._width:
                self._begin(result)
            self._ids.append(result.row.id)
            self._values += result.values
            if len(self._ids) == self._group:
                self._flush()

    def commit(self) -> list[DataFile]:
        self._flush()
        if self._writer is not None:
            self._writer.close()
        return [committed(self._path, self._sink)]

    def abandon(self) -> None:
        if self._writer is not None:
            with suppress(BatchError, OSError, pa.ArrowException):
                self._writer.close()  # it would write to the sink when it is forgotten
        self._sink.abandon()

    def _begin(self, first: Vector) -> None:
        """What the columns are: the first row's id tells of which type all ids are."""
        self._width = len(first.values)
        self._group = max(1, min(_GROUP_ROWS, _GROUP_BYTES // self._width))
        dimensions = self._width // (self._number.bit_width // 8)
        name = pa.field("id", pa.int64() if isinstance(first.row.id, int) else pa.string(), nullable=False)
        if self._job.task == "Rerank":
            value, codec = pa.field("score", pa.float32(), nullable=False), {"id": "zstd", "score": "none"}
        else:
            item = pa.field("element", self._number, nullable=False)
            value = pa.field("vector", pa.list_(item, dimensions), nullable=False)
            codec = {"id": "zstd", "vector.list.element": "none"}  # noise: packing it takes time and saves nothing
        self._schema = pa.schema([name, value], metadata=_told(self._job))
        self._writer = parquet.ParquetWriter(
            pa.PythonFile(_Bytes(self._sink), "w"),
            self._schema,
            compression=codec,
            use_dictionary=False,
            write_statistics=["id"],
            write_page_checksum=True,
        )

    def _flush(self) -> None:
        if not self._ids or self._writer is None or self._schema is None:
            return
        name, value = self._schema
        count = len(self._ids)
        flat = value.type.value_type if self._job.task == "Embed" else value.type
        numbers = self._width * 8 // flat.bit_width
        values = pa.Array.from_buffers(flat, count * numbers, [None, pa.py_buffer(self._values)])
        if self._job.task == "Embed":
            values = pa.FixedSizeListArray.from_arrays(values, type=value.type)
        table = pa.Table.from_arrays([pa.array(self._ids, name.type), values], schema=self._schema)
        self._writer.write_table(table, row_group_size=count)
        self._ids, self._values = [], bytearray()


class _Bytes(io.RawIOBase):
    """A sink as pyarrow wants a file; it is ours to close."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        return self._sink.write(data)

    def tell(self) -> int:
        return self._sink.size


def _told(job: JobSpec) -> dict[str, str]:
    """Which model the vectors are of, in the file itself: it may be carried away from its manifest."""
    model = job.model
    told = {
        "model": model.source or model.served_name,
        "revision": model.revision,
        "digest": model.digest,
        "space": model.space,
        "task": job.task,
    }
    return {f"embedding-operator.io/{name}": value for name, value in told.items() if value}
