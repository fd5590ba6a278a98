"""The phase `finish`: look whether every shard is there, join what was told of bad rows, and say what was made.

The manifest is written last: where it is, the job is done, and it names every file that belongs to it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from embedding_operator.staging.threads import in_thread

from .atonce import at_once
from .errors import BatchError
from .jobspec import JobSpec, MaxErrors
from .manifest import MANIFEST, manifest_of
from .places import OutputPlace, output_of
from .progress import Progress
from .records import (
    DataFile,
    Record,
    data_paths,
    errors_path,
    list_path,
    read_cut,
    read_shards,
    record_of,
    record_path,
    write_file,
)
from .rows import Shard

ERRORS = "errors.jsonl"


async def finish(job: JobSpec, progress: Progress) -> Mapping[str, Any]:
    """Finish the job; gives the termination message. Raises BatchError."""
    return await in_thread(_finish, job, progress)


def _finish(job: JobSpec, progress: Progress) -> Mapping[str, Any]:
    output = output_of(job)
    cut, shards = read_cut(job), read_shards(job)
    progress.shards, progress.bytes_total = len(shards), sum(shard.bytes for shard in shards)
    records = _all_there(shards, at_once(lambda shard: record_of(job, shard), shards), progress)
    _alike(shards, records)
    bad = _Bad()
    errors = _joined(output, shards, records, bad)
    rows, failed = sum(record.rows for record in records), sum(record.errors for record in records)
    if is_too_many(job.max_errors, failed, rows + failed):
        raise BatchError("TooManyErrors", bad.words(job.max_errors, failed, rows + failed))
    output.clean([path for shard in shards for path in _written_for(job, shard)] + [list_path(job), ERRORS, MANIFEST])
    told = manifest_of(job, shards, records, cut, errors, time.time())
    write_file(output, MANIFEST, told)
    written = [file for record in records for file in record.written] + ([errors] if errors else [])
    return {
        "shards": len(shards),
        "reused": cut.reused,
        "rows": rows,
        "errors": failed,
        "tokens": sum(record.tokens for record in records),
        "bytes": sum(file.bytes for file in written) + len(told),
        "manifest": MANIFEST,
        "errorsFile": errors.path if errors else None,
    }


def is_too_many(most: MaxErrors, errors: int, total: int) -> bool:
    """Whether so many bad rows of all fail the job."""
    if most.percent is not None:
        return errors * 100 > most.percent * total
    return errors > (most.count or 0)


def _all_there(shards: Sequence[Shard], found: Sequence[Record | None], progress: Progress) -> list[Record]:
    records = [record for record in found if record is not None]
    progress.shards_done = len(records)
    progress.rows = sum(record.rows for record in records)
    progress.errors = sum(record.errors for record in records)
    progress.tokens = sum(record.tokens for record in records)
    progress.bytes = sum(shard.bytes for shard, record in zip(shards, found, strict=True) if record)
    missing = [shard for shard, record in zip(shards, found, strict=True) if record is None]
    if missing:
        first = missing[0]
        raise BatchError(
            "Unfinished",
            f"{len(missing)} of {len(shards)} shards are not finished, or their files are gone from the output (the "
            f"first is part {first.part} of {first.file}): they have to be embedded again",
        )
    for shard, record in zip(shards, records, strict=True):
        if shard.rows not in (None, record.rows + record.errors):
            raise BatchError("Internal", f"{shard.file}: part {shard.part} has {shard.rows} rows, its record others")
    return records


def _alike(shards: Sequence[Shard], records: Sequence[Record]) -> None:
    """Vectors of two lengths are of two models, or of one that was served in two ways."""
    lengths = {record.dimensions: shard for shard, record in zip(shards, records, strict=True) if record.dimensions}
    if len(lengths) > 1:
        told = ", ".join(f"{length} ({shard.file}, part {shard.part})" for length, shard in lengths.items())
        raise BatchError(
            "InvalidSpec", f"the vectors have several lengths: {told}: set output.dimensions, and make the job again"
        )


def _written_for(job: JobSpec, shard: Shard) -> list[str]:
    return [*data_paths(job, shard), errors_path(job, shard), record_path(job, shard)]


@dataclass
class _Bad:
    """What the bad rows have in common, in few words."""

    reasons: Counter[str] = field(default_factory=Counter)
    first: dict[str, Any] | None = None

    def add(self, row: dict[str, Any]) -> None:
        self.first = self.first or row
        self.reasons[str(row["reason"])] += 1

    def words(self, most: MaxErrors, errors: int, total: int) -> str:
        allowed = f"{most.percent:g}%" if most.percent is not None else str(most.count or 0)
        often = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common(3))
        first = self.first or {}
        return (
            f"{errors} of {total} rows could not be embedded ({often}), and spec.maxErrors is {allowed}; the first is "
            f"row {first.get('row')} of {first.get('file')}: {first.get('message')}; all are in {ERRORS} of the output"
            ": mend them, or allow more"
        )


def _joined(output: OutputPlace, shards: Sequence[Shard], records: Sequence[Record], bad: _Bad) -> DataFile | None:
    """One file of all bad rows, with their numbers in the input's files; None without any."""
    if not any(record.errors for record in records):
        if output.size(ERRORS):  # of an earlier job; what it says is true no longer
            write_file(output, ERRORS, b"")
        return None
    sink = output.create(ERRORS)
    try:
        for row in _bad_rows(output, shards, records):
            bad.add(row)
            sink.write(msgspec.json.encode(row) + b"\n")
        sink.commit()
    finally:
        sink.abandon()
    return DataFile(ERRORS, sink.size, sink.sha256)


def _bad_rows(output: OutputPlace, shards: Sequence[Shard], records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    file, before = "", 0
    for shard, record in zip(shards, records, strict=True):
        if shard.file != file:
            file, before = shard.file, 0
        if record.errors_file is not None:
            with output.opened(record.errors_file.path) as stream:
                for line in stream:
                    row = msgspec.json.decode(line)
                    yield row | {"row": before + int(row["row"]) + 1}
        before += record.rows + record.errors
