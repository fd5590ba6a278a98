"""The input of a job as shards: what is looked up in each file so that it can be cut."""

from __future__ import annotations

from collections.abc import Callable

from .fields import fields_of
from .globs import InputFile
from .jobspec import JobSpec
from .lines import LIMIT, first_byte, lines_of
from .places import InputPlace, input_of
from .rows import Shard
from .sharding import counted, cut_groups, cut_lines


def cut(job: JobSpec, file: InputFile, counted_bytes: Callable[[int], None] = lambda _: None) -> list[Shard]:
    """The shards of a file, in order. Blocks. Raises BatchError.

    The rows of lines are counted where rows have no ids of their own, because a row is named by its number then; the
    file is read once for that, and `counted_bytes` is told of each piece.
    """
    place = input_of(job)
    if job.input.format == "Parquet":
        from .parquetin import groups_of

        with place.opened(file) as stream:
            return cut_groups(job.key, file, groups_of(job, file.path, stream), job.shard_bytes)
    shards = cut_lines(job.key, file, job.shard_bytes)
    if fields_of(job).id is not None:
        return shards
    rows = []
    for shard in shards:
        rows.append(_rows(job, file, shard, place))
        counted_bytes(shard.bytes)
    return counted(shards, rows)


def _rows(job: JobSpec, file: InputFile, shard: Shard, place: InputPlace) -> int:
    """As many as `open_shard` will give."""
    with place.opened(file, first_byte(shard.offset)) as stream:
        lines = lines_of(stream, shard.offset, shard.offset + shard.length, LIMIT)
        if job.input.format == "Text":
            return sum(1 for _ in lines)
        return sum(1 for line in lines if line is None or line.strip())
