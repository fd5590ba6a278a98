"""Vectors as `.npy`, whose header is written by hand, and their ids beside it, one JSON value on each line."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from .formats import committed, number_type
from .jobspec import JobSpec
from .local import refused
from .places import OutputPlace
from .records import DataFile, data_paths
from .rows import Shard, Vector

_COPY = 4 << 20


class Npy:
    """The header tells how many rows follow, so the rows wait in a file without a name until all are there."""

    def __init__(self, job: JobSpec, shard: Shard, output: OutputPlace) -> None:
        self._paths = data_paths(job, shard)
        self._output = output
        self._type = number_type(job)
        self._scores = job.task == "Rerank"
        self._rows = self._width = 0
        with _told():
            self._values = tempfile.TemporaryFile(dir=output.scratch)  # noqa: SIM115 - closed by commit or abandon
        self._sinks = [output.create(path) for path in self._paths]

    def add(self, results: Sequence[Vector]) -> None:
        for result in results:
            with _told():
                self._values.write(result.values)
            self._sinks[1].write(msgspec.json.encode(result.row.id) + b"\n")
            self._width = len(result.values)
        self._rows += len(results)

    def commit(self) -> list[DataFile]:
        dimensions = self._width // struct.calcsize(self._type)
        sink = self._sinks[0]
        sink.write(header(self._type, (self._rows,) if self._scores else (self._rows, dimensions)))
        with _told(), self._values:
            self._values.seek(0)
            while piece := self._values.read(_COPY):
                sink.write(piece)
        return [committed(path, sink) for path, sink in zip(self._paths, self._sinks, strict=True)]

    def abandon(self) -> None:
        with suppress(OSError):
            self._values.close()
        for sink in self._sinks:
            sink.abandon()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused(error, "the place for vectors on their way (the output, or /tmp of the pod)") from None


def header(kind: str, shape: tuple[int, ...]) -> bytes:
    """Version 1.0 of the format: what follows begins at a multiple of 64 bytes."""
    shown = f"({', '.join(str(length) for length in shape)}{',' if len(shape) == 1 else ''})"
    told = f"{{'descr': '<{'f2' if kind == 'e' else 'f4'}', 'fortran_order': False, 'shape': {shown}, }}"
    told += " " * (-(10 + len(told) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(told)) + told.encode("ascii")
