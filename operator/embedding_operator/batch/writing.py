"""The results of one shard on their way to the output: nothing of them is seen before all of them are there."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from .errors import BatchError
from .finite import is_finite
from .formats import Format, committed, format_of, number_type
from .jobspec import JobSpec
from .places import Sink, output_of
from .records import FORMAT, Record, errors_path, record_of, write_record
from .rows import BadRow, Shard, Vector


class ShardWriter:
    """Takes the results of a shard in the order of its rows. Blocks; of use once, and by one thread at a time."""

    def __init__(self, job: JobSpec, shard: Shard) -> None:
        self._job = job
        self._shard = shard
        self._output = output_of(job)
        self._type = number_type(job)
        self._data: Format | None = None
        self._errors: Sink | None = None
        self._rows = self._bad = 0
        self._width = 0
        """Bytes of a vector."""

    def add(self, results: Sequence[Vector | BadRow]) -> list[BadRow]:
        """What became of the rows that follow those before; gives the bad ones. BatchError if it does not follow."""
        vectors: list[Vector] = []
        bad: list[BadRow] = []
        for result in results:
            number = result.number if isinstance(result, BadRow) else result.row.number
            if number != self._rows + self._bad:
                raise BatchError(
                    "Internal",
                    f"{self._shard.file}: row {number} of shard {self._shard.id} came for row {self._rows + self._bad}",
                )
            if isinstance(result, Vector) and self._is_finite(result.values):
                vectors.append(result)
                self._rows += 1
            else:
                bad.append(result if isinstance(result, BadRow) else _not_finite(result))
                self._told(bad[-1])
                self._bad += 1
        if vectors:
            if self._data is None:
                self._data = format_of(self._job, self._shard, self._output)
            self._data.add(vectors)
        return bad

    def commit(self, tokens: int) -> Record:
        """All rows were added: let the files appear, and the record after them. The shard is finished then.

        What another pod has finished meanwhile stays: vectors differ in their last digits from one run to the next, and
        its record, and perhaps a manifest, have the sums of its files.
        """
        expected, total = self._shard.rows, self._rows + self._bad
        if expected not in (None, total):
            raise BatchError(
                "Internal", f"{self._shard.file}: shard {self._shard.id} has {expected} rows, and {total} came"
            )
        if (there := record_of(self._job, self._shard)) is not None:
            self.abandon()
            return there
        size = struct.calcsize(self._type)
        record = Record(
            format=FORMAT,
            shard=self._shard.id,
            file=self._shard.file,
            rows=self._rows,
            errors=self._bad,
            tokens=tokens,
            dimensions=self._width // size if self._width and self._job.task == "Embed" else None,
            files=self._data.commit() if self._data else [],
            errors_file=committed(errors_path(self._job, self._shard), self._errors) if self._errors else None,
        )
        write_record(self._job, self._shard, record)
        return record

    def abandon(self) -> None:
        """Leave nothing of what was not committed. May be called whatever happened before."""
        if self._data is not None:
            self._data.abandon()
        if self._errors is not None:
            self._errors.abandon()

    def _is_finite(self, values: bytes) -> bool:
        size = struct.calcsize(self._type)
        if not self._width:
            self._width = size * (1 if self._job.task == "Rerank" else self._job.output.dimensions or 0) or len(values)
        if len(values) != self._width or not values or len(values) % size:
            raise BatchError(
                "Refused",
                f"{self._shard.file}: the server gave a vector of {len(values) // size} numbers where "
                f"{self._width // size} were expected: look at output.dimensions, and at what the model can give",
            )
        return is_finite(values, self._type)

    def _told(self, row: BadRow) -> None:
        if self._errors is None:
            self._errors = self._output.create(errors_path(self._job, self._shard))
        told = {
            "file": self._shard.file,
            "row": row.number,
            "id": row.id,
            "reason": row.reason,
            "message": " ".join(row.message.split()),
        }
        self._errors.write(msgspec.json.encode(told) + b"\n")


def _not_finite(result: Vector) -> BadRow:
    return BadRow(result.row.number, result.row.id, "NotFinite", "the server gave a vector with NaN or infinity in it")
