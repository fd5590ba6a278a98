"""Jobs, files and vectors for the tests of offline inference."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from embedding_operator.batch.cutting import cut
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.places import input_of
from embedding_operator.batch.reading import open_shard
from embedding_operator.batch.rows import BadRow, Row, Shard, Vector
from embedding_operator.batch.writing import ShardWriter

KEY = "0123456789abcdef"
DIMENSIONS = 4


@dataclass(frozen=True)
class Volume:
    """An input, and an output beside it."""

    root: Path

    @property
    def input(self) -> Path:
        return self.root / "input"

    @property
    def output(self) -> Path:
        return self.root / "output"

    def write(self, path: str, data: bytes) -> Path:
        """A file of the input."""
        place = self.input / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return place

    def job(self, *, task: str = "Embed", shard_bytes: int = 1 << 20, **fields: Any) -> JobSpec:
        """A job over the volume; fields of input by their names, those of output as `output={…}`."""
        output = {"root": str(self.output), "format": "JsonLines", "dimensions": DIMENSIONS} | fields.pop("output", {})
        top = {name: fields.pop(name) for name in ("maxErrors", "name", "key", "runtime") if name in fields}
        given = {"root": str(self.input), "files": ["**"], "format": "JsonLines", "textField": "text"} | fields
        return JobSpec.model_validate(
            {"name": "job", "namespace": "ns", "key": KEY, "task": task, "shardBytes": shard_bytes}
            | {"input": given, "output": output, "model": {"servedName": "m", "digest": "sha256:1", "space": "space-1"}}
            | {"progressPort": None}
            | top
        )

    def shards(self, job: JobSpec) -> list[Shard]:
        """The input, cut."""
        return [shard for file in input_of(job).listed(job.input.files) for shard in cut(job, file)]


def rows_of(job: JobSpec, shards: Iterable[Shard]) -> list[Row | BadRow]:
    """All of them, one shard after the other."""
    return [row for shard in shards for row in open_shard(job, shard)]


def vector(row: Row, *values: float) -> Vector:
    """A vector that tells its row."""
    numbers = values or tuple(float(crc32(f"{row.id} {place}".encode()) % 97) for place in range(DIMENSIONS))
    return Vector(row, struct.pack(f"<{len(numbers)}f", *numbers))


def embed(job: JobSpec, shard: Shard, tokens: int = 7) -> None:
    """What a worker does with a shard."""
    writer = ShardWriter(job, shard)
    for row in open_shard(job, shard):
        writer.add([vector(row) if isinstance(row, Row) else row])
    writer.commit(tokens)
