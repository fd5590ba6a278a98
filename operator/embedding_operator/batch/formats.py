"""How results become files: a format takes ids and vectors, and knows nothing of shards."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Protocol

import msgspec

from .jobspec import JobSpec
from .places import OutputPlace, Sink
from .records import DataFile, data_paths
from .rows import Shard, Vector

_DIGITS = {"f": "%.9g", "e": "%.5g"}
"""As many as tell each number of the type from all others."""


class Format(Protocol):
    """The data files of one shard, while they are written."""

    def add(self, results: Sequence[Vector]) -> None:
        """Append."""

    def commit(self) -> list[DataFile]:
        """Let them appear; gives what they are."""

    def abandon(self) -> None:
        """Leave nothing."""


def format_of(job: JobSpec, shard: Shard, output: OutputPlace) -> Format:
    """The format that the job wants."""
    match job.output.format:
        case "Parquet":
            from .parquetout import Parquet

            return Parquet(job, shard, output)
        case "Npy":
            from .npy import Npy

            return Npy(job, shard, output)
        case "JsonLines":
            return JsonLines(job, shard, output)


def number_type(job: JobSpec) -> str:
    """Of one number of a vector, as `struct` calls it: `f` or `e`. Scores are float32 always."""
    return "e" if job.output.dtype == "Float16" and job.task == "Embed" else "f"


class JsonLines:
    """`{"id": …, "vector": […]}` or `{"id": …, "score": …}` on each line."""

    def __init__(self, job: JobSpec, shard: Shard, output: OutputPlace) -> None:
        (self._path,) = data_paths(job, shard)
        self._sink = output.create(self._path)
        self._type = number_type(job)
        self._before, self._after = (b',"vector":[', b"]}\n") if job.task == "Embed" else (b',"score":', b"}\n")

    def add(self, results: Sequence[Vector]) -> None:
        for result in results:
            count = len(result.values) // struct.calcsize(self._type)
            numbers = struct.unpack(f"<{count}{self._type}", result.values)
            told = ",".join([_DIGITS[self._type]] * count) % numbers
            name = msgspec.json.encode(result.row.id)
            self._sink.write(b'{"id":' + name + self._before + told.encode() + self._after)

    def commit(self) -> list[DataFile]:
        return [committed(self._path, self._sink)]

    def abandon(self) -> None:
        self._sink.abandon()


def committed(path: str, sink: Sink) -> DataFile:
    """The file that the sink has become."""
    sink.commit()
    return DataFile(path, sink.size, sink.sha256)
