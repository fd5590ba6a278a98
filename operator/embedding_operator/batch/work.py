"""The phase `work`: one index of the job's pods embeds its shards, one after the other, and stops nowhere between them.

Rows are read ahead, results are written in order, and a shard is there when its writer has committed it. Whatever ends
this process before, the shard begins again; those that are finished do not.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedding_operator.staging.threads import in_thread

from .ahead import Ahead
from .atonce import at_once
from .batches import SMALL, Batch, Estimate, Size, batches
from .embedding import Embedded, Embedder
from .errors import BatchError
from .flow import in_order
from .handshake import meet
from .isolation import Isolation
from .jobspec import JobSpec
from .pace import Filling, Pace, Yielding
from .persistence import Persistent
from .progress import Progress
from .reading import open_shard
from .records import is_finished, shards_of
from .requests import Asking
from .rows import BadRow, Row, Shard, Vector
from .server import Patience, Server
from .shortening import Shortening
from .writing import ShardWriter

log = logging.getLogger(__name__)

MOST = 32
"""Requests in flight to a server of one's own."""
READ_AHEAD = 8
"""Batches that are read before they can be asked for."""
Embed = Callable[[Sequence[Row], int], Awaitable[Embedded]]


@dataclass(frozen=True)
class Task:
    """Which part of the job, and which server."""

    index: int
    indexes: int
    server: str
    key: str | None = None
    ca_file: Path | None = None
    max_in_flight: int | None = None
    """The server has other callers: so many requests at most, fewer while it is busy with theirs."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a shard on its way; without a batch it is its end."""

    shard: Shard
    batch: Batch | None


async def work(job: JobSpec, task: Task, progress: Progress) -> Mapping[str, Any]:
    """Embed one index of the job; gives its termination message. Raises BatchError."""
    shards = await in_thread(_unfinished, job, task)
    progress.shards, progress.bytes_total = len(shards), sum(shard.bytes for shard in shards)
    if shards:
        async with Server(task.server, task.key, task.ca_file, task.patience, job.model.space) as server:
            await server.ready()
            line = Persistent(server)
            met = await meet(job, line)
            shared = task.max_in_flight is not None
            size = SMALL if shared else Size()
            pace: Pace = Yielding(task.max_in_flight, size.tokens) if task.max_in_flight else Filling(MOST)
            estimate = Estimate()
            cut = Shortening(met.asking, line).cut if job.truncate and not met.asking.cuts else None
            embedder = Embedder(met, line, pace, estimate, cut, once_a_life=not shared)
            embed = embedder.embed if shared else Isolation(embedder).embed
            await _embed(job, shards, embedder, embed, size, progress)
    return {
        "index": task.index,
        "shards": progress.shards_done,
        "rows": progress.rows,
        "errors": progress.errors,
        "tokens": progress.tokens,
    }


def _unfinished(job: JobSpec, task: Task) -> list[Shard]:
    shards = shards_of(job, task.index, task.indexes)
    finished = at_once(lambda shard: is_finished(job, shard), shards)
    return [shard for shard, over in zip(shards, finished, strict=True) if not over]


async def _embed(
    job: JobSpec, shards: Sequence[Shard], embedder: Embedder, embed: Embed, size: Size, progress: Progress
) -> None:
    async def embedded(piece: Piece) -> Embedded:
        batch = piece.batch
        try:
            return await embed(batch.rows, batch.bytes) if batch and batch.rows else Embedded([], 0)
        except BatchError as error:
            if error.reason != "Unavailable":
                raise
            told = f"{error.message}; it was asked for part {piece.shard.part} of {piece.shard.file}"
            raise BatchError(error.reason, told) from None

    pieces = Ahead(_pieces(job, shards, embedder.asking, embedder.estimate, size), READ_AHEAD)
    writing = _Writing(job, progress)
    try:
        async with aclosing(in_order(pieces, embedded, embedder.pace)) as results:
            async for piece, got in results:
                await writing.take(piece, got)
                progress.file = piece.shard.file
    finally:
        pieces.stop()
        await in_thread(writing.abandon)


def _pieces(job: JobSpec, shards: Sequence[Shard], asking: Asking, estimate: Estimate, size: Size) -> Iterator[Piece]:
    """In a thread of its own: it blocks."""
    for shard in shards:
        for batch in batches(open_shard(job, shard), asking.cost, estimate, size):
            yield Piece(shard, batch)
        yield Piece(shard, None)


class _Writing:
    """Writes shard after shard, and counts."""

    def __init__(self, job: JobSpec, progress: Progress) -> None:
        self._job, self._progress = job, progress
        self._writer: ShardWriter | None = None
        self._tokens = self._bytes = 0
        """Of the shard."""
        self._before = 0
        """Bytes of the shards before it."""

    async def take(self, piece: Piece, got: Embedded) -> None:
        """The next piece's results; BatchError where the job has too many errors."""
        if self._writer is None:
            self._writer = ShardWriter(self._job, piece.shard)
        if piece.batch is not None:
            await self._add(piece.batch, piece.shard, got)
            return
        await in_thread(self._writer.commit, self._tokens)
        self._writer = None
        self._before += piece.shard.bytes
        self._tokens = self._bytes = 0
        self._progress.bytes = self._before
        self._progress.shards_done += 1
        log.info("%s: shard %s is finished", piece.shard.file, piece.shard.id)

    async def _add(self, batch: Batch, shard: Shard, got: Embedded) -> None:
        assert self._writer is not None
        results = merged(batch.items, got.results)
        bad = await in_thread(self._writer.add, results)
        progress = self._progress
        self._tokens += got.tokens
        self._bytes += batch.bytes
        progress.tokens += got.tokens
        progress.rows += len(results) - len(bad)
        progress.errors += len(bad)
        progress.bytes = self._before + min(self._bytes, shard.bytes)
        most = self._job.max_errors.count
        if most is not None and progress.errors > most:
            last = bad[-1]
            raise BatchError(
                "TooManyErrors",
                f"{progress.errors} rows of this pod's shards cannot be embedded, and spec.maxErrors is {most}; the "
                f"last is row {last.number} of shard {shard.id} of {shard.file}: {last.reason}: {last.message}",
            )

    def abandon(self) -> None:
        """Leave nothing half-written."""
        if self._writer is not None:
            self._writer.abandon()


def merged(items: Sequence[Row | BadRow], results: Sequence[Vector | BadRow]) -> list[Vector | BadRow]:
    """Rows that were bad when they were read, and what became of the others, in the order of the shard."""
    if len(items) == len(results):
        return list(results)
    rest = iter(results)
    return [item if isinstance(item, BadRow) else next(rest) for item in items]
